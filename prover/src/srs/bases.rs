//! Commitments to the polynomials that are one at a point of a domain and zero at the others, and
//! sums of them: with them few values are few points to add, whatever the domain's size.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, ScalarMul};
use ark_ff::{Field, One, Zero, batch_inversion};
use rayon::prelude::*;

use super::{Srs, cache};
use crate::{
    Error, Result,
    group::{Factor, Twiddles, normalise},
    root_of_unity,
};

/// Points of a domain with root `v` of order `M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Basis {
    /// `C(L_k)`, `L_k(v^k) = 1` and zero at the others.
    Lagrange,
    /// The sum of `C(L_i)` over `i > k`.
    Suffix,
    /// `1/M` times the sum of `i v^(-k (i + 1)) tau^i G1`, which openings of all points need.
    Derivative,
}

impl Basis {
    const fn name(self) -> &'static str {
        match self {
            Self::Lagrange => "lagrange",
            Self::Suffix => "suffix",
            Self::Derivative => "derivative",
        }
    }
}

type Tables = BTreeMap<(Basis, usize), Arc<Vec<G1Affine>>>;

/// Tables made so far, shared by clones of a setup.
#[derive(Clone, Default)]
pub(super) struct Bases {
    tables: Arc<Mutex<Tables>>,
    /// Where tables are kept; their names are added to this.
    file: Option<PathBuf>,
}

impl fmt::Debug for Bases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bases").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Bases {
    /// Tables kept beside a setup's file.
    pub(super) fn beside(file: &Path) -> Self {
        Self { file: Some(file.into()), ..Self::default() }
    }
}

impl Srs {
    /// Makes what proofs with pages of `page_size` earners need, and keeps it beside the setup's
    /// file if it has one. Proving does this by itself when it is missing: for 2^16 earners and a
    /// setup whose secret is not known this takes some ten seconds once.
    ///
    /// # Errors
    /// [`Error::DomainSize`] unless `page_size` is a power of two,
    /// [`Error::TooManyCoefficients`] if the setup has fewer powers.
    pub fn prepare(&self, page_size: u32) -> Result<()> {
        self.basis(Basis::Suffix, page_size as usize).map(drop)
    }

    /// Points of a basis, made when first asked for.
    ///
    /// # Errors
    /// [`Error::DomainSize`] unless `size` is a power of two, [`Error::TooManyCoefficients`] if the
    /// setup has fewer powers.
    pub(crate) fn basis(&self, basis: Basis, size: usize) -> Result<Arc<Vec<G1Affine>>> {
        let tables = || self.bases.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables().get(&(basis, size)) {
            return Ok(Arc::clone(table));
        }
        root_of_unity(size)?;
        if size > self.g1.len() {
            return Err(Error::TooManyCoefficients { given: size, max: self.g1.len() });
        }
        // Made without the lock: whoever waits for it may be what makes it.
        let table = Arc::new(self.read_or_make(basis, size)?);
        tables().insert((basis, size), Arc::clone(&table));
        Ok(table)
    }

    fn read_or_make(&self, basis: Basis, size: usize) -> Result<Vec<G1Affine>> {
        if basis == Basis::Suffix {
            return Ok(suffix_sums(&self.basis(Basis::Lagrange, size)?));
        }
        // Tables of small domains and of known secrets are made sooner than read.
        let file = self.bases.file.as_ref().filter(|_| self.secret.is_none() && size >= 1 << 12);
        let file = file.map(|file| file.with_extension(format!("{}-{size}", basis.name())));
        if let Some(file) = &file
            && fs::exists(file).map_err(|source| Error::File { path: file.clone(), source })?
        {
            return cache::read_points(file, self.tau_g2, size);
        }
        let table = match self.secret {
            Some(secret) => from_secret(basis, size, secret)?,
            None => from_powers(basis, size, &self.g1[..size])?,
        };
        if let Some(file) = &file {
            cache::write_points(file, self.tau_g2, &table)?;
        }
        Ok(table)
    }
}

/// Factors `i` of the power `tau^i` before the inverse transform.
fn weight(basis: Basis, i: usize, inverse_size: Fr) -> Fr {
    match basis {
        Basis::Lagrange | Basis::Suffix => inverse_size,
        Basis::Derivative => inverse_size * Fr::from(i as u64),
    }
}

fn from_powers(basis: Basis, size: usize, powers: &[G1Affine]) -> Result<Vec<G1Affine>> {
    let inverse_size = Fr::from(size as u64).inverse().expect("a size is not zero");
    let scaled = powers.par_iter().enumerate();
    let scaled: Vec<_> =
        scaled.map(|(i, power)| Factor::new(weight(basis, i, inverse_size)).of(power)).collect();
    let mut scaled = normalise(&scaled);
    if basis == Basis::Derivative {
        // v^(-k (i + 1)) instead of v^(-k i).
        scaled.rotate_right(1);
    }
    Ok(Twiddles::new(size, true)?.transform(scaled, || ()))
}

