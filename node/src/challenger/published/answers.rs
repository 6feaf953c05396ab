//! Answers false claims against indexes: that a row is left out which is a copy of an earlier one, and
//! that an ordinal is missing whose leaf is there.
//!
//! An exact copy has the hashes of the row that it copies, and no tree shows what it does not hold, so
//! a contract cannot tell that an honest index is right: one whose false claims nobody answers is
//! struck.
//!
//! A claim of a row that no row here answers is true as far as this node can know. A claim of an
//! ordinal is kept until the index can be read or the time for answers is over: data availability may
//! only be slow, and an index that cannot be read must not keep other claims from their answers.

use std::{path::PathBuf, sync::Arc};

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::{Filter, Log},
    sol_types::{SolCall, SolEvent},
};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{info, warn};

use super::{
    super::{indexes::Indexes, pauses::Pauses},
    rows::Rows,
};
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::{
            IIndexDisputes::{self as Disputes, DatanetRow, LeftOutClaimed, OrdinalClaimed},
            IndexRow,
        },
    },
    checkpoint::Checkpoint,
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, read_sol, rows as table, write_sol},
    worker::blocking,
};

/// The last block that was read.
const CHECKPOINT: Checkpoint = Checkpoint(b"index-claims/block");
/// Before a claim: one that still wants an answer.
const WAITING: &[u8] = b"index-claims/waiting/";

/// A claim that an ordinal is missing.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
struct Waiting {
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    model: B256,
    ordinal: u32,
    /// End of the time to answer (seconds).
    deadline: u64,
}

/// The stage that answers false claims; whoever answers gets the claim's bond.
#[derive(Debug, Clone)]
pub struct IndexAnswerer {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    indexes: Indexes,
    datanets: Arc<[PathBuf]>,
    pauses: Pauses,
}

impl IndexAnswerer {
    /// The stage that sends with the client's key.
    ///
    /// - `indexes`: published indexes, whose leaves answer
    /// - `datanets`: directories of Datanets, whose rows answer
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        indexes: Indexes,
        datanets: &[PathBuf],
    ) -> Self {
        let pauses = Pauses::default();
        Self { store, registry, client, indexes, datanets: datanets.into(), pauses }
    }

    /// Reads the claims of the next blocks, up to the indexed head, and answers those that are false,
    /// also of earlier blocks. False if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Chain`], [`Error::Store`]; the same blocks are read again then.
    pub async fn step(&self) -> Result<bool> {
        let read = self.read().await?;
        Ok(self.answer_waiting().await? || read)
    }

    /// Reads the next blocks. False if there are none.
    async fn read(&self) -> Result<bool> {
        let Some(blocks) = CHECKPOINT.next(&*self.store, &self.registry)? else {
            return Ok(false);
        };
        let filter = Filter::new()
            .address(self.contract())
            .event_signature(vec![LeftOutClaimed::SIGNATURE_HASH, OrdinalClaimed::SIGNATURE_HASH])
            .from_block(blocks.from)
            .to_block(blocks.to);
        let mut batch = WriteBatch::default();
        for log in self.client.logs(&filter).await? {
            if let Ok(decoded) = log.log_decode::<OrdinalClaimed>() {
                let OrdinalClaimed { model, claim, deadline, ordinal, .. } = decoded.inner.data;
                batch.put_row(Table::Meta, key(claim), &Waiting { model, ordinal, deadline });
            } else {
                self.judge(&log).await?;
            }
        }
        let progress = CHECKPOINT.read(blocks, &mut batch);
        self.store.write(batch)?;
        Ok(progress)
    }

    async fn judge(&self, log: &Log) -> Result<()> {
        let Ok(decoded) = log.log_decode::<LeftOutClaimed>() else { return Ok(()) };
        let LeftOutClaimed { model, claim, row, .. } = decoded.inner.data;
        if !self.is_open(claim).await? {
            return Ok(());
        }
        let Some(known) = self.registry.model(model)? else { return Ok(()) };
        let (registry, folders) = (self.registry.clone(), Arc::clone(&self.datanets));
        let earlier = blocking(move || {
            let rows = Rows::load(&registry, &folders, &known.datanets)?;
            earlier(&rows, &row)
        });
        let Some(earlier) = earlier.await? else {
            warn!(target: "node::challenger", %model, %claim, "no row here answers a claim");
            return Ok(());
        };
        self.answer(model, claim, &Disputes::answerCall { claim, earlier }).await
    }

    /// Answers what waits. True if a claim no longer does.
    async fn answer_waiting(&self) -> Result<bool> {
        let mut progress = false;
        for (key, waiting) in table::<Waiting>(&*self.store, Table::Meta, WAITING)? {
            let claim = B256::try_from(&key[WAITING.len()..])
                .map_err(|_| Error::Store("table meta: damaged claim".into()))?;
            if !self.pauses.is_over(claim) {
                continue;
            }
            match self.judge_ordinal(claim, &waiting).await {
                Ok(()) => {
                    let mut batch = WriteBatch::default();
                    batch.delete(Table::Meta, key);
                    self.store.write(batch)?;
                    self.pauses.forget(claim);
                    progress = true;
                }
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => {
                    let Waiting { model, ordinal, deadline } = waiting;
                    warn!(
                        target: "node::challenger", %model, ordinal, deadline, %claim, %error,
                        "claim not judged yet"
                    );
                    self.pauses.grow(claim);
                }
            }
        }
        Ok(progress)
    }

    async fn judge_ordinal(&self, claim: B256, waiting: &Waiting) -> Result<()> {
        let &Waiting { model, ordinal, deadline } = waiting;
        if self.registry.head().timestamp >= deadline || !self.is_open(claim).await? {
            return Ok(());
        }
        let Some(index) = self.indexes.of(model).await? else { return Ok(()) };
        let place = usize::try_from(ordinal).unwrap_or(usize::MAX);
        if place >= index.contributors.len() {
            warn!(target: "node::challenger", %model, ordinal, %claim, "no leaf answers a claim");
            return Ok(());
        }
        let contributor = index.proof(place)?;
        self.answer(model, claim, &Disputes::answerOrdinalCall { claim, contributor }).await
    }

    /// Whether a claim is neither answered nor concluded.
    async fn is_open(&self, claim: B256) -> Result<bool> {
        match self.client.call(self.contract(), &Disputes::claimOfCall { claim }).await {
            Ok(_) => Ok(true),
            Err(Error::Reverted(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn answer<C: SolCall + Sync>(&self, model: B256, claim: B256, call: &C) -> Result<()> {
        match self.client.send(self.contract(), call, U256::ZERO).await {
            Ok(sent) => {
                let transaction = sent.transaction;
                info!(target: "node::challenger", %model, %claim, %transaction, "claim answered");
                Ok(())
            }
            // Too late, or somebody else was faster.
            Err(Error::Reverted(why)) => {
                warn!(target: "node::challenger", %model, %claim, %why, "claim not answered");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    const fn contract(&self) -> Address {
        self.registry.contracts().deployment.index_disputes
    }
}

fn key(claim: B256) -> Vec<u8> {
    [WAITING, claim.as_slice()].concat()
}

/// A row of the same cluster before the one that is said to be missing.
fn earlier(rows: &Rows, missing: &IndexRow) -> Result<Option<DatanetRow>> {
    let first = rows.first_of(missing.clusterHash.0);
    let first = first.filter(|first| first.is_before(missing.datanet, missing.rowIndex));
    first.map(|place| rows.proof(place)).transpose()
}
