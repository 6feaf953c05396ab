//! Watches other operators: fetches every batch that they post, recomputes its rows, and sends the
//! proof of the first that is false.
//!
//! A batch is examined once, while it can still be struck. What was found is kept, so a restart
//! neither repeats an examination nor loses a proof: a dispute is noted only after its transaction
//! is in a block, and one that was sent before a crash is refused by the chain the second time.

mod corpora;
mod dossier;
mod evidence;
mod examinations;
mod facts;
mod indexes;
mod pauses;
mod published;
mod receipts;
mod span_evidence;
mod span_indexes;

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{error, info, warn};

pub use corpora::{Corpora, SpanFiles};
pub use dossier::Dossier;
pub use indexes::Indexes;
pub use published::{IndexAnswerer, IndexChallenger, IndexExamination, index_examination};
pub use span_indexes::{SpanAnswerer, SpanChallenger, SpanExamination, span_examination};

use crate::{
    Error, Result,
    chain::ChainClient,
    committer::Kzg,
    da::SharedAvailability,
    indexer::views::{BatchStatus, ChainBatch, Role},
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, get_row, read_sol, write_sol},
    worker::blocking,
};
use dossier::PostedLedger;
use evidence::Proof;
use facts::Facts;
use pauses::Pauses;

/// What became of the examination of a batch.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Examination {
    /// No rule is broken.
    Clean,
    /// A proof struck it, ours or another's.
    Struck {
        /// Number of the rule that was found broken.
        rule: u8,
        /// Our transaction; zero if somebody else was faster.
        #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
        transaction: B256,
        /// Gas that it used.
        gas: u64,
    },
    /// It became final, or struck, before it could be examined.
    Late,
}

/// The stage from posted batches to disputes.
#[derive(Debug, Clone)]
pub struct Challenger {
    pub(crate) store: SharedStore,
    pub(crate) registry: Registry,
    pub(crate) client: ChainClient,
    pub(crate) layer: SharedAvailability,
    pub(crate) kzg: Kzg,
    indexes: Indexes,
    corpora: Option<Corpora>,
    pauses: Pauses,
}

