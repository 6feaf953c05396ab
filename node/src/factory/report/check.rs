//! Measures a posted report again.

use std::path::Path;

use alloy::primitives::B256;

use super::{
    MAX_COUNT, MIN_HALVES, Report, ReportProgress, ReportSettings, file::in_bps, measure_into,
};
use crate::{Error, Result, datanet::Datanet};

/// How far figures may be from what measuring again gives, bps: `IBondedFigures`.
const TOLERANCE: u16 = 500;

/// A report's figures as they are posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostedFigures {
    /// keccak256 of the report's file.
    pub hash: B256,
    /// Lower end of the score's interval, bps.
    pub lds_low: u16,
    /// The ceiling, bps.
    pub ceiling: u16,
    /// Halves that the model was retrained on.
    pub retrainings: u32,
}

/// What a posted report is measured again with.
#[derive(Clone, Copy, Debug)]
pub struct ReportCheck<'a> {
    /// Folder of the base model.
    pub base: &'a Path,
    /// The model: its adapter, influence index and signed training log. Nothing is written there, and
    /// losses that its poster may have left there are not read.
    pub dir: &'a Path,
    /// The Datanets of its training log, in their order.
    pub datanets: &'a [Datanet],
    /// Where this machine's own retrainings are kept, so that a check that was stopped goes on.
    pub work: &'a Path,
    /// What was posted.
    pub posted: PostedFigures,
    /// Retrain on fewer halves than the report did; they are the first of its own.
    pub retrainings: Option<usize>,
}

/// A figure beside what measuring again gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedFigure {
    /// Which: `lds, lower end`, `ceiling` or `retrainings`.
    pub name: &'static str,
    /// As posted.
    pub posted: u32,
    /// As measured; `None` if nothing was.
    pub measured: Option<u32>,
    /// The least and the most that agree with what was measured.
    pub range: [u32; 2],
}

impl CheckedFigure {
    /// Whether the posted figure is within the range.
    #[must_use]
    pub fn agrees(&self) -> bool {
        (self.range[0]..=self.range[1]).contains(&self.posted)
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedReport {
    /// The report that measuring again gives; `None` if no report can have that many retrainings.
    pub measured: Option<Report>,
    /// Whether that is the posted file, to the byte.
    pub is_same_file: bool,
    /// Whether fewer retrainings were done than the report claims: figures are then held against
    /// intervals.
    pub is_partial: bool,
    /// Figure by figure.
    pub figures: Vec<CheckedFigure>,
}

impl CheckedReport {
    /// Whether the posted report is False by `IBondedFigures`. That the file is the same does not help
    /// figures that are not the file's.
    #[must_use]
    pub fn is_false(&self) -> bool {
        !self.figures.iter().all(CheckedFigure::agrees)
    }
}

/// Measures the report again from the seeds that follow from the model's index, and holds what was
/// posted against it. The same inputs give the same bytes, so an honest report is the same file. What
/// is not may have been measured on another machine: it agrees if the lower end of the score's interval
/// and the ceiling are within 500 bps of what is found. With fewer retrainings than the report claims
/// they are held against the intervals of these, which is less.
///
/// # Errors
/// As [`measure_report`](super::measure_report); [`Error::Config`] if `work` is the model's folder, or
/// more retrainings are asked for than the report has.
pub fn check_report(
    check: &ReportCheck<'_>,
    progress: &mut dyn FnMut(ReportProgress),
) -> Result<CheckedReport> {
    let posted = &check.posted;
    let claimed = posted.retrainings as usize;
    if !(MIN_HALVES..=MAX_COUNT).contains(&claimed) {
        return Ok(impossible(posted));
    }
    let retrainings = check.retrainings.unwrap_or(claimed);
    if retrainings > claimed {
        let rule = format!("the report has {claimed} retrainings, {retrainings} were asked for");
        return Err(Error::Config(rule));
    }
    std::fs::create_dir_all(check.work).map_err(Error::io(check.work))?;
    if is_same(check.dir, check.work)? {
        let rule = "what the report's poster left in the model's folder must not be read";
        return Err(Error::Config(format!("work {}: {rule}", check.work.display())));
    }
    let settings = ReportSettings { retrainings, ..ReportSettings::default() };
    let ReportCheck { base, dir, datanets, work, .. } = *check;
    let measured = measure_into(base, dir, work, datanets, &settings, progress)?;
    Ok(compare(posted, measured))
}

fn is_same(a: &Path, b: &Path) -> Result<bool> {
    let real = |path: &Path| std::fs::canonicalize(path).map_err(Error::io(path));
    Ok(real(a)? == real(b)?)
}

/// A report of so many or so few retrainings, which no node writes.
fn impossible(posted: &PostedFigures) -> CheckedReport {
    let range = [MIN_HALVES, MAX_COUNT].map(|count| count as u32);
    let (name, posted) = ("retrainings", posted.retrainings);
    let figures = vec![CheckedFigure { name, posted, measured: None, range }];
    CheckedReport { measured: None, is_same_file: false, is_partial: false, figures }
}

fn compare(posted: &PostedFigures, measured: Report) -> CheckedReport {
    let is_partial = measured.protocol.halves < posted.retrainings as usize;
    let (bps, ceiling) = (measured.bps, measured.ceiling);
    let lows = if is_partial { [bps.lds_low, bps.lds_high] } else { [bps.lds_low; 2] };
    let ceilings = match is_partial {
        true => [in_bps(ceiling.low, f64::floor), in_bps(ceiling.high, f64::ceil)],
        false => [bps.ceiling; 2],
    };
    let figure = |name, posted: u16, measured: u16, [least, most]: [u16; 2]| {
        let range = [least.saturating_sub(TOLERANCE), most.saturating_add(TOLERANCE)];
        let (posted, measured) = (u32::from(posted), Some(u32::from(measured)));
        CheckedFigure { name, posted, measured, range: range.map(u32::from) }
    };
    let figures = vec![
        figure("lds, lower end", posted.lds_low, bps.lds_low, lows),
        figure("ceiling", posted.ceiling, bps.ceiling, ceilings),
    ];
    let is_same_file = measured.hash() == posted.hash;
    CheckedReport { measured: Some(measured), is_same_file, is_partial, figures }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Correlation, FigureBps, Protocol, ReportedModel},
        *,
    };

