//! Marks such as `[1]` in an answer that is still being written.

use core::ops::Range;

/// Longest mark, in bytes; longer brackets are text.
const MAX_BYTES: usize = 48;
/// Most numbers of one mark; later ones are dropped.
const MAX_NUMBERS: usize = 64;

/// One mark of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its bytes in the answer, brackets included.
    pub bytes: Range<usize>,
    /// Sources that it names, each once, in its order, from 1.
    pub sources: Vec<usize>,
    /// Numbers in it that no source was given under: these are not citations.
    pub unknown: Vec<usize>,
}

/// Finds the marks of an answer that comes in pieces, wherever the pieces are cut.
///
/// A mark is `[`, numbers separated by commas or semicolons, `]`; two numbers with a hyphen or an en
/// dash between them stand for all from one to the other; spaces do not count. Brackets in code
/// (between backticks, one or three) are code.
#[derive(Clone, Debug)]
pub struct MarkReader {
    /// Sources given, numbered from 1.
    given: usize,
    /// Bytes read so far.
    at: usize,
    /// The bracket that may become a mark: where it began and what it holds.
    open: Option<(usize, String)>,
    code: Code,
}

#[derive(Clone, Copy, Debug, Default)]
struct Code {
    /// Length of the run of backticks that opened code; 0 outside.
    opened: usize,
    /// Backticks right before here.
    run: usize,
}

impl Code {
    /// Whether `c` is in code.
    const fn holds(&mut self, c: char) -> bool {
        if c == '`' {
            self.run += 1;
            return true;
        }
        if self.run > 0 {
            if self.opened == 0 {
                // Two are empty code, which ends where it begins.
                self.opened = if self.run == 2 { 0 } else { self.run };
            } else if self.run == self.opened {
                self.opened = 0;
            }
            self.run = 0;
        }
        // Code between single backticks ends with its line: a stray backtick hides no later marks.
        if c == '\n' && self.opened == 1 {
            self.opened = 0;
        }
        self.opened > 0
    }
}

impl MarkReader {
    /// For an answer whose prompt held `given` sources.
    #[must_use]
    pub fn new(given: usize) -> Self {
        Self { given, at: 0, open: None, code: Code::default() }
    }

    /// Reads the next piece; returns the marks that end in it.
    pub fn push(&mut self, piece: &str) -> Vec<Mark> {
        let mut marks = Vec::new();
        for c in piece.chars() {
            let start = self.at;
            self.at += c.len_utf8();
            if self.code.holds(c) {
                self.open = None;
                continue;
            }
            match (c, &mut self.open) {
                ('[', _) => self.open = Some((start, String::new())),
                (']', open) => {
                    let read = open.take().and_then(|(start, inside)| {
                        let (sources, unknown) = numbers(&inside, self.given)?;
                        Some(Mark { bytes: start..self.at, sources, unknown })
                    });
                    marks.extend(read);
                }
                (_, Some((start, inside))) if self.at - *start < MAX_BYTES => inside.push(c),
                (_, open) => *open = None,
            }
        }
        marks
    }

    /// The marks of a whole answer.
    #[must_use]
    pub fn read(answer: &str, given: usize) -> Vec<Mark> {
        Self::new(given).push(answer)
    }
}

/// Known and unknown numbers of a mark; `None` if it is not one.
fn numbers(inside: &str, given: usize) -> Option<(Vec<usize>, Vec<usize>)> {
    let (mut sources, mut unknown) = (Vec::new(), Vec::new());
    let mut note = |number: usize| {
        let known = (1..=given).contains(&number);
        let list = if known { &mut sources } else { &mut unknown };
        if list.len() < MAX_NUMBERS && !list.contains(&number) {
            list.push(number);
        }
    };
    for item in inside.split([',', ';']) {
        match item.split_once(['-', '–']) {
            None => note(number(item)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                // One number past the sources says as much as all of them.
                let end = last.min(given.saturating_add(1));
                (first..=end).for_each(&mut note);
                if first > end {
                    note(first);
                }
                if last > end {
                    note(last);
                }
            }
        }
    }
    Some((sources, unknown))
}

fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    let short = !text.is_empty() && text.len() <= 9;
    text.parse().ok().filter(|_| short && text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Vec<(String, Vec<usize>, Vec<usize>)> {
        let marks = MarkReader::read(answer, 3);
        let text = |mark: Mark| (answer[mark.bytes].to_owned(), mark.sources, mark.unknown);
        marks.into_iter().map(text).collect()
    }

    fn sources(answer: &str) -> Vec<Vec<usize>> {
        read(answer).into_iter().map(|(_, sources, _)| sources).collect()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(
            read("Été [1]. B [2][3]!"),
            [
                ("[1]".into(), vec![1], vec![]),
                ("[2]".into(), vec![2], vec![]),
                ("[3]".into(), vec![3], vec![])
            ]
        );
        assert_eq!(
            sources("a[1, 2] b [ 3;1 ] c [1-3] [2–2] [1,1]"),
            [vec![1, 2], vec![3, 1], vec![1, 2, 3], vec![2], vec![1]]
        );
    }

    #[test]
    fn numbers_that_were_not_given_are_reported_and_cite_nothing() {
        assert_eq!(
            read("x [4] [0] [2, 7] [2-900000000] [2024]"),
            [
                ("[4]".into(), vec![], vec![4]),
                ("[0]".into(), vec![], vec![0]),
                ("[2, 7]".into(), vec![2], vec![7]),
                ("[2-900000000]".into(), vec![2, 3], vec![4, 900_000_000]),
                ("[2024]".into(), vec![], vec![2024])
            ]
        );
    }

    #[test]
    fn other_brackets_are_text() {
        for text in ["[a]", "[]", "[1 2]", "[-1]", "[1.5]", "[+1]", "[1", "1]", "[,]", "[٣]"] {
            assert_eq!(read(text), [], "{text}");
        }
        assert_eq!(read(&format!("[{}1]", " ".repeat(100))), []);
        assert_eq!(read("[12345678901234567890]"), []);
        assert_eq!(sources("[x[1]]"), [[1]]);
    }

    #[test]
    fn code_is_not_cited_from() {
        assert_eq!(sources("use `a[1]` and ``` b[2]\n c[3] ``` then [2]"), [[2]]);
        assert_eq!(sources("stray ` here [1]\nnext line [2]"), [[2]]);
        assert_eq!(sources("`` [1]"), [[1]]);
    }
}
