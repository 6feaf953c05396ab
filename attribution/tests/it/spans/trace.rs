use attribution::{
    settle::{EarnerIndex, Ground, SpanUse, Use},
    spans::{Cuts, Span, SpanIndex, SpanRules, log2},
};
use proptest::prelude::*;

use super::{
    corpus::Corpus,
    search::{corpora, texts},
};

const ALL: SpanRules =
    SpanRules { min_tokens: 1, max_count: 1 << 16, keep_bps: 10_000, documents: 10 };

/// The rules as they are written, from every start and end.
fn naive(corpus: &Corpus, answer: &[u32], rules: &SpanRules, cuts: &Cuts<'_>) -> Vec<Span> {
    let total: usize = corpus.rows.iter().map(Vec::len).sum();
    let mut spans: Vec<Span> = Vec::new();
    for start in 0..answer.len() {
        let delimiter = |at: usize| (cuts.delimiter)(answer[at]);
        let found = corpus.longest(&answer[start..]);
        let allowed = |&end: &usize| {
            end > start
                && (cuts.starts_word)(answer[start])
                && (start..end - 1).all(|at| !delimiter(at))
                && !delimiter(start)
                && (end == answer.len()
                    || delimiter(end - 1)
                    || delimiter(end)
                    || (cuts.starts_word)(answer[end]))
        };
        let Some(end) = (start..=start + found).rev().find(allowed) else { continue };
        let ngram = &answer[start..end];
        let count = corpus.places(ngram).len() as u64;
        let covered = spans.iter().any(|span| span.end >= end);
        if ngram.len() < rules.min_tokens || count > rules.max_count || covered {
            continue;
        }
        let token = |&token: &u32| log2(total as u64) - log2(corpus.places(&[token]).len() as u64);
        let rarity = ngram.iter().map(token).sum();
        let mut documents: Vec<u32> = corpus.places(ngram).iter().map(|place| place.0).collect();
        documents.dedup();
        documents.truncate(rules.documents);
        let clusters = corpus.clusters_with(ngram);
        spans.push(Span { start, end, count, rarity, documents, clusters });
    }
    spans.sort_by(|a, b| b.rarity.cmp(&a.rarity).then(a.start.cmp(&b.start)));
    spans.truncate((answer.len() * usize::from(rules.keep_bps)).div_ceil(10_000));
    spans
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn spans_equal_the_rules_read_from_every_row(
        (corpus, shard) in corpora(),
        seed: u64,
        min_tokens in 1_usize..4,
        max_count in 1_u64..20,
        keep_bps in 1_000_u16..=10_000,
        documents in 0_usize..4,
        delimiter in 0_u32..8,
        inner in 0_u32..8,
    ) {
        let (_folder, index) = corpus.build(shard);
        let rules = SpanRules { min_tokens, max_count, keep_bps, documents };
        let id = |kind: u32| corpus.vocabulary - 1 - 9_000 * kind;
        let cuts = Cuts {
            delimiter: &|token| token == id(delimiter),
            starts_word: &|token| token != id(inner),
        };
        for answer in texts(&corpus, seed, 24) {
            for cuts in [&Cuts::none(), &cuts] {
                let spans = index.spans(&answer, &rules, cuts).unwrap();
                prop_assert_eq!(spans, naive(&corpus, &answer, &rules, cuts), "{:?}", answer);
            }
        }
    }

    #[test]
    fn how_rows_are_spread_over_shards_changes_nothing((corpus, shard) in corpora(), seed: u64) {
        let (_few, whole) = corpus.build(1 << 20);
        let (_many, parts) = corpus.build(shard);
        for answer in texts(&corpus, seed, 24) {
            let spans = whole.spans(&answer, &ALL, &Cuts::none()).unwrap();
            prop_assert_eq!(parts.spans(&answer, &ALL, &Cuts::none()).unwrap(), spans);
        }
    }
}

#[test]
fn spans_are_cut_at_sentences_and_words() {
    // 0 is a full stop; ids from 50 continue a word.
    let corpus = Corpus::new(100, &[&[1, 2, 50, 3, 0, 4, 51, 5]]);
    let (_folder, index) = corpus.build(100);
    let cuts = Cuts { delimiter: &|token| token == 0, starts_word: &|token| token < 50 };
    let found = |answer: &[u32]| -> Vec<_> {
        let mut spans = index.spans(answer, &ALL, &cuts).unwrap();
        spans.sort_by_key(|span| span.start);
        spans.iter().map(|span| (span.start, span.end)).collect()
    };
    assert_eq!(found(&[1, 2, 50, 3, 0, 4, 51, 5]), [(0, 5), (5, 8)]);
    assert_eq!(found(&[1, 2, 51, 3]), [(0, 1), (3, 4)]);
    assert_eq!(found(&[50, 3, 0, 0]), [(1, 3)]);
    assert_eq!(found(&[1, 2, 0]), [(0, 2)]);
    assert_eq!(found(&[2, 50, 0]), [(0, 2)]);
}

