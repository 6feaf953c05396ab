use std::collections::{BTreeMap, BTreeSet};

use attribution::{
    Error,
    retrieval::{
        Caller, DatanetVersion, Edition, Library, MAX_PASSAGES, Question, SCORE_UNIT, dot,
    },
};
use proptest::prelude::*;

use super::{WIDTH, add, ask, datanet, edition, open, row, rows, vectors};

const TEXTS: [&str; 4] = [
    "red apple red apple red",
    "green apple and pear",
    "blue sky",
    "apple tart with pear and plum",
];

/// Okapi BM25 with Lucene's idf, written out: k1 = 1.2, b = 0.75. Every text is shorter than 40
/// words, so tantivy holds its exact length.
fn bm25(query: &[&str], texts: &[&str]) -> Vec<f64> {
    let split: Vec<Vec<&str>> = texts.iter().map(|text| text.split(' ').collect()).collect();
    let n = texts.len() as f64;
    let mean = split.iter().map(Vec::len).sum::<usize>() as f64 / n;
    let score = |words: &Vec<&str>| {
        let term = |term: &&str| {
            let with = split.iter().filter(|words| words.contains(term)).count() as f64;
            let f = words.iter().filter(|word| *word == term).count() as f64;
            let idf = ((n - with + 0.5) / (with + 0.5) + 1.0).ln();
            idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * words.len() as f64 / mean))
        };
        query.iter().map(term).sum()
    };
    split.iter().map(score).collect()
}

#[test]
fn bm25_is_the_formula_and_hand_numbers() {
    // N = 4, words 5, 4, 2, 6, mean 4.25. "pear" is in two rows: idf = ln(1 + 2.5 / 2.5) = ln 2.
    // Row 1: 0.6931 * 2.2 / (1 + 1.2 (0.25 + 0.75 * 4 / 4.25)) = 0.7102.
    let expected = bm25(&["pear"], &TEXTS);
    assert!((expected[1] - 0.7102).abs() < 1e-4, "{expected:?}");

    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    add(&library, edition(1, 1), &rows(&TEXTS), &vectors(4, 1));

    for query in [vec!["pear"], vec!["apple", "red"], vec!["plum", "blue", "nothing"]] {
        let expected = bm25(&query, &TEXTS);
        let hits = ask(&library, &query.join(" "), &[1; WIDTH], 4);
        for hit in &hits {
            let expected = expected[hit.row.index as usize];
            let given = f64::from(hit.bm25_milli) / 1000.0;
            assert!((given - expected).abs() < 6e-4, "{query:?} {hit:?} {expected}");
        }
        assert_eq!(hits.len(), 4);
    }
}

#[test]
fn words_of_two_shelves_are_weighed_as_those_of_one() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (open(dirs[0].path()), open(dirs[1].path()));
    let (rows, vectors) = (rows(&TEXTS), vectors(4, 2));
    add(&one, edition(1, 1), &rows, &vectors);
    add(&two, edition(1, 1), &rows[..2], &vectors[..2]);
    add(&two, edition(2, 1), &rows[2..], &vectors[2..]);

    let seen = |library: &Library| -> Vec<_> {
        let hits = ask(library, "apple pear", &vectors[3], 4);
        hits.into_iter().map(|hit| (hit.row.index, hit.bm25_milli, hit.dot, hit.score)).collect()
    };

    assert_eq!(seen(&one), seen(&two));
}

#[test]
fn a_private_row_changes_nothing_for_a_caller_without_access() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (public, both) = (open(dirs[0].path()), open(dirs[1].path()));
    let secret = Edition { private: true, ..edition(9, 1) };
    let vectors = vectors(5, 3);
    for library in [&public, &both] {
        add(library, edition(1, 1), &rows(&TEXTS), &vectors[..4]);
    }
    add(&both, secret, &[row(0, "apple pear secret")], &vectors[4..]);
    let question =
        Question { text: "apple pear secret", vector: &vectors[4], versions: None, limit: 9 };

    let outsider = Caller::default();
    assert_eq!(
        both.search(&question, &outsider).unwrap(),
        public.search(&question, &outsider).unwrap()
    );
    let granted = Caller { granted: BTreeSet::from([datanet(9)]) };
    assert_eq!(both.search(&question, &granted).unwrap()[0].row.text, "apple pear secret");

    // Asking for it by name says the same as asking for one that is not there.
    let refusal = |version: DatanetVersion| {
        let asked = Question { versions: Some(&[version]), ..question };
        both.search(&asked, &outsider).unwrap_err()
    };
    assert_eq!(refusal(secret.version), refusal(edition(8, 1).version));
}

