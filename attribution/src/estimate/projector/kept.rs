//! How much of a gradient the directions of a sketch carry.

use super::{Directions, Last, Projector, SiteGradient};
use crate::{Error, Result, estimate::kernel::dot};

impl Projector {
    /// Share of a gradient's squared norm, its long sides cut to `k`, that the kept directions carry:
    /// `sum s_i^2 / |X|^2` over the numbers `s_i` that [`Self::project`] gives for them. 1 where
    /// sketches are the gradients, 0 where no direction was chosen; `None` for a zero gradient.
    ///
    /// It is a share, at most 1 up to rounding, only if the directions are orthonormal: see
    /// [`Self::skew`].
    ///
    /// # Errors
    /// As [`Self::project`].
    pub fn kept_share(&self, sites: &[SiteGradient<'_>]) -> Result<Option<f64>> {
        let mut whole = 0.0;
        self.sides
            .blocks(sites, |_, _, block| whole += block.iter().map(|x| x * x).sum::<f64>())?;
        if !f64::is_finite(whole) {
            return Err(Error::NotFinite("gradient"));
        }
        if whole == 0.0 {
            return Ok(None);
        }
        let kept = match &self.last {
            Last::Whole => whole,
            Last::Hashed(_) => 0.0,
            Last::Chosen(basis) => {
                let sketch = self.project(sites)?;
                sketch[..basis.dim()].iter().map(|x| f64::from(*x).powi(2)).sum()
            }
        };
        Ok(Some(kept / whole))
    }

    /// How far the kept directions are from orthonormal: the largest difference between the inner
    /// product of two of a tensor and what it should be, 1 of a direction with itself and 0 of two. Who
    /// keeps a direction twice has a skew of 1. Rounding alone gives about 1e-6; a projector without
    /// directions has none.
    #[must_use]
    pub fn skew(&self) -> f64 {
        let Some(basis) = self.basis() else { return 0.0 };
        let widths = self.sides.tensors();
        let tensors = basis.tensors.iter().zip(widths);
        tensors.map(|(tensor, (side, rank))| tensor.skew(side, rank)).fold(0.0, f64::max)
    }
}

impl Directions {
    /// A pair `u v^T` has the inner product of its `u`s times that of its `v`s with another: both kinds
    /// orthonormal and no pair twice is enough.
    fn skew(&self, side: usize, rank: usize) -> f64 {
        let repeats = |kept: &Vec<u16>| {
            let mut sorted = kept.clone();
            sorted.sort_unstable();
            sorted.windows(2).any(|pair| pair[0] == pair[1])
        };
        if self.kept.iter().any(repeats) {
            return 1.0;
        }
        off_identity(&self.rank, rank).max(off_identity(&self.side, side))
    }
}

/// Largest entry of `|V V^T - I|`.
///
/// - `vectors`: `(n, width)` row-major
fn off_identity(vectors: &[f32], width: usize) -> f64 {
    let mut largest = 0.0f64;
    for (i, a) in vectors.chunks_exact(width).enumerate() {
        for (j, b) in vectors.chunks_exact(width).take(i + 1).enumerate() {
            let wanted = if i == j { 1.0 } else { 0.0 };
            largest = largest.max((dot(a, b) - wanted).abs());
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Basis, ProjectorConfig, SiteShape},
        *,
    };

    const SHAPE: SiteShape = SiteShape { rank: 2, d_in: 16, d_out: 16 };
    const CONFIG: ProjectorConfig = ProjectorConfig { seed: [0; 32], dim: 16, side: 16 };

    /// Row `at` of the identity.
    fn unit(at: usize, width: usize) -> Vec<f32> {
        (0..width).map(|i| f32::from(u8::from(i == at))).collect()
    }

    /// Keeps of `B` the first 8 numbers of both columns, and of `A` nothing.
    fn first_of_b() -> Directions {
        Directions {
            rank: [unit(0, 2), unit(1, 2)].concat(),
            side: (0..8).flat_map(|at| unit(at, 16)).collect(),
            kept: vec![(0..8).collect(), (0..8).collect()],
        }
    }

    fn projector(of_b: Directions) -> Projector {
        let basis = Basis { tensors: vec![of_b, Directions::default()] };
        Projector::with_basis(&[SHAPE], CONFIG, basis).unwrap()
    }

    fn site<'a>(a: &'a [f32], b: &'a [f32]) -> SiteGradient<'a> {
        SiteGradient { a, b, rank: 2, d_in: 16, d_out: 16 }
    }

    #[test]
    fn the_share_is_that_of_the_numbers_that_are_kept() {
        let projector = projector(first_of_b());
        assert_eq!(projector.skew(), 0.0);
        let (mut a, mut b) = ([0.0; 32], [0.0; 32]);
        let share = |a: &[f32], b: &[f32]| projector.kept_share(&[site(a, b)]).unwrap();
        assert_eq!(share(&a, &b), None);
        (b[0], b[15]) = (3.0, 4.0);
        assert_eq!(share(&a, &b), Some(1.0));
        // Rows from the ninth on are of no kept direction, and no number of `A` is.
        b[16] = 5.0;
        assert_eq!(share(&a, &b), Some(0.5));
        a[7] = 10.0;
        assert_eq!(share(&a, &b), Some(25.0 / 150.0));
        assert_eq!(share(&a, &[0.0; 32]), Some(0.0));
        a[0] = f32::NAN;
        assert!(projector.kept_share(&[site(&a, &b)]).is_err());
    }

    #[test]
    fn copies_keep_everything_and_hashes_choose_nothing() {
        let ones = [1.0; 32];
        let share = |dim| {
            let projector = Projector::new(&[SHAPE], ProjectorConfig { dim, ..CONFIG }).unwrap();
            projector.kept_share(&[site(&ones, &ones)]).unwrap()
        };
        assert_eq!((share(16), share(64)), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn directions_that_are_not_orthonormal_are_told() {
        type Change = fn(&mut Directions);
        let cases: [(Change, f64); 4] = [
            // Twice as long: four times the energy.
            (|d| d.side[..16].iter_mut().for_each(|x| *x *= 2.0), 3.0),
            (|d| d.rank.copy_within(0..2, 2), 1.0),
            (|d| d.side.copy_within(0..16, 16), 1.0),
            // One pair twice, another never.
            (|d| d.kept[1][7] = 0, 1.0),
        ];
        for (change, expected) in cases {
            let mut directions = first_of_b();
            change(&mut directions);
            assert_eq!(projector(directions).skew(), expected);
        }
    }
}
