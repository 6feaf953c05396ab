//! Documents, token streams and rows.

use std::path::Path;

use inference::{
    Error, Result,
    tokenizer::Tokenizer,
    train::{Example, shuffled},
};

/// The texts of a JSON-lines file.
pub(crate) fn read(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let parse = |line: &str| -> Result<String> {
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| Error::Training(error.to_string()))?;
        let text = value["text"].as_str();
        text.map(str::to_owned).ok_or_else(|| Error::Training("a line has no text".into()))
    };
    text.lines().map(parse).collect()
}

/// All documents in an order drawn from `seed`, each between `<s>` and `</s>`.
pub(crate) fn stream(tokenizer: &Tokenizer, documents: &[String], seed: u64) -> Result<Vec<u32>> {
    let missing = || Error::Tokenizer("<s> or </s> is missing".into());
    let (bos, eos) =
        (tokenizer.bos_id().ok_or_else(missing)?, tokenizer.eos_id().ok_or_else(missing)?);
    let mut tokens = Vec::new();
    for index in shuffled(documents.len(), seed, 0) {
        tokens.push(bos);
        tokens.extend(tokenizer.encode(&documents[index])?);
        tokens.push(eos);
    }
    Ok(tokens)
}

/// Whole rows of `length` tokens.
pub(crate) fn rows(stream: &[u32], length: usize) -> Vec<Example> {
    stream.chunks_exact(length).map(|row| Example::whole(row.to_vec())).collect()
}

/// `tokenizer_config.json` with the chat template.
pub(crate) fn tokenizer_config(max_length: usize) -> String {
    let template = "{{ bos_token }}{% for message in messages %}\
        {{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}\
        {% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";
    let config = serde_json::json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "additional_special_tokens": ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
        "add_bos_token": true,
        "clean_up_tokenization_spaces": false,
        "model_max_length": max_length,
        "chat_template": template,
    });
    format!("{config:#}\n")
}
