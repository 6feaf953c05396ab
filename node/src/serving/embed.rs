//! Embeddings: paid calls of the base model that generate nothing.
//!
//! The text of such a record is the vectors, one a line, in base64 of their 32-bit little-endian
//! floats: what a challenged operator reveals, and whoever checks it computes again.

use std::sync::Arc;

use alloy::primitives::{B256, keccak256};
use attribution::settle::{Price, Uses};
use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use inference::{embedding::embed, engine::EngineHandle};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Finish, Finished, MAX_REVEALED_BYTES, Serving, StoredAnswer,
    purchase::{Order, Paid},
    run::{Entry, within},
};
use crate::{
    Error, Result,
    api::{error::ApiError, request::EmbeddingRequest},
    catalog::{Catalog, ServedModel},
    keys::{ApiKey, Caller, Spending},
    metrics::{Outcome, Stage},
    recorder::{Recorded, Reservation, ServedCall},
    registry::ModelView,
    voucher::{Call, SignedVoucher},
    worker::blocking,
};

/// Tokens that a voucher has to allow though none is generated: fees of at most nothing are no bound.
const MAX_TOKENS: u64 = 1;

/// A request for embeddings that is in order.
#[derive(Debug)]
pub struct PreparedEmbeddings {
    /// The checked request.
    pub request: EmbeddingRequest,
    /// The base model.
    pub model: Arc<ServedModel>,
    /// The base model on the chain.
    pub view: ModelView,
    /// Tokens of each text.
    pub tokens: Vec<Vec<u32>>,
    body: Vec<u8>,
    prompt_hash: B256,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl PreparedEmbeddings {
    /// Tokens of all texts.
    pub fn tokens_in(&self) -> u64 {
        self.tokens.iter().map(|tokens| tokens.len() as u64).sum()
    }

    /// The most that the call can cost, in gwei.
    ///
    /// # Errors
    /// 500 if the price is so high that the fee overflows.
    pub fn max_fee(&self) -> std::result::Result<u64, ApiError> {
        let price = Price::from(&self.view.price);
        let tokens = u32::try_from(self.tokens_in()).unwrap_or(u32::MAX);
        price.fee_ceil(tokens, MAX_TOKENS as u32).map_err(|error| ApiError::internal(&error))
    }

    fn order(&self) -> std::result::Result<Order, ApiError> {
        Ok(Order {
            model: self.model.id,
            price_version: self.view.price_version,
            prompt_hash: self.prompt_hash,
            seed: 0,
            max_tokens: MAX_TOKENS,
            max_fee: self.max_fee()?,
        })
    }

    fn check_voucher(&self, call: &Call) -> std::result::Result<(), ApiError> {
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
        if call.maxTokens != MAX_TOKENS {
            let what = format!("maxTokens {} is not {MAX_TOKENS}", call.maxTokens);
            return differs("max_tokens_mismatch", what);
        }
        Ok(())
    }
}

impl Serving {
    /// Checks a body and encodes its texts.
    ///
    /// # Errors
    /// As [`Self::prepare_for`].
    pub async fn prepare_embeddings(
        &self,
        body: &[u8],
    ) -> std::result::Result<PreparedEmbeddings, ApiError> {
        let deadline = Instant::now() + self.parts.config.timeout;
        let permit = self.place()?;
        let request = EmbeddingRequest::parse(body)?;
        let base = Arc::clone(&self.parts.catalog.models()[0]);
        match self.parts.catalog.find(&request.model) {
            Some(model) if model.id == base.id => {}
            None if request.model == "auto" => {}
            Some(_) => {
                let message = format!("embeddings are the base model's, {}", base.name);
                return Err(ApiError::invalid("model", message));
            }
            None => return Err(ApiError::unknown_model()),
        }
        let width = self.parts.engine.decoder().spec().hidden_size;
        if request.dimensions.is_some_and(|wanted| wanted != width as u64) {
            let message = format!("dimensions is not the model's {width}");
            return Err(ApiError::invalid("dimensions", message));
        }
        let view = self.parts.registry.model(base.id)?.ok_or_else(ApiError::unknown_model)?;
        let tokens = embedding_tokens(&self.parts.catalog, &request).await?;
        let max = self.parts.config.max_prompt_tokens.min(self.parts.catalog.max_positions());
        if let Some(long) = tokens.iter().find(|tokens| tokens.is_empty() || tokens.len() > max) {
            let message = format!("a text has {} tokens, not 1 to {max}", long.len());
            let error = ApiError::invalid("input", message);
            return Err(ApiError { code: "context_length_exceeded", ..error });
        }
        // Four bytes of base64 for three, and the end of the line.
        let answer = tokens.len() * ((4 * width).div_ceil(3) * 4 + 1);
        if body.len() + answer > MAX_REVEALED_BYTES {
            let message = format!("request and answer have over {MAX_REVEALED_BYTES} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, "body_too_large", message).about("input"));
        }
        Ok(PreparedEmbeddings {
            request,
            model: base,
            view,
            tokens,
            body: body.to_vec(),
            prompt_hash: keccak256(body),
            deadline,
            _permit: permit,
        })
    }

    /// Computes, records and answers a call that `voucher` pays for, or else the caller's key.
    ///
    /// # Errors
    /// As [`Self::admit`] and [`Self::buy`]; 504 if it takes too long.
    pub async fn embed(
        &self,
        call: &PreparedEmbeddings,
        caller: &Caller,
        voucher: Option<SignedVoucher>,
    ) -> std::result::Result<Finished, ApiError> {
        let (entry, spending) = match (voucher, caller.key()) {
            (Some(voucher), _) => {
                call.check_voucher(&voucher.voucher.call)?;
                (self.enter(call.deadline, &voucher, call.max_fee()?).await?, None)
            }
            (None, Some(key)) => self.buy_embeddings(call, key).await?,
            (None, None) => {
                return Err(ApiError::internal(&"a call without payment was not refused"));
            }
        };
        let recorded = match entry {
            Entry::Recorded(recorded) => {
                self.parts.metrics.ended(Outcome::Repeated);
                *recorded
            }
            Entry::New(reservation) => {
                let in_flight = self.parts.metrics.start();
                let work = self.record_embeddings(call, reservation);
                let result = within(call.deadline, work).await.and_then(|result| result);
                let outcome = if result.is_ok() { Outcome::Served } else { Outcome::Failed };
                in_flight.end(outcome);
                result?
            }
        };
        if let Some(spending) = spending {
            spending.settle(recorded.call.record.fee());
        }
        let seconds = self.parts.registry.contracts().epoch_seconds;
        Ok(Finished::recorded(recorded, seconds, Vec::new())?)
    }

    async fn buy_embeddings(
        &self,
        call: &PreparedEmbeddings,
        key: &ApiKey,
    ) -> std::result::Result<(Entry, Option<Spending>), ApiError> {
        let Paid { entry, spending, .. } = self.pay(call.order()?, call.deadline, key).await?;
        Ok((entry, Some(spending)))
    }

    async fn record_embeddings(
        &self,
        call: &PreparedEmbeddings,
        reservation: Reservation,
    ) -> std::result::Result<Recorded, ApiError> {
        let began = Instant::now();
        // One at a time: it computes on all cores.
        let turn = Arc::clone(&self.embeddings).acquire_owned().await;
        let text = embedding_text(&self.parts.engine, call.tokens.clone()).await?;
        drop(turn);
        self.parts.metrics.took(Stage::Generate, began.elapsed());
        let answer = StoredAnswer {
            is_chat: false,
            model: call.model.name.clone(),
            text: text.clone(),
            finish: Finish::Stop,
            logprobs: None,
            spans: Vec::new(),
            retrieval: None,
        };
        let served = ServedCall {
            tokens_in: call.tokens_in(),
            tokens_out: 0,
            output_hash: keccak256(text.as_bytes()),
            sketch: Vec::new(),
            scores: Vec::new(),
            uses: Uses::default(),
            request: call.body.clone(),
            answer: answer.to_bytes(),
        };
        let recorded = self.parts.recorder.record(reservation, served).await?;
        let record = &recorded.call.record;
        self.parts.metrics.recorded(call.tokens_in(), 0, record.fee(), 0);
        self.parts.metrics.took(Stage::Total, began.elapsed());
        Ok(recorded)
    }
}

/// Tokens of each text of a request.
///
/// # Errors
/// 400 if a text cannot be encoded.
pub(crate) async fn embedding_tokens(
    catalog: &Arc<Catalog>,
    request: &EmbeddingRequest,
) -> std::result::Result<Vec<Vec<u32>>, ApiError> {
    let (catalog, input) = (Arc::clone(catalog), request.input.clone());
    let encode = move |text: String| catalog.tokenizer().encode_prompt(&text);
    let work = tokio::task::spawn_blocking(move || {
        input.into_iter().map(encode).collect::<inference::Result<Vec<_>>>()
    });
    let tokens = work.await.map_err(|error| ApiError::internal(&error))?;
    tokens.map_err(|error| ApiError::invalid("input", error.to_string()))
}

/// The vectors of texts as a record has them.
///
/// # Errors
/// [`Error::Inference`] if tokens do not fit the model.
pub(crate) async fn embedding_text(engine: &EngineHandle, texts: Vec<Vec<u32>>) -> Result<String> {
    let decoder = Arc::clone(engine.decoder());
    blocking(move || {
        let mut lines = String::new();
        for tokens in &texts {
            let vector = embed(&decoder, tokens)?;
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            BASE64.encode_string(bytes, &mut lines);
            lines.push('\n');
        }
        Ok(lines)
    })
    .await
}

/// The vectors in the text of a record, as 32-bit little-endian floats.
///
/// # Errors
/// [`Error::Store`] if it is damaged.
pub(crate) fn vectors(text: &str) -> Result<Vec<Vec<u8>>> {
    let decode = |line: &str| {
        BASE64.decode(line).map_err(|error| Error::Store(format!("embedding: {error}")))
    };
    text.lines().map(decode).collect()
}
