//! The vectors of a library: int8 under one public scale.

use borsh::{BorshDeserialize, BorshSerialize};

use super::MAX_PASSAGES;
use crate::{Error, Result, settle::Hash};

/// Numbers of a vector, at most: sums of products of two stay below 2^31.
pub const MAX_DIMENSION: usize = 1 << 16;

/// What a library's vectors are. Only vectors of one space can be compared.
///
/// A unit vector `x` is held as `clip(round(scale x), -127, 127)`, so a dot product of two is
/// `scale^2` times their cosine, but for rounding. The scale is public and the same for all rows,
/// because what rows are paid by must be the same integer wherever it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VectorSpace {
    /// Hash that names the encoder: its weights and how they are used.
    pub encoder: Hash,
    /// Numbers of a vector, from 1 to [`MAX_DIMENSION`].
    pub dimension: u32,
    /// What unit vectors are multiplied by, from 1.
    pub scale: u32,
}

impl VectorSpace {
    /// # Errors
    /// [`Error::Setting`] if the dimension or scale is outside its bounds.
    pub fn check(&self) -> Result<()> {
        if self.dimension == 0 || self.dimension as usize > MAX_DIMENSION {
            return Err(Error::setting("a vector must have 1 to 2^16 numbers", self.dimension));
        }
        if self.scale == 0 || self.scale > 1 << 12 {
            return Err(Error::setting("the scale of vectors must be 1 to 2^12", self.scale));
        }
        Ok(())
    }

    /// The dot product of two vectors whose cosine is `bps` ten-thousandths.
    #[must_use]
    pub const fn dot_of_cosine(&self, bps: i32) -> i64 {
        bps as i64 * self.scale as i64 * self.scale as i64 / 10_000
    }

    pub(crate) fn fits(&self, vector: &[i8]) -> Result<()> {
        if vector.len() != self.dimension as usize {
            return Err(Error::shape("a vector's length", self.dimension, vector.len()));
        }
        Ok(())
    }

    /// Vectors of a row: of its text, then of its passages.
    pub(crate) fn fits_row(&self, vectors: &[i8]) -> Result<()> {
        let dimension = self.dimension as usize;
        let most = dimension * (1 + MAX_PASSAGES);
        if vectors.is_empty() || !vectors.len().is_multiple_of(dimension) || vectors.len() > most {
            let expected = format!("1 to {} times {dimension}", 1 + MAX_PASSAGES);
            return Err(Error::shape("numbers of a row's vectors", expected, vectors.len()));
        }
        Ok(())
    }
}

/// Exact integer dot product of two vectors of one [`VectorSpace`].
#[must_use]
pub fn dot(a: &[i8], b: &[i8]) -> i32 {
    debug_assert_eq!(a.len(), b.len(), "vectors of one space");
    a.iter().zip(b).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
}
