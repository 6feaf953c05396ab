//! Everything about a call that does not need its payment.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::{B256, keccak256};
use attribution::{retrieval::Hit, settle::Price};
use axum::http::StatusCode;
use inference::{adapter::AdapterSet, sampler::TokenMask};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{Serving, Understood, adapters::Answerer, sources::Sourced, understand};
use crate::{
    api::{
        error::ApiError,
        request::{CallRequest, Endpoint},
    },
    catalog::ServedModel,
    keys::{ApiKey, Caller},
    registry::ModelView,
    retrieval::Grounding,
    voucher::Call,
};

/// Most bytes of request and answer together: SketchVotes' `MAX_ANSWER_BYTES`.
pub const MAX_REVEALED_BYTES: usize = 120 << 10;

/// Most bytes that a byte of a text takes in a JSON string.
const ESCAPED_BYTES: usize = 6;

/// A call whose request is in order.
#[derive(Debug)]
pub struct Prepared {
    /// Where it was made.
    pub endpoint: Endpoint,
    /// The checked request.
    pub request: CallRequest,
    /// The model whose price and record it is; the base model for a call without a record.
    pub model: Arc<ServedModel>,
    /// The model on the chain.
    pub view: ModelView,
    /// From when calls of the model may earn (seconds).
    pub earning_from: u64,
    /// What the answer calls the model.
    pub name: String,
    /// What answers.
    pub adapters: AdapterSet,
    /// Whether the answer is recorded and paid.
    pub is_recorded: bool,
    /// Tokens of the rendered prompt, with its sources.
    pub prompt: Vec<u32>,
    /// The sources of a call that asks for them, in the order of their numbers; those of one for which
    /// nothing was found are none.
    pub sources: Option<Vec<Hit>>,
    /// The body as it came, which has to be shown if the record is challenged.
    pub body: Vec<u8>,
    /// keccak256 of the body, which the payer signs.
    pub prompt_hash: B256,
    /// Most tokens to generate: the request's, or else the node's bound.
    pub max_tokens: u64,
    /// Tokens that fit behind the prompt.
    pub room: u64,
    /// What the answer's form allows; taken when it is generated.
    pub(super) mask: Mask,
    /// Private Datanets that the caller may see.
    pub(super) granted: BTreeSet<B256>,
    /// The caller's name to the engine, if it has a key.
    pub(super) tenant: Option<u64>,
    pub(super) deadline: Instant,
    /// Its place among the calls being served, until it ends.
    _permit: OwnedSemaphorePermit,
}

/// A restriction of tokens. The lock is only there so that calls can be shared between threads.
pub(super) struct Mask(Mutex<Option<Box<dyn TokenMask>>>);

impl Mask {
    const fn new(mask: Option<Box<dyn TokenMask>>) -> Self {
        Self(Mutex::new(mask))
    }

    /// Takes it out.
    pub(super) fn take(&mut self) -> Option<Box<dyn TokenMask>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").finish_non_exhaustive()
    }
}

