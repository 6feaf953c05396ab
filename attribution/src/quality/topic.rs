//! Is it about what the Datanet is about?

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation as _;

use super::{FULL, bps, grade};
use crate::retrieval::Words;

/// Share of a file's content words that the description or accepted rows use, in ten-thousandths.
const KNOWN: (u64, u64) = (5_000, 7_500);
/// The same where there are fewer than [`YOUNG_ROWS`] rows.
const KNOWN_YOUNG: (u64, u64) = (200, 1_000);
const YOUNG_ROWS: usize = 10;
/// Cosine of vectors from which a file is near enough, and plenty near, in ten-thousandths.
pub const NEAR_BPS: (u64, u64) = (2_500, 5_000);
/// Accepted rows whose words are learnt, at most; more teach little.
const ROWS: usize = 10_000;

/// The words of a Datanet: those of its description and of its accepted rows.
#[derive(Clone, Debug)]
pub struct Topic {
    words: BTreeSet<String>,
    /// Whether the rows are too few to know its words.
    young: bool,
}

impl Topic {
    /// Learns the words.
    #[must_use]
    pub fn new(description: &str, rows: &[&str]) -> Self {
        let mut words = Words::new();
        let mut known = words.content(description);
        for row in rows.iter().take(ROWS) {
            known.extend(words.content(row));
        }
        Self { words: known, young: rows.len() < YOUNG_ROWS }
    }

    /// How much a file is about it: by the share of its content words that are known, and, with the
    /// cosine of vectors, by the better of the two: a file on the topic may use other words, or the
    /// same words where the encoder sees only syntax. Of a Datanet with fewer than ten rows words
    /// say too little, and a few of the description's are enough.
    #[must_use]
    pub fn score(&self, text: &str, cosine: Option<i32>) -> u16 {
        let mut words = Words::new();
        let mut said = 0;
        let mut known = 0;
        for word in text.unicode_words() {
            let stems = words.content(word);
            said += stems.len();
            known += stems.iter().filter(|stem| self.words.contains(*stem)).count();
        }
        let share = if said == 0 { 0 } else { bps(known, said) };
        let (enough, plenty) = if self.young { KNOWN_YOUNG } else { KNOWN };
        let by_words = grade(share, enough, plenty);
        let by_vectors = cosine.map_or(0, |cosine| {
            let cosine = u64::try_from(cosine).unwrap_or(0).min(u64::from(FULL));
            grade(cosine, NEAR_BPS.0, NEAR_BPS.1)
        });
        by_words.max(by_vectors)
    }
}
