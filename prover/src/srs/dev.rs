use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, ScalarMul};
use ark_ff::{One, PrimeField};
use sha3::{Digest, Keccak256};

use super::{Bases, Srs, check_size};
use crate::{Error, Result};

/// Ethereum and OpenLedger: whoever knows the secret could open commitments to any value.
const MAIN_CHAINS: [u64; 2] = [1, 1612];

impl Srs {
    /// A setup for development, whose secret anybody can derive from `seed`.
    ///
    /// # Errors
    /// [`Error::KnownSecret`] on chains 1 and 1612, [`Error::SetupSize`] unless `size` is from 2
    /// to 2^19.
    pub fn dev(chain_id: u64, seed: &[u8], size: usize) -> Result<Self> {
        check_chain(chain_id)?;
        check_size(size)?;
        let tau = secret(seed);
        let powers = std::iter::successors(Some(Fr::one()), |power| Some(tau * power));
        let powers: Vec<_> = powers.take(size).collect();
        let g1 = G1Projective::from(G1Affine::generator()).batch_mul(&powers);
        Ok(Self { g1, tau_g2: tau_g2(seed), secret: Some(tau), bases: Bases::default() })
    }
}

pub(super) fn check_chain(chain_id: u64) -> Result<()> {
    if MAIN_CHAINS.contains(&chain_id) {
        return Err(Error::KnownSecret { chain_id });
    }
    Ok(())
}

pub(super) fn tau_g2(seed: &[u8]) -> G2Affine {
    (G2Affine::generator() * secret(seed)).into_affine()
}

/// 64 bytes of hash reduced by the field's order, so that every secret is as likely.
pub(super) fn secret(seed: &[u8]) -> Fr {
    let half = |half: u8| {
        let hasher = Keccak256::new().chain_update(b"OpenLedger development setup v1");
        hasher.chain_update([half]).chain_update(seed).finalize()
    };
    Fr::from_be_bytes_mod_order(&[half(0), half(1)].concat())
}
