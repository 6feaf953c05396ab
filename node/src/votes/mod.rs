//! Votes on what only re-execution shows, from all sides: an operator that is challenged answers, a
//! validator runs the call again and votes, an auditor buys calls, runs them again and challenges.
//!
//! [`Watcher`] keeps the open votes of SketchVotes in [`Table::Votes`]; every other stage acts on
//! those rows and asks the chain before it sends, so that it may be killed and repeated anywhere. The
//! one thing that must not be lost is a validator's salt: it is on disk before its commitment is
//! sent.
//!
//! [`FigureJudge`] and [`FigureCloser`] do the same in votes on figures, which the indexer keeps; what
//! is voted there is what the validator's operator found.

mod answer;
mod audit;
mod ballots;
mod citations;
mod close;
mod context;
mod figure_close;
mod figure_judge;
mod judge;
mod prune;
mod purchase;
mod release;
mod rerun;
mod roll;
mod sample;
mod shop;
mod spans;
mod verdict;
mod watch;

use alloy::primitives::{Address, B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};

pub use answer::Answerer;
pub use audit::Auditor;
pub use ballots::BallotRow;
pub use close::Closer;
pub use context::Context;
pub use figure_close::FigureCloser;
pub use figure_judge::FigureJudge;
pub use judge::Judge;
pub use prune::Pruner;
pub use purchase::{Purchase, PurchaseState, purchases};
pub use release::Releaser;
pub use rerun::{Rerun, Reruns};
pub use roll::Roll;
pub use sample::Sampler;
pub use shop::{Shopper, Shopping};
pub(crate) use spans::differs as spans_differ;
pub use verdict::{Outcome, is_false};
pub use watch::Watcher;

use crate::{
    Error, Result,
    store::{Store, Table, read_sol, rows, write_sol},
};

/// What an operator revealed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// Body of the request.
    pub request: Vec<u8>,
    /// Text of the answer.
    pub text: Vec<u8>,
    /// Until when (seconds) validators commit.
    pub commit_ends_at: u64,
    /// Until when (seconds) they reveal.
    pub reveal_ends_at: u64,
}

/// A vote as its events tell.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VoteRow {
    /// The batch that is held for it.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub batch: B256,
    /// Who is accused.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub operator: Address,
    /// Who accuses.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub challenger: Address,
    /// Row of the ledger that holds the record.
    pub row: u32,
    /// Prompt tokens that the row counts.
    pub tokens_in: u32,
    /// Generated tokens that the row counts.
    pub tokens_out: u32,
    /// The record's witness.
    pub witness: Vec<u8>,
    /// Until when (seconds) the operator answers.
    pub answer_ends_at: u64,
    /// Who may vote.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub panel: Vec<Address>,
    /// What the operator revealed, once it did.
    pub answer: Option<Answer>,
    /// Whether it is closed; what it left to be withdrawn may be open.
    pub is_closed: bool,
    /// Whether there is nothing to do about it any more. The row stays, without panel and answer, so
    /// that events which are read again do not bring it back.
    pub is_settled: bool,
    /// Gwei, rounded down, of this account's stake that it lost by the vote.
    pub penalty_gwei: u64,
}

/// Wei in a gwei.
const GWEI: u64 = 1_000_000_000;

/// The votes about which there may be something to do, with their numbers, ascending.
///
/// # Errors
/// [`Error::Store`].
pub fn votes(store: &dyn Store) -> Result<Vec<(u64, VoteRow)>> {
    let numbered = |(key, row): (Vec<u8>, VoteRow)| {
        let key = key.try_into().map_err(|_| Error::Store("table votes: damaged key".into()))?;
        Ok((u64::from_be_bytes(key), row))
    };
    let all = rows(store, Table::Votes, &[])?.into_iter();
    all.filter(|(_, row): &(_, VoteRow)| !row.is_settled).map(numbered).collect()
}

/// A vote's number as contracts have it.
fn number(vote: u64) -> U256 {
    U256::from(vote)
}

/// Does something to every vote: one that fails is told of and does not keep the others waiting.
struct Round {
    worked: bool,
    failure: Option<Error>,
}

impl Round {
    const fn new() -> Self {
        Self { worked: false, failure: None }
    }

    /// Takes note of what became of one; [`Error::Store`] ends the round.
    fn take(&mut self, what: &'static str, vote: u64, result: Result<bool>) -> Result<()> {
        match result {
            Ok(worked) => self.worked |= worked,
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => {
                tracing::error!(target: "node::votes", vote, %error, "{what} failed");
                self.failure.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// Whether anything was done; the first failure if nothing was, so that the stage pauses.
    fn end(self) -> Result<bool> {
        match self.failure {
            Some(error) if !self.worked => Err(error),
            _ => Ok(self.worked),
        }
    }
}
