//! Watches span indexes: builds every one that is published again from its model's rows, and sends the
//! proof of the first fault before it is accepted.
//!
//! Of an index that is not what the rows give, the published files show what is wrong. They are those
//! of a model directory; where this node has none it demands leaves, so that a publisher who keeps the
//! files to itself is struck. What was found is kept: a dispute or demand is noted only after its
//! transaction is in a block, and one that was sent before a crash is refused the second time.

mod answers;
mod demands;
mod faults;

use alloy::primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};
use tracing::warn;

pub use answers::SpanAnswerer;

use self::demands::{Demanded, Demands, named_tree, wrong_tree};
use super::{
    corpora::{Corpora, Corpus},
    examinations::Examinations,
};
use crate::{
    Error, Result,
    chain::{ChainClient, Sent, bindings::ISpanIndexes},
    checkpoint::Checkpoint,
    factory::span_commitment,
    registry::{Registry, SpanIndexView},
    store::{SharedStore, Table, get_row, read_sol, write_sol},
    worker::blocking,
};

/// The block before which every index is done with.
const CHECKPOINT: Checkpoint = Checkpoint(b"span-challenger/block");

/// What became of the examination of a span index.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SpanExamination {
    /// It is what the model's rows give.
    Clean,
    /// It is something else, and nothing can be proven of it. Its spans are compared with nothing.
    Unproven,
    /// It was struck, by our proof or another's.
    Struck {
        /// Our transaction; zero if somebody else was faster.
        #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
        transaction: B256,
        /// Gas that it used.
        gas: u64,
    },
    /// It is something else, and its publisher is asked for leaves.
    Demanded {
        /// Number of the tree.
        tree: u8,
        /// The leaves of all rounds, those of the last round last.
        leaves: Vec<u64>,
        /// How many are of the last round; those before were shown.
        last: u32,
        /// Until when they are to be shown (seconds); 0 before the demands are sent.
        until: u64,
    },
    /// It was accepted, or struck, before it could be examined.
    Late,
}

/// The stage from published span indexes to disputes.
#[derive(Debug, Clone)]
pub struct SpanChallenger {
    store: SharedStore,
    registry: Registry,
    client: ChainClient,
    corpora: Corpora,
    examinations: Examinations,
}

