//! Demands leaves of a span index whose files are not here: in rounds, each four times the one before, so
//! that a publisher who shows nothing is struck for the price of one, and one who withholds a part must
//! have been lucky in all rounds.
//!
//! A round is noted before its transactions are sent: after a crash the same leaves are demanded, and
//! those that were are refused the second time.

use std::collections::BTreeSet;

use alloy::primitives::{Address, B256, U256};
use attribution::spans::proof::{LEAF_POSITIONS, LEAF_SYMBOLS};
use rand::Rng;
use tracing::warn;

use super::SpanExamination;
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::{
            ISpanIndexes::{self, Tree},
            SpanCommitment,
        },
    },
    registry::SpanIndexView,
};

/// Most leaves of an index that are demanded: of a tree of which 1% is withheld, `1 - 0.99^299 = 95.05%`
/// of all choices meet a leaf that is not shown.
const MAX_LEAVES: usize = 299;

/// Leaves of a tree that were demanded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demanded<'a> {
    /// Number of the tree.
    pub(super) tree: u8,
    /// Leaves of all rounds, those of the last round last.
    pub(super) leaves: &'a [u64],
    /// How many are of the last round.
    pub(super) last: u32,
    /// When the last round is due (seconds); 0 before it is sent.
    pub(super) until: u64,
}

/// Sends demands about one model's index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demands<'a> {
    pub(super) client: &'a ChainClient,
    pub(super) contract: Address,
    pub(super) model: B256,
    pub(super) view: &'a SpanIndexView,
}

/// The first tree that is not what the rows give, and its leaves.
pub(super) fn wrong_tree(theirs: &SpanCommitment, ours: &SpanCommitment) -> (Tree, u64) {
    let tree = if theirs.rowRoot != ours.rowRoot {
        Tree::Rows
    } else if theirs.textRoot != ours.textRoot {
        Tree::Text
    } else {
        Tree::Suffixes
    };
    (tree, leaves(theirs, tree))
}

/// A tree by its number, and its leaves.
///
/// # Errors
/// [`Error::Store`] for a number that is none's.
pub(super) fn named_tree(of: &SpanCommitment, number: u8) -> Result<(Tree, u64)> {
    let tree = tree_of(number)?;
    Ok((tree, leaves(of, tree)))
}

fn leaves(of: &SpanCommitment, tree: Tree) -> u64 {
    match tree {
        Tree::Text => of.positions.div_ceil(LEAF_SYMBOLS),
        Tree::Suffixes => of.tokens.div_ceil(LEAF_POSITIONS),
        _ => of.rows.into(),
    }
}

