//! Transactions on L1 that are paid for once, however often this program ends in between.

use alloy::{
    consensus::TxEnvelope,
    eips::Encodable2718,
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use tracing::debug;

use super::journal::Signed;
use crate::{Error, Result, chain::ChainClient};

/// Wei in a gwei.
const GWEI: u128 = 1_000_000_000;

/// Sends from one account on L1.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) client: ChainClient,
    account: Address,
    wallet: EthereumWallet,
    max_fee: u128,
}

/// What became of a signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in this block; whether it failed.
    Included { block: u64, failed: bool },
    /// It is in no block yet.
    Waiting,
    /// Another transaction of the account has its nonce.
    Replaced,
}

impl Sender {
    /// Sends with a key, paying at most `max_fee_gwei` for a unit of gas.
    pub(super) fn new(url: &str, signer: PrivateKeySigner, max_fee_gwei: u64) -> Result<Self> {
        Ok(Self {
            client: ChainClient::new(url, None)?,
            account: signer.address(),
            wallet: EthereumWallet::from(signer),
            max_fee: u128::from(max_fee_gwei) * GWEI,
        })
    }

    /// L1's head.
    pub(super) async fn head(&self) -> Result<u64> {
        self.client.provider().get_block_number().await.map_err(Error::chain)
    }

    /// A call of this account.
    pub(super) fn request<C: SolCall>(&self, to: Address, call: &C) -> TransactionRequest {
        TransactionRequest::default().from(self.account).to(to).input(call.abi_encode().into())
    }

    /// Signs a transaction, without sending it.
    ///
    /// - `replaces`: takes that one's nonce, and a fee so much higher that nodes take it instead
    ///
    /// # Errors
    /// [`Error::Chain`] if L1 cannot be reached or asks for more than the highest fee.
    pub(super) async fn sign(
        &self,
        request: TransactionRequest,
        replaces: Option<&Signed>,
    ) -> Result<Signed> {
        let (provider, from) = (self.client.provider(), self.account);
        let gas = provider.estimate_gas(request.clone()).await.map_err(Error::chain)?;
        let fees = provider.estimate_eip1559_fees().await.map_err(Error::chain)?;
        let nonce = match replaces {
            Some(old) => old.nonce,
            None => provider.get_transaction_count(from).pending().await.map_err(Error::chain)?,
        };
        // Nodes want a tenth more of both fees.
        let raised = |old: u128| old.saturating_mul(5) / 4;
        let max_fee = fees.max_fee_per_gas.max(replaces.map_or(0, |old| raised(old.max_fee)));
        let least = replaces.map_or(0, |old| raised(old.priority));
        let priority = fees.max_priority_fee_per_gas.max(least).min(max_fee);
        if max_fee > self.max_fee {
            let (asked, most) = (max_fee / GWEI, self.max_fee / GWEI);
            return Err(Error::Chain(format!(
                "L1 asks for {asked} gwei a unit of gas, da.relay.max_fee_gwei is {most}"
            )));
        }
        let transaction = request
            .with_nonce(nonce)
            .with_chain_id(provider.get_chain_id().await.map_err(Error::chain)?)
            .with_gas_limit(gas + gas / 5)
            .with_max_fee_per_gas(max_fee)
            .with_max_priority_fee_per_gas(priority)
            .build(&self.wallet)
            .await
            .map_err(Error::chain)?;
        let mut hashes = replaces.map_or(Vec::new(), |old| old.hashes.clone());
        let (hash, raw) = wire(&transaction);
        hashes.push(hash);
        Ok(Signed { nonce, max_fee, priority, block: self.head().await?, raw, hashes })
    }

    /// Gives a signed transaction to L1. Giving it again changes nothing.
    pub(super) async fn broadcast(&self, signed: &Signed) {
        let sent = self.client.provider().send_raw_transaction(&signed.raw).await;
        // It is known, or in a block, or its nonce is taken: `outcome` tells, of all of them.
        if let Err(error) = sent {
            debug!(target: "node::da", nonce = signed.nonce, %error, "not taken by L1");
        }
    }

    /// What became of it. The receipts come after the nonce: what has none by then never will.
    pub(super) async fn outcome(&self, signed: &Signed) -> Result<Outcome> {
        let count = self.client.provider().get_transaction_count(self.account);
        let count = count.await.map_err(Error::chain)?;
        for &hash in &signed.hashes {
            if let Some(receipt) = self.client.receipt(hash).await? {
                let block = receipt.block_number.unwrap_or_default();
                let failed = !receipt.status();
                return Ok(Outcome::Included { block, failed });
            }
        }
        Ok(if count > signed.nonce { Outcome::Replaced } else { Outcome::Waiting })
    }
}

fn wire(transaction: &TxEnvelope) -> (B256, Vec<u8>) {
    (*transaction.tx_hash(), transaction.encoded_2718())
}
