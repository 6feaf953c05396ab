//! Rows of raw or whitened sketches in memory.

use crate::{Error, Result};

/// A dense `(rows, d)` f32 matrix, row-major: one sketch per row.
#[derive(Clone, Debug)]
pub struct Sketches {
    dim: usize,
    values: Vec<f32>,
}

impl Sketches {
    /// No rows yet, each of `dim` numbers.
    #[must_use]
    pub const fn new(dim: usize) -> Self {
        Self { dim, values: Vec::new() }
    }

    /// Adds one sketch as the last row.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has not `d` numbers, [`Error::NotFinite`] for NaN or infinity.
    pub fn push(&mut self, sketch: &[f32]) -> Result<()> {
        if sketch.len() != self.dim {
            return Err(Error::shape("sketch", self.dim, sketch.len()));
        }
        if !sketch.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite("sketch"));
        }
        self.values.extend_from_slice(sketch);
        Ok(())
    }

    /// Numbers per row, `d`.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.values.len().checked_div(self.dim) {
            Some(rows) => rows,
            None => 0,
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `i`, `(d,)`. Panics if there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..][..self.dim]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim.max(1))
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
