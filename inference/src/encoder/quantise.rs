//! Unit vectors as int8.

/// What a unit vector is multiplied by before it is rounded. Of all-MiniLM-L6-v2's vectors over the
/// project's Datanets, numbers above `127 / 512 = 0.248` are so rare that clipping them moves no
/// cosine by more than rounding does (`bench/retrieval` prints both).
pub const VECTOR_SCALE: u32 = 512;

/// `clip(round(512 x), -127, 127)`, half away from zero.
#[must_use]
pub fn quantise(vector: &[f32]) -> Vec<i8> {
    let one = |x: &f32| (f64::from(*x) * f64::from(VECTOR_SCALE)).round().clamp(-127.0, 127.0);
    vector.iter().map(|x| one(x) as i8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_clipped() {
        let step = 1.0 / 512.0;
        assert_eq!(
            quantise(&[0.0, step, -1.5 * step, 0.248, 0.9, -1.0]),
            [0, 1, -2, 127, 127, -127]
        );
    }
}