    /// A report of 8 halves with a score of 0.5 in 0.4 to 0.6 and a ceiling of 0.5 in 0.45 to 0.55.
    fn measured() -> Report {
        let lds = Correlation { mean: 0.5, low: 0.4, high: 0.6 };
        let ceiling = Correlation { mean: 0.5, low: 0.45, high: 0.55 };
        Report {
            version: 1,
            model: ReportedModel {
                base: B256::ZERO,
                adapter: B256::ZERO,
                index: B256::ZERO,
                training_log: B256::ZERO,
                datanets: vec![],
            },
            protocol: Protocol {
                halves: 8,
                seeds: 2,
                rows: [12, 6],
                steps: 8,
                queries: vec![],
                resamples: 2_000,
                configuration: String::new(),
            },
            bps: FigureBps::new(&lds, &ceiling),
            lds,
            ceiling,
            losses: vec![],
        }
    }

    fn posted(lds_low: u16, ceiling: u16, retrainings: u32) -> PostedFigures {
        PostedFigures { hash: B256::repeat_byte(1), lds_low, ceiling, retrainings }
    }

    #[test]
    fn figures_agree_within_500_bps_either_way() {
        let is_false = |low, ceiling| compare(&posted(low, ceiling, 8), measured()).is_false();
        assert!(!is_false(4_000, 5_000));
        assert!(!is_false(3_500, 5_500) && !is_false(4_500, 4_500));
        assert!(is_false(4_501, 5_000), "too high a score");
        assert!(is_false(3_499, 5_000), "too low a score");
        assert!(is_false(4_000, 4_499) && is_false(4_000, 5_501), "another ceiling");
    }

    #[test]
    fn fewer_retrainings_hold_figures_against_their_intervals() {
        let is_false = |low, ceiling| compare(&posted(low, ceiling, 64), measured()).is_false();
        assert!(compare(&posted(0, 0, 64), measured()).is_partial);
        assert!(!is_false(3_500, 5_000) && !is_false(6_500, 5_000));
        assert!(is_false(3_499, 5_000) && is_false(6_501, 5_000));
        assert!(!is_false(5_000, 4_000) && !is_false(5_000, 6_000));
        assert!(is_false(5_000, 3_999) && is_false(5_000, 6_001));
    }

    #[test]
    fn the_same_file_does_not_cover_other_figures() {
        let of = |low| PostedFigures { hash: measured().hash(), ..posted(low, 5_000, 8) };
        let honest = compare(&of(4_000), measured());
        assert!(honest.is_same_file && !honest.is_false());
        let boasting = compare(&of(9_000), measured());
        assert!(boasting.is_same_file && boasting.is_false());
    }

    #[test]
    fn retrainings_that_no_report_has_are_false() {
        for retrainings in [0, 3, 10_001, u32::MAX] {
            assert!(impossible(&posted(1, 1, retrainings)).is_false(), "{retrainings}");
        }
    }
}
