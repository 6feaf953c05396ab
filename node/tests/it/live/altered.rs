//! What is changed after an answer was settled, and how each change is told.

use alloy::primitives::{B256, hex, keccak256};
use node::{
    catalog::adapter_hash,
    config::Config,
    explain::{
        CheckSettings, Checker, Claimed, Explanation, Report, Verdict, open_checker, open_registry,
    },
    recorder::CallRecord,
    store::{Table, WriteBatch, rows},
};

use super::{Stand, json};
use crate::votes::tiny;

async fn check(checker: &Checker, said: &Explanation, is_run_again: bool) -> Report {
    let text = said.text.as_ref().unwrap();
    let request = text.request.as_deref().map(str::as_bytes).filter(|_| is_run_again);
    let answer = text.output.as_deref().map(str::as_bytes);
    checker.check(Claimed { explanation: said, request, answer }).await.unwrap()
}

fn differs(report: &Report, what: &str) {
    let finding = report.of(what).unwrap_or_else(|| panic!("no {what} in {report:#?}"));
    assert_eq!(finding.verdict, Verdict::Differs, "{finding:?}");
}

/// The section of a kind.
fn section<'a>(said: &'a mut Explanation, kind: &str) -> &'a mut node::explain::SectionPart {
    said.sections.iter_mut().find(|section| section.kind == kind).unwrap()
}

type Change = fn(&mut Explanation);

/// What a node may say that the committed ledger does not; `true` where the model is run again.
const CHANGES: [(&[&str], bool, Change); 8] = [
    (&["inclusion", "spans again"], true, |said| {
        // All holders of a span have its ranks.
        for of in &mut section(said, "span").uses {
            of.span.as_mut().unwrap().low.0 += 1;
        }
    }),
    (&["inclusion", "citations again"], true, |said| {
        section(said, "citation").uses[0].citation.as_mut().unwrap().row.0 ^= 1;
    }),
    (&["inclusion", "flat", "spans again"], true, |said| section(said, "span").uses.clear()),
    (&["spans"], false, |said| section(said, "span").uses[0].credit.0 += 1),
    (&["citations"], false, |said| section(said, "citation").pool.0 += 1),
    (&["scores"], false, |said| said.contributors[0].score.0 += 1_000_000),
    (&["fee"], false, |said| said.money.fee.0 += 1),
    (&["paid"], false, |said| said.batch.as_mut().unwrap().paid[0].amount.0 += 1),
];

/// A node that says something else than it recorded.
pub(super) async fn explanations(stand: &Stand) {
    let attribute = ["attribute", &stand.id, "--config", "openledger.toml", "--json"];
    let body = json(&stand.run(&attribute).await);
    let said: Explanation = serde_json::from_value(body["explanation"].clone()).unwrap();
    let config = Config::load(&stand.home().join("openledger.toml")).unwrap();
    let (_, registry) = open_registry(&config).await.unwrap();
    let settings = CheckSettings { recomputes: true };
    let checker = open_checker(&config, registry, settings).await.unwrap();
    let report = check(&checker, &said, true).await;
    assert!(report.agrees(), "{report:#?}");
    for (findings, is_run_again, change) in CHANGES {
        let mut changed = said.clone();
        change(&mut changed);
        assert_ne!(changed, said);
        let report = check(&checker, &changed, is_run_again).await;
        for what in findings {
            differs(&report, what);
        }
    }
}

