//! The basis of an index's projection, against one learned again.

use alloy::primitives::B256;
use attribution::estimate::{InfluenceIndex, Projector};

use super::subject::IndexCheck;
use crate::{
    Error, Result,
    explain::finding::Report,
    factory::{Sample, Source, projection_seed, site_gradients},
};

/// By how much less of the sample's gradients an index's basis may carry than the one learned again.
///
/// Measured on gradients of two trained models (82,944 and 9,712 numbers, sketches of 256 to 4096, 128
/// rows): noise of a thousandth of every number, far more than processors differ by, moved the share by
/// at most 7e-5, where it exchanged a direction, and else 1.4e-6. A basis of other rows of the same Datanet carried 0.04 to 0.12 less, one with the
/// weight of one row raised 33 times 0.01 to 0.04, permuted or random directions 0.08 to 0.75. What
/// passes is the exchange of one or two of the 128 rows, or of the weakest direction or two.
const TOLERANCE: f64 = 5e-4;

/// How far an index's directions may be from orthonormal: what rounding does to unit vectors of f32
/// is below 1e-5, and one direction kept twice is 1.
const MAX_SKEW: f64 = 1e-4;

/// The seed of the projection, and its basis.
///
/// - `adapter`: the adapter's hash
pub(super) fn basis(
    check: &IndexCheck<'_>,
    index: &InfluenceIndex,
    source: Source<'_>,
    adapter: B256,
    report: &mut Report,
) -> Result<()> {
    let datanets = check.learned_from.unwrap_or(check.datanets);
    let projector = index.projector();
    let seed = projector.config().seed;
    report.compare("seed", &B256::from(seed), &projection_seed(adapter.0, datanets));
    let skew = projector.skew();
    if skew > MAX_SKEW {
        let detail = format!("its directions are off orthonormal by {skew}, at most {MAX_SKEW}");
        report.note("basis", false, detail);
        return Ok(());
    }
    let mut sample = Sample::draw(&seed, datanets.iter().flat_map(|datanet| &datanet.rows));
    let config = *projector.config();
    let learned = match sample.learn(source, projector.shapes(), config, &mut |_| {}) {
        Ok(learned) => learned,
        Err(Error::Attribution(why)) => {
            report.note("basis", false, format!("none can be learned from the rows: {why}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let shares = Shares::of(&sample, source, projector, &learned)?;
    let Shares { rows, index, learned } = shares;
    let detail = format!(
        "carries {index:.6} of the gradients of the {rows} rows that the seed draws, one learned \
         from them {learned:.6}"
    );
    report.note("basis", index >= learned - TOLERANCE, detail);
    Ok(())
}

/// Share of the rows' squared gradient norm that kept directions carry, mean over the rows.
#[derive(Clone, Copy, Debug)]
struct Shares {
    /// Rows whose gradient is finite and not zero.
    rows: u32,
    /// Of the index's directions.
    index: f64,
    /// Of those learned again.
    learned: f64,
}

impl Shares {
    fn of(
        sample: &Sample<'_>,
        source: Source<'_>,
        index: &Projector,
        learned: &Projector,
    ) -> Result<Self> {
        let mut sums = Self { rows: 0, index: 0.0, learned: 0.0 };
        sample.each(source, &mut |gradient| {
            let sites = site_gradients(gradient);
            let share = |projector: &Projector| match projector.kept_share(&sites) {
                Err(attribution::Error::NotFinite(_)) => Ok(None),
                share => share.map_err(|error| Error::Attribution(error.to_string())),
            };
            if let (Some(ours), Some(best)) = (share(index)?, share(learned)?) {
                sums = Self {
                    rows: sums.rows + 1,
                    index: sums.index + ours,
                    learned: sums.learned + best,
                };
            }
            Ok(())
        })?;
        let count = f64::from(sums.rows.max(1));
        Ok(Self { index: sums.index / count, learned: sums.learned / count, ..sums })
    }
}
