//! A validator runs challenged calls again and votes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{Address, B256, U256, keccak256};
use attribution::settle::Witness;
use tracing::{error, info, warn};

use super::{
    Answer, Context, Outcome, Rerun, Reruns, Round, VoteRow, ballots::Ballots, citations, is_false,
    number, spans, votes,
};
use crate::{
    Error, Result,
    chain::bindings::ISketchVotes::{self, Choice},
    challenger::Challenger,
    store::Table,
};

/// The stage that votes with a validator's key.
#[derive(Debug, Clone)]
pub struct Judge {
    context: Context,
    reruns: Reruns,
    /// Reads batches, for the span credits of what is judged.
    ledgers: Option<Challenger>,
    /// Votes that were told of as beyond this node.
    told: Arc<Mutex<HashSet<u64>>>,
}

impl Judge {
    /// The stage that sends with the client's key, which must be the validator's.
    pub fn new(context: Context, reruns: Reruns) -> Self {
        Self { context, reruns, ledgers: None, told: Arc::default() }
    }

    /// The same stage, which also judges the span credits of records in batches that the challenger
    /// can read.
    #[must_use]
    pub fn with_ledgers(self, challenger: Challenger) -> Self {
        Self { ledgers: Some(challenger), ..self }
    }

    /// Judges and commits, or reveals, in every vote that this validator is on the panel of. False
    /// if there was nothing to do.
    ///
    /// # Errors
    /// [`crate::Error::Store`]; [`crate::Error::Chain`], [`crate::Error::Reverted`] or [`crate::Error::Inference`] if nothing
    /// could be done.
    pub async fn step(&self) -> Result<bool> {
        let Some(me) = self.context.client.sender() else { return Ok(false) };
        let mut round = Round::new();
        for (vote, row) in votes(&*self.context.store)? {
            let (false, Some(answer)) = (row.is_closed, &row.answer) else { continue };
            if row.panel.contains(&me) {
                round.take("voting", vote, self.attend(me, vote, &row, answer).await)?;
            }
        }
        round.end()
    }

    async fn attend(
        &self,
        validator: Address,
        vote: u64,
        row: &VoteRow,
        answer: &Answer,
    ) -> Result<bool> {
        let now = self.context.registry.head().timestamp;
        if now >= answer.reveal_ends_at {
            return Ok(false);
        }
        let call = ISketchVotes::ballotOfCall { vote: number(vote), validator };
        let ballot = self.context.client.call(self.context.contract(), &call).await?;
        let committed = ballot.commitment;
        match (now < answer.commit_ends_at, committed.is_zero()) {
            (true, true) => self.commit(validator, vote, row, answer).await,
            (true, false) => Ok(false),
            (false, true) => {
                self.tell(vote, "it was not committed in time");
                Ok(false)
            }
            (false, false) if ballot.choice == Choice::None => self.reveal(vote, committed).await,
            (false, false) => Ok(false),
        }
    }

