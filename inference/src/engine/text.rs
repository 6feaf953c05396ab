//! From tokens to the text that a caller may see.

use crate::tokenizer::{IncrementalDecoder, Tokenizer};

/// An answer's text as it grows, cut before the first stop string.
///
/// Text that might be the beginning of a stop string is held back until it is known.
#[derive(Clone, Debug)]
pub(super) struct AnswerText {
    stops: Vec<String>,
    decoder: IncrementalDecoder,
    held: String,
    shown: String,
}

impl AnswerText {
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self {
            stops,
            decoder: IncrementalDecoder::default(),
            held: String::new(),
            shown: String::new(),
        }
    }

    /// Adds a token. Returns the text that it sets free, and whether a stop string came.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> (String, bool) {
        let text = self.decoder.push(tokenizer, token);
        self.extend(&text)
    }

    fn extend(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let found = first_stop(&self.held, &self.stops);
        let free = found.unwrap_or_else(|| self.held.len() - self.undecided());
        let rest = self.held.split_off(free);
        let free = std::mem::replace(&mut self.held, rest);
        if found.is_some() {
            self.held.clear();
        }
        self.shown.push_str(&free);
        (free, found.is_some())
    }

    /// Bytes at the end that may become a stop string.
    fn undecided(&self) -> usize {
        let overlap = |stop: &String| {
            let longest = (stop.len() - 1).min(self.held.len());
            // A character boundary of the stop string is one of the held text when they are equal.
            (1..=longest)
                .rev()
                .find(|&n| stop.is_char_boundary(n) && self.held.ends_with(&stop[..n]))
                .unwrap_or(0)
        };
        self.stops.iter().map(overlap).max().unwrap_or(0)
    }

    /// Sets everything free when the answer ends without a stop string.
    pub(super) fn finish(&mut self) -> String {
        let end = std::mem::take(&mut self.decoder).finish();
        let (mut free, stopped) = self.extend(&end);
        if !stopped {
            let rest = std::mem::take(&mut self.held);
            self.shown.push_str(&rest);
            free.push_str(&rest);
        }
        free
    }

    /// All text set free so far.
    pub(super) fn into_shown(self) -> String {
        self.shown
    }
}

/// Where the stop string that ends first begins; of those that end together, the longest.
fn first_stop(text: &str, stops: &[String]) -> Option<usize> {
    let place = |stop: &String| text.find(stop.as_str()).map(|at| (at + stop.len(), at));
    stops.iter().filter_map(place).min().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, String, bool) {
        let mut text = AnswerText::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let mut shown = Vec::new();
        for piece in pieces {
            let (free, stopped) = text.extend(piece);
            shown.push(free);
            if stopped {
                return (shown, text.into_shown(), true);
            }
        }
        shown.push(text.finish());
        (shown, text.into_shown(), false)
    }

    #[test]
    fn stop_strings_are_found_across_pieces_and_never_shown() {
        let (shown, text, stopped) = run(&["END"], &["a E", "N", "Eb EN", "D c"]);
        assert_eq!(shown, ["a ", "", "ENEb ", ""]);
        assert_eq!((text.as_str(), stopped), ("a ENEb ", true));
        let (shown, text, stopped) = run(&["END"], &["a", "EN"]);
        assert_eq!(shown, ["a", "", "EN"]);
        assert_eq!((text.as_str(), stopped), ("aEN", false));
        // The first to be complete wins, whatever the order in the list.
        assert_eq!(run(&["c", "b"], &["abc"]).1, "a");
        assert_eq!(run(&["é!"], &["aé", "è"]).1, "aéè");
        assert_eq!(run(&[], &["x", "y"]).0, ["x", "y", ""]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            pieces in proptest::collection::vec("[ab\u{e9}]{0,3}", 0..12),
            stops in proptest::collection::vec("[ab\u{e9}]{1,4}", 0..3),
        ) {
            let whole = pieces.concat();
            let end = first_stop(&whole, &stops);
            let expected = &whole[..end.unwrap_or(whole.len())];
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (shown, text, stopped) = run(&stops, &pieces);
            prop_assert_eq!(stopped, end.is_some());
            prop_assert_eq!(shown.concat(), expected);
            prop_assert_eq!(text, expected);
        }
    }
}
