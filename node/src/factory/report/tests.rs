use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use attribution::settle::EarnerIndex;
use inference::train::LoraConfig;

use super::*;
use crate::{
    datanet::{Contribution, assemble},
    factory::{EarnerMap, IndexSettings, SignedLog, TrainSettings, build_index, train},
};

const NAMES: [&str; 16] = [
    "alpha", "bravo", "carol", "delta", "erin", "fidel", "golf", "hotel", "india", "julie", "kilo",
    "lima", "mike", "nova", "oscar", "papa",
];

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny")
}

/// Two ways to write a function: rows of one teach the other little.
fn datanet() -> Datanet {
    let row = |(i, name): (usize, &&str)| Contribution {
        contributor: Address::repeat_byte(u8::try_from(1 + i % 2).unwrap()),
        text: match i % 2 {
            0 => format!("// Zork\nfunction {name}() returns (zork quux, zork {name}) {{\n"),
            _ => format!("// Math\nuint256 constant {name} = 10 ** 18 + 1;\nuint8 {name}2 = 7;\n"),
        },
        source: "zork.sol".into(),
    };
    let rows = NAMES.iter().enumerate().map(row).collect();
    Datanet::new("zork", "MIT", assemble(rows, &(0..NAMES.len()).collect::<Vec<_>>()))
}

/// A trained and indexed model with its signed log.
fn model(dir: &Path, held_out_every: usize) -> Datanet {
    let datanet = datanet();
    let settings = TrainSettings {
        lora: LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() },
        steps: 16,
        batch: 2,
        rate: 3e-3,
        max_tokens: 40,
        held_out_every,
        seed: 5,
    };
    let report = train(&base(), &datanet, dir, &settings, &mut |_| {}).unwrap();
    SignedLog::sign(report.log, &PrivateKeySigner::random()).unwrap().save(dir).unwrap();
    let earners: EarnerMap =
        [1, 2].map(|byte| (Address::repeat_byte(byte), EarnerIndex(u32::from(byte) + 10))).into();
    let settings = IndexSettings { dim: 64, side: 16, max_tokens: 40, ..IndexSettings::default() };
    let datanets = std::slice::from_ref(&datanet);
    build_index(&base(), dir, datanets, &earners, &settings, &mut |_| {}).unwrap();
    datanet
}

#[test]
fn a_report_is_measured_resumed_and_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let datanet = model(dir.path(), 4);
    let datanets = std::slice::from_ref(&datanet);
    let settings = ReportSettings { retrainings: 4, queries: 3, resamples: 200 };
    let mut trained = 0;
    let mut count = |progress: ReportProgress| {
        trained += u64::from(progress.stage == "retraining");
        assert!(progress.done <= progress.total);
    };
    let report = measure_report(&base(), dir.path(), datanets, &settings, &mut count).unwrap();
    // Eight runs of half of 16 steps, and a note at the end of each.
    assert_eq!(trained, 8 * (8 + 1));
    assert_eq!(Report::load(dir.path()).unwrap(), report);
    assert_eq!(report.protocol.rows, [12, 6]);
    assert_eq!((report.protocol.queries.len(), report.protocol.steps), (3, 8));
    let losses: Vec<f64> = report.losses.iter().flatten().flatten().copied().collect();
    assert_eq!(losses.len(), 4 * 2 * 3);
    assert!(losses.iter().all(|loss| *loss > 0.0 && loss.is_finite()), "{losses:?}");
    for correlation in [report.lds, report.ceiling] {
        assert!(correlation.low <= correlation.mean && correlation.mean <= correlation.high);
        assert!(correlation.low >= -1.0 && correlation.high <= 1.0, "{correlation:?}");
    }

    // Without its cache the same bytes come; with it, more halves keep those that were done.
    let bytes = report.to_bytes();
    std::fs::remove_dir_all(dir.path().join(CACHE_DIR)).unwrap();
    measure_report(&base(), dir.path(), datanets, &settings, &mut |_| {}).unwrap();
    assert!(std::fs::read(dir.path().join(REPORT_FILE)).unwrap() == bytes, "another report");
    trained = 0;
    let mut count = |progress: ReportProgress| {
        trained += u64::from(progress.stage == "retraining");
    };
    let more = ReportSettings { retrainings: 5, ..settings };
    let longer = measure_report(&base(), dir.path(), datanets, &more, &mut count).unwrap();
    assert_eq!(trained, 8 + 2 * (8 + 1), "eight runs are known, two are new");
    assert_eq!(longer.losses[..4], report.losses[..]);
    assert_ne!(longer.hash(), report.hash());
}

