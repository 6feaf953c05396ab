//! Sums of points times scalars, by buckets of affine points (Pippenger 1976). Additions of affine
//! points need an inversion each, which hundreds of them share (Montgomery's trick): half the work of
//! projective ones.

use std::collections::BTreeMap;

use ark_bn254::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::{AdditiveGroup, AffineRepr};
use ark_ff::{BigInteger, Field, One, PrimeField, Zero};
use rayon::prelude::*;

/// Below so many points it does not pay to share inversions.
const FEW: usize = 32;

/// Nor below so many additions.
const SHARING: usize = 16;

/// `sum_i scalars[i] points[i]`, of as many as there are of both.
pub(crate) fn msm(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    let scalars: Vec<_> = scalars.par_iter().map(|scalar| scalar.into_bigint()).collect();
    let bits = scalars.par_iter().map(|scalar| scalar.num_bits()).max().unwrap_or(0);
    if points.len() < FEW {
        let terms = points.iter().zip(&scalars);
        return terms.map(|(point, scalar)| point.mul_bigint(*scalar)).sum();
    }
    let width = window(points.len());
    // One bit more for the carry of the highest window.
    let windows = (bits + 1).div_ceil(width);
    let sums: Vec<_> = (0..windows)
        .into_par_iter()
        .map(|window| {
            let digits = scalars.iter().map(|scalar| digit(&scalar.0, window, width));
            bucket_sum(points, digits, width)
        })
        .collect();
    sums.into_iter().rev().fold(G1Projective::zero(), |mut sum, window| {
        for _ in 0..width {
            sum.double_in_place();
        }
        sum + window
    })
}

/// Bits of a window: additions to buckets grow with the windows, sums of buckets with their number.
const fn window(points: usize) -> u32 {
    match points.ilog2() {
        0..=6 => 4,
        7..=9 => 6,
        10..=11 => 8,
        12..=13 => 10,
        14..=15 => 12,
        16..=17 => 13,
        18 => 14,
        _ => 16,
    }
}

/// Digit from `-2^(width-1)` to `2^(width-1)` of a window: with the bit below it as a carry.
fn digit(limbs: &[u64; 4], window: u32, width: u32) -> i32 {
    let bits = |at: u32, count: u32| {
        let (limb, shift) = ((at / 64) as usize, at % 64);
        let low = limbs.get(limb).map_or(0, |l| l >> shift);
        let high =
            if shift == 0 { 0 } else { limbs.get(limb + 1).map_or(0, |l| l << (64 - shift)) };
        ((low | high) & ((1 << count) - 1)) as i32
    };
    let at = window * width;
    let carry = if at == 0 { 0 } else { bits(at - 1, 1) };
    let value = bits(at, width);
    // The highest bit counts negative here and is the carry of the next window (Booth).
    let negative = value >> (width - 1) << width;
    value + carry - negative
}

/// `sum_i digit_i points[i]`
fn bucket_sum(points: &[G1Affine], digits: impl Iterator<Item = i32>, width: u32) -> G1Projective {
    let mut buckets = Buckets::new(1 << (width - 1));
    for (point, digit) in points.iter().zip(digits) {
        if digit != 0 && !point.is_zero() {
            let point = if digit < 0 { -*point } else { *point };
            buckets.add(digit.unsigned_abs() as usize - 1, point);
        }
    }
    buckets.sum()
}

/// Points waiting to be added to their buckets, at most one for each bucket.
struct Buckets {
    sums: Vec<G1Affine>,
    /// Whether a bucket has a point waiting.
    busy: Vec<bool>,
    waiting: Vec<(u32, G1Affine)>,
    /// Points of busy buckets, for the next round.
    later: Vec<(u32, G1Affine)>,
    /// What was added to buckets without sharing inversions.
    plain: BTreeMap<u32, G1Projective>,
    differences: Vec<Fq>,
    size: usize,
}

impl Buckets {
    fn new(count: usize) -> Self {
        // Few of the waiting should meet in a bucket.
        let size = (count / 8).clamp(8, 1024);
        Self {
            sums: vec![G1Affine::identity(); count],
            busy: vec![false; count],
            waiting: Vec::with_capacity(size),
            later: Vec::new(),
            plain: BTreeMap::new(),
            differences: Vec::with_capacity(size),
            size,
        }
    }

    fn add(&mut self, bucket: usize, point: G1Affine) {
        self.add_once(bucket as u32, point);
        if self.waiting.len() >= self.size || self.later.len() >= self.size {
            self.flush();
        }
    }

    fn add_once(&mut self, bucket: u32, point: G1Affine) {
        let at = bucket as usize;
        if self.busy[at] {
            self.later.push((bucket, point));
        } else if self.sums[at].is_zero() {
            self.sums[at] = point;
        } else {
            self.busy[at] = true;
            self.waiting.push((bucket, point));
        }
    }

