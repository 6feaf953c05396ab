//! What is kept of an answer, so that it can be given again.

use alloy::primitives::B256;
use attribution::settle::{EarnerIndex, Ground, Record, SpanUse};
use borsh::{BorshDeserialize, BorshSerialize};
use serde_json::{Value, json};

use super::generate::TokenLogprob;
use crate::{
    Error, Result,
    api::{
        answer::{
            AdapterWeight, ContributorCredit, Decimal, Method, RecordJson, SpanCredit, SpanHolder,
            Statement, UnpaidStatement, Usage,
        },
        request::Endpoint,
        sources::RetrievalJson,
    },
    catalog::FoundSpan,
    recorder::Recorded,
    retrieval::Grounding,
};

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Finish {
    /// The model ended its answer, or a stop text was met.
    Stop,
    /// The most tokens were generated.
    Length,
}

impl Finish {
    /// OpenAI's word for it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// The part of an answer that its record does not hold.
#[derive(Clone, Debug, PartialEq, BorshSerialize, BorshDeserialize)]
pub struct StoredAnswer {
    /// Whether it answers a chat.
    pub is_chat: bool,
    /// The model's registered name.
    pub model: String,
    /// What was generated.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Probabilities of its tokens, if they were asked for.
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// Spans that rows of the model hold, by place; what they are paid is in the record.
    pub spans: Vec<StoredSpan>,
    /// Its sources, of a call that asked for them.
    pub retrieval: Option<Grounding>,
}

/// A span of an answer that rows of its model hold.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredSpan {
    /// Its first token in the answer.
    pub start: u16,
    /// Its tokens.
    pub length: u16,
    /// How often it occurs in the model's span index.
    pub count: u16,
    /// Contributors of the canonical rows of the clusters that hold it, in their order.
    pub holders: Vec<EarnerIndex>,
    /// Its text.
    pub text: String,
}

impl From<&FoundSpan> for StoredSpan {
    fn from(found: &FoundSpan) -> Self {
        let SpanUse { start, length, count, .. } = found.span();
        let holders = found.uses.iter().map(|of| of.earner).collect();
        Self { start, length, count, holders, text: found.text.clone() }
    }
}

impl StoredAnswer {
    /// The bytes that the recorder keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    /// Reads [`Self::to_bytes`], also those of a node that knew neither spans nor retrieval.
    ///
    /// # Errors
    /// [`Error::Store`] if the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::try_from_slice(bytes)
            .or_else(|error| Self::try_from_slice(&[bytes, &[0; 5]].concat()).map_err(|_| error))
            .map_err(|error| Error::Store(format!("answer: {error}")))
    }

    /// The bytes whose hash is recorded, and which are revealed if the record is challenged: the text,
    /// or the document with the sources.
    pub fn output(&self) -> Vec<u8> {
        match &self.retrieval {
            Some(grounding) => grounding.document(&self.text).to_bytes(),
            None => self.text.clone().into_bytes(),
        }
    }
}

/// What an answer was paid with.
#[derive(Clone, Debug)]
pub enum Account {
    /// A voucher.
    Recorded {
        /// What was recorded.
        recorded: Box<Recorded>,
        /// Seconds of an epoch.
        epoch_seconds: u64,
    },
    /// Nothing: the operator lets the caller use adapters that no record can name.
    Unpaid {
        /// What names the call; random.
        id: B256,
        /// When it was asked (seconds).
        created: u64,
        /// Prompt tokens.
        tokens_in: u64,
        /// Generated tokens.
        tokens_out: u64,
    },
}

/// An answered call, ready to be shown.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The answer.
    pub answer: StoredAnswer,
    /// What it was paid with.
    pub account: Account,
    /// The adapters that answered.
    pub adapters: Vec<AdapterWeight>,
}

impl Finished {
    /// Puts a record and its stored answer together.
    ///
    /// # Errors
    /// [`Error::Store`] if the answer is damaged.
    pub fn recorded(
        recorded: Recorded,
        epoch_seconds: u64,
        adapters: Vec<AdapterWeight>,
    ) -> Result<Self> {
        let answer = StoredAnswer::from_bytes(&recorded.answer)?;
        let account = Account::Recorded { recorded: Box::new(recorded), epoch_seconds };
        Ok(Self { answer, account, adapters })
    }

    /// What was recorded, of a call that was paid.
    pub fn into_recorded(self) -> Option<Recorded> {
        match self.account {
            Account::Recorded { recorded, .. } => Some(*recorded),
            Account::Unpaid { .. } => None,
        }
    }

    /// `chatcmpl-...` or `cmpl-...`; the same for every repetition of the call.
    pub fn id(&self) -> String {
        match &self.account {
            Account::Recorded { recorded, .. } => {
                call_id(self.endpoint(), &recorded.call.digest().0)
            }
            Account::Unpaid { id, .. } => call_id(self.endpoint(), &id.0),
        }
    }

