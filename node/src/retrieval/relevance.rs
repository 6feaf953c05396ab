//! How near rows are to a question, by their texts alone.

use std::{path::Path, sync::Arc};

use alloy::primitives::{B256, b256};
use attribution::retrieval::{Hit, MAX_QUESTION_BYTES, nearness, passages};
use inference::encoder::Encoder;

use crate::{Error, Result, config::is_main};

/// Hash of the encoder that relevance is measured by on main chains: all-MiniLM-L6-v2 as
/// `tools/encoder.sh` lays it, on this arithmetic. Whoever had another would find another relevance,
/// and call honest records false.
pub const ENCODER: B256 =
    b256!("0xe40d55659622ece43c31e31d4276c66d44ad0707cee1d943c05c81b5008b255b");

/// Computes relevance as searching the library gives it, without a library: vectors have the same bits
/// on every machine, so validators check what an operator wrote down. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relevance {
    encoder: Arc<Encoder>,
}

impl Relevance {
    pub(super) const fn new(encoder: Arc<Encoder>) -> Self {
        Self { encoder }
    }

    /// Loads the encoder in a folder.
    ///
    /// # Errors
    /// [`Error::Config`] naming the folder and what is wrong with it.
    pub fn load(folder: &Path) -> Result<Self> {
        load(folder).map(Self::new)
    }

    /// Refuses an encoder that a main chain's validators do not have.
    ///
    /// # Errors
    /// [`Error::Config`] naming both.
    pub fn check(&self, chain_id: u64) -> Result<()> {
        let given = B256::from(self.encoder.hash());
        if !is_main(chain_id) || given == ENCODER {
            return Ok(());
        }
        Err(Error::Config(format!(
            "retrieval.encoder {given} is refused on main chain {chain_id}, where rows are measured by {ENCODER}"
        )))
    }

    /// Sets each row's [`Hit::relevance`] to what it is for the question. The inner error says which row
    /// no library holds. Takes some 40 ms of a processor for each row.
    ///
    /// # Errors
    /// [`Error::Inference`] if the question cannot be encoded.
    pub fn measure(
        &self,
        question: &str,
        rows: Vec<Hit>,
    ) -> Result<std::result::Result<Vec<Hit>, String>> {
        let question = self.encoder.encode_int8(&[cut(question)])?.swap_remove(0);
        let measured = rows.into_iter().map(|hit| {
            let vectors = hit
                .row
                .check_bounds()
                .ok()
                .and_then(|()| self.encoder.encode_int8(&seen(&hit.row.text)).ok());
            let Some(vectors) = vectors else {
                return Err(format!("row {} is not one that can be found", hit.row.index));
            };
            let dot = nearness(&question, &vectors.concat());
            Ok(Hit { relevance: u32::try_from(dot).unwrap_or(0), dot, ..hit })
        });
        Ok(measured.collect())
    }
}

pub(super) fn load(folder: &Path) -> Result<Arc<Encoder>> {
    Encoder::load(folder)
        .map(Arc::new)
        .map_err(|error| Error::Config(format!("retrieval.encoder {}: {error}", folder.display())))
}

/// What the encoder sees of a row: its text and its passages.
pub(super) fn seen(text: &str) -> Vec<String> {
    core::iter::once(text.to_owned()).chain(passages(text)).collect()
}

/// The beginning of a question, as long as one may be.
pub(super) fn cut(question: &str) -> &str {
    let mut end = question.len().min(MAX_QUESTION_BYTES);
    while !question.is_char_boundary(end) {
        end -= 1;
    }
    &question[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../inference/tests/golden/encoder");

    #[test]
    fn a_main_chain_takes_no_other_encoder() {
        let other = Relevance::load(Path::new(OTHER)).unwrap();
        other.check(161_201).unwrap();
        let error = other.check(1612).unwrap_err().to_string();
        assert!(error.contains("refused on main chain 1612"), "{error}");
    }

    #[test]
    fn a_question_is_cut_between_letters() {
        assert_eq!(cut("why?"), "why?");
        let long = format!("a{}", "é".repeat(MAX_QUESTION_BYTES));
        assert_eq!(cut(&long).len(), MAX_QUESTION_BYTES - 1);
    }
}
