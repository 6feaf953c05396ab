//! Indexes that are held against their manifest, their Datanet and their model.

use std::path::Path;

use crate::{
    catalog::{INDEX_FILE, MANIFEST_FILE},
    datanet::Datanet,
    explain::{IndexCheck, Report, Verdict, verify_index},
};

use super::world::{Files, adapters_dir, base_dir};

fn copy(original: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(original).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn change(dir: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(dir.join(file)).unwrap();
    change(&mut bytes);
    std::fs::write(dir.join(file), bytes).unwrap();
}

fn verified(dir: &Path, datanets: &[Datanet], rows: usize) -> Report {
    let base = base_dir();
    let check = IndexCheck {
        dir,
        chain: None,
        datanets,
        learned_from: None,
        base: Some(&base),
        rows,
        seed: 1,
        max_tokens: 256,
    };
    verify_index(&check, &mut |_, _| {}).unwrap().0
}

fn differs(report: &Report, what: &str) -> String {
    let finding = report.of(what).unwrap_or_else(|| panic!("no {what} in {report:#?}"));
    assert_eq!(finding.verdict, Verdict::Differs, "{what}: {report:#?}");
    finding.detail.clone()
}

#[test]
fn a_sound_index_is_what_it_is_said_to_be_to_the_last_sketch() {
    let files = Files::shared();
    let datanets = [files.datanet()];
    let report = verified(&files.model_dir(), &datanets, 4);
    assert!(report.agrees(), "{report:#?}");
    for what in ["adapter", INDEX_FILE, "index", "contributor sums", "rows", "shapes", "sketches"] {
        assert_eq!(report.of(what).unwrap().verdict, Verdict::Agrees, "{what}");
    }
    assert_eq!(report.of("registration").unwrap().verdict, Verdict::Unchecked);
}

#[test]
fn a_truncated_or_altered_index_is_named_with_its_hash() {
    let files = Files::shared();
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(40),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
    ];
    for alter in changes {
        let folder = copy(&files.model_dir());
        change(folder.path(), INDEX_FILE, alter);
        let report = verified(folder.path(), &[], 0);
        let hash = crate::catalog::file_hash(&folder.path().join(INDEX_FILE)).unwrap();
        assert!(differs(&report, INDEX_FILE).ends_with(&format!("found {hash}")), "{report:#?}");
        assert!(differs(&report, "index").starts_with(INDEX_FILE), "{report:#?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let report = verified(empty.path(), &[], 0);
    for what in [MANIFEST_FILE, INDEX_FILE, "index"] {
        differs(&report, what);
    }
}

#[test]
fn an_index_of_other_rows_or_another_model_is_refused_by_what_is_wrong() {
    let files = Files::shared();
    let mut texts = files.datanet();
    texts.rows[2].row_hash = alloy::primitives::keccak256("other");
    assert_eq!(
        differs(&verified(&files.model_dir(), &[texts], 0), "rows"),
        "row 2 (solidity 2) has another text"
    );
    let mut fewer = files.datanet();
    fewer.rows.truncate(3);
    assert_eq!(
        differs(&verified(&files.model_dir(), &[fewer], 0), "rows"),
        "row 3 is in no Datanet"
    );
    // A sketch is of the row's text: another text has another.
    let mut changed = files.datanet();
    for row in &mut changed.rows {
        row.text.push_str("// and more");
    }
    assert!(differs(&verified(&files.model_dir(), &[changed], 1), "sketches").contains("differ"));

    // Another adapter of the same shape: its hash is wrong, and so are the sketches.
    let folder = copy(&files.model_dir());
    let other = adapters_dir().join("style/adapter_model.safetensors");
    std::fs::copy(other, folder.path().join("adapter_model.safetensors")).unwrap();
    let report = verified(folder.path(), &[files.datanet()], 4);
    differs(&report, "adapter");
    differs(&report, "sketches");
}
