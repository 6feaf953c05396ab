//! Partial sums of a contributor's sketches, as a tree whose every node can be opened.

use rayon::prelude::*;

use crate::settle::{
    EarnerIndex, Hash, keccak,
    merkle::{self, SumNode},
};

/// Which row of a model's Datanets a sketch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// Place of the Datanet version among those of the model.
    pub datanet: u8,
    /// Position in the version.
    pub index: u64,
    /// keccak256 of the row's text.
    pub hash: Hash,
    /// `hash` of the canonical row of its duplicate cluster.
    pub cluster: Hash,
}

impl IndexRow {
    /// What a leaf says of it: [`merkle::index_row_hash`].
    #[must_use]
    pub fn commitment(&self) -> Hash {
        merkle::index_row_hash(self.datanet, self.index, self.hash, self.cluster)
    }

    /// What rows ascend by.
    #[must_use]
    pub const fn place(&self) -> (u8, u64) {
        (self.datanet, self.index)
    }
}

/// A contributor's leaf under an index's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContributorLeaf {
    /// Place among the contributors.
    pub ordinal: u32,
    /// Whom it pays.
    pub earner: EarnerIndex,
    /// Root of its partial-sum tree; its count is the contributor's accepted rows.
    pub root: SumNode,
}

impl ContributorLeaf {
    /// [`merkle::index_leaf`].
    #[must_use]
    pub fn hash(&self) -> Hash {
        merkle::index_leaf(self.ordinal, self.earner, &self.root)
    }
}

/// Every contributor's leaf with its sums, `(d,)`, in order.
///
/// - `earners`: of the contributors
/// - `tree`: of each contributor
pub(super) fn commit<'a>(
    earners: &[EarnerIndex],
    tree: impl Fn(usize) -> SumTree<'a> + Sync,
) -> Vec<(ContributorLeaf, Vec<i32>)> {
    let leaf = |(c, &earner): (usize, &EarnerIndex)| {
        let (root, sums) = tree(c).root();
        let ordinal = u32::try_from(c).expect("contributors are at most 2^24");
        (ContributorLeaf { ordinal, earner, root }, sums)
    };
    earners.par_iter().enumerate().map(leaf).collect()
}

/// A contributor's accepted rows in order, each with its sketch, `(d,)`.
#[derive(Clone, Debug)]
pub struct SumTree<'a> {
    dim: usize,
    rows: Vec<(IndexRow, &'a [i8])>,
}

/// The way from a tree's root to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePath {
    /// Bit `i` is set if `nodes[i]` is the right child of the node above it.
    pub turns: u32,
    /// From the root's child down to the node; empty for the root itself.
    pub nodes: Vec<SumNode>,
}

/// A node over several rows with its children and everybody's sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedNode {
    /// The way to the node.
    pub path: NodePath,
    /// The node.
    pub node: SumNode,
    /// Its children.
    pub children: [SumNode; 2],
    /// Sums of the node, `(d,)`.
    pub sums: Vec<i32>,
    /// Sums of the children, each `(d,)`.
    pub child_sums: [Vec<i32>; 2],
}

impl<'a> SumTree<'a> {
    /// The tree over these rows; at most 2^24, so that sums fit in i32. Whether they ascend is not
    /// checked here.
    #[must_use]
    pub const fn new(dim: usize, rows: Vec<(IndexRow, &'a [i8])>) -> Self {
        Self { dim, rows }
    }

    /// The rows and their sketches.
    #[must_use]
    pub fn rows(&self) -> &[(IndexRow, &'a [i8])] {
        &self.rows
    }

    /// The root, and the sum of all sketches, `(d,)`.
    #[must_use]
    pub fn root(&self) -> (SumNode, Vec<i32>) {
        self.node(&self.rows)
    }

    /// The way to the leaf of the row with this rank; `None` if there is none.
    #[must_use]
    pub fn path(&self, rank: usize) -> Option<NodePath> {
        let (mut rows, mut rank) = (self.rows.as_slice(), rank);
        if rank >= rows.len() {
            return None;
        }
        let mut path = NodePath::default();
        while rows.len() > 1 {
            let (left, right) = split(rows);
            let is_right = rank >= left.len();
            if is_right {
                rank -= left.len();
            }
            rows = self.step(&mut path, is_right, [left, right]);
        }
        Some(path)
    }

    /// Opens the node that `depth` turns lead to; `None` if they lead below a leaf or to one.
    ///
    /// - `turns`: bit `i` is set to go right at the `i`-th node
    #[must_use]
    pub fn open(&self, turns: u32, depth: u32) -> Option<OpenedNode> {
        let mut rows = self.rows.as_slice();
        let mut path = NodePath::default();
        for i in 0..depth {
            if rows.len() < 2 {
                return None;
            }
            let (left, right) = split(rows);
            rows = self.step(&mut path, turns.checked_shr(i)? & 1 == 1, [left, right]);
        }
        if rows.len() < 2 {
            return None;
        }
        let (left, right) = split(rows);
        let ((node, sums), (left, left_sums), (right, right_sums)) =
            (self.node(rows), self.node(left), self.node(right));
        let (children, child_sums) = ([left, right], [left_sums, right_sums]);
        Some(OpenedNode { path, node, children, sums, child_sums })
    }

    fn step<'b>(
        &self,
        path: &mut NodePath,
        is_right: bool,
        children: [&'b [(IndexRow, &'a [i8])]; 2],
    ) -> &'b [(IndexRow, &'a [i8])] {
        let rows = children[usize::from(is_right)];
        path.turns |= u32::from(is_right) << path.nodes.len();
        path.nodes.push(self.node(rows).0);
        rows
    }

    /// The node over these rows, and its sums. Holds one vector of sums per level.
    fn node(&self, rows: &[(IndexRow, &[i8])]) -> (SumNode, Vec<i32>) {
        if rows.len() > 1 {
            let (left, right) = split(rows);
            let (left, mut sums) = self.node(left);
            let (right, added) = self.node(right);
            sums.iter_mut().zip(added).for_each(|(sum, x)| *sum += x);
            let (count, sums_hash) = (left.count + right.count, sums_hash(&sums));
            return (SumNode { count, sums_hash, left: left.hash(), right: right.hash() }, sums);
        }
        let (count, left, sums) = match rows.first() {
            Some((row, sketch)) => {
                (1, row.commitment(), sketch.iter().copied().map(i32::from).collect())
            }
            None => (0, [0; 32], vec![0; self.dim]),
        };
        (SumNode { count, sums_hash: sums_hash(&sums), left, right: [0; 32] }, sums)
    }
}

/// keccak256 of sums as big-endian i32.
#[must_use]
pub fn sums_hash(sums: &[i32]) -> Hash {
    keccak(&[&sums_bytes(sums)])
}

/// Sums as a contract takes them: big-endian i32.
#[must_use]
pub fn sums_bytes(sums: &[i32]) -> Vec<u8> {
    sums.iter().flat_map(|x| x.to_be_bytes()).collect()
}

fn split<T>(rows: &[T]) -> (&[T], &[T]) {
    let count = u32::try_from(rows.len()).expect("rows are at most 2^24");
    rows.split_at(merkle::left_count(count) as usize)
}
