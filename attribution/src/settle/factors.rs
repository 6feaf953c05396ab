//! What of a contributor's positive net influence pays.

use alloc::collections::BTreeMap;

use super::{Balance, EarnerIndex, FULL_BPS, ModelKey};
use crate::{Error, Result};

/// The figures that are in force for a batch, in bps. What is not listed is whole, 10 000.
///
/// They are those of the first second of the batch's epoch. Every call of the batch was signed then or
/// later, so whoever calls, serves or contributes can know them before; and since a figure is
/// announced long before it is in force, nobody can choose them for calls that were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// [`Measured::influence_bps`](super::Measured::influence_bps) by model.
    pub influence: BTreeMap<ModelKey, u16>,
    /// [`Conduct::reputation`](super::Conduct::reputation) by contributor.
    pub reputation: BTreeMap<EarnerIndex, u16>,
}

impl Factors {
    /// The factor of a contributor with a model: [`factor`] of the two.
    #[must_use]
    pub fn of(&self, balance: Balance) -> u16 {
        let Balance { model, earner } = balance;
        let influence = self.influence.get(&model).copied().unwrap_or(FULL_BPS);
        let reputation = self.reputation.get(&earner).copied().unwrap_or(FULL_BPS);
        factor(influence, reputation)
    }

    /// # Errors
    /// [`Error::Factor`] if one is above the whole.
    pub(super) fn check(&self) -> Result<()> {
        let influence = self.influence.values().map(|&bps| ("influence share", bps));
        let reputation = self.reputation.values().map(|&bps| ("reputation", bps));
        match influence.chain(reputation).find(|&(_, bps)| bps > FULL_BPS) {
            Some((what, bps)) => Err(Error::Factor { what, bps }),
            None => Ok(()),
        }
    }
}

/// `floor(influence * reputation / 10_000)`, both in bps and read as 10 000 if they are above.
#[must_use]
pub fn factor(influence: u16, reputation: u16) -> u16 {
    let product = u32::from(influence.min(FULL_BPS)) * u32::from(reputation.min(FULL_BPS));
    u16::try_from(product / u32::from(FULL_BPS)).expect("it is at most 10 000")
}
