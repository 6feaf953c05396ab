//! The table, `prover.json` and the plot.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::{
    Failure,
    plot::{Panel, svg},
};

/// Names as they are measured, and the most that each should be.
const TARGETS: [(&str, f64); 8] = [
    ("1,024 rows: proof", 1.0),
    ("65,536 rows: proof", 20.0),
    ("65,536 rows: most memory so far", 3072.0),
    ("1,024 rows: verification, whole transaction", 450_000.0),
    ("16,384 rows: verification, whole transaction", 450_000.0),
    ("65,536 rows: verification, whole transaction", 450_000.0),
    ("verification of a further payer", 20_000.0),
    ("verification of a further page", 100_000.0),
];

/// What stands beside a figure in the same unit. Settlement's are of calls, without calldata.
const PEERS: [(&str, &str); 1] = [("Settlement: claim", "Merkle claim, claimed before: execution")];

const NOT_PROVEN: &str = "A cumulative Merkle root proves that its poster wrote an amount. It does not prove that rows \
                          add up to it, that no amount is negative or that the amounts sum to what payers paid.";

pub(crate) fn report(folder: &Path) -> Result<(), Failure> {
    let mut rows = read(&folder.join("prover_times.json"))?;
    rows.extend(read(&folder.join("prover_gas.json"))?);
    rows.extend(named(read(Path::new("snapshots/Settlement.json"))?, "Settlement"));
    rows.extend(named(read(Path::new("snapshots/PaymentChannels.json"))?, "PaymentChannels"));
    let values: BTreeMap<String, f64> = rows
        .iter()
        .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["value"].as_f64()?)))
        .collect();
    println!("{:<64} {:>12} {:<8} {:>9} {:>6}", "", "value", "unit", "target", "met");
    for row in &mut rows {
        let name = row["name"].as_str().ok_or("a name")?.to_owned();
        let value = row["value"].as_f64().ok_or("a value")?;
        let target = TARGETS.iter().find(|target| target.0 == name).map(|target| target.1);
        let peer = PEERS.iter().find(|peer| peer.0 == name).and_then(|p| values.get_key_value(p.1));
        row["target"] = json!(target);
        row["met"] = json!(target.map(|target| value <= target));
        row["peer"] = json!(peer.map(|(name, value)| format!("{name}: {value}")));
        row["ratio"] = json!(peer.map(|(_, peer)| value / peer));
        let unit = row["unit"].as_str().unwrap_or_default();
        let shown = target.map_or_else(String::new, |target| target.to_string());
        let met = target.map_or("", |target| if value <= target { "yes" } else { "NO" });
        println!("{name:<64} {value:>12.3} {unit:<8} {shown:>9} {met:>6}");
    }
    println!("{NOT_PROVEN}");
    let report = json!({ "machine": machine(), "rows": rows, "notes": [NOT_PROVEN] });
    fs::write(folder.join("prover.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    let curve = |suffix: &str| {
        let sizes = [(1_024.0, "1,024 rows"), (16_384.0, "16,384 rows"), (65_536.0, "65,536 rows")];
        let point =
            |(rows, name): (f64, &str)| Some((rows, *values.get(&format!("{name}{suffix}"))?));
        sizes.into_iter().filter_map(point).collect()
    };
    let time = Panel {
        title: "Proving, 2^16 earners to a page",
        unit: "s",
        points: curve(": proof"),
        target: 20.0,
    };
    let gas = Panel {
        title: "Verifying, whole transaction",
        unit: "gas",
        points: curve(": verification, whole transaction"),
        target: 450_000.0,
    };
    fs::write(folder.join("prover.svg"), svg(&[time, gas]))?;
    println!("{}", folder.join("prover.json").display());
    println!("{}", folder.join("prover.svg").display());
    Ok(())
}

/// Rows of a file of measurements; gas is an object of numbers or strings.
fn read(path: &Path) -> Result<Vec<Value>, Failure> {
    let failed = |error| format!("{}: {error}", path.display());
    let content: Value = serde_json::from_str(&fs::read_to_string(path).map_err(failed)?)?;
    if let Some(rows) = content["rows"].as_array() {
        return Ok(rows.clone());
    }
    let gas = content.as_object().ok_or("an object of gas by name")?;
    let row = |(name, gas): (&String, &Value)| {
        let gas = gas.as_f64().or_else(|| gas.as_str()?.parse().ok());
        json!({ "name": name, "value": gas, "unit": "gas" })
    };
    Ok(gas.iter().map(row).collect())
}

/// Gas as the contracts' tests keep it, by contract.
fn named(rows: Vec<Value>, contract: &str) -> impl Iterator<Item = Value> {
    rows.into_iter().map(move |mut row| {
        row["name"] = json!(format!("{contract}: {}", row["name"].as_str().unwrap_or_default()));
        row
    })
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{model}, {} threads, load {load}", rayon::current_num_threads())
}
