//! The table, `attribution.json` and the plots.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    Failure,
    chart::{Bar, Bars, Lines, bars, lines},
    methods::DIMS,
    sheet::{Row, Sheet, Target},
};

const TASKS: [&str; 3] = ["digits", "text", "solidity"];

pub(crate) fn report(results: &Path) -> Result<(), Failure> {
    let (mut rows, mut notes, mut missing) = (Vec::<Row>::new(), Vec::new(), Vec::new());
    for part in TASKS.iter().chain(&["speed"]) {
        match fs::read(results.join(format!("attribution-{part}.json"))) {
            Ok(bytes) => {
                let sheet: Sheet = serde_json::from_slice(&bytes)?;
                rows.extend(sheet.rows);
                notes.extend(sheet.notes);
            }
            Err(_) => missing.push(*part),
        }
    }
    println!(
        "{:<96} {:>10} {:<10} {:<18} {:>10} {:>4}",
        "", "value", "unit", "interval", "target", "met"
    );
    rows.iter().for_each(show);
    notes.iter().for_each(|note| println!("{note}"));
    missing.iter().for_each(|part| println!("not measured: {part}"));
    let met = rows.iter().filter_map(Row::met);
    println!("{} of {} targets met", met.clone().filter(|met| *met).count(), met.count());
    let measured: Vec<Value> = rows.iter().map(value).collect();
    let report =
        json!({ "machine": machine(), "rows": measured, "notes": notes, "missing": missing });
    let path = results.join("attribution.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    println!("{}", path.display());
    plot(results, &rows)
}

fn show(row: &Row) {
    let interval =
        row.interval.map_or_else(String::new, |(low, high)| format!("[{low:.3}, {high:.3}]"));
    let met = row.met().map_or("", |met| if met { "yes" } else { "NO" });
    let (name, unit) = (&row.name, &row.unit);
    println!(
        "{name:<96} {:>10} {unit:<10} {interval:<18} {:>10} {met:>4}",
        amount(row.value),
        target(row.target)
    );
    if let (Some(peer), Some(ratio)) = (&row.peer, row.ratio) {
        println!("    {ratio:.3} of {peer}");
    }
}

fn amount(value: f64) -> String {
    if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

fn target(target: Option<Target>) -> String {
    match target {
        None => String::new(),
        Some(Target::AtMost(most)) => format!("<= {}", amount(most)),
        Some(Target::AtLeast(least)) => format!(">= {}", amount(least)),
        Some(Target::Above(level)) => format!("> {}", amount(level)),
    }
}

fn value(row: &Row) -> Value {
    json!({
        "name": row.name, "value": row.value, "unit": row.unit, "interval": row.interval,
        "target": row.target.map(|given| target(Some(given))), "met": row.met(), "peer": row.peer,
        "ratio": row.ratio,
    })
}

fn plot(results: &Path, rows: &[Row]) -> Result<(), Failure> {
    let (mut panels, mut curves) = (Vec::new(), Vec::new());
    for task in TASKS {
        let prefix = format!("{task}: LDS, ");
        let bar = |row: &Row| -> Option<Bar> {
            let name = row.name.strip_prefix(&prefix)?;
            let name = name.split(" (").next().unwrap_or(name);
            if [" less ", " over ", "gain of "].iter().any(|part| name.contains(part)) {
                return None;
            }
            let colour = match name {
                _ if name.starts_with("sketch") => 0,
                _ if name.starts_with("dattri") => 1,
                "dense Fisher" => 2,
                _ => 4,
            };
            Some((name.to_owned(), row.value, row.interval, colour))
        };
        let mut found: Vec<Bar> = rows.iter().filter_map(bar).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        if found.is_empty() {
            continue;
        }
        let by_dim = |kind: &str| -> (String, Vec<(f64, f64)>) {
            let point = |&dim: &usize| {
                let name = format!("sketch {kind}, d = {dim}");
                let bar = found.iter().find(|bar| bar.0 == name)?;
                Some((dim as f64, bar.1))
            };
            (kind.to_owned(), DIMS.iter().filter_map(point).collect())
        };
        let title = format!("{task}: LDS by sketch dimension");
        curves.push(Lines { title, across: "d", curves: vec![by_dim("int8"), by_dim("f32")] });
        panels
            .push(Bars { title: format!("{task}: LDS, 95% intervals over queries"), bars: found });
    }
    for (name, svg) in [("attribution.svg", bars(&panels)), ("attribution-d.svg", lines(&curves))] {
        let path = results.join(name);
        fs::write(&path, svg)?;
        println!("{}", path.display());
    }
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
