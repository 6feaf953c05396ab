//! Certificates on their way from L1 to L2: killed at every step, lost, replaced, refused, too old.

use std::sync::Arc;

use alloy::{
    hex,
    primitives::{B256, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use node::{
    Error,
    chain::bindings::IRelayedCertVerifier,
    da::{BlobCommitment, RelayRow, certificate_to_abi},
    store::{MemoryStore, SharedStore, Table, rows},
};
use serde_json::json;

use super::chains::{Chains, IAcceptingVerifier};
use crate::{
    anvil::{self, signer},
    market::{EPOCH_SECONDS, WINDOW},
    world::Killed,
};

/// Of version 2, made by eigenda-proxy 1.8.2 in memory mode.
const CERTIFICATE: &str = include_str!("../../../src/da/eigenda/certificate.hex");

/// The blob of [`CERTIFICATE`], and that certificate in another batch, as contracts take it.
fn certificate(number: u8) -> (BlobCommitment, Vec<u8>) {
    let bytes = hex::decode(CERTIFICATE.trim()).unwrap();
    let of = BlobCommitment::of_certificate(&bytes).unwrap();
    let mut abi = certificate_to_abi(&bytes).unwrap();
    // The batch's root follows the offset of the whole.
    abi[32..64].fill(number);
    (of, abi)
}

fn memory() -> SharedStore {
    Arc::new(MemoryStore::default())
}

fn journal(store: &SharedStore) -> Vec<RelayRow> {
    rows(&**store, Table::Relays, &[]).unwrap().into_iter().map(|(_, row)| row).collect()
}

impl Chains {
    async fn open() -> Self {
        Self::start(&anvil::srs(), EPOCH_SECONDS, WINDOW).await
    }

    async fn now(&self) -> u64 {
        self.l2.client(None).block(None).await.unwrap().unwrap().timestamp
    }

    /// What a process does with a new certificate, or goes on with.
    async fn step(&self, store: SharedStore, number: u8) -> Result<Option<Vec<u8>>, Error> {
        let (relay, time) = (self.relay(store), self.now().await);
        let (of, abi) = certificate(number);
        match relay.resume(&of, time).await? {
            None => relay.begin(&of, abi, time).await,
            found => Ok(found),
        }
    }

    async fn pends(&self, store: &SharedStore, number: u8) {
        let result = self.step(Arc::clone(store), number).await;
        assert!(matches!(result, Err(Error::Pending(_))), "{result:?}");
    }

    async fn arrives(&self, store: &SharedStore, number: u8) {
        let found = self.step(Arc::clone(store), number).await.unwrap();
        assert_eq!(found, Some(certificate(number).1));
    }

    async fn is_known(&self, number: u8) -> bool {
        let (of, abi) = certificate(number);
        let call = IRelayedCertVerifier::storedAtOfCall {
            commitment: of.commitment,
            symbols: of.symbols,
            certificateHash: alloy::primitives::keccak256(abi),
        };
        self.l2.client(None).call(self.contracts.verifier, &call).await.unwrap() != 0
    }

    async fn mine(&self, blocks: u64) {
        // A request may only take so long, also on a busy machine.
        for first in (0..blocks).step_by(200) {
            let blocks = (blocks - first).min(200);
            self.l1.request("anvil_mine", json!([format!("{blocks:#x}"), "0xc"])).await;
        }
    }

    async fn automine(&self, on: bool) {
        self.l1.request("evm_setAutomine", json!([on])).await;
    }

    /// Takes a transaction out of L1's pool, as if it had never come.
    async fn drop_from_pool(&self, transaction: B256) {
        self.l1.request("anvil_dropTransaction", json!([transaction])).await;
    }
}

fn last_hash(store: &SharedStore) -> B256 {
    *journal(store)[0].signed.as_ref().unwrap().hashes.last().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_relayed_once_however_often_its_relay_is_killed() {
    let chains = Chains::open().await;
    for number in 0..4 {
        let (store, writes) = (memory(), i64::from(number));
        let killed = chains.step(Killed::after(Arc::clone(&store), writes), number).await;
        // Two writes are all: the certificate, and its transaction.
        let is_whole = writes >= 2;
        assert_eq!(matches!(killed, Err(Error::Pending(_))), is_whole, "{killed:?}");
        assert_eq!(journal(&store).len(), usize::from(writes > 0));
        assert_eq!(chains.paid().await, u64::from(number) + u64::from(is_whole));
        for _ in 0..3 {
            chains.pends(&store, number).await;
        }
        assert_eq!(chains.paid().await, u64::from(number) + 1);
        assert!(!chains.is_known(number).await);
        chains.carry().await;
        assert!(chains.is_known(number).await);
        for _ in 0..3 {
            chains.arrives(&store, number).await;
        }
        assert_eq!(chains.paid().await, u64::from(number) + 1);
        assert_eq!(chains.messages().await, u64::from(number) + 1);
    }
    what_l2_knows_is_not_paid_for(&chains).await;
    what_is_too_old_is_put_again(&chains).await;
}

/// Another process, with a store of its own, finds what was relayed.
async fn what_l2_knows_is_not_paid_for(chains: &Chains) {
    let (store, before) = (memory(), chains.paid().await);
    chains.arrives(&store, 0).await;
    assert_eq!(chains.paid().await, before);
}

async fn what_is_too_old_is_put_again(chains: &Chains) {
    let (relay, (of, abi)) = (chains.relay(memory()), certificate(0));
    let now = chains.now().await;
    assert_eq!(relay.begin(&of, abi.clone(), now).await.unwrap(), Some(abi));
    // L2 takes no certificate after 12 hours, and this one is already put again some time before.
    assert_eq!(relay.resume(&of, now + 12 * 3_600 - 1_800).await.unwrap(), None);
    // L1 relays none that is older either.
    chains.mine(3_700).await;
    let (store, before) = (memory(), chains.paid().await);
    assert_eq!(chains.step(Arc::clone(&store), 9).await.unwrap(), None);
    assert_eq!((chains.paid().await, journal(&store).len()), (before, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_l1_loses_is_sent_again_with_the_same_nonce() {
    let chains = Chains::open().await;
    let store = memory();
    // Killed before L1 got it: the same transaction is sent.
    chains.automine(false).await;
    chains.pends(&store, 1).await;
    let first = last_hash(&store);
    chains.drop_from_pool(first).await;
    chains.pends(&store, 1).await;
    assert_eq!(last_hash(&store), first);
    let client = chains.l1.client(None);
    assert!(client.provider().get_transaction_by_hash(first).await.unwrap().is_some());

    // Nobody takes it at its fee: it is replaced by one that offers more.
    chains.drop_from_pool(first).await;
    chains.mine(15).await;
    chains.pends(&store, 1).await;
    let signed = journal(&store)[0].signed.clone().unwrap();
    assert_eq!(signed.hashes[0], first);
    assert_eq!((signed.hashes.len(), signed.nonce, journal(&store)[0].sent), (2, 0, 1));
    chains.automine(true).await;
    chains.mine(1).await;
    assert_eq!(chains.paid().await, 1);
    chains.carry().await;
    chains.arrives(&store, 1).await;
    another_transaction_takes_the_nonce(&chains).await;
}

async fn another_transaction_takes_the_nonce(chains: &Chains) {
    let store = memory();
    chains.automine(false).await;
    chains.pends(&store, 2).await;
    chains.drop_from_pool(last_hash(&store)).await;
    chains.automine(true).await;
    let client = chains.l1.client(Some(chains.payer()));
    let to = signer(1).address();
    let transfer =
        TransactionRequest::default().from(chains.payer().address()).to(to).value(U256::ONE);
    client.provider().send_transaction(transfer).await.unwrap().get_receipt().await.unwrap();
    assert_eq!(chains.paid().await, 2);
    chains.pends(&store, 2).await;
    assert_eq!(chains.paid().await, 2, "it may be that only its receipt is late");
    chains.mine(15).await;
    chains.pends(&store, 2).await;
    assert_eq!(chains.paid().await, 3);
    chains.carry().await;
    chains.arrives(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_arrive_is_paid_for_a_bounded_number_of_times() {
    let chains = Chains::open().await;
    let store = memory();
    for paid in [1, 2] {
        chains.pends(&store, 1).await;
        assert_eq!(chains.paid().await, paid);
        chains.mine(19).await;
        chains.pends(&store, 1).await;
        assert_eq!(chains.paid().await, paid);
        chains.mine(1).await;
    }
    for _ in 0..2 {
        let error = chains.step(Arc::clone(&store), 1).await.unwrap_err().to_string();
        assert!(error.contains("2 times (da.relay.attempts)"), "{error}");
        assert_eq!(chains.paid().await, 2);
    }
    chains.carry().await;
    chains.arrives(&store, 1).await;

    // What EigenDA's contract refuses is not paid for, and is relayed once it is not refused.
    let client = chains.l1.client(Some(signer(3)));
    let set = async |status| {
        let call = IAcceptingVerifier::setCall { status };
        client.send(chains.eigenda, &call, U256::ZERO).await.unwrap();
    };
    set(6).await;
    let store = memory();
    let error = chains.step(Arc::clone(&store), 3).await.unwrap_err().to_string();
    assert!(error.contains("RefusedByEigenDA { status: 6 }"), "{error}");
    assert_eq!((chains.paid().await, journal(&store).len()), (2, 1));
    set(1).await;
    chains.pends(&store, 3).await;
    assert_eq!(chains.paid().await, 3);

    // Nor is what another deployment's relay would tell somebody else.
    let (l2, mut other) = (chains.l2.client(None), chains.contracts);
    let code = l2.provider().get_code_at(other.verifier).await.unwrap();
    other.verifier = chains.eigenda;
    chains.l2.request("anvil_setCode", json!([other.verifier, code])).await;
    let relay = node::da::Relay::new(chains.config(), chains.payer(), other, l2, memory()).unwrap();
    let (of, abi) = certificate(4);
    let error = relay.begin(&of, abi, chains.now().await).await.unwrap_err().to_string();
    assert!(error.contains("the deployment's verifier is"), "{error}");
    assert_eq!(chains.paid().await, 3);
}
