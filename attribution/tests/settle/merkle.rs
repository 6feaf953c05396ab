use attribution::{
    Error,
    settle::{Hash, keccak, merkle},
};
use proptest::prelude::*;

use crate::vectors::{bytes, list, load, number, text};

#[test]
fn row_trees_are_those_that_solidity_verifies() {
    for tree in list(&load("merkle.json")["rowTrees"]) {
        let leaf = |row: &serde_json::Value| {
            assert_eq!(keccak(&[text(&row["text"]).as_bytes()]), bytes(&row["rowHash"]));
            let (hash, cluster) = (bytes(&row["rowHash"]), bytes(&row["clusterHash"]));
            merkle::row_leaf(number(&row["index"]), hash, bytes(&row["contributor"]), cluster)
        };
        check_tree(bytes(&tree["root"]), list(&tree["rows"]), leaf);
    }
}

proptest! {
    #[test]
    fn a_left_child_has_the_largest_power_of_two_below(count in 2u32..) {
        let left = merkle::left_count(count);
        prop_assert!(left.is_power_of_two() && left < count);
        prop_assert!(u64::from(left) * 2 >= u64::from(count));
    }
}

fn check_tree(
    root: Hash,
    entries: &[serde_json::Value],
    leaf: impl Fn(&serde_json::Value) -> Hash,
) {
    let leaves: Vec<_> = entries.iter().map(&leaf).collect();
    assert_eq!(merkle::root(&leaves), root);
    for (i, entry) in entries.iter().enumerate() {
        assert_eq!(leaves[i], bytes(&entry["leaf"]));
        let proof: Vec<Hash> = list(&entry["proof"]).iter().map(bytes).collect();
        assert_eq!(merkle::proof(&leaves, i), Ok(proof.clone()));
        assert!(merkle::verify(root, leaves[i], &proof));
    }
}

#[test]
fn a_leaf_hashes_its_words_twice() {
    let words = [[1; 32], [2; 32]];
    let inner = keccak(&[&[1; 32], &[2; 32]]);
    assert_eq!(merkle::leaf_hash(&words), keccak(&[&inner]));
}

#[test]
fn a_leaf_outside_the_tree_has_no_proof() {
    let refused = Err(Error::NoSuchLeaf { index: 1, leaves: 1 });
    assert_eq!(merkle::proof(&[[7; 32]], 1), refused);
    assert_eq!(merkle::proof(&[[7; 32]], 0), Ok(vec![]));
    assert_eq!(merkle::root(&[]), [0; 32]);
}

proptest! {
    #[test]
    fn a_proof_holds_for_its_leaf_only(count in 1_usize..40, at: prop::sample::Index, other: u8) {
        let leaves: Vec<Hash> = (0..count).map(|i| keccak(&[&i.to_be_bytes()])).collect();
        let i = at.index(count);
        let (root, proof) = (merkle::root(&leaves), merkle::proof(&leaves, i).unwrap());
        prop_assert!(merkle::verify(root, leaves[i], &proof));
        prop_assert!(!merkle::verify(root, keccak(&[&[other]]), &proof));
        for (j, leaf) in leaves.iter().enumerate() {
            prop_assert!(j == i || !merkle::verify(root, *leaf, &proof));
        }
    }
}
