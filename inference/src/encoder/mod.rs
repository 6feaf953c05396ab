//! Sentence encoders: texts to vectors whose cosine says how alike they are.
//!
//! A BERT-like encoder with the pooling of sentence-transformers (Reimers and Gurevych 2019), read
//! from a Hugging Face folder; all-MiniLM-L6-v2 is the one that the project uses
//! (`tools/encoder.sh` fetches it).

mod files;
mod quantise;

use std::path::Path;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;
use rayon::prelude::*;
use tokenizers::Tokenizer;

use self::files::{Files, Pooling};
pub use self::quantise::{VECTOR_SCALE, quantise};
use crate::{Error, Result, layers::with_values};

/// Longest text that is encoded, in bytes; what is beyond the model's tokens is not seen anyway.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// A loaded encoder. One instance serves any number of threads.
pub struct Encoder {
    model: BertModel,
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
        let builder =
            VarBuilder::from_tensors(files.tensors, candle_core::DType::F32, &Device::Cpu);
        let model = BertModel::load(builder, &files.config)?;
        Ok(Self {
            model,
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
    /// by their length, as sentence-transformers does. Texts are run one by one, on all cores, so a
    /// text's vector does not depend on what it is encoded with.
    ///
    /// # Errors
    /// [`Error::Request`] if a text is longer than [`MAX_TEXT_BYTES`], makes tokens that the model
    /// does not have, or a vector without direction.
    pub fn encode<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<f32>>> {
        texts.par_iter().map(|text| self.encode_one(text.as_ref())).collect()
    }

    /// As [`Self::encode`], in int8 under the public scale ([`quantise`]).
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_int8<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Vec<Vec<i8>>> {
        let encode = |text: &T| Ok(quantise(&self.encode_one(text.as_ref())?));
        texts.par_iter().map(encode).collect()
    }

    fn encode_one(&self, text: &str) -> Result<Vec<f32>> {
        let hidden = self.forward(&self.tokens(text)?)?;
        let tokens = match self.pooling {
            Pooling::Mean => usize::MAX,
            Pooling::First => 1,
        };
        let mut sums = vec![0.0f64; self.dimension];
        with_values(&hidden, |values| {
            for row in values.chunks_exact(self.dimension).take(tokens) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*value);
                }
            }
        })?;
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

    /// Last hidden states `(tokens, dimension)`.
    fn forward(&self, tokens: &[u32]) -> Result<Tensor> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let types = input.zeros_like()?;
        Ok(self.model.forward(&input, &types, None)?.squeeze(0)?.contiguous()?)
    }
}
