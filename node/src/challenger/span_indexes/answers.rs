//! Shows the leaves that are demanded of this publisher's span indexes: one that is not shown in time
//! is struck.

use alloy::{
    primitives::{B256, U256},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use attribution::spans::proof::{CommittedShard, LeafOpening};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::{error, info, warn};

use super::super::corpora::Corpora;
use crate::{
    Error, Result,
    chain::{
        ChainClient,
        bindings::ISpanIndexes::{self, LeafDemanded, Tree},
    },
    checkpoint::Checkpoint,
    factory::leaf_opening,
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, read_sol, rows as table, write_sol},
    worker::blocking,
};

/// The last block that was read.
const CHECKPOINT: Checkpoint = Checkpoint(b"span-demands/block");
/// Before a demand that is not met yet.
const WAITING: &[u8] = b"span-demands/waiting/";

/// A leaf that somebody demands.
#[derive(Debug, Clone, Copy, BorshSerialize, BorshDeserialize)]
struct Waiting {
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    model: B256,
    tree: u8,
    number: u64,
    /// End of the time to show it (seconds).
    until: u64,
}

/// The stage that shows leaves; their deposits are the publisher's.
#[derive(Debug, Clone)]
pub struct SpanAnswerer {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    corpora: Corpora,
}

impl SpanAnswerer {
    /// The stage that sends with the client's key, and answers for indexes which that published.
    pub const fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        corpora: Corpora,
    ) -> Self {
        Self { store, registry, client, corpora }
    }

    /// Reads the demands of the next blocks, up to the indexed head, and shows the leaves of all that
    /// are open. False if there was nothing to do.
    ///
    /// # Errors
    /// [`Error::Chain`], [`Error::Store`]; the same blocks are read again then.
    pub async fn step(&self) -> Result<bool> {
        let read = self.read().await?;
        Ok(self.show().await? || read)
    }

    async fn read(&self) -> Result<bool> {
        let Some(blocks) = CHECKPOINT.next(&*self.store, &self.registry)? else {
            return Ok(false);
        };
        let filter = Filter::new()
            .address(self.registry.contracts().deployment.span_indexes)
            .event_signature(LeafDemanded::SIGNATURE_HASH)
            .from_block(blocks.from)
            .to_block(blocks.to);
        let mut batch = WriteBatch::default();
        for log in self.client.logs(&filter).await? {
            let Ok(decoded) = log.log_decode::<LeafDemanded>() else { continue };
            let LeafDemanded { model, tree, number, until, .. } = decoded.inner.data;
            let publisher = self.registry.span_index(model)?.map(|index| index.publisher);
            if publisher.is_some() && publisher == self.client.sender() {
                let waiting = Waiting { model, tree: tree as u8, number, until };
                batch.put_row(Table::Meta, waiting.key(), &waiting);
            }
        }
        let progress = CHECKPOINT.read(blocks, &mut batch);
        self.store.write(batch)?;
        Ok(progress)
    }

    /// Shows what is demanded. True if a demand is no longer open.
    async fn show(&self) -> Result<bool> {
        let mut progress = false;
        for (key, waiting) in table::<Waiting>(&*self.store, Table::Meta, WAITING)? {
            match self.answer(&waiting).await {
                Ok(()) => {
                    let mut batch = WriteBatch::default();
                    batch.delete(Table::Meta, key);
                    self.store.write(batch)?;
                    progress = true;
                }
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => {
                    let Waiting { model, tree, number, until } = waiting;
                    error!(
                        target: "node::challenger", %model, tree, number, until, %error,
                        "A LEAF OF THIS PUBLISHER'S SPAN INDEX IS DEMANDED AND CANNOT BE SHOWN"
                    );
                }
            }
        }
        Ok(progress)
    }

    async fn answer(&self, waiting: &Waiting) -> Result<()> {
        let &Waiting { model, tree, number, until } = waiting;
        if self.registry.head().timestamp >= until {
            return Ok(());
        }
        let Some(view) = self.registry.span_index(model)?.filter(|view| !view.struck) else {
            return Ok(());
        };
        let corpus = self.corpora.of(model).await?;
        let corpus = corpus.ok_or_else(|| Error::Dispute("the index is not here".into()))?;
        let tree = Tree::try_from(tree).map_err(|_| Error::Store("damaged tree".into()))?;
        let opening = blocking(move || {
            let shard = corpus.index.commit(0);
            let shard = shard.ok_or_else(|| Error::Dispute("the index has no shard".into()))?;
            open(&shard, tree, number)
        })
        .await?;
        let (commitment, opening) = (view.commitment, leaf_opening(opening));
        let call = ISpanIndexes::answerCall { model, commitment, tree, number, opening };
        let to = self.registry.contracts().deployment.span_indexes;
        match self.client.send(to, &call, U256::ZERO).await {
            Ok(sent) => {
                let transaction = sent.transaction;
                info!(target: "node::challenger", %model, ?tree, number, %transaction, "leaf shown");
                Ok(())
            }
            // Too late, or by this node before it was killed.
            Err(Error::Reverted(why)) => {
                warn!(target: "node::challenger", %model, ?tree, number, %why, "leaf not shown");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Waiting {
    fn key(&self) -> Vec<u8> {
        [WAITING, self.model.as_slice(), &[self.tree], &self.number.to_be_bytes()].concat()
    }
}

fn open(shard: &CommittedShard<'_>, tree: Tree, number: u64) -> Result<LeafOpening> {
    Ok(match tree {
        Tree::Text => shard.open_text_leaf(number),
        Tree::Suffixes => shard.open_suffix_leaf(number),
        Tree::Rows => {
            let row = u32::try_from(number);
            shard.open_row(row.map_err(|_| Error::Dispute(format!("there is no row {number}")))?)
        }
        Tree::__Invalid => return Err(Error::Store("damaged tree".into())),
    })
}
