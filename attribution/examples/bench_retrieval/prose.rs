//! The planted set: facts in English prose among paragraphs that are about anything else.
//!
//! The paragraphs come with the crates of the lock file, so they are the same on every machine:
//! books and proceedings that compressors are tested with, and what crates say of themselves.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use attribution::{retrieval::Row, settle::keccak};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation as _;

use super::{Failure, questions::Asked};

/// Files of prose, by crate.
const BOOKS: [(&str, &str); 4] = [
    ("librocksdb-sys", "snappy/testdata/alice29.txt"),
    ("librocksdb-sys", "snappy/testdata/lcet10.txt"),
    ("htmlescape", "moonstone-short.txt"),
    ("esaxx-rs", "data/eighty.txt"),
];
/// Length of a paragraph, in bytes; shorter ones are joined with the next.
const PARAGRAPH: std::ops::RangeInclusive<usize> = 300..=2000;

/// Rows and the questions that the planted ones answer. A planted row stands every so many rows.
pub(crate) fn load(path: &Path) -> Result<(Vec<Row>, Vec<Asked>), Failure> {
    let planted: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    let planted = planted.as_array().ok_or("a list of facts")?;
    let others = paragraphs()?;
    let step = others.len() / planted.len();
    let (mut rows, mut asked) = (Vec::new(), Vec::new());
    let mut others = others.into_iter();
    for (number, fact) in planted.iter().enumerate() {
        rows.extend(others.by_ref().take(step).zip(rows.len()..).map(|(text, at)| row(at, text)));
        let index = rows.len() as u64;
        rows.push(row(rows.len(), fact["text"].as_str().ok_or("a fact has a text")?.to_owned()));
        for question in fact["questions"].as_array().ok_or("a fact has questions")? {
            let text = question.as_str().ok_or("a question is a text")?.to_owned();
            let (answers, chosen_on) = ([index].into(), number % 2 == 1);
            asked.push(Asked { text, answers, chosen_on, class: None });
        }
    }
    classify(&rows, &mut asked);
    Ok((rows, asked))
}

/// A question names its row if it has a word of it that at most one row in 500 has; otherwise it asks
/// in other words.
fn classify(rows: &[Row], asked: &mut [Asked]) {
    let words = |text: &str| text.unicode_words().map(str::to_lowercase).collect::<HashSet<_>>();
    let texts: Vec<HashSet<String>> = rows.iter().map(|row| words(&row.text)).collect();
    let mut rows_with: HashMap<&str, usize> = HashMap::new();
    for word in texts.iter().flatten() {
        *rows_with.entry(word).or_default() += 1;
    }
    for question in asked {
        let row = &texts[*question.answers.first().expect("one row answers") as usize];
        let is_rare = |word: &String| row.contains(word) && 500 * rows_with[&**word] <= rows.len();
        let named = words(&question.text).iter().any(is_rare);
        question.class = Some(if named { "name their row" } else { "ask in other words" });
    }
}

fn row(index: usize, text: String) -> Row {
    let row_hash = keccak(&[text.as_bytes()]);
    Row { index: index as u64, contributor: [1; 20], row_hash, source: String::new(), text }
}

fn paragraphs() -> Result<Vec<String>, Failure> {
    let crates = crates()?;
    let mut found = Vec::new();
    for (name, file) in BOOKS {
        let folder = crates.get(name).ok_or_else(|| format!("no crate {name} in the lock file"))?;
        found.extend(cut(&String::from_utf8_lossy(&fs::read(folder.join(file))?)));
    }
    for folder in crates.values() {
        if let Ok(readme) = fs::read(folder.join("README.md")) {
            found.extend(
                cut(&String::from_utf8_lossy(&readme)).into_iter().filter(|text| is_prose(text)),
            );
        }
    }
    let mut seen = HashSet::new();
    found.retain(|text| seen.insert(text.clone()));
    Ok(found)
}

/// Folders of the registry's crates in the lock file, by name; of several versions the last.
fn crates() -> Result<BTreeMap<String, PathBuf>, Failure> {
    let output =
        Command::new("cargo").args(["metadata", "--format-version", "1", "--locked"]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut folders = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let source = package["source"].as_str().unwrap_or_default();
        if source.starts_with("registry+") {
            let name = package["name"].as_str().ok_or("a package has a name")?;
            let manifest = package["manifest_path"].as_str().ok_or("a package has a place")?;
            let folder = Path::new(manifest).parent().ok_or("a manifest is in a folder")?;
            folders.insert(name.to_owned(), folder.to_owned());
        }
    }
    Ok(folders)
}

fn cut(text: &str) -> Vec<String> {
    let text = text.replace('\r', "");
    let (mut found, mut paragraph) = (Vec::new(), Vec::new());
    let mut lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    lines.push("");
    for line in lines {
        let length = paragraph.iter().map(|line: &&str| line.len() + 1).sum::<usize>();
        if line.trim().is_empty() && length >= *PARAGRAPH.start() {
            if PARAGRAPH.contains(&length) {
                found.push(paragraph.join("\n").trim().to_owned());
            }
            paragraph.clear();
        } else if !(line.trim().is_empty() && paragraph.is_empty()) {
            paragraph.push(line);
        }
    }
    found
}

fn is_prose(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic() || *c == ' ').count();
    !text.contains("```") && 100 * letters >= 85 * text.chars().count()
}
