//! The basis of an index's projection, against one learned again.

use alloy::primitives::B256;
use attribution::estimate::{Fit, InfluenceIndex};

use super::subject::IndexCheck;
use crate::{
    Error, Result,
    explain::finding::Report,
    factory::{Sample, Source, attribution, projection_seed, site_gradients},
};

/// By which share more an index's basis may err on the sample than the one learned again.
///
/// Measured on 128 rows of two trained models (82,944 and 9,712 numbers, sketches of 256 to 4096): noise
/// of a thousandth of every number, far more than processors differ by, moved the error by at most 4e-6
/// of itself, and a direction or two kept more or less by 2e-3. A basis of other rows of the same
/// Datanet erred by 0.01 (sketches of 256) to 0.4 more, one with the weight of one row raised 33 times
/// by 0.04 to 0.13, permuted and random directions by 0.02 to 18, one that keeps nothing by 0.02 to 5,
/// one that hashes nothing by 3 to 22. What passes is the exchange of one or two of the 128 rows. The
/// share that is kept would not do: a basis of a quarter of the rows keeps more, and errs more.
const TOLERANCE: f64 = 3e-3;

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
    let config = *projector.config();
    report.compare("seed", &B256::from(config.seed), &projection_seed(adapter.0, datanets));
    let mut sample = Sample::draw(&config.seed, datanets.iter().flat_map(|datanet| &datanet.rows));
    let learned = match sample.learn(source, projector.shapes(), config, &mut |_| {}) {
        Ok(learned) => learned,
        Err(Error::Attribution(why)) => {
            report.note("basis", false, format!("none can be learned from the rows: {why}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (mut ours, mut best) = (Fit::new(projector), Fit::new(&learned));
    sample.each(source, &mut |gradient| {
        let sites = site_gradients(gradient);
        let pushed = ours.push(&sites).and_then(|()| best.push(&sites));
        pushed.map_err(attribution)
    })?;
    let said = |fit: &Fit<'_>| format!("keeps {:.4}, error {:.4e}", fit.kept(), fit.error());
    let detail = format!(
        "of {} rows' gradients it {}; one learned again from them {}",
        best.rows(),
        said(&ours),
        said(&best)
    );
    report.note("basis", ours.error() <= best.error() * (1.0 + TOLERANCE), detail);
    Ok(())
}
