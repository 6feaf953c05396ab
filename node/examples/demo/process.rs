//! The node as users run it: a process of its own, which can be killed.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use eyre::{Context, Result, bail};
use node::client::NodeClient;
use serde_json::Value;
use tokio::process::{Child, Command};

/// A running `openledger serve`; it ends when dropped.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Child,
    pub(crate) client: NodeClient,
}

/// What the configuration file is made from.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) rpc_url: &'a str,
    pub(crate) deployment: &'a Path,
    pub(crate) models: &'a [PathBuf],
    pub(crate) datanets: &'a [PathBuf],
    pub(crate) base: &'a Path,
    pub(crate) keys: &'a Path,
    pub(crate) srs_cache: &'a Path,
    pub(crate) max_skew_seconds: u64,
}

impl NodeProcess {
    /// Writes a configuration under `dir`, starts the node and waits until it is healthy.
    pub(crate) async fn start(dir: &Path, settings: &Settings<'_>) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = dir.join("openledger.toml");
        fs::write(&config, configuration(dir, port, settings))?;
        let binary = std::env::current_exe()?
            .parent()
            .and_then(Path::parent)
            .map(|target| target.join("openledger"))
            .filter(|binary| binary.exists())
            .ok_or_else(|| eyre::eyre!("the openledger binary is not built beside this one"))?;
        let url = format!("http://127.0.0.1:{port}");
        let log = dir.join("node.log");
        let child = spawn(&binary, &config, &log)?;
        let client = NodeClient::new(&url)?;
        let mut node = Self { binary, config, log, child, client };
        node.wait_healthy().await?;
        Ok(node)
    }

    /// Kills the node the way a power cut does, and starts it again.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.child = spawn(&self.binary, &self.config, &self.log)?;
        self.wait_healthy().await
    }

    async fn wait_healthy(&mut self) -> Result<()> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(8).collect();
                bail!(
                    "the node ended with {status}:\n{}",
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            let health = self.client.get("/health", Duration::from_millis(500)).await;
            if health.is_ok_and(|health: Value| health["status"] == "ok") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the node is not healthy after 60 s; see {}", self.log.display())
    }
}

fn spawn(binary: &Path, config: &Path, log: &Path) -> Result<Child> {
    let log = fs::File::options().create(true).append(true).open(log)?;
    Command::new(binary)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdout(log.try_clone()?)
        .stderr(log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .wrap_err("the node did not start")
}

fn configuration(dir: &Path, port: u16, settings: &Settings<'_>) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let list = |paths: &[PathBuf]| {
        paths.iter().map(|p| format!("{:?}", absolute(p))).collect::<Vec<_>>().join(", ")
    };
    format!(
        r#"[chain]
rpc_url = "{rpc_url}"
deployment = {deployment:?}
poll_interval_ms = 250

[operator]
key_file = {operator:?}

[node]
listen = "127.0.0.1:{port}"
data_dir = {data:?}
max_skew_seconds = {skew}
datanets = [{datanets}]

[model]
base = {base:?}
models = [{models}]

[da]
attestor_key_file = {attestor:?}

[srs]
secret_seed = "{seed}"
powers = {powers}
cache_dir = {cache:?}

[log]
format = "json"
"#,
        rpc_url = settings.rpc_url,
        deployment = absolute(settings.deployment),
        operator = absolute(&settings.keys.join("operator.key")),
        attestor = absolute(&settings.keys.join("attestor.key")),
        data = absolute(&dir.join("data")),
        skew = settings.max_skew_seconds,
        datanets = list(settings.datanets),
        models = list(settings.models),
        base = absolute(settings.base),
        seed = crate::SRS_SEED,
        powers = crate::SRS_POWERS,
        cache = absolute(settings.srs_cache),
    )
}
