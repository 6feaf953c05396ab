//! An accused operator reveals what it was asked and answered.

use alloy::primitives::{B256, U256};
use attribution::settle::Witness;
use tracing::{error, info, warn};

use super::{Context, Round, VoteRow, number, votes};
use crate::{
    Error, Result,
    chain::bindings::ISketchVotes::{self, Stage},
    recorder::recorded,
    serving::StoredAnswer,
    store::Table,
    voucher::{self, SignedVoucher},
};

/// The stage that answers challenges of this operator's records.
#[derive(Debug, Clone)]
pub struct Answerer {
    context: Context,
}

impl Answerer {
    /// The stage that sends with the client's key, which must be the operator's.
    pub const fn new(context: Context) -> Self {
        Self { context }
    }

    /// Answers every challenge that is open. False if there was none.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Chain`] or [`Error::Reverted`] if none could be answered.
    pub async fn step(&self) -> Result<bool> {
        let mut round = Round::new();
        for (vote, row) in votes(&*self.context.store)? {
            if !row.is_closed
                && row.answer.is_none()
                && self.context.client.sender() == Some(row.operator)
            {
                round.take("answering", vote, self.answer(vote, &row).await)?;
            }
        }
        round.end()
    }

    async fn answer(&self, vote: u64, row: &VoteRow) -> Result<bool> {
        if self.context.registry.head().timestamp >= row.answer_ends_at {
            return Ok(false);
        }
        let call = ISketchVotes::voteOfCall { vote: number(vote) };
        let entry = self.context.client.call(self.context.contract(), &call).await?;
        if entry.stage != Stage::Answering || entry.batch != row.batch || entry.row != row.row {
            return Ok(false);
        }
        warn!(
            target: "node::votes",
            vote, batch = %row.batch, row = row.row, challenger = %row.challenger,
            "A RECORD OF THIS OPERATOR IS CHALLENGED: answering"
        );
        let (request, text) = self.revealed(row)?;
        let call = ISketchVotes::answerCall {
            vote: number(vote),
            request: request.into(),
            text: text.into(),
        };
        let sent = self.context.client.send(self.context.contract(), &call, U256::ZERO).await?;
        self.context.metrics.answered();
        info!(target: "node::votes", vote, transaction = %sent.transaction, gas = sent.gas, "answered");
        Ok(true)
    }

    /// Request and answer of a record.
    fn revealed(&self, row: &VoteRow) -> Result<(Vec<u8>, Vec<u8>)> {
        let witness = Witness::decode(&row.witness)?;
        let domain = self.context.registry.contracts().voucher_domain();
        let digest: B256 = voucher::digest(&SignedVoucher::from(&witness).voucher, &domain);
        let request = self.context.store.get(Table::Requests, digest.as_slice())?;
        let (Some(request), Some(call)) = (request, recorded(&*self.context.store, digest)?) else {
            error!(
                target: "node::votes", call = %digest,
                "THIS OPERATOR CANNOT ANSWER: it does not have what it has to reveal"
            );
            return Err(Error::Money(format!("call {digest} of {} is not kept", row.batch)));
        };
        Ok((request, StoredAnswer::from_bytes(&call.answer)?.output()))
    }
}