#[test]
fn copies_in_a_datanet_registered_later_are_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let vectors = vectors(4, 4);
    // Ids in the other order than registrations.
    let first = Edition { registered: 1, ..edition(9, 1) };
    let copier = Edition { registered: 2, ..edition(3, 1) };
    add(&library, copier, &rows(&TEXTS), &vectors);
    add(&library, first, &rows(&TEXTS[..2]), &vectors[..2]);

    let hits = ask(&library, "apple pear", &vectors[0], 10);

    let owners: BTreeMap<u64, u8> =
        hits.iter().map(|hit| (hit.row.index, hit.version.datanet[0])).collect();
    assert_eq!(hits.len(), 4);
    assert_eq!(owners, BTreeMap::from([(0, 9), (1, 9), (2, 3), (3, 3)]));
}

#[test]
fn a_new_version_is_searched_at_once_and_instead_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let vectors = vectors(4, 5);
    add(&library, edition(1, 1), &rows(&TEXTS[..2]), &vectors[..2]);
    let known = library.known(datanet(1)).unwrap().unwrap();
    let kept = known.vectors(&rows(&TEXTS)[1].row_hash).unwrap().unwrap();
    assert_eq!(kept, vectors[1]);
    assert_eq!(known.vectors(&[0; 32]).unwrap(), None);

    add(&library, edition(1, 2), &rows(&TEXTS), &vectors);

    let hits = ask(&library, "sky", &vectors[2], 9);
    assert_eq!(hits[0].row.text, "blue sky");
    assert!(hits.iter().all(|hit| hit.version.version == 2), "{hits:?}");
    let old = edition(1, 1).version;
    let question = Question { text: "sky", vector: &vectors[2], versions: Some(&[old]), limit: 9 };
    assert_eq!(library.search(&question, &Caller::default()).unwrap().len(), 2);

    assert!(library.remove(edition(1, 2).version).unwrap());
    assert!(ask(&library, "sky", &vectors[2], 9).iter().all(|hit| hit.version == old));
}

#[test]
fn hostile_questions_and_rows_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let vectors = vectors(4, 6);
    add(&library, edition(1, 1), &rows(&TEXTS), &vectors);
    let fail = |text: &str, vector: &[i8], limit| {
        let question = Question { text, vector, versions: None, limit };
        library.search(&question, &Caller::default()).unwrap_err()
    };

    assert!(matches!(fail("a", &[0; 3], 5), Error::Shape { .. }));
    assert!(matches!(fail("a", &vectors[0], 257), Error::Setting { .. }));
    assert!(matches!(fail(&"a".repeat(1 << 17), &vectors[0], 5), Error::Setting { .. }));
    // Syntax of query languages is only words here, and no words find by vectors alone.
    for text in ["\" OR (", "", "\u{0}", "words:* -zebra", "[1 TO 3}"] {
        assert_eq!(ask(&library, text, &vectors[2], 1)[0].row.index, 2, "{text}");
    }

    let refuse = |row, vector: &[i8]| library.add(edition(2, 1), [(&row, vector)]).unwrap_err();
    refuse(row(0, ""), &vectors[0]);
    refuse(row(0, &"x".repeat((1 << 20) + 1)), &vectors[0]);
    refuse(row(0, "x"), &[1; 3]);
    refuse(row(0, "x"), &[]);
    refuse(row(0, "x"), &[1; WIDTH * (MAX_PASSAGES + 2)]);
    let forged = attribution::retrieval::Row { text: "y".into(), ..row(0, "x") };
    assert!(refuse(forged, &vectors[0]).to_string().contains("hash"));
    let twice = [row(0, "x"), row(1, "x")];
    let twice = twice.iter().zip(vectors.iter().map(Vec::as_slice));
    assert!(
        library.add(edition(2, 1), twice).unwrap_err().to_string().contains("one row per text")
    );
    assert!(library.add(edition(1, 1), []).unwrap_err().to_string().contains("indexed once"));
    assert_eq!(library.editions(), [edition(1, 1)]);
    library.add(edition(2, 1), []).unwrap();
    assert_eq!(ask(&library, "apple", &vectors[0], 9).len(), 4);
}

