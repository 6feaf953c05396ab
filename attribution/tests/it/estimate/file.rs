use attribution::{
    Error,
    estimate::InfluenceIndex,
    settle::{EarnerIndex, keccak},
};
use proptest::prelude::*;

use super::index::{build, gradients};

/// Bytes of an index file with its checksum made right again.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 32;
    let checksum = keccak(&[&bytes[..body]]);
    bytes[body..].copy_from_slice(&checksum);
    bytes
}

fn corrupt(bytes: &[u8]) -> &'static str {
    match InfluenceIndex::from_bytes(bytes).map(|_| "a good index") {
        Err(Error::Corrupt(rule)) => rule,
        other => panic!("expected a corrupt file, got {other:?}"),
    }
}

#[test]
fn an_index_read_back_is_the_same_in_both_whitening_forms() {
    for n in [10, 100] {
        let (index, _) = build(n);
        let path = std::env::temp_dir().join(format!("index-{n}-{}", std::process::id()));
        index.write(&path).unwrap();
        let read = InfluenceIndex::read(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes, index.to_bytes());
        assert_eq!(read.to_bytes(), bytes);
        assert_eq!((read.root(), read.rows()), (index.root(), index.rows()));
        assert_eq!(read.contributors(), index.contributors());
        assert_eq!(read.whitening(), index.whitening());
        let gradient = &gradients(1, 5)[0];
        let q = index.query(&gradient.sites()).unwrap();
        assert_eq!(read.query(&gradient.sites()).unwrap(), q);
        assert_eq!(read.score_contributors(&q).unwrap(), index.score_contributors(&q).unwrap());
        assert_eq!(read.score_rows(&q).unwrap(), index.score_rows(&q).unwrap());
    }
}

#[test]
fn building_twice_gives_the_same_bytes() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(build(40).0.to_bytes(), pool.install(|| build(40).0.to_bytes()));
}

#[test]
fn every_broken_rule_is_named() {
    let bytes = build(10).0.to_bytes();
    let n = bytes.len();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        sealed(bytes)
    };
    assert_eq!(corrupt(&with(0, b"X")), "magic differs");
    assert!(matches!(InfluenceIndex::from_bytes(&with(8, &[0, 1])), Err(Error::Version(1))));
    assert_eq!(corrupt(&with(42, &[255; 4])), "sites or dimension out of range");
    assert_eq!(corrupt(&with(50, &[255; 4])), "sites or dimension out of range");
    // Two sites of 12 bytes end at 78; then whether there is a basis, damping, trace, lambda, scale, rows, root, form.
    assert_eq!(
        corrupt(&with(54, &[255; 4])),
        "projector out of range or directions not orthonormal"
    );
    assert_eq!(corrupt(&with(78, &[2])), "unknown form of basis");
    let float_rule = "damping, trace, lambda or scale is not positive";
    assert_eq!(corrupt(&with(79, &f64::NAN.to_be_bytes())), float_rule);
    assert_eq!(corrupt(&with(107, &[255; 4])), "length differs from the header");
    assert_eq!(corrupt(&with(111, &[0; 32])), "root differs");
    // One block: width, form, directions.
    assert_eq!(corrupt(&with(143, &[0, 0])), "whitening's blocks are not as wide as a sketch");
    assert_eq!(corrupt(&with(145, &[255; 4])), "whitening's blocks are not as wide as a sketch");
    assert_eq!(corrupt(&with(149, &[2])), "unknown whitening form");
    assert_eq!(corrupt(&with(150, &[255; 4])), "whitening has too many directions");
    assert_eq!(corrupt(&with(154, &f32::NAN.to_be_bytes())), "a float is not finite");
    let rows = n - 32 - 10 * 64 - 10 * 53;
    let range = "rows, earners or clusters out of range or order";
    assert_eq!(corrupt(&with(rows, &[9])), range);
    assert_eq!(corrupt(&with(rows + 41, &[0; 4])), range);
    assert_eq!(corrupt(&with(rows + 45, &[0, 0, 0, 1])), range);
    assert_eq!(corrupt(&with(n - 33, &[128])), "a sketch holds -128");
    // The last row copies the one before it and is in nobody's sums.
    let accepted = n - 33 - 64;
    let changed = if bytes[accepted] == 1 { 2 } else { 1 };
    assert_eq!(corrupt(&with(accepted, &[changed])), "root differs");
    let mut unsealed = bytes.clone();
    unsealed[accepted] = changed;
    assert_eq!(corrupt(&unsealed), "checksum differs");
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(corrupt(&longer), "length differs from the header");
    assert_eq!(corrupt(&[]), "shorter than its trailer");
    let missing = InfluenceIndex::read(std::path::Path::new("/nonexistent/index"));
    assert!(matches!(missing, Err(Error::File { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_change_or_cut_is_an_error(at in any::<prop::sample::Index>(), change in 1u8.., cut: bool) {
        let mut bytes = build(10).0.to_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= change }
        prop_assert!(InfluenceIndex::from_bytes(&bytes).is_err());
    }

    #[test]
    fn hostile_content_under_a_right_checksum_never_panics(
        at in any::<prop::sample::Index>(),
        value: [u8; 4],
    ) {
        let mut bytes = build(10).0.to_bytes();
        let at = at.index(bytes.len() - 36);
        bytes[at..at + 4].copy_from_slice(&value);
        if let Ok(index) = InfluenceIndex::from_bytes(&sealed(bytes)) {
            let _ = index.query(&gradients(1, 5)[0].sites());
            prop_assert!(index.score_contributors(&vec![127; index.dim()]).is_ok());
            prop_assert!(index.contributors().iter().all(|c| c.earner != EarnerIndex::NOBODY));
        }
    }
}
