//! All openings of a page together (Feist and Khovratovich 2020): their witnesses are a convolution
//! over the group, so two transforms of points give them all.
//!
//! With values `y_k` at `v^k` and Lagrange polynomials `L_k`, the witness at `v^k` is
//!
//! ```text
//! W_k = sum_{j != k} (y_j - y_k) / (v^j - v^k) C(L_j) + P'(v^k) C(L_k)
//! ```
//!
//! because `(P - y_k) / (X - v^k)` has these values. The kernel `1 / (v^t - 1)`, zero at `t = 0`,
//! has the transform `(M + 1)/2 - s` at `s` from 1 to `M`. That leaves, with `Y_s` the inverse
//! transform (without `1/M`) of `y_j C(L_j)`, indices taken round the domain:
//!
//! ```text
//! W_k = - sum_u (u + 1)/M Y_(u+1) v^(k u) + (M v^-k y_k + P'(v^k)) C(L_k) - y_k D_k
//! D_k = 1/M sum_i i v^(-k (i + 1)) tau^i G1
//! ```

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ff::{Field, One, Zero};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;

use crate::{
    Error, Opening, Polynomial, Result, Srs,
    group::{Factor, Twiddles, normalise},
    srs::Basis,
};

/// How far the openings of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningProgress {
    /// Stages that have ended.
    pub done: u32,
    /// Stages in all: they take about the same time.
    pub of: u32,
}

/// Witnesses at all points of the domain, in its order.
pub(crate) fn open_all(
    srs: &Srs,
    polynomial: &Polynomial,
    mut progress: impl FnMut(OpeningProgress),
) -> Result<Vec<Opening>> {
    let size = polynomial.size();
    let domain =
        Radix2EvaluationDomain::<Fr>::new(size).ok_or(Error::DomainSize { given: size })?;
    let lagrange = srs.basis(Basis::Lagrange, size)?;
    let derivative = srs.basis(Basis::Derivative, size)?;
    let of = 2 * size.ilog2() + 1;
    let mut done = 0;
    let mut stage = || {
        done += 1;
        progress(OpeningProgress { done, of });
    };

    let values = domain.fft(polynomial.coefficients());
    let size_inverse = Fr::from(size as u64).inverse().expect("a size is not zero");
    let scaled = values.par_iter().zip(&*lagrange);
    let scaled: Vec<_> = scaled.map(|(&y, point)| times(y * size_inverse, point)).collect();
    let mut sums = Twiddles::new(size, true)?.transform(normalise(&scaled), &mut stage);
    sums.rotate_left(1);
    let weighted = sums.par_iter().enumerate();
    let weighted: Vec<_> = weighted.map(|(u, sum)| -small_multiple(u as u64 + 1, sum)).collect();
    let sums = Twiddles::new(size, false)?.transform(normalise(&weighted), &mut stage);

    let slopes = domain.fft(&differentiate(polynomial.coefficients()));
    let inverse_root = domain.group_gen_inv();
    let own = (0..size).into_par_iter().map(|k| {
        let y = values[k];
        let factor = Fr::from(size as u64) * inverse_root.pow([k as u64]) * y + slopes[k];
        times(factor, &lagrange[k]) - times(y, &derivative[k]) + sums[k]
    });
    let witnesses = normalise(&own.collect::<Vec<_>>());
    stage();
    let openings = witnesses.into_iter().zip(values).enumerate();
    Ok(openings
        .map(|(index, (witness, value))| Opening { domain_size: size, index, value, witness })
        .collect())
}

fn times(scalar: Fr, point: &G1Affine) -> G1Projective {
    if scalar.is_zero() { G1Projective::zero() } else { Factor::new(scalar).of(point) }
}

/// For the few bits of an index plain doubling and adding is quickest.
fn small_multiple(factor: u64, point: &G1Affine) -> G1Projective {
    use ark_ec::AffineRepr;
    point.mul_bigint([factor])
}

fn differentiate(coefficients: &[Fr]) -> Vec<Fr> {
    let mut exponent = Fr::zero();
    let powers = coefficients.iter().skip(1);
    powers
        .map(|coefficient| {
            exponent += Fr::one();
            exponent * coefficient
        })
        .collect()
}
