//! What is indexed and what is found.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{Error, Result, settle::Hash};

/// Longest text of a row, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Longest name or link of a row's source, in bytes.
pub const MAX_SOURCE_BYTES: usize = 1 << 12;

/// One published version of a Datanet.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct DatanetVersion {
    /// On-chain id of the Datanet.
    pub datanet: Hash,
    /// Its version.
    pub version: u32,
}

/// A Datanet version as it is added to a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Edition {
    /// Which version.
    pub version: DatanetVersion,
    /// When the Datanet was registered, as a position in the chain. Of rows with the same text in
    /// several Datanets only the one registered first is found, and so paid.
    pub registered: u64,
    /// Whether only callers who were granted the Datanet may read its rows.
    pub private: bool,
}

/// One row of a Datanet version, the first of its duplicate cluster.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Row {
    /// Position in the version.
    pub index: u64,
    /// Account that contributed it.
    pub contributor: [u8; 20],
    /// keccak256 of the text.
    pub row_hash: Hash,
    /// Where it is from: a link or a path.
    pub source: String,
    /// The data.
    pub text: String,
}

impl Row {
    /// Whether a library takes texts and sources of these lengths.
    ///
    /// # Errors
    /// [`Error::Setting`] if the text is empty or too long, or the source too long.
    pub fn check_bounds(&self) -> Result<()> {
        let (text, source) = (self.text.len(), self.source.len());
        if !(1..=MAX_TEXT_BYTES).contains(&text) {
            return Err(Error::setting("a row's text must have 1 to 2^20 bytes", text));
        }
        if source > MAX_SOURCE_BYTES {
            return Err(Error::setting("a row's source must have at most 2^12 bytes", source));
        }
        Ok(())
    }
}

/// A row found for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where the row is from.
    pub version: DatanetVersion,
    /// The row itself; its text has been checked against its hash.
    pub row: Row,
    /// Vectors of the row's text and of its passages, one after the other.
    pub vectors: Vec<i8>,
    /// [`dot`](Self::dot), 0 where it is negative: what the row is paid by if it is cited.
    pub relevance: u32,
    /// Two thirds of the dot product of the question's and the text's vectors, and one third of the
    /// largest with a passage's; that of the text alone if it has no passages. Rounded down.
    pub dot: i32,
    /// BM25 score in thousandths, rounded; 0 if the row has none of the question's words.
    pub bm25_milli: u32,
    /// What it is ranked by, in units of [`SCORE_UNIT`](super::SCORE_UNIT): the dot product in
    /// cosines, less a fifth of how crowded the row's neighbourhood is, and a 200th of BM25.
    pub score: i64,
}
