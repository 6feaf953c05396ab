//! What this operator does about its struck batches: tells of them, sends the payers' money back,
//! takes orphans out, and has unposted batches sealed again on the last one that stands.

use alloy::primitives::{Address, B256, U256};
use tracing::{error, info, warn};

use crate::{
    Error, Result,
    chain::{ChainClient, bindings::ISettlement},
    registry::{BatchStatus, ChainBatch, Registry},
    standing::Standing,
    store::{SharedStore, Table, WriteBatch, encode},
};

/// The stage that cleans up after strikes.
#[derive(Debug, Clone)]
pub struct Strikes {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    standing: Standing,
}

impl Strikes {
    /// The stage for the batches that `standing` follows; it sends with the client's key.
    pub const fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        standing: Standing,
    ) -> Self {
        Self { store, registry, client, standing }
    }

    /// Does the next thing that a strike asks for. False if there is none.
    ///
    /// # Errors
    /// [`Error::Reverted`], [`Error::Chain`], [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let operator = self.standing.operator();
        for id in self.registry.refundable(operator)? {
            self.tell(id, &self.view(id)?)?;
        }
        let chain = self.standing.chain()?;
        if let Some(epoch) = chain.broken {
            warn!(target: "node::strikes", epoch, head = %chain.head, "unposted batches are sealed again");
            self.store.write(self.standing.unseal(epoch)?)?;
            return Ok(true);
        }
        for id in chain.orphans {
            let previous = self.view(id)?.submission.previous;
            if self.view(previous)?.status == BatchStatus::Struck {
                return self.strike_orphan(id).await;
            }
        }
        for id in self.registry.refundable(operator)? {
            if self.refund(id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn view(&self, id: B256) -> Result<ChainBatch> {
        let view = self.registry.batch(id)?;
        view.ok_or_else(|| Error::Store(format!("batch {id} is not indexed")))
    }

    /// Logs a struck batch, once.
    fn tell(&self, id: B256, view: &ChainBatch) -> Result<()> {
        if self.store.get(Table::StruckSeen, id.as_slice())?.is_some() {
            return Ok(());
        }
        let strike = self.registry.strike(id)?;
        error!(
            target: "node::strikes",
            batch = %id, epoch = view.epoch, total_gwei = view.submission.total,
            rule = strike.as_ref().map(|strike| strike.rule),
            slashed_wei = strike.map(|strike| strike.slashed.to_string()),
            "A BATCH OF THIS OPERATOR WAS STRUCK: its calls are void and its payers are refunded"
        );
        let mut batch = WriteBatch::default();
        batch.put(Table::StruckSeen, id.as_slice(), encode(&()));
        self.store.write(batch)
    }

    /// False if somebody else did and the index does not know yet.
    async fn strike_orphan(&self, batch: B256) -> Result<bool> {
        let call = ISettlement::strikeOrphanCall { batch };
        match self.client.send(self.settlement(), &call, U256::ZERO).await {
            Ok(sent) => {
                warn!(target: "node::strikes", %batch, transaction = %sent.transaction, "orphan struck");
                Ok(true)
            }
            Err(Error::Reverted(why)) if why.contains("NotPosted") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a struck batch's draws back. False if somebody else did and the index does not know
    /// yet.
    async fn refund(&self, batch: B256) -> Result<bool> {
        let intervals = self.view(batch)?.draws;
        let call = ISettlement::refundCall { batch, intervals };
        match self.client.send(self.settlement(), &call, U256::ZERO).await {
            Ok(sent) => {
                info!(target: "node::strikes", %batch, transaction = %sent.transaction, "refunded");
                Ok(true)
            }
            Err(Error::Reverted(why)) if why.contains("AlreadyRefunded") => Ok(false),
            Err(error) => Err(error),
        }
    }

    const fn settlement(&self) -> Address {
        self.registry.contracts().deployment.settlement
    }
}
