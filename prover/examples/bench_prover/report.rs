//! The table, `prover.json` and the plot.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use super::{
    Failure,
    plot::{Panel, svg},
};

/// Names as they are measured, and the most that each should be.
const TARGETS: [(&str, f64); 14] = [
    ("1,024 rows: proof", 1.0),
    ("65,536 rows: proof", 20.0),
    ("65,536 rows: most memory so far", 3072.0),
    ("1,024 rows: verification, whole transaction", 450_000.0),
    ("16,384 rows: verification, whole transaction", 450_000.0),
    ("65,536 rows: verification, whole transaction", 450_000.0),
    ("verification of a further payer", 20_000.0),
    ("verification of a further page", 100_000.0),
    ("claim, claimed before: whole transaction", 220_000.0),
    ("claim, never claimed: whole transaction", 220_000.0),
    ("further claim in a transaction, claimed before", 45_000.0),
    ("further claim in a transaction, never claimed", 60_000.0),
    (TAKEN, 1.0),
    (LOST, 0.0),
];

const TAKEN: &str = "dishonest batch, unchallenged: taken by its operator, part of F";
const LOST: &str = "dishonest batch, unchallenged: lost by anyone who did not sign";

/// What stands beside a figure in the same unit.
const PEERS: [(&str, &str); 2] = [
    ("claim, claimed before: whole transaction", "Merkle claim, claimed before: whole transaction"),
    ("claim, never claimed: whole transaction", "Merkle claim, never claimed: whole transaction"),
];

/// Files of gas in the folder, which the contracts' tests write.
const GAS: [&str; 3] = ["prover_gas.json", "claim_gas.json", "batch_gas.json"];

const NOTES: [&str; 3] = [
    NOT_PROVEN,
    "Fixed costs of a claim: pairing of two pairs 113,000; transaction 21,000; two multiplications and additions \
     12,300; what was claimed, 22,100 in a new word and 5,000 in a used one; payment 9,300, and 25,000 more for an \
     account that did not exist, which those of registered earners do. Further claims share the first two.",
    "The dishonest batch's rows are all false and its sums true, with a proof; nobody challenges it. F is what its \
     payer signed for.",
];

const NOT_PROVEN: &str = "A cumulative Merkle root proves that its poster wrote an amount. It does not prove that rows \
                          add up to it, that no amount is negative or that the amounts sum to what payers paid.";

pub(crate) fn report(folder: &Path) -> Result<(), Failure> {
    let mut rows = read(&folder.join("prover_times.json"))?;
    for file in GAS {
        rows.extend(read(&folder.join(file))?);
    }
    rows.extend(dishonest(&folder.join("dishonest_cost.json"))?);
    let values: BTreeMap<String, f64> = rows
        .iter()
        .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["value"].as_f64()?)))
        .collect();
    println!("{:<80} {:>14} {:<8} {:>9} {:>6}", "", "value", "unit", "target", "met");
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
        println!("{name:<80} {value:>14.3} {unit:<8} {shown:>9} {met:>6}");
    }
    for note in NOTES {
        println!("{note}");
    }
    let report = json!({ "machine": machine(), "rows": rows, "notes": NOTES });
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

/// What a dishonest batch came to that nobody challenged.
fn dishonest(path: &Path) -> Result<Vec<Value>, Failure> {
    let costs: BTreeMap<String, Value> = read(path)?
        .into_iter()
        .filter_map(|row| Some((row["name"].as_str()?.to_owned(), row["value"].clone())))
        .collect();
    let cost = |name: &str| costs.get(name).and_then(Value::as_f64).ok_or(format!("no {name}"));
    let total = cost("F")?;
    let row =
        |name: &str, value: f64, unit: &str| json!({ "name": name, "value": value, "unit": unit });
    let posting =
        "submitBatch with its proof, 2^16 earners to a page, one channel: whole transaction";
    Ok(vec![
        row(posting, cost("submitBatch")?, "gas"),
        row("dishonest batch, unchallenged: F", total, "gwei"),
        row(TAKEN, cost("taken")? / total, "F"),
        row(LOST, cost("lost")?, "gwei"),
    ])
}

fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{model}, {} threads, load {load}", rayon::current_num_threads())
}
