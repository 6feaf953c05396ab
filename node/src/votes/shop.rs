//! Buys calls from other operators like any payer, at times that they cannot foresee.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use rand::{Rng, seq::IndexedRandom};
use tracing::{info, warn};

use super::{GWEI, Purchase, PurchaseState, purchase};
use crate::{
    Error, Result,
    catalog::Catalog,
    client::{Bought, ChatCall, NodeClient, PaidClient, Payer},
    registry::Registry,
    store::{SharedStore, Table, WriteBatch, get_row},
};

/// How long an operator may take to answer.
const DEADLINE: Duration = Duration::from_secs(120);
/// Gwei that an epoch's calls cost, with the largest fees of those that did not end:
/// `votes/spent, epoch -> gwei`.
const SPENT: &[u8] = b"votes/spent/";

/// What is bought.
#[derive(Debug, Clone)]
pub struct Shopping {
    /// Operators' APIs.
    pub endpoints: Vec<String>,
    /// Who pays.
    pub signer: PrivateKeySigner,
    /// What is asked; one of them at a time.
    pub prompts: Vec<String>,
    /// Most gwei that one epoch's calls may cost.
    pub budget: u64,
    /// Gwei that each channel holds.
    pub deposit: u64,
    /// Calls per epoch and endpoint, on average.
    pub calls_per_epoch: u32,
    /// Most tokens of an answer.
    pub max_tokens: u64,
}

/// The stage that buys calls and keeps them in [`Table::Purchases`].
#[derive(Debug, Clone)]
pub struct Shopper {
    store: SharedStore,
    registry: Registry,
    catalog: Arc<Catalog>,
    rpc_url: String,
    shopping: Arc<Shopping>,
    next: Arc<std::sync::Mutex<HashMap<String, u64>>>,
    clients: Arc<tokio::sync::Mutex<HashMap<String, PaidClient>>>,
}

