//! EigenDA's real proxy, keeping blobs in memory.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::anvil::free_port;

/// Longest that the proxy takes to read its powers of tau, on a busy machine.
const START: Duration = Duration::from_secs(600);
/// EigenDA's powers of tau.
pub(super) fn powers() -> PathBuf {
    cache().join("resources/g1.point")
}

fn cache() -> PathBuf {
    let home = || Path::new(&std::env::var("HOME").unwrap()).join(".cache/openledger");
    std::env::var("OPENLEDGER_CACHE").map_or_else(|_| home(), PathBuf::from).join("eigenda")
}

/// The proxy that `make eigenda` builds; stopped when dropped.
pub(super) struct Proxy {
    child: Child,
    pub(super) url: String,
}

impl Proxy {
    pub(super) async fn start() -> Self {
        // Somebody may take the port while the proxy reads its powers.
        for _ in 0..3 {
            if let Some(proxy) = Self::at(free_port()).await {
                return proxy;
            }
        }
        panic!("the proxy did not start: run make eigenda");
    }

    /// The proxy at a port; `None` if it ends before it serves.
    async fn at(port: u16) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/eigenda.sh");
        let child = Command::new(script)
            .arg("run")
            .env("EIGENDA_PORT", port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut proxy = Self { child, url: format!("http://127.0.0.1:{port}") };
        let (begin, health) = (Instant::now(), format!("{}/health", proxy.url));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        while http.get(&health).send().await.is_err() {
            if proxy.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(begin.elapsed() < START, "the proxy is not up after {START:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Some(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
