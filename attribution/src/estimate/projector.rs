//! From a row's LoRA gradients to a raw sketch of `d` numbers.

mod maps;

use self::maps::{Last, SPARSITY, Side, stream};
use crate::{Error, Result};

/// Smallest and largest sketch dimension `d`. Below 256 a sketch ranks worse than the gradients it
/// came from; the small ones are for models whose gradients have few numbers.
pub const DIM_RANGE: std::ops::RangeInclusive<usize> = 16..=8192;

const MAX_SITES: usize = 4096;
const MAX_RANK: usize = 1024;
const MAX_SIDE: usize = 1 << 20;
const MAX_ENTRIES: usize = 1 << 26;

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
        Self { seed: [0; 32], dim: 1024, side: 256 }
    }
}

/// Maps gradients to raw sketches: per site `S_B = P_out grad_B` (`(k_o, r)`) and
/// `S_A = grad_A P_in^T` (`(r, k_i)`), all of them concatenated in site order (`S_B` then `S_A`),
/// then one sparse Johnson-Lindenstrauss map with a single sign per column to `d` numbers.
///
/// Only the long side is projected (LoGra, Choe et al. 2024, section 3, on a LoRA factor).
/// `P` is the block construction of Kane and Nelson 2014 with 8 nonzeros `+-1/sqrt(8)` a column;
/// a side that is not longer than `k`, and a concatenation that is not longer than `d`, are copied
/// unchanged. Inner products are kept in expectation; see the tests for the spread.
///
/// Signs and buckets come from ChaCha20 with the public seed; site `j` uses streams `4j` (`P_out`),
/// `4j + 1` (`P_in`), `4j + 2` and `4j + 3` (last map of `S_B`, `S_A`). Each draw `u: u64` gives
/// the bucket `(u >> 32) * buckets >> 32` and the sign of bit 0. Sums have a fixed order in f64.
#[derive(Clone, Debug)]
pub struct Projector {
    config: ProjectorConfig,
    sites: Vec<Site>,
    shapes: Vec<SiteShape>,
}

#[derive(Clone, Debug)]
struct Site {
    out: Side,
    inward: Side,
    last_b: Last,
    last_a: Last,
}

impl Projector {
    /// A projector for sites of these shapes, in this order.
    ///
    /// # Errors
    /// [`Error::Setting`] if `dim`, `side`, or a shape is out of bounds, or there is no site.
    pub fn new(shapes: &[SiteShape], config: ProjectorConfig) -> Result<Self> {
        check(shapes, &config)?;
        let entries = |shape: &SiteShape| {
            (config.side.min(shape.d_out) + config.side.min(shape.d_in)) * shape.rank
        };
        let total: usize = shapes.iter().map(entries).sum();
        if total > MAX_ENTRIES {
            return Err(Error::setting("kept gradient entries must be at most 2^26", total));
        }
        let hashed = total > config.dim;
        let mut next = 0;
        let mut sites = Vec::with_capacity(shapes.len());
        for (index, shape) in shapes.iter().enumerate() {
            let stream = |part: u64| stream(&config.seed, 4 * index as u64 + part);
            let out = Side::new(shape.d_out, config.side, stream(0));
            let inward = Side::new(shape.d_in, config.side, stream(1));
            let (size_b, size_a) = (out.kept * shape.rank, inward.kept * shape.rank);
            let last = |size, from, rng| match hashed {
                true => Last::hashed(size, config.dim, rng),
                false => Last::From(from),
            };
            let (last_b, last_a) =
                (last(size_b, next, stream(2)), last(size_a, next + size_b, stream(3)));
            next += size_b + size_a;
            sites.push(Site { out, inward, last_b, last_a });
        }
        Ok(Self { config, sites, shapes: shapes.to_vec() })
    }

    /// Seed and dimensions.
    #[must_use]
    pub const fn config(&self) -> &ProjectorConfig {
        &self.config
    }

    /// The site shapes this projector accepts, in order.
    #[must_use]
    pub fn shapes(&self) -> &[SiteShape] {
        &self.shapes
    }

    /// The raw sketch of one row or query, `(d,)`. A zero gradient gives a zero sketch.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sites are not those given to [`Projector::new`];
    /// [`Error::NotFinite`] if a gradient or its sketch holds NaN or infinity.
    pub fn project(&self, sites: &[SiteGradient<'_>]) -> Result<Vec<f32>> {
        if sites.len() != self.sites.len() {
            return Err(Error::shape("gradient sites", self.sites.len(), sites.len()));
        }
        let mut sketch = vec![0.0f64; self.config.dim];
        let mut block = Vec::new();
        for ((site, shape), gradient) in self.sites.iter().zip(&self.shapes).zip(sites) {
            check_gradient(shape, gradient)?;
            site.out.project_columns(gradient.b, shape.rank, &mut block);
            site.last_b.add(&block, &mut sketch);
            site.inward.project_rows(gradient.a, shape.d_in, &mut block);
            site.last_a.add(&block, &mut sketch);
        }
        let sketch: Vec<f32> = sketch.into_iter().map(|x| x as f32).collect();
        if sketch.iter().all(|x| x.is_finite()) {
            Ok(sketch)
        } else {
            Err(Error::NotFinite("sketch"))
        }
    }
}

fn check(shapes: &[SiteShape], config: &ProjectorConfig) -> Result<()> {
    if !DIM_RANGE.contains(&config.dim) {
        return Err(Error::setting("sketch dimension must be in 16..=8192", config.dim));
    }
    if config.side == 0 || config.side > MAX_SIDE || !config.side.is_multiple_of(SPARSITY) {
        return Err(Error::setting("kept side must be a multiple of 8 up to 2^20", config.side));
    }
    if shapes.is_empty() || shapes.len() > MAX_SITES {
        return Err(Error::setting("sites must be 1 to 4096", shapes.len()));
    }
    for shape in shapes {
        let wide = |n: usize| n == 0 || n > MAX_SIDE;
        if shape.rank == 0 || shape.rank > MAX_RANK || wide(shape.d_in) || wide(shape.d_out) {
            let rule = "a site must have rank 1 to 1024 and widths 1 to 2^20";
            return Err(Error::setting(rule, format_args!("{shape:?}")));
        }
    }
    Ok(())
}

fn check_gradient(shape: &SiteShape, g: &SiteGradient<'_>) -> Result<()> {
    let given = SiteShape { rank: g.rank, d_in: g.d_in, d_out: g.d_out };
    if given != *shape {
        return Err(Error::shape("site", format_args!("{shape:?}"), format_args!("{given:?}")));
    }
    if g.a.len() != shape.rank * shape.d_in {
        return Err(Error::shape("gradient of A", shape.rank * shape.d_in, g.a.len()));
    }
    if g.b.len() != shape.d_out * shape.rank {
        return Err(Error::shape("gradient of B", shape.d_out * shape.rank, g.b.len()));
    }
    if g.a.iter().chain(g.b).all(|x| x.is_finite()) {
        Ok(())
    } else {
        Err(Error::NotFinite("gradient"))
    }
}
