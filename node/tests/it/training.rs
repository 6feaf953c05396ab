//! The program trains, signs and indexes, and extends the index of an earlier version.

use std::{collections::BTreeMap, path::Path, process::Command};

use alloy::{
    primitives::{Address, keccak256},
    signers::local::PrivateKeySigner,
};
use node::{
    catalog::INDEX_FILE,
    datanet::{Contribution, Datanet, assemble},
    factory::SignedLog,
};

use crate::{anvil::run, binary::write_key, votes::tiny};

const NAMES: [&str; 9] =
    ["alpha", "bravo", "carol", "delta", "erin", "fidel", "golf", "hotel", "india"];

/// A version with the first so many rows, of three contributors.
fn version(dir: &Path, rows: usize) -> Datanet {
    let row = |(place, name): (usize, &&str)| Contribution {
        contributor: Address::repeat_byte(1 + place as u8 % 3),
        text: format!(
            "// Zork\nfunction {name}() returns (zork quux, {}) {{\n",
            name.repeat(place)
        ),
        source: "zork.sol".into(),
    };
    let contributions = NAMES.iter().enumerate().take(rows).map(row).collect();
    let clusters: Vec<usize> = (0..rows).collect();
    Datanet::new("zork", "MIT", assemble(contributions, &clusters)).save(dir).unwrap();
    Datanet::load(dir).unwrap()
}

fn openledger(arguments: &[&str], at: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
    command
        .args(arguments)
        .current_dir(at)
        .env_remove("OPENLEDGER_KEY")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
    command
}

fn trained(at: &Path, more: &[&str]) -> Command {
    let mut command = openledger(&["train", "--datanet", "six", "--out", "model"], at);
    command.arg("--base").arg(tiny()).args(["--rank", "2", "--alpha", "4", "--steps", "4"]);
    command.args(["--batch", "2", "--max-tokens", "48", "--held-out-every", "3"]).args(more);
    command
}

/// Builds an index; what the program says, and the file.
fn indexed(at: &Path, datanet: &str, more: &[&str]) -> (String, Vec<u8>) {
    let mut command = openledger(&["index", "build", "--adapter", "model"], at);
    command.args(["--datanet", datanet, "--earners", "earners.json", "--method", "influence"]);
    command.args(["--dim", "64", "--side", "64", "--max-tokens", "48"]).args(more);
    let said = run(command.arg("--base").arg(tiny()));
    (said, std::fs::read(at.join("model").join(INDEX_FILE)).unwrap())
}

#[test]
fn an_adapter_is_trained_signed_and_indexed_and_its_index_extended() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (six, nine) = (version(&at.join("six"), 6), version(&at.join("nine"), 9));
    let earners: BTreeMap<Address, u32> =
        (1..4).map(|number| (Address::repeat_byte(number), number.into())).collect();
    std::fs::write(at.join("earners.json"), serde_json::to_string(&earners).unwrap()).unwrap();

    // Who signs must have a key, and is told so before anything is trained.
    let output = trained(at, &["--sign"]).output().unwrap();
    assert!(!output.status.success() && !at.join("model").exists(), "{output:?}");
    let trainer = PrivateKeySigner::from_bytes(&keccak256("trainer")).unwrap();
    write_key(&at.join("trainer"), &trainer);
    let said = run(&mut trained(at, &["--sign", "--key", "trainer"]));
    assert!(said.contains("4 rows, 2 held out"), "{said}");
    assert!(said.contains(&format!("signed by {}", trainer.address())), "{said}");
    let signed = SignedLog::load(&at.join("model")).unwrap();
    let verify = |datanet: &Datanet| {
        let datanets = std::slice::from_ref(datanet);
        signed.verify(&at.join("model"), &tiny(), datanets, trainer.address())
    };
    verify(&six).unwrap();
    assert!(verify(&nine).unwrap_err().to_string().contains("Datanet version"));

    let (said, first) = indexed(at, "six", &[]);
    assert!(said.contains("6 rows (6 accepted) of 3 contributors"), "{said}");
    assert!(said.contains("6 gradients computed"), "{said}");
    std::fs::write(at.join("first.olx"), &first).unwrap();
    let (said, extended) = indexed(at, "nine", &["--extend", "first.olx"]);
    assert!(said.contains("9 rows (9 accepted)") && said.contains("3 gradients"), "{said}");
    std::fs::remove_file(at.join("model/index.sketches")).unwrap();
    let (said, from_nothing) = indexed(at, "nine", &["--extend", "first.olx"]);
    assert!(said.contains("9 gradients") && from_nothing == extended, "{said}");

    // It is told apart from one that was built for the later version, by the version that it extends.
    let verify = ["index", "verify", "model", "--offline", "--datanet", "nine", "--rows", "9"];
    let verified = |more: &[&str]| {
        let mut command = openledger(&[&verify[..], more].concat(), at);
        let output = command.args(["--max-tokens", "48", "--base"]).arg(tiny()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = verified(&["--learned-from", "six"]);
    for what in ["rows", "seed", "basis", "sketches"] {
        let line = format!("ok      {what} ");
        assert!(told.lines().any(|said| said.starts_with(&line)), "{what}: {told}");
    }
    let told = verified(&[]);
    assert!(told.lines().any(|line| line.starts_with("DIFFERS seed ")), "{told}");
}
