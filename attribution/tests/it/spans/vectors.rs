//! `test/vectors/spans.json`: proofs that hold and changed ones that do not, which the verifier in
//! Solidity reads too.

use std::{fs, path::PathBuf};

use attribution::{
    Error,
    spans::proof::{
        CommittedShard, CountProof, LeafOpening, LongestProof, MissingProof, OrderProof,
        RowOpening, ShardCommitment, SuffixOpening,
    },
};
use serde_json::{Value, json};

use super::{
    corpus::Corpus,
    proof::{lacking, long},
};

/// Rules in the order of `SpanProofs.Rule`.
const RULES: [&str; 16] = [
    "ranks must ascend up to the number of tokens",
    "suffixes at and beside the ends must be opened",
    "exactly the suffixes within the ranks must start with the n-gram",
    "a match must not be longer than the text",
    "a match must occur",
    "a longer match must not occur",
    "the next longer match must be shown, if there is one",
    "the suffix is that of a token",
    "the suffixes are in order",
    "suffixes beside the place must be opened",
    "the missing suffix must be that of a token",
    "the suffix is not between the two",
    "an opened leaf must be the committed one",
    "every symbol that a claim reads must be opened",
    "the next row must be opened, if there is one",
    "a position must be in its row",
];

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/spans.json")
}

/// A claim with its proof.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "there are few")]
enum Claim {
    Count(Vec<u32>, CountProof),
    Longest(Vec<u32>, LongestProof),
    Order(OrderProof),
    Missing(MissingProof),
    Row(u64, RowOpening),
    Agree(u64, u64, SuffixOpening, u64, SuffixOpening),
}

type Change<'a, T> = &'a dyn Fn(&mut T);

const KINDS: [&str; 6] = ["counts", "longest", "disorders", "missing", "rows", "agreements"];

impl Claim {
    const fn kind(&self) -> usize {
        match self {
            Self::Count(..) => 0,
            Self::Longest(..) => 1,
            Self::Order(_) => 2,
            Self::Missing(_) => 3,
            Self::Row(..) => 4,
            Self::Agree(..) => 5,
        }
    }

