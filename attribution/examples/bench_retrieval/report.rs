//! The table and `retrieval.json`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    Failure,
    intervals::{Estimate, Ranks, recall, reciprocal},
    questions::{ALL, Asked, Outcome},
};

/// Recall that is asked for, and of how many rows.
const TARGET: (usize, f64) = (5, 0.9);

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    name: String,
    value: f64,
    interval: Option<(f64, f64)>,
    unit: &'static str,
    target: Option<(&'static str, f64)>,
}

impl Row {
    fn met(&self) -> Option<bool> {
        let (sign, target) = self.target?;
        Some(if sign == ">=" { self.value >= target } else { self.value <= target })
    }

    fn line(&self) -> String {
        let target = self.target.map_or_else(String::new, |(s, t)| format!("{s} {t}"));
        let met = self.met().map_or("", |met| if met { "yes" } else { "NO" });
        let interval =
            self.interval.map_or_else(String::new, |(low, high)| format!("{low:.3} to {high:.3}"));
        let Self { name, value, unit, .. } = self;
        format!("{name:<52} {value:>10.4} {unit:<4} {interval:<15} {target:>7} {met:>4}")
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "value": self.value, "unit": self.unit,
            "interval": self.interval.map(|(low, high)| [low, high]),
            "target": self.target.map(|(sign, target)| format!("{sign} {target}")),
            "met": self.met(), "peer": Value::Null, "ratio": Value::Null,
        })
    }
}

impl Sheet {
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn value(&mut self, name: &str, value: f64, unit: &'static str) {
        self.push(name, value, unit, None);
    }

    pub(crate) fn at_most(&mut self, name: &str, value: f64, unit: &'static str, target: f64) {
        self.push(name, value, unit, Some(("<=", target)));
    }

    fn push(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        target: Option<(&'static str, f64)>,
    ) {
        self.rows.push(Row { name: name.to_owned(), value, interval: None, unit, target });
    }

    fn estimate(&mut self, name: String, of: Estimate, target: Option<f64>) {
        let interval = Some((of.low, of.high));
        let target = target.map(|target| (">=", target));
        self.rows.push(Row { name, value: of.mean, interval, unit: "", target });
    }

    /// Recall and mean reciprocal rank of one set of questions, and times.
    pub(crate) fn outcome(&mut self, set: &str, questions: &[Asked], outcome: &Outcome) {
        self.parts(set, questions, &outcome.ranks[ALL]);
        for (way, ranks) in &outcome.ranks {
            for k in [1, 5, 20] {
                if (*way, k) != (ALL, TARGET.0) {
                    self.estimate(format!("{set}: recall@{k}, {way}"), recall(ranks, k), None);
                }
            }
            let name = format!("{set}: mean reciprocal rank, {way}");
            self.estimate(name, reciprocal(ranks), None);
        }
        for (name, times) in
            [("search", &outcome.searching), ("encode a question", &outcome.encoding)]
        {
            let mut times = times.clone();
            times.sort_by(f64::total_cmp);
            let at = |share: f64| 1000.0 * times[((times.len() - 1) as f64 * share) as usize];
            self.value(&format!("{set}: {name}, median"), at(0.5), "ms");
            self.value(&format!("{set}: {name}, p95"), at(0.95), "ms");
        }
        for missed in &outcome.missed {
            self.note(format!("{set}: not among the first five, {missed}"));
        }
    }

    /// Recall of all questions, of those that nothing was chosen on, and of each class.
    fn parts(&mut self, set: &str, questions: &[Asked], ranks: &Ranks) {
        self.estimate(format!("{set}: recall@5"), recall(ranks, TARGET.0), Some(TARGET.1));
        let mut part = |name: &str, keep: &dyn Fn(&Asked) -> bool| {
            let kept = questions.iter().zip(ranks).filter(|(asked, _)| keep(asked));
            let kept: Ranks = kept.map(|(_, rank)| *rank).collect();
            let name = format!("{set}: recall@5, {} {name}", kept.len());
            self.estimate(name, recall(&kept, TARGET.0), None);
        };
        part("that nothing was chosen on", &|asked| !asked.chosen_on);
        part("that settings were chosen on", &|asked| asked.chosen_on);
        let mut classes: Vec<&str> = questions.iter().filter_map(|asked| asked.class).collect();
        classes.sort_unstable();
        classes.dedup();
        for class in classes {
            part(&format!("that {class}"), &|asked| asked.class == Some(class));
        }
    }

    /// Prints the table and writes it into the folder `results`.
    pub(crate) fn write(&self, results: &Path) -> Result<(), Failure> {
        println!(
            "{:<52} {:>10} {:<4} {:<15} {:>7} {:>4}",
            "", "value", "unit", "95%", "target", "met"
        );
        self.rows.iter().for_each(|row| println!("{}", row.line()));
        self.notes.iter().for_each(|note| println!("{note}"));
        let cores = std::thread::available_parallelism()?.get();
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let machine = format!("{os} {arch}, {cores} cores");
        let report = json!({ "machine": machine, "rows": rows, "notes": self.notes });
        let path = results.join("retrieval.json");
        fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
        println!("{}", path.display());
        Ok(())
    }
}
