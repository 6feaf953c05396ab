//! Learns a basis from rows' gradients.

use super::{
    Basis, ProjectorConfig, Sides, SiteGradient, SiteShape,
    basis::{Directions, Order},
};
use crate::{
    Error, Result,
    estimate::{fisher::eigen, kernel::add_scaled_wide},
    settle::{Hash, keccak},
};

/// Rows that a basis is learned from, if there are as many.
pub const BASIS_ROWS: usize = 128;
/// Longest kept side of a tensor whose directions are learned: its moments take `4 k^2` bytes.
const MAX_KEPT: usize = 4096;

/// Places of the rows that a basis is learned from, ascending: those with the least
/// `keccak256(seed || hash)`, of equal rows the first. Nobody who does not know the seed can have a
/// row chosen.
///
/// - `hashes`: of the texts of all rows, in order
#[must_use]
pub fn basis_rows(seed: &[u8; 32], hashes: impl IntoIterator<Item = Hash>) -> Vec<usize> {
    let drawn = hashes.into_iter().enumerate();
    let mut drawn: Vec<(Hash, usize)> =
        drawn.map(|(place, hash)| (keccak(&[seed, &hash]), place)).collect();
    drawn.sort_unstable();
    drawn.dedup_by_key(|(draw, _)| *draw);
    drawn.truncate(BASIS_ROWS);
    let mut places: Vec<usize> = drawn.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    places
}

/// Learns a [`Basis`] from rows' gradients.
#[derive(Clone, Debug)]
pub struct BasisBuilder {
    sides: Sides,
    moments: Vec<Moments>,
    rows: usize,
}

/// `sum X X^T` and `sum X^T X` of one tensor, row-major.
#[derive(Clone, Debug)]
struct Moments {
    side: Vec<f64>,
    rank: Vec<f64>,
}

impl BasisBuilder {
    /// For sketches of `config` of a model with sites of these shapes.
    ///
    /// # Errors
    /// As [`super::Projector::new`]; [`Error::Setting`] too if gradients are shorter than sketches or
    /// a kept side is longer than 4096.
    pub fn new(shapes: &[SiteShape], config: ProjectorConfig) -> Result<Self> {
        let sides = Sides::new(shapes, config)?;
        if sides.entries() < config.dim {
            let rule = "a basis must have as many directions as a sketch has numbers";
            return Err(Error::setting(rule, sides.entries()));
        }
        if let Some((long, _)) = sides.tensors().find(|(side, _)| *side > MAX_KEPT) {
            return Err(Error::setting("kept sides of a basis must be at most 4096", long));
        }
        let zeros = |side: usize, rank: usize| Moments {
            side: vec![0.0; side * side],
            rank: vec![0.0; rank * rank],
        };
        let moments = sides.tensors().map(|(side, rank)| zeros(side, rank)).collect();
        Ok(Self { sides, moments, rows: 0 })
    }

    /// Adds a row's gradient; one that is zero is passed over.
    ///
    /// # Errors
    /// As [`super::Projector::project`]; the row is not added.
    pub fn push(&mut self, sites: &[SiteGradient<'_>]) -> Result<()> {
        let mut square = 0.0;
        self.sides
            .blocks(sites, |_, _, block| square += block.iter().map(|x| x * x).sum::<f64>())?;
        if !square.is_finite() {
            return Err(Error::NotFinite("gradient"));
        }
        if square == 0.0 {
            return Ok(());
        }
        let moments = &mut self.moments;
        let widths: Vec<(usize, usize)> = self.sides.tensors().collect();
        self.sides.blocks(sites, |tensor, order, block| {
            let (side, rank) = widths[tensor];
            moments[tensor].add(block, order, side, rank, 1.0 / square);
        })?;
        self.rows += 1;
        Ok(())
    }

    /// The directions of the rows given.
    ///
    /// # Errors
    /// [`Error::NoSignal`] if no row had a gradient, [`Error::Eigen`] if a decomposition does not
    /// converge.
    pub fn finish(self) -> Result<Basis> {
        if self.rows == 0 {
            return Err(Error::NoSignal);
        }
        let widths: Vec<(usize, usize)> = self.sides.tensors().collect();
        let factors = self.moments.iter().zip(&widths);
        let factors = factors.map(|(moments, &(side, rank))| Factors::new(moments, side, rank));
        let factors = factors.collect::<Result<Vec<_>>>()?;
        let kept = strongest(&factors, self.sides.config().dim);
        let buckets = shared_out(&factors, &kept, self.sides.config().dim);
        let tensors = factors.iter().zip(kept.pairs).zip(buckets);
        let tensors = tensors.map(|((factors, pairs), buckets)| Directions {
            buckets,
            ..factors.directions(&pairs)
        });
        Ok(Basis { tensors: tensors.collect() })
    }
}

impl Moments {
    fn add(&mut self, block: &[f64], order: Order, side: usize, rank: usize, weight: f64) {
        let at = |i: usize, j: usize| match order {
            Order::SideFirst => block[i * rank + j],
            Order::RankFirst => block[j * side + i],
        };
        for j in 0..rank {
            let column: Vec<f64> = (0..side).map(|i| at(i, j)).collect();
            for (i, out) in self.side.chunks_exact_mut(side).enumerate() {
                add_scaled_wide(&mut out[..=i], weight * column[i], &column);
            }
            for (l, cell) in self.rank[j * rank..][..=j].iter_mut().enumerate() {
                *cell += weight * (0..side).map(|i| at(i, j) * at(i, l)).sum::<f64>();
            }
        }
    }
}

/// Eigenvectors of both sides of a tensor, strongest first.
struct Factors {
    side: (Vec<f64>, Vec<Vec<f32>>),
    rank: (Vec<f64>, Vec<Vec<f32>>),
}

impl Factors {
    fn new(moments: &Moments, side: usize, rank: usize) -> Result<Self> {
        Ok(Self { side: ranked(&moments.side, side)?, rank: ranked(&moments.rank, rank)? })
    }

