//! From a row's LoRA gradients to a raw sketch of `d` numbers.

use std::{iter::repeat, ops::Range};

use rayon::prelude::*;

mod basis;
mod builder;
mod fit;
mod learn;
mod maps;
mod sides;

pub(crate) use self::basis::Directions;
pub use self::{
    basis::Basis,
    builder::ProjectorBuilder,
    fit::Fit,
    learn::{BASIS_ROWS, BasisBuilder, basis_rows},
};
use self::{
    maps::{Target, stream},
    sides::Sides,
};
use crate::{
    Error, Result,
    settle::{Hash, keccak},
};

/// Smallest and largest sketch dimension `d`. Below 256 a sketch ranks worse than the gradients it
/// came from; the small ones are for models whose gradients have few numbers.
pub const DIM_RANGE: std::ops::RangeInclusive<usize> = 16..=8192;

/// Shape of one LoRA site: `A: (rank, d_in)`, `B: (d_out, rank)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteShape {
    /// Rank `r` of the adapter at this site.
    pub rank: usize,
    /// Width of the site's input.
    pub d_in: usize,
    /// Width of the site's output.
    pub d_out: usize,
}

/// Gradient of one row's objective at one LoRA site, summed over the row's tokens.
///
/// Rows and queries must be gradients of the same objective with the same sign (both of the
/// log-likelihood, or both of the loss); with unlike signs every score is negated.
#[derive(Clone, Copy, Debug)]
pub struct SiteGradient<'a> {
    /// Gradient of `A`, `(rank, d_in)` row-major.
    pub a: &'a [f32],
    /// Gradient of `B`, `(d_out, rank)` row-major.
    pub b: &'a [f32],
    /// Rank `r` of the adapter at this site.
    pub rank: usize,
    /// Width of the site's input.
    pub d_in: usize,
    /// Width of the site's output.
    pub d_out: usize,
}

/// What fixes a [`Projector`] besides the site shapes. All of it is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// Seed of every random sign and bucket. Draw it after the data is fixed: who knows it
    /// earlier can shape rows to collide.
    pub seed: [u8; 32],
    /// Sketch dimension `d`, in [`DIM_RANGE`].
    pub dim: usize,
    /// Kept length `k` of a site's long side, a multiple of 8. A side of at most `k` is kept whole.
    pub side: usize,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self { seed: [0; 32], dim: 1024, side: 512 }
    }
}

/// Maps gradients to raw sketches: per site `S_B = P_out grad_B` (`(k_o, r)`) and
/// `S_A = grad_A P_in^T` (`(r, k_i)`), then, if it was given a [`Basis`], the strongest directions of
/// each tensor and one sparse Johnson-Lindenstrauss map of what they leave of it, with a single sign
/// per column, and otherwise one such map of all tensors' concatenation, in site order. The basis
/// keeps more of what tells rows apart; the plain map needs no row to be known.
///
/// Only the long side is projected (LoGra, Choe et al. 2024, section 3, on a LoRA factor).
/// `P` is the block construction of Kane and Nelson 2014 with 8 nonzeros `+-1/sqrt(8)` a column;
/// a side that is not longer than `k`, and a concatenation that is not longer than `d`, are copied
/// unchanged. Inner products are kept in expectation; see the tests for the spread.
///
/// Signs and buckets come from ChaCha20 with the public seed; site `j` uses streams `4j` (`P_out`),
/// `4j + 1` (`P_in`), `4j + 2` and `4j + 3` (last maps of `S_B`, `S_A`). Each draw `u: u64` gives
/// the bucket `(u >> 32) * buckets >> 32` and the sign of bit 0. Sums have a fixed order in f64.
#[derive(Clone, Debug)]
pub struct Projector {
    sides: Sides,
    last: Last,
}

/// From the blocks of all tensors to a sketch.
#[derive(Clone, Debug)]
enum Last {
    /// As they are, one after the other.
    Whole,
    /// By tensor.
    Hashed(Vec<Vec<Target>>),
    /// Targets of what the directions leave, by tensor.
    Chosen(Basis, Vec<Vec<Target>>),
}

/// The last maps of all tensors, each into so many buckets.
fn targets(sides: &Sides, buckets: impl IntoIterator<Item = usize>) -> Vec<Vec<Target>> {
    let of_tensor = |((tensor, (side, rank)), buckets): ((u64, (usize, usize)), usize)| {
        let mut rng = stream(&sides.config().seed, tensor / 2 * 4 + 2 + tensor % 2);
        let numbers = if buckets == 0 { 0 } else { side * rank };
        (0..numbers).map(|_| Target::draw(&mut rng, 0, buckets)).collect()
    };
    (0..).zip(sides.tensors()).zip(buckets).map(of_tensor).collect()
}

impl Projector {
    /// A projector for sites of these shapes, in this order, with nothing known of the rows.
    ///
    /// # Errors
    /// [`Error::Setting`] if `dim`, `side`, or a shape is out of bounds, or there is no site.
    pub fn new(shapes: &[SiteShape], config: ProjectorConfig) -> Result<Self> {
        let sides = Sides::new(shapes, config)?;
        let last = if sides.entries() > config.dim {
            Last::Hashed(targets(&sides, repeat(config.dim)))
        } else {
            Last::Whole
        };
        Ok(Self { sides, last })
    }

