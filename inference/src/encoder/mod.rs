//! Sentence encoders: texts to vectors whose cosine says how alike they are.
//!
//! A BERT-like encoder with the pooling of sentence-transformers (Reimers and Gurevych 2019), read
//! from a Hugging Face folder; all-MiniLM-L6-v2 is the one that the project uses
//! (`tools/encoder.sh` fetches it).

mod files;
mod network;
mod quantise;
#[cfg(test)]
mod reference;

use std::path::Path;

use rayon::prelude::*;
use tokenizers::Tokenizer;

pub use self::quantise::{VECTOR_SCALE, quantise};
use self::{
    files::{Files, Pooling},
    network::Network,
};
use crate::{Error, Result};

/// Longest text that is encoded, in bytes; what is beyond the model's tokens is not seen anyway.
pub const MAX_TEXT_BYTES: usize = 1 << 20;
/// Tokens of texts that go through the network together, unless one text has more: so many that
/// weights are read from memory seldom, and so few that hidden states stay in cache.
const RUN_TOKENS: usize = 256;

/// A loaded encoder. One instance serves any number of threads.
pub struct Encoder {
    network: Network,
    tokenizer: Tokenizer,
    pooling: Pooling,
    dimension: usize,
    vocabulary: usize,
    max_tokens: usize,
    hash: [u8; 32],
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("dimension", &self.dimension)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Reads `config.json`, `model.safetensors` and `tokenizer.json` of a folder, and
    /// `1_Pooling/config.json` and `sentence_bert_config.json` if they are there; without them the
    /// mean is pooled and as many tokens seen as the model has positions.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read; [`Error::Config`] if the model is not a BERT with
    /// absolute positions or pools otherwise than by the mean or the first token;
    /// [`Error::Weights`] and [`Error::Tokenizer`] if those files are damaged or do not fit.
    pub fn load(dir: &Path) -> Result<Self> {
        let files = Files::read(dir)?;
        Ok(Self {
            network: Network::new(files.tensors, &files.config)?,
            tokenizer: files.tokenizer,
            pooling: files.pooling,
            dimension: files.config.hidden_size,
            vocabulary: files.config.vocab_size,
            max_tokens: files.max_tokens,
            hash: files.hash,
        })
    }

    /// Numbers of a vector.
    #[must_use]
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// Tokens of a text that are seen, the two around it included; the rest is cut off.
    #[must_use]
    pub const fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// keccak256 over the weights, the tokenizer and the settings: the same vectors come only of
    /// encoders with the same hash.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The vector of each text: `(texts, dimension)`, each of Euclidean length 1.
    ///
    /// The last hidden states are pooled (mean over all tokens, or the first token's) and divided
    /// by their length, as sentence-transformers does. A vector's bits depend on its text alone: not
    /// on the texts that it is encoded with, the number of threads or the processor.
    ///
    /// # Errors
    /// [`Error::Request`] if a text is longer than [`MAX_TEXT_BYTES`], makes tokens that the model
    /// does not have, or a vector without direction.
    pub fn encode<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        let tokens = texts.par_iter().map(|text| self.tokens(text.as_ref()));
        let tokens: Vec<Vec<u32>> = tokens.collect::<Result<_>>()?;
        let runs = runs(&tokens).into_par_iter().with_max_len(1);
        let vectors = runs.map(|texts| self.encode_run(texts)).collect::<Result<Vec<_>>>()?;
        Ok(vectors.into_iter().flatten().collect())
    }

    /// As [`Self::encode`], in int8 under the public scale ([`quantise`]).
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_int8<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<i8>>> {
        Ok(self.encode(texts)?.iter().map(|vector| quantise(vector)).collect())
    }

    fn encode_run(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let hidden = self.network.forward(texts);
        let mut rest = &hidden[..];
        let pooled = |text: &Vec<u32>| {
            let (states, after) = rest.split_at(text.len() * self.dimension);
            rest = after;
            self.pool(states)
        };
        texts.iter().map(pooled).collect()
    }

    /// - `states`: last hidden states of a text, `(tokens, dimension)`
    fn pool(&self, states: &[f32]) -> Result<Vec<f32>> {
        let tokens = match self.pooling {
            Pooling::Mean => usize::MAX,
            Pooling::First => 1,
        };
        let mut sums = vec![0.0f64; self.dimension];
        for state in states.chunks_exact(self.dimension).take(tokens) {
            for (sum, value) in sums.iter_mut().zip(state) {
                *sum += f64::from(*value);
            }
        }
        // The number of tokens cancels out of the direction.
        let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::Request(format!("the text's vector has length {length}")));
        }
        Ok(sums.iter().map(|sum| (sum / length) as f32).collect())
    }

    fn tokens(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::Request(format!("a text of {} bytes to encode", text.len())));
        }
        let encoding =
            self.tokenizer.encode(text, true).map_err(|e| Error::Tokenizer(e.to_string()))?;
        let tokens = encoding.get_ids().to_vec();
        if let Some(token) = tokens.iter().find(|token| **token as usize >= self.vocabulary) {
            return Err(Error::Request(format!("token {token} of {}", self.vocabulary)));
        }
        if tokens.is_empty() {
            return Err(Error::Request("no tokens to encode".into()));
        }
        Ok(tokens)
    }
}

/// Texts in order, in runs of at most [`RUN_TOKENS`] or of one text.
fn runs(texts: &[Vec<u32>]) -> Vec<&[Vec<u32>]> {
    let mut runs = Vec::new();
    let (mut first, mut tokens) = (0, 0);
    for (at, text) in texts.iter().enumerate() {
        if at > first && tokens + text.len() > RUN_TOKENS {
            runs.push(&texts[first..at]);
            (first, tokens) = (at, 0);
        }
        tokens += text.len();
    }
    runs.extend((first < texts.len()).then(|| &texts[first..]));
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_every_text_once_and_few_tokens() {
        let lengths = [3, 250, 4, 300, 1, 200, 55, 1];
        let texts: Vec<Vec<u32>> = lengths.iter().map(|length| vec![7; *length]).collect();
        let runs: Vec<Vec<usize>> =
            runs(&texts).iter().map(|run| run.iter().map(Vec::len).collect()).collect();
        assert_eq!(runs, [vec![3, 250], vec![4], vec![300], vec![1, 200, 55], vec![1]]);
        assert!(super::runs(&[]).is_empty());
    }
}
