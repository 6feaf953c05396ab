//! From an admitted voucher to the recorded answer.

use std::sync::Arc;

use alloy::primitives::{B256, keccak256};
use attribution::settle::{Use, Uses};
use tokio::time::{Instant, timeout_at};

use super::{
    Account, Finished, Prepared, Serving, StoredAnswer, StoredSpan, Understood, call_id,
    generate::{Asked, Bought, Generated, Generation, Piece, TokenLogprob},
};
use crate::{
    api::{answer::AdapterWeight, error::ApiError, request::Endpoint},
    attributor::Attributed,
    catalog::FoundSpan,
    keys::Spending,
    metrics::{InFlight, Outcome, Stage},
    recorder::{Admission, Recorded, Reservation, ServedCall},
    registry::Role,
    retrieval::Grounding,
    voucher::SignedVoucher,
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
    /// The next piece of the answer, with its tokens' probabilities if they were asked for.
    Text(String, Vec<TokenLogprob>),
    /// The call is recorded, or has ended without a record; this is the last.
    Finished(Box<Finished>),
}

/// A call being served. Dropping it before it finished frees its slot and its reservation.
#[derive(Debug)]
pub struct Run {
    serving: Serving,
    call: Prepared,
    bought: Bought,
    /// When it was signed, or asked, in seconds.
    created: u64,
    tenant: u64,
    generation: Option<Generation>,
    /// Of a call with a record.
    reservation: Option<Reservation>,
    spending: Option<Spending>,
    /// The voucher's, or a random name.
    digest: B256,
    in_flight: Option<InFlight>,
    started: Instant,
}

/// What the recorder has of a call.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nobody has served it.
    New(Reservation),
    /// It was served.
    Recorded(Box<Recorded>),
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
        let entry = self.enter(call.deadline, &voucher, max_fee).await?;
        self.admitted(call, &voucher, entry, None)
    }

    /// Asks the recorder for a call, waiting for the same call if it is being served already.
    pub(super) async fn enter(
        &self,
        deadline: Instant,
        voucher: &SignedVoucher,
        max_fee: u64,
    ) -> Result<Entry, ApiError> {
        loop {
            match self.parts.recorder.admit(voucher.clone(), max_fee).await? {
                Admission::New(reservation) => {
                    self.check_head()?;
                    return Ok(Entry::New(reservation));
                }
                Admission::Recorded(recorded) => return Ok(Entry::Recorded(recorded)),
                Admission::InFlight(flight) => {
                    // Whoever serves it may give up: then it is this caller's turn.
                    if let Some(recorded) = within(deadline, flight.wait()).await? {
                        return Ok(Entry::Recorded(Box::new((*recorded).clone())));
                    }
                }
            }
        }
    }

    /// A call that the recorder knows, ready to be run or shown.
    pub(super) fn admitted(
        &self,
        call: Prepared,
        voucher: &SignedVoucher,
        entry: Entry,
        spending: Option<Spending>,
    ) -> Result<Admitted, ApiError> {
        match entry {
            Entry::New(reservation) => {
                let signed = &voucher.voucher;
                let bought = Bought { seed: signed.call.seed, max_tokens: signed.call.maxTokens };
                let [head, ..] = signed.channelId.0.as_chunks::<8>().0 else { unreachable!() };
                let tenant = call.tenant.unwrap_or_else(|| u64::from_be_bytes(*head));
                Ok(Admitted::New(Box::new(Run {
                    in_flight: Some(self.parts.metrics.start()),
                    serving: self.clone(),
                    bought,
                    created: signed.call.time,
                    tenant,
                    generation: None,
                    digest: reservation.digest(),
                    reservation: Some(reservation),
                    spending,
                    started: Instant::now(),
                    call,
                })))
            }
            Entry::Recorded(recorded) => {
                let finished = self.finished(*recorded, &call)?;
                self.check_sources(finished.answer.retrieval.as_ref(), &call.granted)?;
                self.parts.metrics.ended(Outcome::Repeated);
                Ok(Admitted::Again(Box::new(finished)))
            }
        }
    }

    /// A call without record and payment, ready to be run.
    pub(super) fn unrecorded(&self, call: Prepared, seed: Option<u64>) -> Run {
        Run {
            in_flight: Some(self.parts.metrics.start()),
            serving: self.clone(),
            bought: Bought { seed: seed.unwrap_or_else(rand::random), max_tokens: call.max_tokens },
            created: self.parts.registry.head().timestamp,
            tenant: call.tenant.unwrap_or_default(),
            generation: None,
            reservation: None,
            spending: None,
            digest: B256::from(rand::random::<[u8; 32]>()),
            started: Instant::now(),
            call,
        }
    }

    fn finished(&self, recorded: Recorded, call: &Prepared) -> Result<Finished, ApiError> {
        let seconds = self.parts.registry.contracts().epoch_seconds;
        Ok(Finished::recorded(recorded, seconds, self.credits(call))?)
    }

    /// The adapters that answer a call.
    fn credits(&self, call: &Prepared) -> Vec<AdapterWeight> {
        AdapterWeight::list(self.parts.engine.store().credits(&call.adapters))
    }

    /// Serving by an old head would admit calls that can no longer be drawn for.
    pub(super) fn check_head(&self) -> Result<(), ApiError> {
        let max_age = self.parts.config.max_head_age;
        if self.parts.registry.is_fresh(max_age) {
            return Ok(());
        }
        Err(ApiError::unavailable("chain_unavailable", "the chain was not heard of lately"))
    }
}

impl Run {
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

