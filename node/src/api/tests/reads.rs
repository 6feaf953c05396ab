//! What can be read of a node, and which model directories it refuses.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::{Address, B256};
use inference::{
    engine::{Engine, EngineConfig, EngineHandle},
    model::Decoder,
    tokenizer::Tokenizer,
};
use serde_json::{Value, json};

use super::world::{Files, World, base_dir, registry};
use crate::{
    Error,
    catalog::{Catalog, INDEX_FILE, MANIFEST_FILE, base_hash},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_its_models_rows_records_and_state() {
    let world = World::start().await;
    let body = world.body(json!({}));
    let voucher = world.voucher(&body, 1000, |_| {});
    let answer: Value = world.chat(&body, Some(&voucher)).await.json().await.unwrap();
    let digest = answer["openledger"]["record"]["voucherDigest"].as_str().unwrap();

    let (status, text) = world.get(&format!("/v1/records/{digest}")).await;
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    assert_eq!(record["receipt"], answer["openledger"]["receipt"]);
    let amount = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let shares: u64 =
        record["shares"].as_array().unwrap().iter().map(|s| amount(&s["amount"])).sum();
    assert_eq!(shares + amount(&record["pool"]), amount(&record["receipt"]["fee"]));

    let models: Value = serde_json::from_str(&world.get("/v1/models").await.1).unwrap();
    assert_eq!(models["data"][1]["name"], "solidity");
    assert_eq!(models["data"][1]["price"]["outputRate"], "4000");

    let row = Files::shared().row;
    let row: Value = serde_json::from_str(&world.get(&format!("/v1/rows/{row}")).await.1).unwrap();
    assert!(row["text"].as_str().unwrap().starts_with("// Token\n"));

    let earnings: Value = serde_json::from_str(&world.get("/v1/earnings").await.1).unwrap();
    assert_eq!(earnings["data"].as_array().unwrap().len(), 6);
    assert_eq!(earnings["data"][0]["role"], "treasury");
    assert_eq!(world.get("/v1/earnings/6").await.0, 200);
    let batches: Value = serde_json::from_str(&world.get("/v1/batches").await.1).unwrap();
    assert_eq!(batches, serde_json::json!({ "object": "list", "data": [] }));
    assert_eq!(world.get("/health").await.0, 200);

    let metrics = world.get("/metrics").await.1;
    assert!(metrics.contains("openledger_calls_total{outcome=\"Served\"} 1"), "{metrics}");
    assert!(metrics.contains("openledger_batches{step=\"Final\"} 0"));
    assert!(metrics.contains("openledger_call_duration_seconds_count{stage=\"Total\"} 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_and_what_is_malformed_is_400() {
    let world = World::start().await;
    let nothing = B256::repeat_byte(1);
    for (path, status) in [
        (format!("/v1/rows/{nothing}"), 404),
        (format!("/v1/records/{nothing}"), 404),
        ("/v1/rows/xyz".into(), 400),
        ("/v1/records/0x12".into(), 400),
        ("/v1/earnings/99".into(), 404),
        ("/v1/earnings/-1".into(), 400),
        ("/v1/batches?after=x".into(), 400),
        ("/v2".into(), 404),
    ] {
        assert_eq!(world.get(&path).await.0, status, "{path}");
    }
}

fn engine() -> EngineHandle {
    let decoder = Arc::new(Decoder::load(&base_dir()).unwrap());
    let tokenizer = Arc::new(Tokenizer::load(&base_dir()).unwrap());
    Engine::start(decoder, tokenizer, EngineConfig::default()).unwrap()
}

/// A copy of a folder with one file changed.
fn damaged(
    original: &Path,
    file: &str,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(original).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join(file);
    std::fs::write(&path, change(std::fs::read(&path).unwrap())).unwrap();
    let dir = folder.path().to_owned();
    (folder, dir)
}

fn flip_last(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[test]
fn a_base_with_one_byte_changed_is_refused_by_its_content() {
    let files = Files::shared();
    let registry = registry(&files.seed(Address::ZERO, B256::ZERO));
    let engine = engine();
    let registered = base_hash(&base_dir()).unwrap();
    let flip_first = |mut bytes: Vec<u8>| {
        bytes[0] ^= 1;
        bytes
    };
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        let cases = [damaged(&base_dir(), file, flip_first), damaged(&base_dir(), file, flip_last)];
        for (_folder, dir) in &cases {
            let found = base_hash(dir).unwrap();
            assert_ne!(found, registered, "{file}");
            let error = Catalog::load(&engine, dir, &[files.model_dir()], &registry).unwrap_err();
            let reason = format!("no base model with content {found} is registered");
            assert!(matches!(error, Error::Config(_)), "{error}");
            assert!(error.to_string().contains(&reason), "{file}: {error}");
        }
    }
}

#[test]
fn a_directory_that_is_not_what_is_registered_is_left_out_with_its_reason() {
    let files = Files::shared();
    let registry = registry(&files.seed(Address::ZERO, B256::ZERO));
    let engine = engine();
    let rename = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace("\"solidity\"", "\"mine\"").into_bytes()
    };
    let original = files.model_dir();
    let cases = [
        (damaged(&original, "adapter_model.safetensors", flip_last), "adapter is 0x"),
        (damaged(&original, INDEX_FILE, flip_last), "index is 0x"),
        (damaged(&original, MANIFEST_FILE, rename), "name is \"mine\""),
    ];
    for ((_folder, dir), reason) in &cases {
        let dirs = [files.model_dir(), dir.clone()];
        let catalog = Catalog::load(&engine, &base_dir(), &dirs, &registry).unwrap();
        assert_eq!(catalog.models().len(), 2);
        let refused = &catalog.refused()[dir];
        assert!(refused.contains(reason), "{refused}");
        let alone = Catalog::load(&engine, &base_dir(), &dirs[1..], &registry).unwrap_err();
        assert!(alone.to_string().contains(reason), "{alone}");
    }
    let twice = [files.model_dir(), files.model_dir()];
    let catalog = Catalog::load(&engine, &base_dir(), &twice, &registry).unwrap();
    assert_eq!(catalog.models().len(), 2);
    assert_eq!(catalog.weights().values().next().unwrap().len(), 3);
}
