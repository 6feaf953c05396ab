//! The connection to the chain: reads, and transactions that are simulated before they are sent.

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::{Ethereum, EthereumWallet},
    primitives::{Address, B256, Bytes, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        types::{Filter, Log, TransactionReceipt, TransactionRequest},
    },
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
    transports::http::Http,
};
use tokio::sync::Mutex;

use super::{Contracts, Deployment, bindings::ISettlement, revert};
use crate::{Error, Result};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a transaction may wait for its block.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(90);

/// What of a block the node uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent: B256,
    /// Time (seconds).
    pub timestamp: u64,
}

/// A transaction that is in a block and did not revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub transaction: B256,
    /// Its block.
    pub block: u64,
    /// Gas that it used.
    pub gas: u64,
    /// Its events.
    pub logs: Vec<Log>,
}

/// What a transaction would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Estimate {
    /// Use so much gas.
    Gas(u64),
    /// Revert with this data.
    Reverts(Bytes),
}

/// A chain behind JSON-RPC, and optionally the key that sends to it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChainClient {
    provider: DynProvider,
    sender: Option<Address>,
    // Two transactions that ask for the next nonce at once would get the same one.
    sending: Arc<Mutex<()>>,
}

impl ChainClient {
    /// A client of the endpoint; nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL is malformed.
    pub fn new(rpc_url: &str, signer: Option<PrivateKeySigner>) -> Result<Self> {
        let config = |e: String| Error::Config(format!("rpc url {rpc_url}: {e}"));
        let url = rpc_url.parse().map_err(|e| config(format!("{e}")))?;
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|e| config(e.to_string()))?;
        // The default of several seconds is for remote chains; receipts are polled at this rate.
        let rpc = RpcClient::new(Http::with_client(http, url), true)
            .with_poll_interval(Duration::from_millis(150));
        let sender = signer.as_ref().map(PrivateKeySigner::address);
        let provider = match signer {
            // The default counts nonces by itself: one transaction that is refused after it was given
            // one leaves a gap, behind which all later ones of the account wait for ever.
            Some(signer) => ProviderBuilder::default()
                .with_gas_estimation()
                .with_simple_nonce_management()
                .fetch_chain_id()
                .wallet(EthereumWallet::from(signer))
                .connect_client(rpc)
                .erased(),
            None => ProviderBuilder::new().connect_client(rpc).erased(),
        };
        Ok(Self { provider, sender, sending: Arc::default() })
    }

    /// The account that sends, if there is a key.
    pub const fn sender(&self) -> Option<Address> {
        self.sender
    }

    /// The provider, for what this client does not wrap.
    pub const fn provider(&self) -> &DynProvider<Ethereum> {
        &self.provider
    }

    /// Checks that the deployment is on this chain and reads what its contracts were made with.
    ///
    /// # Errors
    /// [`Error::Chain`] if the chain cannot be reached or has no such contracts, [`Error::Config`]
    /// if it is another chain.
    pub async fn contracts(&self, deployment: Deployment) -> Result<Contracts> {
        let chain_id = self.provider.get_chain_id().await.map_err(Error::chain)?;
        if chain_id != deployment.chain_id {
            let given = deployment.chain_id;
            return Err(Error::Config(format!("deployment is of chain {given}, not {chain_id}")));
        }
        let to = deployment.settlement;
        Ok(Contracts {
            epoch_seconds: self.call(to, &ISettlement::epochSecondsCall {}).await?,
            dispute_window: self.call(to, &ISettlement::disputeWindowCall {}).await?,
            page_size: self.call(to, &ISettlement::pageSizeCall {}).await?,
            deployment,
        })
    }

    /// A block by its number, or the latest; `None` if there is none yet.
    ///
    /// # Errors
    /// [`Error::Chain`]; so for all methods below.
    pub async fn block(&self, number: Option<u64>) -> Result<Option<BlockHeader>> {
        let tag = number.map_or(BlockNumberOrTag::Latest, BlockNumberOrTag::Number);
        let block = self.provider.get_block_by_number(tag).await.map_err(Error::chain)?;
        Ok(block.map(|block| BlockHeader {
            number: block.header.number,
            hash: block.header.hash,
            parent: block.header.parent_hash,
            timestamp: block.header.timestamp,
        }))
    }

    /// Events that match a filter.
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>> {
        self.provider.get_logs(filter).await.map_err(Error::chain)
    }

    /// The receipt of a transaction, `None` while it is in no block.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<TransactionReceipt>> {
        self.provider.get_transaction_receipt(transaction).await.map_err(Error::chain)
    }

    /// The native balance of an account, wei.
    pub async fn balance(&self, account: Address) -> Result<U256> {
        self.provider.get_balance(account).await.map_err(Error::chain)
    }

    /// Calls a view of a contract at the latest block.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return> {
        let output = self.simulate(request(to, call, U256::ZERO), BlockId::latest()).await?;
        C::abi_decode_returns(&output)
            .map_err(|e| Error::Chain(format!("{} of {to}: {e}", C::SIGNATURE)))
    }

    /// Simulates a transaction on top of what is pending, sends it, and waits until it is in a block.
    ///
    /// # Errors
    /// [`Error::Reverted`] if it would revert or did, [`Error::Chain`] if the chain cannot be
    /// reached, there is no key, or no block takes it in time; it may then still be taken later.
    pub async fn send<C: SolCall>(&self, to: Address, call: &C, value: U256) -> Result<Sent> {
        self.send_request(request(to, call, value), C::SIGNATURE).await
    }

    /// The same for a call that is encoded already.
    ///
    /// # Errors
    /// As [`ChainClient::send`].
    pub async fn send_data(&self, to: Address, calldata: Bytes) -> Result<Sent> {
        self.send_request(TransactionRequest::default().to(to).input(calldata.into()), "call").await
    }

    async fn send_request(&self, request: TransactionRequest, what: &str) -> Result<Sent> {
        let from = self.sender.ok_or_else(|| Error::Chain("no key to send with".into()))?;
        let request = request.from(from);
        let _turn = self.sending.lock().await;
        self.simulate(request.clone(), BlockId::pending()).await?;
        let pending = self.provider.send_transaction(request).await.map_err(revert::error)?;
        let receipt = pending
            .with_timeout(Some(RECEIPT_TIMEOUT))
            .get_receipt()
            .await
            .map_err(Error::chain)?;
        if !receipt.status() {
            let transaction = receipt.transaction_hash;
            return Err(Error::Reverted(format!("{what} in {transaction}")));
        }
        Ok(Sent {
            transaction: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            gas: receipt.gas_used,
            logs: receipt.inner.logs().to_vec(),
        })
    }

    /// What a transaction of the client's account would do on top of what is pending.
    pub async fn estimate<C: SolCall>(&self, to: Address, call: &C) -> Result<Estimate> {
        let request = request(to, call, U256::ZERO).from(self.sender.unwrap_or_default());
        match self.provider.estimate_gas(request).block(BlockId::pending()).await {
            Ok(gas) => Ok(Estimate::Gas(gas)),
            Err(error) => match error.as_error_resp() {
                Some(payload) if payload.as_revert_data().is_some() => {
                    Ok(Estimate::Reverts(payload.as_revert_data().unwrap_or_default()))
                }
                // Whatever gas there is does not suffice, or the reason is not told.
                Some(payload) if ["gas", "revert"].iter().any(|s| payload.message.contains(s)) => {
                    Ok(Estimate::Reverts(Bytes::new()))
                }
                _ => Err(revert::error(error)),
            },
        }
    }

    /// Gas that the latest block may use.
    pub async fn gas_limit(&self) -> Result<u64> {
        let tag = BlockNumberOrTag::Latest;
        let block = self.provider.get_block_by_number(tag).await.map_err(Error::chain)?;
        let block = block.ok_or_else(|| Error::Chain("it has no latest block".into()))?;
        Ok(block.header.gas_limit)
    }

    /// What a transaction would return on top of a block.
    ///
    /// # Errors
    /// [`Error::Reverted`] if it would revert, [`Error::Chain`].
    pub(crate) async fn simulate(&self, request: TransactionRequest, at: BlockId) -> Result<Bytes> {
        self.provider.call(request).block(at).await.map_err(revert::error)
    }
}

fn request<C: SolCall>(to: Address, call: &C, value: U256) -> TransactionRequest {
    TransactionRequest::default().to(to).input(call.abi_encode().into()).value(value)
}