    /// When the payer signed, or an unpaid call was asked, in seconds: the answer's `created`.
    pub const fn created(&self) -> u64 {
        self.created
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
            self.spending = None;
        }
        match (&step, &mut self.in_flight) {
            (Ok(Progress::Text(..)), _) => {}
            (Ok(Progress::Finished(_)), guard) => end(guard, Outcome::Served),
            (Err(_), guard) => end(guard, Outcome::Failed),
        }
        step
    }

    async fn step(&mut self) -> Result<Progress, ApiError> {
        if self.generation.is_none() {
            let (parts, call) = (&self.serving.parts, &mut self.call);
            let asked = Asked {
                understood: Understood { prompt: call.prompt.clone(), mask: call.mask.take() },
                adapters: call.adapters.clone(),
                sampling: &call.request.sampling,
                logprobs: call.request.logprobs,
                bought: self.bought,
                tenant: self.tenant,
                deadline: Some(call.deadline),
            };
            self.generation = Some(Generation::start(&parts.engine, asked)?);
        }
        let generation = self.generation.as_mut().expect("it was started above");
        match generation.next().await? {
            Piece::Text(text, logprobs) => Ok(Progress::Text(text, logprobs)),
            Piece::End(generated) => {
                self.took(Stage::Generate, self.started);
                if self.call.is_recorded {
                    self.record(generated).await
                } else {
                    Ok(Progress::Finished(Box::new(self.unpaid(generated))))
                }
            }
        }
    }

    fn unpaid(&self, generated: Generated) -> Finished {
        let account = Account::Unpaid {
            id: self.digest,
            created: self.created,
            tokens_in: self.call.prompt.len() as u64,
            tokens_out: generated.tokens.len() as u64,
        };
        let adapters = self.serving.credits(&self.call);
        Finished { answer: self.answer(generated, &[]), account, adapters }
    }

    async fn record(&mut self, generated: Generated) -> Result<Progress, ApiError> {
        let (parts, began) = (&self.serving.parts, Instant::now());
        let loss_from = self.call.prompt.len();
        let tokens = [self.call.prompt.as_slice(), &generated.tokens].concat();
        let model = Arc::clone(&self.call.model);
        let attributed = parts.attributor.attribute(model, tokens, loss_from).await?;
        self.took(Stage::Attribute, began);
        let began = Instant::now();
        let served = self.served(generated, attributed)?;
        let reservation = self.reservation.take().expect("a call is recorded once");
        let recorded = parts.recorder.record(reservation, served).await?;
        self.took(Stage::Record, began);
        self.took(Stage::Total, self.started);
        let record = &recorded.call.record;
        let credits = record.credits().iter().map(|credit| credit.credit.max(0).unsigned_abs());
        let (tokens_in, tokens_out) = (record.call().tokens_in, record.call().tokens_out);
        parts.metrics.recorded(tokens_in.into(), tokens_out.into(), record.fee(), credits.sum());
        if let Some(spending) = self.spending.take() {
            spending.settle(record.fee());
        }
        let finished = self.serving.finished(recorded, &self.call)?;
        Ok(Progress::Finished(Box::new(finished)))
    }

    /// The span credits of an answer: none unless an accepted index pays for the call. Where one does
    /// that is not here, the answer cannot be recorded as the chain expects it.
    fn span_uses(&self, spans: &[FoundSpan]) -> Result<Vec<Use>, ApiError> {
        let (model, registry) = (&self.call.model, &self.serving.parts.registry);
        let pays = registry.mix_at(model.id, self.created)?.spans_bps() > 0;
        match registry.paying_spans(model.id, self.created)?.filter(|_| pays) {
            None => Ok(Vec::new()),
            Some(hash) if model.has_spans(hash) => {
                Ok(spans.iter().flat_map(|span| span.uses.iter().copied()).collect())
            }
            Some(hash) => {
                let why = format!("span index {hash} of model {} is not here", model.id);
                Err(ApiError::unavailable("span_index_missing", why))
            }
        }
    }

    fn answer(&self, generated: Generated, spans: &[FoundSpan]) -> StoredAnswer {
        let (hits, versions) = (self.call.sources.as_deref(), &self.call.view.datanets);
        StoredAnswer {
            is_chat: self.call.endpoint == Endpoint::Chat,
            model: self.call.name.clone(),
            retrieval: hits.map(|hits| Grounding::of(&generated.text, hits, versions)),
            text: generated.text,
            finish: generated.finish,
            logprobs: generated.logprobs,
            spans: spans.iter().map(StoredSpan::from).collect(),
        }
    }

    fn served(&self, generated: Generated, attributed: Attributed) -> Result<ServedCall, ApiError> {
        let tokens_out = generated.tokens.len() as u64;
        let Attributed { sketch, scores, spans } = attributed;
        let uses = self.span_uses(&spans)?;
        let answer = self.answer(generated, &spans);
        Ok(ServedCall {
            tokens_in: self.call.prompt.len() as u64,
            tokens_out,
            output_hash: keccak256(answer.output()),
            sketch,
            scores,
            uses: Uses { spans: uses, citations: self.citations(&answer)?, ..Uses::default() },
            request: self.call.body.clone(),
            answer: answer.to_bytes(),
        })
    }

    /// What the rows that an answer cites are to be credited by.
    fn citations(&self, answer: &StoredAnswer) -> Result<Vec<Use>, ApiError> {
        let Some(grounding) = &answer.retrieval else { return Ok(Vec::new()) };
        let registry = &self.serving.parts.registry;
        let earner_of = |account| registry.earner_of(account, Role::Contributor);
        Ok(grounding.uses(earner_of)?)
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
pub(super) async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, ApiError> {
    timeout_at(deadline, work).await.map_err(|_| ApiError::expired())
}
