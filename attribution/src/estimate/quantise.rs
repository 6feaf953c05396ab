//! Whitened floats to int8, for rows under one public scale and for queries each under its own.

use super::kernel::dot;

/// `||w||^2`.
pub(crate) fn squared_norm(w: &[f32]) -> f64 {
    dot(w, w)
}

/// `t = w / ||w||^(1/2)` in place; a zero row stays zero.
pub(crate) fn divide_by_root_norm(w: &mut [f32]) {
    let root = squared_norm(w).sqrt().sqrt();
    if root > 0.0 {
        w.iter_mut().for_each(|x| *x = (f64::from(*x) / root) as f32);
    }
}

/// `clip(round(scale t), -127, 127)`, half away from zero, and how many numbers were clipped.
pub(crate) fn row(t: &[f32], scale: f32, out: &mut [i8]) -> usize {
    let mut clipped = 0;
    for (x, out) in t.iter().zip(out) {
        let wanted = (f64::from(*x) * f64::from(scale)).round();
        clipped += usize::from(wanted.abs() > 127.0);
        *out = wanted.clamp(-127.0, 127.0) as i8;
    }
    clipped
}

/// `round(127 q / ||q||_inf)`, half away from zero; a zero query stays zero.
pub(crate) fn query(q: &[f32]) -> Vec<i8> {
    let largest = q.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return vec![0; q.len()];
    }
    q.iter().map(|x| (127.0 * f64::from(*x) / f64::from(largest)).round() as i8).collect()
}

/// Counts magnitudes in bins of 1/128 relative width (the upper half of the float's bits), so that
/// a quantile over all rows needs one pass and no order.
#[derive(Debug)]
pub(crate) struct Magnitudes {
    bins: Vec<u64>,
    total: u64,
}

impl Magnitudes {
    pub(crate) fn new() -> Self {
        Self { bins: vec![0; 1 << 16], total: 0 }
    }

    pub(crate) fn add(&mut self, t: &[f32]) {
        for x in t {
            self.bins[(x.abs().to_bits() >> 16) as usize] += 1;
        }
        self.total += t.len() as u64;
    }

    /// The least bin edge that at most `share` of the magnitudes reach; `None` if all are zero.
    pub(crate) fn exceeded_by(&self, share: f64) -> Option<f32> {
        let allowed = (share * self.total as f64) as u64;
        let mut above = 0;
        for (bin, count) in self.bins.iter().enumerate().skip(1).rev() {
            above += count;
            if above > allowed {
                return Some(f32::from_bits((bin as u32 + 1) << 16)).filter(|x| x.is_finite());
            }
        }
        let largest = self.bins.iter().rposition(|count| *count > 0).filter(|bin| *bin > 0)?;
        Some(f32::from_bits((largest as u32 + 1) << 16)).filter(|x| x.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_use_the_whole_range_and_round_half_away_from_zero() {
        assert_eq!(query(&[0.5, -1.0, 0.25, 0.0]), [64, -127, 32, 0]);
        assert_eq!(query(&[0.0, -0.0]), [0, 0]);
        assert_eq!(query(&[f32::MIN_POSITIVE / 4.0, 0.0]), [127, 0]);
    }

    #[test]
    fn rows_clip_at_127_and_count_it() {
        let mut out = [0; 4];
        assert_eq!(row(&[1.0, -2.0, 12.74, -13.0], 10.0, &mut out), 1);
        assert_eq!(out, [10, -20, 127, -127]);
    }

    #[test]
    fn dividing_by_the_root_of_the_norm_leaves_the_root() {
        let mut t = [3.0, 4.0];
        divide_by_root_norm(&mut t);
        assert!((squared_norm(&t) - 5.0).abs() < 1e-6);
    }

    #[test]
    fn the_edge_is_exceeded_by_the_share_asked_for() {
        let values: Vec<f32> = (1..=1000).map(|i| i as f32).collect();
        let mut magnitudes = Magnitudes::new();
        magnitudes.add(&values);
        let edge = magnitudes.exceeded_by(0.1).unwrap();
        assert!((900.0..908.0).contains(&edge), "{edge}");
        assert!(magnitudes.exceeded_by(0.0).unwrap() >= 1000.0);
        assert_eq!(Magnitudes::new().exceeded_by(0.5), None);
    }
}
