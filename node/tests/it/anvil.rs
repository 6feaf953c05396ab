//! A local chain with the contracts on it.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256},
    providers::Provider,
    signers::local::PrivateKeySigner,
};
use node::chain::{ChainClient, Deployment};
use prover::{Srs, argument::VerifierKey, evm};

use crate::binary::PATIENCE;

/// Anvil's first keys, each with 10 000 coins.
pub(crate) const KEYS: [&str; 4] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];

pub(crate) const PAGE_SIZE: u32 = 1024;
/// Seconds to answer a challenge, to commit and to reveal.
pub(crate) const VOTE_PERIOD: u64 = 3_600;
pub(crate) const SEED: &[u8] = b"integration";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A Foundry tool's native binary: what npm puts into its folder of binaries loses exit codes.
///
/// # Panics
/// If it is not installed: a test that needs a chain and has none must not pass.
fn tool(name: &str) -> PathBuf {
    let path = root().join("tools").join(name);
    let version = Command::new(&path).arg("--version").output();
    let is_installed = version.as_ref().is_ok_and(|output| output.status.success());
    assert!(is_installed, "{} does not run; run `make setup`: {version:?}", path.display());
    path
}

/// What a command says that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stderr));
    said
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn srs() -> Arc<Srs> {
    static SRS: OnceLock<Arc<Srs>> = OnceLock::new();
    Arc::clone(SRS.get_or_init(|| Arc::new(Srs::dev(31_337, SEED, 1 << 13).unwrap())))
}

/// A running chain; it ends with this value.
#[derive(Debug)]
pub(crate) struct Anvil {
    child: Option<Child>,
    pub(crate) url: String,
    pub(crate) chain_id: u64,
    /// The first deployment's file.
    pub(crate) file: OnceLock<String>,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Anvil {
    /// Starts a chain at a port and waits until it answers. Blocks are made by transactions and by
    /// [`Anvil::pass`].
    pub(crate) async fn start(port: u16) -> Self {
        // One id a port, so that deployment files of tests side by side have different names.
        let chain_id = 7_000_000 + u64::from(port);
        let child = Command::new(tool("anvil"))
            .args(["--silent", "--port", &port.to_string(), "--chain-id", &chain_id.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (url, file) = (format!("http://127.0.0.1:{port}"), OnceLock::new());
        let anvil = Self { child: Some(child), url, chain_id, file };
        let client = anvil.client(None);
        let begin = Instant::now();
        while client.block(None).await.is_err() {
            assert!(begin.elapsed() < PATIENCE, "anvil does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anvil
    }

    /// The same chain, which does not end with the new value.
    pub(crate) fn shared(&self) -> Self {
        let Self { url, chain_id, file, .. } = self;
        Self { child: None, url: url.clone(), chain_id: *chain_id, file: file.clone() }
    }

    pub(crate) fn client(&self, signer: Option<PrivateKeySigner>) -> ChainClient {
        ChainClient::new(&self.url, signer).unwrap()
    }

    pub(crate) async fn request(&self, method: &'static str, params: serde_json::Value) -> String {
        let client = self.client(None);
        let answer: serde_json::Value =
            client.provider().raw_request(method.into(), params).await.unwrap();
        answer.as_str().unwrap_or_default().to_owned()
    }

    /// Lets time pass and makes a block.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.request("evm_increaseTime", serde_json::json!([seconds])).await;
        self.request("evm_mine", serde_json::json!([])).await;
    }

    /// Deploys everything with the deploy script; the first key is deployer, owner, treasury and
    /// attestor.
    pub(crate) fn deploy(&self, epoch_seconds: u64, dispute_window: u64) -> Deployment {
        self.deploy_with(&srs(), epoch_seconds, dispute_window)
    }

    /// Deploys for other powers of tau.
    pub(crate) fn deploy_with(
        &self,
        srs: &Srs,
        epoch_seconds: u64,
        dispute_window: u64,
    ) -> Deployment {
        self.deploy_as(srs, epoch_seconds, dispute_window, &[])
    }

    /// Deploys with further variables of the deploy script.
    pub(crate) fn deploy_as(
        &self,
        srs: &Srs,
        epoch_seconds: u64,
        dispute_window: u64,
        variables: &[(&str, String)],
    ) -> Deployment {
        let evm::G2 { x1, x0, y1, y0 } = srs.tau_g2_evm();
        let tau = [x1, x0, y1, y0].map(|word| B256::new(word).to_string()).join(",");
        let identity = VerifierKey::new(srs, PAGE_SIZE).unwrap().identity();
        let evm::G1 { x, y } = identity.into();
        let identity = [x, y].map(|word| B256::new(word).to_string()).join(",");
        let mut command = self.script("Deploy");
        command
            // What is not about figures pays by influence alone.
            .env("DEPLOY_DEFAULT_INFLUENCE", "10000")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("DEPLOY_EPOCH_SECONDS", epoch_seconds.to_string())
            .env("DEPLOY_DISPUTE_WINDOW", dispute_window.to_string())
            .env("DEPLOY_PAGE_SIZE", PAGE_SIZE.to_string())
            .env("DEPLOY_MIN_STAKE", "1000000000000000000")
            .env("DEPLOY_VOTE_PERIOD", VOTE_PERIOD.to_string())
            .env("DEPLOY_INDEX_WINDOW", dispute_window.to_string())
            .env("DEPLOY_TAU_G2", tau)
            .env("DEPLOY_IDENTITY", identity);
        run(&mut command);
        let text = self.written("Deploy");
        let deployment = Deployment::parse(&text).unwrap();
        let _ = self.file.set(text);
        deployment
    }

    /// Deploys with figures that are open to challenges for so many seconds, on which the smallest stake
    /// votes, and half of the weight for models without any.
    pub(crate) fn deploy_figures(
        &self,
        figure_window: u64,
        epoch_seconds: u64,
        dispute_window: u64,
    ) -> Deployment {
        let variables = [
            ("DEPLOY_FIGURE_WINDOW", figure_window.to_string()),
            ("DEPLOY_MIN_PANEL_STAKE", "1".to_owned()),
            ("DEPLOY_DEFAULT_INFLUENCE", "5000".to_owned()),
        ];
        self.deploy_as(&srs(), epoch_seconds, dispute_window, &variables)
    }

    /// A deploy script, run by the first key.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(tool("forge"));
        command
            .current_dir(root())
            .args(["script", &format!("script/{name}.s.sol"), "--broadcast", "--slow"])
            .args(["--rpc-url", &self.url, "--private-key", KEYS[0]]);
        command
    }

    /// The file that a script wrote for this chain, which is removed.
    pub(crate) fn written(&self, script: &str) -> String {
        let path = root().join(format!("deployments/{}.json", self.chain_id));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let logs = root().join(format!("broadcast/{script}.s.sol/{}", self.chain_id));
        let _ = std::fs::remove_dir_all(logs);
        text
    }

    /// Deploys a contract of `test/`, without arguments, by the third key.
    pub(crate) fn create(&self, contract: &str) -> Address {
        let mut command = Command::new(tool("forge"));
        command.current_dir(root()).args(["create", contract, "--broadcast", "--json"]).args([
            "--rpc-url",
            &self.url,
            "--private-key",
            KEYS[2],
        ]);
        let said = run(&mut command);
        // It may say first what it compiles.
        let said: serde_json::Value =
            serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap();
        said["deployedTo"].as_str().unwrap().parse().unwrap()
    }
}
