//! Which directions of the gradients a sketch keeps as they are, and into how many numbers the rest goes.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

use super::{ProjectorConfig, SiteShape, maps::Target};
use crate::{
    Error, Result,
    estimate::kernel::{add_scaled, add_scaled_wide, dot_wide, widest},
    settle::keccak,
};

/// How far products of directions may be from 0 and 1: eigenvectors rounded to f32 are within 1e-5.
const TOLERANCE: f64 = 1e-3;

/// The strongest directions of a model's row gradients, learned from a sample of its rows, and
/// buckets that what is left of a gradient is hashed into.
///
/// A tensor's gradient, its long side cut to `k`, is a `(k, r)` matrix `X`. The sample gives the
/// tensor the eigenvectors `u_i` of `mean X X^T` and `v_j` of `mean X^T X`, with eigenvalues `a_i` and
/// `b_j`. The second moment of `u_i^T X v_j` is close to `a_i b_j / sum a` (the Kronecker factors of
/// Martens and Grosse 2015; as the basis of a projection, LoGra's, Choe et al. 2024, section 4). Of a
/// sketch's `d` numbers, `K` are the pairs with the largest over all tensors; the rest of each tensor,
/// `X - sum_kept (u_i^T X v_j) u_i v_j^T`, goes into signed buckets, the `d - K` of them shared out by
/// what the tensors have left. A product of two rows is exact in what is kept, and the hashed part
/// errs by about `R / sqrt(d - K)` of the rows' norms, `R` the share of the second moments that is
/// left: `K` is where `R^2 / (d - K)` is smallest. Every row of the sample weighs the same, whatever
/// the length of its gradient, so that no row can turn the basis towards itself.
///
/// Directions are orthonormal, and that is checked, so no basis can hide a row's gradient or count
/// it twice: a bad one only leaves more to the buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// `S_B`, then `S_A`, of each site.
    pub(crate) tensors: Vec<Directions>,
}

/// Directions of one tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Directions {
    /// Directions of the rank's side, `(m_r, r)` row-major.
    pub(crate) rank: Vec<f32>,
    /// Directions of the long side, `(m, k)` row-major.
    pub(crate) side: Vec<f32>,
    /// For each of `rank`'s directions in turn, those of `side` that are kept with it.
    pub(crate) kept: Vec<Vec<u16>>,
    /// Numbers that the rest goes into.
    pub(crate) buckets: u16,
}

/// How a `(k, r)` matrix lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// `(k, r)` row-major, as the gradient of `B`.
    SideFirst,
    /// `(r, k)` row-major, as the gradient of `A`.
    RankFirst,
}

impl Basis {
    /// Numbers that a sketch has.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.tensors.iter().map(Directions::len).sum()
    }

    /// Its bytes in an index's file: per tensor the numbers of rank and side directions and of buckets,
    /// u16 each, the directions, f32, and per rank direction the number of kept pairs and their side
    /// directions, u16 each; big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = |n: usize| u16::try_from(n).expect("directions are at most 8192").to_be_bytes();
        for tensor in &self.tensors {
            bytes.extend(count(tensor.kept.len()));
            bytes.extend(count(tensor.sides()));
            bytes.extend(tensor.buckets.to_be_bytes());
            bytes.extend(tensor.rank.iter().chain(&tensor.side).flat_map(|x| x.to_be_bytes()));
            for kept in &tensor.kept {
                bytes.extend(count(kept.len()));
                bytes.extend(kept.iter().flat_map(|at| at.to_be_bytes()));
            }
        }
        bytes
    }

    /// Whether it is one of sketches of `config` for these shapes.
    pub(super) fn check(&self, shapes: &[SiteShape], config: &ProjectorConfig) -> Result<()> {
        let sides = shapes.iter().flat_map(|s| [(s.d_out, s.rank), (s.d_in, s.rank)]);
        let fits = |(tensor, (side, rank)): (&Directions, (usize, usize))| {
            tensor.fits(side.min(config.side), rank)
        };
        if self.tensors.len() != 2 * shapes.len() || !self.tensors.iter().zip(sides).all(fits) {
            let rule = "a basis must have directions of every tensor's sides";
            return Err(Error::setting(rule, format_args!("{} tensors", self.tensors.len())));
        }
        if self.dim() != config.dim {
            return Err(Error::shape("directions of a basis", config.dim, self.dim()));
        }
        // Whoever wrote the basis cannot choose the signs that it is tested with.
        let mut rng = ChaCha20Rng::from_seed(keccak(&[&self.to_bytes()]));
        let sides = shapes.iter().flat_map(|s| [(s.d_out, s.rank), (s.d_in, s.rank)]);
        for (tensor, (side, rank)) in self.tensors.iter().zip(sides) {
            for (directions, width) in [(&tensor.side, side.min(config.side)), (&tensor.rank, rank)]
            {
                let off = distance_from_orthonormal(directions, width, &mut rng);
                if off > TOLERANCE {
                    let rule = "directions of a basis must be orthonormal within 0.001";
                    return Err(Error::setting(rule, format_args!("off by {off:.4}")));
                }
            }
        }
        Ok(())
    }
}