    /// Adds what waits, and of what came later what can be.
    fn flush(&mut self) {
        if self.waiting.len() < SHARING {
            self.add_plainly();
            return;
        }
        self.add_waiting();
        for (bucket, point) in std::mem::take(&mut self.later) {
            self.add_once(bucket, point);
        }
    }

    /// One digit has most of the points: they cannot be added at once.
    fn add_plainly(&mut self) {
        for (bucket, point) in self.later.drain(..) {
            *self.plain.entry(bucket).or_default() += point;
        }
    }

    /// `(x, y) + (x', y')` has the slope `(y' - y) / (x' - x)`, or that of the tangent.
    fn add_waiting(&mut self) {
        let difference = |sums: &[G1Affine], (bucket, point): &(u32, G1Affine)| {
            let sum = &sums[*bucket as usize];
            if sum.x != point.x {
                point.x - sum.x
            } else if sum.y == point.y {
                // No point of the curve has y = 0: its order is odd.
                sum.y.double()
            } else {
                // Opposite points: nothing is divided.
                Fq::one()
            }
        };
        self.differences.clear();
        self.differences.extend(self.waiting.iter().map(|entry| difference(&self.sums, entry)));
        invert(&mut self.differences);
        for ((bucket, point), inverse) in self.waiting.drain(..).zip(&self.differences) {
            let sum = &mut self.sums[bucket as usize];
            self.busy[bucket as usize] = false;
            let rise = if sum.x != point.x {
                point.y - sum.y
            } else if sum.y == point.y {
                let square = sum.x.square();
                square.double() + square
            } else {
                *sum = G1Affine::identity();
                continue;
            };
            let slope = rise * inverse;
            let x = slope.square() - sum.x - point.x;
            let y = slope * (sum.x - x) - sum.y;
            *sum = G1Affine::new_unchecked(x, y);
        }
    }

    /// The first bucket once, the second twice, and so on.
    fn sum(mut self) -> G1Projective {
        while self.waiting.len() >= SHARING {
            self.flush();
        }
        self.add_plainly();
        self.add_waiting();
        let (mut running, mut sum) = (G1Projective::zero(), G1Projective::zero());
        for (bucket, point) in self.sums.iter().enumerate().rev() {
            running += point;
            if let Some(plain) = self.plain.get(&(bucket as u32)) {
                running += plain;
            }
            sum += running;
        }
        sum
    }
}

/// Inverts all by one inversion; none is zero.
fn invert(values: &mut [Fq]) {
    let mut products = Vec::with_capacity(values.len());
    let mut product = Fq::one();
    for value in values.iter() {
        products.push(product);
        product *= value;
    }
    let mut inverse = product.inverse().expect("no factor is zero");
    for (value, before) in values.iter_mut().zip(products).rev() {
        let next = inverse * *value;
        *value = inverse * before;
        inverse = next;
    }
}

#[cfg(test)]
mod tests {
    use ark_ec::VariableBaseMSM;
    use proptest::prelude::*;

    use super::*;
    use crate::Srs;

    fn check(points: &[G1Affine], scalars: &[Fr]) {
        let expected = G1Projective::msm(points, scalars).unwrap();
        assert_eq!(msm(points, scalars), expected);
    }

    fn points(count: usize) -> Vec<G1Affine> {
        Srs::dev(31_337, b"sums", 2048.max(count)).unwrap().g1()[..count].to_vec()
    }

    #[test]
    fn sums_are_those_of_arkworks() {
        let all = points(2048);
        for count in [0, 1, 2, 31, 32, 33, 100, 1000, 2048] {
            let scalars: Vec<_> =
                (0..count as u64).map(|i| Fr::from(i * i + 1).inverse().unwrap()).collect();
            check(&all[..count], &scalars);
            let small: Vec<_> = (0..count as u64).map(|i| Fr::from(i % 7)).collect();
            check(&all[..count], &small);
        }
    }

    #[test]
    fn equal_and_opposite_points_and_the_ends_of_the_range_add_up() {
        let mut all = points(64);
        all[1] = all[0];
        all[2] = -all[0];
        all[5] = G1Affine::identity();
        for scalar in
            [Fr::zero(), Fr::one(), -Fr::one(), Fr::from(7), Fr::from(8), Fr::from(1_u64 << 63)]
        {
            check(&all, &vec![scalar; 64]);
            check(&vec![all[0]; 64], &vec![scalar; 64]);
        }
        let alternating: Vec<_> =
            (0..64).map(|i| if i % 2 == 0 { all[0] } else { -all[0] }).collect();
        check(&alternating, &vec![Fr::from(5); 64]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_sum_is_that_of_arkworks(
            scalars in prop::collection::vec(any::<[u64; 4]>(), 0..300),
            shift in 0_u32..256,
        ) {
            let scalars: Vec<_> = scalars
                .into_iter()
                .map(|limbs| {
                    let mut number = ark_ff::BigInt::new(limbs);
                    number >>= shift;
                    Fr::from_le_bytes_mod_order(&number.to_bytes_le())
                })
                .collect();
            check(&points(scalars.len()), &scalars);
        }
    }
}
