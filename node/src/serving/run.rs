//! From an admitted voucher to the recorded answer.

use std::sync::Arc;

use alloy::primitives::{B256, keccak256};
use axum::http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::{
    Finished, Prepared, Serving, StoredAnswer, call_id,
    generate::{Bought, Generated, Generation, Piece},
};
use crate::{
    api::{error::ApiError, request::Endpoint},
    attributor::Attributed,
    metrics::{InFlight, Outcome, Stage},
    recorder::{Admission, Reservation, ServedCall},
    voucher::{Call, SignedVoucher},
};

/// What [`Serving::admit`] found.
#[derive(Debug)]
pub enum Admitted {
    /// The call was recorded before: its answer, without another charge.
    Again(Box<Finished>),
    /// A new call, to be run.
    New(Box<Run>),
}

/// What a running call gives.
#[derive(Debug)]
pub enum Progress {
    /// The next piece of the answer.
    Text(String),
    /// The call is recorded; this is the last.
    Finished(Box<Finished>),
}

/// A call being served. Dropping it before it finished frees its slot and its reservation.
#[derive(Debug)]
pub struct Run {
    serving: Serving,
    call: Prepared,
    voucher: Call,
    generation: Option<Generation>,
    reservation: Option<Reservation>,
    digest: B256,
    in_flight: Option<InFlight>,
    started: Instant,
}

impl Serving {
    /// Checks the payment of a call, waiting for the same call if it is being served already.
    ///
    /// # Errors
    /// 400 if the voucher is for another call; 402, 403, 404, 409 or 429 as the recorder refuses
    /// it; 503 if the chain's head is too old to go by; 504 if the call that is waited for takes
    /// too long.
    pub async fn admit(
        &self,
        call: Prepared,
        voucher: SignedVoucher,
    ) -> Result<Admitted, ApiError> {
        call.check_voucher(&voucher.voucher.call)?;
        let max_fee = call.max_fee(voucher.voucher.call.maxTokens)?;
        loop {
            let admission = self.parts.recorder.admit(voucher.clone(), max_fee).await?;
            let recorded = match admission {
                Admission::New(reservation) => {
                    self.check_head()?;
                    let bought = voucher.voucher.call;
                    let run = Run::new(self.clone(), call, bought, reservation);
                    return Ok(Admitted::New(Box::new(run)));
                }
                Admission::Recorded(recorded) => *recorded,
                Admission::InFlight(flight) => {
                    match within(call.deadline, flight.wait()).await? {
                        Some(recorded) => (*recorded).clone(),
                        // Whoever served it gave up: it is this caller's turn.
                        None => continue,
                    }
                }
            };
            self.parts.metrics.ended(Outcome::Repeated);
            return Ok(Admitted::Again(Box::new(self.finished(recorded)?)));
        }
    }

    fn finished(&self, recorded: crate::recorder::Recorded) -> Result<Finished, ApiError> {
        Ok(Finished::new(recorded, self.parts.registry.contracts().epoch_seconds)?)
    }

    /// Serving by an old head would admit calls that can no longer be drawn for.
    fn check_head(&self) -> Result<(), ApiError> {
        let max_age = self.parts.config.max_head_age;
        if self.parts.registry.is_fresh(max_age) {
            return Ok(());
        }
        Err(ApiError::unavailable("chain_unavailable", "the chain was not heard of lately"))
    }
}

impl Run {
    fn new(serving: Serving, call: Prepared, voucher: Call, reservation: Reservation) -> Self {
        let in_flight = Some(serving.parts.metrics.start());
        Self {
            serving,
            call,
            voucher,
            generation: None,
            digest: reservation.digest(),
            reservation: Some(reservation),
            in_flight,
            started: Instant::now(),
        }
    }

    /// The answer's id, the same for every repetition of the call.
    pub fn id(&self) -> String {
        call_id(self.call.endpoint, &self.digest.0)
    }

    /// The checked request.
    pub const fn call(&self) -> &Prepared {
        &self.call
    }

