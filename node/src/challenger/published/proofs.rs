//! A fault of an index as the call that proves it.

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::{SolCall, SolValue},
};
use attribution::{
    estimate::{PublishedIndex, sums_bytes},
    settle::merkle::SumNode,
};

use super::{
    super::indexes::Index,
    faults::{Fault, Gap, Leaf},
    rows::Rows,
};
use crate::{
    Error, Result,
    chain::bindings::{
        ContributorProof,
        IIndexDisputes::{self as Disputes, Fault as Kind},
        IndexNode, IndexRow, NodeProof, RowProof,
    },
};

/// What is sent to IndexDisputes.
#[derive(Debug)]
pub(super) enum Proof {
    /// Strikes the index at once.
    Fault(Kind, Bytes),
    /// A claim with its id: strikes the index unless somebody answers it in time.
    Claim(B256, Claim),
}

/// A claim that something is missing.
#[derive(Debug)]
pub(super) enum Claim {
    Row(Box<Disputes::claimLeftOutRowCall>),
    Contributor(Box<Disputes::claimLeftOutContributorCall>),
    Ordinal(Disputes::claimMissingOrdinalCall),
}

impl Claim {
    /// What it shows when nobody answers.
    pub(super) const fn fault(&self) -> Kind {
        match self {
            Self::Row(_) | Self::Contributor(_) => Kind::LeftOut,
            Self::Ordinal(_) => Kind::MissingOrdinal,
        }
    }
}

/// What a proof is made from.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) model: B256,
    pub(super) published: &'a PublishedIndex,
    pub(super) index: &'a Index,
    pub(super) rows: &'a Rows,
    /// Who sends it.
    pub(super) challenger: Address,
}

