//! Whether a sentence rests on the rows that it cites.

use std::collections::BTreeSet;

use unicode_segmentation::UnicodeSegmentation as _;

use super::{super::words::Words, Sentence};

/// A sentence has support if the rows cited hold at least this share of its content words,
/// `SHARED.0 / SHARED.1`. Set by hand: half lets a sentence use words of its own for the rest.
pub const SHARED: (usize, usize) = (1, 2);
/// A cited row takes part in it, and is paid, if it holds at least this share by itself.
pub const TAKES_PART: (usize, usize) = (1, 5);
/// A row whose vector has at least this cosine with the sentence's, in ten-thousandths, supports it
/// whatever words it uses. Set by hand.
pub const NEAR_BPS: i32 = 6_000;

/// What was found out about one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It says nothing that could be checked: no content words.
    Nothing,
    /// The sources, from 1, that it cites and rests on.
    Sources(Vec<usize>),
    /// It cites no source that was given.
    Uncited,
    /// The sources that it cites do not hold enough of its words and are not near it.
    NotInSources,
    /// It has a number that none of the sources that it cites has.
    NumberNotInSources(String),
}

impl Support {
    /// Whether users are to be warned of the sentence.
    #[must_use]
    pub const fn is_flagged(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Sources(_))
    }
}

/// Checks each sentence against the rows that it cites.
///
/// `texts[i]` is the text of source `i + 1`. `near(s, i)` says whether sentence `s` and source
/// `i + 1` have vectors of a cosine of at least [`NEAR_BPS`]; without vectors it is always false.
///
/// Words are compared by stem, and numbers must be there as they are. This finds sentences about
/// something else; it does not understand them: a sentence that denies what its source says has
/// support here. Natural language inference, which ALCE (Gao et al. 2023) uses, would tell, and is
/// itself a model that nobody can check on chain. Deterministic.
#[must_use]
pub fn check_support(
    sentences: &[Sentence],
    texts: &[&str],
    near: &dyn Fn(usize, usize) -> bool,
) -> Vec<Support> {
    let mut words = Words::new();
    let held: Vec<Held> = texts.iter().map(|text| Held::of(text, &mut words)).collect();
    let one = |(place, sentence): (usize, &Sentence)| {
        let near = |source| near(place, source);
        check(sentence, &held, &near, &mut words)
    };
    sentences.iter().enumerate().map(one).collect()
}

struct Held {
    words: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Held {
    fn of(text: &str, words: &mut Words) -> Self {
        Self { words: words.content(text), numbers: numbers(text) }
    }
}

fn check(
    sentence: &Sentence,
    held: &[Held],
    near: &dyn Fn(usize) -> bool,
    words: &mut Words,
) -> Support {
    let said = Held::of(without_item_number(&sentence.text), words);
    if said.words.is_empty() {
        return Support::Nothing;
    }
    let cited: Vec<usize> =
        sentence.sources.iter().copied().filter(|n| (1..=held.len()).contains(n)).collect();
    if cited.is_empty() {
        return Support::Uncited;
    }
    let has_number = |number: &String| cited.iter().any(|n| held[n - 1].numbers.contains(number));
    if let Some(number) = said.numbers.iter().find(|number| !has_number(number)) {
        return Support::NumberNotInSources(number.clone());
    }
    let total = said.words.len();
    let shared = |n: usize| said.words.intersection(&held[n - 1].words);
    let union: BTreeSet<&String> = cited.iter().flat_map(|n| shared(*n)).collect();
    let at_least = |count: usize, (part, whole): (usize, usize)| count * whole >= total * part;
    let by_words = at_least(union.len(), SHARED);
    let takes_part =
        |n: &usize| near(n - 1) || (by_words && at_least(shared(*n).count(), TAKES_PART));
    let resting: Vec<usize> = cited.iter().copied().filter(takes_part).collect();
    if resting.is_empty() { Support::NotInSources } else { Support::Sources(resting) }
}

/// Words of digits, with their points and commas.
fn numbers(text: &str) -> BTreeSet<String> {
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    text.unicode_words().filter(is_number).map(|word| word.replace(',', "")).collect()
}

/// The number of a list's item is not something that it says.
fn without_item_number(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest.strip_prefix(['.', ')']) {
        Some(rest) if rest.starts_with(' ') => rest,
        _ => text,
    }
}
