//! Watches influence indexes: reads every one that is published, holds it against the rules and the
//! rows that are here, and sends the proof of the first fault before the index is accepted.
//!
//! What was found is kept, so a restart neither repeats an examination nor loses a proof: a dispute is
//! noted only after its transaction is in a block, and one that was sent before a crash is refused by
//! the chain the second time.

mod answers;
mod faults;
mod proofs;
mod rows;

use std::{path::PathBuf, sync::Arc};

use alloy::primitives::{Address, B256, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::warn;

pub use answers::IndexAnswerer;

pub(super) use self::rows::{Place, Rows};
use self::{
    faults::Audit,
    proofs::{Claim, Maker, Proof},
};
use super::{examinations::Examinations, indexes::Index};
use crate::{
    Error, Result,
    chain::{
        ChainClient, Sent,
        bindings::{IIndexDisputes as Disputes, IInfluenceIndexes},
    },
    checkpoint::Checkpoint,
    factory::IndexPublisher,
    registry::{IndexView, ModelView, Registry},
    store::{SharedStore, Table, get_row, read_sol, write_sol},
    worker::blocking,
};

/// The block before which every index is done with.
const CHECKPOINT: Checkpoint = Checkpoint(b"index-challenger/block");

/// What became of the examination of an index.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum IndexExamination {
    /// No rule is broken.
    Clean {
        /// How many of the model's Datanets were here to compare rows with.
        datanets: u8,
    },
    /// A proof struck it, ours or another's.
    Struck {
        /// Number of the fault that was found.
        fault: u8,
        /// Our transaction; zero if somebody else was faster.
        #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
        transaction: B256,
        /// Gas that it used.
        gas: u64,
    },
    /// A row or an ordinal is missing; whoever can show why not, or the leaf, may do so.
    Claimed {
        /// Number of the fault that was found.
        fault: u8,
        /// The claim.
        #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
        claim: B256,
        /// Until when (seconds).
        deadline: u64,
    },
    /// Somebody answered our claim.
    Answered,
    /// It was accepted, or struck, before it could be examined.
    Late,
}

/// The stage from published indexes to disputes.
#[derive(Debug, Clone)]
pub struct IndexChallenger {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    publisher: IndexPublisher,
    datanets: Arc<[PathBuf]>,
    examinations: Examinations,
}

/// An index that can still be disputed.
struct Open {
    view: IndexView,
    model: ModelView,
}

