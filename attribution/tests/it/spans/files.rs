use std::{fs, path::Path};

use attribution::{
    Error, Result,
    settle::keccak,
    spans::{BuildProgress, Check, Cuts, SpanBuilder, SpanConfig, SpanIndex, SpanRules},
};
use proptest::prelude::*;

use super::{
    corpus::Corpus,
    search::{corpora, texts},
};

const CONFIG: SpanConfig = SpanConfig { vocabulary: 100, shard_positions: 50 };

fn small() -> Corpus {
    Corpus::new(100, &[&[1, 2, 3, 4, 5], &[1, 2, 3], &[], &[9, 8, 7, 1, 2, 3]])
}

fn rule(result: Result<impl std::fmt::Debug>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn an_index_without_rows_answers_nothing() {
    let (_folder, index) = Corpus::new(10, &[]).build(100);
    assert_eq!((index.rows(), index.tokens(), index.count(&[1]), index.count(&[])), (0, 0, 0, 0));
    assert_eq!(index.longest(&[1, 2]).tokens, 0);
    assert_eq!(index.spans(&[1, 2, 3, 4], &SpanRules::default(), &Cuts::none()).unwrap(), []);
    let (_folder, index) = Corpus::new(10, &[&[], &[]]).build(100);
    assert_eq!((index.rows(), index.tokens(), index.count(&[])), (2, 0, 0));
    assert_eq!(index.row_tokens(1), Some(vec![]));
}

#[test]
fn a_token_takes_the_bytes_promised() {
    let row: Vec<u32> = (0..1_000).collect();
    for (vocabulary, shard, bytes) in
        [(65_535, 200, 2 + 1), (65_535, 1_001, 2 + 2), (65_536, 1_001, 4 + 2)]
    {
        let corpus = Corpus::new(vocabulary, &row.chunks((shard - 1) as usize).collect::<Vec<_>>());
        let (_folder, index) = corpus.build(shard);
        let parts = index.header().shards.iter().flat_map(|shard| &shard.parts[..2]);
        let ends = u64::from(index.rows()) * u64::from(index.header().token_bytes());
        assert_eq!(parts.map(|part| part.bytes).sum::<u64>(), 1_000 * bytes + ends);
    }
}

#[test]
fn the_same_rows_make_the_same_files() {
    let corpus = small();
    let read = |folder: &Path| -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(folder.join("index"))
            .unwrap()
            .map(|file| file.unwrap())
            .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let (first, index) = corpus.build(7);
    let files = read(first.path());
    assert_eq!(files.len(), 3 * 3 + 1);
    assert_eq!(files, read(corpus.build(7).0.path()));
    // The layout of the first shard, by hand: rows [1 2 3 4 5]; then [1 2 3] and the empty row.
    let bytes = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    assert_eq!(bytes("1.tokens"), &[0, 2, 0, 3, 0, 4, 0, 0]);
    assert_eq!(bytes("1.suffixes"), &[0, 1, 2]);
    assert_eq!(bytes("2.suffixes"), &[3, 4, 5, 2, 1, 0]);
    assert_eq!(index.header().shards[1].parts[0].hash, keccak(&[bytes("1.tokens")]));
    assert_eq!(bytes("1.rows").len(), 2 * 57);
}

#[test]
fn altered_and_truncated_files_are_refused_by_hash() {
    let (folder, index) = small().build(7);
    let path = folder.path().join("index");
    for (shard, part, name) in [(0, 0, "0.tokens"), (1, 1, "1.suffixes"), (2, 2, "2.rows")] {
        let file = path.join(name);
        let good = fs::read(&file).unwrap();
        let expected = index.header().shards[shard].parts[part].hash;
        let refused = |bytes: &[u8], check| {
            fs::write(&file, bytes).unwrap();
            match SpanIndex::open(&path, check).unwrap_err() {
                Error::PartHash { expected: e, given, part } => {
                    assert_eq!((e, given), (expected, keccak(&[bytes])));
                    assert!(part.ends_with(&format!("of shard {shard}")), "{part}");
                }
                other => panic!("{other}"),
            }
        };
        let mut altered = good.clone();
        altered[0] ^= 1;
        refused(&altered, Check::Everything);
        refused(&good[..good.len() - 1], Check::Header);
        refused(&[], Check::Header);
        refused(&[&good[..], &[0]].concat(), Check::Header);
        fs::remove_file(&file).unwrap();
        assert!(matches!(SpanIndex::open(&path, Check::Header), Err(Error::File { .. })));
        fs::write(&file, good).unwrap();
    }
    SpanIndex::open(&path, Check::Everything).unwrap();
}

#[test]
fn altered_headers_are_refused() {
    let (folder, _) = small().build(7);
    let path = folder.path().join("index");
    let good = fs::read(path.join("header")).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(path.join("header"), bytes).unwrap();
        let refused = rule(SpanIndex::open(&path, Check::Header));
        assert!(refused.starts_with("span index header must have keccak256 0x"), "{refused}");
    }
    for length in 0..good.len() {
        fs::write(path.join("header"), &good[..length]).unwrap();
        SpanIndex::open(&path, Check::Header).unwrap_err();
    }
    // With a right hash, counts are still held against lengths.
    let body = good.len() - 32;
    let rehashed = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = good[..body].to_vec();
        change(&mut bytes);
        let hash = keccak(&[&bytes]);
        fs::write(path.join("header"), [&bytes[..], &hash].concat()).unwrap();
        SpanIndex::open(&path, Check::Header).unwrap_err()
    };
    assert_eq!(rehashed(&|bytes| bytes[9] = 9), Error::Version(9));
    for at in (0..8).chain(14..39) {
        assert!(matches!(rehashed(&|bytes| bytes[at] ^= 0x81), Error::Corrupt(_)), "byte {at}");
    }
    assert!(matches!(rehashed(&|bytes| bytes[10..14].fill(0)), Error::Corrupt(_)));
}