    /// What it shows, as two numbers.
    fn check(&self, index: &ShardCommitment) -> Result<[u64; 2], Error> {
        Ok(match self {
            Self::Count(ngram, proof) => [index.count(ngram, proof)?, 0],
            Self::Longest(text, proof) => {
                let found = index.longest(text, proof)?;
                [found.tokens as u64, found.count]
            }
            Self::Order(proof) => index.disproves_order(proof).map(|()| [0; 2])?,
            Self::Missing(proof) => index.disproves_completeness(proof).map(|()| [0; 2])?,
            Self::Row(position, opening) => {
                let row = index.row_at(*position, opening)?;
                [row.index, u64::from(row.earner.0) << 32 | u64::from(row.cluster)]
            }
            Self::Agree(tokens, a, first, b, second) => {
                [index.agree(*tokens, (*a, first), (*b, second))?.into(), 0]
            }
        })
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Count(ngram, proof) => json!({ "ngram": ngram, "proof": count_json(proof) }),
            Self::Longest(ngram, proof) => json!({ "ngram": ngram, "proof": {
                "tokens": proof.tokens,
                "found": count_json(&proof.found),
                "longer": each(proof.longer.as_ref(), count_json),
            }}),
            Self::Order(OrderProof { rank, first, second }) => json!({ "proof": {
                "rank": rank, "first": suffix_json(first), "second": each(second, suffix_json),
            }}),
            Self::Missing(MissingProof { position, text, rank, before, after }) => {
                json!({ "proof": {
                    "position": position, "text": each(text, leaf_json), "rank": rank,
                    "before": each(before, suffix_json), "afterwards": each(after, suffix_json),
                }})
            }
            Self::Row(position, RowOpening { row, entry, next }) => {
                json!({ "position": position, "proof": {
                    "row": row, "entry": leaf_json(entry), "next": each(next, leaf_json),
                }})
            }
            Self::Agree(tokens, a, first, b, second) => json!({
                "tokens": tokens, "rank": a, "opening": suffix_json(first),
                "otherRank": b, "other": suffix_json(second),
            }),
        }
    }

    fn from_json(kind: usize, case: &Value) -> Self {
        let proof = &case["proof"];
        let ngram = || list(&case["ngram"], |token| u32::try_from(int(token)).unwrap());
        match kind {
            0 => Self::Count(ngram(), count_of(proof)),
            1 => Self::Longest(
                ngram(),
                LongestProof {
                    tokens: usize::try_from(int(&proof["tokens"])).unwrap(),
                    found: count_of(&proof["found"]),
                    longer: list(&proof["longer"], count_of).pop(),
                },
            ),
            2 => Self::Order(OrderProof {
                rank: int(&proof["rank"]),
                first: suffix_of(&proof["first"]),
                second: list(&proof["second"], suffix_of).pop(),
            }),
            3 => Self::Missing(MissingProof {
                position: int(&proof["position"]),
                text: list(&proof["text"], leaf_of),
                rank: int(&proof["rank"]),
                before: list(&proof["before"], suffix_of).pop(),
                after: list(&proof["afterwards"], suffix_of).pop(),
            }),
            4 => Self::Row(
                int(&case["position"]),
                RowOpening {
                    row: u32::try_from(int(&proof["row"])).unwrap(),
                    entry: leaf_of(&proof["entry"]),
                    next: list(&proof["next"], leaf_of).pop(),
                },
            ),
            _ => Self::Agree(
                int(&case["tokens"]),
                int(&case["rank"]),
                suffix_of(&case["opening"]),
                int(&case["otherRank"]),
                suffix_of(&case["other"]),
            ),
        }
    }

    /// Every opened leaf.
    fn leaves(&mut self) -> Vec<&mut LeafOpening> {
        fn of(suffix: &mut SuffixOpening) -> Vec<&mut LeafOpening> {
            std::iter::once(&mut suffix.pointer).chain(&mut suffix.text).collect()
        }
        fn of_count(proof: &mut CountProof) -> Vec<&mut LeafOpening> {
            let CountProof { before, ends, after, .. } = proof;
            before.iter_mut().chain(ends.iter_mut().flatten()).chain(after).flat_map(of).collect()
        }
        match self {
            Self::Count(_, proof) => of_count(proof),
            Self::Longest(_, proof) => {
                let longer = proof.longer.iter_mut().flat_map(of_count);
                of_count(&mut proof.found).into_iter().chain(longer).collect()
            }
            Self::Order(proof) => {
                std::iter::once(&mut proof.first).chain(&mut proof.second).flat_map(of).collect()
            }
            Self::Missing(proof) => {
                let beside = proof.before.iter_mut().chain(&mut proof.after).flat_map(of);
                proof.text.iter_mut().chain(beside).collect()
            }
            Self::Row(_, proof) => {
                std::iter::once(&mut proof.entry).chain(&mut proof.next).collect()
            }
            Self::Agree(_, _, first, _, second) => {
                of(first).into_iter().chain(of(second)).collect()
            }
        }
    }
}

fn int(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

fn each<'a, T: 'a>(items: impl IntoIterator<Item = &'a T>, of: impl Fn(&T) -> Value) -> Value {
    items.into_iter().map(of).collect()
}

fn bytes_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap()
}

fn hex_of(bytes: impl AsRef<[u8]>) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

fn leaf_json(opening: &LeafOpening) -> Value {
    let siblings: Vec<Value> = opening.siblings.iter().map(hex_of).collect();
    json!({ "leaf": hex_of(&opening.leaf), "siblings": siblings })
}

fn leaf_of(value: &Value) -> LeafOpening {
    let siblings = list(&value["siblings"], |sibling| bytes_of(sibling).try_into().unwrap());
    LeafOpening { leaf: bytes_of(&value["leaf"]), siblings }
}