impl Maker<'_> {
    /// Opens what a fault names.
    ///
    /// # Errors
    /// [`Error::Dispute`] if the fault is not of this index.
    pub(super) fn proof(&self, fault: Fault) -> Result<Proof> {
        let model = self.model;
        Ok(match fault {
            Fault::LeftOutRow(..) | Fault::LeftOutContributor(..) => return self.claim(fault),
            Fault::MissingOrdinal(ordinal) => return self.claim_ordinal(ordinal),
            Fault::Contributors(before) => {
                let (a, b) = (self.index.proof(before)?, self.index.proof(before + 1)?);
                fault_of(Kind::Contributors, &Disputes::proveContributorsCall { model, a, b })
            }
            Fault::Ordinal(ordinal) => {
                let contributor = self.index.proof(ordinal)?;
                fault_of(Kind::Ordinal, &Disputes::proveOrdinalCall { model, contributor })
            }
            Fault::Node(ordinal) => {
                let contributor = self.index.proof(ordinal)?;
                let node = NodeProof { contributor, turns: U256::ZERO, path: vec![] };
                fault_of(Kind::Node, &Disputes::proveNodeCall { model, node })
            }
            Fault::Sketch(at, coordinate) => {
                let (leaf, sketch) = (self.node(at)?, self.sketch(at)?);
                let coordinate = U256::from(coordinate);
                let call = Disputes::proveSketchCall { model, leaf, sketch, coordinate };
                fault_of(Kind::Sketch, &call)
            }
            Fault::Range(leaf) => {
                fault_of(Kind::Range, &Disputes::proveRangeCall { model, row: self.row(leaf)? })
            }
            Fault::NotCanonical(leaf) => {
                let row = self.row(leaf)?;
                fault_of(Kind::Canonical, &Disputes::proveNotCanonicalCall { model, row })
            }
            Fault::Row(leaf, place) => {
                let (row, actual) = (self.row(leaf)?, self.rows.proof(place)?);
                fault_of(Kind::Row, &Disputes::proveRowCall { model, row, actual })
            }
            Fault::Earlier(leaf, place) => {
                let (row, earlier) = (self.row(leaf)?, self.rows.proof(place)?);
                fault_of(Kind::Canonical, &Disputes::proveEarlierCall { model, row, earlier })
            }
            Fault::Order(before) => {
                let next = Leaf { rank: before.rank + 1, ..before };
                let (a, b) = (self.row(before)?, self.row(next)?);
                fault_of(Kind::Order, &Disputes::proveOrderCall { model, a, b })
            }
            Fault::Cluster(a, b) => {
                let (a, b) = (self.row(a)?, self.row(b)?);
                fault_of(Kind::Cluster, &Disputes::proveClusterCall { model, a, b })
            }
        })
    }

    fn claim(&self, fault: Fault) -> Result<Proof> {
        let model = self.model;
        let (row, call) = match fault {
            Fault::LeftOutRow(place, ordinal, gap) => {
                let (row, contributor) = (self.rows.proof(place)?, self.index.proof(ordinal)?);
                let leaf = |rank| self.row(Leaf { contributor: ordinal, rank });
                let [lower, upper] = sides(gap, leaf)?;
                let gap = Disputes::Gap { lower, upper };
                let (row_, call) =
                    (row.clone(), Disputes::claimLeftOutRowCall { model, row, contributor, gap });
                (row_, Claim::Row(Box::new(call)))
            }
            Fault::LeftOutContributor(place, gap) => {
                let row = self.rows.proof(place)?;
                let [lower, upper]: [Vec<ContributorProof>; 2] =
                    sides(gap, |ordinal| self.index.proof(ordinal))?;
                let call =
                    Disputes::claimLeftOutContributorCall { model, row: row.clone(), lower, upper };
                (row, Claim::Contributor(Box::new(call)))
            }
            other => return Err(Error::Dispute(format!("{other:?} is no claim"))),
        };
        let row = IndexRow {
            datanet: row.datanet,
            rowIndex: row.row.index,
            rowHash: row.row.rowHash,
            clusterHash: row.row.clusterHash,
        };
        Ok(Proof::Claim(keccak256((model, self.challenger, row).abi_encode()), call))
    }

    fn claim_ordinal(&self, ordinal: usize) -> Result<Proof> {
        let (model, by) = (self.model, self.challenger);
        let ordinal = u32::try_from(ordinal)
            .map_err(|_| Error::Dispute(format!("ordinal {ordinal} is past all indexes")))?;
        let claim = keccak256((model, by, ordinal).abi_encode());
        let call = Disputes::claimMissingOrdinalCall { model, ordinal };
        Ok(Proof::Claim(claim, Claim::Ordinal(call)))
    }

    /// The way from the root to a leaf.
    fn node(&self, leaf: Leaf) -> Result<NodeProof> {
        let contributor = self.index.proof(leaf.contributor)?;
        let tree = self.published.tree(leaf.contributor).ok_or_else(|| unknown(leaf))?;
        let path = tree.path(leaf.rank).ok_or_else(|| unknown(leaf))?;
        let node = |node: &SumNode| IndexNode {
            count: node.count,
            sumsHash: node.sums_hash.into(),
            left: node.left.into(),
            right: node.right.into(),
        };
        let (turns, path) = (U256::from(path.turns), path.nodes.iter().map(node).collect());
        Ok(NodeProof { contributor, turns, path })
    }

    fn row(&self, leaf: Leaf) -> Result<RowProof> {
        let tree = self.published.tree(leaf.contributor).ok_or_else(|| unknown(leaf))?;
        let (row, _) = *tree.rows().get(leaf.rank).ok_or_else(|| unknown(leaf))?;
        let row = IndexRow {
            datanet: row.datanet,
            rowIndex: row.index,
            rowHash: row.hash.into(),
            clusterHash: row.cluster.into(),
        };
        Ok(RowProof { node: self.node(leaf)?, row })
    }

    /// A leaf's sketch as its hash is of it.
    fn sketch(&self, leaf: Leaf) -> Result<Bytes> {
        let tree = self.published.tree(leaf.contributor).ok_or_else(|| unknown(leaf))?;
        let (_, sketch) = *tree.rows().get(leaf.rank).ok_or_else(|| unknown(leaf))?;
        let sums: Vec<i32> = sketch.iter().copied().map(i32::from).collect();
        Ok(sums_bytes(&sums).into())
    }
}

fn fault_of(kind: Kind, call: &impl SolCall) -> Proof {
    Proof::Fault(kind, call.abi_encode().into())
}

fn unknown(leaf: Leaf) -> Error {
    Error::Dispute(format!("the index has no {leaf:?}"))
}

/// What is on both sides of a gap, each empty or one.
fn sides<T>(gap: Gap, open: impl Fn(usize) -> Result<T>) -> Result<[Vec<T>; 2]> {
    let [lower, upper] = gap.map(|side| side.map(&open).into_iter().collect::<Result<_>>());
    Ok([lower?, upper?])
}
