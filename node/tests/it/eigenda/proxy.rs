//! EigenDA's real proxy, keeping blobs in memory.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

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
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
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
            let ended = proxy.child.try_wait().unwrap();
            assert_eq!(ended, None, "the proxy did not start: run make eigenda");
            assert!(begin.elapsed() < START, "the proxy is not up after {START:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