fn suffix_json(opening: &SuffixOpening) -> Value {
    json!({ "pointer": leaf_json(&opening.pointer), "text": each(&opening.text, leaf_json) })
}

fn suffix_of(value: &Value) -> SuffixOpening {
    SuffixOpening { pointer: leaf_of(&value["pointer"]), text: list(&value["text"], leaf_of) }
}

fn count_json(proof: &CountProof) -> Value {
    json!({
        "low": proof.low,
        "high": proof.high,
        "before": each(&proof.before, suffix_json),
        "ends": each(proof.ends.iter().flatten(), suffix_json),
        "afterwards": each(&proof.after, suffix_json),
    })
}

fn count_of(value: &Value) -> CountProof {
    CountProof {
        low: int(&value["low"]),
        high: int(&value["high"]),
        before: list(&value["before"], suffix_of).pop(),
        ends: list(&value["ends"], suffix_of).try_into().ok(),
        after: list(&value["afterwards"], suffix_of).pop(),
    }
}

fn index_json(index: &ShardCommitment) -> Value {
    json!({
        "tokens": index.tokens, "positions": index.positions, "rows": index.rows,
        "textRoot": hex_of(index.text_root), "suffixRoot": hex_of(index.suffix_root),
        "rowRoot": hex_of(index.row_root), "hash": hex_of(index.hash()),
    })
}

fn index_of(value: &Value) -> ShardCommitment {
    let root = |name: &str| bytes_of(&value[name]).try_into().unwrap();
    ShardCommitment {
        tokens: int(&value["tokens"]),
        positions: int(&value["positions"]),
        rows: u32::try_from(int(&value["rows"])).unwrap(),
        text_root: root("textRoot"),
        suffix_root: root("suffixRoot"),
        row_root: root("rowRoot"),
    }
}