    /// When the call has taken too long.
    pub const fn deadline(&self) -> Instant {
        self.call.deadline
    }

    /// When the payer signed, in seconds: the answer's `created`.
    pub const fn created(&self) -> u64 {
        self.voucher.time
    }

    /// The next piece of the answer, or its record. Not to be called after either the record or an
    /// error.
    ///
    /// # Errors
    /// 503 if the engine is full or stopped, 504 if the call takes too long, 500 if generating,
    /// attributing or recording fails. Nothing was charged then.
    pub async fn next(&mut self) -> Result<Progress, ApiError> {
        let step = within(self.call.deadline, self.step()).await.and_then(|step| step);
        if step.is_err() {
            // Frees slot and reservation now and not when the error is sent.
            self.generation = None;
            self.reservation = None;
        }
        match (&step, &mut self.in_flight) {
            (Ok(Progress::Text(_)), _) => {}
            (Ok(Progress::Finished(_)), guard) => end(guard, Outcome::Served),
            (Err(_), guard) => end(guard, Outcome::Failed),
        }
        step
    }

    async fn step(&mut self) -> Result<Progress, ApiError> {
        if self.generation.is_none() {
            let (parts, call) = (&self.serving.parts, &self.call);
            let bought = Bought { seed: self.voucher.seed, max_tokens: self.voucher.maxTokens };
            let generation = Generation::start(
                &parts.engine,
                &call.model,
                call.prompt.clone(),
                &call.request.sampling,
                bought,
            )?;
            self.generation = Some(generation);
        }
        let generation = self.generation.as_mut().expect("it was started above");
        match generation.next().await? {
            Piece::Text(text) => Ok(Progress::Text(text)),
            Piece::End(generated) => {
                self.took(Stage::Generate, self.started);
                self.record(generated).await
            }
        }
    }

    async fn record(&mut self, generated: Generated) -> Result<Progress, ApiError> {
        let (parts, began) = (&self.serving.parts, Instant::now());
        let loss_from = self.call.prompt.len();
        let tokens = [self.call.prompt.as_slice(), &generated.tokens].concat();
        let model = Arc::clone(&self.call.model);
        let attributed = parts.attributor.attribute(model, tokens, loss_from).await?;
        self.took(Stage::Attribute, began);
        let began = Instant::now();
        let served = self.served(&generated, attributed);
        let reservation = self.reservation.take().expect("a call is recorded once");
        let recorded = parts.recorder.record(reservation, served).await?;
        self.took(Stage::Record, began);
        self.took(Stage::Total, self.started);
        let record = &recorded.call.record;
        let credits = record.credits().iter().map(|credit| credit.credit.max(0).unsigned_abs());
        let (tokens_in, tokens_out) = (record.call().tokens_in, record.call().tokens_out);
        parts.metrics.recorded(tokens_in.into(), tokens_out.into(), record.fee(), credits.sum());
        let finished = self.serving.finished(recorded)?;
        Ok(Progress::Finished(Box::new(finished)))
    }

    fn served(&self, generated: &Generated, attributed: Attributed) -> ServedCall {
        let answer = StoredAnswer {
            is_chat: self.call.endpoint == Endpoint::Chat,
            model: self.call.model.name.clone(),
            text: generated.text.clone(),
            finish: generated.finish,
        };
        ServedCall {
            tokens_in: self.call.prompt.len() as u64,
            tokens_out: generated.tokens.len() as u64,
            output_hash: keccak256(generated.text.as_bytes()),
            sketch: attributed.sketch,
            scores: attributed.scores,
            request: self.call.body.clone(),
            answer: answer.to_bytes(),
        }
    }

    fn took(&self, stage: Stage, since: Instant) {
        self.serving.parts.metrics.took(stage, since.elapsed());
    }
}

fn end(guard: &mut Option<InFlight>, outcome: Outcome) {
    if let Some(guard) = guard.take() {
        guard.end(outcome);
    }
}

/// Waits no longer than the call may take.
async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, ApiError> {
    timeout_at(deadline, work).await.map_err(|_| {
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "the call took too long")
    })
}
