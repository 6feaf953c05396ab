use alloc::vec::Vec;

use super::Rows;
use crate::settle::{
    BatchHeader, Draw, EarnerIndex, Hash, Mix, ModelId, Price, SlotLayout, Split, Witness,
};

/// What the chain and data availability have of a batch beside its ledger.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Which batch was posted.
    pub header: BatchHeader,
    /// Gwei that it draws and pays.
    pub total: u64,
    /// Seconds of an epoch.
    pub epoch_seconds: u64,
    /// The highest earner index there is.
    pub earner_count: u32,
    /// What it drew from each channel.
    pub draws: &'a [Draw],
    /// Shape of its witness blobs.
    pub layout: SlotLayout,
    /// Its witness blobs, `layout.symbols()` symbols of 32 bytes each. What is missing of a blob is
    /// read as zeros.
    pub witnesses: Vec<&'a [u8]>,
    /// Ledger of the batch that it follows, `None` for the operator's first.
    pub previous: Option<&'a Rows>,
}

/// The governed rules of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How fees are shared.
    pub split: Split,
    /// The most contributors credited by one call.
    pub max_credits: u8,
}

/// A contributor as a model's influence index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Whom it pays.
    pub earner: EarnerIndex,
    /// Its accepted rows, one per duplicate cluster.
    pub accepted_rows: u32,
}

/// A model's span index, of one shard.
pub trait SpanCorpus {
    /// Its tokens, and so its suffixes.
    fn tokens(&self) -> u64;

    /// Position of the suffix at a rank below [`SpanCorpus::tokens`].
    fn position(&self, rank: u64) -> u64;

    /// Token id plus 1 at a position; 0 at ends of rows and beyond the text.
    fn symbol(&self, position: u64) -> u32;

    /// Number of the canonical row of the cluster of the row that a position is in.
    fn cluster_at(&self, position: u64) -> u32;

    /// Contributor of a row; nobody if there is no such row.
    fn earner(&self, row: u32) -> EarnerIndex;
}

/// What is known of something that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// Nothing.
    Unknown,
    /// That there is none.
    Absent,
    /// This.
    Here(T),
}

/// A row of a Datanet version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CitedRow {
    /// Its contributor.
    pub earner: EarnerIndex,
    /// Whether it is the canonical row of its duplicate cluster.
    pub is_canonical: bool,
}

/// What the registries say. Answers are those of the chain at the block that the audit is of.
pub trait Sources {
    /// The registered model whose id begins with these bytes, 25 or 31 of them.
    fn model(&self, leading: &[u8]) -> Option<ModelId>;

    /// The price of a model's version; `None` if there is no such model or version.
    fn price(&self, model: ModelId, version: u32) -> Option<Price>;

    /// Rules for calls signed at `time`; `None` if there were none yet.
    fn rules(&self, time: u64) -> Option<Rules>;

    /// Who gets the owner's share of calls signed at `time`.
    fn owner(&self, model: ModelId, time: u64) -> EarnerIndex;

    /// Stakers of the batch's operator; nobody if they are not registered.
    fn stakers(&self) -> EarnerIndex;

    /// Whether calls signed at `time` pay contributors by an accepted index, or need none.
    fn is_earning(&self, model: ModelId, time: u64) -> bool;

    /// Dimension of the model's sketches; 0 without index.
    fn dim(&self, model: ModelId) -> usize;

    /// Contributors of the model's index by ascending earner; a place here is an ordinal there.
    fn contributors(&self, model: ModelId) -> &[Contributor];

    /// `T_c`, `(d,)`, of the contributor with this ordinal.
    fn sums(&self, model: ModelId, ordinal: usize) -> &[i32];

    /// The model's mix for calls signed at `time`. Influence alone unless implemented.
    fn mix(&self, _model: ModelId, _time: u64) -> Mix {
        Mix::default()
    }

    /// The span index that pays for calls of the model signed at `time`. Not known unless
    /// implemented: then credits for spans are not looked into.
    fn spans(&self, _model: ModelId, _time: u64) -> Known<&dyn SpanCorpus> {
        Known::Unknown
    }

    /// A row of a Datanet version of the model's, by the version's place among them. Not known unless
    /// implemented: then citations are not looked into.
    fn cited(&self, _model: ModelId, _datanet: u8, _row: u64) -> Known<CitedRow> {
        Known::Unknown
    }

    /// The factor of a contributor with the model in force at `time`, bps. Not known unless
    /// implemented: then factors are not looked into.
    fn factor(&self, _model: ModelId, _earner: EarnerIndex, _time: u64) -> Option<u16> {
        None
    }

    /// EIP-712 digest of a witness's voucher.
    fn voucher_digest(&self, witness: &Witness) -> Hash;

    /// Whether the channel's payer signed a witness's voucher.
    fn is_signed(&self, witness: &Witness) -> bool;
}
