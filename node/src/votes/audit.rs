//! Compares the calls that this node bought with what their operators recorded of them.

use std::sync::Arc;

use alloy::primitives::{Address, B256, keccak256};
use attribution::settle::{CELLS_PER_ROW, Info, Witness};
use tracing::{error, info, warn};

use super::{
    Outcome, Purchase, PurchaseState, Rerun, Reruns, Round, citations, is_false, purchase,
    purchases, spans,
};
use crate::{
    Error, Result,
    chain::bindings::ISketchVotes,
    challenger::{Challenger, Dossier},
    metrics::VoteMetrics,
    registry::{BatchStatus, ChainBatch},
    store::{Table, WriteBatch},
};

/// Seconds after which a call's batch is not waited for: blobs do not live longer.
const PATIENCE: u64 = 14 * 86_400;

/// The stage from purchases to challenges.
#[derive(Debug, Clone)]
pub struct Auditor {
    challenger: Challenger,
    reruns: Reruns,
    metrics: VoteMetrics,
}

/// A record in a batch.
struct Found {
    row: u32,
    /// Gwei.
    fee: i64,
    tokens_in: u32,
    tokens_out: u32,
    witness: Witness,
}

impl Auditor {
    /// The stage that proves with `challenger`, and challenges with its key, which brings the bond.
    pub const fn new(challenger: Challenger, reruns: Reruns, metrics: VoteMetrics) -> Self {
        Self { challenger, reruns, metrics }
    }

    /// Checks every purchase whose batch is posted, and forgets those whose batch has ended. False if
    /// there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Store`]; another error if nothing could be done.
    pub async fn step(&self) -> Result<bool> {
        let mut groups = std::collections::BTreeSet::new();
        for (key, _) in self.challenger.store.scan(Table::Purchases, &[], &[], usize::MAX)? {
            let (operator, epoch, _) = purchase::parse(&key)?;
            groups.insert((operator, epoch));
        }
        let mut round = Round::new();
        for (operator, epoch) in groups {
            round.take("checking purchases", epoch, self.check(operator, epoch).await)?;
        }
        round.end()
    }

    async fn check(&self, operator: Address, epoch: u64) -> Result<bool> {
        let posted = self.challenger.registry.batches_of(operator, epoch)?;
        let posted = posted.into_iter().find(|(_, batch)| batch.epoch == epoch);
        match posted {
            None => {
                let ended =
                    epoch.saturating_add(1) * self.challenger.registry.contracts().epoch_seconds;
                let is_late =
                    self.challenger.registry.head().timestamp > ended.saturating_add(PATIENCE);
                if is_late { self.forget(operator, epoch) } else { Ok(false) }
            }
            Some((id, batch)) if batch.status == BatchStatus::Posted => {
                self.compare(operator, id, &batch).await
            }
            Some(_) => self.forget(operator, epoch),
        }
    }

    fn forget(&self, operator: Address, epoch: u64) -> Result<bool> {
        let mut batch = WriteBatch::default();
        for (digest, _) in purchases(&*self.challenger.store, operator, epoch)? {
            batch.delete(Table::Purchases, purchase::key(operator, epoch, digest));
        }
        self.challenger.store.write(batch)?;
        Ok(true)
    }

    async fn compare(&self, operator: Address, id: B256, batch: &ChainBatch) -> Result<bool> {
        let mut open = purchases(&*self.challenger.store, operator, batch.epoch)?;
        open.retain(|(_, purchase)| purchase.state == PurchaseState::Open);
        if open.is_empty() {
            return Ok(false);
        }
        let dossier: Arc<Dossier> = self.challenger.dossier(id, batch).await?;
        for (digest, purchase) in open {
            let mut state = self.examine(id, &dossier, digest, &purchase).await?;
            if state == PurchaseState::AgainstReceipt
                && !self.challenger.hold_to_receipt(id, batch, &dossier, &purchase).await?
            {
                state = PurchaseState::Unknown("its receipt proves nothing".into());
            }
            match &state {
                PurchaseState::Right | PurchaseState::Open => {
                    info!(target: "node::votes", batch = %id, call = %digest, ?state, "purchase checked");
                }
                _ => {
                    warn!(target: "node::votes", batch = %id, call = %digest, ?state, "purchase checked")
                }
            }
            self.metrics.checked(&state, purchase.receipt.fee);
            let mut rows = WriteBatch::default();
            let key = purchase::key(operator, batch.epoch, digest);
            rows.put_row(Table::Purchases, key, &Purchase { state, ..purchase });
            self.challenger.store.write(rows)?;
        }
        Ok(true)
    }

