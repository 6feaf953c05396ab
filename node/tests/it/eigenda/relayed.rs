//! A node on a deployment that takes nothing but EigenDA's certificates, verified on L1.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::primitives::{U256, keccak256};
use node::{
    chain::bindings::{IRelayedCertVerifier, ISettlement, Status},
    committer::Kzg,
    da::{BlobCommitment, SharedAvailability, certificate_from_abi},
    store::MemoryStore,
};
use prover::{EIGENDA_TAU_G2, Srs};
use tokio::task::JoinHandle;

use super::{
    chains::Chains,
    pipeline::{call, earned, posted},
    proxy::{Proxy, powers},
};
use crate::{
    anvil::PAGE_SIZE,
    binary::{Files, eventually, write_key},
    market::{EPOCH_SECONDS, MAX_SKEW, Market, WINDOW},
    votes::publish,
};

/// Carries messages until it is dropped.
struct Carrier(JoinHandle<()>);

impl Carrier {
    fn start(chains: &Arc<Chains>) -> Self {
        let chains = Arc::clone(chains);
        Self(tokio::spawn(async move {
            loop {
                chains.carry().await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }))
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The market on L2, with a model whose index was relayed.
async fn open(chains: &Chains, proxy: &Proxy, srs: Arc<Srs>, folder: &Path) -> Market {
    let l2 = chains.l2.shared();
    let deployment = node::chain::Deployment::parse(l2.file.get().unwrap()).unwrap();
    let mut market = Market::over(l2, deployment, 10).await;
    let layer: SharedAvailability =
        Arc::new(chains.layer(&proxy.url, Arc::new(MemoryStore::default())));
    let kzg = Kzg::new(srs, PAGE_SIZE).unwrap();
    market.model = publish(&market, folder, layer, kzg, WINDOW).await;
    market
}

fn files(chains: &Chains, market: &Market, folder: &Path, name: &str, proxy: &Proxy) -> Files {
    let settings = format!(
        r#"
[da]
kind = "eigenda"

[da.eigenda]
proxy_url = "{}"

[da.relay]
rpc_url = "{}"
key_file = "../relay.hex"

[srs]
path = {:?}
powers = 8192
"#,
        proxy.url,
        chains.l1.url,
        powers()
    );
    write_key(&folder.join("relay.hex"), &chains.payer());
    let (model, key) = (folder.join("model"), &market.operator);
    Files::write(&folder.join(name), &market.anvil, key, &model, None, &settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_settles_with_certificates_that_l1_verified() {
    let read = || Arc::new(Srs::eigenda(&powers(), 1 << 13, EIGENDA_TAU_G2).unwrap());
    let (proxy, srs) = tokio::join!(Proxy::start(), tokio::task::spawn_blocking(read));
    let (srs, folder) = (srs.unwrap(), tempfile::tempdir().unwrap());
    let chains = Arc::new(Chains::start(&srs, EPOCH_SECONDS, WINDOW).await);
    let carrier = Carrier::start(&chains);
    let market = open(&chains, &proxy, srs, folder.path()).await;
    let indexes = chains.paid().await;
    assert_eq!(chains.messages().await, indexes);

    // Nothing is carried: the batch has to wait, also over a kill.
    drop(carrier);
    let node = files(&chains, &market, folder.path(), "node", &proxy).start();
    let fees = call(&market, &node).await;
    market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    eventually("both blobs are on their way", async || chains.paid().await == indexes + 2).await;
    node.kill();
    let node = files(&chains, &market, folder.path(), "node", &proxy).start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(chains.paid().await, indexes + 2, "it is paid for once");
    let settlement = market.contracts.deployment.settlement;
    let unfinal = ISettlement::unfinalOfCall { operator: market.operator.address() };
    let client = market.anvil.client(None);
    assert_eq!(client.call(settlement, &unfinal).await.unwrap(), U256::ZERO);

    // With their messages it goes on, and its certificates are EigenDA's.
    let carrier = Carrier::start(&chains);
    let (id, batch) = posted(&market).await;
    let submission = &batch.submission;
    assert_eq!((submission.total, chains.paid().await), (fees, indexes + 2));
    let commitments = std::iter::once(&submission.ledger).chain(&submission.witnesses);
    let symbols = [8 * submission.rows, submission.witnessSymbols];
    for ((commitment, certificate), symbols) in
        commitments.zip(&submission.certificates).zip(symbols)
    {
        let read = BlobCommitment::of_certificate(&certificate_from_abi(certificate).unwrap()[0]);
        assert_eq!(read.unwrap(), BlobCommitment { commitment: commitment.clone(), symbols });
        let call = IRelayedCertVerifier::storedAtOfCall {
            commitment: commitment.clone(),
            symbols,
            certificateHash: keccak256(certificate),
        };
        assert_ne!(client.call(chains.contracts.verifier, &call).await.unwrap(), 0);
    }

    market.anvil.pass(WINDOW).await;
    eventually("the batch is final", async || market.batch(id).await.status == Status::Final).await;
    let first = earned(&node, fees).await;

    // Another node with an empty store has the same earnings, from EigenDA alone.
    node.stop();
    let node = files(&chains, &market, folder.path(), "fresh", &proxy).start();
    assert_eq!(earned(&node, fees).await, first);
    node.stop();
    drop(carrier);
}
