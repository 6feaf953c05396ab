//! OpenAI's stock clients against a node on a chain, with a key whose payer's channel the node opens.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use node::committer::Kzg;
use serde_json::{Value, json};

use crate::{
    anvil::{self, KEYS, PAGE_SIZE},
    binary::{Files, PATIENCE, Process, SECRET, SECRET_HASH, write_key},
    market::Market,
    votes::publish,
};

const EPOCH: u64 = 3_600;
const WINDOW: u64 = 60;

/// A node that serves the project's model with an adapter on it.
struct Stand {
    _market: Market,
    model: B256,
    node: Process,
    _folder: tempfile::TempDir,
}

impl Stand {
    /// With the model split over this many ranks.
    async fn start(ranks: usize) -> Self {
        let mut market = Market::bare(EPOCH, WINDOW, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("blobs");
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let model = publish(&market, folder.path(), market.layer(&blobs), kzg, WINDOW).await;
        market.model = model;
        let payer: PrivateKeySigner = KEYS[3].parse().unwrap();
        write_key(&folder.path().join("payer.hex"), &payer);
        let settings = format!(
            "[[keys]]\nname = \"ana\"\nsha256 = \"{SECRET_HASH}\"\npayer_key_file = \"../payer.hex\"\n\
             deposit_gwei = 20_000_000_000\ndaily_limit_gwei = 10_000_000_000\n\
             [da]\nattestor_key_file = \"attestor.hex\"\n"
        );
        let path = folder.path();
        let files = Files::write(
            &path.join("node"),
            &market.anvil,
            &market.operator,
            &path.join("model"),
            Some(&blobs),
            &settings,
        );
        files.set("model", &format!("ranks = {ranks}"));
        let node = files.start();
        Self { _market: market, model, node, _folder: folder }
    }

    /// Asks for a text with the key; the answer.
    async fn complete(&self, prompt: &str) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let body = json!({
            "model": self.model.to_string(), "prompt": prompt, "max_tokens": 16, "temperature": 0,
        });
        let url = format!("{}/v1/completions", self.node.url);
        let answer =
            http.post(url).bearer_auth(SECRET).body(body.to_string()).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// Runs a client's script, whose output is this test's.
    fn run(&self, program: &Path, arguments: &[&str]) {
        let status = Command::new(program)
            .args(arguments)
            .current_dir(scripts())
            .env("OPENLEDGER_URL", &self.node.url)
            .env("OPENLEDGER_KEY", SECRET)
            .env("OPENLEDGER_MODEL", self.model.to_string())
            .status()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(status.success(), "{}: {status}", program.display());
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The environment that `setup.sh` makes.
fn python() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/openledger");
    let cache = std::env::var_os("OPENLEDGER_CACHE").map_or_else(home, PathBuf::from);
    cache.join("venv-clients/bin/python")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the clients: make test-e2e installs them"]
async fn stock_clients_work_unchanged_and_every_call_is_paid() {
    let stand = Stand::start(1).await;
    tokio::task::block_in_place(|| {
        stand.run(&python(), &["stock.py"]);
        stand.run(Path::new("node"), &["--test", "stock.test.mjs"]);
    });
    // What the clients were answered is what the payer's channel was charged.
    let served = stand.node.metric("openledger_calls_total{outcome=\"Served\"}").await;
    let fees = stand.node.metric("openledger_fees_gwei_total").await;
    assert!(served >= 20 && fees > 0, "{served} calls, {fees} gwei");
    let info: Value = stand.node.client().get("/info", PATIENCE).await.unwrap();
    assert_eq!(info["numeric_profile"], "cpu-f32-fixed");
}

/// Sums over ranks are in another order, so this holds where no two tokens are nearly as likely.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_over_three_ranks_answers_like_one_and_says_so() {
    let (mut answers, mut profiles) = (Vec::new(), Vec::new());
    for ranks in [1, 3] {
        let stand = Stand::start(ranks).await;
        let answer = stand.complete("contract Token {").await;
        assert!(answer["openledger"]["receipt"]["fee"].is_string(), "{answer}");
        answers.push(answer["choices"][0]["text"].clone());
        let info: Value = stand.node.client().get("/info", PATIENCE).await.unwrap();
        profiles.push(info["numeric_profile"].clone());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(profiles, ["cpu-f32-fixed", "cpu-f32-ranks"]);
}
