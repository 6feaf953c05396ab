//! What words and vectors say of a row, as one number.

use super::{VectorSpace, dot};

/// A score is in units of `1 / SCORE_UNIT` of a cosine.
pub const SCORE_UNIT: i64 = 1_000_000;
/// What one of BM25 counts, in units of a score.
const WORD: i64 = 5_000;

/// Dot product of a question with a row: two thirds of the whole text's and one third of the best
/// passage's, that of the text alone if it has none; rounded down. What [`Hit::dot`](super::Hit::dot)
/// is, for whoever has the vectors and no library.
///
/// - `vectors`: of the row's text and then of its passages, one after the other
///
/// # Panics
/// If the row has no vector as long as the question's.
#[must_use]
pub fn nearness(question: &[i8], vectors: &[i8]) -> i32 {
    let (whole, passages) = vectors.split_at(question.len());
    let whole = dot(whole, question);
    let best = passages.chunks_exact(question.len()).map(|passage| dot(passage, question)).max();
    mixed(whole, best.unwrap_or(whole))
}

/// Two thirds of one dot product and one third of the other, rounded down.
#[must_use]
pub(super) fn mixed(whole: i32, best_passage: i32) -> i32 {
    let sum = 2 * i64::from(whole) + i64::from(best_passage);
    sum.div_euclid(3) as i32
}

/// A row's score, by which found rows are ranked: `(dot - crowding / 5) / scale^2 + BM25 / 200`,
/// each rounded down.
///
/// The numbers were chosen on one half of the questions of `bench/retrieval`. Sums of scores do
/// better there than reciprocal ranks (Cormack, Clarke and Buettcher 2009): a question in other words
/// than the row's has a ranking by words too, and its first counts as much as any first.
///
/// - `crowding`: how near the row is to its shelf's others, in dot products
/// - `bm25_milli`: BM25 in thousandths
#[must_use]
pub(super) fn score(dot: i32, crowding: i32, bm25_milli: u32, space: &VectorSpace) -> i64 {
    let unit = i64::from(space.scale) * i64::from(space.scale);
    let apart = i64::from(dot) - i64::from(crowding).div_euclid(5);
    (apart * SCORE_UNIT).div_euclid(unit) + i64::from(bm25_milli) * WORD / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_adds_cosine_and_words_and_takes_off_crowding() {
        let space = VectorSpace { encoder: [0; 32], dimension: 384, scale: 512 };
        // Cosines 0.5 and 0.2, 4 of BM25, crowding of 0.25.
        let dot = mixed(131_072, 52_429);
        assert_eq!(dot, 104_857);
        assert_eq!(score(dot, 0, 4_000, &space), 399_997 + 20_000);
        assert_eq!(score(dot, 65_536, 0, &space), 399_997 - 49_999);
        assert_eq!(mixed(-1, -1), -1);
        assert_eq!(mixed(i32::MAX, i32::MAX), i32::MAX);
    }
}
