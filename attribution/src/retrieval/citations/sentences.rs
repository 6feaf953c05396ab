//! Sentences of an answer and the marks that belong to each.

use core::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::Mark;

/// Abbreviations after which a sentence goes on.
const ABBREVIATIONS: [&str; 16] = [
    "dr.", "mr.", "mrs.", "ms.", "prof.", "e.g.", "i.e.", "etc.", "vs.", "cf.", "no.", "fig.",
    "eq.", "sec.", "approx.", "al.",
];

/// One sentence of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Its bytes in the answer, with its marks, without surrounding space.
    pub bytes: Range<usize>,
    /// Its text without marks.
    pub text: String,
    /// Sources that its marks name, each once, ascending, from 1.
    pub sources: Vec<usize>,
    /// Numbers in its marks that no source was given under.
    pub unknown: Vec<usize>,
}

/// Cuts an answer into sentences (Unicode's, UAX #29, and not after common abbreviations), lines
/// and code blocks, a block being one sentence.
///
/// Marks at the start of a sentence belong to the one before it, where models often put them after
/// the full stop; so do marks alone. `marks` are those of `answer`, in order.
#[must_use]
pub fn sentences(answer: &str, marks: &[Mark]) -> Vec<Sentence> {
    let mut found: Vec<Sentence> = Vec::new();
    for range in ranges(answer, marks) {
        let mut start = range.start;
        // Leading marks go to the sentence before.
        if let Some(before) = found.last_mut() {
            for mark in marks_in(marks, &range) {
                if !answer[start..mark.bytes.start].trim().is_empty() {
                    break;
                }
                before.take(mark);
                start = mark.bytes.end;
            }
        }
        let sentence = cut(answer, trimmed(answer, start..range.end), marks);
        // What has no words, a full stop after marks, is nothing by itself.
        if sentence.text.chars().any(char::is_alphanumeric) {
            found.push(sentence);
        }
    }
    found
}

impl Sentence {
    fn take(&mut self, mark: &Mark) {
        self.sources.extend(&mark.sources);
        self.sources.sort_unstable();
        self.sources.dedup();
        self.unknown.extend(&mark.unknown);
        self.bytes.end = self.bytes.end.max(mark.bytes.end);
    }
}

fn marks_in<'a>(marks: &'a [Mark], range: &Range<usize>) -> impl Iterator<Item = &'a Mark> {
    let range = range.clone();
    let first = marks.partition_point(|mark| mark.bytes.start < range.start);
    marks[first..].iter().take_while(move |mark| mark.bytes.start < range.end)
}

fn cut(answer: &str, bytes: Range<usize>, marks: &[Mark]) -> Sentence {
    let mut sentence =
        Sentence { bytes: bytes.clone(), text: String::new(), sources: vec![], unknown: vec![] };
    let mut from = bytes.start;
    for mark in marks_in(marks, &bytes) {
        sentence.text.push_str(&answer[from..mark.bytes.start]);
        sentence.take(mark);
        from = mark.bytes.end;
    }
    sentence.text.push_str(&answer[from..bytes.end]);
    sentence.text = sentence.text.trim().to_owned();
    sentence
}

fn trimmed(answer: &str, range: Range<usize>) -> Range<usize> {
    let text = &answer[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// Where sentences and code blocks are. None ends inside a mark: a bracket after a full stop would
/// belong to the sentence before, and what it holds to the next.
fn ranges(answer: &str, marks: &[Mark]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for (number, part) in answer.split("```").enumerate() {
        let range = at..at + part.len();
        if number % 2 == 1 {
            found.push(range);
        } else {
            prose(answer, range, &mut found);
        }
        at += part.len() + 3;
    }
    let outside = |at: usize| {
        let next = marks.partition_point(|mark| mark.bytes.end <= at);
        marks.get(next).map_or(at, |mark| mark.bytes.start.min(at))
    };
    for range in &mut found {
        *range = outside(range.start)..outside(range.end);
    }
    found
}

fn prose(answer: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let first = found.len();
    for (at, text) in answer[range.clone()].split_sentence_bound_indices() {
        let part = range.start + at..range.start + at + text.len();
        match found[first..].last_mut() {
            Some(last) if goes_on(&answer[last.clone()]) => last.end = part.end,
            _ => found.push(part),
        }
    }
}

/// Whether the sentence that `text` begins is not over: it ends with an abbreviation or is only the
/// number of a list's item.
fn goes_on(text: &str) -> bool {
    if text.ends_with(['\n', '\r']) {
        return false;
    }
    let text = text.trim();
    let last = text.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    let item = text.strip_suffix('.').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    item || ABBREVIATIONS.contains(&last.trim_start_matches(['(', '[']))
}

#[cfg(test)]
mod tests {
    use super::{super::MarkReader, *};

    fn cut(answer: &str) -> Vec<(String, Vec<usize>)> {
        let marks = MarkReader::read(answer, 9);
        sentences(answer, &marks).into_iter().map(|s| (s.text, s.sources)).collect()
    }

    fn expect(answer: &str, expected: &[(&str, &[usize])]) {
        let expected: Vec<_> =
            expected.iter().map(|(text, sources)| ((*text).to_owned(), sources.to_vec())).collect();
        assert_eq!(cut(answer), expected, "{answer}");
    }

    #[test]
    fn marks_before_and_after_the_full_stop_belong_to_the_sentence() {
        expect(
            "Cats sleep [1]. Dogs bark [2][3].",
            &[("Cats sleep .", &[1]), ("Dogs bark .", &[2, 3])],
        );
        expect("Cats sleep. [1] Dogs bark.[2]", &[("Cats sleep.", &[1]), ("Dogs bark.", &[2])]);
        expect("Cats sleep.[1][2]\nDogs bark.", &[("Cats sleep.", &[1, 2]), ("Dogs bark.", &[])]);
        expect("[3] Cats sleep.", &[("Cats sleep.", &[3])]);
    }

    #[test]
    fn abbreviations_numbers_and_lists_are_not_ends() {
        expect(
            "See Fig. 3 of Dr. Smith, e.g. Part A [1]. Next.",
            &[("See Fig. 3 of Dr. Smith, e.g. Part A .", &[1]), ("Next.", &[])],
        );
        expect(
            "Pays 3.5 OPEN [1].\n\n1. First [2]\n2. Second [3]\n",
            &[("Pays 3.5 OPEN .", &[1]), ("1. First", &[2]), ("2. Second", &[3])],
        );
    }

    #[test]
    fn a_code_block_is_one_sentence() {
        expect(
            "Use this:\n```\na(b[1]);\nc();\n```\n[2] Done.",
            &[("Use this:", &[]), ("a(b[1]);\nc();", &[2]), ("Done.", &[])],
        );
        expect("```never closed [1]", &[("never closed [1]", &[])]);
        expect(" \n ... [1] !", &[]);
    }

    #[test]
    fn bytes_point_into_the_answer() {
        let answer = "Né ici [1]. Là.";
        let marks = MarkReader::read(answer, 1);
        let found = sentences(answer, &marks);
        assert_eq!(&answer[found[0].bytes.clone()], "Né ici [1].");
        assert_eq!(&answer[found[1].bytes.clone()], "Là.");
    }
}
