//! Tokenizers of every kind of folder agree with `sentencepiece` and `transformers`
//! (`tests/golden/vocabularies.py`), and chat templates with `transformers` (`chats.py`).

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use inference::tokenizer::{ChatInput, IncrementalDecoder, TemplateValue, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

/// A text and what the reference makes of it.
#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    decoded: String,
    prompt: Option<Vec<u32>>,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = IncrementalDecoder::default();
    let mut text: String = ids.iter().map(|&id| stream.push(tokenizer, id)).collect();
    text += &stream.finish();
    text
}

/// Checks every case of a folder; `lossless` is whether decoding gives the text back.
fn check(folder: &str, lossless: bool) -> Tokenizer {
    let sentencepiece = !folder.starts_with("files");
    let folder = golden("tokenizers").join(folder);
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let cases: Vec<Case> = read(&folder.join("cases.json"));
    assert!(cases.len() > 90);
    for Case { text, ids, decoded, prompt } in cases {
        assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), decoded, "{text:?}");
        assert_eq!(streamed(&tokenizer, &ids), decoded, "{text:?}");
        if lossless {
            // SentencePiece writes a space as this character, so it reads it back as one.
            let read = if sentencepiece { text.replace('\u{2581}', " ") } else { text.clone() };
            assert_eq!(decoded, read);
        }
        if let Some(prompt) = prompt {
            assert_eq!(tokenizer.encode_prompt(&text).unwrap(), prompt, "{text:?}");
        }
    }
    tokenizer
}

#[test]
fn sentencepiece_bpe_of_llama_2() {
    let tokenizer = check("spm_bpe", true);
    let ids = tokenizer.encode("The owner").unwrap();
    assert_eq!(tokenizer.encode_prompt("The owner").unwrap(), [&[1][..], &ids].concat());
    assert!(tokenizer.encode_prompt("</s>").is_err(), "a control token in a prompt");
}

#[test]
fn sentencepiece_bpe_of_gemma() {
    let tokenizer = check("spm_gemma", true);
    let turn = tokenizer.token_id("<start_of_turn>").unwrap();
    assert_eq!(tokenizer.encode("<start_of_turn>").unwrap(), [turn]);
    assert_eq!(tokenizer.encode_prompt("a").unwrap()[0], tokenizer.bos_id().unwrap());
    assert!(tokenizer.encode_prompt("<end_of_turn>").is_err(), "a forged turn");
}

#[test]
fn sentencepiece_bpe_of_chatglm_3() {
    let tokenizer = check("spm_chatglm", true);
    // Its own code numbers these from the number of pieces on.
    for (at, token) in
        ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>"].iter().enumerate()
    {
        assert_eq!(tokenizer.token_id(token), Some(400 + at as u32));
    }
    assert_eq!(tokenizer.encode_prompt("a").unwrap()[..2], [401, 403]);
    assert_eq!(tokenizer.vocab_size(), 409);
}

#[test]
fn sentencepiece_unigram_with_bytes_and_compatibility_forms() {
    check("spm_unigram", false);
}

#[test]
fn sentencepiece_unigram_with_unknown_characters() {
    check("spm_unigram_unknown", false);
}

#[test]
fn vocabulary_and_merges_of_gpt_2() {
    check("files_gpt2", true);
}

#[test]
fn vocabulary_and_merges_of_qwen_2() {
    let tokenizer = check("files_qwen2", false);
    assert_eq!(tokenizer.encode("<|im_start|>").unwrap(), [420]);
    assert!(tokenizer.encode_prompt("<|im_end|>").is_err());
}

#[test]
fn tokenizer_json_with_metaspace_and_bytes() {
    check("json_bpe", false);
    check("json_gemma", true);
}

#[test]
fn tokenizer_json_with_unigram() {
    check("json_unigram", false);
}

#[test]
fn damaged_sentencepiece_models_never_panic() {
    let bytes = std::fs::read(golden("tokenizers/spm_bpe/tokenizer.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.model");
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(29) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        for damaged in [&bytes[..at], &changed] {
            std::fs::write(&path, damaged).unwrap();
            match Tokenizer::load(folder.path()) {
                Ok(tokenizer) => drop(tokenizer.encode("The owner <0x41> \u{e9}")),
                Err(error) => {
                    assert!(matches!(error, inference::Error::Tokenizer(_)), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

proptest! {
    /// Bytes, spaces and characters come back from any text, at once and token by token.
    #[test]
    fn any_text_survives_where_nothing_is_normalised(text in "[ -~\u{0}\u{a}\u{e9}\u{2581}\u{6f22}\u{1f980}]{0,60}") {
        for folder in ["spm_bpe", "spm_gemma", "files_gpt2"] {
            let tokenizer = Tokenizer::load(&golden("tokenizers").join(folder)).unwrap();
            let ids = tokenizer.encode(&text).unwrap();
            let expected = match folder {
                "spm_bpe" | "spm_gemma" => text.replace('\u{2581}', " "),
                _ => text.clone(),
            };
            prop_assert_eq!(&tokenizer.decode(&ids), &expected);
            prop_assert_eq!(&streamed(&tokenizer, &ids), &expected);
        }
    }
}

/// A conversation and the text that `transformers` makes of it.
#[derive(Deserialize)]
struct Chat {
    template: String,
    about: String,
    tokens: serde_json::Value,
    /// Values of the template, not by way of a JSON value: that would sort their keys.
    input: HashMap<String, TemplateValue>,
    rendered: Option<String>,
    refused: Option<String>,
}

#[test]
fn published_chat_templates_render_as_in_transformers() {
    let file = std::fs::read_to_string(golden("tokenizers/json_bpe/tokenizer.json")).unwrap();
    let mut refusals = 0;
    for chat in read::<Vec<Chat>>(&golden("templates/cases.json")) {
        let about = format!("{}, {}", chat.template, chat.about);
        let path = golden("templates").join(&chat.template).with_extension("jinja");
        let mut config = chat.tokens;
        config["chat_template"] =
            json!([{"name": "default", "template": std::fs::read_to_string(path).unwrap()}]);
        let tokenizer = Tokenizer::parse(&file, Some(&config.to_string())).unwrap();
        let mut fields = chat.input;
        let mut input = ChatInput::new(&[]);
        input.messages = fields.remove("messages").unwrap();
        input.tools = fields.remove("tools");
        input.generation_prompt = fields.remove("add_generation_prompt").unwrap().is_true();
        input.variables = fields.into_iter().collect();
        let rendered = tokenizer.render(&input);
        match (chat.rendered, chat.refused) {
            (Some(expected), _) => assert_eq!(rendered.unwrap(), expected, "{about}"),
            (None, Some(reason)) => {
                let error = rendered.expect_err(&about).to_string();
                assert!(error.contains(&reason), "{about}: {error}");
                refusals += 1;
            }
            (None, None) => panic!("{about}: no answer"),
        }
    }
    assert_eq!(refusals, 6);
}
