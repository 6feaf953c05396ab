//! The training log: every field is committed to, and nothing else reads as a log.

use attribution::{
    Error,
    provenance::{LoggedDatanet, LoggedRow, TrainingLog, step_leaf},
    settle::{Hash, keccak, merkle},
};
use proptest::prelude::*;

fn log() -> TrainingLog {
    let datanet = |k: u8| LoggedDatanet {
        id: [k; 32],
        version: 3 + u32::from(k),
        rows_root: [k + 10; 32],
        rows: 40,
    };
    let row = |datanet: u8, index: u64| LoggedRow {
        datanet,
        index,
        hash: keccak(&[&[datanet], &index.to_be_bytes()]),
    };
    TrainingLog {
        base: [1; 32],
        adapter: [2; 32],
        datanets: vec![datanet(0), datanet(1)],
        configuration: r#"{"batch":3,"rank":8}"#.into(),
        seed: 7,
        rows: vec![row(0, 0), row(0, 5), row(0, 39), row(1, 2), row(1, 3)],
        steps: vec![vec![4, 0, 2], vec![1, 3], vec![0, 1, 4], vec![2, 3]],
    }
}

/// Every way to change one field and keep a well-formed log.
fn changes() -> Vec<(&'static str, TrainingLog)> {
    let changed = |name, change: &dyn Fn(&mut TrainingLog)| {
        let mut log = log();
        change(&mut log);
        (name, log)
    };
    vec![
        changed("base", &|l| l.base[31] ^= 1),
        changed("adapter", &|l| l.adapter[0] ^= 1),
        changed("id", &|l| l.datanets[1].id[0] ^= 1),
        changed("version", &|l| l.datanets[0].version += 1),
        changed("rows root", &|l| l.datanets[0].rows_root[5] ^= 1),
        changed("row count", &|l| l.datanets[1].rows += 1),
        changed("Datanets", &|l| l.datanets.push(l.datanets[1])),
        changed("order of Datanets", &|l| l.datanets.swap(0, 1)),
        changed("configuration", &|l| l.configuration.push(' ')),
        changed("seed", &|l| l.seed += 1),
        changed("datanet of a row", &|l| {
            l.rows[2] = LoggedRow { datanet: 1, index: 1, ..l.rows[2] }
        }),
        changed("position", &|l| l.rows[1].index += 1),
        changed("hash", &|l| l.rows[3].hash[9] ^= 1),
        changed("row of a step", &|l| l.steps[1][0] = 2),
        changed("order in a step", &|l| l.steps[0].swap(0, 1)),
        changed("order of steps", &|l| l.steps.swap(2, 3)),
        changed("a step more", &|l| l.steps.push(vec![0])),
        changed("a step less", &|l| drop(l.steps.pop())),
        changed("a step cut", &|l| {
            let rest = l.steps[0].split_off(1);
            l.steps.insert(1, rest);
        }),
    ]
}

#[test]
fn every_field_is_committed_to() {
    let mut seen = vec![log().commitment().unwrap()];
    for (name, changed) in changes() {
        let commitment = changed.commitment().unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!seen.contains(&commitment), "{name}");
        seen.push(commitment);
    }
}

