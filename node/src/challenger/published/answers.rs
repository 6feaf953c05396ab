//! Answers claims that a row is left out of an index, where it is a copy of an earlier one.
//!
//! An exact copy has the hashes of the row that it copies, so a contract cannot tell that an honest
//! index leaves it out rightly: an index whose false claims nobody answers is struck.

use std::{path::PathBuf, sync::Arc};

use alloy::{
    primitives::{Address, U256},
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use tracing::{info, warn};

use super::rows::Rows;
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::{
            IIndexDisputes::{self as Disputes, DatanetRow, LeftOutClaimed},
            IndexRow,
        },
    },
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, get_row},
    worker::blocking,
};

/// Blocks that are read again, because a reorganisation may have changed what they hold.
const OVERLAP: u64 = 64;
/// Most blocks in one request.
const RANGE_BLOCKS: u64 = 1_000;
/// The last block that was read.
const CHECKPOINT: &[u8] = b"index-claims/block";

/// The stage that answers false claims; whoever answers gets the claim's bond.
#[derive(Debug, Clone)]
pub struct IndexAnswerer {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    datanets: Arc<[PathBuf]>,
}

impl IndexAnswerer {
    /// The stage that sends with the client's key.
    ///
    /// - `datanets`: directories of Datanets, whose rows answer
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        datanets: &[PathBuf],
    ) -> Self {
        Self { store, registry, client, datanets: datanets.into() }
    }

    /// Reads the claims of the next blocks, up to the indexed head, and answers those that are false.
    /// False if there are no new blocks.
    ///
    /// # Errors
    /// [`Error::Chain`], [`Error::Store`]; the same blocks are read again then.
    pub async fn step(&self) -> Result<bool> {
        let start = self.registry.contracts().deployment.block;
        let done = get_row(&*self.store, Table::Meta, CHECKPOINT)?.unwrap_or(start);
        let head = self.registry.head().number;
        if head == done {
            return Ok(false);
        }
        // The head may be behind after a reorganisation.
        let from = done.min(head).saturating_sub(OVERLAP).max(start);
        let to = head.min(from + RANGE_BLOCKS);
        let filter = Filter::new()
            .address(self.contract())
            .event_signature(LeftOutClaimed::SIGNATURE_HASH)
            .from_block(from)
            .to_block(to);
        for log in self.client.logs(&filter).await? {
            self.judge(&log).await?;
        }
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Meta, CHECKPOINT, &to);
        self.store.write(batch)?;
        Ok(to != done)
    }

    async fn judge(&self, log: &Log) -> Result<()> {
        let Ok(decoded) = log.log_decode::<LeftOutClaimed>() else { return Ok(()) };
        let LeftOutClaimed { model, claim, row, .. } = decoded.inner.data;
        match self.client.call(self.contract(), &Disputes::claimOfCall { claim }).await {
            Ok(_) => {}
            // It is answered or concluded.
            Err(Error::Reverted(_)) => return Ok(()),
            Err(error) => return Err(error),
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
        let call = Disputes::answerCall { claim, earlier };
        match self.client.send(self.contract(), &call, U256::ZERO).await {
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

/// A row of the same cluster before the one that is said to be missing.
fn earlier(rows: &Rows, missing: &IndexRow) -> Result<Option<DatanetRow>> {
    let first = rows.first_of(missing.clusterHash.0);
    let first = first.filter(|first| first.is_before(missing.datanet, missing.rowIndex));
    first.map(|place| rows.proof(place)).transpose()
}
