//! Dense per-row gradients of an adapter.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    Error, Result,
    estimate::{
        kernel::{dot, dot_wide},
        projector::{Projector, ProjectorConfig, SiteGradient, SiteShape, basis_rows},
    },
    settle::keccak,
};

/// Where an adapter's tensors are among the `p` numbers of a gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Range<usize>>,
    sites: Vec<SiteShape>,
}

impl Layout {
    /// Tensors of these lengths, one after the other.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none or one is empty.
    pub fn tensors(lengths: &[usize]) -> Result<Self> {
        if lengths.is_empty() || lengths.contains(&0) {
            let rule = "a gradient must have tensors, none of them empty";
            return Err(Error::setting(rule, format_args!("{lengths:?}")));
        }
        let mut end = 0;
        let tensors = lengths.iter().map(|length| {
            let start = end;
            end += length;
            start..end
        });
        Ok(Self { tensors: tensors.collect(), sites: Vec::new() })
    }

    /// LoRA sites: of each, `A: (r, d_in)` and then `B: (d_out, r)`, both row-major.
    ///
    /// # Errors
    /// As [`Self::tensors`].
    pub fn lora(sites: &[SiteShape]) -> Result<Self> {
        let lengths = sites.iter().flat_map(|s| [s.rank * s.d_in, s.d_out * s.rank]);
        let layout = Self::tensors(&lengths.collect::<Vec<_>>())?;
        Ok(Self { sites: sites.to_vec(), ..layout })
    }

    /// Numbers of a gradient, `p`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.end)
    }

    /// Whether there is no tensor: never, by construction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each tensor's place, in order.
    #[must_use]
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.tensors
    }

    /// Shapes of the LoRA sites; empty unless made by [`Self::lora`].
    #[must_use]
    pub fn sites(&self) -> &[SiteShape] {
        &self.sites
    }

    /// A gradient, `(p,)`, as its LoRA sites.
    ///
    /// # Errors
    /// [`Error::Setting`] if the layout is not one of LoRA sites, [`Error::Shape`] if `gradient` has
    /// not `p` numbers.
    pub fn split<'a>(&self, gradient: &'a [f32]) -> Result<Vec<SiteGradient<'a>>> {
        if self.sites.is_empty() {
            return Err(Error::setting("a layout must be of LoRA sites to be sketched", "tensors"));
        }
        self.check(gradient)?;
        let pairs = self.tensors.chunks_exact(2).zip(&self.sites);
        let site = |(pair, shape): (&[Range<usize>], &SiteShape)| SiteGradient {
            a: &gradient[pair[0].clone()],
            b: &gradient[pair[1].clone()],
            rank: shape.rank,
            d_in: shape.d_in,
            d_out: shape.d_out,
        };
        Ok(pairs.map(site).collect())
    }

    /// Whether `gradient` has `p` finite numbers.
    pub(super) fn check(&self, gradient: &[f32]) -> Result<()> {
        if gradient.len() != self.len() {
            return Err(Error::shape("gradient", self.len(), gradient.len()));
        }
        if gradient.iter().all(|x| x.is_finite()) {
            Ok(())
        } else {
            Err(Error::NotFinite("gradient"))
        }
    }
}

/// The training rows' gradients of the log-likelihood, `(n, p)` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    layout: Layout,
    values: Vec<f32>,
}

impl Gradients {
    /// Gradients of these values, `(n, p)`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` is not a whole number of rows, at least one;
    /// [`Error::NotFinite`] for NaN or infinity.
    pub fn new(layout: Layout, values: Vec<f32>) -> Result<Self> {
        if values.is_empty() || !values.len().is_multiple_of(layout.len()) {
            let rows = format_args!("rows of {}", layout.len()).to_string();
            return Err(Error::shape("gradients", rows, values.len()));
        }
        if !values.iter().all(|x| x.is_finite()) {
            return Err(Error::NotFinite("gradients"));
        }
        Ok(Self { layout, values })
    }

    /// The projector that an index of these rows learns from them.
    ///
    /// # Errors
    /// Those of [`Projector::learned`], and [`Error::Setting`] if the layout is not one of LoRA sites.
    pub fn projector(&self, config: ProjectorConfig) -> Result<Projector> {
        let hashes = (0..self.len()).map(|place| keccak(&[&place.to_be_bytes()]));
        let sample = basis_rows(&config.seed, hashes).into_iter();
        let sample = sample.map(|place| self.layout.split(self.row(place)));
        Projector::learned(self.layout.sites(), config, sample.collect::<Result<Vec<_>>>()?)
    }

    /// Where the tensors are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Rows, `n`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.layout.len()
    }

    /// Whether there is no row: never, by construction.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Gradient of row `i`, `(p,)`. Panics if there is no such row.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.layout.len()..][..self.layout.len()]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.layout.len())
    }

    /// `q . g_i` over one range of columns, of every row.
    pub(super) fn products(&self, columns: &Range<usize>, q: &[f32]) -> Vec<f64> {
        let rows = self.values.par_chunks_exact(self.layout.len());
        rows.map(|row| dot(&q[columns.clone()], &row[columns.clone()])).collect()
    }

    /// As [`Self::products`] for a vector in f64 of the range's length.
    pub(super) fn wide_products(&self, columns: &Range<usize>, q: &[f64]) -> Vec<f64> {
        let rows = self.values.par_chunks_exact(self.layout.len());
        rows.map(|row| dot_wide(q, &row[columns.clone()])).collect()
    }

    /// `|g_i|^2` over one range of columns, of every row.
    pub(super) fn squares(&self, columns: &Range<usize>) -> Vec<f64> {
        let square = |row: &[f32]| dot(&row[columns.clone()], &row[columns.clone()]);
        self.values.par_chunks_exact(self.layout.len()).map(square).collect()
    }
}

/// Scores as they are given out.
///
/// # Errors
/// [`Error::NotFinite`] if one is not finite as f32.
pub(super) fn finite(scores: impl IntoIterator<Item = f64>) -> Result<Vec<f32>> {
    let scores: Vec<f32> = scores.into_iter().map(|x| x as f32).collect();
    if scores.iter().all(|x| x.is_finite()) { Ok(scores) } else { Err(Error::NotFinite("score")) }
}
