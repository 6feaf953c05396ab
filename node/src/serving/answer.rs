//! What is kept of an answer, so that it can be given again.

use borsh::{BorshDeserialize, BorshSerialize};
use serde_json::{Value, json};

use crate::{
    Error, Result,
    api::{
        answer::{ContributorCredit, Decimal, ReceiptJson, RecordJson, Statement, Usage},
        request::Endpoint,
    },
    recorder::Recorded,
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
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredAnswer {
    /// Whether it answers a chat.
    pub is_chat: bool,
    /// The model's registered name.
    pub model: String,
    /// What was generated.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
}

impl StoredAnswer {
    /// The bytes that the recorder keeps.
    pub fn to_bytes(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to memory does not fail")
    }

    /// Reads [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Store`] if the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::try_from_slice(bytes).map_err(|error| Error::Store(format!("answer: {error}")))
    }
}

/// A recorded call, ready to be shown.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The answer.
    pub answer: StoredAnswer,
    /// What was recorded.
    pub recorded: Recorded,
    /// Seconds of an epoch.
    pub epoch_seconds: u64,
}

impl Finished {
    /// Puts a record and its stored answer together.
    ///
    /// # Errors
    /// [`Error::Store`] if the answer is damaged.
    pub fn new(recorded: Recorded, epoch_seconds: u64) -> Result<Self> {
        let answer = StoredAnswer::from_bytes(&recorded.answer)?;
        Ok(Self { answer, recorded, epoch_seconds })
    }

    /// `chatcmpl-...` or `cmpl-...`; the same for every repetition of the call.
    pub fn id(&self) -> String {
        call_id(self.endpoint(), &self.recorded.call.digest().0)
    }

    /// Where the call was made.
    pub const fn endpoint(&self) -> Endpoint {
        if self.answer.is_chat { Endpoint::Chat } else { Endpoint::Text }
    }

    /// Exact token counts.
    pub const fn usage(&self) -> Usage {
        let call = self.recorded.call.record.call();
        let (prompt_tokens, completion_tokens) = (call.tokens_in as u64, call.tokens_out as u64);
        let total_tokens = prompt_tokens + completion_tokens;
        Usage { prompt_tokens, completion_tokens, total_tokens }
    }

    /// The `openledger` field.
    pub fn statement(&self) -> Statement {
        statement(&self.recorded, self.epoch_seconds)
    }

    /// The whole answer as OpenAI's API has it, with the `openledger` field.
    pub fn body(&self) -> Value {
        let answer = &self.answer;
        let finish_reason = answer.finish.reason();
        let (object, choice) = match self.endpoint() {
            Endpoint::Chat => {
                let message = json!({ "role": "assistant", "content": answer.text });
                let choice =
                    json!({ "index": 0, "message": message, "finish_reason": finish_reason });
                ("chat.completion", choice)
            }
            Endpoint::Text => {
                let choice =
                    json!({ "index": 0, "text": answer.text, "finish_reason": finish_reason });
                ("text_completion", choice)
            }
        };
        json!({
            "id": self.id(),
            "object": object,
            "created": self.recorded.call.record.call().time,
            "model": answer.model,
            "choices": [choice],
            "usage": self.usage(),
            "openledger": self.statement(),
        })
    }
}

/// The answer's id: the call's voucher digest behind OpenAI's prefix.
pub fn call_id(endpoint: Endpoint, digest: &[u8; 32]) -> String {
    let prefix = match endpoint {
        Endpoint::Chat => "chatcmpl",
        Endpoint::Text => "cmpl",
    };
    format!("{prefix}-{}", hex::encode(digest))
}

/// The `openledger` field of a recorded call.
pub fn statement(recorded: &Recorded, epoch_seconds: u64) -> Statement {
    let receipt = &recorded.receipt;
    let credits = recorded.call.record.credits().iter();
    Statement {
        record: record_json(recorded, epoch_seconds),
        receipt: ReceiptJson {
            voucher_digest: receipt.voucherDigest,
            fee: Decimal(receipt.fee),
            charged: Decimal(receipt.charged),
            tokens_in: Decimal(receipt.tokensIn),
            tokens_out: Decimal(receipt.tokensOut),
            output_hash: receipt.outputHash,
            sketch_hash: receipt.sketchHash,
        },
        signature: recorded.signature.clone().into(),
        contributors: credits
            .map(|credit| ContributorCredit {
                earner: credit.earner.0,
                score: Decimal(credit.score),
                credit: Decimal(credit.credit),
            })
            .collect(),
        charged: Decimal(receipt.charged),
    }
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