/// Scores of an answer's uses by contributor and holder.
fn scores(index: &SpanIndex, answer: &[u32]) -> Vec<(EarnerIndex, SpanUse, u64)> {
    let spans = index.spans(answer, &ALL, &Cuts::none()).unwrap();
    let score = |of: Use| match of.ground {
        Ground::Span(span) => (of.earner, span, of.score),
        Ground::Citation(_) => panic!("a span"),
    };
    index.uses(answer, &spans).into_iter().map(score).collect()
}

#[test]
fn a_span_is_shared_by_clusters_not_by_copies() {
    // Contributors by place: 10, 11, 12, 10, 11. Rows 0, 2 and 3 are one cluster, whose canonical
    // row is contributor 10's; row 1 is contributor 11's own.
    let rows: [&[u32]; 5] =
        [&[1, 2, 3, 5], &[1, 2, 3, 5, 4], &[1, 2, 3, 5], &[1, 2, 3, 5, 1, 2, 3, 5], &[9; 16]];
    let mut corpus = Corpus::new(10, &rows);
    corpus.clusters = vec![0, 1, 0, 0, 4];
    let (_folder, index) = corpus.build(1_000);
    assert_eq!(index.tokens(), 37);
    let found = scores(&index, &[1, 2, 3, 5]);
    // Suffixes by what follows: the ends of rows 0, 2 and 3, then `1` of row 3, then `4` of row 1.
    let of =
        SpanUse { start: 0, length: 4, low: 0, count: 5, holders: 2, holder: 0, occurrence: 0 };
    let score = 4 * (log2(37) - log2(5)) / 2;
    let other = SpanUse { holder: 1, occurrence: 4, ..of };
    assert_eq!(found, [(EarnerIndex(10), of, score), (EarnerIndex(11), other, score)]);
    assert_eq!(of.score(37), score);
}

#[test]
fn the_more_common_a_span_the_less_it_is_worth() {
    let credit = |copies: usize| {
        let mut rows: Vec<&[u32]> = vec![&[1, 2, 3, 4]];
        rows.extend(vec![&[5, 6, 7, 8][..]; 20 - copies]);
        rows.extend(vec![&[1, 2, 3, 4][..]; copies]);
        let corpus = Corpus::new(10, &rows);
        let (_folder, index) = corpus.build(1_000);
        let spans = index.spans(&[1, 2, 3, 4], &ALL, &Cuts::none()).unwrap();
        (spans[0].rarity, scores(&index, &[1, 2, 3, 4]).iter().map(|found| found.2).sum::<u64>())
    };
    let credits: Vec<_> = (0..10).step_by(3).map(credit).collect();
    assert!(credits.is_sorted_by(|a, b| a.0 > b.0 && a.1 > b.1), "{credits:?}");
    assert_eq!(credit(10).1, 0, "eleven occurrences are too many");
}

#[test]
fn shorter_spans_and_those_within_others_are_not_credited() {
    let (_folder, index) = Corpus::new(10, &[&[1, 2, 3, 4, 5], &[6, 7, 8]]).build(100);
    let answer = [6, 7, 8, 1, 2, 3, 4, 5];
    let spans = index.spans(&answer, &ALL, &Cuts::none()).unwrap();
    assert_eq!(spans.len(), 2);
    let found = index.uses(&answer, &spans);
    assert!(matches!(found[..], [Use { earner: EarnerIndex(10), .. }]), "{found:?}");
    let mut inner = spans.iter().find(|span| span.start == 3).unwrap().clone();
    (inner.start, inner.count) = (4, 1);
    let with_inner = [spans, vec![inner]].concat();
    assert_eq!(index.uses(&answer, &with_inner), found);
    let (_folder, shards) = Corpus::new(10, &[&[1, 2, 3, 4, 5], &[6, 7, 8]]).build(7);
    assert!(shards.uses(&answer, &with_inner).is_empty(), "only one shard is paid by");
}

#[test]
fn equally_rare_spans_are_kept_by_start() {
    let corpus = Corpus::new(10, &[&[1, 1], &[2, 2], &[3, 3], &[4, 4]]);
    let (_folder, index) = corpus.build(100);
    let answer = [4, 4, 3, 3, 2, 2, 1, 1];
    let half = SpanRules { keep_bps: 2_500, ..ALL };
    let spans = index.spans(&answer, &half, &Cuts::none()).unwrap();
    assert_eq!(spans.iter().map(|span| span.start).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn rules_out_of_range_are_refused() {
    let (_folder, index) = Corpus::new(10, &[&[1]]).build(100);
    let refused = |answer: &[u32], rules: SpanRules| {
        index.spans(answer, &rules, &Cuts::none()).unwrap_err().to_string()
    };
    let long = vec![1; (1 << 14) + 1];
    assert_eq!(refused(&long, ALL), "an answer must have at most 2^14 tokens, given 16385");
    let rules = SpanRules { min_tokens: 0, ..ALL };
    assert_eq!(refused(&[1], rules), "a span must have at least one token, given 0");
    for max_count in [0, (1 << 16) + 1] {
        let given = format!("a span may occur 1 to 2^16 times, given {max_count}");
        assert_eq!(refused(&[1], SpanRules { max_count, ..ALL }), given);
    }
    let rules = SpanRules { keep_bps: 10_001, ..ALL };
    assert_eq!(refused(&[1], rules), "spans kept must be at most 10000 bps, given 10001");
}
