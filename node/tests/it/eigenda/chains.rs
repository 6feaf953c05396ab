//! Two chains: L1 with the relay and a stand-in for EigenDA's verifier, L2 with everything else.
//! Messages between them are carried by hand, through stand-ins for OP Stack's messengers.

use std::time::Duration;

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
    signers::local::PrivateKeySigner,
    sol,
};
use node::{
    chain::{Certification, ChainClient},
    da::{EigendaAvailability, EigendaConfig, Relay, RelayConfig, RelayContracts},
    store::SharedStore,
};
use prover::Srs;
use serde_json::json;

use crate::{
    anvil::{self, Anvil, signer},
    binary::eventually,
    market::coins,
    world::key,
};

sol! {
    #[derive(Debug)]
    struct Message { address sender; address target; bytes data; uint32 gasLimit; }

    interface ITestMessenger {
        function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable;
        function deliver(uint256 index) external;
        function messageAt(uint256 index) external view returns (Message memory);
        function count() external view returns (uint256);
    }

    interface IAcceptingVerifier {
        function set(uint8 status) external;
    }
}

/// Both chains, and what is between them.
pub(super) struct Chains {
    pub(super) l1: Anvil,
    pub(super) l2: Anvil,
    pub(super) contracts: RelayContracts,
    pub(super) eigenda: Address,
    messengers: [Address; 2],
}

impl Chains {
    /// Starts both. Certificates of a proxy that keeps blobs in memory name one of the first 32 blocks,
    /// which are past on L1.
    pub(super) async fn start(srs: &Srs, epoch_seconds: u64, window: u64) -> Self {
        let l1 = Anvil::start(anvil::free_port()).await;
        let l2 = Anvil::start(anvil::free_port()).await;
        l1.request("anvil_mine", json!(["0x28", "0x1"])).await;
        let eigenda = l1.create("test/AcceptingVerifier.sol:AcceptingVerifier");
        let messenger = "test/CrossDomain.sol:TestMessenger";
        let messengers = [l1.create(messenger), l2.create(messenger)];
        let deployer = signer(0);
        let client = l1.client(None);
        let nonce = client.provider().get_transaction_count(deployer.address()).await.unwrap();
        let relay = deployer.address().create(nonce);
        let variables = [
            ("DEPLOY_DA_VERIFIER", "relayed".to_owned()),
            ("DEPLOY_MESSENGER", messengers[1].to_string()),
            ("DEPLOY_DA_RELAY", relay.to_string()),
        ];
        let deployment = l2.deploy_as(srs, epoch_seconds, window, &variables);
        assert_eq!(deployment.certification, Certification::Relayed { relay });
        let verifier = deployment.da_cert_verifier;
        let mut script = l1.script("DeployRelay");
        script
            .env("RELAY_EIGENDA", eigenda.to_string())
            .env("RELAY_MESSENGER", messengers[0].to_string())
            .env("RELAY_VERIFIER", verifier.to_string())
            .env("RELAY_ADDRESS", relay.to_string());
        anvil::run(&mut script);
        l1.written("DeployRelay");
        let chains =
            Self { l1, l2, contracts: RelayContracts { relay, verifier }, eigenda, messengers };
        let params = json!([chains.payer().address(), coins(10)]);
        chains.l1.request("anvil_setBalance", params).await;
        let params = json!([key(901).address(), coins(10)]);
        chains.l2.request("anvil_setBalance", params).await;
        chains
    }

    /// Who pays for relaying.
    pub(super) fn payer(&self) -> PrivateKeySigner {
        key(900)
    }

    /// Transactions that were paid for relaying, once L1 has taken all that it was given.
    pub(super) async fn paid(&self) -> u64 {
        let (client, account) = (self.l1.client(None), self.payer().address());
        let count = || client.provider().get_transaction_count(account);
        let mut paid = 0;
        eventually("L1 takes transactions", async || {
            paid = count().await.unwrap();
            paid == count().pending().await.unwrap()
        })
        .await;
        paid
    }

    pub(super) fn config(&self) -> RelayConfig {
        let rpc_url = self.l1.url.clone();
        RelayConfig { rpc_url, key_file: None, patience_blocks: 20, attempts: 2, max_fee_gwei: 200 }
    }

    pub(super) fn relay(&self, store: SharedStore) -> Relay {
        let l2 = self.l2.client(None);
        Relay::new(self.config(), self.payer(), self.contracts, l2, store).unwrap()
    }

    pub(super) fn layer(&self, proxy_url: &str, store: SharedStore) -> EigendaAvailability {
        let config = EigendaConfig { proxy_url: proxy_url.into(), ..Default::default() };
        EigendaAvailability::relayed(&config, self.relay(store)).unwrap()
    }

    /// Messages that wait on L1 or are carried.
    pub(super) async fn messages(&self) -> u64 {
        self.count(&self.l1.client(None), self.messengers[0]).await
    }

    async fn count(&self, client: &ChainClient, messenger: Address) -> u64 {
        client.call(messenger, &ITestMessenger::countCall {}).await.unwrap().to()
    }

    /// Carries every message that was not carried yet, as from whoever sent it.
    pub(super) async fn carry(&self) {
        let (l1, l2) = (self.l1.client(None), self.l2.client(Some(key(901))));
        let done = self.count(&l2, self.messengers[1]).await;
        for index in done..self.messages().await {
            let index = U256::from(index);
            let call = ITestMessenger::messageAtCall { index };
            let message = l1.call(self.messengers[0], &call).await.unwrap();
            let sender = message.sender;
            self.l2.request("anvil_setBalance", json!([sender, coins(1)])).await;
            self.l2.request("anvil_impersonateAccount", json!([sender])).await;
            let Message { target, data, gasLimit, .. } = message;
            let call =
                ITestMessenger::sendMessageCall { target, message: data, minGasLimit: gasLimit };
            let input = Bytes::from(alloy::sol_types::SolCall::abi_encode(&call));
            let transaction = json!({"from": sender, "to": self.messengers[1], "input": input});
            let sent = self.l2.request("eth_sendTransaction", json!([transaction])).await;
            let sent: B256 = sent.parse().unwrap();
            while l2.receipt(sent).await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let call = ITestMessenger::deliverCall { index };
            l2.send(self.messengers[1], &call, U256::ZERO).await.unwrap();
        }
    }
}