impl Serving {
    /// Checks a body of a caller without a key, as [`Self::prepare_for`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn prepare(&self, endpoint: Endpoint, body: &[u8]) -> Result<Prepared, ApiError> {
        self.prepare_for(&Caller::default(), endpoint, body).await
    }

    /// Checks a body and renders its prompt.
    ///
    /// # Errors
    /// 429 if too many calls are being served; 400 if the body, a sampling value, the prompt's
    /// length or `max_tokens` is out of bounds; what [`crate::retrieval::Retrieval::search`] refuses; 413 if the body leaves no room for an answer; 404 if
    /// there is no such model for the caller; 403 if the caller may not use what no record can name;
    /// 503 if the model's influence index is not accepted by the time of the chain's head.
    pub async fn prepare_for(
        &self,
        caller: &Caller,
        endpoint: Endpoint,
        body: &[u8],
    ) -> Result<Prepared, ApiError> {
        let deadline = Instant::now() + self.parts.config.timeout;
        let permit = self.place()?;
        let request = CallRequest::parse(endpoint, body)?;
        let (model, adapters, name, is_recorded) = match self.answerer(&request, caller).await? {
            Answerer::Model(model) => {
                let (adapters, name) = (model.adapter_set(), model.name.clone());
                (model, adapters, name, true)
            }
            Answerer::Adapters { set, name } => {
                (Arc::clone(&self.parts.catalog.models()[0]), set, name, false)
            }
        };
        let view = self.parts.registry.model(model.id)?.ok_or_else(ApiError::unknown_model)?;
        let earning_from = self.earning_from(&view)?;
        let granted = caller.granted();
        let sourced = self.sourced(&request, &view, is_recorded, &granted, deadline).await?;
        let (asked, sources) = match sourced {
            Some(Sourced { prompt, hits }) => (prompt, Some(hits)),
            None => (request.prompt.clone(), None),
        };
        let Understood { prompt, mask } = understand(&self.parts.catalog, &request, asked).await?;
        let room = {
            let sources = sources.as_deref().map(|hits| (hits, &view));
            self.room(prompt.len(), body.len(), sources)?
        };
        let max_tokens = match request.max_tokens {
            Some(wanted) if wanted > room => {
                let message = format!("max_tokens {wanted} is above {room}");
                return Err(ApiError::invalid("max_tokens", message));
            }
            wanted => wanted.unwrap_or(room),
        };
        Ok(Prepared {
            endpoint,
            request,
            model,
            view,
            earning_from,
            name,
            adapters,
            is_recorded,
            prompt,
            sources,
            body: body.to_vec(),
            prompt_hash: keccak256(body),
            max_tokens,
            room,
            mask: Mask::new(mask),
            granted,
            tenant: caller.key().map(ApiKey::tenant),
            deadline,
            _permit: permit,
        })
    }

    /// A place among the calls being served.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.gate).try_acquire_owned().map_err(|_| {
            let max = self.parts.config.max_requests;
            ApiError::overloaded(format!("{max} calls are being served"), 1)
        })
    }

    /// A call of a model whose index is not accepted could not be settled.
    pub(super) fn earning_from(&self, view: &ModelView) -> Result<u64, ApiError> {
        let refuse = |message: String| Err(ApiError::unavailable("model_not_earning", message));
        match self.parts.registry.earning_from(view)? {
            Some(from) if from <= self.parts.registry.head().timestamp => Ok(from),
            Some(from) => refuse(format!("model may earn from {from}, when its index is accepted")),
            None => refuse("the model's index is not published, or was struck".into()),
        }
    }

    /// How many tokens may follow a prompt of this length, in a body of so many bytes. An answer with
    /// sources is revealed in a document, where a character takes up to six bytes.
    fn room(
        &self,
        prompt: usize,
        body: usize,
        sources: Option<(&[Hit], &ModelView)>,
    ) -> Result<u64, ApiError> {
        let config = self.parts.config;
        let positions = self.parts.catalog.max_positions();
        let max = config.max_prompt_tokens.min(positions.saturating_sub(1));
        if prompt == 0 || prompt > max {
            let message = format!("prompt has {prompt} tokens, not 1 to {max}");
            let error = ApiError::invalid("messages", message);
            return Err(ApiError { code: "context_length_exceeded", ..error });
        }
        let room = config.max_new_tokens.min(positions - prompt);
        // An operator that is challenged has to show request and answer in one transaction.
        let (around, escaped) = match sources {
            Some((hits, view)) => {
                let grounding = Grounding::of("", hits, &view.datanets);
                (grounding.document("").to_bytes().len(), ESCAPED_BYTES)
            }
            None => (0, 1),
        };
        let left = MAX_REVEALED_BYTES.saturating_sub(body + around);
        match left / (escaped * self.parts.catalog.longest_token()) {
            0 => {
                let message = format!(
                    "body has {body} bytes; with the shortest answer it may come to over \
                     {MAX_REVEALED_BYTES}"
                );
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                Err(ApiError::new(status, "body_too_large", message).about("body"))
            }
            fit => Ok(room.min(fit) as u64),
        }
    }
}

impl Prepared {
    /// The most that the call can cost with this many generated tokens, in gwei.
    ///
    /// # Errors
    /// 500 if the price is so high that the fee overflows.
    pub fn max_fee(&self, max_tokens: u64) -> Result<u64, ApiError> {
        let price = Price::from(&self.view.price);
        let tokens = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        price
            .fee_ceil(tokens(self.prompt.len() as u64), tokens(max_tokens))
            .map_err(|error| ApiError::internal(&error))
    }

    /// Checks that a voucher's call is this call.
    ///
    /// # Errors
    /// 400 naming the field that differs.
    pub fn check_voucher(&self, call: &Call) -> Result<(), ApiError> {
        let differs = |code: &'static str, what: String| {
            Err(ApiError { code, ..ApiError::invalid("X-Payment", what) })
        };
        if call.modelId != self.model.id {
            let what = format!("voucher is for model {}, not {}", call.modelId, self.model.id);
            return differs("model_mismatch", what);
        }
        if call.promptHash != self.prompt_hash {
            let what = format!("promptHash {} is not the body's hash", call.promptHash);
            return differs("prompt_mismatch", what);
        }
        if call.time < self.earning_from {
            let (time, from) = (call.time, self.earning_from);
            return differs("model_not_earning", format!("time {time} is before {from}"));
        }
        let max = self.request.max_tokens.unwrap_or(call.maxTokens);
        if call.maxTokens != max || max == 0 || max > self.room {
            let room = self.room;
            let what =
                format!("maxTokens {} is not the body's, or not 1 to {room}", call.maxTokens);
            return differs("max_tokens_mismatch", what);
        }
        match self.request.seed {
            Some(seed) if seed != call.seed => {
                differs("seed_mismatch", format!("seed {} is not the body's {seed}", call.seed))
            }
            _ => Ok(()),
        }
    }
}
