use alloc::vec::Vec;

use super::{ChannelId, Hash, ModelId, keccak};
use crate::{Error, Result};

/// Dimensions of the largest sketch.
pub const MAX_SKETCH: usize = 8192;

/// Bytes of a witness before its sketch.
const FIXED: usize = 229;

/// Bytes before the model: channel and ceiling.
const MODEL_AT: usize = 40;

/// What a record's hash binds: the payer's signed voucher, the answer and the query's sketch.
///
/// Packed big-endian: channel 32 | ceiling u64 | model 32 | price version u32 | prompt hash 32 |
/// seed u64 | max tokens u64 | time u64 | output hash 32 | signature 65 | sketch. Its length is the
/// sketch's dimension beside the rest, so whoever reads it knows where the sketch ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Channel that pays.
    pub channel: ChannelId,
    /// Cumulative gwei that the voucher allows to be drawn.
    pub ceiling: u64,
    /// Model that answered.
    pub model: ModelId,
    /// Version of the model's price.
    pub price_version: u32,
    /// Hash of the request.
    pub prompt_hash: Hash,
    /// Seed of the sampling.
    pub seed: u64,
    /// Most tokens to generate.
    pub max_tokens: u64,
    /// When the payer signed, seconds.
    pub time: u64,
    /// Hash of the answer.
    pub output_hash: Hash,
    /// The payer's signature of the voucher: r, s, v.
    pub signature: [u8; 65],
    /// The query's sketch, `(d,)`; empty for a model without influence index.
    pub sketch: Vec<i8>,
}

impl Witness {
    /// Bytes of a witness with a sketch of `dim` dimensions.
    #[must_use]
    pub const fn length(dim: usize) -> usize {
        FIXED + dim
    }

    /// The model that bytes name which may be a witness's; `None` if they are too few.
    pub(super) fn model_in(bytes: &[u8]) -> Option<ModelId> {
        bytes.get(MODEL_AT..)?.first_chunk().copied().map(ModelId)
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::length(self.sketch.len()));
        bytes.extend(self.channel.0);
        bytes.extend(self.ceiling.to_be_bytes());
        bytes.extend(self.model.0);
        bytes.extend(self.price_version.to_be_bytes());
        bytes.extend(self.prompt_hash);
        bytes.extend(self.seed.to_be_bytes());
        bytes.extend(self.max_tokens.to_be_bytes());
        bytes.extend(self.time.to_be_bytes());
        bytes.extend(self.output_hash);
        bytes.extend(self.signature);
        bytes.extend(self.sketch.iter().map(|x| x.cast_unsigned()));
        bytes
    }

    /// Reads a witness; all bytes behind the signature are its sketch.
    ///
    /// # Errors
    /// [`Error::WitnessLength`] if they end before, or hold more than [`MAX_SKETCH`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (min, max) = (Self::length(0), Self::length(MAX_SKETCH));
        if !(min..=max).contains(&bytes.len()) {
            return Err(Error::WitnessLength { min, max, given: bytes.len() });
        }
        let mut rest = Rest(bytes);
        Ok(Self {
            channel: ChannelId(rest.take()),
            ceiling: u64::from_be_bytes(rest.take()),
            model: ModelId(rest.take()),
            price_version: u32::from_be_bytes(rest.take()),
            prompt_hash: rest.take(),
            seed: u64::from_be_bytes(rest.take()),
            max_tokens: u64::from_be_bytes(rest.take()),
            time: u64::from_be_bytes(rest.take()),
            output_hash: rest.take(),
            signature: rest.take(),
            sketch: rest.0.iter().map(|x| x.cast_signed()).collect(),
        })
    }

    /// The record hash: keccak256 of the bytes. Ledger rows hold its leading 31 bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        keccak(&[&self.encode()])
    }
}

/// Bytes not read yet; the caller checked that they hold all fixed fields.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    const fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the length was checked");
        self.0 = rest;
        *field
    }
}
