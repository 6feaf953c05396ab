//! What a signed log holds for.

use inference::train::LoraConfig;

use super::*;
use crate::factory::{TrainSettings, train, train::tests::datanet};

fn signer(name: &str) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&alloy::primitives::keccak256(name)).unwrap()
}

#[test]
fn a_signed_log_holds_for_what_was_trained_only() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/openledger-tiny");
    let settings = TrainSettings {
        lora: LoraConfig { rank: 1, alpha: 1.0, ..LoraConfig::default() },
        steps: 5,
        batch: 3,
        max_tokens: 24,
        held_out_every: 4,
        ..TrainSettings::default()
    };
    let (out, mut datanet) = (tempfile::tempdir().unwrap(), datanet());
    let dir = out.path();
    let report = train(&base, &datanet, dir, &settings, &mut |_| {}).unwrap();
    assert_eq!((report.log.rows.len(), report.log.steps.len()), (6, 5));
    let key = signer("trainer");
    SignedLog::sign(report.log, &key).unwrap().save(dir).unwrap();
    let signed = SignedLog::load(dir).unwrap();
    let datanets = [datanet.clone()];
    let verify = |signed: &SignedLog| signed.verify(dir, &base, &datanets, key.address());
    verify(&signed).unwrap();

    // Whatever is changed, the signature is of something else.
    let changes: [fn(&mut TrainingLog); 7] = [
        |log| log.base[0] ^= 1,
        |log| log.adapter[0] ^= 1,
        |log| log.datanets[0].version += 1,
        |log| log.configuration.push(' '),
        |log| log.seed += 1,
        |log| log.rows[0].hash[0] ^= 1,
        |log| log.steps[2].swap(0, 1),
    ];
    for change in changes {
        let mut other = signed.clone();
        change(&mut other.log);
        assert!(verify(&other).unwrap_err().to_string().contains("signer"));
        // Signed again, it still is not what was trained on; only a blank in the configuration
        // says the same.
        let again = SignedLog::sign(other.log, &key).unwrap();
        let same = again.log.configuration.ends_with(' ');
        assert_eq!(verify(&again).is_ok(), same, "{:?}", verify(&again));
    }
    let other = SignedLog::sign(signed.log.clone(), &signer("another")).unwrap();
    assert!(verify(&other).is_err());
    datanet.rows[0].row_hash = B256::ZERO;
    assert!(signed.verify(dir, &base, &[datanet], key.address()).is_err());
    assert!(signed.verify(dir, &base, &[], key.address()).is_err());
    let weights = dir.join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert!(verify(&signed).unwrap_err().to_string().contains("adapter"));
}
