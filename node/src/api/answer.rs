//! Answers as JSON, written by the node and read by its client.
//!
//! 64-bit amounts are decimal strings, because JSON numbers lose digits above 2^53; token counts
//! and indices are numbers.

use alloy::primitives::{Address, B256, Bytes};
use attribution::settle::Mix;
use inference::adapter::AdapterHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use super::sources::RetrievalJson;
use crate::voucher::Receipt;

/// A 64-bit amount that is a decimal string in JSON; read from a string or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<T>(pub T);

impl<T: std::fmt::Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: std::str::FromStr<Err: std::fmt::Display>> Deserialize<'de> for Decimal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(serde_json::Number),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Number(number) => number.to_string(),
        };
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Exact token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u64,
    /// Tokens generated, with the one that ended the answer.
    pub completion_tokens: u64,
    /// Their sum.
    pub total_tokens: u64,
}

/// What one contributor is credited for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContributorCredit {
    /// Index in the role of contributor.
    pub earner: u32,
    /// The exact dot product of the answer's sketch and the contributor's sum.
    #[schema(value_type = String)]
    pub score: Decimal<i64>,
    /// Signed credit in gwei, before netting over the batch.
    #[schema(value_type = String)]
    pub credit: Decimal<i64>,
}

/// How a model divides its contributors' share, in basis points of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Method {
    /// By influence.
    pub influence_bps: u16,
    /// For spans of the answer that rows hold word for word.
    pub spans_bps: u16,
    /// For rows that the answer cites.
    pub citations_bps: u16,
}

impl Method {
    /// That of a mix.
    pub const fn of(mix: Mix) -> Self {
        let (spans_bps, citations_bps) = (mix.spans_bps(), mix.citations_bps());
        let influence_bps = 10_000_u16.saturating_sub(spans_bps).saturating_sub(citations_bps);
        Self { influence_bps, spans_bps, citations_bps }
    }
}

/// A span of the answer that rows of the model hold word for word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanCredit {
    /// Its first token in the answer, from 0.
    pub start: u16,
    /// Its tokens.
    pub length: u16,
    /// Its text.
    pub text: String,
    /// How often it occurs in the model's rows.
    pub count: u16,
    /// Who is credited for it: one for each duplicate cluster of rows that hold it.
    pub holders: Vec<SpanHolder>,
}

/// A contributor who is credited for a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanHolder {
    /// Index in the role of contributor.
    pub earner: u32,
    /// Credit in gwei; 0 if the model does not pay for it.
    #[schema(value_type = String)]
    pub credit: Decimal<u64>,
}

/// What was recorded of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordJson {
    /// EIP-712 digest of the voucher; names the call.
    #[schema(value_type = String)]
    pub voucher_digest: B256,
    /// The channel that paid.
    #[schema(value_type = String)]
    pub channel_id: B256,
    /// The model that answered.
    #[schema(value_type = String)]
    pub model_id: B256,
    /// Version of its price.
    pub price_version: u32,
    /// When the payer signed, in seconds.
    #[schema(value_type = String)]
    pub time: Decimal<u64>,
    /// The epoch whose batch has the call.
    #[schema(value_type = String)]
    pub epoch: Decimal<u64>,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Generated tokens.
    pub tokens_out: u64,
    /// Fee in gwei.
    #[schema(value_type = String)]
    pub fee: Decimal<u64>,
    /// keccak256 of the request's body.
    #[schema(value_type = String)]
    pub prompt_hash: B256,
    /// keccak256 of the answer's text; with `retrieval`, of the document of text and sources.
    #[schema(value_type = String)]
    pub output_hash: B256,
    /// keccak256 of the answer's int8 sketch.
    #[schema(value_type = String)]
    pub sketch_hash: B256,
}

/// What the operator signs: `Receipt` of the EIP-712 types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptJson {
    /// EIP-712 digest of the voucher.
    #[schema(value_type = String)]
    pub voucher_digest: B256,
    /// Fee in gwei.
    #[schema(value_type = String)]
    pub fee: Decimal<u64>,
    /// Cumulative gwei charged from the channel, with this call.
    #[schema(value_type = String)]
    pub charged: Decimal<u64>,
    /// Prompt tokens.
    #[schema(value_type = String)]
    pub tokens_in: Decimal<u64>,
    /// Generated tokens.
    #[schema(value_type = String)]
    pub tokens_out: Decimal<u64>,
    /// keccak256 of the answer's text.
    #[schema(value_type = String)]
    pub output_hash: B256,
    /// keccak256 of the answer's int8 sketch.
    #[schema(value_type = String)]
    pub sketch_hash: B256,
}

