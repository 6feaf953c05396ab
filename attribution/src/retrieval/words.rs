//! Search words of a text, the same for rows, questions and answers.

use std::collections::BTreeSet;

use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, TokenStream as _, WhitespaceTokenizer};
use unicode_segmentation::UnicodeSegmentation as _;

/// Longest word kept, in characters; the rest of a longer one is dropped.
const MAX_CHARS: usize = 64;

/// Words that say nothing about what a sentence is about: Lucene's English list and the pronouns and
/// auxiliaries of questions.
const STOP: [&str; 68] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "each", "for", "from", "had", "has", "have", "how", "i", "if", "in",
    "into", "is", "it", "its", "may", "must", "no", "not", "of", "on", "or", "should", "so",
    "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to",
    "was", "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would",
    "you", "your", "only", "also",
];

/// Splits text into search words and brings each to its stem.
///
/// A word is one of Unicode's (UAX #29), in lower case. An identifier gives its parts, cut at
/// underscores and where small letters meet capitals, and then itself, so that `transferFrom` is
/// found by "transfer" and by its full name. Parts are stemmed (Porter 2, English), which leaves
/// words of other languages nearly as they are.
pub(crate) struct Words(TextAnalyzer);

impl core::fmt::Debug for Words {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Words")
    }
}

impl Words {
    pub(crate) fn new() -> Self {
        let stemmer = Stemmer::new(Language::English);
        Self(TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(stemmer).build())
    }

    /// The words of `text` in order.
    pub(crate) fn of(&mut self, text: &str) -> Vec<String> {
        let mut parts = Vec::new();
        for word in text.unicode_words() {
            let cut = parts_of(word);
            let several = cut.len() > 1;
            parts.extend(cut.into_iter().map(lower));
            if several {
                parts.push(lower(word).replace('_', ""));
            }
        }
        let joined = parts.join(" ");
        let mut stream = self.0.token_stream(&joined);
        let mut words = Vec::with_capacity(parts.len());
        stream.process(&mut |token| words.push(token.text.clone()));
        words
    }

    /// The distinct words of `text` that are not among the commonest of English.
    pub(crate) fn content(&mut self, text: &str) -> BTreeSet<String> {
        let kept: Vec<&str> =
            text.unicode_words().filter(|word| !STOP.contains(&&*lower(word))).collect();
        self.of(&kept.join(" ")).into_iter().collect()
    }
}

fn lower(word: &str) -> String {
    word.chars().take(MAX_CHARS).flat_map(char::to_lowercase).collect()
}

/// `word` cut at underscores, before a capital after a small letter or digit, and before the last of
/// several capitals if a small letter follows (`ERCToken` is `ERC` and `Token`).
pub(super) fn parts_of(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = None;
    let mut chars = word.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next_is_small = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
        let boundary = match before {
            Some('_') => true,
            Some(last) if c.is_uppercase() => !char::is_uppercase(last) || next_is_small,
            _ => c == '_',
        };
        if boundary && at > start {
            parts.push(&word[start..at]);
            start = at;
        }
        before = Some(c);
    }
    parts.push(&word[start..]);
    parts.retain(|part| part.chars().any(char::is_alphanumeric));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_by_their_parts_and_whole() {
        assert_eq!(
            Words::new().of("_safeTransferFrom(ERC20Token)"),
            ["safe", "transfer", "from", "safetransferfrom", "erc20", "token", "erc20token"]
        );
        assert_eq!(
            Words::new().of("MAX_ROWS HTTPServer"),
            ["max", "row", "maxrow", "http", "server", "httpserver"]
        );
    }

    #[test]
    fn inflections_meet_and_scripts_without_spaces_are_cut() {
        assert_eq!(Words::new().of("Approving approvals"), Words::new().of("approve approval"));
        assert_eq!(Words::new().of("数据 3.14"), ["数", "据", "3.14"]);
        assert!(Words::new().of("() -- ::").is_empty());
    }

    #[test]
    fn content_leaves_out_the_commonest_words() {
        let content = Words::new().content("How does the fee of a transfer get paid?");
        assert_eq!(content.into_iter().collect::<Vec<_>>(), ["fee", "get", "paid", "transfer"]);
    }

    #[test]
    fn hostile_words_are_cut_short() {
        let words = Words::new().of(&"x".repeat(100_000));
        assert_eq!(words, ["x".repeat(MAX_CHARS)]);
        Words::new().of("\u{0}\u{feff}____________\u{202e}");
    }
}
