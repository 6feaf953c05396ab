//! Training of a byte-level BPE tokenizer.

use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, TokenizerImpl,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{Error, Result};

/// Special tokens of the tokenizers trained here; a token's index is its id.
pub const SPECIAL_TOKENS: [&str; 8] =
    ["<unk>", "<s>", "</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"];

/// Learns `size` tokens (special and byte tokens included) from `texts`, and returns the
/// `tokenizer.json`. The result depends on the texts and the size only.
///
/// # Errors
/// [`Error::Tokenizer`] if `size` leaves no room for the bytes and special tokens.
pub fn train_tokenizer<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    size: usize,
) -> Result<String> {
    if size < SPECIAL_TOKENS.len() + 256 {
        return Err(Error::Tokenizer(format!("a vocabulary of {size} has no room for all bytes")));
    }
    let failed = |error: tokenizers::Error| Error::Tokenizer(error.to_string());
    let mut tokenizer: TokenizerImpl<
        ModelWrapper,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    > = TokenizerImpl::new(ModelWrapper::BPE(BPE::default()));
    let bytes = ByteLevel::new(false, true, true);
    tokenizer
        .with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(bytes)))
        .with_decoder(Some(DecoderWrapper::ByteLevel(bytes)));
    let mut trainer = TrainerWrapper::BpeTrainer(
        BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .max_token_length(Some(24))
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true)).to_vec())
            .build(),
    );
    tokenizer.train(&mut trainer, texts).map_err(failed)?;
    tokenizer.to_string(true).map_err(failed)
}
