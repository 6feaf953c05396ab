//! An answer's explanation, as the API gives it and anybody checks it.

use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{
    answer::{Decimal, PriceJson, ReceiptJson, RecordJson, SpanCredit},
    sources::RetrievalJson,
};

/// Who is owed what for an answer, and why: all that the record says, with everything that is needed
/// to compute it again.
///
/// Anyone may see it but its `text`, which is the payer's and the operator's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Who served the call.
    #[schema(value_type = String)]
    pub operator: Address,
    /// What was recorded.
    pub record: RecordJson,
    /// What the operator signed about it.
    pub receipt: ReceiptJson,
    /// The operator's signature of the receipt, 65 bytes.
    #[schema(value_type = String)]
    pub signature: Bytes,
    /// What the record's hash binds: the signed voucher, hashes of request and answer, the sketch.
    #[schema(value_type = String)]
    pub witness: Bytes,
    /// What answered.
    pub model: ModelPart,
    /// Request and answer, for who may read them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<TextPart>,
    /// Contributors credited by influence, the largest score first.
    pub contributors: Vec<ContributorPart>,
    /// Rows of the index by the size of their own scores, the largest first; not all of them.
    pub rows: Vec<RowPart>,
    /// What is paid for spans and for citations.
    pub sections: Vec<SectionPart>,
    /// Where the fee goes.
    pub money: MoneyPart,
    /// The batch that settles the call, once it is sealed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch: Option<BatchPart>,
}

/// The model that answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelPart {
    /// Its id.
    #[schema(value_type = String)]
    pub id: B256,
    /// Its registered name.
    pub name: String,
    /// Its base; zero for a base model.
    #[schema(value_type = String)]
    pub base: B256,
    /// Hash of its adapter, or of a base model's files.
    #[schema(value_type = String)]
    pub content_hash: B256,
    /// How contributors are credited: `influence`, `spans` and `citations`, those that have a part.
    pub methods: Vec<String>,
    /// Root of the influence index; zero for a base model.
    #[schema(value_type = String)]
    pub index_root: B256,
    /// Rows of the influence index, 0 if the index is not here.
    pub index_rows: u32,
    /// Datanet versions that it was trained on, in the order of its registration.
    pub datanets: Vec<DatanetPart>,
}

/// A Datanet version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatanetPart {
    /// The Datanet.
    #[schema(value_type = String)]
    pub id: B256,
    /// Its version.
    pub version: u32,
    /// Its name.
    pub name: String,
}

/// What was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextPart {
    /// Body of the request; none if it is not kept any more.
    pub request: Option<String>,
    /// The answer.
    pub answer: String,
    /// What the answer's recorded hash is of, if it is not the answer alone: the answer with the
    /// sources that it was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<String>,
    /// Why it ended: `stop` or `length`.
    pub finish: String,
    /// Spans that rows hold word for word, by place.
    #[serde(default)]
    pub spans: Vec<SpanCredit>,
    /// What it was answered from, if it was given sources.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retrieval: Option<RetrievalJson>,
}

/// What a contributor is credited by influence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContributorPart {
    /// Index in the role of contributor.
    pub earner: u32,
    /// Who is paid.
    #[schema(value_type = String)]
    pub account: Address,
    /// `S_c`: the dot product of the answer's sketch and the sum of its rows' sketches.
    #[schema(value_type = String)]
    pub score: Decimal<i64>,
    /// Signed gwei, before the batch is netted.
    #[schema(value_type = String)]
    pub credit: Decimal<i64>,
    /// Its rows that count; 0 if the index is not here.
    pub accepted_rows: u32,
}

/// A row's own part in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowPart {
    /// keccak256 of its text, by which `/v1/rows` has it.
    #[schema(value_type = String)]
    pub hash: B256,
    /// Place of its Datanet version among the model's.
    pub datanet: u8,
    /// Its index in the version.
    pub index: u64,
    /// Whose it is.
    pub earner: u32,
    /// Whether it counts: it is the first of its duplicate cluster.
    pub is_canonical: bool,
    /// The dot product of the answer's sketch and the row's.
    #[schema(value_type = String)]
    pub score: Decimal<i32>,
    /// Its part of its contributor's credit, `trunc(pool * score / sum |S|)` gwei; 0 if the row does
    /// not count or its contributor is not credited.
    #[schema(value_type = String)]
    pub credit: Decimal<i64>,
}

