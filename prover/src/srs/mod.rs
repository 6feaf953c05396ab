mod bases;
mod cache;
mod dev;
mod eigenda;

use std::fmt;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, pairing::Pairing};
use bases::Bases;
pub(crate) use bases::Basis;
pub use eigenda::EIGENDA_TAU_G2;

use crate::{Error, Result, evm, kzg::coefficient, msm::msm};

/// The most powers that a setup can have, 2^19: EigenDA's 16 MiB blobs.
pub(crate) const MAX_POWERS: usize = 1 << 19;

/// A structured reference string: `tau^i G1` for `i` below its size, and `tau G2`.
///
/// Made by [`Srs::dev`] or [`Srs::dev_cached`], with a secret that is known, or read by
/// [`Srs::eigenda`].
#[derive(Clone)]
pub struct Srs {
    g1: Vec<G1Affine>,
    tau_g2: G2Affine,
    /// Of a setup for development.
    secret: Option<Fr>,
    bases: Bases,
}

/// Setups are the same if their powers are, wherever they come from.
impl PartialEq for Srs {
    fn eq(&self, other: &Self) -> bool {
        self.g1 == other.g1 && self.tau_g2 == other.tau_g2
    }
}

impl Eq for Srs {}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { g1, tau_g2, bases, .. } = self;
        let mut debug = f.debug_struct("Srs");
        debug.field("powers", &g1.len()).field("tau_g2", tau_g2).field("bases", bases);
        debug.finish_non_exhaustive()
    }
}

impl Srs {
    /// `tau^i G1`, from `i = 0`.
    pub fn g1(&self) -> &[G1Affine] {
        &self.g1
    }

    /// `tau G2`.
    pub const fn tau_g2(&self) -> G2Affine {
        self.tau_g2
    }

    /// `tau G2` as contracts take it.
    #[must_use]
    pub fn tau_g2_evm(&self) -> evm::G2 {
        self.tau_g2.into()
    }

    /// Commitment to the polynomial with these coefficients, lowest first.
    ///
    /// # Errors
    /// [`Error::TooManyCoefficients`] if there are more than powers.
    pub fn commit(&self, coefficients: &[Fr]) -> Result<G1Affine> {
        let max = self.g1.len();
        let powers = self
            .g1
            .get(..coefficients.len())
            .ok_or(Error::TooManyCoefficients { given: coefficients.len(), max })?;
        Ok(msm(powers, coefficients).into_affine())
    }

    /// Commitment to the sum of points of a basis times scalars, given by place.
    ///
    /// # Errors
    /// [`Error::DomainSize`] unless `size` is a power of two, [`Error::TooManyCoefficients`] if the
    /// setup has fewer powers.
    pub(crate) fn commit_sparse(
        &self,
        basis: Basis,
        size: usize,
        places: &[(usize, Fr)],
    ) -> Result<G1Affine> {
        let table = self.basis(basis, size)?;
        let (points, scalars): (Vec<_>, Vec<_>) =
            places.iter().map(|&(place, scalar)| (table[place], scalar)).unzip();
        Ok(msm(&points, &scalars).into_affine())
    }

    /// Whether these are the powers of one secret: each power times `tau` is the next, checked for
    /// a random combination, and the first is the generator.
    fn is_consistent(&self, seed: &[u8; 32]) -> bool {
        let pairs = self.g1.len() - 1;
        let factors: Vec<_> = (0..pairs as u64).map(|i| coefficient(seed, i)).collect();
        let sum = |powers: &[G1Affine]| msm(powers, &factors).into_affine();
        let (low, high) = (sum(&self.g1[..pairs]), sum(&self.g1[1..]));
        self.g1[0] == G1Affine::generator()
            && Bn254::pairing(low, self.tau_g2) == Bn254::pairing(high, G2Affine::generator())
    }
}

fn check_size(given: usize) -> Result<()> {
    if (2..=MAX_POWERS).contains(&given) {
        Ok(())
    } else {
        Err(Error::SetupSize { given, max: MAX_POWERS })
    }
}
