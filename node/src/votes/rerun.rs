//! Runs a recorded call again, exactly as serving runs it.

use std::sync::Arc;

use alloy::primitives::B256;
use attribution::settle::Witness;
use inference::engine::EngineHandle;

use super::Outcome;
use crate::{
    Error, Result,
    api::{
        error::ApiError,
        request::{AdapterChoice, AdapterSource, CallRequest, EmbeddingRequest, Endpoint},
    },
    attributor::AttributorHandle,
    catalog::{Catalog, ServedModel},
    serving::{
        Asked, Bought, Generated, Generation, Piece, Understood, embedding_text, embedding_tokens,
        understand,
    },
};

/// What reruns are to the engine: callers' requests take turns with them.
const RERUNS: u64 = u64::MAX;

/// What running a call again gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rerun {
    /// The model's answer.
    Ran(Outcome),
    /// No node can answer this request, for this reason, so whatever was recorded is false.
    Impossible(String),
    /// This node does not have the model.
    UnknownModel,
}

/// Runs calls again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reruns {
    catalog: Arc<Catalog>,
    engine: EngineHandle,
    attributor: AttributorHandle,
}

impl Reruns {
    /// On the engine that also serves.
    pub const fn new(
        catalog: Arc<Catalog>,
        engine: EngineHandle,
        attributor: AttributorHandle,
    ) -> Self {
        Self { catalog, engine, attributor }
    }

    /// The models that can be run.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// [`Self::catalog`], shared.
    pub fn shared_catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// Runs the witness's model on a request, with the witness's seed and bound on tokens. Bounds
    /// that an operator may choose for itself are not applied.
    ///
    /// # Errors
    /// [`Error::Inference`] or [`Error::Attribution`] if the engine is too busy, too small for the
    /// request or fails: that says nothing about the record.
    pub async fn run(&self, witness: &Witness, request: &[u8]) -> Result<Rerun> {
        let id = B256::new(witness.model.0);
        let Some(model) = self.catalog.models().iter().find(|model| model.id == id) else {
            return Ok(Rerun::UnknownModel);
        };
        if Endpoint::of(request).is_ok_and(|endpoint| endpoint == Endpoint::Embeddings) {
            return self.embed(model, request).await;
        }
        let (request, understood) = match self.prepare(model, request).await {
            Ok(prepared) => prepared,
            Err(refusal) if refusal.status.is_client_error() => {
                return Ok(Rerun::Impossible(refusal.message));
            }
            Err(failure) => return Err(Error::Attribution(failure.message)),
        };
        let prompt = understood.prompt.clone();
        let (tokens, bought) = (prompt.len() as u64, witness.max_tokens);
        let positions = self.catalog.max_positions() as u64;
        if tokens == 0 || bought == 0 || bought > positions.saturating_sub(tokens) {
            let why = format!("{tokens} and {bought} tokens do not fit {positions} positions");
            return Ok(Rerun::Impossible(why));
        }
        let bought = Bought { seed: witness.seed, max_tokens: bought };
        let asked = Asked {
            understood,
            adapters: model.adapter_set(),
            sampling: &request.sampling,
            logprobs: false,
            bought,
            tenant: RERUNS,
            deadline: None,
        };
        let generation = Generation::start(&self.engine, asked)?;
        let generated = whole(generation).await?;
        self.attribute(model, prompt, generated).await.map(Rerun::Ran)
    }

    async fn prepare(
        &self,
        model: &ServedModel,
        body: &[u8],
    ) -> std::result::Result<(CallRequest, Understood), ApiError> {
        let request = CallRequest::parse(Endpoint::of(body)?, body)?;
        let is_its = match &request.adapters {
            AdapterChoice::Model => true,
            AdapterChoice::One { id, source: AdapterSource::Local } => model.is_called(id),
            AdapterChoice::One { .. } | AdapterChoice::Merged(_) => false,
        };
        if !is_its {
            let message = "the request is for other adapters than the model's";
            return Err(ApiError::invalid("adapter_id", message));
        }
        let understood = understand(&self.catalog, &request).await?;
        Ok((request, understood))
    }

    /// Embeddings are of the base model, and generate nothing.
    async fn embed(&self, model: &ServedModel, body: &[u8]) -> Result<Rerun> {
        if model.id != self.catalog.models()[0].id {
            return Ok(Rerun::Impossible("embeddings are of the base model".into()));
        }
        let tokens = match EmbeddingRequest::parse(body) {
            Ok(request) => embedding_tokens(&self.catalog, &request).await,
            Err(refusal) => Err(refusal),
        };
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(refusal) if refusal.status.is_client_error() => {
                return Ok(Rerun::Impossible(refusal.message));
            }
            Err(failure) => return Err(Error::Attribution(failure.message)),
        };
        let max = self.catalog.max_positions();
        if tokens.iter().any(|tokens| tokens.is_empty() || tokens.len() > max) {
            return Ok(Rerun::Impossible(format!("a text has not 1 to {max} tokens")));
        }
        let tokens_in = tokens.iter().map(|tokens| tokens.len() as u64).sum();
        let text = embedding_text(&self.engine, tokens).await?.into_bytes();
        Ok(Rerun::Ran(Outcome { text, tokens_in, tokens_out: 0, sketch: vec![], spans: vec![] }))
    }

    async fn attribute(
        &self,
        model: &Arc<ServedModel>,
        prompt: Vec<u32>,
        generated: Generated,
    ) -> Result<Outcome> {
        let loss_from = prompt.len();
        let tokens = [prompt, generated.tokens.clone()].concat();
        let attributed = self.attributor.attribute(Arc::clone(model), tokens, loss_from).await?;
        Ok(Outcome {
            text: generated.text.into_bytes(),
            tokens_in: loss_from as u64,
            tokens_out: generated.tokens.len() as u64,
            sketch: attributed.sketch,
            spans: attributed.spans.into_iter().flat_map(|found| found.uses).collect(),
        })
    }
}

/// The whole answer at once.
async fn whole(mut generation: Generation) -> Result<Generated> {
    loop {
        if let Piece::End(generated) = generation.next().await? {
            return Ok(generated);
        }
    }
}