    /// The second moment of each pair, (strength, side, rank).
    fn pairs(&self) -> impl Iterator<Item = (f64, u16, u16)> {
        let whole: f64 = self.side.0.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let number = |at: usize| u16::try_from(at).expect("sides and ranks are at most 4096");
        self.rank.0.iter().enumerate().flat_map(move |(j, b)| {
            let strength = move |(i, a): (usize, &f64)| (a * b / whole, number(i), number(j));
            self.side.0.iter().enumerate().map(strength)
        })
    }

    /// - `pairs`: (rank, side), ascending
    fn directions(&self, pairs: &[(u16, u16)]) -> Directions {
        let mut used: Vec<u16> = pairs.iter().map(|(_, side)| *side).collect();
        used.sort_unstable();
        used.dedup();
        let mut directions = Directions::default();
        used.iter().for_each(|&i| directions.side.extend(&self.side.1[usize::from(i)]));
        for same in pairs.chunk_by(|a, b| a.0 == b.0) {
            directions.rank.extend(&self.rank.1[usize::from(same[0].0)]);
            let place = |(_, side): &(u16, u16)| {
                used.binary_search(side).expect("every side of a pair is used") as u16
            };
            directions.kept.push(same.iter().map(place).collect());
        }
        directions
    }
}

/// Eigenvalues and unit eigenvectors, largest first; rounding may leave a zero below zero.
fn ranked(lower: &[f64], size: usize) -> Result<(Vec<f64>, Vec<Vec<f32>>)> {
    let (values, vectors) = eigen(lower, size)?;
    let vector = |k: usize| (0..size).map(|i| vectors[(i, k)] as f32).collect();
    Ok((
        values.iter().rev().map(|value| value.max(0.0)).collect(),
        (0..size).rev().map(vector).collect(),
    ))
}

/// Which pairs are kept.
struct Kept {
    /// By tensor, (rank, side) ascending.
    pairs: Vec<Vec<(u16, u16)>>,
    /// By tensor, the second moment of the others.
    left: Vec<f64>,
}

/// The strongest pairs; of equals the first counts. So many that the expected error of a product,
/// `R^2 / (dim - K)`, is smallest.
fn strongest(factors: &[Factors], dim: usize) -> Kept {
    let stronger = |a: &(f64, usize, u16, u16), b: &(f64, usize, u16, u16)| {
        b.0.total_cmp(&a.0).then((a.1, a.3, a.2).cmp(&(b.1, b.3, b.2)))
    };
    let mut best = Vec::new();
    let mut left: Vec<f64> = Vec::with_capacity(factors.len());
    for (tensor, factors) in factors.iter().enumerate() {
        left.push(factors.pairs().map(|(strength, ..)| strength).sum());
        best.extend(factors.pairs().map(|(strength, side, rank)| (strength, tensor, side, rank)));
        if best.len() > dim {
            best.select_nth_unstable_by(dim, stronger);
            best.truncate(dim);
        }
    }
    best.sort_unstable_by(stronger);
    let mut rest: f64 = left.iter().sum();
    let mut errors = vec![rest * rest / dim as f64];
    for (count, (strength, ..)) in (1..).zip(&best) {
        rest = (rest - strength).max(0.0);
        errors.push(rest * rest / dim.saturating_sub(count).max(1) as f64);
    }
    let count = (0..errors.len()).min_by(|a, b| errors[*a].total_cmp(&errors[*b])).unwrap_or(0);
    let mut pairs = vec![vec![]; factors.len()];
    for &(strength, tensor, side, rank) in &best[..count] {
        pairs[tensor].push((rank, side));
        left[tensor] = (left[tensor] - strength).max(0.0);
    }
    pairs.iter_mut().for_each(|pairs| pairs.sort_unstable());
    Kept { pairs, left }
}

/// The numbers that no pair is kept in, by tensor: shared out by what is left of each, one after the
/// other to the tensor with most per bucket (D'Hondt), and no more than it has directions.
fn shared_out(factors: &[Factors], kept: &Kept, dim: usize) -> Vec<u16> {
    let room = |(factors, pairs): (&Factors, &Vec<(u16, u16)>)| {
        factors.side.0.len() * factors.rank.0.len() - pairs.len()
    };
    let room: Vec<usize> = factors.iter().zip(&kept.pairs).map(room).collect();
    let count = dim - kept.pairs.iter().map(Vec::len).sum::<usize>();
    let mut buckets = vec![0u16; factors.len()];
    for _ in 0..count {
        let per_bucket = |tensor: usize| kept.left[tensor] / f64::from(buckets[tensor] + 1);
        let open = (0..factors.len()).filter(|&t| usize::from(buckets[t]) < room[t]);
        let next = open.max_by(|a, b| per_bucket(*a).total_cmp(&per_bucket(*b)).then(b.cmp(a)));
        buckets[next.expect("there are at least as many directions as numbers")] += 1;
    }
    buckets
}