impl SpanChallenger {
    /// The stage that sends with the client's key.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        client: ChainClient,
        corpora: Corpora,
    ) -> Self {
        let examinations = Examinations::new(store.clone(), Table::SpanExaminations);
        Self { store, registry, client, corpora, examinations }
    }

    /// Examines every span index that is new or due again, and goes on with demands. True if anything
    /// was found out.
    ///
    /// An index that cannot be examined, as when not all rows are here, is tried again with growing
    /// pauses until it is accepted.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn step(&self) -> Result<bool> {
        let from = CHECKPOINT.passed(&*self.store)?;
        let published = self.registry.span_indexes_from(from)?;
        let open = self.examinations.open(published, |model| self.is_done(model))?;
        let mut progress = false;
        for model in open.due {
            let unknown = || Error::Store(format!("the span index of {model} is not there"));
            let view = self.registry.span_index(model)?.ok_or_else(unknown)?;
            let known = span_examination(&self.store, model)?;
            let found = self.look(model, &view, known).await;
            progress |= self.examinations.take(model, found)?;
        }
        CHECKPOINT.pass(&*self.store, &self.registry, from, open.first)?;
        Ok(progress)
    }

    /// Whether nothing about an index can change any more.
    fn is_done(&self, model: B256) -> Result<bool> {
        let found = span_examination(&self.store, model)?;
        Ok(found.is_some_and(|found| !matches!(found, SpanExamination::Demanded { .. })))
    }

    /// What is new of an index.
    async fn look(
        &self,
        model: B256,
        view: &SpanIndexView,
        known: Option<SpanExamination>,
    ) -> Result<Option<SpanExamination>> {
        let now = self.registry.head().timestamp;
        if let Some(SpanExamination::Demanded { tree, leaves, last, until }) = known {
            let round = Demanded { tree, leaves: &leaves, last, until };
            return self.after_demand(model, view, round, now).await;
        }
        if view.struck || now >= view.accepted_at {
            return Ok(Some(SpanExamination::Late));
        }
        // Striking one's own index burns half of its bond.
        if Some(view.publisher) == self.client.sender() {
            return Ok(None);
        }
        let hash = view.commitment_hash();
        let (rebuilt, files) = self.rebuild(model, hash).await?;
        match (rebuilt, files) {
            (Some(rebuilt), None) if hash == rebuilt.commitment.hash() => {
                Ok(Some(SpanExamination::Clean))
            }
            (rebuilt, Some(files)) => self.prove(model, view, files, rebuilt.is_some()).await,
            (Some(rebuilt), None) => {
                let ours = span_commitment(&rebuilt.commitment);
                let round =
                    self.demands(model, view).draw(wrong_tree(&view.commitment, &ours), &[]);
                // With deposits above the bond nobody asks.
                Ok(Some(round.await?.unwrap_or(SpanExamination::Unproven)))
            }
            (None, None) => Err(Error::Dispute("its rows are not all here".into())),
        }
    }

    /// The index as the rows give it, if all are here, and the published files, unless they are that one.
    async fn rebuild(&self, model: B256, hash: B256) -> Result<(Option<Corpus>, Option<Corpus>)> {
        let corpora = self.corpora.clone();
        blocking(move || {
            let rebuilt = match corpora.rebuild(model) {
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => {
                    warn!(target: "node::challenger", %model, %error, "span index not rebuilt");
                    None
                }
                Ok(rebuilt) => rebuilt,
            };
            let is_right = rebuilt.as_ref().is_some_and(|of| hash == of.commitment.hash());
            let files = if is_right { None } else { corpora.files_of(model, hash)? };
            Ok((rebuilt, files))
        })
        .await
    }

    /// Proves what the published files show.
    ///
    /// - `is_known`: whether the rows give something else
    async fn prove(
        &self,
        model: B256,
        view: &SpanIndexView,
        files: Corpus,
        is_known: bool,
    ) -> Result<Option<SpanExamination>> {
        let (corpora, registry) = (self.corpora.clone(), self.registry.clone());
        let proof = blocking(move || {
            let unknown = || Error::Store(format!("model {model} is not indexed"));
            let rows = corpora.rows(&registry.model(model)?.ok_or_else(unknown)?)?;
            faults::proof(model, &files, &rows)
        });
        let Some(calldata) = proof.await? else {
            warn!(target: "node::challenger", %model, "a span index that is not what its rows give has no fault that can be proven");
            // Without all rows it may be right: until it is accepted they may come.
            return match is_known {
                true => Ok(Some(SpanExamination::Unproven)),
                false => Err(Error::Dispute("its rows are not all here".into())),
            };
        };
        warn!(target: "node::challenger", %model, hash = %view.commitment_hash(), "a span index is wrong");
        let sent = self.client.send_data(self.contract(), calldata).await;
        self.outcome(model, sent).await.map(Some)
    }

    const fn demands<'a>(&'a self, model: B256, view: &'a SpanIndexView) -> Demands<'a> {
        Demands { client: &self.client, contract: self.contract(), model, view }
    }

    /// Goes on with a round of demands: sends it, draws the next one once all leaves were shown, strikes
    /// an index of which one was not shown in time. `None` while there is time. The chain is asked,
    /// because the view may be of a block before the demands.
    async fn after_demand(
        &self,
        model: B256,
        view: &SpanIndexView,
        round: Demanded<'_>,
        now: u64,
    ) -> Result<Option<SpanExamination>> {
        let demands = self.demands(model, view);
        if round.until == 0 {
            return demands.send(round).await.map(Some);
        }
        let call = ISpanIndexes::indexOfCall { model };
        let index = self.client.call(self.contract(), &call).await?;
        let are_shown = !index.struck && index.demands == 0;
        if !are_shown && now < round.until {
            return Ok(None);
        }
        // Of a struck index it takes back what was not shown.
        let found = if are_shown { None } else { demands.collect(round).await? };
        if index.struck || found.is_some() {
            let (transaction, gas) = found.filter(|_| !index.struck).unwrap_or_default();
            return Ok(Some(SpanExamination::Struck { transaction, gas }));
        }
        if now >= index.disputableUntil {
            return Ok(Some(SpanExamination::Unproven));
        }
        let next = demands.draw(named_tree(&view.commitment, round.tree)?, round.leaves).await?;
        Ok(Some(next.unwrap_or(SpanExamination::Unproven)))
    }

    /// What a dispute led to: somebody else's may have been first.
    async fn outcome(&self, model: B256, sent: Result<Sent>) -> Result<SpanExamination> {
        match sent {
            Ok(Sent { transaction, gas, .. }) => Ok(SpanExamination::Struck { transaction, gas }),
            Err(Error::Reverted(why)) if why.contains("NotPublished") => {
                Ok(SpanExamination::Struck { transaction: B256::ZERO, gas: 0 })
            }
            Err(Error::Reverted(why)) if why.contains("WrongTime(") => Ok(SpanExamination::Late),
            Err(Error::Reverted(why)) => {
                Err(Error::Dispute(format!("proof against the span index of {model}: {why}")))
            }
            Err(error) => Err(error),
        }
    }

    const fn contract(&self) -> Address {
        self.registry.contracts().deployment.span_indexes
    }
}

/// What was found in a model's span index, `None` before it is examined.
///
/// # Errors
/// [`Error::Store`].
pub fn span_examination(store: &SharedStore, model: B256) -> Result<Option<SpanExamination>> {
    get_row(&**store, Table::SpanExaminations, model.as_slice())
}
