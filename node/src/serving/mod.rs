//! One call's life: prepare, admit, generate, attribute, record, answer.
//!
//! Nothing is durable before the record is, and the record is before the answer's end is sent. A
//! caller that goes away drops its [`Run`]: the engine's slot and the reservation go with it, and
//! nothing was charged.

mod answer;
mod generate;
mod prepare;
mod run;

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Address, B256};
use tokio::sync::Semaphore;

pub use answer::{Finish, Finished, StoredAnswer, call_id, statement};
pub(crate) use generate::{Bought, Generated, Generation, Piece};
pub(crate) use prepare::prompt_tokens;
pub use prepare::{MAX_REVEALED_BYTES, Prepared};
pub use run::{Admitted, Progress, Run};

use crate::{
    api::{
        answer::{Decimal, PriceJson, Quote},
        error::ApiError,
    },
    attributor::AttributorHandle,
    catalog::Catalog,
    metrics::ServingMetrics,
    recorder::RecorderHandle,
    registry::Registry,
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
    /// Bounds.
    pub config: ServingConfig,
}

/// Serves calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Serving {
    parts: Arc<ServingParts>,
    gate: Arc<Semaphore>,
}

impl Serving {
    /// Calls over these parts.
    pub fn new(parts: ServingParts) -> Self {
        let gate = Arc::new(Semaphore::new(parts.config.max_requests));
        Self { parts: Arc::new(parts), gate }
    }

    /// What calls need.
    pub fn parts(&self) -> &ServingParts {
        &self.parts
    }

    /// What a prepared call costs and how to pay for it; `channel` adds what was charged from it.
    ///
    /// # Errors
    /// 404 if the model is no longer registered, 500 if the store cannot be read.
    pub async fn quote(&self, call: &Prepared, channel: Option<B256>) -> Result<Quote, ApiError> {
        let contracts = self.parts.registry.contracts();
        let charged = match channel {
            // A channel that is not indexed yet is not an error of the request.
            Some(id) => self.parts.recorder.charged(id).await.ok(),
            None => None,
        };
        let price = &call.view.price;
        Ok(Quote {
            model_id: call.model.id,
            price: PriceJson {
                input_rate: Decimal(price.inputRate),
                output_rate: Decimal(price.outputRate),
                platform_fee: Decimal(price.platformFee),
                price_version: call.view.price_version,
            },
            tokens_in: call.prompt.len() as u64,
            max_tokens: call.max_tokens,
            max_fee: Decimal(call.max_fee(call.max_tokens)?),
            operator: self.parts.operator,
            payment_channels: contracts.deployment.payment_channels,
            chain_id: contracts.deployment.chain_id,
            charged: charged.map(|account| Decimal(account.charged)),
        })
    }
}