impl Directions {
    /// Numbers of a sketch.
    pub(crate) fn len(&self) -> usize {
        self.pairs() + usize::from(self.buckets)
    }

    /// Kept pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.kept.iter().map(Vec::len).sum()
    }

    /// Directions of the long side.
    pub(crate) fn sides(&self) -> usize {
        self.kept.iter().flatten().max().map_or(0, |last| usize::from(*last) + 1)
    }

    fn fits(&self, side: usize, rank: usize) -> bool {
        let directions = self.side.len() / side;
        self.side.len() == directions * side
            && self.rank.len() == self.kept.len() * rank
            && self.kept.iter().flatten().all(|&at| usize::from(at) < directions)
            // No pair twice.
            && self.kept.iter().all(|kept| kept.is_sorted_by(|a, b| a < b))
            && self.rank.iter().chain(&self.side).all(|x| x.is_finite())
    }

    /// Writes `u^T X v` of the kept pairs to `out`, then the buckets of what they leave.
    ///
    /// - `targets`: one for each number of the block, if there are buckets
    pub(super) fn project(
        &self,
        block: &[f64],
        order: Order,
        rank: usize,
        targets: &[Target],
        out: &mut [f64],
    ) {
        let side = block.len() / rank;
        let (pairs, buckets) = out.split_at_mut(self.pairs());
        if buckets.is_empty() {
            widest(|| self.products(block, order, [side, rank], pairs, None));
            return;
        }
        let mut left = block.to_vec();
        widest(|| self.products(block, order, [side, rank], pairs, Some(&mut left)));
        targets.iter().zip(left).for_each(|(target, x)| target.add(x, buckets));
    }

    /// Products of the kept pairs; takes the pairs' part out of `left`.
    #[inline(always)]
    fn products(
        &self,
        block: &[f64],
        order: Order,
        [side, rank]: [usize; 2],
        out: &mut [f64],
        mut left: Option<&mut Vec<f64>>,
    ) {
        let (mut mixed, mut part, mut next) = (vec![0.0; side], vec![0.0; side], 0);
        for (v, kept) in self.rank.chunks_exact(rank).zip(&self.kept) {
            mix(block, order, v, &mut mixed);
            part.fill(0.0);
            for &at in kept {
                let u = &self.side[usize::from(at) * side..][..side];
                out[next] = dot_wide(&mixed, u);
                add_scaled(&mut part, out[next], u);
                next += 1;
            }
            if let Some(left) = &mut left {
                take_out(left, order, v, &part);
            }
        }
    }
}

/// `X v`, `(k,)`.
#[inline(always)]
fn mix(block: &[f64], order: Order, v: &[f32], mixed: &mut [f64]) {
    match order {
        Order::RankFirst => {
            let side = mixed.len();
            mixed.fill(0.0);
            for (gain, row) in v.iter().zip(block.chunks_exact(side)) {
                add_scaled_wide(mixed, f64::from(*gain), row);
            }
        }
        Order::SideFirst => {
            for (sum, row) in mixed.iter_mut().zip(block.chunks_exact(v.len())) {
                *sum = dot_wide(row, v);
            }
        }
    }
}

/// `X - part v^T`.
#[inline(always)]
fn take_out(left: &mut [f64], order: Order, v: &[f32], part: &[f64]) {
    match order {
        Order::RankFirst => {
            for (gain, row) in v.iter().zip(left.chunks_exact_mut(part.len())) {
                add_scaled_wide(row, -f64::from(*gain), part);
            }
        }
        Order::SideFirst => {
            for (x, row) in part.iter().zip(left.chunks_exact_mut(v.len())) {
                add_scaled(row, -x, v);
            }
        }
    }
}

/// Largest entry of `(U U^T - I) z` for two vectors `z` of random signs: none of a matrix that is not
/// orthonormal is small but by a chance of one in millions.
///
/// - `directions`: `U`, `(m, width)` row-major
fn distance_from_orthonormal(directions: &[f32], width: usize, rng: &mut ChaCha20Rng) -> f64 {
    let mut off = 0.0f64;
    for _ in 0..2 {
        let sign = |_| if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
        let signs: Vec<f64> = directions.chunks_exact(width).map(sign).collect();
        let mut sum = vec![0.0; width];
        let rows = || directions.chunks_exact(width).zip(&signs);
        rows().for_each(|(row, sign)| add_scaled(&mut sum, *sign, row));
        off = rows().map(|(row, sign)| (dot_wide(&sum, row) - sign).abs()).fold(off, f64::max);
    }
    off
}
