use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use super::{EarnerIndex, FeeShares, fee::mul_div_floor};
use crate::{Error, Result};

/// The most model owners that one call may pay.
pub const MAX_OWNERS: usize = 16;

/// An owner of an adapter used, and its weight in the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ModelOwner {
    /// Index in the role of model owner.
    pub earner: EarnerIndex,
    /// Weight above 0; an owner gets `floor(share * weight / sum of weights)`.
    pub weight: u32,
}

/// Who gets the fixed shares, beside the treasury.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Payees {
    /// Owners of the adapters used; if there are none, their share is the treasury's.
    pub owners: Vec<ModelOwner>,
    /// Index of the serving operator's stakers.
    pub stakers: EarnerIndex,
}

/// Why a fixed share is paid. The number is the byte in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ShareKind {
    /// Platform share with the record's rounding remainder.
    Treasury = 0,
    /// An owner's part of the model share.
    Owner = 1,
    /// The stakers' share.
    Stakers = 2,
}

/// A fixed share of one call. Shares are never merged, not even of one earner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Why it is paid.
    pub kind: ShareKind,
    /// To whom.
    pub earner: EarnerIndex,
    /// The owner's weight, 0 for other kinds.
    pub weight: u32,
    /// Sum of the owners' weights, 0 for other kinds.
    pub weights: u32,
    /// Gwei.
    pub amount: u64,
}

/// Fixed shares of a call: treasury, owners as given (by index), stakers.
pub(super) fn fixed_shares(split: FeeShares, payees: &Payees) -> Result<Vec<Share>> {
    if payees.stakers == EarnerIndex::NOBODY {
        return Err(Error::NobodyEarns { what: "the stakers' share" });
    }
    let weights = owners_weight(&payees.owners)?;
    let fixed = |kind, earner, amount| Share { kind, earner, weight: 0, weights: 0, amount };
    let mut shares = Vec::with_capacity(payees.owners.len() + 2);
    shares.push(fixed(ShareKind::Treasury, EarnerIndex::TREASURY, 0));
    let mut left = split.model;
    for &ModelOwner { earner, weight } in &payees.owners {
        let amount = mul_div_floor(split.model, u64::from(weight), u64::from(weights));
        left -= amount;
        shares.push(Share { kind: ShareKind::Owner, earner, weight, weights, amount });
    }
    shares.push(fixed(ShareKind::Stakers, payees.stakers, split.stakers));
    shares[0].amount = split.treasury + left;
    Ok(shares)
}

/// Sum of the weights of owners sorted by index.
fn owners_weight(owners: &[ModelOwner]) -> Result<u32> {
    let refuse = |given| Error::Owners { max: MAX_OWNERS, given };
    if owners.len() > MAX_OWNERS {
        return Err(refuse(alloc::format!("{} owners", owners.len())));
    }
    let mut sum = 0_u32;
    for (i, &ModelOwner { earner, weight }) in owners.iter().enumerate() {
        if earner == EarnerIndex::NOBODY {
            return Err(Error::NobodyEarns { what: "a model owner's share" });
        }
        if i > 0 && owners[i - 1].earner == earner {
            return Err(Error::DuplicateEarner { what: "model owners", earner: earner.0 });
        }
        sum = match sum.checked_add(weight) {
            Some(sum) if weight > 0 => sum,
            _ => return Err(refuse(alloc::format!("weight {weight} after a sum of {sum}"))),
        };
    }
    Ok(sum)
}
