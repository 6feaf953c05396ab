//! Fourier transforms of points of G1.

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, AffineRepr, CurveGroup, scalar_mul::glv::GLVConfig};
use ark_ff::{One, PrimeField, Zero};
use rayon::prelude::*;

use crate::{Result, root_of_unity};

/// Bits of a window of signed digits.
const WIDTH: u32 = 4;

/// A scalar ready to multiply many points: signed digits of its two halves, `k = a + lambda b` with
/// halves of 128 bits (Gallant, Lambert and Vanstone 2001).
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    is_one: bool,
    /// Odd digits below 2^WIDTH / 2 in absolute value, or zero; lowest first.
    halves: [Vec<i8>; 2],
}

impl Factor {
    pub(crate) fn new(scalar: Fr) -> Self {
        let (a, b) = ark_bn254::g1::Config::scalar_decomposition(scalar);
        let half = |(positive, half): (bool, Fr)| {
            let mut digits = digits(half);
            if !positive {
                digits.iter_mut().for_each(|digit| *digit = -*digit);
            }
            digits
        };
        Self { is_one: scalar.is_one(), halves: [half(a), half(b)] }
    }

    pub(crate) fn of(&self, point: &G1Affine) -> G1Projective {
        if self.is_one || point.is_zero() {
            return point.into_group();
        }
        let table = odd_multiples(point);
        let endomorphic = table.map(|point| ark_bn254::g1::Config::endomorphism(&point));
        let mut sum = G1Projective::zero();
        for i in (0..self.halves.iter().map(Vec::len).max().unwrap_or(0)).rev() {
            sum.double_in_place();
            for (digits, table) in self.halves.iter().zip([&table, &endomorphic]) {
                match digits.get(i) {
                    Some(&digit) if digit > 0 => sum += table[digit as usize / 2],
                    Some(&digit) if digit < 0 => sum -= table[digit.unsigned_abs() as usize / 2],
                    _ => {}
                }
            }
        }
        sum
    }
}

/// `P, 3 P, 5 P, 7 P`
fn odd_multiples(point: &G1Affine) -> [G1Projective; 1 << (WIDTH - 2)] {
    let mut table = [point.into_group(); 1 << (WIDTH - 2)];
    let twice = table[0].double();
    for i in 1..table.len() {
        table[i] = table[i - 1] + twice;
    }
    table
}

/// Signed digits of a scalar below 2^128, of which one in five is not zero.
fn digits(scalar: Fr) -> Vec<i8> {
    let [low, high, rest @ ..] = scalar.into_bigint().0;
    debug_assert_eq!(rest, [0, 0], "halves have 128 bits");
    let mut rest = u128::from(high) << 64 | u128::from(low);
    let mut carry = false;
    let mut digits = Vec::with_capacity(130);
    while rest > 0 || carry {
        // The carry is worth one at the place of the lowest bit.
        let odd = (rest & 1 == 1) != carry;
        if odd {
            let window = (rest & ((1 << WIDTH) - 1)) as i8 + i8::from(carry);
            carry = window >= 1 << (WIDTH - 1);
            let digit = if carry { window - (1 << WIDTH) } else { window };
            // The window's bits are spent: the digit stands for them, with the carry above.
            digits.push(digit);
            rest >>= WIDTH;
            digits.extend(std::iter::repeat_n(0, WIDTH as usize - 1));
        } else {
            digits.push(0);
            rest >>= 1;
        }
    }
    digits
}

/// Factors by which a transform of `size` points multiplies: powers of the root of unity, or of its
/// inverse.
#[derive(Debug)]
pub(crate) struct Twiddles {
    size: usize,
    powers: Vec<Factor>,
}

impl Twiddles {
    pub(crate) fn new(size: usize, inverse: bool) -> Result<Self> {
        let root = root_of_unity(size)?;
        let root = if inverse {
            ark_ff::Field::inverse(&root).expect("a root of unity is not zero")
        } else {
            root
        };
        let powers: Vec<_> = std::iter::successors(Some(Fr::one()), |power| Some(*power * root))
            .take((size / 2).max(1))
            .collect();
        Ok(Self { size, powers: powers.into_par_iter().map(Factor::new).collect() })
    }

    /// Transforms: point `k` becomes the sum of point `i` times `root^(i k)`. Calls `stage` after
    /// each of `log2 size` stages.
    pub(crate) fn transform(
        &self,
        points: Vec<G1Affine>,
        mut stage: impl FnMut(),
    ) -> Vec<G1Affine> {
        assert_eq!(points.len(), self.size, "twiddles are of a size");
        let mut points = bit_reversed(points);
        let mut half = 1;
        while half < self.size {
            let stride = self.size / (2 * half);
            let butterfly = |k: usize| {
                let at = k / half * 2 * half + k % half;
                let (even, odd) = (points[at], points[at + half]);
                let odd = self.powers[k % half * stride].of(&odd);
                [odd + even, -odd + even]
            };
            let pairs: Vec<_> = (0..self.size / 2).into_par_iter().map(butterfly).collect();
            let mut next = vec![G1Projective::zero(); self.size];
            for (k, [sum, difference]) in pairs.into_iter().enumerate() {
                let at = k / half * 2 * half + k % half;
                (next[at], next[at + half]) = (sum, difference);
            }
            points = normalise(&next);
            half *= 2;
            stage();
        }
        points
    }
}

/// Affine points, in chunks for all cores.
pub(crate) fn normalise(points: &[G1Projective]) -> Vec<G1Affine> {
    points.par_chunks(1 << 10).flat_map_iter(G1Projective::normalize_batch).collect()
}

fn bit_reversed<T: Copy>(values: Vec<T>) -> Vec<T> {
    let bits = values.len().ilog2();
    (0..values.len())
        .map(
            |i| {
                if bits == 0 { values[i] } else { values[i.reverse_bits() >> (usize::BITS - bits)] }
            },
        )
        .collect()
}