#[test]
fn a_row_is_as_near_as_its_text_and_its_best_passage() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let unit = |at: usize| {
        let mut vector = [0i8; WIDTH];
        vector[at] = 120;
        vector
    };
    let of = |parts: &[[i8; WIDTH]]| parts.concat();
    // The second row's text is about something else than its second passage.
    let vectors = [of(&[unit(0)]), of(&[unit(1), unit(2), unit(3)]), of(&[unit(3), unit(0)])];
    add(&library, edition(1, 1), &rows(&["one", "two", "three"]), &vectors);

    let dots = |at: usize| -> BTreeMap<u64, i32> {
        let hits = ask(&library, "zebra", &unit(at), 9);
        hits.into_iter().map(|hit| (hit.row.index, hit.dot)).collect()
    };

    assert_eq!(dots(0), BTreeMap::from([(0, 14_400), (1, 0), (2, 4_800)]));
    assert_eq!(dots(1), BTreeMap::from([(0, 0), (1, 9_600), (2, 0)]));
    assert_eq!(dots(3), BTreeMap::from([(0, 0), (1, 4_800), (2, 9_600)]));
    assert_eq!(ask(&library, "zebra", &unit(3), 1)[0].vectors, vectors[2]);
}

/// A word of the question is worth BM25 / 200 in cosines, also to a row that is found by its vector.
#[test]
fn words_and_vectors_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let vectors = vectors(4, 8);
    add(&library, edition(1, 1), &rows(&TEXTS), &vectors);

    for hit in ask(&library, "what is apple", &vectors[1], 4) {
        let bm25 = bm25(&["apple"], &TEXTS)[hit.row.index as usize];
        let cosine = f64::from(dot(&vectors[hit.row.index as usize], &vectors[1])) / 127f64.powi(2);
        let expected = SCORE_UNIT as f64 * (cosine + bm25 / 200.0);
        assert!((hit.score as f64 - expected).abs() < 10.0, "{hit:?} {expected}");
    }
}

/// Rows that are near to each other, and one that is not: of equally near ones it comes first, though
/// last by its place. 256 rows are enough to tell.
#[test]
fn a_row_that_is_near_to_everything_is_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let library = open(dir.path());
    let mut vectors = vec![vec![0i8; WIDTH]; 256];
    for (place, vector) in vectors.iter_mut().enumerate().take(255) {
        (vector[0], vector[1 + place % 8]) = (100, 30);
    }
    vectors[255][20] = 100;
    let texts: Vec<String> = (0..256).map(|place| format!("row {place}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    add(&library, edition(1, 1), &rows(&texts), &vectors);
    let mut between = [0i8; WIDTH];
    (between[0], between[20]) = (50, 50);

    let hits = ask(&library, "zebra", &between, 256);

    assert_eq!(hits.len(), 256);
    assert!(hits.iter().all(|hit| hit.dot == 5_000 && hit.relevance == 5_000));
    assert_eq!(hits[0].row.index, 255);
    // The 16 nearest of a crowded row: 10,900 each; of the other one: 0. A fifth of the difference is
    // at most 2,180 of 127^2, but for rounding.
    let apart = (hits[0].score - hits[255].score) as f64 / SCORE_UNIT as f64;
    assert!((apart - 2_180.0 / 127f64.powi(2)).abs() < 1e-3, "{apart}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The vector half finds what sorting all dot products finds, over several shelves and past the
    /// block size.
    #[test]
    fn vectors_are_searched_exactly(seed in 0u64..1000, sizes in prop::collection::vec(1usize..40, 1..4), large in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let library = open(dir.path());
        let mut all = Vec::new();
        for (number, size) in (1u8..).zip(&sizes) {
            let size = if large && number == 1 { 4096 + size } else { *size };
            let vectors = vectors(size, seed * 7 + u64::from(number));
            let rows: Vec<_> = (0..size as u64).map(|i| row(i, &format!("{number} {i}"))).collect();
            add(&library, edition(number, 1), &rows, &vectors);
            all.extend(vectors.into_iter().enumerate().map(|(i, v)| (number, i as u64, v)));
        }
        let query = vectors(1, seed + 99).remove(0);

        // A word that no row has, so that what is found is found by vectors.
        let mut hits = ask(&library, "zebra", &query, 256);
        prop_assert_eq!(&ask(&library, "zebra", &query, 9)[..], &hits[..9.min(hits.len())]);
        hits.sort_by_key(|hit| (-hit.dot, hit.version.datanet, hit.row.index));

        let mut expected: Vec<_> = all.iter().map(|(n, i, v)| (-dot(v, &query), *n, *i)).collect();
        expected.sort_unstable();
        expected.truncate(256);
        let found: Vec<_> = hits.iter().map(|h| (-h.dot, h.version.datanet[0], h.row.index)).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(hits.iter().all(|hit| i64::from(hit.relevance) == i64::from(hit.dot).max(0)));
    }
}
