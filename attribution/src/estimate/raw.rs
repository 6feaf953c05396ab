//! The rows that a build goes over: in memory, or on disk.

use std::ops::Range;

use super::{
    sketches::Sketches,
    store::{SketchStore, Spill},
};
use crate::{Result, settle::Hash};

/// Raw sketches of the rows in order, which one pass may replace by whitened ones.
#[derive(Debug)]
pub(super) enum Raw {
    Memory(Sketches),
    Stored(Stored),
}

/// Rows of a store: each is the place of its sketch.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) store: SketchStore,
    places: Vec<u32>,
    /// What a pass writes, and what the next one reads.
    written: Option<Spill>,
    replaced: Option<Spill>,
}

impl Raw {
    pub(super) const fn stored(store: SketchStore) -> Self {
        Self::Stored(Stored { store, places: Vec::new(), written: None, replaced: None })
    }

    pub(super) const fn dim(&self) -> usize {
        match self {
            Self::Memory(sketches) => sketches.dim(),
            Self::Stored(stored) => stored.store.dim(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Memory(sketches) => sketches.len(),
            Self::Stored(stored) => stored.places.len(),
        }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Hash, sketch: &[f32]) -> Result<()> {
        match self {
            Self::Memory(sketches) => sketches.push(sketch),
            Self::Stored(stored) => {
                stored.store.add(row, sketch)?;
                stored.places.extend(stored.store.place(&row));
                Ok(())
            }
        }
    }

    /// Adds a row whose sketch the store has; `false` if there is none.
    pub(super) fn push_known(&mut self, row: &Hash) -> bool {
        let Self::Stored(stored) = self else { return false };
        let place = stored.store.place(row);
        stored.places.extend(place);
        place.is_some()
    }

    /// Rows `range`, `(rows, d)`, in place of what `out` holds.
    pub(super) fn read(&self, range: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        match self {
            Self::Memory(sketches) => range.for_each(|i| out.extend_from_slice(sketches.row(i))),
            Self::Stored(Stored { replaced: Some(spill), .. }) => {
                spill.read(range.start, range.len(), out)?;
            }
            Self::Stored(stored) => {
                stored.places[range].iter().try_for_each(|p| stored.store.read(*p, out))?;
            }
        }
        Ok(())
    }

    /// Replaces the rows from `first` on, once [`Self::replaced`] is called; rows in memory at once.
    pub(super) fn write(&mut self, first: usize, rows: &[f32]) -> Result<()> {
        match self {
            Self::Memory(sketches) => {
                let at = first * sketches.dim();
                sketches.values_mut()[at..at + rows.len()].copy_from_slice(rows);
                Ok(())
            }
            Self::Stored(stored) => {
                if stored.written.is_none() {
                    let (path, dim) = (stored.store.path(), stored.store.dim());
                    stored.written = Some(Spill::beside(path, dim)?);
                }
                stored.written.as_ref().map_or(Ok(()), |spill| spill.write(first, rows))
            }
        }
    }

    /// All rows have been written: from here on they are read.
    pub(super) fn replaced(&mut self) {
        if let Self::Stored(stored) = self {
            stored.replaced = stored.written.take();
        }
    }

    /// Calls `f` with the rows `step` at a time and the number of the first of them.
    pub(super) fn blocks(
        &self,
        step: usize,
        mut f: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut block = Vec::new();
        for first in (0..self.len()).step_by(step) {
            self.read(first..self.len().min(first + step), &mut block)?;
            f(first, &block)?;
        }
        Ok(())
    }
}
