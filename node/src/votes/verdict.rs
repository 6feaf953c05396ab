//! What makes a record false.

use attribution::settle::Use;

/// An answer with what follows from it, as an operator claims it or as a validator gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Text of the answer.
    pub text: Vec<u8>,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Generated tokens.
    pub tokens_out: u64,
    /// The query's int8 sketch, `(d,)`.
    pub sketch: Vec<i8>,
    /// Every use of a span of the answer. A claim's are compared on their own, since a record keeps
    /// only so many.
    pub spans: Vec<Use>,
    /// The citations of an answer that was given sources, which are compared on their own too.
    pub citations: Option<Vec<Use>>,
}

/// Whether a claim is False by `ISketchVotes`: another answer, other token counts, or a sketch of
/// which more than 1% of the coordinates differ, or one by more than 1.
pub fn is_false(claimed: &Outcome, found: &Outcome) -> bool {
    claimed.text != found.text
        || (claimed.tokens_in, claimed.tokens_out) != (found.tokens_in, found.tokens_out)
        || differs(&claimed.sketch, &found.sketch)
}

/// The tolerance is for numeric profiles that round differently, not for other lengths.
fn differs(claimed: &[i8], found: &[i8]) -> bool {
    let distances = || claimed.iter().zip(found).map(|(a, b)| a.abs_diff(*b));
    claimed.len() != found.len()
        || distances().any(|distance| distance > 1)
        || 100 * distances().filter(|&distance| distance > 0).count() > found.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(sketch: Vec<i8>) -> Outcome {
        Outcome {
            text: b"text".to_vec(),
            tokens_in: 3,
            tokens_out: 4,
            sketch,
            spans: vec![],
            citations: None,
        }
    }

    /// A sketch of 300 dimensions with `count` coordinates off by `distance`.
    fn off(count: usize, distance: i8) -> Outcome {
        outcome((0..300).map(|i| if i < count { distance } else { 0 }).collect())
    }

    #[test]
    fn a_sketch_holds_within_one_per_cent_of_ones() {
        for (count, distance, expected) in [
            (0, 0, false),
            (3, 1, false),
            (3, -1, false),
            (4, 1, true),
            (4, -1, true),
            (1, 2, true),
            (1, -2, true),
            (1, i8::MIN, true),
        ] {
            assert_eq!(is_false(&off(count, distance), &off(0, 0)), expected, "{count} {distance}");
            assert_eq!(is_false(&off(0, 0), &off(count, distance)), expected, "{count} {distance}");
        }
    }

    #[test]
    fn extremes_do_not_wrap() {
        assert!(is_false(&outcome(vec![i8::MIN; 8]), &outcome(vec![i8::MAX; 8])));
        // One of eight is above 1%.
        assert!(is_false(&outcome(vec![0; 8]), &outcome([&[1_i8][..], &[0; 7]].concat())));
    }

    #[test]
    fn everything_else_is_exact() {
        let found = off(0, 0);
        let changes: [fn(&mut Outcome); 5] = [
            |o| o.text.push(b' '),
            |o| o.tokens_in += 1,
            |o| o.tokens_out -= 1,
            |o| o.sketch.push(0),
            |o| o.sketch.clear(),
        ];
        assert!(!is_false(&found, &found));
        for change in changes {
            let mut claimed = found.clone();
            change(&mut claimed);
            assert!(is_false(&claimed, &found));
        }
    }
}
