//! Adapters from outside: what fits is loaded, everything else is an error that changes nothing.

use std::path::Path;

use inference::{
    adapter::{Adapter, CONFIG_FILE, StoreConfig, WEIGHTS_FILE, adapter_hash},
    config::LlamaSizes,
    engine::EngineConfig,
    train::{LoraConfig, TrainableLora},
    weights::Storage,
};
use serde_json::json;

use crate::fixture::{AdapterFiles, NamedTensor, decoder, engine, name, sizes, spec};

const QV: [&str; 2] = ["q_proj", "v_proj"];

fn files() -> AdapterFiles {
    AdapterFiles::random(&decoder(spec()), 1, 4, &QV)
}

/// Loads the files as `damage` left them; the engine must be as empty as before if that fails.
fn load(files: &AdapterFiles, damage: impl FnOnce(&Path)) -> Result<usize, String> {
    let dir = tempfile::tempdir().unwrap();
    files.write(dir.path());
    damage(dir.path());
    let engine = engine(EngineConfig::default());
    let result = engine.load_adapter(dir.path());
    assert_eq!(engine.adapters().len(), usize::from(result.is_ok()));
    result.map(|info| info.rank).map_err(|error| error.to_string())
}

fn refused(files: &AdapterFiles, word: &str) {
    let error = load(files, |_| ()).expect_err(word);
    assert!(error.contains(word), "{error:?} does not name {word:?}");
}

#[test]
fn good_adapters_load_in_every_type() {
    assert_eq!(load(&files(), |_| ()), Ok(4));
    assert_eq!(load(&AdapterFiles { storage: Storage::Bf16, ..files() }, |_| ()), Ok(4));
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let change = |at: usize, f: &dyn Fn(&mut NamedTensor)| {
        let mut files = files();
        f(&mut files.tensors[at]);
        files
    };
    refused(&change(0, &|t| t.1 = vec![2, 64]), "has shape [2, 64], not [4, 32]");
    refused(&change(0, &|t| t.1 = vec![128]), "shape");
    refused(&change(1, &|t| t.2[5] = f32::NAN), "not finite");
    refused(&change(3, &|t| t.2[0] = f32::INFINITY), "not finite");
    refused(&change(2, &|t| t.0.push('x')), "is missing");
    refused(&change(2, &|t| t.0 = t.0.replace("layers.0", "layers.7")), "is missing");

    let mut more = files();
    more.tensors.push(("base_model.model.lm_head.lora_A.weight".into(), vec![1], vec![0.0]));
    refused(&more, "lm_head");
    // Tensors of a module that the configuration does not target.
    let mut more = files();
    more.config["target_modules"] = json!(["q_proj"]);
    refused(&more, "v_proj");
    let mut fewer = files();
    fewer.config["target_modules"] = json!(["q_proj", "v_proj", "k_proj"]);
    refused(&fewer, "k_proj");
    let mut rank = files();
    rank.config["r"] = json!(5);
    refused(&rank, "not [5, 32]");
    let mut none = files();
    none.config["target_modules"] = json!(["c_attn"]);
    none.tensors.clear();
    refused(&none, "fits no module");
    let mut dora = files();
    dora.config["use_dora"] = json!(true);
    refused(&dora, "use_dora");
}

#[test]
fn adapters_of_another_base_are_refused() {
    let wide = LlamaSizes { hidden_size: 64, ..sizes() }.spec().unwrap();
    refused(&AdapterFiles::random(&decoder(wide), 1, 4, &QV), "shape");
    let deep = LlamaSizes { layers: 3, ..sizes() }.spec().unwrap();
    refused(&AdapterFiles::random(&decoder(deep), 1, 4, &QV), "layers.2");
    let shallow = LlamaSizes { layers: 1, ..sizes() }.spec().unwrap();
    refused(&AdapterFiles::random(&decoder(shallow), 1, 4, &QV), "layers.1");
}

