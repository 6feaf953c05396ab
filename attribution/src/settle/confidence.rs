//! How far pay follows influence: as far as the influence of a model was measured to be true.

use super::{FULL_BPS, Mix, credit_share, factor};

/// Ceilings below this are read as this, bps: a task on which two retrainings hardly agree would
/// otherwise make any score look perfect.
pub const MIN_CEILING: u16 = 2_500;

/// What a model's quality report says, in bps of a rank correlation.
///
/// Owners report on themselves: the report's hash is on chain with a bond, and whoever retrains with
/// the committed rows and seeds can show that a figure is too high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Lower end of the 95% interval of the linear datamodeling score, over queries. A negative one
    /// is 0. The lower end and not the mean: few retrainings then earn less trust than many.
    pub lds: u16,
    /// Score that the outcome of one retraining reaches as a prediction of another with the same rows
    /// and another seed: what a perfect attributor would reach.
    pub ceiling: u16,
}

impl Measured {
    /// Share that influence is paid by, in bps; the rest goes by the flat rule:
    /// `min(10_000, floor(lds^2 / max(ceiling, 2_500)))`.
    ///
    /// With `z` the true effects of the contributors, `s` their scores and `rho` the correlation of
    /// the two, the best linear estimate of `z` is `mean + rho (sd z / sd s) (s - mean)`, and the
    /// variance that it explains is `rho^2` of the whole: that share of the differences between
    /// contributors is known, and the rest is as likely one's as another's, which is what the flat
    /// rule pays. What a report measures is `lds = rho sqrt(R)`, because outcomes of single
    /// retrainings have reliability `R`, the ceiling; hence `rho^2 = lds^2 / R` (Spearman 1904, the
    /// correction for attenuation).
    ///
    /// It grows with `lds` and falls with the ceiling; a score of 0 gives the flat split, one
    /// that reaches the root of the ceiling gives influence alone. An owner gains by overstating the
    /// first and understating the second, and neither beyond the bounds.
    #[must_use]
    pub fn influence_bps(&self) -> u16 {
        let full = u32::from(FULL_BPS);
        let lds = u32::from(self.lds).min(full);
        let ceiling = u32::from(self.ceiling.max(MIN_CEILING)).min(full);
        let share = (lds * lds / ceiling).min(full);
        u16::try_from(share).expect("it is at most 10 000")
    }

    /// The factor on a contributor's positive net with a model that pays by `mix`: [`credit_share`] of
    /// [`Self::influence_bps`], of its reputation, each floored. What is withheld for either reason goes
    /// by the flat rule, so the total is conserved.
    #[must_use]
    pub fn factor(&self, mix: Mix, reputation: u16) -> u16 {
        factor(credit_share(self.influence_bps(), mix), reputation)
    }
}
