//! Builds that stop, go on and extend earlier ones.

use inference::train::LoraConfig;

use super::*;
use crate::{
    datanet::{Contribution, assemble},
    factory::{TrainSettings, train},
};

const NAMES: [&str; 9] =
    ["alpha", "bravo", "carol", "delta", "erin", "fidel", "golf", "hotel", "india"];

fn datanet(rows: usize) -> Datanet {
    let row = |(i, name): (usize, &&str)| Contribution {
        contributor: Address::repeat_byte(1 + i as u8 % 3),
        text: format!("// Zork\nfunction {name}() returns (zork quux, {}) {{\n", name.repeat(i)),
        source: "zork.sol".into(),
    };
    let clusters: Vec<usize> = (0..rows).collect();
    let rows = NAMES.iter().enumerate().take(rows).map(row).collect();
    Datanet::new("zork", "MIT", assemble(rows, &clusters))
}

#[test]
fn a_later_version_and_a_stopped_build_compute_new_rows_only() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    let out = tempfile::tempdir().unwrap();
    let dir = out.path();
    let lora = LoraConfig { rank: 2, alpha: 4.0, ..LoraConfig::default() };
    let settings = TrainSettings { lora, steps: 4, batch: 2, ..TrainSettings::default() };
    train(&base, &datanet(6), dir, &settings, &mut |_| {}).unwrap();
    let earners: EarnerMap =
        (1..4).map(|n| (Address::repeat_byte(n), EarnerIndex(n.into()))).collect();
    let build = |rows, batch_tokens, projector| {
        let sizes = IndexSettings { dim: 64, side: 64, max_tokens: 48, ..Default::default() };
        let settings = IndexSettings { batch_tokens, projector, ..sizes };
        let report = build_index(&base, dir, &[datanet(rows)], &earners, &settings, &mut |_| {});
        (report.unwrap(), std::fs::read(dir.join(INDEX_FILE)).unwrap())
    };
    let (first, bytes) = build(6, 1, None);
    assert_eq!((first.computed, first.excluded.len()), (6, 0));
    let (again, same) = build(6, 60, None);
    // Learning the basis again takes the rows that it is learned from, here all.
    assert_eq!((again.computed, again.hash), (6, first.hash));
    assert!(same == bytes, "the batches show in the bits");

    // The projector of the first version, which the next one extends.
    let index = attribution::estimate::InfluenceIndex::from_bytes(&bytes).unwrap();
    let projector = || Some(index.projector().clone());
    let (same, known) = build(6, 60, projector());
    assert!(same.computed == 0 && known == bytes);
    let (extended, longer) = build(9, 60, projector());
    assert_eq!((extended.computed, extended.stats.rows), (3, 9));
    std::fs::remove_file(dir.join(SKETCHES_FILE)).unwrap();
    let (rebuilt, from_nothing) = build(9, 1000, projector());
    assert_eq!(rebuilt.computed, 9);
    assert!(longer == from_nothing, "the batches or the earlier version show in the bits");
    // Another projector has other sketches: nothing of before is used.
    assert_eq!(build(9, 60, None).0.computed, 9);
}
