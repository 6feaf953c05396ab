//! Runs a recorded call again, exactly as serving runs it.

use std::sync::Arc;

use alloy::primitives::B256;
use attribution::{retrieval::Hit, settle::Witness};
use inference::engine::EngineHandle;

use super::Outcome;
use crate::{
    Error, Result,
    api::{
        error::ApiError,
        request::{AdapterChoice, AdapterSource, CallRequest, EmbeddingRequest, Endpoint, Prompt},
    },
    attributor::AttributorHandle,
    catalog::{Catalog, ServedModel},
    registry::DatanetRef,
    retrieval::{
        DatanetRows, Document, Relevance, SourceRef, Unread, question, shown, with_sources,
    },
    serving::{
        Asked, Bought, Generated, Generation, Piece, embedding_text, embedding_tokens, understand,
    },
    worker::blocking,
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
    /// This node does not have the rows that the answer was given, of this version.
    UnknownRows(DatanetRef),
    /// This node cannot tell how near rows are to a question: it has no sentence encoder.
    NoEncoder,
}

/// Runs calls again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reruns {
    catalog: Arc<Catalog>,
    engine: EngineHandle,
    attributor: AttributorHandle,
    rows: Option<DatanetRows>,
    relevance: Option<Relevance>,
}

impl Reruns {
    /// On the engine that also serves.
    pub const fn new(
        catalog: Arc<Catalog>,
        engine: EngineHandle,
        attributor: AttributorHandle,
    ) -> Self {
        Self { catalog, engine, attributor, rows: None, relevance: None }
    }

    /// With the rows that answers may have been given.
    #[must_use]
    pub fn with_rows(self, rows: DatanetRows) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// With what tells how near they are to questions.
    #[must_use]
    pub fn with_relevance(self, relevance: Option<Relevance>) -> Self {
        Self { relevance, ..self }
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
    /// - `answer`: what is claimed to be the answer, read only for the sources of a call that asks for
    ///   some: which of the model's rows an operator chooses is its own; that the model was given them,
    ///   and how near they are to the question, is not
    ///
    /// # Errors
    /// [`Error::Inference`] or [`Error::Attribution`] if the engine is too busy, too small for the
    /// request or fails: that says nothing about the record.
    pub async fn run(&self, witness: &Witness, request: &[u8], answer: &[u8]) -> Result<Rerun> {
        let id = B256::new(witness.model.0);
        let Some(model) = self.catalog.models().iter().find(|model| model.id == id) else {
            return Ok(Rerun::UnknownModel);
        };
        if Endpoint::of(request).is_ok_and(|endpoint| endpoint == Endpoint::Embeddings) {
            return self.embed(model, request).await;
        }
        let (request, sourced) = match self.request(model, request, answer).await? {
            Ok(read) => read,
            Err(verdict) => return Ok(verdict),
        };
        let understood = match understand(&self.catalog, &request, sourced.prompt).await {
            Ok(understood) => understood,
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
        let mut outcome = self.attribute(model, prompt, generated).await?;
        if let Some((sources, rows)) = sourced.sources {
            let text = String::from_utf8_lossy(&outcome.text).into_owned();
            outcome.citations = Some(rows.of.citations(id, &text, &rows.hits)?);
            outcome.text = Document { text, sources }.to_bytes();
        }
        Ok(Rerun::Ran(outcome))
    }

    /// The request, and the prompt that it makes with the sources of the claimed answer; or what is to
    /// be said without running anything.
    async fn request(
        &self,
        model: &ServedModel,
        body: &[u8],
        answer: &[u8],
    ) -> Result<std::result::Result<(CallRequest, Sourced), Rerun>> {
        let request = match read(model, body) {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(Rerun::Impossible(refusal.message))),
        };
        let Some(asked) = request.retrieval.clone() else {
            let prompt = request.prompt.clone();
            return Ok(Ok((request, Sourced { prompt, sources: None })));
        };
        let document = match Document::read(answer) {
            Ok(document) => document,
            Err(why) => return Ok(Err(Rerun::Impossible(why))),
        };
        let Some(rows) = self.rows.clone() else {
            return Err(Error::Attribution("rows of Datanets are not at hand".into()));
        };
        let (id, of, from) = (model.id, document.clone(), rows.clone());
        let hits = match blocking(move || from.sources(id, &asked, &of)).await? {
            Ok(hits) => self.measure(&request.prompt, hits).await?,
            Err(Unread::Impossible(why)) => Err(Rerun::Impossible(why)),
            Err(Unread::Unknown(version)) => Err(Rerun::UnknownRows(version)),
        };
        let hits = match hits {
            Ok(hits) => hits,
            Err(verdict) => return Ok(Err(verdict)),
        };
        let prompt = match shown(&hits) {
            Some(text) => with_sources(&request.prompt, &text),
            None => request.prompt.clone(),
        };
        let measured = document.sources.into_iter().zip(&hits);
        let sources =
            measured.map(|(source, hit)| SourceRef { relevance: hit.relevance, ..source });
        let sources = Some((sources.collect(), SourceRows { of: rows, hits }));
        Ok(Ok((request, Sourced { prompt, sources })))
    }

    /// The rows with their relevance to the prompt's question.
    async fn measure(
        &self,
        prompt: &Prompt,
        rows: Vec<Hit>,
    ) -> Result<std::result::Result<Vec<Hit>, Rerun>> {
        if rows.is_empty() {
            return Ok(Ok(rows));
        }
        let Some(relevance) = self.relevance.clone() else { return Ok(Err(Rerun::NoEncoder)) };
        let question = question(prompt).to_owned();
        let measured = blocking(move || relevance.measure(&question, rows)).await?;
        Ok(measured.map_err(Rerun::Impossible))
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
        Ok(Rerun::Ran(Outcome {
            text,
            tokens_in,
            tokens_out: 0,
            sketch: vec![],
            spans: vec![],
            citations: None,
        }))
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
            citations: None,
        })
    }
}

/// A prompt as the model was given it.
struct Sourced {
    prompt: Prompt,
    /// Of a call that asks for sources.
    sources: Option<(Vec<SourceRef>, SourceRows)>,
}

/// The rows of an answer's sources, and what they are read from.
struct SourceRows {
    of: DatanetRows,
    hits: Vec<Hit>,
}

/// A request for the model.
fn read(model: &ServedModel, body: &[u8]) -> std::result::Result<CallRequest, ApiError> {
    let request = CallRequest::parse(Endpoint::of(body)?, body)?;
    let is_its = match &request.adapters {
        AdapterChoice::Model => true,
        AdapterChoice::One { id, source: AdapterSource::Local } => model.is_called(id),
        AdapterChoice::One { .. } | AdapterChoice::Merged(_) => false,
    };
    if is_its {
        return Ok(request);
    }
    let message = "the request is for other adapters than the model's";
    Err(ApiError::invalid("adapter_id", message))
}

/// The whole answer at once.
async fn whole(mut generation: Generation) -> Result<Generated> {
    loop {
        if let Piece::End(generated) = generation.next().await? {
            return Ok(generated);
        }
    }
}
