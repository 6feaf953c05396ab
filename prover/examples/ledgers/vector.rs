//! Statements and proofs as the vector files hold them.

use prover::{
    argument::{PayoutProof, PayoutStatement, VerifierKey},
    evm::{G1, G2, Word},
};
use serde_json::{Value, json};

/// A statement without a proof.
pub(crate) fn statement_vector(
    key: &VerifierKey,
    statement: &PayoutStatement,
    name: &str,
) -> Value {
    json!({
        "name": name,
        "page_size": key.page_size(),
        "chain_id": statement.chain_id,
        "settlement": hex(&statement.settlement),
        "operator": hex(&statement.operator),
        "batch": hex(&statement.batch),
        "certificate_hash": hex(&statement.certificate_hash),
        "rows": statement.rows,
        "total": statement.total.to_string(),
        "channels": statement.draws.iter().map(|draw| hex(&draw.channel.0)).collect::<Vec<_>>(),
        "amounts": statement.draws.iter().map(|d| d.amount.to_string()).collect::<Vec<_>>(),
        "ledger": g1(statement.ledger.into()),
        "witnesses": words(statement.witnesses.iter().copied()),
        "pages": statement.pages.iter().map(|(page, _)| page).collect::<Vec<_>>(),
        "payouts": words(statement.pages.iter().map(|&(_, payouts)| payouts)),
    })
}

/// The statement with a proof.
pub(crate) fn with_proof(mut vector: Value, proof: &PayoutProof) -> Value {
    vector["proof"] = proof.to_words().iter().map(|word| hex(word)).collect();
    vector
}

fn words(points: impl Iterator<Item = prover::G1Affine>) -> Vec<String> {
    let coordinates = |point: prover::G1Affine| {
        let G1 { x, y } = point.into();
        [hex(&x), hex(&y)]
    };
    points.flat_map(coordinates).collect()
}

/// A point of G1.
pub(crate) fn g1(point: G1) -> Value {
    json!({ "x": hex(&point.x), "y": hex(&point.y) })
}

/// A point of G2.
pub(crate) fn g2(point: G2) -> Value {
    let [x1, x0, y1, y0]: [String; 4] =
        [point.x1, point.x0, point.y1, point.y0].map(|word: Word| hex(&word));
    json!({ "x1": x1, "x0": x0, "y1": y1, "y0": y0 })
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