impl IndexChallenger {
    /// The stage that reads what `publisher` can, and sends with the client's key.
    ///
    /// - `datanets`: directories of Datanets, whose rows indexes are compared with
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        publisher: IndexPublisher,
        datanets: &[PathBuf],
    ) -> Self {
        let examinations = Examinations::new(store.clone(), Table::IndexExaminations);
        Self { store, registry, client, publisher, datanets: datanets.into(), examinations }
    }

    /// Examines every index that is new or due again, and goes on with open claims. True if anything
    /// was found out.
    ///
    /// An index that cannot be examined (a blob is missing, it is not what is registered, the chain
    /// refuses the proof) is tried again with growing pauses until it is accepted.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let from = CHECKPOINT.passed(&*self.store)?;
        let published = self.registry.indexes_from(from)?;
        let open = self.examinations.open(published, |model| self.is_done(model))?;
        let mut progress = false;
        for model in open.due {
            let unknown = || Error::Store(format!("the index of model {model} is not there"));
            let view = self.registry.index(model)?.ok_or_else(unknown)?;
            let found = self.look(model, view).await;
            progress |= self.examinations.take(model, found)?;
        }
        CHECKPOINT.pass(&*self.store, &self.registry, from, open.first)?;
        Ok(progress)
    }

    /// Whether nothing about an index can change any more.
    fn is_done(&self, model: B256) -> Result<bool> {
        let found = index_examination(&self.store, model)?;
        Ok(found.is_some_and(|found| !matches!(found, IndexExamination::Claimed { .. })))
    }

    /// What is new of an index.
    async fn look(&self, id: B256, view: IndexView) -> Result<Option<IndexExamination>> {
        let now = self.registry.head().timestamp;
        match index_examination(&self.store, id)? {
            Some(IndexExamination::Claimed { fault, claim, deadline }) => {
                let is_due = view.struck || now >= deadline;
                if is_due { self.conclude(id, fault, claim).await } else { Ok(None) }
            }
            Some(_) => Ok(None),
            None if view.struck || now >= view.accepted_at => Ok(Some(IndexExamination::Late)),
            None => {
                let unknown = || Error::Store(format!("model {id} is not indexed"));
                let model = self.registry.model(id)?.ok_or_else(unknown)?;
                // Striking one's own index burns half of its bond.
                if Some(model.owner) == self.client.sender() {
                    return Ok(None);
                }
                self.examine(Open { view, model }).await.map(Some)
            }
        }
    }

    async fn examine(&self, open: Open) -> Result<IndexExamination> {
        let Open { view, model } = open;
        let certificates: Vec<_> = view.certificates.iter().cloned().map(Into::into).collect();
        let (id, root) = (model.id, model.index_root);
        let published = self.publisher.read(&view.blobs, &certificates, view.symbols, root).await?;
        let (registry, folders) = (self.registry.clone(), Arc::clone(&self.datanets));
        // A client without a key cannot send; it examines all the same.
        let challenger = self.client.sender().unwrap_or_default();
        let (proof, datanets) = blocking(move || {
            let rows = Rows::load(&registry, &folders, &model.datanets)?;
            let (contributors, dim) = (view.contributors as usize, view.dim as usize);
            let audit = Audit { published: &published, contributors, dim, rows: &rows };
            let datanets = u8::try_from(rows.known()).unwrap_or(u8::MAX);
            let Some(fault) = audit.fault() else { return Ok((None, datanets)) };
            warn!(target: "node::challenger", model = %id, ?fault, "an index is wrong");
            let index = Index::new(&published);
            let (published, index, rows) = (&published, &index, &rows);
            let maker = Maker { model: id, published, index, rows, challenger };
            Ok((Some(maker.proof(fault)?), datanets))
        })
        .await?;
        match proof {
            None => Ok(IndexExamination::Clean { datanets }),
            Some(Proof::Fault(kind, calldata)) => {
                let sent = self.client.send_data(self.contract(), calldata).await;
                self.outcome(id, kind as u8, sent).await
            }
            Some(Proof::Claim(claim, call)) => self.claim(id, claim, call).await,
        }
    }

    /// What a dispute led to: somebody else's may have been first.
    async fn outcome(
        &self,
        model: B256,
        fault: u8,
        sent: Result<Sent>,
    ) -> Result<IndexExamination> {
        match sent {
            Ok(Sent { transaction, gas, .. }) => {
                Ok(IndexExamination::Struck { fault, transaction, gas })
            }
            Err(Error::Reverted(why)) if why.contains("NotDisputable") => {
                match self.is_struck(model).await? {
                    true => Ok(IndexExamination::Struck { fault, transaction: B256::ZERO, gas: 0 }),
                    false => Ok(IndexExamination::Late),
                }
            }
            Err(Error::Reverted(why)) => {
                Err(Error::Dispute(format!("proof of fault {fault} in index of {model}: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    async fn is_struck(&self, model: B256) -> Result<bool> {
        let to = self.registry.contracts().deployment.influence_indexes;
        let call = IInfluenceIndexes::indexOfCall { model };
        Ok(self.client.call(to, &call).await?.struck)
    }

    async fn claim(&self, model: B256, claim: B256, call: Claim) -> Result<IndexExamination> {
        let (to, fault) = (self.contract(), call.fault() as u8);
        let bond = self.client.call(to, &Disputes::claimBondCall {}).await?;
        let sent = match call {
            Claim::Row(call) => self.client.send(to, &*call, bond).await,
            Claim::Contributor(call) => self.client.send(to, &*call, bond).await,
            Claim::Ordinal(call) => self.client.send(to, &call, bond).await,
        };
        match sent {
            Ok(sent) => {
                let transaction = sent.transaction;
                warn!(target: "node::challenger", %model, fault, %claim, %transaction, "claimed");
            }
            // By this node before it was killed.
            Err(Error::Reverted(why)) if why.contains("ClaimExists") => {}
            Err(error) => return self.outcome(model, fault, Err(error)).await,
        }
        let deadline = self.client.call(to, &Disputes::claimOfCall { claim }).await?.deadline;
        Ok(IndexExamination::Claimed { fault, claim, deadline })
    }

    /// Ends a claim whose time is over: strikes the index, or only gets the bond back if the index is
    /// struck for something else. `None` if the chain's clock is not there yet.
    async fn conclude(
        &self,
        model: B256,
        fault: u8,
        claim: B256,
    ) -> Result<Option<IndexExamination>> {
        let call = Disputes::concludeCall { claim };
        let (transaction, gas) = match self.client.send(self.contract(), &call, U256::ZERO).await {
            Ok(sent) => (sent.transaction, sent.gas),
            Err(Error::Reverted(why)) if why.contains("TooEarly") => return Ok(None),
            Err(Error::Reverted(why)) if why.contains("UnknownClaim") => (B256::ZERO, 0),
            Err(error) => return Err(error),
        };
        Ok(Some(match self.is_struck(model).await? {
            true => IndexExamination::Struck { fault, transaction, gas },
            false if transaction.is_zero() => IndexExamination::Answered,
            false => IndexExamination::Late,
        }))
    }

    const fn contract(&self) -> Address {
        self.registry.contracts().deployment.index_disputes
    }
}

/// What was found in a model's index, `None` before it is examined.
///
/// # Errors
/// [`Error::Store`].
pub fn index_examination(store: &SharedStore, model: B256) -> Result<Option<IndexExamination>> {
    get_row(&**store, Table::IndexExaminations, model.as_slice())
}
