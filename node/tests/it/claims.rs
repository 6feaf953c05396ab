//! Claims for everybody, relayed over HTTP.

use std::sync::Arc;

use node::{
    api::earnings,
    client::{NodeClient, Payer, claim_all},
    store::MemoryStore,
};
use tokio::net::TcpListener;

use crate::{
    anvil::signer,
    market::{Market, Operator, WINDOW, serve_epoch},
    world::key,
};

async fn serve(node: &Operator) -> NodeClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = earnings::routes(node.earnings.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    NodeClient::new(&url).unwrap()
}

#[tokio::test]
async fn everybody_is_paid_but_accounts_that_refuse() {
    let market = Market::open().await;
    let blobs = tempfile::tempdir().unwrap();
    let node = Operator::start(&market, Arc::new(MemoryStore::default()), blobs.path()).await;
    let fees = serve_epoch(&market, &node, 0).await;
    node.drain().await.unwrap();
    market.anvil.pass(WINDOW).await;
    node.drain().await.unwrap();
    let open = node.unclaimed().await;

    // One account reverts, one burns all gas that it is given.
    let earns = |number: u64| open.iter().find(|one| one.account == key(number).address());
    let mut refusing = (0..12).filter_map(earns);
    let (reverts, burns) = (refusing.next().unwrap(), refusing.next().unwrap());
    for (account, code) in [(reverts.account, "0x60006000fd"), (burns.account, "0x5b600056")] {
        let params = serde_json::json!([account, code]);
        market.anvil.request("anvil_setCode", params).await;
    }

    let relayer = signer(2);
    let deployment = market.contracts.deployment.clone();
    let payer = Payer::connect(&market.anvil.url, deployment, relayer).await.unwrap();
    let client = serve(&node).await;
    let mut seen = Vec::new();
    let mut progress = |done, total| seen.push((done, total));
    let report = claim_all(&client, &payer, &[], Some(500_000), &mut progress).await.unwrap();

    let kept = reverts.cumulative + burns.cumulative;
    assert_eq!(report.amount, fees - kept);
    assert_eq!(report.earners as usize, open.len() - 2);
    let mut skipped: Vec<u32> = report.skipped.iter().map(|(earner, _)| *earner).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, [reverts.earner.0, burns.earner.0]);
    assert!(report.transactions > 1, "a chunk of all would need more gas than is allowed");
    assert!(report.gas / report.transactions <= 500_000);
    let total = open.len() as u64;
    assert_eq!((seen[0], *seen.last().unwrap()), ((0, total), (total, total)));

    // Once more: only those that refuse are left, also before the node has seen the claims.
    let again = claim_all(&client, &payer, &[], None, &mut |_, _| {}).await.unwrap();
    assert_eq!((again.earners, again.amount, again.skipped.len()), (0, 0, 2));
    assert_eq!(node.unclaimed().await.len(), 2);

    // An account that takes payments again is paid what was kept for it.
    for account in [reverts.account, burns.account] {
        market.anvil.request("anvil_setCode", serde_json::json!([account, "0x"])).await;
    }
    let wanted = [reverts.earner.0, burns.earner.0];
    let last = claim_all(&client, &payer, &wanted, None, &mut |_, _| {}).await.unwrap();
    assert_eq!((last.earners, last.amount), (2, kept));
    assert!(node.unclaimed().await.is_empty());
}
