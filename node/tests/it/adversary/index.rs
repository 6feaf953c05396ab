//! Influence indexes written by hand.

use alloy::primitives::{B256, keccak256};
use attribution::{
    estimate::PublishedIndex,
    settle::{EarnerIndex, audit::Contributor, payload_header},
};
use node::{
    chain::bindings::{G1Point, IInfluenceIndexes},
    da::SharedAvailability,
};
use prover::BlobCommitment;

use super::posting::point;
use crate::anvil;

pub(super) const DIM: usize = 16;
/// Earner of the first contributor; the others follow.
pub(super) const FIRST: u32 = 4;
/// In the index of model 1 and not in that of model 2.
pub(super) const MISSING: usize = 3;
/// Symbols of an index's blob.
const SYMBOLS: usize = 64;
/// Accepted rows, and what scales `T_c = scale (k - 5)`: three that score, one with rows and without
/// sums, one that scores too little for a credit, one that scores the other way, one without rows.
const CONTRIBUTORS: [(u32, i32); 7] = [(3, 7), (2, 5), (4, 9), (6, 0), (2, 2), (1, -5), (0, 0)];

/// Contributors of a model with their sums, `(d,)`.
pub(super) fn contributors(model: u8) -> Vec<(Contributor, Vec<i32>)> {
    listed(model)
        .map(|(earner, accepted_rows, scale)| {
            let sums = (0..16).map(|k| scale * (k - 5)).collect();
            (Contributor { earner, accepted_rows }, sums)
        })
        .collect()
}

fn listed(model: u8) -> impl Iterator<Item = (EarnerIndex, u32, i32)> {
    let all = (FIRST..).zip(CONTRIBUTORS);
    let of_model = all.filter(move |&(earner, _)| model != 2 || earner != FIRST + MISSING as u32);
    of_model.map(|(earner, (rows, scale))| (EarnerIndex(earner), rows, scale))
}

/// An index as bytes.
pub(super) struct Published {
    pub(super) root: B256,
    contributors: usize,
    bytes: Vec<u8>,
}

impl Published {
    pub(super) fn new(model: u8) -> Self {
        let count = listed(model).count();
        let rows: u32 = listed(model).map(|(_, rows, _)| rows).sum();
        let mut bytes = b"OLIXPUB\0\0\x01".to_vec();
        for word in [DIM as u32, count as u32, rows] {
            bytes.extend(word.to_be_bytes());
        }
        for (earner, rows, _) in listed(model) {
            bytes.extend(earner.0.to_be_bytes());
            bytes.extend(rows.to_be_bytes());
        }
        let mut number = 0_u64;
        for (_, rows, scale) in listed(model) {
            for row in 0..rows {
                // The last row makes up for what the others leave.
                let rest = scale - i32::try_from(rows).unwrap() + 1;
                let factor = if row + 1 == rows { rest } else { 1 };
                let hash = keccak256(number.to_be_bytes());
                bytes.push(0);
                bytes.extend(number.to_be_bytes());
                bytes.extend([hash.0, hash.0].as_flattened());
                let sketch = (0..16).map(|k| i8::try_from(factor * (k - 5)).unwrap());
                bytes.extend(sketch.map(i8::cast_unsigned));
                number += 1;
            }
        }
        let root = B256::new(PublishedIndex::from_bytes(&bytes).unwrap().root());
        Self { root, contributors: count, bytes }
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = payload_header(SYMBOLS).to_vec();
        for piece in self.bytes.chunks(31) {
            blob.push(0);
            blob.extend(piece);
            blob.resize(blob.len() + 31 - piece.len(), 0);
        }
        assert!(blob.len() <= SYMBOLS * 32);
        blob.resize(SYMBOLS * 32, 0);
        blob
    }
}

/// Puts an index into the layer; the call that publishes it.
pub(super) async fn publish(
    model: B256,
    number: u8,
    layer: &SharedAvailability,
    time: u64,
) -> IInfluenceIndexes::publishCall {
    let published = Published::new(number);
    let blob = published.blob();
    let commitment = BlobCommitment::new(&anvil::srs(), blob.clone()).unwrap().commitment();
    let commitment: G1Point = point(commitment);
    let certificate = layer.put(commitment.clone(), blob, time).await.unwrap();
    IInfluenceIndexes::publishCall {
        model,
        contributors: u32::try_from(published.contributors).unwrap(),
        dim: DIM as u32,
        blobs: vec![commitment],
        symbols: SYMBOLS as u32,
        certificates: vec![certificate.into()],
    }
}
