use std::fs;

use attribution::{
    Error,
    settle::keccak,
    spans::{
        Check, Cuts, SpanIndex, SpanRules,
        proof::{ArrayFault, CountProof, LeafOpening, OrderProof, ShardCommitment},
    },
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use tempfile::TempDir;

use super::{
    corpus::Corpus,
    search::{corpora, texts},
};

/// A corpus of several leaves of text and suffixes.
pub(super) fn long(seed: u64) -> Corpus {
    let mut rng = StdRng::seed_from_u64(seed);
    let row = |rng: &mut StdRng| -> Vec<u32> {
        let length = rng.random_range(0..90);
        (0..length).map(|_| rng.random_range(0..3)).collect()
    };
    let mut rows: Vec<Vec<u32>> = (0..12).map(|_| row(&mut rng)).collect();
    // Longer than a leaf and twice there.
    let copied: Vec<u32> = (0..150).map(|_| rng.random_range(0..3)).collect();
    rows.extend([copied.clone(), copied]);
    Corpus { vocabulary: 3, rows, clusters: (0..14).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_count_and_longest_match_is_proved((corpus, _) in corpora(), seed: u64) {
        for corpus in [corpus, long(seed)] {
            let (_folder, index) = corpus.build(1 << 20);
            let Some(shard) = index.commit(0) else { continue };
            let commitment = shard.commitment();
            let mut rng = StdRng::seed_from_u64(seed);
            let mut texts = texts(&corpus, seed, 8);
            texts.extend((0..20).map(|_| {
                let length = rng.random_range(1..9);
                (0..length).map(|_| rng.random_range(0..3)).collect()
            }));
            for text in texts {
                let proof = shard.prove_count(&text);
                prop_assert_eq!(commitment.count(&text, &proof), Ok(index.count(&text)));
                let proof = shard.prove_longest(&text);
                prop_assert_eq!(commitment.longest(&text, &proof), Ok(index.longest(&text)));
            }
        }
    }

    #[test]
    fn an_array_in_order_cannot_be_disproved((corpus, _) in corpora(), seed: u64) {
        for corpus in [corpus, long(seed)] {
            let (_folder, index) = corpus.build(1 << 20);
            let Some(shard) = index.commit(0) else { continue };
            let commitment = shard.commitment();
            for rank in 0..commitment.tokens {
                let refused = commitment.disproves_order(&shard.prove_order(rank));
                prop_assert!(matches!(refused, Err(Error::SpanProof(_))));
                // Leaves alone are those of the proofs.
                let opening = shard.open_suffix(rank, 1);
                let position = commitment.position(rank, &opening).unwrap();
                prop_assert_eq!(shard.open_suffix_leaf(rank / 32), opening.pointer);
                prop_assert_eq!(shard.open_text_leaf(position / 64), opening.text[0].clone());
            }
            prop_assert_eq!(shard.array_fault(), None);
            let mut ends = 0;
            for position in 0..commitment.positions {
                let proof = shard.prove_missing(position);
                match commitment.disproves_completeness(&proof) {
                    Err(Error::SpanProof("the suffix is not between the two")) => {}
                    Err(Error::SpanProof("the missing suffix must be that of a token")) => ends += 1,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert_eq!(commitment.positions - commitment.tokens, ends);
        }
    }

    #[test]
    fn every_position_is_in_its_row((corpus, _) in corpora(), seed: u64) {
        for corpus in [corpus, long(seed)] {
            let (_folder, index) = corpus.build(1 << 20);
            let Some(shard) = index.commit(0) else { continue };
            let commitment = shard.commitment();
            for rank in 0..commitment.tokens {
                let opening = shard.open_suffix(rank, 0);
                let position = commitment.position(rank, &opening).unwrap();
                let place = index.locate(&[], rank, 1)[0];
                let row = shard.open_row_at(position);
                prop_assert_eq!(row.row, place.row);
                prop_assert_eq!(commitment.row_at(position, &row).ok(), index.row(place.row));
                if let Some(next) = position.checked_sub(place.token + 2) {
                    let refused = commitment.row_at(next, &row);
                    prop_assert_eq!(refused, Err(Error::SpanProof("a position must be in its row")));
                }
            }
        }
    }
}

#[test]
fn commitments_are_those_of_the_leaves_by_hand() {
    // 70 symbols are two leaves of text, 69 suffixes three of positions.
    let corpus = Corpus::new(10, &[&[4; 69]]);
    let (_folder, index) = corpus.build(100);
    let leaf = |bytes: Vec<u8>| keccak(&[&keccak(&[&[bytes, vec![0; 256]].concat()[..256]])]);
    let text = |count: usize| leaf([0, 0, 0, 5].repeat(count));
    // The longest suffix of equal tokens comes last.
    let ranks =
        |ranks: std::ops::Range<u64>| leaf(ranks.flat_map(|r| (68 - r).to_be_bytes()).collect());
    let pair = keccak(&[&ranks(0..32), &ranks(32..64)]);
    // Start, Datanet 3, row 0, hash of zeros, earner 10, cluster 0.
    let row = [&[0; 8][..], &[3], &[0; 8], &[0; 32], &[0, 0, 0, 10], &[0; 4]].concat();
    let commitment = ShardCommitment {
        tokens: 69,
        positions: 70,
        rows: 1,
        text_root: keccak(&[&text(64), &text(5)]),
        suffix_root: keccak(&[&pair, &ranks(64..69)]),
        row_root: keccak(&[&keccak(&[&row])]),
    };
    let shard = index.commit(0).unwrap();
    assert_eq!(shard.commitment(), commitment);
    let word = |n: u8| [[0; 31].to_vec(), vec![n]].concat();
    let roots = [commitment.text_root, commitment.suffix_root, commitment.row_root].concat();
    let words = [word(69), word(70), word(1), roots].concat();
    assert_eq!(commitment.hash(), keccak(&[&words]));
    assert!(index.commit(1).is_none());
}

#[test]
fn a_shard_without_tokens_proves_that_nothing_occurs() {
    let (_folder, index) = Corpus::new(10, &[&[], &[]]).build(100);
    let shard = index.commit(0).unwrap();
    let proof = shard.prove_count(&[1]);
    assert_eq!(proof, CountProof { low: 0, high: 0, before: None, ends: None, after: None });
    assert_eq!(shard.commitment().count(&[1], &proof), Ok(0));
    assert_eq!(shard.commitment().suffix_root, [0; 32]);
}

/// Every way to tell a count that is not so.
#[test]
fn changed_counts_are_refused() {
    let corpus = long(7);
    let (_folder, index) = corpus.build(1 << 20);
    let shard = index.commit(0).unwrap();
    let commitment = shard.commitment();
    let ngram = [1, 2];
    let good = shard.prove_count(&ngram);
    assert!(good.high - good.low > 3 && good.low > 0 && good.high < commitment.tokens);
    let other = shard.prove_count(&[2, 1]);
    let refused = |change: &dyn Fn(&mut CountProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        assert_ne!(proof, good);
        match commitment.count(&ngram, &proof) {
            Err(Error::SpanProof(rule)) => rule,
            counted => panic!("{counted:?}"),
        }
    };
    refused(&|p| p.low += 1);
    refused(&|p| p.high -= 1);
    refused(&|p| (p.low, p.high) = (p.high, p.low));
    refused(&|p| p.high = u64::MAX);
    refused(&|p| p.before = None);
    refused(&|p| p.after = None);
    refused(&|p| p.ends = None);
    refused(&|p| p.before = Some(p.ends.as_ref().unwrap()[0].clone()));
    refused(&|p| *p = other.clone());
    refused(&|p| {
        *p = CountProof {
            high: p.low,
            ends: None,
            after: p.ends.as_ref().map(|e| e[0].clone()),
            ..p.clone()
        }
    });
    refused(&|p| p.before.as_mut().unwrap().text.clear());
    refused(&|p| {
        p.ends.as_mut().unwrap()[0].text.push(LeafOpening { leaf: vec![], siblings: vec![] })
    });
    refused(&|p| p.after.as_mut().unwrap().text[0].leaf[9] ^= 1);
    refused(&|p| p.after.as_mut().unwrap().pointer.leaf[9] ^= 1);
    refused(&|p| p.after.as_mut().unwrap().pointer.siblings[0][0] ^= 1);
    refused(&|p| p.after.as_mut().unwrap().pointer.siblings.push([0; 32]));
    refused(&|p| p.after.as_mut().unwrap().pointer.siblings.truncate(1));
    refused(&|p| p.after.as_mut().unwrap().pointer.leaf.truncate(8));
    // A right proof of a narrower range than there is: inner ranks opened as ends and outside.
    let inner = |rank: u64| shard.prove_order(rank).first;
    let narrow = CountProof {
        low: good.low + 1,
        high: good.high - 1,
        before: Some(inner(good.low)),
        ends: Some([inner(good.low + 1), inner(good.high - 2)]),
        after: Some(inner(good.high - 1)),
    };
    refused(&|p| *p = narrow.clone());
}

#[test]
fn shorter_and_longer_matches_are_refused() {
    let corpus = Corpus::new(10, &[&[1, 2, 3, 4], &[5, 1, 2]]);
    let (_folder, index) = corpus.build(100);
    let shard = index.commit(0).unwrap();
    let commitment = shard.commitment();
    let text = [1, 2, 3, 9];
    let good = shard.prove_longest(&text);
    assert_eq!(commitment.longest(&text, &good).map(|longest| longest.tokens), Ok(3));
    let shorter = |longer| attribution::spans::proof::LongestProof {
        tokens: 2,
        found: shard.prove_count(&text[..2]),
        longer,
    };
    for (proof, rule) in [
        (shorter(Some(shard.prove_count(&text[..3]))), "a longer match must not occur"),
        (shorter(None), "the next longer match must be shown, if there is one"),
    ] {
        assert_eq!(commitment.longest(&text, &proof), Err(Error::SpanProof(rule)));
    }
    let mut longer = good;
    (longer.tokens, longer.found, longer.longer) = (4, shard.prove_count(&text), None);
    let refused = commitment.longest(&text, &longer);
    assert_eq!(refused, Err(Error::SpanProof("a match must occur")));
    longer.tokens = 5;
    commitment.longest(&text, &longer).unwrap_err();
}

/// An index in order whose array lacks the suffix at a rank; its corpus has a row without tokens.
pub(super) fn lacking(corpus: &Corpus, rank: usize) -> (TempDir, SpanIndex) {
    let (folder, _) = corpus.build(1 << 20);
    let path = folder.path().join("index");
    let mut suffixes = fs::read(path.join("0.suffixes")).unwrap();
    suffixes.drain(2 * rank..2 * rank + 2);
    fs::write(path.join("0.suffixes"), &suffixes).unwrap();
    let mut header = fs::read(path.join("header")).unwrap();
    let body = header.len() - 32;
    // The shard's tokens, and the length of its suffixes.
    header[18..26].copy_from_slice(&(suffixes.len() as u64 / 2).to_be_bytes());
    header[79..87].copy_from_slice(&(suffixes.len() as u64).to_be_bytes());
    let hash = keccak(&[&header[..body]]);
    header[body..].copy_from_slice(&hash);
    fs::write(path.join("header"), header).unwrap();
    let index = SpanIndex::open(&path, Check::Header).unwrap();
    (folder, index)
}

#[test]
fn an_array_that_lacks_a_suffix_is_disproved_by_its_neighbours() {
    let mut corpus = long(3);
    corpus.rows.push(vec![]);
    corpus.clusters.push(14);
    let (_whole_folder, whole) = corpus.build(1 << 20);
    let whole = whole.commit(0).unwrap();
    let tokens = whole.commitment().tokens;
    assert!(tokens > 256, "so that pointers have two bytes");
    for rank in [0, 1, 77, tokens - 1] {
        let opening = whole.open_suffix(rank, 0);
        let missing = whole.commitment().position(rank, &opening).unwrap();
        let (_folder, index) = lacking(&corpus, rank as usize);
        let shard = index.commit(0).unwrap();
        let commitment = shard.commitment();
        assert_eq!(commitment.tokens, tokens - 1);
        assert_eq!(shard.array_fault(), Some(ArrayFault::Missing { position: missing }));
        let proof = shard.prove_missing(missing);
        assert_eq!((proof.rank, commitment.disproves_completeness(&proof)), (rank, Ok(())));
        for other in 0..commitment.tokens {
            assert!(commitment.disproves_order(&shard.prove_order(other)).is_err());
        }
        for other in (0..commitment.positions).filter(|&other| other != missing) {
            let proof = shard.prove_missing(other);
            assert!(commitment.disproves_completeness(&proof).is_err());
        }
    }
}

/// Commits to the files after `change` wrote into the suffixes, and proves every rank wrong or not.
fn disproofs(corpus: &Corpus, change: impl Fn(&mut [u8])) -> (ShardCommitment, Vec<OrderProof>) {
    let (folder, _) = corpus.build(1 << 20);
    let path = folder.path().join("index");
    let mut bytes = fs::read(path.join("0.suffixes")).unwrap();
    change(&mut bytes);
    fs::write(path.join("0.suffixes"), bytes).unwrap();
    let index = SpanIndex::open(&path, Check::Header).unwrap();
    let shard = index.commit(0).unwrap();
    let commitment = shard.commitment();
    let proofs = (0..commitment.tokens).map(|rank| shard.prove_order(rank));
    let proofs: Vec<OrderProof> =
        proofs.filter(|proof| commitment.disproves_order(proof).is_ok()).collect();
    let first = proofs.first().map(|proof| ArrayFault::Disorder { rank: proof.rank });
    assert_eq!(shard.array_fault(), first);
    (commitment, proofs)
}

#[test]
fn a_wrong_array_is_disproved_by_two_neighbours() {
    let corpus = long(3);
    let (_folder, index) = corpus.build(1 << 20);
    assert!(index.tokens() > 256, "so that pointers have two bytes");
    let mut rng = StdRng::seed_from_u64(9);
    for _ in 0..40 {
        let (a, b) = (rng.random_range(0..index.tokens()), rng.random_range(0..index.tokens()));
        let (a, b) = (2 * a as usize, 2 * b as usize);
        if a == b {
            continue;
        }
        let swapped = |bytes: &mut [u8]| (0..2).for_each(|byte| bytes.swap(a + byte, b + byte));
        assert!(!disproofs(&corpus, swapped).1.is_empty(), "swapped {a} and {b}");
        let doubled = |bytes: &mut [u8]| bytes.copy_within(a..a + 2, b);
        assert!(!disproofs(&corpus, doubled).1.is_empty(), "{a} instead of {b}");
    }
    let end =
        |bytes: &mut [u8]| bytes[..2].copy_from_slice(&(corpus.rows[0].len() as u16).to_be_bytes());
    assert_eq!(disproofs(&corpus, end).1[0].rank, 0);
    let outside = |bytes: &mut [u8]| bytes[..2].fill(0xff);
    assert_eq!(disproofs(&corpus, outside).1[0].rank, 0);

    // A disproof opens leaves of that commitment only.
    let (_, proofs) = disproofs(&corpus, |bytes| bytes[..4].rotate_left(2));
    let refused = index.commit(0).unwrap().commitment().disproves_order(&proofs[0]);
    assert_eq!(refused, Err(Error::SpanProof("an opened leaf must be the committed one")));
}

#[test]
fn spans_of_an_answer_are_provable_one_by_one() {
    let corpus = long(5);
    let (_folder, index) = corpus.build(1 << 20);
    let shard = index.commit(0).unwrap();
    let answer = &corpus.rows[12][20..120];
    let rules = SpanRules { keep_bps: 10_000, ..SpanRules::default() };
    let spans = index.spans(answer, &rules, &Cuts::none()).unwrap();
    assert_eq!((spans.len(), spans[0].count), (1, 2));
    let proof = shard.prove_longest(answer);
    assert_eq!(shard.commitment().longest(answer, &proof).map(|found| found.count), Ok(2));
}
