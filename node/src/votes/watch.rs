//! Keeps the votes that the chain tells of.

use alloy::{
    primitives::{Address, U256},
    rpc::types::{Filter, Log},
    sol_types::SolEventInterface,
};

use super::{Answer, Context, GWEI, VoteRow};
use crate::{
    Result,
    chain::bindings::ISketchVotes::ISketchVotesEvents as Event,
    checkpoint::{Blocks, Checkpoint},
    store::{Table, WriteBatch, get_row},
};

/// The last block that was read.
const CHECKPOINT: Checkpoint = Checkpoint(b"votes/block");

/// The stage from SketchVotes' events to [`Table::Votes`].
///
/// Rows are what events say and no more: a vote that a reorganisation took back stays until its
/// number is given out again, and whoever acts on it is refused by the chain.
#[derive(Debug, Clone)]
pub struct Watcher {
    context: Context,
}

impl Watcher {
    /// The stage for the contract of this deployment.
    pub const fn new(context: Context) -> Self {
        Self { context }
    }

    /// Reads the next blocks, up to the indexed head. False if there are none.
    ///
    /// # Errors
    /// [`crate::Error::Chain`], [`crate::Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let Context { store, registry, client, .. } = &self.context;
        let Some(blocks) = CHECKPOINT.next(&**store, registry)? else { return Ok(false) };
        let Blocks { from, to, .. } = blocks;
        let filter = Filter::new().address(self.context.contract()).from_block(from).to_block(to);
        let logs = client.logs(&filter).await?;
        let mut batch = self.take(&logs)?;
        let progress = CHECKPOINT.read(blocks, &mut batch);
        store.write(batch)?;
        Ok(progress)
    }

    fn take(&self, logs: &[Log]) -> Result<WriteBatch> {
        let mut rows = std::collections::BTreeMap::new();
        for log in logs {
            let Ok(event) = Event::decode_log(&log.inner) else { continue };
            let Some(vote) = number_of(&event.data) else { continue };
            let row = match rows.remove(&vote) {
                Some(row) => Some(row),
                None => get_row(&*self.context.store, Table::Votes, &vote.to_be_bytes())?,
            };
            if let Some(row) = taken(row, event.data, self.context.client.sender()) {
                rows.insert(vote, row);
            }
        }
        let mut batch = WriteBatch::default();
        for (vote, row) in rows {
            batch.put_row(Table::Votes, vote.to_be_bytes(), &row);
        }
        Ok(batch)
    }
}

/// A vote with what an event says of it and of this account; `None` for an event of a vote that is
/// not known, which is one that was closed and forgotten.
fn taken(row: Option<VoteRow>, event: Event, me: Option<Address>) -> Option<VoteRow> {
    match (row, event) {
        (known, Event::Challenged(e)) => {
            // Read again: what followed it is kept if it is still the same one.
            let same =
                known.filter(|row| row.batch == e.batch && row.witness == e.witness.as_ref());
            Some(same.unwrap_or_else(|| VoteRow {
                batch: e.batch,
                operator: e.operator,
                challenger: e.challenger,
                row: e.row,
                tokens_in: e.tokensIn,
                tokens_out: e.tokensOut,
                witness: e.witness.into(),
                answer_ends_at: e.answerEndsAt,
                panel: Vec::new(),
                answer: None,
                is_closed: false,
                is_settled: false,
                penalty_gwei: 0,
            }))
        }
        (Some(row), Event::Penalised(e)) if Some(e.validator) == me => {
            Some(VoteRow { penalty_gwei: (e.amount / U256::from(GWEI)).saturating_to(), ..row })
        }
        (Some(row), _) if row.is_settled => Some(row),
        (Some(row), Event::PanelFixed(e)) => Some(VoteRow { panel: e.validators, ..row }),
        (Some(row), Event::Answered(e)) => {
            let answer = Answer {
                request: e.request.into(),
                text: e.answer.into(),
                commit_ends_at: e.commitEndsAt,
                reveal_ends_at: e.revealEndsAt,
            };
            Some(VoteRow { answer: Some(answer), ..row })
        }
        (Some(row), Event::Resolved(_)) => Some(VoteRow { is_closed: true, ..row }),
        (row, _) => row,
    }
}

fn number_of(event: &Event) -> Option<u64> {
    let vote: U256 = match event {
        Event::Challenged(e) => e.vote,
        Event::PanelFixed(e) => e.vote,
        Event::Answered(e) => e.vote,
        Event::Committed(e) => e.vote,
        Event::Revealed(e) => e.vote,
        Event::Penalised(e) => e.vote,
        Event::Resolved(e) => e.vote,
    };
    // Votes are counted from 1, so this many cannot have been opened.
    u64::try_from(vote).ok()
}
