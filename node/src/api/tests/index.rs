//! Indexes that are held against their manifest, their Datanet and their model.

use std::path::Path;

use attribution::estimate::{InfluenceIndex, Projector, ProjectorConfig, SiteGradient, SiteShape};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    catalog::{INDEX_FILE, MANIFEST_FILE},
    datanet::{Contribution, Datanet, assemble},
    explain::{IndexCheck, Report, Verdict, verify_index},
    factory::{IndexSettings, build_index},
};

use super::world::{Files, adapters_dir, base_dir, earners};

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

fn agrees(report: &Report, what: &str) {
    let finding = report.of(what).unwrap_or_else(|| panic!("no {what} in {report:#?}"));
    assert_eq!(finding.verdict, Verdict::Agrees, "{what}: {report:#?}");
}

#[test]
fn a_sound_index_is_what_it_is_said_to_be_to_the_last_sketch() {
    let files = Files::shared();
    let datanets = [files.datanet()];
    let report = verified(&files.model_dir(), &datanets, 4);
    assert!(report.agrees(), "{report:#?}");
    for what in ["adapter", INDEX_FILE, "index", "contributor sums", "rows", "shapes"] {
        agrees(&report, what);
    }
    for what in ["seed", "basis", "sketches"] {
        agrees(&report, what);
        assert!(verified(&files.model_dir(), &datanets, 0).of(what).is_none());
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

/// An index of the same rows and adapter by another projector.
fn rebuilt(projector: Projector) -> tempfile::TempDir {
    let files = Files::shared();
    let folder = copy(&files.model_dir());
    rebuild(folder.path(), &[files.datanet()], Some(projector));
    folder
}

fn rebuild(dir: &Path, datanets: &[Datanet], projector: Option<Projector>) -> InfluenceIndex {
    let settings = IndexSettings { dim: 64, side: 64, projector, ..IndexSettings::default() };
    build_index(&base_dir(), dir, datanets, &earners(), &settings, &mut |_| {}).unwrap();
    InfluenceIndex::read(&dir.join(INDEX_FILE)).unwrap()
}

/// A Datanet of texts that its contributors wrote in turn.
fn datanet(texts: &[&str]) -> Datanet {
    let row = |(place, text): (usize, &&str)| Contribution {
        contributor: *earners().keys().nth(place % 3).unwrap(),
        text: (*text).to_owned(),
        source: format!("{place}.sol"),
    };
    let rows = texts.iter().enumerate().map(row).collect();
    Datanet::new("other", "MIT", assemble(rows, &(0..texts.len()).collect::<Vec<_>>()))
}

const OTHERS: [&str; 4] = [
    "The quick brown fox jumps over the lazy dog, and nobody knows what for.",
    "0x00ff 0x00fe 0x00fd 0x00fc 0x00fb 0x00fa",
    "import { Ownable } from \"./Ownable.sol\";\nimport { Pausable } from \"./Pausable.sol\";\n",
    "# Title\n\n- one\n- two\n- three\n",
];

/// Directions of random gradients: orthonormal, and of nothing in particular.
fn random(shapes: &[SiteShape], config: ProjectorConfig) -> Projector {
    let mut rng = StdRng::seed_from_u64(1);
    let mut draw = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
    let mut row = || -> Vec<(Vec<f32>, Vec<f32>)> {
        shapes.iter().map(|s| (draw(s.rank * s.d_in), draw(s.d_out * s.rank))).collect()
    };
    let rows: Vec<_> = (0..8).map(|_| row()).collect();
    let sites = rows.iter().map(|row| {
        let sites = shapes.iter().zip(row).map(|(shape, (a, b))| {
            let SiteShape { rank, d_in, d_out } = *shape;
            SiteGradient { a, b, rank, d_in, d_out }
        });
        sites.collect()
    });
    Projector::learned(shapes, config, sites).unwrap()
}

#[test]
fn a_basis_that_serves_the_rows_badly_differs_though_every_sketch_is_by_it() {
    let files = Files::shared();
    let datanets = [files.datanet()];
    let honest = InfluenceIndex::read(&files.model_dir().join(INDEX_FILE)).unwrap();
    let (shapes, config) = (honest.projector().shapes(), *honest.projector().config());
    let again = rebuilt(honest.projector().clone());
    agrees(&verified(again.path(), &datanets, 4), "basis");

    let others = copy(&files.model_dir());
    let of_others = rebuild(others.path(), &[datanet(&OTHERS)], None);
    let basis = of_others.projector().basis().unwrap().clone();
    let bad = [
        Projector::with_basis(shapes, config, basis).unwrap(),
        random(shapes, config),
        Projector::new(shapes, config).unwrap(),
    ];
    for projector in bad {
        let report = verified(rebuilt(projector).path(), &datanets, 4);
        for what in ["seed", "sketches"] {
            agrees(&report, what);
        }
        differs(&report, "basis");
    }
    // As it was learned: the basis is sound for what the seed draws, and the seed is not of these rows.
    let report = verified(rebuilt(of_others.projector().clone()).path(), &datanets, 4);
    differs(&report, "seed");
    differs(&report, "basis");
}

#[test]
fn an_extended_index_is_held_against_the_version_that_its_projection_is_of() {
    let files = Files::shared();
    let folder = copy(&files.model_dir());
    let first = [datanet(&OTHERS)];
    let projector = rebuild(folder.path(), &first, None).projector().clone();
    let texts: Vec<&str> = OTHERS.into_iter().chain(["uint256 public total;\n"]).collect();
    let longer = [datanet(&texts)];
    rebuild(folder.path(), &longer, Some(projector));
    let base = base_dir();
    let verified = |learned_from| {
        let check = IndexCheck {
            dir: folder.path(),
            chain: None,
            datanets: &longer,
            learned_from,
            base: Some(&base),
            rows: 5,
            seed: 1,
            max_tokens: 256,
        };
        verify_index(&check, &mut |_, _| {}).unwrap().0
    };
    let report = verified(Some(&first[..]));
    for what in ["rows", "seed", "basis", "sketches"] {
        agrees(&report, what);
    }
    differs(&verified(None), "seed");
}