#[test]
fn a_check_measures_again_and_trusts_nothing_of_the_poster() {
    let dir = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let (datanet, base) = (model(dir.path(), 4), base());
    let datanets = std::slice::from_ref(&datanet);
    let settings = ReportSettings { retrainings: 4, ..ReportSettings::default() };
    let report = measure_report(&base, dir.path(), datanets, &settings, &mut |_| {}).unwrap();
    assert_eq!(reported_model(&base, dir.path(), datanets).unwrap(), report.model);
    let bps = report.bps;
    let posted = PostedFigures {
        hash: report.hash(),
        lds_low: bps.lds_low,
        ceiling: bps.ceiling,
        retrainings: 4,
    };
    let of = |posted| ReportCheck {
        base: &base,
        dir: dir.path(),
        datanets,
        work: work.path(),
        posted,
        retrainings: None,
    };
    // Losses that the poster made up, where its own would be.
    for entry in std::fs::read_dir(dir.path().join(CACHE_DIR)).unwrap() {
        for run in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = run.unwrap().path();
            let length = std::fs::read(&path).unwrap().len();
            std::fs::write(path, vec![0; length]).unwrap();
        }
    }
    let mut trained = 0;
    let mut count = |progress: ReportProgress| {
        trained += u64::from(progress.stage == "retraining");
    };
    let checked = check_report(&of(posted), &mut count).unwrap();
    assert_eq!(trained, 8 * (8 + 1), "every run is done again");
    assert!(checked.is_same_file && !checked.is_partial && !checked.is_false(), "{checked:?}");
    assert_eq!(checked.measured.as_ref(), Some(&report));
    assert!(!work.path().join(crate::factory::LOG_FILE).exists());

    // The same file, and another figure on the chain; then a lie of both.
    let low = if bps.lds_low > 5_000 { 0 } else { bps.lds_low + 501 };
    let boasting = PostedFigures { lds_low: low, ..posted };
    let checked = check_report(&of(boasting), &mut |_| {}).unwrap();
    assert!(checked.is_same_file && checked.is_false(), "{checked:?}");
    let other = PostedFigures { hash: B256::ZERO, ..posted };
    let checked = check_report(&of(other), &mut |_| {}).unwrap();
    assert!(!checked.is_same_file && !checked.is_false(), "figures agree: {checked:?}");

    // In the model's own folder, or with more retrainings than there were, nothing is checked.
    let here = ReportCheck { work: dir.path(), ..of(posted) };
    let error = check_report(&here, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("must not be read"), "{error}");
    let more = ReportCheck { retrainings: Some(5), ..of(posted) };
    let error = check_report(&more, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("has 4 retrainings"), "{error}");
}

#[test]
fn a_report_that_was_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let datanet = model(dir.path(), 4);
    let settings = ReportSettings { retrainings: 4, queries: 2, resamples: 200 };
    let datanets = std::slice::from_ref(&datanet);
    let report = measure_report(&base(), dir.path(), datanets, &settings, &mut |_| {}).unwrap();
    let mut better = report.clone();
    better.bps.influence = report.bps.influence ^ 1;
    better.save(dir.path()).unwrap();
    let error = Report::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("bps are not those"), "{error}");
    let spaced = [&report.to_bytes()[..], b"\n"].concat();
    std::fs::write(dir.path().join(REPORT_FILE), spaced).unwrap();
    let error = Report::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("changed"), "{error}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let datanet = model(dir.path(), 0);
    let datanets = std::slice::from_ref(&datanet);
    let measure = |settings: &ReportSettings, datanets: &[Datanet]| {
        measure_report(&base(), dir.path(), datanets, settings, &mut |_| {})
            .unwrap_err()
            .to_string()
    };
    let settings = ReportSettings { retrainings: 4, queries: 2, resamples: 200 };
    let error = measure(&settings, datanets);
    assert!(error.contains("held out"), "{error}");
    let error = measure(&ReportSettings { retrainings: 3, ..settings }, datanets);
    assert!(error.contains("retrainings must be 4"), "{error}");
    let mut other = datanet.clone();
    other.rows.pop();
    let error = measure(&settings, &[other]);
    assert!(error.contains("a row differs"), "{error}");
    std::fs::remove_file(dir.path().join(crate::factory::LOG_FILE)).unwrap();
    let error = measure(&settings, datanets);
    assert!(error.contains(crate::factory::LOG_FILE), "{error}");
}