#[test]
fn rows_that_break_a_rule_are_refused_and_add_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let corpus = Corpus { clusters: vec![0, 1, 1, 0], ..small() };
    let mut builder = SpanBuilder::create(&path, CONFIG).unwrap();
    builder.push(corpus.source(0), &[1, 2]).unwrap();
    for (result, expected) in [
        (
            builder.push(corpus.source(0), &[1]),
            "rows must ascend by (datanet, index), given (0, 0)",
        ),
        (builder.push(corpus.source(1), &[100]), "a token must be below the vocabulary, given 100"),
        (
            builder.push(corpus.source(1), &[1; 50]),
            "a row with its end must fit in a shard, given 51",
        ),
    ] {
        assert_eq!(rule(result), expected);
    }
    builder.push(corpus.source(1), &[1; 49]).unwrap();
    assert_eq!(builder.finish(&mut |_| {}).unwrap().shards.len(), 2);
    assert_eq!(SpanIndex::open(&path, Check::Everything).unwrap().tokens(), 51);

    for (clusters, wrong) in [(vec![0, 5], 5), (vec![1, 0], 1)] {
        let corpus = Corpus { clusters, ..small() };
        let mut builder = SpanBuilder::create(&folder.path().join("other"), CONFIG).unwrap();
        builder.push(corpus.source(0), &[1]).unwrap();
        builder.push(corpus.source(1), &[1]).unwrap();
        let expected = format!(
            "a row's cluster must be the place of a row that is its own cluster, given {wrong}"
        );
        assert_eq!(rule(builder.finish(&mut |_| {})), expected);
    }
}

#[test]
fn settings_out_of_range_and_taken_paths_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let create = |vocabulary, shard_positions| {
        rule(SpanBuilder::create(&path, SpanConfig { vocabulary, shard_positions }))
    };
    assert_eq!(create(0, 1), "vocabulary must be from 1 to 2^24, given 0");
    assert_eq!(create((1 << 24) + 1, 1), "vocabulary must be from 1 to 2^24, given 16777217");
    assert_eq!(create(1, 0), "positions of a shard must be from 1 to 2^30, given 0");
    assert_eq!(create(1, 1 << 31), "positions of a shard must be from 1 to 2^30, given 2147483648");
    SpanBuilder::create(&path, CONFIG).unwrap().finish(&mut |_| {}).unwrap();
    assert!(
        rule(SpanBuilder::create(&path, CONFIG))
            .starts_with("nothing may be at a new index's path")
    );
}

#[test]
fn a_build_that_stops_leaves_no_index_and_the_next_one_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let corpus = small();
    let mut builder = SpanBuilder::create(&path, CONFIG).unwrap();
    builder.push(corpus.source(0), &[1, 2, 3]).unwrap();
    drop(builder);
    assert!(!path.exists() && folder.path().join("index.partial").exists());
    SpanBuilder::create(&path, CONFIG).unwrap().finish(&mut |_| {}).unwrap();
    assert_eq!(SpanIndex::open(&path, Check::Everything).unwrap().tokens(), 0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn progress_ascends_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = small();
    let config = SpanConfig { shard_positions: 7, ..CONFIG };
    let mut builder = SpanBuilder::create(&folder.path().join("index"), config).unwrap();
    for (place, row) in corpus.rows.iter().enumerate() {
        builder.push(corpus.source(place), row).unwrap();
    }
    let mut steps: Vec<BuildProgress> = Vec::new();
    builder.finish(&mut |step| steps.push(step)).unwrap();
    assert!(steps.len() > 6 && steps.is_sorted_by_key(|step| step.done), "{steps:?}");
    assert!(steps.iter().all(|step| step.total == 14 + 3));
    assert_eq!(steps.last().unwrap().done, 17);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Opened by its header alone, an altered index may be wrong but stays within bounds.
    #[test]
    fn unchecked_files_of_any_bytes_never_panic((corpus, shard) in corpora(), seed: u64) {
        use rand::{RngCore, SeedableRng, rngs::StdRng};
        let (folder, _) = corpus.build(shard);
        let path = folder.path().join("index");
        let mut rng = StdRng::seed_from_u64(seed);
        for file in fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()) {
            if !file.ends_with("header") {
                let mut bytes = fs::read(&file).unwrap();
                let from = (rng.next_u64() % (bytes.len() as u64 + 1)) as usize;
                rng.fill_bytes(&mut bytes[from..]);
                fs::write(&file, bytes).unwrap();
            }
        }
        let index = SpanIndex::open(&path, Check::Header).unwrap();
        let rules = SpanRules { min_tokens: 1, max_count: 1 << 16, keep_bps: 10_000, documents: 10 };
        for text in texts(&corpus, seed, 30) {
            let _ = index.locate(&text, 1, 1_000);
            let _ = index.longest(&text);
            let _ = index.uses(&text, &index.spans(&text, &rules, &Cuts::none()).unwrap());
        }
        for place in 0..index.rows() {
            let _ = index.row_tokens(place);
        }
    }
}
