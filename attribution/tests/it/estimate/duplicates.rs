use attribution::{
    Error,
    estimate::duplicates::{MAX_ROW_BYTES, clusters},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn text(rng: &mut StdRng, words: usize) -> Vec<String> {
    (0..words).map(|_| format!("w{}", rng.random_range(0..500))).collect()
}

#[test]
fn exact_copies_join_the_first_registered_row() {
    let rows = ["one two", "other text here", "one two", "!!!", "!!!", "???", "one two"];
    assert_eq!(clusters(&rows).unwrap(), [0, 1, 0, 3, 3, 5, 0]);
}

#[test]
fn layout_and_case_do_not_make_a_new_row() {
    let rows = [
        "function add(uint256 a, uint256 b) returns (uint256) { return a + b; }",
        "FUNCTION add ( uint256 a,\n  uint256 b ) returns ( uint256 )\n{\n return a + b ;\n}",
        "function sub(uint256 a, uint256 b) returns (uint256) { return a - b; }",
    ];
    assert_eq!(clusters(&rows).unwrap(), [0, 0, 2]);
}

#[test]
fn planted_near_copies_are_found_and_disjoint_text_is_not_merged() {
    let mut rng = StdRng::seed_from_u64(12);
    let mut rows: Vec<Vec<String>> = (0..300).map(|_| text(&mut rng, 120)).collect();
    for original in 0..100 {
        let mut copy = rows[original].clone();
        // One changed word changes 5 of 116 shingles, two at most 10: J >= 106 / 126 > 0.8.
        for changed in [rng.random_range(0..120), rng.random_range(0..120)] {
            copy[changed] = "changed".to_owned();
        }
        rows.push(copy);
    }
    let joined: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
    let expected: Vec<u32> = (0..300).chain(0..100).collect();
    assert_eq!(clusters(&joined).unwrap(), expected);
}

#[test]
fn shuffled_and_half_copied_text_is_new() {
    let mut rng = StdRng::seed_from_u64(13);
    let original = text(&mut rng, 100);
    let mut shuffled = original.clone();
    shuffled.sort();
    let half: Vec<String> = original[..50].iter().cloned().chain(text(&mut rng, 50)).collect();
    let rows = [original.join(" "), shuffled.join(" "), half.join(" ")];
    assert_eq!(clusters(&rows).unwrap(), [0, 1, 2]);
}

#[test]
fn the_threshold_is_inclusive() {
    // 13 tokens have 9 shingles. A tenth shingle: J = 9 / 10; cutting to 8 of 10: J = 0.8.
    let words: Vec<String> = (0..14).map(|i| format!("word{i}")).collect();
    let rows = [words.join(" "), words[..12].join(" "), words[..11].join(" ")];
    assert_eq!(clusters(&rows[..2]).unwrap(), [0, 0]);
    assert_eq!(clusters(&[&rows[0], &rows[2]]).unwrap(), [0, 1]);
}

#[test]
fn later_rows_never_change_earlier_clusters() {
    let words: Vec<String> = (0..40).map(|i| format!("word{i}")).collect();
    // Each overlaps its neighbour in 32 of 36 shingles, the ends in 28 of 40.
    let rows = [words[..38].join(" "), words[2..].join(" "), words[1..39].join(" ")];
    let chain = [words[..36].join(" "), words[4..].join(" "), words[2..38].join(" ")];
    for rows in [rows, chain] {
        let all = clusters(&rows).unwrap();
        for n in 1..rows.len() {
            assert_eq!(clusters(&rows[..n]).unwrap(), all[..n]);
        }
    }
    let all = clusters(&[words[..36].join(" "), words[4..].join(" "), words[2..38].join(" ")]);
    assert_eq!(all.unwrap(), [0, 1, 0], "the bridge joins the older and merges nothing");
}

#[test]
fn an_oversized_row_is_refused_and_no_rows_are_fine() {
    assert!(matches!(clusters(&["a".repeat(MAX_ROW_BYTES + 1)]), Err(Error::Setting { .. })));
    assert!(clusters::<&str>(&[]).unwrap().is_empty());
}
