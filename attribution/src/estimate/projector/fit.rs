//! How well a projector serves the gradients of some rows.

use super::{Last, Projector, SiteGradient};
use crate::{Error, Result};

/// How much of some rows' gradients a projector's directions carry, and how what they leave lies in its
/// buckets. Two projectors of one configuration are compared by the same rows.
///
/// A row's gradient, its long sides cut to `k`, has the part `|X_t|^2 / |X|^2` in tensor `t`; of it
/// the kept pairs carry the sum of their squared numbers, and `l_t` is left, here the mean over the
/// rows. Every row weighs the same.
#[derive(Clone, Debug)]
pub struct Fit<'a> {
    projector: &'a Projector,
    /// Sums over the rows of what is left, by tensor.
    left: Vec<f64>,
    rows: u32,
}

impl<'a> Fit<'a> {
    /// Of no rows.
    #[must_use]
    pub fn new(projector: &'a Projector) -> Self {
        Self { projector, left: vec![0.0; projector.sides.tensors().count()], rows: 0 }
    }

    /// Adds a row's gradient; one that is zero or not finite is passed over.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sites are not the projector's.
    pub fn push(&mut self, sites: &[SiteGradient<'_>]) -> Result<()> {
        let mut squares = Vec::with_capacity(self.left.len());
        let sides = &self.projector.sides;
        let sketch = self.projector.project(sites).and_then(|sketch| {
            let square = |_, _, block: &[f64]| squares.push(block.iter().map(|x| x * x).sum());
            sides.blocks(sites, square).map(|()| sketch)
        });
        let sketch = match sketch {
            Err(Error::NotFinite(_)) => return Ok(()),
            sketch => sketch?,
        };
        let whole: f64 = squares.iter().sum();
        if whole == 0.0 || !whole.is_finite() {
            return Ok(());
        }
        let kept = self.kept_squares(&sketch, &squares);
        for ((left, square), kept) in self.left.iter_mut().zip(&squares).zip(kept) {
            *left += (square - kept).max(0.0) / whole;
        }
        self.rows += 1;
        Ok(())
    }

    /// Squares of what is kept, by tensor.
    fn kept_squares(&self, sketch: &[f32], squares: &[f64]) -> Vec<f64> {
        match &self.projector.last {
            Last::Whole => squares.to_vec(),
            Last::Hashed(_) => vec![0.0; squares.len()],
            Last::Chosen(basis, _) => {
                let mut next = 0;
                let tensors = basis.tensors.iter().map(|tensor| {
                    let pairs = &sketch[next..][..tensor.pairs()];
                    next += tensor.len();
                    pairs.iter().map(|x| f64::from(*x).powi(2)).sum()
                });
                tensors.collect()
            }
        }
    }

    /// Rows that count.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// `1 - sum_t l_t`: the share of the rows' squared norm that is kept, 1 where sketches are the
    /// gradients and 0 where no direction was chosen, or there is no row.
    #[must_use]
    pub fn kept(&self) -> f64 {
        if self.rows == 0 {
            return 0.0;
        }
        1.0 - self.left.iter().sum::<f64>() / f64::from(self.rows)
    }

    /// `sum_t l_t^2 / b_t`, with `b_t` the buckets of the tensor, at least 1: about the expected squared
    /// error of the product of two such rows, by the product of their squared norms (Charikar et al.
    /// 2002, section 3). What a [`super::Basis`] is chosen to make small; 1 if there is no row.
    #[must_use]
    pub fn error(&self) -> f64 {
        if self.rows == 0 {
            return 1.0;
        }
        let left = self.left.iter().map(|left| left / f64::from(self.rows));
        match &self.projector.last {
            Last::Whole => 0.0,
            Last::Hashed(_) => left.sum::<f64>().powi(2) / self.projector.config().dim as f64,
            Last::Chosen(basis, _) => {
                let buckets = basis.tensors.iter().map(|tensor| f64::from(tensor.buckets.max(1)));
                left.zip(buckets).map(|(left, buckets)| left * left / buckets).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Basis, Directions, ProjectorConfig, SiteShape},
        *,
    };

    const SHAPE: SiteShape = SiteShape { rank: 2, d_in: 16, d_out: 16 };
    const CONFIG: ProjectorConfig = ProjectorConfig { seed: [0; 32], dim: 16, side: 16 };

    /// Row `at` of the identity.
    fn unit(at: usize, width: usize) -> Vec<f32> {
        (0..width).map(|i| f32::from(u8::from(i == at))).collect()
    }

    /// Of `B` the first 5 numbers of both columns and 2 buckets, of `A` 4 buckets.
    fn first_of_b() -> Projector {
        let of_b = Directions {
            rank: [unit(0, 2), unit(1, 2)].concat(),
            side: (0..5).flat_map(|at| unit(at, 16)).collect(),
            kept: vec![(0..5).collect(), (0..5).collect()],
            buckets: 2,
        };
        let of_a = Directions { buckets: 4, ..Directions::default() };
        let basis = Basis { tensors: vec![of_b, of_a] };
        Projector::with_basis(&[SHAPE], CONFIG, basis).unwrap()
    }

    fn site<'a>(a: &'a [f32], b: &'a [f32]) -> SiteGradient<'a> {
        SiteGradient { a, b, rank: 2, d_in: 16, d_out: 16 }
    }

    /// Kept share and error of one row, or of none.
    fn fit(projector: &Projector, a: &[f32], b: &[f32]) -> (u32, f64, f64) {
        let mut fit = Fit::new(projector);
        fit.push(&[site(a, b)]).unwrap();
        (fit.rows(), fit.kept(), fit.error())
    }

    #[test]
    fn the_share_is_that_of_the_numbers_that_are_kept_and_the_rest_is_by_bucket() {
        let projector = first_of_b();
        let (mut a, mut b) = ([0.0; 32], [0.0; 32]);
        assert_eq!(fit(&projector, &a, &b), (0, 0.0, 1.0));
        (b[0], b[9]) = (3.0, 4.0);
        assert_eq!(fit(&projector, &a, &b), (1, 1.0, 0.0));
        // Rows from the sixth on are of no kept direction, and no number of `A` is.
        b[16] = 5.0;
        assert_eq!(fit(&projector, &a, &b), (1, 0.5, 0.25 / 2.0));
        a[7] = 50f32.sqrt();
        let (rows, kept, error) = fit(&projector, &a, &b);
        let expected = 0.25f64.powi(2) / 2.0 + 0.25 / 4.0;
        assert_eq!(rows, 1);
        assert!((kept - 0.25).abs() < 1e-6 && (error - expected).abs() < 1e-6, "{kept} {error}");
        a[0] = f32::NAN;
        assert_eq!(fit(&projector, &a, &b).0, 0);
        assert!(Fit::new(&projector).push(&[]).is_err());
    }

    #[test]
    fn rows_weigh_the_same_however_long_their_gradients_are() {
        let projector = first_of_b();
        let (none, mut kept, mut left) = ([0.0; 32], [0.0; 32], [0.0; 32]);
        (kept[0], left[31]) = (1.0, 1000.0);
        let mut fit = Fit::new(&projector);
        for b in [kept, left] {
            fit.push(&[site(&none, &b)]).unwrap();
        }
        assert_eq!((fit.rows(), fit.kept(), fit.error()), (2, 0.5, 0.25 / 2.0));
    }

    #[test]
    fn copies_keep_everything_and_plain_hashes_nothing() {
        let ones = [1.0; 32];
        let of = |dim| {
            let projector = Projector::new(&[SHAPE], ProjectorConfig { dim, ..CONFIG }).unwrap();
            let (_, kept, error) = fit(&projector, &ones, &ones);
            (kept, error)
        };
        assert_eq!((of(16), of(64)), ((0.0, 1.0 / 16.0), (1.0, 0.0)));
    }

    #[test]
    fn a_pair_that_is_kept_twice_is_refused() {
        let mut basis = first_of_b().basis().unwrap().clone();
        basis.tensors[0].kept[1][4] = 3;
        let refused = Projector::with_basis(&[SHAPE], CONFIG, basis);
        assert!(matches!(refused, Err(Error::Setting { .. })), "{refused:?}");
    }
}
