//! The node's binary, run as operators run it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alloy::{hex, signers::local::PrivateKeySigner};
use node::{client::NodeClient, store::SharedStore};

use crate::{
    anvil::{Anvil, KEYS, SEED},
    votes::tiny,
    world::rocks,
};

/// How long one thing may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A key of the API, and its SHA-256 by sha256sum.
pub(crate) const SECRET: &str = "a secret of ana's";
pub(crate) const SECRET_HASH: &str =
    "451c5b3e25cffe0f01e1b2c0c35b25b264e80b20c71bcbec997e8f785eb7e1ca";

/// A folder with a node's configuration and its data.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// The files of a node for the contracts on a chain. It serves the model in `model`, keeps blobs
    /// in `blobs` if that is given, and has `settings` besides.
    ///
    /// Settings that the caller gives as sections of their own: `srs` (if there are no shared
    /// blobs), `validator`, `challenger`.
    pub(crate) fn write(
        folder: &Path,
        anvil: &Anvil,
        operator: &PrivateKeySigner,
        model: &Path,
        blobs: Option<&Path>,
        settings: &str,
    ) -> Self {
        std::fs::create_dir_all(folder.join("data")).unwrap();
        std::fs::write(folder.join("deployment.json"), anvil.file.get().unwrap()).unwrap();
        write_key(&folder.join("operator.hex"), operator);
        std::fs::write(folder.join("attestor.hex"), KEYS[0]).unwrap();
        let powers = match blobs {
            Some(blobs) => {
                std::fs::create_dir_all(blobs).unwrap();
                std::os::unix::fs::symlink(blobs, folder.join("data/blobs")).unwrap();
                let (seed, cache) = (std::str::from_utf8(SEED).unwrap(), blobs.display());
                format!("[srs]\nsecret_seed = {seed:?}\npowers = 8192\ncache_dir = \"{cache}-srs\"")
            }
            None => String::new(),
        };
        let (url, base, model) = (&anvil.url, tiny(), model.display());
        let base = base.display();
        let text = format!(
            r#"
[chain]
rpc_url = "{url}"
deployment = "deployment.json"
poll_interval_ms = 100
max_head_age_seconds = 3600

[operator]
key_file = "operator.hex"

[node]
listen = "127.0.0.1:0"
data_dir = "data"
max_skew_seconds = 30

[model]
base = "{base}"
models = ["{model}"]
max_prompt_tokens = 256
max_new_tokens = 64
max_batch = 4

[log]
level = "info,node=debug"

{powers}
{settings}
"#
        );
        std::fs::write(folder.join("openledger.toml"), text).unwrap();
        Self { folder: folder.into() }
    }

    /// Adds a setting to a section that is there.
    pub(crate) fn set(&self, section: &str, setting: &str) {
        let path = self.folder.join("openledger.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "{text}");
        std::fs::write(path, text.replace(&head, &format!("{head}{setting}\n"))).unwrap();
    }

    /// Takes settings out again, which must be there.
    pub(crate) fn remove(&self, settings: &str) {
        let path = self.folder.join("openledger.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(settings), "{text}");
        std::fs::write(path, text.replace(settings, "")).unwrap();
    }

    /// The node's store, which no other process may have open.
    pub(crate) fn store(&self) -> SharedStore {
        rocks(&self.folder.join("data/store"))
    }

    /// Starts the node and waits until it serves.
    pub(crate) fn start(&self) -> Process {
        let log = self.folder.join("log");
        let err = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = serve(&self.folder.join("openledger.toml"))
            .stdout(Stdio::piped())
            .stderr(err)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("serving on ") else {
            child.wait().unwrap();
            panic!("it said {line:?} and logged {}", std::fs::read_to_string(log).unwrap());
        };
        Process { child, url: url.to_owned(), log }
    }
}

pub(crate) fn write_key(path: &Path, key: &PrivateKeySigner) {
    std::fs::write(path, hex::encode(key.to_bytes())).unwrap();
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openledger"));
    command.arg("serve").arg("--config").arg(config);
    // What the environment of whoever runs the tests says must not win over the files.
    for name in ["OPERATOR", "ATTESTOR", "SHOPPER", "RELAY"] {
        command.env_remove(format!("OPENLEDGER_{name}_KEY"));
    }
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// A running node; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    log: PathBuf,
}

impl Process {
    pub(crate) fn client(&self) -> NodeClient {
        NodeClient::new(&self.url).unwrap()
    }

    /// A metric's value; 0 if it is not there, as counters are not before they count.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.client().text("/metrics", PATIENCE).await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// The sum of a metric over all its labels.
    pub(crate) async fn total(&self, name: &str) -> u64 {
        let text = self.client().text("/metrics", PATIENCE).await.unwrap();
        let labelled = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
        labelled.map(|line| line.split_once("} ").unwrap().1.parse::<u64>().unwrap()).sum()
    }

    /// Kills it, as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.log());
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it does not stop: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // A second panic would end the whole run, and hide what the other tests say.
            let log = std::fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("--- {}\n{last}", self.log.display());
        }
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

#[test]
fn a_file_with_an_unknown_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openledger.toml");
    let example = include_str!("../../openledger.example.toml");
    for (section, key) in
        [("[validator]", "enable"), ("[challenger]", "shoping"), ("[node]", "data_directory")]
    {
        let text = example.replace(section, &format!("{section}\n{key} = true"));
        assert_ne!(text, example);
        std::fs::write(&path, text).unwrap();
        let output = serve(&path).output().unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
        assert!(!folder.path().join("data").exists());
    }
}
