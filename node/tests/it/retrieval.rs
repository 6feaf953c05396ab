//! A node that answers from rows, run as operators run it, and asked with the command line.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use node::{
    client::{ChatCall, PaidClient, Payer, RetrievalAsk},
    committer::Kzg,
    datanet::{Contribution, Datanet, assemble},
};
use serde_json::{Value, json};

use crate::{
    anvil::{self, KEYS, PAGE_SIZE},
    binary::{Files, PATIENCE, Process, SECRET, SECRET_HASH, eventually, write_key},
    market::{Market, coins},
    votes::{encoder, publish},
};

const EPOCH: u64 = 3_600;
const WINDOW: u64 = 60;
const QUESTION: &str = "How do I deposit assets into a vault for shares?";
const ROWS: &str = "openledger_retrieval_rows";

/// A node whose model's rows are in a folder, in which others may appear.
struct Stand {
    market: Market,
    files: Files,
    folder: tempfile::TempDir,
}

impl Stand {
    async fn open() -> Self {
        let mut market = Market::bare(EPOCH, WINDOW, 1_000).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let blobs = path.join("blobs");
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        market.model = publish(&market, path, market.layer(&blobs), kzg, WINDOW).await;
        std::fs::create_dir(path.join("rows")).unwrap();
        std::fs::rename(path.join("datanet"), path.join("rows/first")).unwrap();
        let private = Self::version(&market, "secrets", &path.join("rows/secret"), &[]).await;
        let settings = format!(
            "[da]\nattestor_key_file = \"attestor.hex\"\n\
             [retrieval]\nencoder = {:?}\nfolders = [\"../rows\"]\nprivate = [\"{private}\"]\n\
             min_cosine_bps = 500\n\
             [[keys]]\nname = \"ana\"\nsha256 = \"{SECRET_HASH}\"\ndatanets = [\"{private}\"]\n",
            encoder()
        );
        let model = path.join("model");
        let (anvil, operator) = (&market.anvil, &market.operator);
        let files =
            Files::write(&path.join("node"), anvil, operator, &model, Some(&blobs), &settings);
        Self { market, files, folder }
    }

    /// Puts a version on the chain and then its rows into a folder: those given and one more. Returns
    /// the Datanet.
    async fn version(market: &Market, name: &str, dir: &Path, texts: &[String]) -> B256 {
        let owner = market.registrar(0).await;
        let texts = texts.iter().cloned().chain([format!("// {name}\nfunction {name}Ballot()\n")]);
        let contributions: Vec<Contribution> = texts
            .map(|text| Contribution {
                contributor: Address::repeat_byte(9),
                text,
                source: format!("{name}.sol"),
            })
            .collect();
        let clusters: Vec<usize> = (0..contributions.len()).collect();
        let away = tempfile::tempdir().unwrap();
        Datanet::new(name, "MIT", assemble(contributions, &clusters)).save(away.path()).unwrap();
        let version = owner.datanet(away.path()).await.unwrap();
        Datanet::load(away.path()).unwrap().save(dir).unwrap();
        version.id
    }

    fn rows(&self) -> PathBuf {
        self.folder.path().join("rows")
    }
}

async fn retrieve(node: &Process, question: &str, key: Option<&str>) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http
        .post(format!("{}/v1/retrieve", node.url))
        .body(json!({ "question": question, "limit": 4 }).to_string());
    let request = match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn sources(found: &Value) -> Vec<&str> {
    let data = found["data"].as_array().unwrap();
    data.iter().map(|row| row["source"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_from_rows_and_from_those_that_appear_while_it_runs() {
    let stand = Stand::open().await;
    let node = stand.files.start();
    eventually("rows are searchable", async || node.metric(ROWS).await == 5).await;
    let (status, found) = retrieve(&node, QUESTION, None).await;
    assert_eq!((status, sources(&found)[0]), (200, "1.sol"), "{found}");

    // A private row is found by whoever was granted it, and by nobody else.
    let asked = "secrets ballot";
    let (_, granted) = retrieve(&node, asked, Some(SECRET)).await;
    assert_eq!(sources(&granted)[0], "secrets.sol", "{granted}");
    let (_, others) = retrieve(&node, asked, None).await;
    assert!(!sources(&others).contains(&"secrets.sol"), "{others}");

    // A paid call through the client, which checks the receipt against text and sources.
    let payer: PrivateKeySigner = KEYS[3].parse().unwrap();
    let deployment = stand.market.contracts.deployment.clone();
    let key = stand.folder.path().join("payer.hex");
    write_key(&key, &payer);
    let payer = Payer::connect(&stand.market.anvil.url, deployment, payer).await.unwrap();
    let client =
        PaidClient::open(node.client(), payer, B256::ZERO, coins(1), PATIENCE).await.unwrap();
    for stream in [false, true] {
        let call = ChatCall {
            max_tokens: 8,
            stream,
            retrieval: Some(RetrievalAsk { datanets: Vec::new(), limit: Some(1) }),
            ..ChatCall::ask(&stand.market.model.to_string(), QUESTION)
        };
        let reply = client.chat(&call, PATIENCE, &mut |_| {}).await.unwrap();
        let retrieval = reply.statement.retrieval.unwrap();
        assert_eq!(retrieval.sources.len(), 1, "{retrieval:?}");
        assert_eq!(retrieval.sources[0].source, "1.sol");
    }
    ask(&stand, &node, &key);

    appears(&stand, &node).await;

    // After a restart nothing is computed again.
    node.stop();
    let node = stand.files.start();
    assert_eq!(node.metric(ROWS).await, 7);
    assert_eq!(node.metric("openledger_retrieval_encoded_rows_total").await, 0);
    let (_, found) = retrieve(&node, QUESTION, None).await;
    assert_eq!(sources(&found)[0], "1.sol", "{found}");
}

/// A version is searchable soon after its rows are there.
async fn appears(stand: &Stand, node: &Process) {
    let texts = ["// A\nfunction tally() external view returns (uint256 votes)\n".to_owned()];
    let began = Instant::now();
    Stand::version(&stand.market, "polls", &stand.rows().join("polls"), &texts).await;
    eventually("the new version is searchable", async || node.metric(ROWS).await == 7).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    let (_, found) = retrieve(node, "tally of votes", None).await;
    assert_eq!(sources(&found)[0], "polls.sol", "{found}");
}

/// The command line shows the answer with its sources.
fn ask(stand: &Stand, node: &Process, key: &Path) {
    let deployment = stand.folder.path().join("node/deployment.json");
    let output = Command::new(env!("CARGO_BIN_EXE_openledger"))
        .args(["ask", "--rpc", &stand.market.anvil.url, "--node-url", &node.url])
        .args(["--model", &stand.market.model.to_string(), "--max-tokens", "8", "--rows", "1"])
        .arg("--deployment")
        .arg(deployment)
        .arg("--key")
        .arg(key)
        .arg(QUESTION)
        .env_remove("OPENLEDGER_KEY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("[1]") && said.contains("1.sol (row 1)"), "{said}");
    let contributor = KEYS[3].parse::<PrivateKeySigner>().unwrap().address().to_string();
    assert!(said.contains(&contributor), "{said}");
}
