//! Vouchers against vectors that another implementation made.

use std::path::Path;

use alloy::{
    primitives::{Address, B256, Bytes, keccak256},
    sol_types::SolValue,
};
use node::{
    recorder::Refusal,
    voucher::{self, Call, SignedVoucher, Voucher},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    chain_id: String,
    payment_channels: Address,
    payer: Address,
    operator: Address,
    salt: B256,
    channel_id: B256,
    ceiling: String,
    call: VectorCall,
    digest: B256,
    signature: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VectorCall {
    model_id: B256,
    price_version: String,
    prompt_hash: B256,
    seed: String,
    max_tokens: String,
    time: String,
}

impl Vector {
    fn signed(&self) -> SignedVoucher {
        let VectorCall { model_id, price_version, prompt_hash, seed, max_tokens, time } =
            &self.call;
        let call = Call {
            modelId: *model_id,
            priceVersion: price_version.parse().unwrap(),
            promptHash: *prompt_hash,
            seed: seed.parse().unwrap(),
            maxTokens: max_tokens.parse().unwrap(),
            time: time.parse().unwrap(),
        };
        let ceiling = self.ceiling.parse().unwrap();
        let voucher = Voucher { channelId: self.channel_id, ceiling, call };
        SignedVoucher { voucher, signature: self.signature.to_vec() }
    }

    fn chain_id(&self) -> u64 {
        self.chain_id.parse().unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/voucher_digest.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn digests_and_signers_are_those_of_the_vectors() {
    for vector in vectors() {
        let domain = voucher::domain(vector.chain_id(), vector.payment_channels);
        let signed = vector.signed();
        assert_eq!(voucher::digest(&signed.voucher, &domain), vector.digest, "{}", vector.name);
        assert_eq!(signed.signer(&domain).unwrap(), vector.payer, "{}", vector.name);
    }
}

#[test]
fn channel_ids_are_those_of_the_vectors() {
    for vector in vectors() {
        let chain = alloy::primitives::U256::from(vector.chain_id());
        let parts = (chain, vector.payment_channels, vector.payer, vector.operator, vector.salt);
        assert_eq!(keccak256(parts.abi_encode()), vector.channel_id, "{}", vector.name);
    }
}

#[test]
fn signing_another_digest_is_another_signer() {
    let vector = &vectors()[0];
    let other = voucher::domain(vector.chain_id() + 1, vector.payment_channels);
    assert_ne!(vector.signed().signer(&other).ok(), Some(vector.payer));
}

#[test]
fn malformed_signatures_are_refused() {
    let vector = &vectors()[0];
    let domain = voucher::domain(vector.chain_id(), vector.payment_channels);
    let good = vector.signed();
    let refused = |signature: Vec<u8>| {
        let signed = SignedVoucher { signature, ..good.clone() };
        matches!(signed.signer(&domain), Err(Refusal::Signature { .. }))
    };
    assert!(refused(Vec::new()));
    assert!(refused(good.signature[..64].to_vec()));
    assert!(refused([good.signature.as_slice(), &[0]].concat()));
    assert!(refused(vec![0; 65]));
    assert!(refused([&[0xff; 64][..], &[27]].concat()));
    // Contracts take no other name for the same parity.
    let parity = good.signature[64] - 27;
    assert!(refused([&good.signature[..64], &[parity]].concat()));
    assert!(refused([&good.signature[..64], &[35 + parity]].concat()));
}

#[test]
fn the_other_form_of_a_signature_is_refused() {
    let vector = &vectors()[0];
    let domain = voucher::domain(vector.chain_id(), vector.payment_channels);
    let good = vector.signed();
    let signature = alloy::primitives::Signature::from_raw(&good.signature).unwrap();
    let order = alloy::primitives::uint!(
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256
    );
    let high =
        alloy::primitives::Signature::new(signature.r(), order - signature.s(), !signature.v());
    let signed = SignedVoucher { signature: high.as_bytes().to_vec(), ..good };
    assert!(matches!(signed.signer(&domain), Err(Refusal::Signature { .. })));
}

#[test]
fn json_keeps_every_field_and_takes_numbers() {
    for vector in vectors() {
        let signed = vector.signed();
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedVoucher>(&json).unwrap(), signed);
    }
    let signed = vectors()[0].signed();
    let mut json = serde_json::to_value(&signed).unwrap();
    json["voucher"]["ceiling"] = signed.voucher.ceiling.into();
    assert_eq!(serde_json::from_value::<SignedVoucher>(json.clone()).unwrap(), signed);
    for bad in ["-1", "+1", "1e3", "", "18446744073709551616"] {
        json["voucher"]["ceiling"] = bad.into();
        assert!(serde_json::from_value::<SignedVoucher>(json.clone()).is_err(), "{bad}");
    }
    json["voucher"]["ceiling"] = "1".into();
    json["voucher"]["extra"] = 1.into();
    assert!(serde_json::from_value::<SignedVoucher>(json).is_err());
}
