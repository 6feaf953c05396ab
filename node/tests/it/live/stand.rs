//! A node as operators run it, whose model pays by influence, by spans and by citations, and an answer of
//! it that has all three.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::B256;
use attribution::settle::Mix;
use node::{
    catalog::ModelManifest,
    datanet::{Contribution, Datanet, assemble},
    factory::{IndexSettings, build_index, build_spans, earners_on_chain},
};
use serde_json::{Value, json};

use crate::{
    anvil::KEYS,
    binary::{Files, PATIENCE, Process, SECRET, SECRET_HASH, eventually, write_key},
    market::{Market, priced},
    votes::{adapter, encoder, tiny},
};

const EPOCH: u64 = 600;
const WINDOW: u64 = 3_600;
/// Seconds that clocks may differ by, as the node's files have it, and some.
const SKEW: u64 = 60;
const NOTICE: u64 = 3_600;
const SPANS_BPS: u16 = 3_000;
const CITATIONS_BPS: u16 = 2_000;
const QUESTION: &str =
    "How does the vault's function deposit an amount of token assets for shares?";
/// What the form lets the model say: words of rows 1 and 4, and a mark.
const SAID: &str =
    "The vault has function deposit(uint256 assets) public returns (uint256 shares) [1].";
/// Of different contributors, rows 1 and 4 hold the function that is said; row 4 has all of the words.
const ROWS: [&str; 5] = [
    "// Token\nfunction transfer(address to, uint256 amount) external returns (bool) {\n",
    "// Vault\nfunction deposit(uint256 assets) public returns (uint256 shares) {\n",
    "// Math\nfunction max(uint256 a, uint256 b) internal pure returns (uint256) {\n",
    "// Owner\nmodifier onlyOwner() {\n    require(msg.sender == owner);\n    _;\n}\n",
    "// Notes\nThe vault has function deposit(uint256 assets) public returns (uint256 shares) here\n",
];

/// The chain, the node's files, and the answer that it gave.
pub(super) struct Stand {
    pub(super) market: Market,
    pub(super) files: Files,
    /// Where everything is.
    pub(super) folder: tempfile::TempDir,
    /// The answer's id.
    pub(super) id: String,
    /// As the API gave it.
    pub(super) answer: Value,
}

/// What a program said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) is_right: bool,
}

impl Stand {
    /// A node that has answered, and whose batch is posted.
    pub(super) async fn open() -> (Self, Process) {
        let mut market = Market::bare(EPOCH, WINDOW, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        market.model = publish(&market, folder.path()).await;
        write_key(&folder.path().join("payer.hex"), &KEYS[3].parse().unwrap());
        let settings = format!(
            "[[keys]]\nname = \"ana\"\nsha256 = \"{SECRET_HASH}\"\n\
             payer_key_file = \"../payer.hex\"\ndeposit_gwei = 20_000_000_000\n\
             [da]\nattestor_key_file = \"attestor.hex\"\n\
             [retrieval]\nencoder = {:?}\nfolders = [\"../rows\"]\nmin_cosine_bps = 500\n",
            encoder()
        );
        let (home, model) = (folder.path().join("node"), folder.path().join("model"));
        let (anvil, operator) = (&market.anvil, &market.operator);
        let blobs = folder.path().join("blobs");
        let files = Files::write(&home, anvil, operator, &model, Some(&blobs), &settings);
        files.remove("max_prompt_tokens = 256\n");
        files.set("model", "max_prompt_tokens = 400");
        std::fs::write(home.join("ana.key"), SECRET).unwrap();

        let node = files.start();
        let rows = ROWS.len() as u64;
        eventually("the rows are searchable", async || {
            node.metric("openledger_retrieval_rows").await == rows
        })
        .await;
        let body = body(market.model);
        std::fs::write(home.join("request.json"), &body).unwrap();
        let answer = ask(&node, body).await;
        let id = answer["id"].as_str().unwrap().to_owned();
        let stand = Self { market, files, folder, id, answer };
        stand.passes(&node, EPOCH + SKEW, "posted").await;
        (stand, node)
    }

    /// Lets the batch of the answer become final: its request is kept no longer.
    pub(super) async fn finalise(&self, node: &Process) {
        self.passes(node, WINDOW + 1, "final").await;
    }

    /// Lets time pass, after which the batch of the answer has a status.
    async fn passes(&self, node: &Process, seconds: u64, status: &str) {
        let (_, digest) = self.id.rsplit_once('-').unwrap();
        let path = format!("/v1/records/0x{}/explanation", digest.trim_start_matches("0x"));
        self.market.anvil.pass(seconds).await;
        eventually("the batch goes on", async || {
            let said = node.client().get(&path, PATIENCE).await.unwrap();
            said["batch"]["status"] == status
        })
        .await;
    }

    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    pub(super) fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    /// Runs the program in the node's folder.
    pub(super) async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
        command
            .args(arguments)
            .current_dir(self.home())
            .env_remove("RUST_LOG")
            .env_remove("OPENLEDGER_API_KEY")
            .env_remove("OPENLEDGER_KEY")
            .env("NO_COLOR", "1");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_right = output.status.success();
        // What it prints is JSON or text; why it failed comes after.
        let failure = String::from_utf8_lossy(&output.stderr);
        let text = if is_right { text } else { text + &failure };
        Said { text, is_right }
    }