impl Challenger {
    /// The stage that sends with the client's key.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        layer: SharedAvailability,
        kzg: Kzg,
        indexes: Indexes,
    ) -> Self {
        let pauses = Pauses::default();
        Self { store, registry, client, layer, kzg, indexes, corpora: None, pauses }
    }

    /// The same stage, which also looks into credits for spans of the indexes that are found here.
    #[must_use]
    pub fn with_spans(self, corpora: Corpora) -> Self {
        Self { corpora: Some(corpora), ..self }
    }

    /// Where influence and span indexes are found.
    const fn sources(&self) -> (&Indexes, Option<&Corpora>) {
        (&self.indexes, self.corpora.as_ref())
    }

    /// Examines every batch of other operators that is new or due again. True if anything was found
    /// out.
    ///
    /// A batch that cannot be examined (its blobs are missing, the chain refuses the proof) is tried
    /// again with growing pauses, so that it cannot keep the challenger from the others.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let mut progress = false;
        for operator in self.operators()? {
            for (id, batch) in self.due(operator)? {
                match self.examine(operator, id, &batch).await {
                    Ok(examined) => progress |= examined,
                    Err(error @ Error::Store(_)) => return Err(error),
                    Err(error) => {
                        error!(target: "node::challenger", batch = %id, %operator, %error, "not examined");
                        self.pauses.grow(id);
                    }
                }
            }
        }
        Ok(progress)
    }

    /// Everyone who can post, but us.
    fn operators(&self) -> Result<Vec<Address>> {
        let all = self.registry.earners()?;
        let posts = all.into_iter().filter(|earner| earner.role == Role::Stakers);
        let others = posts.map(|earner| earner.account);
        Ok(others.filter(|&account| self.client.sender() != Some(account)).collect())
    }

    /// An operator's batches that are not examined and not paused, from where all are decided.
    fn due(&self, operator: Address) -> Result<Vec<(B256, ChainBatch)>> {
        let from = get_row(&*self.store, Table::ExaminedThrough, operator.as_slice())?.unwrap_or(0);
        let mut due = Vec::new();
        for (id, batch) in self.registry.batches_of(operator, from)? {
            if examination(&self.store, id)?.is_none() && self.pauses.is_over(id) {
                due.push((id, batch));
            }
        }
        Ok(due)
    }

    /// False if the batch cannot be seen now.
    async fn examine(&self, operator: Address, id: B256, batch: &ChainBatch) -> Result<bool> {
        let found = match batch.status {
            BatchStatus::Posted => self.audit(id, batch).await?,
            BatchStatus::Final | BatchStatus::Struck => Some(Examination::Late),
        };
        let Some(found) = found else {
            warn!(target: "node::challenger", batch = %id, %operator, "batch is not available");
            self.pauses.grow(id);
            return Ok(false);
        };
        info!(target: "node::challenger", batch = %id, %operator, ?found, "examined");
        let mut rows = WriteBatch::default();
        rows.put_row(Table::Examinations, id.as_slice(), &found);
        self.store.write(rows)?;
        self.pauses.forget(id);
        self.advance(operator)?;
        Ok(true)
    }

    /// Moves an operator's mark over batches that are examined and cannot change any more.
    fn advance(&self, operator: Address) -> Result<()> {
        let from = get_row(&*self.store, Table::ExaminedThrough, operator.as_slice())?.unwrap_or(0);
        let mut through: u64 = from;
        for (id, batch) in self.registry.batches_of(operator, from)? {
            if batch.status == BatchStatus::Posted || examination(&self.store, id)?.is_none() {
                break;
            }
            // Only a final batch bounds the epochs to come: after a strike an operator may go on
            // from an epoch before the one that was struck.
            if batch.status == BatchStatus::Final {
                through = batch.submission.epoch.saturating_add(1);
            }
        }
        let mut rows = WriteBatch::default();
        rows.put_row(Table::ExaminedThrough, operator.as_slice(), &through);
        self.store.write(rows)
    }

    async fn audit(&self, id: B256, batch: &ChainBatch) -> Result<Option<Examination>> {
        let Some(dossier) = Dossier::fetch(&self.layer, &self.kzg, batch).await? else {
            return Ok(None);
        };
        let Some(previous) = self.previous(batch).await? else { return Ok(None) };
        let facts = Facts::gather(
            &self.registry,
            &self.client,
            self.sources(),
            id,
            batch.clone(),
            Arc::new(dossier),
            previous.0,
        )
        .await?;
        let (kzg, deployment) = (self.kzg.clone(), self.registry.contracts().deployment.clone());
        let proof = blocking(move || {
            let Some(fault) = facts.faults()?.into_iter().next() else { return Ok(None) };
            warn!(target: "node::challenger", batch = %id, ?fault, "a rule is broken");
            evidence::prove(&fault, &facts, &kzg, &deployment).map(Some)
        });
        match proof.await? {
            None => Ok(Some(Examination::Clean)),
            Some(proof) => self.dispute(id, proof).await.map(Some),
        }
    }

    /// The ledger that a batch was posted on; `None` if it cannot be seen.
    async fn previous(&self, batch: &ChainBatch) -> Result<Option<Previous>> {
        let id = batch.submission.previous;
        if id.is_zero() {
            return Ok(Some(Previous(None)));
        }
        let unknown = || Error::Store(format!("batch {id} is not indexed"));
        let previous = self.registry.batch(id)?.ok_or_else(unknown)?;
        let ledger = PostedLedger::fetch(&self.layer, &self.kzg, &previous).await?;
        Ok(ledger.map(|ledger| Previous(Some(ledger))))
    }

    /// Sends a proof.
    async fn dispute(&self, id: B256, proof: Proof) -> Result<Examination> {
        let rule = proof.rule as u8;
        let sent = self.client.send_data(proof.to, proof.calldata).await;
        match sent {
            Ok(sent) => {
                let transaction = sent.transaction;
                info!(target: "node::challenger", batch = %id, rule, %transaction, gas = sent.gas, "struck");
                Ok(Examination::Struck { rule, transaction, gas: sent.gas })
            }
            Err(Error::Reverted(reason)) if reason.contains("NotPosted") => {
                Ok(Examination::Struck { rule, transaction: B256::ZERO, gas: 0 })
            }
            Err(reason) => Err(Error::Dispute(format!("proof of rule {rule} in {id}: {reason}"))),
        }
    }
}

/// The ledger that a batch was posted on, if it is not the operator's first.
struct Previous(Option<PostedLedger>);

/// What was found in a batch, `None` before it is examined.
///
/// # Errors
/// [`Error::Store`].
pub fn examination(store: &SharedStore, batch: B256) -> Result<Option<Examination>> {
    get_row(&**store, Table::Examinations, batch.as_slice())
}