    /// Says once that this validator loses stake by a vote.
    fn tell(&self, vote: u64, why: &str) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(vote) {
            error!(
                target: "node::votes", vote, why,
                "THIS VALIDATOR CANNOT VOTE and loses stake by its silence"
            );
        }
    }

    async fn commit(
        &self,
        validator: Address,
        vote: u64,
        row: &VoteRow,
        answer: &Answer,
    ) -> Result<bool> {
        let (ballots, subject) = (self.ballots(), subject(row));
        let kept = match ballots.kept(vote, subject)? {
            Some(commitment) => commitment,
            None => match self.judge(vote, row, answer).await? {
                Some(is_false) => ballots.keep(validator, vote, subject, is_false)?,
                None => return Ok(false),
            },
        };
        let call = ISketchVotes::commitCall { vote: number(vote), commitment: kept };
        let sent = self.context.client.send(self.context.contract(), &call, U256::ZERO).await?;
        self.context.metrics.committed();
        info!(target: "node::votes", vote, transaction = %sent.transaction, "committed");
        Ok(true)
    }

    fn ballots(&self) -> Ballots {
        Ballots::new(self.context.clone(), self.context.contract(), Table::Ballots)
    }

    /// Whether a record is False; `None` if this node cannot know.
    async fn judge(&self, vote: u64, row: &VoteRow, answer: &Answer) -> Result<Option<bool>> {
        let witness = Witness::decode(&row.witness)?;
        let found = match self.reruns.run(&witness, &answer.request, &answer.text).await? {
            Rerun::Ran(found) => found,
            Rerun::Impossible(why) => {
                info!(target: "node::votes", vote, why, "no node answers such a request");
                return Ok(Some(true));
            }
            Rerun::UnknownModel => {
                self.tell(vote, "it does not have the model");
                return Ok(None);
            }
            Rerun::UnknownRows(of) => {
                let (version, datanet) = (of.version, of.id);
                let why = format!("it does not have the rows of version {version} of {datanet}");
                self.tell(vote, &why);
                return Ok(None);
            }
            Rerun::NoEncoder => {
                self.tell(vote, "it has no sentence encoder: [retrieval] is not configured");
                return Ok(None);
            }
        };
        let claimed = Outcome {
            text: answer.text.clone(),
            tokens_in: row.tokens_in.into(),
            tokens_out: row.tokens_out.into(),
            sketch: witness.sketch.clone(),
            spans: Vec::new(),
            citations: None,
        };
        let is_false =
            is_false(&claimed, &found) || self.pays_other_uses(row, &witness, &found).await?;
        info!(target: "node::votes", vote, batch = %row.batch, row = row.row, is_false, "judged");
        Ok(Some(is_false))
    }

    /// Whether the record credits other spans or citations than were found. A batch that cannot be seen is judged
    /// without them: silence would cost the stake.
    async fn pays_other_uses(
        &self,
        row: &VoteRow,
        witness: &Witness,
        found: &Outcome,
    ) -> Result<bool> {
        let Some(challenger) = &self.ledgers else { return Ok(false) };
        let Some(batch) = self.context.registry.batch(row.batch)? else { return Ok(false) };
        let dossier = match challenger.dossier(row.batch, &batch).await {
            Ok(dossier) => dossier,
            Err(Error::Availability(why)) => {
                warn!(target: "node::votes", batch = %row.batch, why, "judged without its credits for uses");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let (registry, catalog) = (&self.context.registry, self.reruns.catalog());
        let (rows, at) = (&dossier.ledger.rows, row.row as usize);
        if citations::differs(registry, witness.time, rows, at, found)? {
            return Ok(true);
        }
        let credited = spans::credited(rows, at);
        let Some(credited) = credited else { return Ok(false) };
        spans::differs(registry, catalog, witness, &credited, &found.spans)
    }

    async fn reveal(&self, vote: u64, commitment: B256) -> Result<bool> {
        let Some(ballot) = self.ballots().of(vote, commitment)? else {
            self.tell(vote, "the salt of its commitment is lost");
            return Ok(false);
        };
        let choice = if ballot.is_false { Choice::False } else { Choice::Holds };
        let salt = ballot.salt;
        let call = ISketchVotes::revealCall { vote: number(vote), choice, salt };
        let sent = self.context.client.send(self.context.contract(), &call, U256::ZERO).await?;
        let is_false = ballot.is_false;
        self.context.metrics.revealed(is_false);
        info!(target: "node::votes", vote, is_false, transaction = %sent.transaction, "revealed");
        Ok(true)
    }
}

/// What a judgement is about: after a reorganisation a number may be another vote's.
fn subject(row: &VoteRow) -> B256 {
    let counts = [row.row, row.tokens_in, row.tokens_out].map(u32::to_be_bytes).concat();
    keccak256([row.batch.as_slice(), &counts, &row.witness].concat())
}
