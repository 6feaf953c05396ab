//! Calls that this node bought from other operators, to see what they record of them.

use alloy::primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Error, Result,
    store::{Store, Table, read_sol, rows, write_sol},
    voucher::{Receipt, SignedVoucher, Voucher},
};

/// How far a purchase is checked.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PurchaseState {
    /// Its batch is not posted, or was not looked at.
    Open,
    /// The batch records what running the call again gives.
    Right,
    /// The batch contradicts the operator's receipt, or leaves the call out.
    AgainstReceipt,
    /// The record is not what running the call again gives, and was challenged.
    Challenged,
    /// It cannot be checked, for this reason.
    Unknown(String),
}

/// A paid call with everything that proves what was asked, answered and promised.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Purchase {
    /// What this node signed.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub voucher: Voucher,
    /// Its signature, 65 bytes.
    pub signature: Vec<u8>,
    /// What the operator says about the call.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub receipt: Receipt,
    /// The operator's signature, 65 bytes.
    pub receipt_signature: Vec<u8>,
    /// Body of the request.
    pub request: Vec<u8>,
    /// Text of the answer, or the document of one with sources: what its hash is of.
    pub answer: Vec<u8>,
    /// How far it is checked.
    pub state: PurchaseState,
}

impl Purchase {
    /// The voucher as it was given.
    pub fn signed_voucher(&self) -> SignedVoucher {
        SignedVoucher { voucher: self.voucher.clone(), signature: self.signature.clone() }
    }
}

/// Where a purchase is in [`Table::Purchases`].
pub(super) fn key(operator: Address, epoch: u64, digest: B256) -> Vec<u8> {
    [prefix(operator, epoch).as_slice(), digest.as_slice()].concat()
}

fn prefix(operator: Address, epoch: u64) -> Vec<u8> {
    [operator.as_slice(), &epoch.to_be_bytes()].concat()
}

/// The calls of an epoch that were bought from an operator, by voucher digest.
///
/// # Errors
/// [`Error::Store`].
pub fn purchases(
    store: &dyn Store,
    operator: Address,
    epoch: u64,
) -> Result<Vec<(B256, Purchase)>> {
    let found = rows(store, Table::Purchases, &prefix(operator, epoch))?;
    found.into_iter().map(|(key, row)| Ok((parse(&key)?.2, row))).collect()
}

/// Operator, epoch and digest of a key.
pub(super) fn parse(key: &[u8]) -> Result<(Address, u64, B256)> {
    let damaged = || Error::Store("table purchases: damaged key".into());
    let (operator, rest) = key.split_first_chunk::<20>().ok_or_else(damaged)?;
    let (epoch, digest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let digest = B256::try_from(digest).map_err(|_| damaged())?;
    Ok((Address::new(*operator), u64::from_be_bytes(*epoch), digest))
}
