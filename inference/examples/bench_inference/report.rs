//! The table, `inference.json` and the plots.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    Failure,
    chart::{Panel, svg},
    sheet::{Row, Sheet, Target},
};

/// Parts in the order of the table.
const PARTS: [&str; 7] = ["compare", "registered", "switch", "slots", "memory", "soak", "weights"];

pub(crate) fn report(results: &Path) -> Result<(), Failure> {
    let (mut rows, mut notes, mut missing) = (Vec::<Row>::new(), Vec::new(), Vec::new());
    for part in PARTS {
        let path = results.join(format!("inference-{part}.json"));
        match fs::read(&path) {
            Ok(bytes) => {
                let sheet: Sheet = serde_json::from_slice(&bytes)?;
                rows.extend(sheet.rows);
                notes.extend(sheet.notes);
            }
            Err(_) => missing.push(part),
        }
    }
    println!(
        "{:<72} {:>11} {:<9} {:>8} {:>8} {:>5}",
        "", "value", "unit", "ratio", "target", "met"
    );
    for row in &rows {
        let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
        let met = row.met().map_or("", |met| if met { "yes" } else { "NO" });
        let (name, value, unit) = (&row.name, row.value, &row.unit);
        println!("{name:<72} {value:>11.3} {unit:<9} {ratio:>8} {:>8} {met:>5}", shown(row.target));
        if let Some(peer) = &row.peer {
            println!("    against {peer}");
        }
    }
    notes.iter().for_each(|note| println!("{note}"));
    for part in &missing {
        println!("not measured: {part}");
    }
    let measured: Vec<Value> = rows.iter().map(value).collect();
    let report =
        json!({ "machine": machine(), "rows": measured, "notes": notes, "missing": missing });
    let path = results.join("inference.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("{}", path.display());
    plot(results, &rows)
}

fn shown(target: Option<Target>) -> String {
    match target {
        None => String::new(),
        Some(Target::AtMost(most)) => format!("<= {most:.3}"),
        Some(Target::RatioAtLeast(least)) => format!(">= {least}x"),
        Some(Target::RatioAtMost(most)) => format!("<= {most}x"),
    }
}

fn value(row: &Row) -> Value {
    let target = row.target.map(|target| shown(Some(target)));
    json!({
        "name": row.name, "value": row.value, "unit": row.unit, "spread": row.spread,
        "target": target, "met": row.met(), "peer": row.peer, "ratio": row.ratio,
    })
}

fn plot(results: &Path, rows: &[Row]) -> Result<(), Failure> {
    let value = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.value);
    let batch = |n: u32| format!("16 requests, {n} adapter{}", if n == 1 { "" } else { "s" });
    let points = |names: &[(f64, String)]| -> Vec<(f64, f64)> {
        names.iter().filter_map(|(at, name)| Some((*at, value(name)?))).collect()
    };
    let counts = [1, 2, 4, 8, 16];
    let ours = points(&counts.map(|n| (f64::from(n), batch(n))));
    let level = |name: &str| value(name).map(|value| (value, "no adapter"));
    let peer = "16 requests, 16 adapters, transformers + PEFT f32";
    let mut curves = vec![("ours".to_owned(), ours)];
    curves.extend(value(peer).map(|value| ("transformers + PEFT".to_owned(), vec![(16.0, value)])));
    let adapters = Panel {
        title: "16 requests: tokens/s",
        across: "adapters in the batch",
        curves,
        level: level("16 requests, no adapter"),
    };
    let hot = |what: &str| {
        let named = [8, 64].map(|n| {
            (f64::from(n), format!("{n} hot adapters in 8 slots: {what} time to first token"))
        });
        (what.to_owned(), points(&named))
    };
    let waits = Panel {
        title: "time to first token (ms), 8 slots",
        across: "adapters in use",
        curves: vec![hot("median"), hot("p99")],
        level: None,
    };
    let known = [1u32, 100, 10_000];
    let known = known.map(|n| (f64::from(n), format!("{n} registered, Zipf, 16 clients")));
    let registered = Panel {
        title: "1 M weights, 16 clients: tokens/s",
        across: "adapters registered",
        curves: vec![("ours".to_owned(), points(&known))],
        level: None,
    };
    let path = results.join("inference.svg");
    fs::write(&path, svg(&[adapters, waits, registered]))?;
    println!("{}", path.display());
    Ok(())
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{model}, {} threads, load {load}", rayon::current_num_threads())
}
