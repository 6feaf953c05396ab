//! Questions, the rows that answer them, and how far up those are found.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Instant,
};

use attribution::retrieval::{Caller, Hit, Library, MAX_HITS, Question, SCORE_UNIT, dot};
use inference::encoder::{Encoder, VECTOR_SCALE};
use serde_json::Value;

use super::{Failure, corpus::NamedRow, intervals::Ranks};

/// Searches of each question that are timed.
const TIMES: usize = 5;
/// The ranking that callers get.
pub(crate) const ALL: &str = "all";

/// A question and the rows that answer it, by index.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) text: String,
    pub(crate) answers: BTreeSet<u64>,
    /// Whether it is one of those that settings were chosen on.
    pub(crate) chosen_on: bool,
    /// What it is counted as, besides all.
    pub(crate) class: Option<&'static str>,
}

/// Reads the questions about code. A row's name stands for every row of that name: overloads, and the
/// function of the contract's interface (the contract's name after an `I`), which has its
/// documentation. Questions with `judges` were written after settings had been chosen on the others,
/// and nothing is chosen on them.
pub(crate) fn load(path: &Path, rows: &[NamedRow]) -> Result<Vec<Asked>, Failure> {
    let value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let mut questions = Vec::new();
    for (number, item) in value.as_array().ok_or("a list of questions")?.iter().enumerate() {
        let text = item["question"].as_str().ok_or("a question has a text")?.to_owned();
        let mut answers = BTreeSet::new();
        for name in item["rows"].as_array().ok_or("a question has rows")? {
            let name = name.as_str().ok_or("a row has a name")?;
            let found = |row: &&NamedRow| row.name == name || row.name[..] == *format!("I{name}");
            answers.extend(rows.iter().filter(found).map(|row| row.row.index));
        }
        if answers.is_empty() {
            return Err(format!("no row answers {text:?}").into());
        }
        let later = item["judges"] == true;
        let class = Some(if later { "were written later" } else { "were written first" });
        questions.push(Asked { text, answers, chosen_on: number % 2 == 0 && !later, class });
    }
    Ok(questions)
}

/// Ranks of the first answer to each question by each way of finding it, and times.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) ranks: BTreeMap<&'static str, Ranks>,
    pub(crate) searching: Vec<f64>,
    pub(crate) encoding: Vec<f64>,
    pub(crate) missed: Vec<String>,
}

pub(crate) fn ask(
    library: &Library,
    encoder: &Encoder,
    questions: &[Asked],
) -> Result<Outcome, Failure> {
    let caller = Caller::default();
    let mut outcome = Outcome::default();
    for asked in questions {
        let text = &asked.text;
        let started = Instant::now();
        let vector = encoder.encode_int8(&[text])?.remove(0);
        outcome.encoding.push(started.elapsed().as_secs_f64());
        let question = Question { text, vector: &vector, versions: None, limit: 5 };
        for _ in 0..TIMES {
            let started = Instant::now();
            library.search(&question, &caller)?;
            outcome.searching.push(started.elapsed().as_secs_f64());
        }
        let hits = library.search(&Question { limit: MAX_HITS, ..question }, &caller)?;
        outcome.take(asked, &vector, hits);
    }
    Ok(outcome)
}

impl Outcome {
    /// Ranks of all that goes into the score, of each part alone, and of all but the crowding. Parts
    /// rank what was found by all.
    fn take(&mut self, asked: &Asked, vector: &[i8], mut hits: Vec<Hit>) {
        let rank = |hits: &[Hit]| {
            hits.iter().position(|hit| asked.answers.contains(&hit.row.index)).map(|at| at + 1)
        };
        let all = rank(&hits);
        if all.is_none_or(|rank| rank > 5) {
            let place = all.map_or_else(|| "not found".to_owned(), |rank| format!("rank {rank}"));
            self.missed.push(format!("{place}: {}", asked.text));
        }
        let unit = i64::from(VECTOR_SCALE * VECTOR_SCALE);
        hits.sort_by_key(|hit| {
            let words = i64::from(hit.bm25_milli) * SCORE_UNIT / 200_000;
            (-(i64::from(hit.dot) * SCORE_UNIT).div_euclid(unit) - words, hit.row.index)
        });
        let without_crowding = rank(&hits);
        hits.sort_by_key(|hit| (-hit.dot, hit.row.index));
        let vectors = rank(&hits);
        hits.sort_by_key(|hit| (-dot(&hit.vectors[..vector.len()], vector), hit.row.index));
        let wholes = rank(&hits);
        hits.retain(|hit| hit.bm25_milli > 0);
        hits.sort_by_key(|hit| (u32::MAX - hit.bm25_milli, hit.row.index));
        let ranks = [
            (ALL, all),
            ("without crowding", without_crowding),
            ("vectors of texts and passages", vectors),
            ("vectors of texts", wholes),
            ("words", rank(&hits)),
        ];
        for (name, rank) in ranks {
            self.ranks.entry(name).or_default().push(rank);
        }
    }
}