/// The commitment by its formula, with trees of two levels written out.
#[test]
fn the_commitment_is_its_formula() {
    let log = log();
    let pair = |a: Hash, b: Hash| if a <= b { keccak(&[&a, &b]) } else { keccak(&[&b, &a]) };
    let twice = |bytes: &[u8]| keccak(&[&keccak(&[bytes])]);
    let row = |i: usize| {
        let LoggedRow { datanet, index, hash } = log.rows[i];
        let parts = [&(i as u32).to_be_bytes()[..], &[datanet], &index.to_be_bytes(), &hash];
        twice(&parts.concat())
    };
    let rows = pair(pair(pair(row(0), row(1)), pair(row(2), row(3))), row(4));
    let step = |i: usize| {
        let places = log.steps[i].iter().flat_map(|p| p.to_be_bytes()).collect::<Vec<_>>();
        twice(&[&(i as u32).to_be_bytes()[..], &places].concat())
    };
    let steps = pair(pair(step(0), step(1)), pair(step(2), step(3)));
    let mut bytes = b"OpenLedger training log 1".to_vec();
    bytes.extend([[1; 32], [2; 32], keccak(&[br#"{"batch":3,"rank":8}"#])].concat());
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2]);
    for k in 0..2u8 {
        bytes.extend([k; 32]);
        bytes.extend([0, 0, 0, 3 + k]);
        bytes.extend([k + 10; 32]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 40]);
    }
    bytes.extend([0, 0, 0, 5]);
    bytes.extend(rows);
    bytes.extend([0, 0, 0, 4]);
    bytes.extend(steps);
    assert_eq!(log.commitment().unwrap(), keccak(&[&bytes]));
    assert_eq!(log.steps_root(), steps);
}

#[test]
fn one_step_can_be_shown() {
    let log = log();
    for (i, places) in log.steps.iter().enumerate() {
        let proof = log.step_proof(i).unwrap();
        assert!(merkle::verify(log.steps_root(), step_leaf(i as u32, places), &proof));
        let other = step_leaf(i as u32, &[places[0]]);
        assert!(!merkle::verify(log.steps_root(), other, &proof));
        let moved = step_leaf(i as u32 + 1, places);
        assert!(!merkle::verify(log.steps_root(), moved, &proof));
    }
    assert!(matches!(log.step_proof(4), Err(Error::NoSuchLeaf { .. })));
}

#[test]
fn rows_are_checked_against_the_datanet() {
    let log = log();
    let hash = |index: u64| Some(keccak(&[&[0], &index.to_be_bytes()]));
    assert!(log.check_rows(0, hash).is_ok());
    assert!(log.check_rows(1, hash).is_err());
    assert!(log.check_rows(0, |index| hash(index).filter(|_| index < 39)).is_err());
}

#[test]
fn logs_that_break_a_rule_are_refused() {
    let refused = |change: &dyn Fn(&mut TrainingLog)| {
        let mut log = log();
        change(&mut log);
        let bytes = log.to_bytes();
        let error = log.commitment().unwrap_err();
        assert!(matches!(error, Error::TrainingLog(_)), "{error}");
        assert_eq!(TrainingLog::from_bytes(&bytes).unwrap_err(), error);
        error.to_string()
    };
    assert!(refused(&|l| l.datanets.clear()).contains("1 to 16"));
    assert!(refused(&|l| l.datanets = vec![l.datanets[0]; 17]).contains("1 to 16"));
    assert!(refused(&|l| l.configuration = "x".repeat(65_537)).contains("2^16"));
    assert!(refused(&|l| l.rows.clear()).contains("rows"));
    assert!(refused(&|l| l.rows.swap(0, 1)).contains("ascend"));
    assert!(refused(&|l| l.rows[1].index = 0).contains("ascend"));
    assert!(refused(&|l| l.rows[2].index = 40).contains("in its Datanets"));
    assert!(refused(&|l| l.rows[4].datanet = 2).contains("in its Datanets"));
    assert!(refused(&|l| l.steps.clear()).contains("steps"));
    assert!(refused(&|l| l.steps[1].clear()).contains("a step"));
    assert!(refused(&|l| l.steps[1][0] = 5).contains("a step"));
    assert!(refused(&|l| l.steps[0][1] = 4).contains("twice"));
}

proptest! {
    #[test]
    fn files_give_the_log_back_and_damage_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let log = log();
        let bytes = log.to_bytes();
        prop_assert_eq!(&TrainingLog::from_bytes(&bytes).unwrap(), &log);
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(other) = TrainingLog::from_bytes(&damaged) {
            prop_assert_ne!(other.commitment().unwrap(), log.commitment().unwrap());
        }
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert!(TrainingLog::from_bytes(cut).is_err());
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(TrainingLog::from_bytes(&longer).is_err());
    }

    #[test]
    fn hostile_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let hostile = [&b"OLTRAIN\0\0\x01"[..], &bytes].concat();
        prop_assert!(TrainingLog::from_bytes(&hostile).is_err());
    }
}
