//! Is it whole, and is it text at all?

use std::collections::{BTreeMap, BTreeSet};

use unicode_segmentation::UnicodeSegmentation as _;

use super::{ACCEPTED, Content, FULL, Reason, Rules, bps, grade};

/// Longest run of characters without a space, in texts that have spaces; long links fit.
const MAX_UNBROKEN: usize = 300;
/// Letters and digits of a line that counts as saying something.
const LINE_CHARS: usize = 8;
/// Share of a text's lines and words that must not be repeats, in ten-thousandths.
const NEW_LINES: (u64, u64) = (5_000, 8_000);
const NEW_WORDS: (u64, u64) = (800, 1_600);
/// Words from which too few different ones say something.
const WORDS_TO_TELL: usize = 60;

/// Parts of the score with what each says if it is low.
pub(super) fn check(text: &str, rules: &Rules) -> Vec<(u16, Reason)> {
    let mut parts = Vec::new();
    if let Some(c) = text.chars().find(|c| is_foreign(*c)) {
        parts.push((0, Reason::Control(c)));
    }
    let unbroken = text.split_whitespace().map(latin_chars).max().unwrap_or(0);
    if unbroken > MAX_UNBROKEN {
        parts.push((0, Reason::Unbroken(unbroken)));
    }
    if rules.content == Content::Code
        && let Err(what) = balance(text)
    {
        parts.push((0, Reason::Unbalanced(what)));
    }
    let words = text.unicode_words().count();
    let enough = rules.min_words.max(1) as u64;
    parts.push((grade(words as u64, enough, 2 * enough), Reason::Short(words)));
    let (share, score) = newness(text);
    parts.push((score, Reason::Repetitive(share)));
    parts
}

/// Characters that files get by damage or a wrong decoding, not by writing.
fn is_foreign(c: char) -> bool {
    let white = matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    let mark_of_order = c == '\u{feff}';
    (c.is_control() && !white) || c == '\u{fffd}' || (!mark_of_order && is_noncharacter(c))
}

const fn is_noncharacter(c: char) -> bool {
    let code = c as u32;
    code & 0xfffe == 0xfffe || matches!(code, 0xfdd0..=0xfdef | 0xe000..=0xf8ff)
}

/// Characters of a word, of those scripts that put spaces between words.
fn latin_chars(word: &str) -> usize {
    word.chars().filter(|c| (*c as u32) < 0x2e80).count()
}

/// The smaller of the shares of lines and of words that are not repeats, and what it scores (Gopher's
/// rules against repetition, Rae et al. 2021, table A1, in simpler form).
fn newness(text: &str) -> (u16, u16) {
    let said = |line: &&str| line.chars().filter(|c| c.is_alphanumeric()).count() >= LINE_CHARS;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(said).collect();
    let distinct: BTreeSet<&str> = lines.iter().copied().collect();
    let lines = if lines.len() < 4 { FULL.into() } else { bps(distinct.len(), lines.len()) };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut total = 0;
    for word in text.unicode_words() {
        *counts.entry(word.to_lowercase()).or_default() += 1;
        total += 1;
    }
    // The number of different words grows with about the square root of the text (Heaps' law).
    let expected = (total as u64 * WORDS_TO_TELL as u64).isqrt().max(1) as usize;
    let words =
        if total < WORDS_TO_TELL { FULL.into() } else { bps(counts.len(), expected).min(10_000) };
    let (by_lines, by_words) =
        (grade(lines, NEW_LINES.0, NEW_LINES.1), grade(words, NEW_WORDS.0, NEW_WORDS.1));
    let share = if by_lines <= by_words { lines } else { words };
    (u16::try_from(share).unwrap_or(ACCEPTED), by_lines.min(by_words))
}

/// Whether every bracket, string and comment of C-like code closes.
fn balance(text: &str) -> Result<(), String> {
    let mut open: Vec<char> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                chars.by_ref().find(|c| *c == '\n');
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                let closed = chars.by_ref().any(|c| {
                    before == '*' && c == '/' || {
                        before = c;
                        false
                    }
                });
                if !closed {
                    return Err("a comment does not end".into());
                }
            }
            '"' | '\'' => string(c, &mut chars)?,
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let opened = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(opened) {
                    return Err(format!("a {c} closes nothing"));
                }
            }
            _ => {}
        }
    }
    open.pop().map_or(Ok(()), |c| Err(format!("a {c} is not closed")))
}

/// Reads to the end of a string that began with `quote`.
fn string(quote: char, chars: &mut impl Iterator<Item = char>) -> Result<(), String> {
    let mut escaped = false;
    for c in chars {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => break,
            _ if c == quote => return Ok(()),
            _ => {}
        }
    }
    Err("a string does not end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let code = "f(\"}{\", '\\'') { // it's (\n /* [ */ a[1]; }";
        assert_eq!(balance(code), Ok(()));
        for (code, why) in [
            ("f() {", "a { is not closed"),
            ("f() }", "a } closes nothing"),
            ("f(]", "a ] closes nothing"),
            ("\"abc", "a string does not end"),
            ("/* abc *", "a comment does not end"),
        ] {
            assert_eq!(balance(code).unwrap_err(), why, "{code}");
        }
    }

    #[test]
    fn repeats_are_told_from_ordinary_text() {
        let line = "Buy now and save money today\n";
        assert!(newness(&line.repeat(20)).1 < ACCEPTED);
        assert!(newness(&"spam eggs ".repeat(100)).1 < ACCEPTED);
        assert_eq!(newness("one line\nanother line\nthe third line\nand the fourth line").1, FULL);
    }
}