/// A record that is changed in the store, as damage or an operator would.
pub(super) async fn stores(stand: &Stand) {
    let attribute = ["attribute", &stand.id, "--config", "openledger.toml"];
    let change = |change: fn(&mut CallRecord)| {
        let store = stand.files.store();
        let calls: Vec<(Vec<u8>, CallRecord)> = rows(&*store, Table::Calls, &[]).unwrap();
        let [(key, original)] = &calls[..] else { panic!("{calls:?}") };
        let mut changed = original.clone();
        change(&mut changed);
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Calls, key.clone(), &changed);
        store.write(batch).unwrap();
    };
    change(|call| call.sketch[3] ^= 1);
    let said = stand.run(&attribute).await;
    assert!(!said.is_right && said.text.contains("DISAGREES"), "{said:?}");
    for what in ["record", "inclusion"] {
        let is_told = |line: &str| line.trim_start().starts_with(&format!("DIFFERS {what} "));
        assert!(said.text.lines().any(is_told), "{what}: {said:?}");
    }
    change(|call| call.sketch[3] ^= 1);
    let said = stand.run(&attribute).await;
    assert!(said.is_right && said.text.contains("AGREES: "), "{said:?}");
}

/// The model's published index with all its parts, and with one altered byte in each kind of file.
pub(super) async fn indexes(stand: &Stand) {
    let base = tiny();
    let whole = stand.verify(&["--rows", "2", "--base", base.to_str().unwrap()]).await;
    assert!(whole.is_right, "{whole:?}");
    for what in [
        "adapter",
        "index.olx",
        "contributor sums",
        "registration",
        "publication",
        "span publication",
        "span index",
        "span rows",
        "span text",
        "datanets",
        "rows",
        "shapes",
        "seed",
        "basis",
        "sketches",
    ] {
        let line = format!("ok      {what} ");
        assert!(whole.text.lines().any(|said| said.starts_with(&line)), "{what}: {whole:?}");
    }
    // File, what is told of it, and whether that names the file's own hash.
    let files = [
        ("index.olx", "index.olx", true),
        ("spans/header", "span index", false),
        ("spans/0.tokens", "span index", true),
        ("spans/0.suffixes", "span index", true),
        ("spans/0.rows", "span index", true),
        ("adapter_config.json", "adapter", false),
        ("adapter_model.safetensors", "adapter", false),
    ];
    for (file, what, has_hash) in files {
        let path = stand.model().join(file);
        let bytes = std::fs::read(&path).unwrap();
        let mut altered = bytes.clone();
        altered[bytes.len() / 2] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let said = stand.verify(&[]).await;
        assert!(!said.is_right, "{file}: {said:?}");
        let told = format!("DIFFERS {what} ");
        let line = said.text.lines().find(|line| line.starts_with(&told));
        let line = line.unwrap_or_else(|| panic!("{file}: {said:?}"));
        if has_hash {
            assert!(line.contains(&hex::encode(keccak256(&altered))), "{file}: {line}");
        }
        if what == "adapter" {
            let hash: B256 = adapter_hash(&stand.model()).unwrap();
            assert!(line.contains(&hash.to_string()), "{file}: {line}");
        }
        if let Some(part) = file.strip_prefix("spans/") {
            let (_, part) = part.split_once('.').unwrap_or(("", part));
            assert!(line.contains(part), "{file}: {line}");
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    manifest(stand).await;
    assert!(stand.verify(&[]).await.is_right);
}

/// Every hash of `model.json` with another last digit.
async fn manifest(stand: &Stand) {
    let path = stand.model().join("model.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (field, what) in [
        ("adapter_hash", "adapter"),
        ("index_hash", "index.olx"),
        ("index_root", "contributor sums"),
        ("span_hash", "span publication"),
        ("base_id", "registration"),
        ("name", "registration"),
    ] {
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut value = manifest[field].as_str().unwrap().to_owned();
        let last = value.pop().unwrap();
        value.push(if last == '1' { '2' } else { '1' });
        manifest[field] = value.into();
        std::fs::write(&path, manifest.to_string()).unwrap();
        let said = stand.verify(&[]).await;
        let told = format!("DIFFERS {what} ");
        let is_told = said.text.lines().any(|line| line.starts_with(&told));
        assert!(!said.is_right && is_told, "{field}: {said:?}");
    }
    std::fs::write(&path, text).unwrap();
}
