//! A contributor's reputation from what is on chain about it.

use super::FULL_BPS;

/// The lowest reputation, bps: below it, pay would not cover even what honest mistakes cost.
pub const MIN_REPUTATION: u16 = 2_500;

/// Files taken as accepted before the first: one refusal among few says little.
const PRIOR_FILES: u64 = 20;
/// Batches taken as not negative before the first.
const PRIOR_BATCHES: u64 = 4;

/// What happened to a contributor's data, counted from chain events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Files that validators accepted.
    pub accepted: u32,
    /// Files that validators refused, copies of others' data among them.
    pub refused: u32,
    /// Final batches in which its net of some model was not negative.
    pub earning_batches: u32,
    /// Final batches in which its net of some model was negative.
    pub harmful_batches: u32,
    /// Penalties upheld against it.
    pub penalties: u32,
}

impl Conduct {
    /// The factor on its positive pay, in bps from [`MIN_REPUTATION`] to 10 000:
    ///
    /// `max(2_500, floor(floor(10_000 (a + 20) / (a + r + 20)) (e + 4) / (e + h + 4)) >> p)` for `a`
    /// accepted and `r` refused files, `e` earning and `h` harmful batches and `p` penalties.
    ///
    /// - **It starts at 10 000 and never exceeds it.** A bonus would have to come out of others' pay;
    ///   what is withheld goes by the flat rule, so the total is conserved.
    /// - **Shares, not counts.** Contributing more of the same quality changes nothing once the
    ///   priors are outweighed, so that nobody gains by cutting a file into many.
    /// - **The priors** make one refusal of a newcomer cost 5% and its first harmful batch 20%, where
    ///   plain shares would cost everything.
    /// - **Influence counts by its sign only.** Its size is what pay measures already.
    /// - **A penalty halves**, whatever came before: two bring anybody to the bound. Good conduct
    ///   afterwards does not heal it, because it would be cheap.
    /// - **The bound** keeps pay of a quarter: below it an account is abandoned and a new one, at
    ///   10 000, is registered for the price of the bond. A bound that is too low would make
    ///   reputation worth less than that bond.
    #[must_use]
    pub fn reputation(&self) -> u16 {
        let [accepted, refused, earning, harmful] =
            [self.accepted, self.refused, self.earning_batches, self.harmful_batches]
                .map(u64::from);
        let intake =
            u64::from(FULL_BPS) * (accepted + PRIOR_FILES) / (accepted + refused + PRIOR_FILES);
        let both = intake * (earning + PRIOR_BATCHES) / (earning + harmful + PRIOR_BATCHES);
        let left = both.checked_shr(self.penalties).unwrap_or(0);
        u16::try_from(left).expect("it is at most 10 000").max(MIN_REPUTATION)
    }
}