/// A claim and every way to change what it opens.
fn with_changed_leaves(name: &str, claim: &Claim) -> Vec<(String, Claim)> {
    let mut cases = vec![(name.to_owned(), claim.clone())];
    let count = claim.clone().leaves().len();
    for leaf in 0..count {
        let changes: [(&str, Change<'_, LeafOpening>); 5] = [
            ("a byte changed", &|opening| opening.leaf[3] ^= 1),
            ("a byte less", &|opening| opening.leaf.truncate(opening.leaf.len() - 1)),
            ("a sibling changed", &|opening| opening.siblings[0][31] ^= 1),
            ("a sibling less", &|opening| {
                opening.siblings.truncate(opening.siblings.len() - 1);
            }),
            ("a sibling more", &|opening| opening.siblings.push([0; 32])),
        ];
        for (at, (change, of)) in changes.into_iter().enumerate() {
            // Leaves are checked alike: all changes of the first, and one of each further one.
            if leaf > 0 && at != leaf % changes.len() {
                continue;
            }
            let mut changed = claim.clone();
            of(changed.leaves()[leaf]);
            cases.push((format!("{name}, leaf {leaf}: {change}"), changed));
        }
    }
    cases
}

fn counts(shard: &CommittedShard<'_>) -> Vec<(String, Claim)> {
    let ngram = vec![1, 2];
    let good = shard.prove_count(&ngram);
    let inner = |rank: u64| shard.open_suffix(rank, 2);
    let mut cases = with_changed_leaves("a count", &Claim::Count(ngram.clone(), good.clone()));
    let mut case = |name: &str, change: &dyn Fn(&mut CountProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        cases.push((format!("a count: {name}"), Claim::Count(ngram.clone(), proof)));
    };
    case("low too high", &|p| p.low += 1);
    case("high too low", &|p| p.high -= 1);
    case("ranks exchanged", &|p| (p.low, p.high) = (p.high, p.low));
    case("beyond the array", &|p| p.high = 1 << 40);
    case("nothing before", &|p| p.before = None);
    case("nothing after", &|p| p.after = None);
    case("no ends", &|p| p.ends = None);
    case("no text", &|p| p.before.as_mut().unwrap().text.clear());
    case("another before", &|p| p.before = Some(p.ends.as_ref().unwrap()[0].clone()));
    case("a narrower range", &|p| {
        *p = CountProof {
            low: p.low + 1,
            high: p.high - 1,
            before: Some(inner(p.low)),
            ends: Some([inner(p.low + 1), inner(p.high - 2)]),
            after: Some(inner(p.high - 1)),
        };
    });
    case("a wider range", &|p| {
        *p = CountProof {
            low: p.low - 1,
            high: p.high + 1,
            before: Some(inner(p.low - 2)),
            ends: Some([inner(p.low - 1), inner(p.high)]),
            after: Some(inner(p.high + 1)),
        };
    });
    for (name, ngram) in [
        ("the empty n-gram", vec![]),
        ("the first suffixes", vec![0]),
        ("the last suffixes", vec![2]),
        ("nowhere", vec![0, 7, 1]),
        ("no token's id", vec![u32::MAX]),
        ("twice, longer than a leaf", copied()),
    ] {
        let proof = shard.prove_count(&ngram);
        cases.push((format!("a count: {name}"), Claim::Count(ngram, proof)));
    }
    cases
}

/// The first 100 tokens of the row that is there twice.
fn copied() -> Vec<u32> {
    long(7).rows[12][..100].to_vec()
}

fn longest(shard: &CommittedShard<'_>) -> Vec<(String, Claim)> {
    let mut text = copied()[..9].to_vec();
    text.push(9);
    let good = shard.prove_longest(&text);
    assert_eq!(good.tokens, 9);
    let mut cases =
        vec![("a longest match".to_owned(), Claim::Longest(text.clone(), good.clone()))];
    let whole = text[..6].to_vec();
    cases.push(("a whole text".into(), Claim::Longest(whole.clone(), shard.prove_longest(&whole))));
    let none = vec![9, 1];
    cases.push(("no match".into(), Claim::Longest(none.clone(), shard.prove_longest(&none))));
    let mut case = |name: &str, change: &dyn Fn(&mut LongestProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        cases.push((format!("a longest match: {name}"), Claim::Longest(text.clone(), proof)));
    };
    case("longer than the text", &|p| p.tokens = 11);
    case("too long", &|p| {
        *p = LongestProof { tokens: 10, found: shard.prove_count(&text), longer: None };
    });
    case("too short", &|p| {
        *p = LongestProof {
            tokens: 8,
            found: shard.prove_count(&text[..8]),
            longer: Some(shard.prove_count(&text[..9])),
        };
    });
    case("the next not shown", &|p| p.longer = None);
    case("another match", &|p| p.found = shard.prove_count(&text[..8]));
    cases
}

fn agreements(shard: &CommittedShard<'_>) -> Vec<(String, Claim)> {
    let found = shard.prove_count(&[1, 2]);
    let agree = |tokens, a, b| {
        Claim::Agree(tokens, a, shard.open_suffix(a, tokens), b, shard.open_suffix(b, tokens))
    };
    let mut cases = with_changed_leaves("an agreement", &agree(2, found.low, found.high - 1));
    cases.push(("other tokens".into(), agree(2, found.low, found.high)));
    cases.push(("beyond a row".into(), agree(200, found.low, found.low)));
    let Claim::Agree(_, a, first, b, second) = agree(0, found.low, found.high) else {
        return cases;
    };
    let unopened = Claim::Agree(1, a, first.clone(), b, second.clone());
    cases.push(("no tokens".into(), Claim::Agree(0, a, first.clone(), b, second)));
    cases.push(("text not opened".into(), unopened));
    let outside = Claim::Agree(0, 1 << 50, first.clone(), a, first);
    cases.push(("a rank beyond the array".into(), outside));
    cases
}

fn rows(shard: &CommittedShard<'_>) -> Vec<(String, Claim)> {
    let positions = shard.commitment().positions;
    let at = |position| Claim::Row(position, shard.open_row_at(position));
    let mut cases = with_changed_leaves("a row", &at(positions / 2));
    cases.push(("the first row".into(), at(0)));
    cases.push(("the last row".into(), at(positions - 1)));
    let Claim::Row(position, opening) = at(positions / 2) else { return cases };
    let wrong = |position, change: &dyn Fn(&mut RowOpening)| {
        let mut opening = opening.clone();
        change(&mut opening);
        Claim::Row(position, opening)
    };
    cases.push(("before the row".into(), wrong(0, &|_| {})));
    cases.push(("after the row".into(), wrong(positions - 1, &|_| {})));
    cases.push(("beyond the text".into(), wrong(1 << 60, &|_| {})));
    cases.push(("no next row".into(), wrong(position, &|o| o.next = None)));
    cases.push(("another row's number".into(), wrong(position, &|o| o.row += 1)));
    cases.push(("no row's number".into(), wrong(position, &|o| o.row = u32::MAX)));
    cases
}

/// Indexes with claims about each.
fn cases() -> Vec<(ShardCommitment, String, Claim)> {
    let corpus = long(7);
    let (_folder, index) = corpus.build(1 << 20);
    let shard = index.commit(0).unwrap();
    let mut all = Vec::new();
    let mut add = |index: ShardCommitment, cases: Vec<(String, Claim)>| {
        all.extend(cases.into_iter().map(|(name, claim)| (index, name, claim)));
    };
    let commitment = shard.commitment();
    add(commitment, counts(&shard));
    add(commitment, longest(&shard));
    add(commitment, agreements(&shard));
    add(commitment, rows(&shard));
    let tokens = commitment.tokens;
    let order = |rank| Claim::Order(shard.prove_order(rank));
    let ordered =
        [0, tokens / 2, tokens - 1].map(|rank| (format!("rank {rank} in order"), order(rank)));
    add(commitment, ordered.to_vec());
    let end = corpus.rows[0].len() as u64;
    let there = [0, end, commitment.positions - 2]
        .map(|at| (format!("position {at} not missing"), Claim::Missing(shard.prove_missing(at))));
    add(commitment, there.to_vec());
    disordered(&corpus, &mut add);
    incomplete(corpus, &mut add);
    all
}

type Add<'a> = dyn FnMut(ShardCommitment, Vec<(String, Claim)>) + 'a;

fn disordered(corpus: &Corpus, add: &mut Add<'_>) {
    let end = u16::try_from(corpus.rows[0].len()).unwrap().to_be_bytes();
    let changes: [(&str, Change<'_, [u8]>); 4] = [
        ("exchanged neighbours", &|bytes| bytes[60..64].rotate_left(2)),
        ("a suffix twice", &|bytes| bytes.copy_within(60..62, 62)),
        ("the end of a row", &|bytes| bytes[60..62].copy_from_slice(&end)),
        ("outside the text", &|bytes| bytes[60..62].fill(0xff)),
    ];
    for (name, change) in changes {
        let (folder, _) = corpus.build(1 << 20);
        let path = folder.path().join("index");
        let mut bytes = fs::read(path.join("0.suffixes")).unwrap();
        change(&mut bytes);
        fs::write(path.join("0.suffixes"), bytes).unwrap();
        let check = attribution::spans::Check::Header;
        let index = attribution::spans::SpanIndex::open(&path, check).unwrap();
        let shard = index.commit(0).unwrap();
        let disorder = Claim::Order(shard.prove_order(30));
        let mut cases = with_changed_leaves(name, &disorder);
        if let Claim::Order(mut proof) = disorder {
            proof.second = None;
            cases.push((format!("{name}: no second suffix"), Claim::Order(proof.clone())));
            proof.rank = 1 << 50;
            cases.push((format!("{name}: beyond the array"), Claim::Order(proof)));
        }
        cases.push((format!("{name}: elsewhere"), Claim::Order(shard.prove_order(5))));
        add(shard.commitment(), cases);
    }
}

fn incomplete(mut corpus: Corpus, add: &mut Add<'_>) {
    corpus.rows.push(vec![]);
    corpus.clusters.push(14);
    let (_folder, whole) = corpus.build(1 << 20);
    let whole = whole.commit(0).unwrap();
    let tokens = whole.commitment().tokens;
    for rank in [0, 77, tokens - 1] {
        let opening = whole.open_suffix(rank, 0);
        let missing = whole.commitment().position(rank, &opening).unwrap();
        let (_folder, index) = lacking(&corpus, usize::try_from(rank).unwrap());
        let shard = index.commit(0).unwrap();
        let name = format!("rank {rank} missing");
        let good = shard.prove_missing(missing);
        let mut cases = with_changed_leaves(&name, &Claim::Missing(good.clone()));
        let other = Claim::Missing(shard.prove_missing(missing + 1));
        cases.push((format!("{name}: another position"), other));
        let mut wrong = |what: &str, change: &dyn Fn(&mut MissingProof)| {
            let mut proof = good.clone();
            change(&mut proof);
            cases.push((format!("{name}: {what}"), Claim::Missing(proof)));
        };
        wrong("nothing beside", &|p| (p.before, p.after) = (None, None));
        wrong("another rank", &|p| p.rank += 1);
        wrong("beyond the array", &|p| p.rank = 1 << 50);
        wrong("no text", &|p| p.text.clear());
        wrong("outside the text", &|p| (p.position, p.text) = (1 << 50, vec![]));
        add(shard.commitment(), cases);
    }
}

#[test]
#[ignore = "writes test/vectors/spans.json"]
fn write() {
    let mut indexes: Vec<Value> = Vec::new();
    let mut file = json!({});
    for (index, name, claim) in cases() {
        let index_value = index_json(&index);
        let at = indexes.iter().position(|other| *other == index_value);
        let at = at.unwrap_or_else(|| {
            indexes.push(index_value);
            indexes.len() - 1
        });
        let (holds, shown, rule) = match claim.check(&index) {
            Ok(shown) => (true, shown, 0),
            Err(Error::SpanProof(rule)) => {
                (false, [0; 2], RULES.iter().position(|known| *known == rule).unwrap())
            }
            Err(other) => panic!("{other}"),
        };
        let mut case = claim.to_json();
        let shown =
            json!({ "name": name, "index": at, "holds": holds, "shown": shown, "rule": rule });
        case.as_object_mut().unwrap().extend(shown.as_object().unwrap().clone());
        let kind = KINDS[claim.kind()];
        if file.get(kind).is_none() {
            file[kind] = json!([]);
        }
        file[kind].as_array_mut().unwrap().push(case);
    }
    file["indexes"] = indexes.into();
    fs::write(path(), format!("{file}\n")).unwrap();
}

#[test]
fn the_vectors_are_what_the_verifier_says() {
    let file: Value = serde_json::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    let indexes = list(&file["indexes"], index_of);
    for (value, index) in file["indexes"].as_array().unwrap().iter().zip(&indexes) {
        assert_eq!(value["hash"], hex_of(index.hash()));
    }
    let mut rules = [0; RULES.len()];
    for (kind, name) in KINDS.iter().enumerate() {
        let cases = file[name].as_array().unwrap();
        assert!(cases.iter().any(|case| case["holds"] == true), "{name}");
        for case in cases {
            let index = &indexes[usize::try_from(int(&case["index"])).unwrap()];
            let rule = usize::try_from(int(&case["rule"])).unwrap();
            let expected = if case["holds"] == true {
                Ok(list(&case["shown"], int).try_into().unwrap())
            } else {
                rules[rule] += 1;
                Err(Error::SpanProof(RULES[rule]))
            };
            assert_eq!(Claim::from_json(kind, case).check(index), expected, "{}", case["name"]);
        }
    }
    assert!(rules.iter().all(|&count| count > 0), "every rule is broken by a vector: {rules:?}");
}
