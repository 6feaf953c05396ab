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
        request::{CallRequest, Endpoint},
    },
    attributor::AttributorHandle,
    catalog::{Catalog, ServedModel},
    serving::{Bought, Generated, Generation, Piece, prompt_tokens},
};

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
        let (request, prompt) = match self.prepare(request).await {
            Ok(prepared) => prepared,
            Err(refusal) if refusal.status.is_client_error() => {
                return Ok(Rerun::Impossible(refusal.message));
            }
            Err(failure) => return Err(Error::Attribution(failure.message)),
        };
        let (tokens, bought) = (prompt.len() as u64, witness.max_tokens);
        let positions = self.catalog.max_positions() as u64;
        if tokens == 0 || bought == 0 || bought > positions.saturating_sub(tokens) {
            let why = format!("{tokens} and {bought} tokens do not fit {positions} positions");
            return Ok(Rerun::Impossible(why));
        }
        let bought = Bought { seed: witness.seed, max_tokens: bought };
        let sampling = &request.sampling;
        let generation = Generation::start(&self.engine, model, prompt.clone(), sampling, bought)?;
        let generated = whole(generation).await?;
        self.attribute(model, prompt, generated).await.map(Rerun::Ran)
    }

    async fn prepare(&self, body: &[u8]) -> std::result::Result<(CallRequest, Vec<u32>), ApiError> {
        let request = CallRequest::parse(Endpoint::of(body)?, body)?;
        let prompt = prompt_tokens(&self.catalog, &request).await?;
        Ok((request, prompt))
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
