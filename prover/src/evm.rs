//! Points as the EVM's precompiles and our contracts take them.

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};

use crate::{Error, Result};

/// A 32-byte big-endian word.
pub type Word = [u8; 32];

/// Affine point of G1; `(0, 0)` is the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct G1 {
    /// First coordinate.
    pub x: Word,
    /// Second coordinate.
    pub y: Word,
}

/// Affine point of G2 in the precompile's order, imaginary parts first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct G2 {
    /// Imaginary part of the first coordinate.
    pub x1: Word,
    /// Real part of the first coordinate.
    pub x0: Word,
    /// Imaginary part of the second coordinate.
    pub y1: Word,
    /// Real part of the second coordinate.
    pub y0: Word,
}

impl From<G1Affine> for G1 {
    fn from(point: G1Affine) -> Self {
        point.xy().map_or_else(Self::default, |(x, y)| Self { x: word(x), y: word(y) })
    }
}

impl From<G2Affine> for G2 {
    fn from(point: G2Affine) -> Self {
        let coordinates = |(x, y): (Fq2, Fq2)| Self {
            x1: word(x.c1),
            x0: word(x.c0),
            y1: word(y.c1),
            y0: word(y.c0),
        };
        point.xy().map_or_else(Self::default, coordinates)
    }
}

impl TryFrom<G1> for G1Affine {
    type Error = Error;

    /// # Errors
    /// [`Error::InvalidPoint`] unless the point is on the curve; G1 is the whole curve.
    fn try_from(words: G1) -> Result<Self> {
        if words == G1::default() {
            return Ok(Self::identity());
        }
        let point = Self::new_unchecked(coordinate(&words.x)?, coordinate(&words.y)?);
        if point.is_on_curve() { Ok(point) } else { Err(Error::InvalidPoint) }
    }
}

impl TryFrom<G2> for G2Affine {
    type Error = Error;

    /// # Errors
    /// [`Error::InvalidPoint`] unless the point is on the curve and in the prime subgroup.
    fn try_from(words: G2) -> Result<Self> {
        if words == G2::default() {
            return Ok(Self::identity());
        }
        let x = Fq2::new(coordinate(&words.x0)?, coordinate(&words.x1)?);
        let y = Fq2::new(coordinate(&words.y0)?, coordinate(&words.y1)?);
        let point = Self::new_unchecked(x, y);
        let valid = point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve();
        if valid { Ok(point) } else { Err(Error::InvalidPoint) }
    }
}

/// A field element as a big-endian word.
#[must_use]
pub fn word(element: impl PrimeField) -> Word {
    let bytes = element.into_bigint().to_bytes_be();
    bytes.try_into().expect("both fields of BN254 have 32 bytes")
}

/// A base field element that is below the modulus.
pub(crate) fn coordinate(word: &Word) -> Result<Fq> {
    let element = Fq::from_be_bytes_mod_order(word);
    if self::word(element) == *word { Ok(element) } else { Err(Error::InvalidPoint) }
}