    /// `openledger index verify` of the model against the chain and the rows.
    pub(super) async fn verify(&self, more: &[&str]) -> Said {
        let chain = ["--deployment", "deployment.json", "--rpc", self.market.anvil.url.as_str()];
        let verify = ["index", "verify", "../model", "--datanet", "../rows/first"];
        self.run(&[&verify[..], &chain, more].concat()).await
    }
}

/// A question whose answer has spans and citations.
fn body(model: B256) -> String {
    let schema = json!({ "name": "said", "schema": { "enum": [SAID] } });
    json!({
        "model": model,
        "messages": [{ "role": "user", "content": QUESTION }],
        "max_tokens": 60,
        "temperature": 0,
        "retrieval": { "limit": 2 },
        "response_format": { "type": "json_schema", "json_schema": schema },
    })
    .to_string()
}

/// The answer, paid by a key.
async fn ask(node: &Process, body: String) -> Value {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let response = http
        .post(format!("{}/v1/chat/completions", node.url))
        .bearer_auth(SECRET)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let said = &answer["openledger"];
    assert!(!said["spans"].as_array().expect("spans").is_empty(), "{answer:#}");
    let retrieval = &said["retrieval"];
    assert_eq!(retrieval["sources"].as_array().unwrap().len(), 2, "{answer:#}");
    assert!(!retrieval["citations"].as_array().unwrap().is_empty(), "{answer:#}");
    answer
}

/// Puts a model into `folder/model` whose indexes are accepted and whose mix holds, and its rows into
/// `folder/rows/first`.
async fn publish(market: &Market, folder: &Path) -> B256 {
    let accounts = market.contributors().await;
    let owner = market.registrar(0).await;
    let (data, dir) = (folder.join("rows/first"), folder.join("model"));
    let contributions = ROWS.iter().enumerate().map(|(place, text)| Contribution {
        contributor: accounts[place % accounts.len()],
        text: (*text).to_owned(),
        source: format!("{place}.sol"),
    });
    let clusters: Vec<usize> = (0..ROWS.len()).collect();
    Datanet::new("rows", "MIT", assemble(contributions.collect(), &clusters)).save(&data).unwrap();
    let version = owner.datanet(&data).await.unwrap();
    let datanets = [Datanet::load(&data).unwrap()];
    adapter(&dir, 7);
    let client = market.anvil.client(None);
    let earners = earners_on_chain(&client, &market.contracts.deployment, &datanets).await.unwrap();
    let index = IndexSettings { dim: 128, side: 64, ..IndexSettings::default() };
    build_index(&tiny(), &dir, &datanets, &earners, &index, &mut |_| {}).unwrap();
    build_spans(&tiny(), &dir, &datanets, &earners, &mut |_| {}).unwrap();
    let base = owner.base(&tiny(), &priced("base")).await.unwrap().id;
    let model = owner.adapter(&dir, base, &[version], &priced("adapter")).await.unwrap().id;
    owner.index(&dir, &market.publisher(&folder.join("blobs"))).await.unwrap();
    let published = owner.spans(&dir).await.unwrap();
    assert_eq!(ModelManifest::load(&dir).unwrap().span_hash, Some(published.hash));
    owner.mix(model, Mix::new(SPANS_BPS, CITATIONS_BPS).unwrap()).await.unwrap();
    // The window, and the hour within which an operator need not have heard of a span index.
    market.anvil.pass(WINDOW + NOTICE + SKEW).await;
    owner.earning(model, |_| panic!("the window is over")).await.unwrap();
    model
}
