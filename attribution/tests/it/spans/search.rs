use attribution::spans::Place;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::corpus::Corpus;

/// Few tokens, so that they repeat, of either width; empty rows too.
pub(super) fn corpora() -> impl Strategy<Value = (Corpus, u32)> {
    let row = prop::collection::vec(0_u32..4, 0..14);
    let rows = prop::collection::vec((row, 0_u32..1_000), 0..24);
    (rows, any::<bool>(), 15_u32..120).prop_map(|(rows, wide, shard_positions)| {
        // The largest ids of each width, which the files hold as their largest symbols.
        let vocabulary = if wide { 70_000 } else { 65_535 };
        let mut corpus = Corpus { vocabulary, rows: vec![], clusters: vec![] };
        for (place, (row, joins)) in (0_u32..).zip(rows) {
            corpus.rows.push(row.iter().map(|token| vocabulary - 1 - token * 9_000).collect());
            let joined =
                (joins < 400 && place > 0).then(|| corpus.clusters[(joins % place) as usize]);
            corpus.clusters.push(joined.unwrap_or(place));
        }
        (corpus, shard_positions)
    })
}

/// N-grams that are often there and sometimes not.
pub(super) fn texts(corpus: &Corpus, seed: u64, most: usize) -> Vec<Vec<u32>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut texts =
        vec![vec![], vec![corpus.vocabulary - 2], vec![corpus.vocabulary], vec![u32::MAX]];
    for _ in 0..12 {
        let length = rng.random_range(1..most);
        let token = |rng: &mut StdRng| {
            (corpus.vocabulary - 1).saturating_sub(9_000 * rng.random_range(0..5))
        };
        texts.push((0..length).map(|_| token(&mut rng)).collect());
        let mut joined = Vec::new();
        while joined.len() < length && !corpus.rows.is_empty() {
            let row = &corpus.rows[rng.random_range(0..corpus.rows.len())];
            let start = rng.random_range(0..=row.len());
            joined.extend(&row[start..rng.random_range(start..=row.len())]);
            joined.push(token(&mut rng));
        }
        texts.push(joined);
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn count_locate_and_longest_equal_reading_every_row((corpus, shard) in corpora(), seed: u64) {
        let (_folder, index) = corpus.build(shard);
        for text in texts(&corpus, seed, 8) {
            let expected = corpus.places(&text);
            prop_assert_eq!(index.count(&text), expected.len() as u64, "{:?}", text);
            let mut places = index.locate(&text, 0, usize::MAX);
            for (skip, take) in [(0, 2), (1, 3), (expected.len(), 5)] {
                let page: Vec<_> = places.iter().copied().skip(skip).take(take).collect();
                prop_assert_eq!(index.locate(&text, skip as u64, take), page);
            }
            places.sort();
            let places: Vec<_> = places.into_iter().map(|place| (place.row, place.token)).collect();
            prop_assert_eq!(places, expected);

            let longest = index.longest(&text);
            prop_assert_eq!(longest.tokens, corpus.longest(&text), "{:?}", text);
            prop_assert_eq!(longest.count, corpus.places(&text[..longest.tokens]).len() as u64);
        }
    }

    #[test]
    fn rows_come_back_as_they_were_given((corpus, shard) in corpora()) {
        let (_folder, index) = corpus.build(shard);
        prop_assert_eq!(index.rows() as usize, corpus.rows.len());
        prop_assert_eq!(index.tokens(), corpus.rows.iter().map(Vec::len).sum::<usize>() as u64);
        for (place, row) in corpus.rows.iter().enumerate() {
            let at = u32::try_from(place).unwrap();
            prop_assert_eq!(index.row(at), Some(corpus.source(place)));
            prop_assert_eq!(index.row_tokens(at), Some(row.clone()));
        }
        prop_assert_eq!(index.row(index.rows()), None);
        prop_assert_eq!(index.row_tokens(u32::MAX), None);
    }

    /// What a proof of order relies on: by tokens up to the end of the row, then by position.
    #[test]
    fn suffixes_are_in_order_of_their_rows_rest((corpus, _) in corpora()) {
        let (_folder, index) = corpus.build(1 << 20);
        let mut expected: Vec<(&[u32], Place)> = Vec::new();
        for (row, tokens) in (0..).zip(&corpus.rows) {
            expected.extend((0..tokens.len()).map(|at| (&tokens[at..], Place { row, token: at as u64 })));
        }
        expected.sort();
        let places: Vec<_> = expected.into_iter().map(|(_, place)| place).collect();
        prop_assert_eq!(index.locate(&[], 0, usize::MAX), places);
    }
}

#[test]
fn ten_thousand_longest_matches_equal_reading_every_row() {
    let mut rng = StdRng::seed_from_u64(2);
    let row = |rng: &mut StdRng| -> Vec<u32> { (0..40).map(|_| rng.random_range(0..6)).collect() };
    let rows: Vec<Vec<u32>> = (0..25).map(|_| row(&mut rng)).collect();
    let corpus = Corpus { vocabulary: 6, rows, clusters: (0..25).collect() };
    let (_folder, index) = corpus.build(200);
    assert!(index.header().shards.len() > 4);
    for _ in 0..10_000 {
        let length = rng.random_range(1..12);
        let text: Vec<u32> = (0..length).map(|_| rng.random_range(0..6)).collect();
        let longest = index.longest(&text);
        assert_eq!(longest.tokens, corpus.longest(&text), "{text:?}");
        assert_eq!(longest.count, corpus.places(&text[..longest.tokens]).len() as u64, "{text:?}");
        assert_eq!(index.count(&text), corpus.places(&text).len() as u64, "{text:?}");
    }
}

#[test]
fn no_match_crosses_the_end_of_a_row() {
    let corpus = Corpus::new(10, &[&[1, 2], &[3, 4], &[], &[1, 2, 3]]);
    for shard in [4, 100] {
        let (_folder, index) = corpus.build(shard);
        assert_eq!(index.count(&[2, 3]), 1);
        assert_eq!(index.count(&[1, 2, 3, 4]), 0);
        assert_eq!(index.longest(&[1, 2, 3, 4]).tokens, 3);
        assert_eq!(index.locate(&[2, 3], 0, 9), [Place { row: 3, token: 1 }]);
    }
}