    /// A projector onto the directions of a basis.
    ///
    /// # Errors
    /// [`Error::Setting`] or [`Error::Shape`] if the basis is not one of such sketches, and those of
    /// [`Self::new`].
    pub fn with_basis(shapes: &[SiteShape], config: ProjectorConfig, basis: Basis) -> Result<Self> {
        let sides = Sides::new(shapes, config)?;
        basis.check(shapes, &config)?;
        let buckets = basis.tensors.iter().map(|tensor| usize::from(tensor.buckets));
        let targets = targets(&sides, buckets);
        Ok(Self { sides, last: Last::Chosen(basis, targets) })
    }

    /// The projector of an index: what a [`ProjectorBuilder`] makes of these rows' gradients.
    ///
    /// # Errors
    /// Those of [`ProjectorBuilder`]'s methods.
    pub fn learned<'a>(
        shapes: &[SiteShape],
        config: ProjectorConfig,
        rows: impl IntoIterator<Item = Vec<SiteGradient<'a>>>,
    ) -> Result<Self> {
        let mut builder = ProjectorBuilder::new(shapes, config)?;
        rows.into_iter().try_for_each(|row| builder.push(&row))?;
        builder.finish()
    }

    /// Seed and dimensions.
    #[must_use]
    pub const fn config(&self) -> &ProjectorConfig {
        self.sides.config()
    }

    /// The site shapes this projector accepts, in order.
    #[must_use]
    pub fn shapes(&self) -> &[SiteShape] {
        self.sides.shapes()
    }

    /// Whether sketches are the gradients, unchanged but for their long sides.
    #[must_use]
    pub const fn copies(&self) -> bool {
        matches!(self.last, Last::Whole)
    }

    /// The directions it keeps, if it was given them.
    #[must_use]
    pub const fn basis(&self) -> Option<&Basis> {
        match &self.last {
            Last::Chosen(basis, _) => Some(basis),
            Last::Whole | Last::Hashed(_) => None,
        }
    }

    /// Columns of a sketch that come from one tensor each, in order, and those that nothing comes to;
    /// all together where tensors are hashed into each other.
    #[must_use]
    pub fn blocks(&self) -> Vec<Range<usize>> {
        let dim = self.config().dim;
        let widths: Vec<usize> = match &self.last {
            Last::Hashed(_) => vec![dim],
            Last::Whole => self.sides.tensors().map(|(side, rank)| side * rank).collect(),
            Last::Chosen(basis, _) => basis.tensors.iter().map(Directions::len).collect(),
        };
        let mut first = 0;
        let mut blocks = Vec::with_capacity(widths.len() + 1);
        for width in widths.iter().copied().chain([dim - widths.iter().sum::<usize>()]) {
            if width > 0 {
                blocks.push(first..first + width);
            }
            first += width;
        }
        blocks
    }

    /// keccak256 of all that a sketch depends on besides the gradient: configuration, shapes and basis.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let ProjectorConfig { seed, dim, side } = self.config();
        let shape = |s: &SiteShape| [s.rank, s.d_in, s.d_out];
        let counts = [*dim, *side].into_iter().chain(self.shapes().iter().flat_map(shape));
        let counts: Vec<u8> = counts.flat_map(|count| (count as u64).to_be_bytes()).collect();
        let basis = self.basis().map_or_else(Vec::new, Basis::to_bytes);
        keccak(&[seed, &counts, &basis])
    }

    /// Sketches onto a basis: sites have columns of their own, so they are done side by side.
    fn choose(
        &self,
        sites: &[SiteGradient<'_>],
        basis: &Basis,
        targets: &[Vec<Target>],
        sketch: &mut [f64],
    ) -> Result<()> {
        self.sides.check(sites)?;
        let mut parts = Vec::with_capacity(sites.len());
        let mut rest = sketch;
        for pair in basis.tensors.chunks(2) {
            let (part, others) = rest.split_at_mut(pair.iter().map(Directions::len).sum());
            parts.push(part);
            rest = others;
        }
        parts.into_par_iter().enumerate().for_each(|(site, mut part)| {
            self.sides.blocks_of(site, &sites[site], |tensor, order, block| {
                let directions = &basis.tensors[tensor];
                let (out, others) = std::mem::take(&mut part).split_at_mut(directions.len());
                directions.project(block, order, sites[site].rank, &targets[tensor], out);
                part = others;
            });
        });
        Ok(())
    }

    /// The raw sketch of one row or query, `(d,)`. A zero gradient gives a zero sketch.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sites are not those given to [`Projector::new`];
    /// [`Error::NotFinite`] if a gradient or its sketch holds NaN or infinity.
    pub fn project(&self, sites: &[SiteGradient<'_>]) -> Result<Vec<f32>> {
        let mut sketch = vec![0.0f64; self.config().dim];
        let mut next = 0;
        match &self.last {
            Last::Whole => self.sides.blocks(sites, |_, _, block| {
                sketch[next..][..block.len()].copy_from_slice(block);
                next += block.len();
            })?,
            Last::Hashed(targets) => self.sides.blocks(sites, |tensor, _, block| {
                let terms = targets[tensor].iter().zip(block);
                terms.for_each(|(target, x)| target.add(*x, &mut sketch));
            })?,
            Last::Chosen(basis, targets) => self.choose(sites, basis, targets, &mut sketch)?,
        }
        let sketch: Vec<f32> = sketch.into_iter().map(|x| x as f32).collect();
        if sketch.iter().all(|x| x.is_finite()) {
            Ok(sketch)
        } else {
            Err(Error::NotFinite("sketch"))
        }
    }
}
