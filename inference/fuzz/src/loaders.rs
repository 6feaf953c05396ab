//! Every loader takes any bytes and either refuses them or gives something that works.
//!
//! The fuzz targets call these, and `tests/it/hostile.rs` does with fewer inputs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use inference::{
    adapter::Adapter,
    config::ModelSpec,
    model::{Decoder, NoAdapter, Site},
    step::Step,
    tokenizer::{ChatInput, Message, TemplateValue, Tokenizer},
    weights::gguf::Gguf,
};

/// A loader under test.
pub type Entry = fn(&[u8]);

fn golden(path: &str) -> PathBuf {
    // Of this package, or of the one whose tests include this file.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inference = if here.ends_with("fuzz") { here.join("..") } else { here.to_owned() };
    inference.join("tests/golden").join(path)
}

fn read(path: &str) -> Vec<u8> {
    let path = golden(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder with these files.
fn with_folder<T>(files: &[(&str, &[u8])], load: impl FnOnce(&Path) -> T) -> T {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).expect("a temporary file");
    }
    load(dir.path())
}

static SITES: LazyLock<Vec<Site>> = LazyLock::new(|| {
    let decoder = Decoder::load(&golden("llama/base")).expect("the golden model loads");
    decoder.sites().to_vec()
});

/// `adapter_config.json`
pub fn adapter_config(data: &[u8]) {
    static WEIGHTS: LazyLock<Vec<u8>> =
        LazyLock::new(|| read("llama/patterns/adapter_model.safetensors"));
    adapter(data, &WEIGHTS);
}

/// `adapter_model.safetensors`
pub fn adapter_weights(data: &[u8]) {
    static CONFIG: LazyLock<Vec<u8>> = LazyLock::new(|| read("llama/patterns/adapter_config.json"));
    adapter(&CONFIG, data);
}

fn adapter(config: &[u8], weights: &[u8]) {
    let Ok(adapter) = Adapter::parse(config, weights, &SITES) else { return };
    assert!(adapter.rank() > 0);
    for site in adapter.weights() {
        assert!(site.a.iter().chain(&site.b).all(|value| value.is_finite()));
        assert!(site.scale.is_finite());
    }
}

/// `config.json` of a model
pub fn model_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = ModelSpec::parse(text) else { return };
    let again = ModelSpec::parse(&spec.to_json()).expect("what was read can be read again");
    assert_eq!(again.attention, spec.attention);
    assert!(spec.parameter_count() > 0 && spec.kv_shape().bytes(1) > 0);
}

/// `model.safetensors`
pub fn model_weights(data: &[u8]) {
    static CONFIG: LazyLock<Vec<u8>> = LazyLock::new(|| read("qwen2/base/config.json"));
    let files = [("config.json", CONFIG.as_slice()), ("model.safetensors", data)];
    with_folder(&files, run);
}

/// A GGUF file with everything in it
pub fn gguf(data: &[u8]) {
    with_folder(&[("model.gguf", data)], |dir| {
        let file = dir.join("model.gguf");
        let Ok(gguf) = Gguf::open(&file) else { return };
        assert!(gguf.names().count() < 1 << 17);
        if let Ok((json, config)) = gguf.tokenizer()
            && let Ok(tokenizer) = Tokenizer::parse(&json, Some(&config))
        {
            use_tokenizer(&tokenizer);
        }
        run(&file);
    });
}

/// Loads a model and computes a step with it.
fn run(path: &Path) {
    let Ok(decoder) = Decoder::load(path) else { return };
    // The golden models are tiny; a model that is not has sizes from the fuzzer and is slow.
    let small = decoder.weight_bytes() < 1 << 22 && decoder.spec().max_positions > 1;
    if small && decoder.spec().vocab_size > 2 {
        let step = Step::whole([&[0u32, 1][..]]);
        let hidden = decoder.forward(&step, None, &NoAdapter).expect("a loaded model runs");
        decoder.logits(&hidden).expect("a loaded model has logits");
    }
}

/// `tokenizer.json`
pub fn tokenizer_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tokenizer) = Tokenizer::parse(text, None) {
        use_tokenizer(&tokenizer);
    }
}

/// `tokenizer.model`
pub fn tokenizer_model(data: &[u8]) {
    with_folder(&[("tokenizer.model", data)], |dir| {
        if let Ok(tokenizer) = Tokenizer::load(dir) {
            use_tokenizer(&tokenizer);
        }
    });
}

/// `tokenizer_config.json` with its chat templates
pub fn tokenizer_config(data: &[u8]) {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        String::from_utf8(read("tokenizers/json_bpe/tokenizer.json")).expect("it is UTF-8")
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tokenizer) = Tokenizer::parse(&JSON, Some(text)) {
        use_tokenizer(&tokenizer);
    }
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    for text in ["", "Hello, world!\n  1234", "naïve 漢字 🦀 \u{0}\u{fffd}"] {
        let _ = tokenizer.encode_prompt(text);
        if let Ok(ids) = tokenizer.encode(text) {
            assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()));
            tokenizer.decode(&ids);
        }
    }
    tokenizer.decode(&[0, 1, 2, u32::MAX]);
    let message = |role: &str, text: &str| Message { role: role.into(), content: text.into() };
    let messages =
        [message("system", "Be brief."), message("user", "Hi"), message("assistant", "")];
    let _ = tokenizer.encode_chat(&messages);
    let tools = Some(TemplateValue::from(vec!["a tool"]));
    let _ = tokenizer.render(&ChatInput { tools, ..ChatInput::new(&messages) });
}
