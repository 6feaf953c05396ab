use ark_bn254::{Fr, G1Affine};
use ark_ff::PrimeField;
use sha3::{Digest, Keccak256};

use crate::evm::{self, Word};

/// Fiat-Shamir transcript over keccak256 (`SPEC.md`, section 6).
#[derive(Clone, Debug, Default)]
pub(super) struct Transcript {
    state: Word,
}

impl Transcript {
    /// Takes words in; there is at least one.
    pub(super) fn absorb(&mut self, words: &[Word]) {
        debug_assert!(!words.is_empty(), "absorbing nothing is squeezing");
        let hasher = Keccak256::new().chain_update(self.state);
        self.state = hasher.chain_update(words.as_flattened()).finalize().into();
    }

    /// A challenge that depends on everything absorbed.
    pub(super) fn squeeze(&mut self) -> Fr {
        self.state = Keccak256::digest(self.state).into();
        Fr::from_be_bytes_mod_order(&self.state)
    }
}

/// Coordinates of a point.
pub(super) fn point(point: G1Affine) -> [Word; 2] {
    let evm::G1 { x, y } = point.into();
    [x, y]
}

/// An integer as a word.
pub(super) fn integer(value: u64) -> Word {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

/// Bytes at the end of a word, as addresses are padded.
pub(super) fn padded(bytes: [u8; 20]) -> Word {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&bytes);
    word
}
