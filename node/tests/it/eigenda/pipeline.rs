//! A node that keeps its batches on EigenDA: from paid calls to claims.

use std::{path::Path, sync::Arc};

use alloy::primitives::{B256, U256, keccak256};
use node::{
    api::earnings::{EarningsJson, EarningsPage},
    chain::bindings::{ISettlement, Status},
    client::{ChatCall, PaidClient, Payer, claim_all},
    committer::Kzg,
    da::{BlobCommitment, EigendaAvailability, EigendaConfig, SharedAvailability},
    indexer::Indexer,
    registry::{ChainBatch, Registry},
    store::{MemoryStore, SharedStore},
};
use prover::{EIGENDA_TAU_G2, Srs};

use super::{
    ATTESTATION,
    proxy::{Proxy, powers},
};
use crate::{
    anvil::{self, Anvil, KEYS, PAGE_SIZE},
    binary::{Files, PATIENCE, Process, eventually},
    market::{EPOCH_SECONDS, GWEI, MAX_SKEW, Market, WINDOW, coins},
    votes::publish,
};

const CALLS: u64 = 4;

/// A chain whose contracts are for EigenDA's powers of tau, with a model whose index is there.
async fn open(proxy: &Proxy, folder: &Path) -> Market {
    let read = || Arc::new(Srs::eigenda(&powers(), 1 << 13, EIGENDA_TAU_G2).unwrap());
    let srs = tokio::task::spawn_blocking(read).await.unwrap();
    let anvil = Anvil::start(anvil::free_port()).await;
    let deployment = anvil.deploy_with(&srs, EPOCH_SECONDS, WINDOW);
    let mut market = Market::over(anvil, deployment, 10).await;
    let config = EigendaConfig { proxy_url: proxy.url.clone(), ..Default::default() };
    let layer: SharedAvailability =
        Arc::new(EigendaAvailability::new(&config, market.attestor()).unwrap());
    let kzg = Kzg::new(srs, PAGE_SIZE).unwrap();
    market.model = publish(&market, folder, layer, kzg, WINDOW).await;
    market
}

fn files(market: &Market, folder: &Path, name: &str, proxy: &Proxy) -> Files {
    let settings = format!(
        r#"
[da]
kind = "eigenda"
attestor_key_file = "attestor.hex"

[da.eigenda]
proxy_url = "{}"

[srs]
path = {:?}
powers = 8192
"#,
        proxy.url,
        powers()
    );
    let (model, key) = (folder.join("model"), &market.operator);
    Files::write(&folder.join(name), &market.anvil, key, &model, None, &settings)
}

/// Pays for calls. Returns what they cost, in gwei.
pub(super) async fn call(market: &Market, node: &Process) -> u64 {
    let deployment = market.contracts.deployment.clone();
    let signer = KEYS[3].parse().unwrap();
    let payer = Payer::connect(&market.anvil.url, deployment, signer).await.unwrap();
    let (salt, deposit) = (keccak256("channel"), coins(1));
    let client = PaidClient::open(node.client(), payer, salt, deposit, PATIENCE).await.unwrap();
    let mut fees = 0;
    for seed in 0..CALLS {
        let ask = ChatCall::ask(&market.model.to_string(), "function transfer");
        let ask = ChatCall { max_tokens: 8, temperature: 0.7, seed, ..ask };
        let bought = client.buy(&ask, u64::MAX, PATIENCE, &mut |_| {}).await.unwrap();
        fees += bought.receipt.fee;
    }
    fees
}

/// The operator's only batch, once it is posted.
pub(super) async fn posted(market: &Market) -> (B256, ChainBatch) {
    let store: SharedStore = Arc::new(MemoryStore::default());
    let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
    let pause = std::time::Duration::from_millis(50);
    let indexer = Indexer::new(store, registry.clone(), market.anvil.client(None), pause);
    let operator = market.operator.address();
    eventually("the batch is posted", async || {
        market.anvil.pass(1).await;
        indexer.sync().await.unwrap();
        !registry.batches_of(operator, 0).unwrap().is_empty()
    })
    .await;
    registry.batches_of(operator, 0).unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_settles_through_eigenda() {
    let (proxy, folder) = (Proxy::start().await, tempfile::tempdir().unwrap());
    let market = open(&proxy, folder.path()).await;
    let node = files(&market, folder.path(), "node", &proxy).start();
    let fees = call(&market, &node).await;
    assert!(fees > 0);

    // It posts with a proof, and everything that it commits to is on EigenDA.
    market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    let (id, batch) = posted(&market).await;
    let posted = &batch.submission;
    assert_eq!(posted.total, fees);
    let commitments = std::iter::once(&posted.ledger).chain(&posted.witnesses);
    let symbols = [8 * posted.rows, posted.witnessSymbols];
    assert_eq!(posted.certificates.len(), symbols.len());
    for ((commitment, certificate), symbols) in commitments.zip(&posted.certificates).zip(symbols) {
        let certified = BlobCommitment::of_certificate(&certificate[ATTESTATION..]).unwrap();
        assert_eq!((&certified.commitment, certified.symbols), (commitment, symbols));
    }
    assert!(!folder.path().join("node/data/blobs").exists(), "nothing is kept beside EigenDA");

    market.anvil.pass(WINDOW).await;
    eventually("the batch is final", async || market.batch(id).await.status == Status::Final).await;
    let settlement = market.contracts.deployment.settlement;
    let call = ISettlement::unfinalOfCall { operator: market.operator.address() };
    assert!(market.anvil.client(None).call(settlement, &call).await.unwrap().is_zero());
    let first = earned(&node, fees).await;

    // Another node with an empty store has the same earnings, from EigenDA alone.
    node.stop();
    let node = files(&market, folder.path(), "fresh", &proxy).start();
    assert_eq!(earned(&node, fees).await, first);

    // Everybody is paid out of it, to the last gwei.
    let relayer = KEYS[2].parse().unwrap();
    let deployment = market.contracts.deployment.clone();
    let payer = Payer::connect(&market.anvil.url, deployment, relayer).await.unwrap();
    assert_eq!(market.held().await, U256::from(fees) * U256::from(GWEI));
    let report = claim_all(&node.client(), &payer, &[], None, &mut |_, _| {}).await.unwrap();
    assert_eq!((report.amount, report.skipped.len()), (fees, 0));
    assert_eq!(report.earners as usize, first.len());
    assert!(first.len() > 3, "treasury, owner, stakers and a contributor: {first:?}");
    assert!(market.held().await.is_zero());
    node.stop();
}

/// Everybody's earnings, once they come to the fees.
pub(super) async fn earned(node: &Process, fees: u64) -> Vec<EarningsJson> {
    let mut found = Vec::new();
    eventually("earnings are known", async || {
        let page = node.client().get("/v1/earnings", PATIENCE).await.unwrap();
        found = serde_json::from_value::<EarningsPage>(page).unwrap().data;
        found.retain(|earner| earner.cumulative.0 > 0);
        found.iter().map(|earner| earner.cumulative.0).sum::<u64>() == fees
    })
    .await;
    found
}
