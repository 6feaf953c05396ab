//! Rows that teach the model the same, whatever their words.

use rayon::prelude::*;

use super::{index::InfluenceIndex, score::dot_i8};
use crate::{Error, Result};

impl InfluenceIndex {
    /// For each row the canonical row of its cluster, where rows with alike sketches join too: the
    /// canonical row of a text cluster joins the oldest earlier canonical row that has at least this
    /// cosine with it, and its cluster follows. A row without a gradient joins nobody.
    ///
    /// Text can be copied in other words; what it teaches then stays the same. The cosine is of the
    /// committed int8 sketches and compared in integers, `dot > 0` and `10^8 dot^2 >= bps^2 |a|^2
    /// |b|^2`, so that everyone who has the index finds the same pairs, and a pair is shown by its two
    /// leaves. Quadratic in canonical rows: `n^2 d / 2` products of bytes.
    ///
    /// Whoever registers rows next uses it as intake does text clusters; the index itself keeps
    /// the clusters that its Datanets have.
    ///
    /// - `cosine_bps`: 1 to 10 000; 9 500 finds rows that differ in details only
    ///
    /// # Errors
    /// [`Error::Setting`] if the cosine is out of bounds.
    pub fn alike(&self, cosine_bps: u16) -> Result<Vec<u32>> {
        if !(1..=10_000).contains(&cosine_bps) {
            return Err(Error::setting("a cosine must be 1 to 10000 bps", cosine_bps));
        }
        let dim = self.dim();
        let sketch = |place: u32| &self.parts.sketches[place as usize * dim..][..dim];
        let square = |place: u32| dot_i8(sketch(place), sketch(place));
        // Of canonical rows that joined nobody, with the squares of their norms.
        let mut kept: Vec<(u32, i32)> = Vec::new();
        let mut clusters: Vec<u32> = Vec::with_capacity(self.rows().len());
        for (place, row) in (0u32..).zip(self.rows()) {
            if row.source.cluster != place {
                clusters.push(clusters[row.source.cluster as usize]);
                continue;
            }
            let own = square(place);
            let found = kept.par_iter().with_min_len(64).find_first(|(other, size)| {
                let dot = dot_i8(sketch(place), sketch(*other));
                dot > 0 && reaches(dot, own, *size, cosine_bps)
            });
            let joined = found.map(|(other, _)| *other);
            clusters.push(joined.unwrap_or(place));
            if joined.is_none() && own > 0 {
                kept.push((place, own));
            }
        }
        Ok(clusters)
    }
}

/// `dot / sqrt(a b) >= bps / 10 000` for a positive `dot`.
fn reaches(dot: i32, a: i32, b: i32, bps: u16) -> bool {
    let [dot, a, b] = [dot, a, b].map(i128::from);
    // Below 10^8 * 2^54 and 10^8 * 2^54.
    100_000_000 * dot * dot >= i128::from(bps) * i128::from(bps) * a * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_reached_exactly() {
        // (3, 4) and (1, 0): cosine 0.6.
        assert!(reaches(3, 25, 1, 6_000));
        assert!(!reaches(3, 25, 1, 6_001));
        assert!(reaches(25, 25, 25, 10_000));
        let largest = 8192 * 127 * 127;
        assert!(reaches(largest, largest, largest, 10_000));
        assert!(!reaches(largest - 1, largest, largest, 10_000));
    }
}
