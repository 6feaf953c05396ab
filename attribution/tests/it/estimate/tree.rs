//! The trees of `test/vectors/index.json`, which an independent script wrote and contracts read.

use std::{fmt::Debug, path::Path, str::FromStr};

use attribution::{
    Error,
    estimate::{PublishedIndex, SumTree, sums_bytes},
    settle::{
        Hash,
        merkle::{self, SumNode},
    },
};
use proptest::prelude::*;
use serde_json::Value;

use super::index::build;

fn vectors() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/index.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["indexes"].as_array().unwrap().clone()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn number<T: FromStr<Err: Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(&value.as_str().unwrap()[2..]).unwrap()
}

fn hash(value: &Value) -> Hash {
    bytes(value).try_into().unwrap()
}

/// The word `i` of ABI words.
fn word(words: &[u8], i: usize) -> Hash {
    words[32 * i..][..32].try_into().unwrap()
}

fn uint(words: &[u8], i: usize) -> u64 {
    u64::from_be_bytes(word(words, i)[24..].try_into().unwrap())
}

fn node(words: &[u8]) -> SumNode {
    let [sums_hash, left, right] = [1, 2, 3].map(|i| word(words, i));
    SumNode { count: uint(words, 0) as u32, sums_hash, left, right }
}

fn path(value: &Value) -> Vec<SumNode> {
    bytes(value).chunks_exact(128).map(node).collect()
}

#[test]
fn indexes_of_the_vectors_have_their_roots_leaves_and_proofs() {
    for vector in vectors() {
        let published = PublishedIndex::from_bytes(&bytes(&vector["published"])).unwrap();
        assert_eq!(published.dim(), number::<usize>(&vector["dim"]));
        assert_eq!(published.root(), hash(&vector["root"]), "{}", vector["name"]);
        let leaves = published.leaves();
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash()).collect();
        let contributors: Vec<_> = list(&vector["contributors"]).collect();
        assert_eq!(leaves.len(), contributors.len());
        for (c, expected) in contributors.into_iter().enumerate() {
            let words = bytes(&expected["contributor"]);
            assert_eq!(u64::from(leaves[c].ordinal), uint(&words, 0));
            assert_eq!(u64::from(leaves[c].earner.0), uint(&words, 1));
            assert_eq!(leaves[c].root, node(&words[64..]));
            assert_eq!(hashes[c], hash(&expected["leaf"]));
            let proof: Vec<Hash> = list(&expected["proof"]).map(hash).collect();
            assert_eq!(merkle::proof(&hashes, c).unwrap(), proof);
            check_tree(&published.tree(c).unwrap(), expected);
        }
    }
}

fn check_tree(tree: &SumTree<'_>, expected: &Value) {
    let rows: Vec<_> = list(&expected["rows"]).collect();
    assert_eq!(rows.len(), tree.rows().len());
    for (rank, row) in rows.into_iter().enumerate() {
        let (found, sketch) = tree.rows()[rank];
        let words = bytes(&row["row"]);
        assert_eq!((u64::from(found.datanet), found.index), (uint(&words, 0), uint(&words, 1)));
        assert_eq!((found.hash, found.cluster), (word(&words, 2), word(&words, 3)));
        let expected: Vec<i8> = bytes(&row["sketch"]).into_iter().map(u8::cast_signed).collect();
        assert_eq!(sketch, expected);
        let way = tree.path(rank).unwrap();
        assert_eq!((way.turns, way.nodes), (number(&row["turns"]), path(&row["path"])));
    }
    assert!(tree.path(tree.rows().len()).is_none());
    for inner in list(&expected["nodes"]) {
        let (turns, nodes) = (number(&inner["turns"]), path(&inner["path"]));
        let opened = tree.open(turns, u32::try_from(nodes.len()).unwrap()).unwrap();
        assert_eq!(opened.path.nodes, nodes);
        assert_eq!(opened.node, nodes.last().copied().unwrap_or_else(|| tree.root().0));
        let children = ["left", "right"].map(|child| node(&bytes(&inner[child])));
        assert_eq!(opened.children, children);
        let [left, right] = &opened.child_sums;
        let sums = [&opened.sums, left, right].map(|sums| sums_bytes(sums));
        assert_eq!(sums.to_vec(), list(&inner["sums"]).map(bytes).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_published_gives_the_root_again() {
    for n in [1, 9, 60] {
        let (index, _) = build(n);
        let mut bytes = index.published();
        let published = PublishedIndex::from_bytes(&bytes).unwrap();
        assert_eq!(published.root(), index.root());
        assert_eq!(published.leaves(), index.leaves());
        bytes.extend([0; 100]);
        assert_eq!(PublishedIndex::from_bytes(&bytes).unwrap(), published);
    }
}

#[test]
fn nodes_below_leaves_cannot_be_opened() {
    let (index, _) = build(9);
    let tree = index.tree(0).unwrap();
    assert_eq!(tree.rows().len(), 3);
    assert!(tree.open(0, 0).is_some() && tree.open(0, 1).is_some());
    assert!(tree.open(1, 1).is_none(), "the right child is a leaf");
    assert!(tree.open(0, 2).is_none() && tree.open(0, 3).is_none());
}

#[test]
fn damaged_publications_are_named() {
    let bytes = build(9).0.published();
    let with = |at: usize, value: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        PublishedIndex::from_bytes(&bytes).map(|_| "a good index")
    };
    assert_eq!(with(0, b"X"), Err(Error::Corrupt("magic differs")));
    assert_eq!(with(8, &[9, 9]), Err(Error::Version(0x909)));
    let range = Err(Error::Corrupt("dimension, contributors or rows out of range"));
    assert_eq!(with(10, &[0; 4]), range);
    assert_eq!(with(14, &[255; 4]), range);
    assert_eq!(with(18, &[255; 4]), range);
    assert_eq!(with(18, &[0, 1, 0, 0]), Err(Error::Corrupt("ends inside an array")));
    let other = Err(Error::Corrupt("contributors' rows are not all rows"));
    assert_eq!(with(26, &[0, 0, 0, 9]), other);
    let mut longer = bytes.clone();
    longer.extend([0, 1]);
    assert_eq!(
        PublishedIndex::from_bytes(&longer).map(|_| ()),
        Err(Error::Corrupt("does not end in zeros"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_publications_never_panic_and_never_keep_the_root(
        at in any::<prop::sample::Index>(),
        change in 1u8..,
        cut: bool,
    ) {
        let (index, _) = build(9);
        let mut bytes = index.published();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= change }
        if let Ok(published) = PublishedIndex::from_bytes(&bytes) {
            prop_assert_ne!(published.root(), index.root());
        }
    }
}