impl Shopper {
    /// The stage that buys calls of models in `catalog`, which can be run again.
    ///
    /// # Errors
    /// [`Error::Config`] if there is nothing to ask or nobody to be asked.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        catalog: Arc<Catalog>,
        rpc_url: &str,
        shopping: Shopping,
    ) -> Result<Self> {
        if shopping.prompts.is_empty() || shopping.endpoints.is_empty() {
            return Err(Error::Config("shopping has no prompts or no endpoints".into()));
        }
        let (rpc_url, shopping) = (rpc_url.to_owned(), Arc::new(shopping));
        let (next, clients) = (Arc::default(), Arc::default());
        Ok(Self { store, registry, catalog, rpc_url, shopping, next, clients })
    }

    /// Makes the calls whose time has come. False if there were none.
    ///
    /// # Errors
    /// [`Error::Store`]. An operator that does not answer is told of and left for its next time.
    pub async fn step(&self) -> Result<bool> {
        let mut bought = false;
        for endpoint in &self.shopping.endpoints {
            if !self.is_due(endpoint) {
                continue;
            }
            match self.visit(endpoint).await {
                Ok(()) => bought = true,
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => warn!(target: "node::votes", endpoint, %error, "nothing bought"),
            }
        }
        Ok(bought)
    }

    /// Whether it is time for another call; then the time of the one after it is drawn. Waits are
    /// exponential, so that how long ago the last one was tells nothing about the next.
    fn is_due(&self, endpoint: &str) -> bool {
        let now = self.registry.head().timestamp;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = next.get(endpoint).is_some_and(|&at| now >= at);
        if is_due || !next.contains_key(endpoint) {
            let seconds = self.registry.contracts().epoch_seconds;
            let mean = seconds as f64 / f64::from(self.shopping.calls_per_epoch);
            let wait = -(1.0 - rand::rng().random::<f64>()).ln() * mean;
            next.insert(endpoint.to_owned(), now.saturating_add(wait as u64));
        }
        is_due
    }

    /// Buys one call now.
    ///
    /// # Errors
    /// [`Error::Remote`] if the operator cannot be reached or refuses, the budget is used up, or no
    /// model that is served there is known here; [`Error::Chain`]; [`Error::Store`].
    pub async fn visit(&self, endpoint: &str) -> Result<()> {
        let client = self.client(endpoint).await?;
        let call = self.call(&client).await?;
        let quote = client
            .node()
            .quote("/v1/chat/completions", &call.body(), client.channel(), DEADLINE)
            .await?;
        let epoch = self.registry.epoch_of(self.registry.head().timestamp);
        let limit = quote.max_fee.0;
        self.reserve(epoch, limit)?;
        let bought = client.buy(&call, limit, DEADLINE, &mut |_| {}).await?;
        self.keep(client.operator(), epoch, limit, bought)
    }

    async fn client(&self, endpoint: &str) -> Result<PaidClient> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(endpoint) {
            return Ok(client.clone());
        }
        let deployment = self.registry.contracts().deployment.clone();
        let signer = self.shopping.signer.clone();
        let payer = Payer::connect(&self.rpc_url, deployment, signer).await?;
        // Not a word that tells these channels from others'.
        let salt = keccak256([payer.address().as_slice(), endpoint.as_bytes()].concat());
        let deposit = U256::from(self.shopping.deposit) * U256::from(GWEI);
        let node = NodeClient::new(endpoint)?;
        let client = PaidClient::open(node, payer, salt, deposit, DEADLINE).await?;
        clients.insert(endpoint.to_owned(), client.clone());
        Ok(client)
    }

    /// A random question to a random model of those that both sides have.
    async fn call(&self, client: &PaidClient) -> Result<ChatCall> {
        let served = client.get("/v1/models", DEADLINE).await?;
        let ids = served["data"].as_array().into_iter().flatten();
        let ids = ids.filter_map(|model| model["id"].as_str()?.parse::<B256>().ok());
        let known: Vec<B256> =
            ids.filter(|&id| self.catalog.models().iter().any(|model| model.id == id)).collect();
        let mut rng = rand::rng();
        let (Some(model), Some(prompt)) =
            (known.choose(&mut rng), self.shopping.prompts.choose(&mut rng))
        else {
            return Err(Error::Remote("it serves no model that can be run again here".into()));
        };
        Ok(ChatCall {
            max_tokens: rng.random_range(1..=self.shopping.max_tokens),
            temperature: if rng.random() { 0.0 } else { 0.7 },
            seed: rng.random(),
            stream: rng.random(),
            ..ChatCall::ask(&model.to_string(), prompt)
        })
    }

    /// Takes a call's largest fee from the epoch's budget, before it is signed.
    fn reserve(&self, epoch: u64, fee: u64) -> Result<()> {
        let (spent, budget) = (self.spent(epoch)?, self.shopping.budget);
        let total = spent.saturating_add(fee);
        if total > budget {
            let what = format!("{spent} of the epoch's {budget} gwei are spent, it may cost {fee}");
            return Err(Error::Remote(what));
        }
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Meta, spent_key(epoch), &total);
        // Earlier epochs' calls are over.
        let old = self.store.scan(Table::Meta, SPENT, SPENT, usize::MAX)?;
        for (key, _) in old.into_iter().filter(|(key, _)| *key < spent_key(epoch)) {
            batch.delete(Table::Meta, key);
        }
        self.store.write(batch)
    }

    fn spent(&self, epoch: u64) -> Result<u64> {
        Ok(get_row(&*self.store, Table::Meta, &spent_key(epoch))?.unwrap_or(0))
    }

    /// Keeps a call, and gives back what it cost less than was reserved.
    fn keep(&self, operator: Address, epoch: u64, reserved: u64, bought: Bought) -> Result<()> {
        let Bought { voucher, request, receipt, reply, output } = bought;
        let (digest, fee) = (receipt.voucherDigest, receipt.fee);
        let of = self.registry.epoch_of(voucher.voucher.call.time);
        let row = Purchase {
            voucher: voucher.voucher,
            signature: voucher.signature,
            receipt,
            receipt_signature: reply.statement.signature.to_vec(),
            request,
            answer: output,
            state: PurchaseState::Open,
        };
        let spent = self.spent(epoch)?.saturating_sub(reserved.saturating_sub(fee));
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Purchases, purchase::key(operator, of, digest), &row);
        batch.put_row(Table::Meta, spent_key(epoch), &spent);
        self.store.write(batch)?;
        info!(target: "node::votes", %operator, call = %digest, fee_gwei = fee, "bought");
        Ok(())
    }
}

fn spent_key(epoch: u64) -> Vec<u8> {
    [SPENT, &epoch.to_be_bytes()].concat()
}