    async fn examine(
        &self,
        id: B256,
        dossier: &Dossier,
        digest: B256,
        purchase: &Purchase,
    ) -> Result<PurchaseState> {
        let found = match self.find(dossier, digest)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(PurchaseState::AgainstReceipt),
            Err(why) => return Ok(PurchaseState::Unknown(why)),
        };
        if !agrees(&found, purchase) {
            return Ok(PurchaseState::AgainstReceipt);
        }
        let claimed = Outcome {
            text: purchase.answer.clone(),
            tokens_in: found.tokens_in.into(),
            tokens_out: found.tokens_out.into(),
            sketch: found.witness.sketch.clone(),
            spans: Vec::new(),
            citations: None,
        };
        match self.reruns.run(&found.witness, &purchase.request, &purchase.answer).await? {
            Rerun::Ran(outcome)
                if !is_false(&claimed, &outcome)
                    && !self.pays_other_uses(dossier, &found, &outcome)? =>
            {
                Ok(PurchaseState::Right)
            }
            Rerun::UnknownModel => Ok(PurchaseState::Unknown("its model is not here".into())),
            Rerun::UnknownRows(_) => Ok(PurchaseState::Unknown("its rows are not here".into())),
            Rerun::NoEncoder => Ok(PurchaseState::Unknown("no sentence encoder is here".into())),
            Rerun::Ran(_) | Rerun::Impossible(_) => self.challenge(id, dossier, &found).await,
        }
    }

    /// Whether a record credits other spans or citations than were found.
    fn pays_other_uses(&self, dossier: &Dossier, found: &Found, outcome: &Outcome) -> Result<bool> {
        let (rows, row) = (&dossier.ledger.rows, found.row as usize);
        let (registry, catalog) = (&self.challenger.registry, self.reruns.catalog());
        if citations::differs(registry, found.witness.time, rows, row, outcome)? {
            return Ok(true);
        }
        let credited = spans::credited(rows, row);
        let Some(credited) = credited else { return Ok(false) };
        spans::differs(registry, catalog, &found.witness, &credited, &outcome.spans)
    }

    /// The record of a call; `None` if the batch has none. Or why its witness cannot be read; that is
    /// a fault with a proof of its own.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn find(
        &self,
        dossier: &Dossier,
        digest: B256,
    ) -> Result<std::result::Result<Option<Found>, String>> {
        let named = |at: usize| {
            let row = dossier.ledger.rows.get(at)?;
            match &row.info {
                Info::Record { voucher, .. } if voucher[..] == digest[..31] => Some((at, row)),
                _ => None,
            }
        };
        let Some((at, record_row)) = (0..dossier.ledger.rows.len()).find_map(named) else {
            return Ok(Ok(None));
        };
        let Info::Record { tokens_in, tokens_out, ordinal, record, .. } = record_row.info else {
            return Ok(Ok(None));
        };
        let mut index = Ok(None);
        let bytes = dossier.witness(ordinal.into(), |model| {
            index = self.challenger.registry.index(model.0.into());
            index.as_ref().ok().and_then(Option::as_ref).map_or(0, |index| index.dim as usize)
        });
        index?;
        let witness = bytes
            .and_then(|bytes| Witness::decode(&bytes).ok())
            .filter(|witness| witness.hash()[..31] == record);
        let Some(witness) = witness else {
            return Ok(Err("its witness is not in its slot".into()));
        };
        let Ok(row) = u32::try_from(at) else { return Ok(Err("its row is too far".into())) };
        Ok(Ok(Some(Found { row, fee: record_row.value, tokens_in, tokens_out, witness })))
    }

    async fn challenge(&self, id: B256, dossier: &Dossier, found: &Found) -> Result<PurchaseState> {
        let (batch, row) = (id, found.row);
        error!(target: "node::votes", %batch, row, "A RECORD IS FALSE: challenging it");
        let first = row * CELLS_PER_ROW as u32;
        let call = ISketchVotes::challengeCall {
            batch,
            row,
            ledger: dossier.ledger.open_cells(&self.challenger.kzg, &[first + 4, first + 7])?,
            witness: found.witness.encode().into(),
        };
        let to = self.challenger.registry.contracts().deployment.sketch_votes;
        let bond = self.challenger.client.call(to, &ISketchVotes::bondCall {}).await?;
        match self.challenger.client.send(to, &call, bond).await {
            Ok(sent) => {
                self.metrics.challenged();
                let transaction = sent.transaction;
                info!(target: "node::votes", %batch, row, %transaction, gas = sent.gas, "challenged");
                Ok(PurchaseState::Challenged)
            }
            // By this node before it was killed, or by somebody else.
            Err(Error::Reverted(why)) if why.contains("VoteOpen") => Ok(PurchaseState::Challenged),
            Err(Error::Reverted(why))
                if ["WindowOver", "BatchNotPosted"].iter().any(|error| why.contains(error)) =>
            {
                Ok(PurchaseState::Unknown(why))
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a record is what its receipt says.
fn agrees(found: &Found, purchase: &Purchase) -> bool {
    let (witness, receipt) = (&found.witness, &purchase.receipt);
    let sketch: Vec<u8> = witness.sketch.iter().map(|value| value.cast_unsigned()).collect();
    B256::new(witness.output_hash) == receipt.outputHash
        && keccak256(sketch) == receipt.sketchHash
        && i128::from(found.fee) == i128::from(receipt.fee)
        && (u64::from(found.tokens_in), u64::from(found.tokens_out))
            == (receipt.tokensIn, receipt.tokensOut)
}