impl Demands<'_> {
    /// The next round, drawn among the leaves that were not demanded yet; `None` if there are no more, or
    /// no more are worth it: deposits of leaves that are shown are the publisher's, and all of them stay
    /// within the bond.
    ///
    /// - `leaves`: of the tree
    /// - `before`: those of the rounds before
    pub(super) async fn draw(
        self,
        (tree, leaves): (Tree, u64),
        before: &[u64],
    ) -> Result<Option<SpanExamination>> {
        let bond = self.client.call(self.contract, &ISpanIndexes::bondCall {}).await?;
        let deposit = self.client.call(self.contract, &ISpanIndexes::demandDepositCall {}).await?;
        let affordable = bond.checked_div(deposit).unwrap_or(U256::MAX);
        let round = round(before.len(), leaves, affordable.saturating_to::<usize>());
        if round == 0 {
            return Ok(None);
        }
        // Nobody knows beforehand which ones a challenger asks for.
        let (mut all, mut taken) =
            (before.to_vec(), before.iter().copied().collect::<BTreeSet<_>>());
        while all.len() < before.len() + round {
            let leaf = rand::rng().random_range(0..leaves);
            if taken.insert(leaf) {
                all.push(leaf);
            }
        }
        let last = u32::try_from(round).expect("at most 299");
        Ok(Some(SpanExamination::Demanded { tree: tree as u8, leaves: all, last, until: 0 }))
    }

    /// Sends the demands of a round; returns when the last is due.
    pub(super) async fn send(self, round: Demanded<'_>) -> Result<SpanExamination> {
        let deposit = self.client.call(self.contract, &ISpanIndexes::demandDepositCall {}).await?;
        let period = self.client.call(self.contract, &ISpanIndexes::answerPeriodCall {}).await?;
        let Demanded { tree, leaves, last, .. } = round;
        let named = tree_of(tree)?;
        let mut until = 0;
        for &number in round.open() {
            let commitment = self.view.commitment.clone();
            let call =
                ISpanIndexes::demandCall { model: self.model, commitment, tree: named, number };
            match self.client.send(self.contract, &call, deposit).await {
                Ok(sent) => {
                    until = until.max(self.block_time(sent.block).await?.saturating_add(period));
                }
                // By this node before it was killed, or by somebody else: due by then at the latest.
                Err(Error::Reverted(why)) if why.contains("WrongDemand") => {
                    let call = ISpanIndexes::indexOfCall { model: self.model };
                    until = until.max(self.client.call(self.contract, &call).await?.acceptedAt);
                }
                // The window has ended, or somebody has struck it.
                Err(Error::Reverted(why))
                    if why.contains("WrongTime(") || why.contains("NotPublished") =>
                {
                    warn!(target: "node::challenger", model = %self.model, number, %why, "leaf not demanded");
                    let call = ISpanIndexes::indexOfCall { model: self.model };
                    until = until.max(self.client.call(self.contract, &call).await?.acceptedAt);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        warn!(target: "node::challenger", model = %self.model, tree = ?named, last, until, "leaves demanded");
        Ok(SpanExamination::Demanded { tree, leaves: leaves.to_vec(), last, until })
    }

    /// Strikes an index for the first leaf of a round that was not shown in time, and takes back the
    /// deposits of all that were not. Returns the transaction that struck and its gas, if there was one;
    /// [`Error::Dispute`] while a leaf may still be shown.
    pub(super) async fn collect(self, round: Demanded<'_>) -> Result<Option<(B256, u64)>> {
        let (tree, mut struck) = (tree_of(round.tree)?, None);
        for &number in round.open() {
            let call = ISpanIndexes::proveUnansweredCall { model: self.model, tree, number };
            match self.client.send(self.contract, &call, U256::ZERO).await {
                Ok(sent) => {
                    struck.get_or_insert((sent.transaction, sent.gas));
                }
                // It was shown, or never demanded.
                Err(Error::Reverted(why)) if why.contains("WrongDemand") => {}
                Err(Error::Reverted(why)) if why.contains("WrongTimeOfDemand") => {
                    return Err(Error::Dispute(format!("leaf {number} may still be shown: {why}")));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(struck)
    }

    async fn block_time(self, number: u64) -> Result<u64> {
        let block = self.client.block(Some(number)).await?;
        let missing = || Error::Chain(format!("it has no block {number}"));
        block.map(|block| block.timestamp).ok_or_else(missing)
    }
}

impl Demanded<'_> {
    /// The leaves of the last round.
    fn open(&self) -> &[u64] {
        let first = self.leaves.len().saturating_sub(self.last as usize);
        &self.leaves[first..]
    }
}

/// Leaves of the next round: three times as many as all before and one, which makes rounds of 1, 4, 16,
/// 64 and what is left.
///
/// - `asked`: how many were demanded
/// - `leaves`: how many the tree has
/// - `affordable`: how many deposits the bond is worth
fn round(asked: usize, leaves: u64, affordable: usize) -> usize {
    let most = usize::try_from(leaves).unwrap_or(usize::MAX).min(affordable).min(MAX_LEAVES);
    (3 * asked + 1).min(most.saturating_sub(asked))
}

fn tree_of(number: u8) -> Result<Tree> {
    match Tree::try_from(number) {
        Ok(tree) if tree != Tree::__Invalid => Ok(tree),
        _ => Err(Error::Store("damaged tree".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(leaves: u64, affordable: usize) -> Vec<usize> {
        let (mut rounds, mut asked) = (Vec::new(), 0);
        loop {
            match round(asked, leaves, affordable) {
                0 => return rounds,
                next => {
                    rounds.push(next);
                    asked += next;
                }
            }
        }
    }

    #[test]
    fn rounds_grow_fourfold_within_the_tree_the_bond_and_the_most() {
        assert_eq!(rounds(1 << 30, usize::MAX), [1, 4, 16, 64, 214]);
        assert_eq!(rounds(1 << 30, 100), [1, 4, 16, 64, 15]);
        assert_eq!(rounds(7, 100), [1, 4, 2]);
        assert_eq!(rounds(1, 100), [1]);
        assert_eq!(rounds(1 << 30, 0), [0_usize; 0]);
    }

    /// What docs/uses.md says of leaves that are withheld.
    #[test]
    fn a_hundredth_that_is_withheld_is_met() {
        let met = |leaves: usize| 1.0 - 0.99_f64.powi(i32::try_from(leaves).unwrap());
        assert!(met(MAX_LEAVES) >= 0.95 && met(MAX_LEAVES - 1) < 0.95);
        assert_eq!((100.0 * met(100)).round(), 63.0);
    }
}
