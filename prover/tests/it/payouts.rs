//! The payout argument's vectors, which Solidity reads too.

use attribution::settle::ChannelId;
use prover::{
    G1Affine,
    argument::{ChannelDraw, PayoutProof, PayoutStatement, VerifierKey},
    evm::{G1, Word},
};
use serde_json::Value;

use crate::vectors::{bytes, g1, g2, load, number};

fn words(value: &Value) -> Vec<Word> {
    value.as_array().unwrap().iter().map(bytes).collect()
}

fn points(value: &Value) -> Vec<G1Affine> {
    let point = |words: &[Word]| G1 { x: words[0], y: words[1] }.try_into().unwrap();
    words(value).chunks_exact(2).map(point).collect()
}

fn integer(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn statement(vector: &Value) -> PayoutStatement {
    let channels = words(&vector["channels"]).into_iter().map(ChannelId);
    let amounts = vector["amounts"].as_array().unwrap().iter().map(number);
    let pages = vector["pages"].as_array().unwrap().iter().map(integer);
    PayoutStatement {
        chain_id: vector["chain_id"].as_u64().unwrap(),
        settlement: bytes(&vector["settlement"]),
        operator: bytes(&vector["operator"]),
        batch: bytes(&vector["batch"]),
        certificate_hash: bytes(&vector["certificate_hash"]),
        rows: integer(&vector["rows"]),
        total: number(&vector["total"]),
        draws: channels
            .zip(amounts)
            .map(|(channel, amount)| ChannelDraw { channel, amount })
            .collect(),
        ledger: g1(&vector["ledger"]),
        witnesses: points(&vector["witnesses"]),
        pages: pages.zip(points(&vector["payouts"])).collect(),
    }
}

fn check(file: &str) -> [usize; 2] {
    let vectors = load(file);
    let keys: Vec<_> = vectors["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let (size, identity) = (integer(&key["page_size"]), g1(&key["identity"]));
            VerifierKey::from_parts(size, identity, g2(&vectors["tau_g2"])).unwrap()
        })
        .collect();
    ["valid", "invalid"].map(|list| {
        let entries = vectors[list].as_array().unwrap();
        for vector in entries {
            let size = integer(&vector["page_size"]);
            let key = keys.iter().find(|key| key.page_size() == size).unwrap();
            let of =
                vector.get("proof_of").map_or(vector, |i| &vectors["valid"][integer(i) as usize]);
            let pages = of["pages"].as_array().unwrap().len();
            let proof = PayoutProof::from_words(&words(&of["proof"]), pages, key.limbs()).unwrap();
            let accepted = key.verify(&statement(vector), &proof);
            assert_eq!(accepted, list == "valid", "{}", vector["name"]);
        }
        entries.len()
    })
}

#[test]
fn proofs_hold_for_their_statements_only() {
    let [valid, invalid] = check("payout_argument.json");
    assert!(valid >= 6 && invalid >= 58, "{valid} valid, {invalid} invalid");
}

#[test]
fn proofs_of_dishonest_provers_do_not_hold() {
    let [valid, invalid] = check("payout_argument_dishonest.json");
    assert!(valid >= 1 && invalid >= 53, "{valid} valid, {invalid} invalid");
}