    /// Where the call was made.
    pub const fn endpoint(&self) -> Endpoint {
        if self.answer.is_chat { Endpoint::Chat } else { Endpoint::Text }
    }

    /// When the call was made, in seconds.
    pub const fn created(&self) -> u64 {
        match &self.account {
            Account::Recorded { recorded, .. } => recorded.call.record.call().time,
            Account::Unpaid { created, .. } => *created,
        }
    }

    /// Exact token counts.
    pub const fn usage(&self) -> Usage {
        let (prompt_tokens, completion_tokens) = match &self.account {
            Account::Recorded { recorded, .. } => {
                let call = recorded.call.record.call();
                (call.tokens_in as u64, call.tokens_out as u64)
            }
            Account::Unpaid { tokens_in, tokens_out, .. } => (*tokens_in, *tokens_out),
        };
        let total_tokens = prompt_tokens + completion_tokens;
        Usage { prompt_tokens, completion_tokens, total_tokens }
    }

    /// The `openledger` field.
    pub fn statement(&self) -> Value {
        let adapters = self.adapters.clone();
        match &self.account {
            Account::Recorded { recorded, epoch_seconds } => {
                let record = &recorded.call.record;
                let retrieval = self.answer.retrieval.as_ref();
                let retrieval = retrieval.map(|grounding| RetrievalJson::of(grounding, record));
                let statement = statement(recorded, &self.answer.spans, *epoch_seconds, adapters);
                json!(Statement { retrieval, ..statement })
            }
            Account::Unpaid { .. } => json!(UnpaidStatement { unpaid: true, adapters }),
        }
    }
}

/// The answer's id: the call's voucher digest behind OpenAI's prefix.
pub fn call_id(endpoint: Endpoint, digest: &[u8; 32]) -> String {
    let prefix = match endpoint {
        Endpoint::Chat => "chatcmpl",
        Endpoint::Text => "cmpl",
        Endpoint::Embeddings => "embd",
    };
    format!("{prefix}-{}", hex::encode(digest))
}

/// The `openledger` field of a recorded call, but for its sources.
pub fn statement(
    recorded: &Recorded,
    spans: &[StoredSpan],
    epoch_seconds: u64,
    adapters: Vec<AdapterWeight>,
) -> Statement {
    let (receipt, record) = (&recorded.receipt, &recorded.call.record);
    let credits = record.credits().iter();
    Statement {
        record: record_json(recorded, epoch_seconds),
        receipt: receipt.into(),
        signature: recorded.signature.clone().into(),
        contributors: credits
            .map(|credit| ContributorCredit {
                earner: credit.earner.0,
                score: Decimal(credit.score),
                credit: Decimal(credit.credit),
            })
            .collect(),
        method: Method::of(record.uses().mix),
        spans: spans.iter().map(|span| span_credit(record, span)).collect(),
        charged: Decimal(receipt.charged),
        adapters,
        retrieval: None,
    }
}

/// A span with what the record credits its holders.
fn span_credit(record: &Record, span: &StoredSpan) -> SpanCredit {
    let credits = record.sections().iter().flat_map(|section| &section.credits);
    let own: Vec<_> = credits
        .filter_map(|credit| match credit.of.ground {
            Ground::Span(of) if of.start == span.start => Some((of.holder, credit.credit)),
            _ => None,
        })
        .collect();
    let holder = |(holder, earner): (u16, &EarnerIndex)| {
        let credit = own.iter().find(|&&(of, _)| of == holder).map_or(0, |&(_, credit)| credit);
        SpanHolder { earner: earner.0, credit: Decimal(credit) }
    };
    let StoredSpan { start, length, count, .. } = *span;
    let holders = (0..).zip(&span.holders).map(holder).collect();
    SpanCredit { start, length, text: span.text.clone(), count, holders }
}

fn record_json(recorded: &Recorded, epoch_seconds: u64) -> RecordJson {
    let Recorded { call, receipt, .. } = recorded;
    let settled = call.record.call();
    RecordJson {
        voucher_digest: call.digest(),
        channel_id: settled.channel.0.into(),
        model_id: settled.model.0.into(),
        price_version: settled.price_version,
        time: Decimal(settled.time),
        epoch: Decimal(settled.time / epoch_seconds),
        tokens_in: u64::from(settled.tokens_in),
        tokens_out: u64::from(settled.tokens_out),
        fee: Decimal(call.record.fee()),
        prompt_hash: call.voucher.call.promptHash,
        output_hash: call.output_hash,
        sketch_hash: receipt.sketchHash,
    }
}