/// `L_k(tau) = (tau^M - 1) v^k / (M (tau - v^k))` times the generator, or the table's like.
fn from_secret(basis: Basis, size: usize, tau: Fr) -> Result<Vec<G1Affine>> {
    let values = match basis {
        Basis::Lagrange | Basis::Suffix => lagrange_at(size, tau)?,
        Basis::Derivative => {
            let powers = std::iter::successors(Some(Fr::one()), |power| Some(*power * tau));
            let inverse_size = Fr::from(size as u64).inverse().expect("a size is not zero");
            let powers = powers.take(size).enumerate();
            let mut scaled: Vec<_> =
                powers.map(|(i, power)| weight(basis, i, inverse_size) * power).collect();
            // The factor 1/M is in the weights, so the transform is the forward one, reversed.
            scaled.rotate_right(1);
            forward(&mut scaled)?;
            scaled[1..].reverse();
            scaled
        }
    };
    Ok(G1Projective::from(G1Affine::generator()).batch_mul(&values))
}

fn forward(values: &mut Vec<Fr>) -> Result<()> {
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    let size = values.len();
    let domain =
        Radix2EvaluationDomain::<Fr>::new(size).ok_or(Error::DomainSize { given: size })?;
    domain.fft_in_place(values);
    Ok(())
}

/// `L_k(x)` of every `k`, for an x that is not in the domain.
fn lagrange_at(size: usize, x: Fr) -> Result<Vec<Fr>> {
    let root = root_of_unity(size)?;
    let points: Vec<_> =
        std::iter::successors(Some(Fr::one()), |point| Some(*point * root)).take(size).collect();
    let mut values: Vec<_> = points.iter().map(|point| x - point).collect();
    batch_inversion(&mut values);
    let size_inverse = Fr::from(size as u64).inverse().expect("a size is not zero");
    let scale = (x.pow([size as u64]) - Fr::one()) * size_inverse;
    values.iter_mut().zip(&points).for_each(|(value, point)| *value *= scale * point);
    Ok(values)
}

fn suffix_sums(points: &[G1Affine]) -> Vec<G1Affine> {
    let mut sum = G1Projective::zero();
    let mut sums = vec![sum; points.len()];
    for (point, suffix) in points.iter().zip(&mut sums).rev() {
        *suffix = sum;
        sum += point;
    }
    normalise(&sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_a_secret_and_of_powers_are_the_same() {
        for size in [1, 2, 8, 64] {
            let known = Srs::dev(31_337, b"bases", 64).unwrap();
            let unknown = Srs { secret: None, bases: Bases::default(), ..known.clone() };
            for basis in [Basis::Lagrange, Basis::Suffix, Basis::Derivative] {
                let made = unknown.basis(basis, size).unwrap();
                assert_eq!(known.basis(basis, size).unwrap(), made, "{basis:?} {size}");
            }
        }
    }

    #[test]
    fn values_and_coefficients_commit_to_the_same() {
        let srs = Srs::dev(31_337, b"bases", 64).unwrap();
        let values: Vec<_> = (0..32_u64).map(|i| Fr::from(i * i * 7 + 3)).collect();
        let polynomial = crate::Polynomial::interpolate(values.clone()).unwrap();
        let expected = srs.commit(polynomial.coefficients()).unwrap();
        let table = srs.basis(Basis::Lagrange, 32).unwrap();
        let sum: G1Projective =
            table.iter().zip(&values).map(|(point, value)| *point * value).sum();
        assert_eq!(G1Affine::from(sum), expected);
        // As steps: what is added from each point to the next.
        let steps: Vec<_> = (0..32).map(|k| values[(k + 1) % 32] - values[k]).collect();
        let table = srs.basis(Basis::Suffix, 32).unwrap();
        let sum: G1Projective = table.iter().zip(&steps).map(|(point, step)| *point * step).sum();
        let constant = srs.g1()[0] * values[0];
        assert_eq!(G1Affine::from(sum + constant), expected);
        assert!(matches!(srs.basis(Basis::Lagrange, 128), Err(Error::TooManyCoefficients { .. })));
        assert!(matches!(srs.basis(Basis::Lagrange, 24), Err(Error::DomainSize { .. })));
    }

    #[test]
    fn tables_are_kept_beside_the_setup_and_damaged_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("setup.bin");
        let size = 1 << 12;
        let known = Srs::dev(31_337, b"bases", size).unwrap();
        let unknown = || Srs { secret: None, bases: Bases::beside(&file), ..known.clone() };
        let made = unknown().basis(Basis::Lagrange, size).unwrap();
        let kept = file.with_extension("lagrange-4096");
        let bytes = fs::read(&kept).unwrap();
        assert_eq!(unknown().basis(Basis::Lagrange, size).unwrap(), made);
        assert_eq!(known.basis(Basis::Lagrange, size).unwrap(), made);
        let mut damaged = bytes;
        damaged[1000] ^= 1;
        fs::write(&kept, damaged).unwrap();
        let refused = unknown().basis(Basis::Lagrange, size);
        assert!(matches!(refused, Err(Error::SetupFile { .. })));
    }
}
