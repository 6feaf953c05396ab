//! What of a contributor's positive net its credits pay.

use alloc::collections::BTreeMap;

use super::{Balance, EarnerIndex, FULL_BPS, Mix, ModelKey};
use crate::{Error, Result};

/// The figures that are in force for a batch, in bps. What is not listed is whole, 10 000.
///
/// They are those of the first second of the batch's epoch. Every call of the batch was signed then or
/// later, so whoever calls, serves or contributes can know them before; and since a figure is
/// announced long before it is in force, nobody can choose them for calls that were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// [`credit_share`] by model, with the mix of that second.
    pub shares: BTreeMap<ModelKey, u16>,
    /// [`Conduct::reputation`](super::Conduct::reputation) by contributor.
    pub reputation: BTreeMap<EarnerIndex, u16>,
}

impl Factors {
    /// The factor of a contributor with a model: [`factor`] of the two.
    #[must_use]
    pub fn of(&self, balance: Balance) -> u16 {
        let Balance { model, earner } = balance;
        let share = self.shares.get(&model).copied().unwrap_or(FULL_BPS);
        let reputation = self.reputation.get(&earner).copied().unwrap_or(FULL_BPS);
        factor(share, reputation)
    }

    /// # Errors
    /// [`Error::Factor`] if one is above the whole.
    pub(super) fn check(&self) -> Result<()> {
        let shares = self.shares.values().map(|&bps| ("credit share", bps));
        let reputation = self.reputation.values().map(|&bps| ("reputation", bps));
        match shares.chain(reputation).find(|&(_, bps)| bps > FULL_BPS) {
            Some((what, bps)) => Err(Error::Factor { what, bps }),
            None => Ok(()),
        }
    }
}

/// Share of a positive net with a model that credits pay, bps; the rest goes by the flat rule:
/// `floor((influence (10_000 - uses) + 10_000 uses) / 10_000)`, `uses` what the mix gives for spans
/// and citations.
///
/// How far influence was measured to be true says nothing of spans and citations: they follow from
/// the answer, the rows and an index that anybody can compute, and whoever pays for a source that was
/// quoted or cited wants it paid. A net is of credits of all kinds, so each counts as far as the mix
/// pays by it. That is exact for contributors whose credits are divided as the mix is, and for models
/// that pay by one kind alone; between others it moves pay, which a factor per credit would not.
///
/// - `influence`: [`Measured::influence_bps`](super::Measured::influence_bps), read as 10 000 if it is
///   above
#[must_use]
pub fn credit_share(influence: u16, mix: Mix) -> u16 {
    let of_influence = u32::from(mix.influence_bps());
    let full = u32::from(FULL_BPS);
    let sum = u32::from(influence.min(FULL_BPS)) * of_influence + full * (full - of_influence);
    u16::try_from(sum / full).expect("it is at most 10 000")
}

/// `floor(share * reputation / 10_000)`, both in bps and read as 10 000 if they are above.
#[must_use]
pub fn factor(share: u16, reputation: u16) -> u16 {
    let product = u32::from(share.min(FULL_BPS)) * u32::from(reputation.min(FULL_BPS));
    u16::try_from(product / u32::from(FULL_BPS)).expect("it is at most 10 000")
}
