//! The table and `retrieval.json`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::Failure;

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
    unit: &'static str,
    target: Option<(&'static str, f64)>,
}

impl Row {
    fn met(&self) -> Option<bool> {
        let (sign, target) = self.target?;
        Some(if sign == ">=" { self.value >= target } else { self.value <= target })
    }
}

impl Sheet {
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn value(&mut self, name: &str, value: f64, unit: &'static str) {
        self.rows.push(Row { name: name.to_owned(), value, unit, target: None });
    }

    pub(crate) fn at_most(&mut self, name: &str, value: f64, unit: &'static str, target: f64) {
        self.rows.push(Row { name: name.to_owned(), value, unit, target: Some(("<=", target)) });
    }

    pub(crate) fn at_least(&mut self, name: &str, value: f64, unit: &'static str, target: f64) {
        self.rows.push(Row { name: name.to_owned(), value, unit, target: Some((">=", target)) });
    }

    /// Prints the table and writes it into the folder `results`.
    pub(crate) fn write(&self, results: &Path) -> Result<(), Failure> {
        println!("{:<48} {:>12} {:<5} {:>9} {:>5}", "", "value", "unit", "target", "met");
        for row in &self.rows {
            let target = row.target.map_or_else(String::new, |(s, t)| format!("{s} {t}"));
            let met = row.met().map_or("", |met| if met { "yes" } else { "NO" });
            let Row { name, value, unit, .. } = row;
            println!("{name:<48} {value:>12.4} {unit:<5} {target:>9} {met:>5}");
        }
        self.notes.iter().for_each(|note| println!("{note}"));
        let value = |row: &Row| {
            json!({
                "name": row.name, "value": row.value, "unit": row.unit,
                "target": row.target.map(|(sign, target)| format!("{sign} {target}")),
                "met": row.met(), "peer": Value::Null, "ratio": Value::Null,
            })
        };
        let rows: Vec<Value> = self.rows.iter().map(value).collect();
        let machine = std::thread::available_parallelism()?.get();
        let machine =
            format!("{} {}, {machine} cores", std::env::consts::OS, std::env::consts::ARCH);
        let report = json!({ "machine": machine, "rows": rows, "notes": self.notes });
        let path = results.join("retrieval.json");
        fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
        println!("{}", path.display());
        Ok(())
    }
}
