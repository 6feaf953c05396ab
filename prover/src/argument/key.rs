use ark_bn254::{Fr, G1Affine, G2Affine};
use sha3::{Digest, Keccak256};

use super::transcript::{integer, point};
use crate::{
    Error, Polynomial, Result, Srs,
    evm::{self, Word},
};

/// Limbs of a payout, `L = ceil(64 / log2 M)`: as many digits of base `M` as 64 bits need.
///
/// # Errors
/// [`Error::ArgumentPageSize`] unless `page_size` is a power of two from 2^4 to 2^16.
pub const fn limbs_per_payout(page_size: u32) -> Result<usize> {
    if page_size.is_power_of_two() && page_size >= 1 << 4 && page_size <= 1 << 16 {
        Ok(64_usize.div_ceil(page_size.ilog2() as usize))
    } else {
        Err(Error::ArgumentPageSize { given: page_size })
    }
}

/// What a verifier is made with. PayoutVerifier is deployed with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    page_size: u32,
    limbs: usize,
    identity: G1Affine,
    tau_g2: G2Affine,
}

impl VerifierKey {
    /// Commits to the identity column of pages of `page_size` earners.
    ///
    /// # Errors
    /// [`Error::ArgumentPageSize`] unless `page_size` is a power of two from 2^4 to 2^16,
    /// [`Error::TooManyCoefficients`] if the setup has fewer powers.
    pub fn new(srs: &Srs, page_size: u32) -> Result<Self> {
        let limbs = limbs_per_payout(page_size)?;
        let identity = srs.commit(identity_column(page_size)?.coefficients())?;
        Ok(Self { page_size, limbs, identity, tau_g2: srs.tau_g2() })
    }

    /// A key whose identity column is known, as a deployed PayoutVerifier holds it. Warning: with a
    /// wrong one false proofs hold.
    ///
    /// # Errors
    /// [`Error::ArgumentPageSize`] unless `page_size` is a power of two from 2^4 to 2^16.
    pub fn from_parts(page_size: u32, identity: G1Affine, tau_g2: G2Affine) -> Result<Self> {
        Ok(Self { page_size, limbs: limbs_per_payout(page_size)?, identity, tau_g2 })
    }

    /// Earners of a page, `M`.
    #[must_use]
    pub const fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Limbs of a payout, `L`.
    #[must_use]
    pub const fn limbs(&self) -> usize {
        self.limbs
    }

    /// Commitment to the column that holds `k` at `v^k`.
    pub const fn identity(&self) -> G1Affine {
        self.identity
    }

    /// `tau G2`.
    pub const fn tau_g2(&self) -> G2Affine {
        self.tau_g2
    }

    /// keccak256 of tau G2, page size and identity column.
    pub(super) fn hash(&self) -> Word {
        let evm::G2 { x1, x0, y1, y0 } = self.tau_g2.into();
        let [x, y] = point(self.identity);
        let words = [x1, x0, y1, y0, integer(self.page_size.into()), x, y];
        Keccak256::digest(words.as_flattened()).into()
    }
}

/// `I`, with `I(v^k) = k`.
pub(super) fn identity_column(page_size: u32) -> Result<Polynomial> {
    Polynomial::interpolate((0..page_size).map(Fr::from).collect())
}
