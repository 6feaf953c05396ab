//! One call's life: prepare, admit, generate, attribute, record, answer.
//!
//! Nothing is durable before the record is, and the record is before the answer's end is sent. A
//! caller that goes away drops its [`Run`]: the engine's slot and the reservation go with it, and
//! nothing was charged.

mod adapters;
mod answer;
mod embed;
mod generate;
mod grammar;
mod prepare;
mod purchase;
mod run;
mod sources;
mod understand;

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy::primitives::{Address, B256};
use tokio::sync::Semaphore;

pub use answer::{Account, Finish, Finished, StoredAnswer, StoredSpan, call_id, statement};
pub use embed::PreparedEmbeddings;
pub(crate) use embed::{embedding_text, embedding_tokens, vectors};
pub(crate) use generate::{Asked, Bought, Generated, Generation, Piece};
pub use generate::{Likelihood, TokenLogprob};
pub use grammar::{Grammars, JsonMask};
pub use prepare::{MAX_REVEALED_BYTES, Prepared};
pub use run::{Admitted, Progress, Run};
pub(crate) use understand::{Understood, encode, understand};

use crate::{
    api::{
        answer::{Decimal, PriceJson, Quote},
        error::ApiError,
    },
    attributor::AttributorHandle,
    catalog::Catalog,
    metrics::ServingMetrics,
    recorder::RecorderHandle,
    registry::{ModelView, Registry},
    retrieval::Retrieval,
};

/// Bounds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServingConfig {
    /// Longest prompt, in tokens.
    pub max_prompt_tokens: usize,
    /// Most tokens that one call may generate.
    pub max_new_tokens: usize,
    /// Calls at once; more are refused.
    pub max_requests: usize,
    /// How long one call may take.
    pub timeout: Duration,
    /// How old the last look at the chain's head may be.
    pub max_head_age: Duration,
}

/// Where adapters may come from, besides those of models and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterPlaces {
    /// Folder below which administrators may load them from.
    pub root: Option<PathBuf>,
    /// Hosts that they may be fetched from.
    pub hosts: Vec<String>,
}

/// What calls need; one for the process.
#[derive(Debug)]
pub struct ServingParts {
    /// The models.
    pub catalog: Arc<Catalog>,
    /// Generates.
    pub engine: inference::engine::EngineHandle,
    /// Attributes.
    pub attributor: AttributorHandle,
    /// Admits and records.
    pub recorder: RecorderHandle,
    /// What the chain says.
    pub registry: Registry,
    /// Whom channels must pay.
    pub operator: Address,
    /// Counts.
    pub metrics: ServingMetrics,
    /// Where adapters may come from.
    pub places: AdapterPlaces,
    /// Finds rows to answer from, if the operator wants that.
    pub retrieval: Option<Retrieval>,
    /// Bounds.
    pub config: ServingConfig,
}

/// Serves calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Serving {
    parts: Arc<ServingParts>,
    gate: Arc<Semaphore>,
    loads: Arc<Semaphore>,
    embeddings: Arc<Semaphore>,
}

/// Adapters that are read at once because a request or an administrator named them.
const MAX_LOADS: usize = 4;

impl Serving {
    /// Calls over these parts.
    pub fn new(parts: ServingParts) -> Self {
        let gate = Arc::new(Semaphore::new(parts.config.max_requests));
        Self {
            parts: Arc::new(parts),
            gate,
            loads: Arc::new(Semaphore::new(MAX_LOADS)),
            embeddings: Arc::new(Semaphore::new(1)),
        }
    }

    /// What calls need.
    pub fn parts(&self) -> &ServingParts {
        &self.parts
    }

    /// What a prepared call costs and how to pay for it; `channel` adds what was charged from it.
    ///
    /// # Errors
    /// 500 if the price is so high that the fee overflows.
    pub async fn quote(&self, call: &Prepared, channel: Option<B256>) -> Result<Quote, ApiError> {
        let (tokens_in, max_fee) = (call.prompt.len() as u64, call.max_fee(call.max_tokens)?);
        Ok(self.quoted(&call.view, tokens_in, call.max_tokens, max_fee, channel).await)
    }

    /// As [`Self::quote`].
    ///
    /// # Errors
    /// As there.
    pub async fn quote_embeddings(
        &self,
        call: &PreparedEmbeddings,
        channel: Option<B256>,
    ) -> Result<Quote, ApiError> {
        Ok(self.quoted(&call.view, call.tokens_in(), 1, call.max_fee()?, channel).await)
    }

    async fn quoted(
        &self,
        view: &ModelView,
        tokens_in: u64,
        max_tokens: u64,
        max_fee: u64,
        channel: Option<B256>,
    ) -> Quote {
        let contracts = self.parts.registry.contracts();
        let charged = match channel {
            // A channel that is not indexed yet is not an error of the request.
            Some(id) => self.parts.recorder.charged(id).await.ok(),
            None => None,
        };
        let price = &view.price;
        Quote {
            model_id: view.id,
            price: PriceJson {
                input_rate: Decimal(price.inputRate),
                output_rate: Decimal(price.outputRate),
                platform_fee: Decimal(price.platformFee),
                price_version: view.price_version,
            },
            tokens_in,
            max_tokens,
            max_fee: Decimal(max_fee),
            operator: self.parts.operator,
            payment_channels: contracts.deployment.payment_channels,
            chain_id: contracts.deployment.chain_id,
            charged: charged.map(|account| Decimal(account.charged)),
        }
    }
}
