//! Fixed-order float sums.
//!
//! Each function adds in one order that depends on the length alone: eight lanes, then one tree.
//! Rust never fuses or reorders float operations, so the bits are the same on every CPU and for
//! every thread count.

const LANES: usize = 8;

/// `sum a[i] b[i]`, accumulated in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (a_body, b_body) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_body.remainder().iter().zip(b_body.remainder());
    let tail = tail.fold(0.0, |sum, (x, y)| sum + f64::from(*x) * f64::from(*y));
    for (x, y) in a_body.zip(b_body) {
        for k in 0..LANES {
            lanes[k] += f64::from(x[k]) * f64::from(y[k]);
        }
    }
    tree(lanes) + tail
}

/// `sum a[i] b[i]` of a vector that is in f64 already.
pub(crate) fn dot_wide(a: &[f64], b: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (a_body, b_body) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_body.remainder().iter().zip(b_body.remainder());
    let tail = tail.fold(0.0, |sum, (x, y)| sum + x * f64::from(*y));
    for (x, y) in a_body.zip(b_body) {
        for k in 0..LANES {
            lanes[k] += x[k] * f64::from(y[k]);
        }
    }
    tree(lanes) + tail
}

/// `out += gain * v`.
pub(crate) fn add_scaled(out: &mut [f64], gain: f64, v: &[f32]) {
    for (sum, x) in out.iter_mut().zip(v) {
        *sum += gain * f64::from(*x);
    }
}

/// `out += gain * v` of a vector that is in f64 already.
pub(crate) fn add_scaled_wide(out: &mut [f64], gain: f64, v: &[f64]) {
    for (sum, x) in out.iter_mut().zip(v) {
        *sum += gain * x;
    }
}

fn tree(l: [f64; LANES]) -> f64 {
    ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_of_any_length_equal_integer_sums() {
        for n in [0usize, 1, 7, 8, 9, 31, 64] {
            let a: Vec<f32> = (0..n).map(|i| i as f32 - 3.0).collect();
            let b: Vec<f32> = (0..n).map(|i| 2.0 * i as f32 + 1.0).collect();
            let exact: i64 = (0..n as i64).map(|i| (i - 3) * (2 * i + 1)).sum();
            assert_eq!(dot(&a, &b), exact as f64);
            let wide: Vec<f64> = a.iter().map(|x| f64::from(*x)).collect();
            assert_eq!(dot_wide(&wide, &b), exact as f64);
        }
    }
}