/// What is paid for one kind of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SectionPart {
    /// `span` or `citation`.
    pub kind: String,
    /// Gwei.
    #[schema(value_type = String)]
    pub pool: Decimal<u64>,
    /// Uses in the order of the record.
    pub uses: Vec<UsePart>,
}

/// A use of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsePart {
    /// Index in the role of contributor.
    pub earner: u32,
    /// Who is paid.
    #[schema(value_type = String)]
    pub account: Address,
    /// What the use is worth.
    #[schema(value_type = String)]
    pub score: Decimal<u64>,
    /// Gwei.
    #[schema(value_type = String)]
    pub credit: Decimal<u64>,
    /// The span, in a section of spans.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub span: Option<SpanPart>,
    /// The citation, in a section of citations.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub citation: Option<CitationPart>,
}

/// A span of the answer, and one of its holders. `docs/uses.md` says what the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanPart {
    /// Its first token in the answer.
    pub start: u16,
    /// Its tokens.
    pub length: u16,
    /// First rank of the suffixes that start with it.
    #[schema(value_type = String)]
    pub low: Decimal<u64>,
    /// How often it occurs.
    pub count: u16,
    /// Duplicate clusters that hold it.
    pub holders: u16,
    /// Which of them this is.
    pub holder: u16,
    /// The cluster's first occurrence.
    pub occurrence: u16,
}

/// A row that the answer cites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CitationPart {
    /// Place of its Datanet version among the model's.
    pub datanet: u8,
    /// Its index in the version.
    #[schema(value_type = String)]
    pub row: Decimal<u64>,
    /// How much it has to do with the question.
    pub relevance: u32,
    /// How often the answer cites it.
    pub uses: u16,
    /// Hash of its text, if the index is here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub hash: Option<B256>,
}

/// Where a call's fee goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyPart {
    /// Gwei.
    #[schema(value_type = String)]
    pub fee: Decimal<u64>,
    /// The price that the payer signed.
    pub price: PriceJson,
    /// Basis points of treasury, model owners, stakers, contributors.
    pub split: [u16; 4],
    /// Fixed shares.
    pub shares: Vec<SharePart>,
    /// What of the contributors' share is paid by influence, gwei.
    #[schema(value_type = String)]
    pub pool: Decimal<u64>,
    /// What of the pools no credit takes, gwei: with what netting and factors withhold it goes to
    /// contributors by accepted rows, and without any to the treasury.
    #[schema(value_type = String)]
    pub flat: Decimal<u64>,
}

/// A fixed share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharePart {
    /// `treasury`, `owner` or `stakers`.
    pub kind: String,
    /// Whom it pays.
    pub earner: u32,
    /// Its account.
    #[schema(value_type = String)]
    pub account: Address,
    /// Gwei.
    #[schema(value_type = String)]
    pub amount: Decimal<u64>,
}

/// The batch that settles a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchPart {
    /// Its id.
    #[schema(value_type = String)]
    pub id: B256,
    /// Its epoch.
    #[schema(value_type = String)]
    pub epoch: Decimal<u64>,
    /// `sealed`, `posted`, `final` or `struck`.
    pub status: String,
    /// The ledger's row that opens the record.
    pub row: u32,
    /// Rows of the ledger.
    pub rows: u32,
    /// Gwei drawn and paid.
    #[schema(value_type = String)]
    pub total: Decimal<u64>,
    /// Calls in it.
    pub calls: u32,
    /// What the batch pays those whom the record names, for all its calls.
    pub paid: Vec<PaidPart>,
}

/// What a batch pays somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaidPart {
    /// Whom.
    pub earner: u32,
    /// Its account.
    #[schema(value_type = String)]
    pub account: Address,
    /// Gwei of all in the batch.
    #[schema(value_type = String)]
    pub amount: Decimal<u64>,
    /// Of a contributor: how that came about with this model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub balance: Option<BalancePart>,
}

/// How a contributor's payout with one model came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BalancePart {
    /// Credits of the batch and carries, signed gwei.
    #[schema(value_type = String)]
    pub net: Decimal<i64>,
    /// Basis points of a positive net that are paid.
    pub factor: u16,
    /// Gwei for the net.
    #[schema(value_type = String)]
    pub influence: Decimal<u64>,
    /// Gwei by the flat rule.
    #[schema(value_type = String)]
    pub flat: Decimal<u64>,
}
