//! Questions, the rows that answer them, and how far up those are found.

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use attribution::retrieval::{Caller, Hit, Library, MAX_HITS, Question};
use inference::encoder::Encoder;
use serde_json::Value;

use super::{Failure, corpus::NamedRow, report::Sheet};

/// A question and the rows that answer it, by index.
#[derive(Debug)]
pub(crate) struct Planted {
    pub(crate) text: String,
    answers: BTreeSet<u64>,
}

/// Reads the set. A row's name stands for every row of that name: overloads, and the function of
/// the contract's interface (the contract's name after an `I`), which has its documentation.
pub(crate) fn load(path: &Path, rows: &[NamedRow]) -> Result<Vec<Planted>, Failure> {
    let value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let mut questions = Vec::new();
    for item in value.as_array().ok_or("a list of questions")? {
        let text = item["question"].as_str().ok_or("a question has a text")?.to_owned();
        let mut answers = BTreeSet::new();
        for name in item["rows"].as_array().ok_or("a question has rows")? {
            let name = name.as_str().ok_or("a row has a name")?;
            let found =
                rows.iter().filter(|row| row.name == name || row.name[..] == *format!("I{name}"));
            answers.extend(found.map(|row| row.row.index));
        }
        if answers.is_empty() {
            return Err(format!("no row answers {text:?}").into());
        }
        questions.push(Planted { text, answers });
    }
    Ok(questions)
}

/// Ranks, from 1, of the first answer to each question, and times.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    fused: Vec<Option<usize>>,
    words: Vec<Option<usize>>,
    vectors: Vec<Option<usize>>,
    searching: Vec<f64>,
    encoding: Vec<f64>,
    missed: Vec<String>,
}

pub(crate) fn ask(
    library: &Library,
    encoder: &Encoder,
    questions: &[Planted],
    caller: &Caller,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    for Planted { text, answers } in questions {
        let started = Instant::now();
        let vector = encoder.encode_int8(&[text])?.remove(0);
        outcome.encoding.push(started.elapsed().as_secs_f64());
        let question = Question { text, vector: &vector, versions: None, limit: 5 };
        for _ in 0..5 {
            let started = Instant::now();
            library.search(&question, caller)?;
            outcome.searching.push(started.elapsed().as_secs_f64());
        }
        let mut hits = library.search(&Question { limit: MAX_HITS, ..question }, caller)?;
        let rank = |hits: &[Hit]| {
            hits.iter().position(|hit| answers.contains(&hit.row.index)).map(|place| place + 1)
        };
        let fused = rank(&hits);
        if fused.is_none_or(|rank| rank > 5) {
            let place = fused.map_or_else(|| "not found".to_owned(), |rank| format!("rank {rank}"));
            outcome.missed.push(format!("{place}: {text}"));
        }
        outcome.fused.push(fused);
        hits.sort_by_key(|hit| (-hit.dot, hit.row.index));
        outcome.vectors.push(rank(&hits));
        hits.sort_by_key(|hit| (u32::MAX - hit.bm25_milli, hit.row.index));
        outcome.words.push(rank(&hits));
    }
    Ok(outcome)
}

impl Outcome {
    pub(crate) fn report(mut self, sheet: &mut Sheet) {
        let recall = |ranks: &[Option<usize>], k: usize| {
            let found = ranks.iter().flatten().filter(|rank| **rank <= k).count();
            found as f64 / ranks.len() as f64
        };
        sheet.at_least("recall@5, words and vectors", recall(&self.fused, 5), "", 0.9);
        for (name, ranks) in [
            ("words and vectors", &self.fused),
            ("words alone", &self.words),
            ("vectors alone", &self.vectors),
        ] {
            for k in [1, 5, 10] {
                if (name, k) != ("words and vectors", 5) {
                    sheet.value(&format!("recall@{k}, {name}"), recall(ranks, k), "");
                }
            }
        }
        for (name, times) in
            [("search", &mut self.searching), ("encode a question", &mut self.encoding)]
        {
            times.sort_by(f64::total_cmp);
            let at = |share: f64| 1000.0 * times[((times.len() - 1) as f64 * share) as usize];
            sheet.value(&format!("{name}, median"), at(0.5), "ms");
            sheet.value(&format!("{name}, p95"), at(0.95), "ms");
        }
        for missed in self.missed {
            sheet.note(format!("not among the first five, {missed}"));
        }
    }
}
