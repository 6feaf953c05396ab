//! Follows the chain and keeps tables of what it says.
//!
//! Blocks near the head are taken one by one, each with a record of how to undo it, so that a
//! reorganisation rewinds to the common ancestor and goes on from there. Deeper blocks are taken in
//! ranges.

mod apply;
pub(crate) mod figures;
mod indexes;
mod overlay;
mod payments;
mod registries;
pub mod views;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::{Duration, Instant},
};

use alloy::rpc::types::Filter;
use borsh::{BorshDeserialize, BorshSerialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Error, Result,
    chain::{BlockHeader, ChainClient, RANGE_BLOCKS, REORG_BLOCKS},
    registry::{ChainState, HEAD_KEY, Head, Registry},
    store::{SharedStore, Table, WriteBatch, get_row},
};
use overlay::{Overlay, Undo};

/// Longest pause after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// How a block is undone.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
struct BlockRow {
    parent: Head,
    undo: Undo,
}

/// Indexes the chain into the store.
#[derive(Debug)]
pub struct Indexer {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    poll_interval: Duration,
}

impl Indexer {
    /// An indexer that looks at the head every `poll_interval`.
    pub const fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        poll_interval: Duration,
    ) -> Self {
        Self { store, registry, client, poll_interval }
    }

    /// Indexes until shutdown. A chain that cannot be reached is asked again with growing pauses.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails; nothing that the chain does ends it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<()> {
        let mut pause = self.poll_interval;
        loop {
            match self.sync().await {
                Ok(()) => pause = self.poll_interval,
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => {
                    pause = (pause * 2).min(MAX_BACKOFF);
                    warn!(target: "node::indexer", %error, ?pause, "chain unavailable");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Indexes every block that the chain has now.
    ///
    /// # Errors
    /// [`Error::Chain`] if it cannot be reached, [`Error::Store`] if the store fails.
    pub async fn sync(&self) -> Result<()> {
        let tip = self
            .client
            .block(None)
            .await?
            .ok_or_else(|| Error::Chain("it has no latest block".into()))?;
        let mut head = self.start().await?;
        while head.hash != tip.hash {
            let Some(next) = self.advance(head, tip).await? else { break };
            head = next;
            self.registry.publish(ChainState {
                head,
                synced: false,
                ..self.registry.chain_state()
            });
        }
        self.registry.publish(ChainState { head, heard: Some(Instant::now()), synced: true });
        Ok(())
    }

    /// The stored head, or the block before the contracts.
    async fn start(&self) -> Result<Head> {
        if let Some(head) = get_row(&*self.store, Table::Meta, HEAD_KEY)? {
            return Ok(head);
        }
        let number = self.registry.contracts().deployment.block;
        let block = self.block(number).await?;
        let head = head_of(block);
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Meta, HEAD_KEY, &head);
        self.store.write(batch)?;
        Ok(head)
    }

    /// One step towards the tip; `None` if the tip is behind the head, as one of several endpoints
    /// may answer.
    async fn advance(&self, head: Head, tip: BlockHeader) -> Result<Option<Head>> {
        if tip.number <= head.number || tip.number - head.number > REORG_BLOCKS {
            let same = self.client.block(Some(head.number)).await?;
            if same.is_none_or(|block| block.hash != head.hash) {
                return self.rewind(head).await.map(Some);
            }
            if tip.number <= head.number {
                return Ok(None);
            }
            return self.take_range(head, tip.number - REORG_BLOCKS).await.map(Some);
        }
        let number = head.number + 1;
        let next = if number == tip.number { tip } else { self.block(number).await? };
        if next.parent != head.hash {
            return self.rewind(head).await.map(Some);
        }
        self.take_block(head, next).await.map(Some)
    }

    async fn block(&self, number: u64) -> Result<BlockHeader> {
        let block = self.client.block(Some(number)).await?;
        block.ok_or_else(|| Error::Chain(format!("it has no block {number}")))
    }

    fn filter(&self) -> Filter {
        Filter::new().address(apply::sources(&self.registry.contracts().deployment))
    }

    async fn take_block(&self, parent: Head, block: BlockHeader) -> Result<Head> {
        // By hash: a reorganisation between two requests cannot mix blocks.
        let logs = self.client.logs(&self.filter().at_block_hash(block.hash)).await?;
        let mut overlay = Overlay::new(&*self.store);
        let deployment = &self.registry.contracts().deployment;
        for log in &logs {
            apply::event(&mut overlay, deployment, log, block.timestamp)?;
        }
        let head = head_of(block);
        let (mut batch, undo) = overlay.finish();
        batch.put_row(Table::Blocks, block.number.to_be_bytes(), &BlockRow { parent, undo });
        if let Some(old) = block.number.checked_sub(REORG_BLOCKS) {
            batch.delete(Table::Blocks, old.to_be_bytes());
        }
        batch.put_row(Table::Meta, HEAD_KEY, &head);
        self.store.write(batch)?;
        Ok(head)
    }

    /// Takes blocks that are too deep to be undone, at most up to `last`.
    async fn take_range(&self, head: Head, last: u64) -> Result<Head> {
        let last = last.min(head.number + RANGE_BLOCKS);
        let filter = self.filter().from_block(head.number + 1).to_block(last);
        let logs = self.client.logs(&filter).await?;
        let deployment = &self.registry.contracts().deployment;
        let mut times = BTreeMap::new();
        for log in logs.iter().filter(|log| apply::needs_time(deployment, log)) {
            let number = log.block_number.unwrap_or_default();
            if let Entry::Vacant(time) = times.entry(number) {
                time.insert(self.block(number).await?.timestamp);
            }
        }
        let mut overlay = Overlay::new(&*self.store);
        for log in &logs {
            let time = log.block_number.and_then(|number| times.get(&number).copied());
            apply::event(&mut overlay, deployment, log, time.unwrap_or_default())?;
        }
        let head = head_of(self.block(last).await?);
        let (mut batch, _) = overlay.finish();
        for (key, _) in self.store.scan(Table::Blocks, &[], &[], usize::MAX)? {
            batch.delete(Table::Blocks, key);
        }
        batch.put_row(Table::Meta, HEAD_KEY, &head);
        self.store.write(batch)?;
        info!(target: "node::indexer", block = head.number, "indexed");
        Ok(head)
    }

    /// Undoes the head; from a head that cannot be undone, everything is indexed again.
    async fn rewind(&self, head: Head) -> Result<Head> {
        let key = head.number.to_be_bytes();
        let row: Option<BlockRow> = get_row(&*self.store, Table::Blocks, &key)?;
        let Some(BlockRow { parent, undo }) = row else {
            warn!(target: "node::indexer", block = head.number, "too deep to undo: indexing again");
            self.store.write(apply::clear(&*self.store)?)?;
            return self.start().await;
        };
        warn!(target: "node::indexer", block = head.number, hash = %head.hash, "block undone");
        let mut batch = undo.into_batch()?;
        batch.delete(Table::Blocks, key);
        batch.put_row(Table::Meta, HEAD_KEY, &parent);
        self.store.write(batch)?;
        Ok(parent)
    }
}

const fn head_of(block: BlockHeader) -> Head {
    let BlockHeader { number, hash, timestamp, .. } = block;
    Head { number, hash, timestamp }
}
