//! Which directions of the gradients a sketch keeps, learned from some rows.

use super::{ProjectorConfig, Sides, SiteGradient, SiteShape};
use crate::{
    Error, Result,
    estimate::{
        fisher::eigen,
        kernel::{add_scaled_wide, dot_wide},
    },
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

/// The `d` strongest directions of a model's row gradients, learned from a sample of its rows.
///
/// A tensor's gradient, its long side cut to `k`, is a `(k, r)` matrix `X`. The sample gives the
/// tensor the eigenvectors `u_i` of `mean X X^T` and `v_j` of `mean X^T X`, with eigenvalues `a_i` and
/// `b_j`. The second moment of `u_i^T X v_j` is close to `a_i b_j / sum a` (the Kronecker factors of
/// Martens and Grosse 2015; as the basis of a projection, LoGra's, Choe et al. 2024, section 4), and
/// the `d` pairs with the largest over all tensors are what a sketch consists of. Every row of the
/// sample weighs the same, whatever the length of its gradient, so that no row can turn the basis
/// towards itself.
///
/// A random map to `d` numbers spreads an error of `1/sqrt(d)` of the norms over every product; this
/// one is exact on what it keeps and loses what rows hardly have.
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

    /// Its bytes in an index's file: per tensor the numbers of rank and side directions, u16 each, the
    /// directions, f32, and per rank direction the number of kept pairs and their side directions, u16
    /// each; big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = |n: usize| u16::try_from(n).expect("directions are at most 8192").to_be_bytes();
        for tensor in &self.tensors {
            bytes.extend(count(tensor.kept.len()));
            bytes.extend(count(tensor.sides()));
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
        if self.dim() == config.dim {
            Ok(())
        } else {
            Err(Error::shape("directions of a basis", config.dim, self.dim()))
        }
    }
}

impl Directions {
    pub(crate) fn len(&self) -> usize {
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
            && self.rank.iter().chain(&self.side).all(|x| x.is_finite())
    }

    /// Writes `u^T X v` of the kept pairs to `out`.
    pub(super) fn project(&self, block: &[f64], order: Order, rank: usize, out: &mut [f64]) {
        let side = block.len() / rank;
        let (mut mixed, mut next) = (vec![0.0; side], 0);
        for (v, kept) in self.rank.chunks_exact(rank).zip(&self.kept) {
            mixed.fill(0.0);
            match order {
                Order::RankFirst => {
                    for (gain, row) in v.iter().zip(block.chunks_exact(side)) {
                        add_scaled_wide(&mut mixed, f64::from(*gain), row);
                    }
                }
                Order::SideFirst => {
                    for (sum, row) in mixed.iter_mut().zip(block.chunks_exact(rank)) {
                        *sum = dot_wide(row, v);
                    }
                }
            }
            for &at in kept {
                out[next] = dot_wide(&mixed, &self.side[usize::from(at) * side..][..side]);
                next += 1;
            }
        }
    }
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
        let chosen = strongest(&factors, self.sides.config().dim);
        let tensors = factors.iter().zip(chosen).map(|(factors, pairs)| factors.directions(&pairs));
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

/// The `dim` strongest pairs by tensor, (rank, side) ascending; of equals the first counts.
fn strongest(factors: &[Factors], dim: usize) -> Vec<Vec<(u16, u16)>> {
    let stronger = |a: &(f64, usize, u16, u16), b: &(f64, usize, u16, u16)| {
        b.0.total_cmp(&a.0).then((a.1, a.3, a.2).cmp(&(b.1, b.3, b.2)))
    };
    let mut best = Vec::new();
    for (tensor, factors) in factors.iter().enumerate() {
        best.extend(factors.pairs().map(|(strength, side, rank)| (strength, tensor, side, rank)));
        if best.len() > dim {
            best.select_nth_unstable_by(dim, stronger);
            best.truncate(dim);
        }
    }
    let mut chosen = vec![vec![]; factors.len()];
    best.iter().for_each(|&(_, tensor, side, rank)| chosen[tensor].push((rank, side)));
    chosen.iter_mut().for_each(|pairs| pairs.sort_unstable());
    chosen
}
