//! Elementary functions and reductions of fixed order.

use super::LANES;

/// `e^x` in f32, relative error below 2e-7; arguments are clamped to `[-87, 88]`.
///
/// Cephes' `expf`: `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial in `r`, times `2^n`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a rounding
    // instruction, which the baseline lacks.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5.000_000_3e-1;
    let value = p * (r * r) + r + 1.0;
    // The integer n stands in the low bits of n + ROUND; a NaN gives some bits times NaN.
    let exponent = (n + (ROUND + 127.0)).to_bits() << 23;
    value * f32::from_bits(exponent)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `tanh x` in f32, absolute error below 2e-7 and relative error below 5e-7.
///
/// Cephes' `tanhf`: an odd polynomial below 0.625, `1 - 2 / (e^2x + 1)` above.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    p = p * square + 2.063_908_8e-2;
    p = p * square - 5.373_971_5e-2;
    p = p * square + 1.333_144_2e-1;
    p = p * square - 3.333_328e-1;
    let near = p * square * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

/// Sum of a term for each place of some rows of the same length: lane `l` adds the terms `l, l + 16,
/// ...` in order, then the lanes are added in halves. Zeros at the end do not change the result.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub(crate) fn sum_lanes<const N: usize>(rows: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let count = rows[0].len();
    let whole = count / LANES;
    let mut chunks: [&[[f32; LANES]]; N] = [&[]; N];
    for n in 0..N {
        assert_eq!(rows[n].len(), count, "rows of different lengths");
        chunks[n] = &rows[n].as_chunks().0[..whole];
    }
    let mut lanes = [0.0f32; LANES];
    #[expect(clippy::needless_range_loop, reason = "a place in several rows")]
    for index in 0..whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let mut values = [0.0; N];
            for n in 0..N {
                values[n] = chunks[n][index][lane];
            }
            *sum += term(values);
        }
    }
    for (index, sum) in (whole * LANES..count).zip(&mut lanes) {
        let mut values = [0.0; N];
        for n in 0..N {
            values[n] = rows[n][index];
        }
        *sum += term(values);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest of `values`, NaN left out; negative infinity if there is none.
#[inline(always)]
pub(crate) fn max_lanes(values: &[f32]) -> f32 {
    // Not `f32::max`, whose care for NaN costs more than the comparison.
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |top, value| larger(top, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_a_few_units_of_the_exact_value() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let exact = libm::exp(f64::from(x));
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "x {x}: {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn tanh_is_within_a_few_units_of_the_exact_value() {
        for step in -20_000..=20_000 {
            let x = step as f32 / 1000.0;
            let exact = libm::tanh(f64::from(x));
            let error = (f64::from(tanh(x)) - exact).abs();
            assert!(error < 2e-7 && error <= 5e-7 * exact.abs(), "x {x}: {error:e}");
        }
        assert_eq!((tanh(1e30), tanh(-1e30), tanh(0.0)), (1.0, -1.0, 0.0));
    }

    #[test]
    fn lane_sum_ignores_zeros_at_the_end_and_equals_the_exact_sum_of_integers() {
        let terms: Vec<f32> = (0..45).map(|i| (i * i) as f32).collect();
        let padded: Vec<f32> = terms.iter().copied().chain([0.0; 19]).collect();
        assert_eq!(sum_lanes([&terms], |[term]| term), 29_370.0);
        assert_eq!(sum_lanes([&padded], |[term]| term), 29_370.0);
    }

    #[test]
    fn the_largest_is_found_wherever_it_stands() {
        let values: Vec<f32> = (0..45).map(|i| -1.0 - i as f32).collect();
        for at in 0..45 {
            let mut values = values.clone();
            values[(at + 7) % 45] = f32::NAN;
            values[at] = 0.5;
            assert_eq!(max_lanes(&values), 0.5);
        }
        assert_eq!(max_lanes(&values[3..5]), -4.0);
        assert_eq!(max_lanes(&[f32::NAN]), f32::NEG_INFINITY);
    }
}