impl From<&Receipt> for ReceiptJson {
    fn from(receipt: &Receipt) -> Self {
        Self {
            voucher_digest: receipt.voucherDigest,
            fee: Decimal(receipt.fee),
            charged: Decimal(receipt.charged),
            tokens_in: Decimal(receipt.tokensIn),
            tokens_out: Decimal(receipt.tokensOut),
            output_hash: receipt.outputHash,
            sketch_hash: receipt.sketchHash,
        }
    }
}

impl From<&ReceiptJson> for Receipt {
    fn from(json: &ReceiptJson) -> Self {
        Self {
            voucherDigest: json.voucher_digest,
            fee: json.fee.0,
            charged: json.charged.0,
            tokensIn: json.tokens_in.0,
            tokensOut: json.tokens_out.0,
            outputHash: json.output_hash,
            sketchHash: json.sketch_hash,
        }
    }
}

/// The `openledger` field of an answer: what was recorded, and for whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// What was recorded.
    pub record: RecordJson,
    /// What the operator signs about it.
    pub receipt: ReceiptJson,
    /// The operator's signature of the receipt, 65 bytes.
    #[schema(value_type = String)]
    pub signature: Bytes,
    /// Credits, largest first.
    pub contributors: Vec<ContributorCredit>,
    /// How the contributors' share is divided.
    #[serde(default)]
    pub method: Method,
    /// Spans of the answer that rows of the model hold, by place.
    #[serde(default)]
    pub spans: Vec<SpanCredit>,
    /// Cumulative gwei charged from the channel, with this call.
    #[schema(value_type = String)]
    pub charged: Decimal<u64>,
    /// The adapters that answered; none for the base model.
    #[serde(default)]
    pub adapters: Vec<AdapterWeight>,
    /// What it was answered from, of a call that asked for sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<RetrievalJson>,
}

/// An adapter's part in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AdapterWeight {
    /// Hash of its content.
    #[schema(value_type = String)]
    pub id: B256,
    /// What its delta was multiplied by.
    pub weight: f32,
}

impl AdapterWeight {
    /// As the store of adapters tells them.
    pub fn list(credits: Vec<(AdapterHash, f32)>) -> Vec<Self> {
        credits.into_iter().map(|(hash, weight)| Self { id: B256::new(hash.0), weight }).collect()
    }
}

/// The `openledger` field of an answer that was neither charged nor recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnpaidStatement {
    /// Always true: nobody was charged, and nobody earns by the answer.
    pub unpaid: bool,
    /// The adapters that answered.
    pub adapters: Vec<AdapterWeight>,
}

/// A model's price, as quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceJson {
    /// Gwei per 1000 prompt tokens.
    #[schema(value_type = String)]
    pub input_rate: Decimal<u64>,
    /// Gwei per 1000 generated tokens.
    #[schema(value_type = String)]
    pub output_rate: Decimal<u64>,
    /// Gwei per call.
    #[schema(value_type = String)]
    pub platform_fee: Decimal<u64>,
    /// The version that a voucher must name.
    pub price_version: u32,
}

/// What a call costs and how to pay: fields of a 402 answer beside `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quote {
    /// The model that will answer.
    #[schema(value_type = String)]
    pub model_id: B256,
    /// Its price.
    pub price: PriceJson,
    /// Prompt tokens of this request.
    pub tokens_in: u64,
    /// Most tokens that this request generates.
    pub max_tokens: u64,
    /// Largest possible fee of this request, in gwei.
    #[schema(value_type = String)]
    pub max_fee: Decimal<u64>,
    /// Whom to open a channel to.
    #[schema(value_type = String)]
    pub operator: Address,
    /// The contract of channels.
    #[schema(value_type = String)]
    pub payment_channels: Address,
    /// The chain of that contract.
    pub chain_id: u64,
    /// Cumulative gwei charged from the channel that the request named, if it named one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub charged: Option<Decimal<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_digit() {
        let json = serde_json::to_string(&Decimal(u64::MAX)).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(serde_json::from_str::<Decimal<u64>>(&json).unwrap(), Decimal(u64::MAX));
        let number = serde_json::from_str::<Decimal<i64>>("-9223372036854775808").unwrap();
        assert_eq!(number, Decimal(i64::MIN));
        for wrong in ["\"\"", "\"1.5\"", "1.5", "-1", "\"0x10\"", "true"] {
            assert!(serde_json::from_str::<Decimal<u64>>(wrong).is_err(), "{wrong}");
        }
    }
}