#[test]
fn damaged_files_are_errors_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    files().write(dir.path());
    let config = std::fs::read(dir.path().join(CONFIG_FILE)).unwrap();
    let weights = std::fs::read(dir.path().join(WEIGHTS_FILE)).unwrap();
    let sites = decoder(spec()).sites().to_vec();
    assert!(Adapter::parse(&config, &weights, &sites).is_ok());
    for length in 0..weights.len() {
        assert!(Adapter::parse(&config, &weights[..length], &sites).is_err(), "length {length}");
    }
    for length in 0..config.len() {
        assert!(Adapter::parse(&config[..length], &weights, &sites).is_err(), "length {length}");
    }
    // A flipped bit may give another adapter, but never a panic; in the header it is mostly refused.
    for at in 0..weights.len().min(1500) {
        let mut flipped = weights.clone();
        flipped[at] ^= 1 << (at % 8);
        let _ = Adapter::parse(&config, &flipped, &sites);
    }
    let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    assert!(Adapter::parse(&config, &huge, &sites).is_err());
}

#[test]
fn missing_and_oversized_files_are_errors() {
    let remove =
        |name: &'static str| move |dir: &Path| std::fs::remove_file(dir.join(name)).unwrap();
    assert!(load(&files(), remove(CONFIG_FILE)).is_err());
    assert!(load(&files(), remove(WEIGHTS_FILE)).is_err());
    let grown = load(&files(), |dir| {
        std::fs::write(dir.join(CONFIG_FILE), vec![b' '; (1 << 20) + 1]).unwrap();
    });
    assert!(grown.unwrap_err().contains("more than"));

    let dir = tempfile::tempdir().unwrap();
    files().write(dir.path());
    let sites = decoder(spec()).sites().to_vec();
    let error = Adapter::load(dir.path(), None, &sites, 1000).unwrap_err().to_string();
    assert!(error.contains("more than 1000 bytes"), "{error}");
}

#[test]
fn files_outside_the_folder_or_root_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    files().write(outside.path());
    let linked = load(&files(), |dir| {
        std::fs::remove_file(dir.join(WEIGHTS_FILE)).unwrap();
        std::os::unix::fs::symlink(outside.path().join(WEIGHTS_FILE), dir.join(WEIGHTS_FILE))
            .unwrap();
    });
    assert!(linked.unwrap_err().contains("leads out"));

    let root = tempfile::tempdir().unwrap();
    files().write(&root.path().join("inside"));
    let adapters = StoreConfig { root: Some(root.path().into()), ..StoreConfig::default() };
    let engine = engine(EngineConfig { adapters, ..EngineConfig::default() });
    assert!(engine.load_adapter(&root.path().join("inside")).is_ok());
    let around = root.path().join("..").join(outside.path().file_name().unwrap());
    for path in [outside.path(), &around] {
        let error = engine.load_adapter(path).unwrap_err().to_string();
        assert!(error.contains("leads out"), "{error}");
    }
}

#[test]
fn the_hash_is_keccak_of_the_hashes_of_both_files() {
    // By js-sha3.
    for (config, weights, expected) in [
        ("", "", "0x9c6b2c1b0d0b25a008e6c882cc7b415f309965c72ad2b944ac0931048ca31cd5"),
        (
            "{\"r\": 4}",
            "weights",
            "0xc66eb50154b316ebfd3b09dd45375048a4c7fb698a4e0d9767a0afc11ece4b2b",
        ),
    ] {
        assert_eq!(adapter_hash(config.as_bytes(), weights.as_bytes()).to_string(), expected);
    }
    assert_ne!(adapter_hash(b"a", b"b"), adapter_hash(b"b", b"a"));
}

#[test]
fn what_the_trainer_saves_is_loaded_with_the_same_weights() {
    let decoder = decoder(spec());
    let config = LoraConfig { rank: 3, alpha: 7.0, target_modules: vec!["o_proj".into()] };
    let trained = TrainableLora::new(&decoder, &config, 5).unwrap();
    let dir = tempfile::tempdir().unwrap();
    trained.save(dir.path(), &config, "base").unwrap();
    let adapter = Adapter::load(dir.path(), None, decoder.sites(), 1 << 20).unwrap();
    assert_eq!(adapter.weights(), trained.weights().unwrap());
    assert_eq!(adapter.parameters(), trained.parameter_count());
    assert!(TrainableLora::from_weights(&decoder, &adapter.weights()).is_ok());
    // The name helper is PEFT's naming, which the trainer must follow as well.
    let bytes = std::fs::read(dir.path().join(WEIGHTS_FILE)).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(&name(&decoder.sites()[adapter.weights()[0].site.0 as usize].path, "A")));
}
