//! Where a record is read.

use std::time::Duration;

use alloy::primitives::{Address, B256};
use attribution::estimate::InfluenceIndex;
use eyre::{WrapErr, eyre};
use node::{
    catalog::{self, INDEX_FILE, ModelManifest},
    chain::ChainClient,
    client::NodeClient,
    config::Config,
    explain::{Explanation, READER_HEADER, RowPart, SignedReading, Sources, explain},
    recorder::recorded,
    registry::Registry,
    store::SharedStore,
};
use serde_json::{Value, json};

use super::AttributeArguments;

/// Environment variable that may hold the bearer key instead of a file.
const KEY_VARIABLE: &str = "OPENLEDGER_API_KEY";
/// How long a node is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a payer's reading lasts (seconds).
const READING_SECONDS: u64 = 600;

/// A node's API, or a store.
pub(super) enum Whence<'a> {
    Node { client: NodeClient, headers: Vec<(&'static str, String)> },
    Store(&'a Config, &'a SharedStore, &'a Registry),
}

/// What is known of a row that is named.
#[derive(Clone, Debug, Default)]
pub(super) struct RowText {
    pub(super) hash: B256,
    pub(super) text: Option<String>,
    pub(super) source: String,
    pub(super) contributor: Option<Address>,
}

impl RowText {
    pub(super) fn json(&self) -> Value {
        json!({
            "hash": self.hash,
            "text": self.text,
            "source": self.source,
            "contributor": self.contributor,
        })
    }
}

impl Whence<'_> {
    /// A node, asked as who the arguments say.
    pub(super) async fn node(
        url: &str,
        arguments: &AttributeArguments,
        digest: B256,
    ) -> eyre::Result<Self> {
        let client = NodeClient::new(url)?;
        let mut headers = Vec::new();
        let key = match (std::env::var(KEY_VARIABLE), &arguments.api_key) {
            (Ok(key), _) => Some(key),
            (Err(_), Some(path)) => {
                Some(std::fs::read_to_string(path).wrap_err_with(|| path.display().to_string())?)
            }
            (Err(_), None) => None,
        };
        if let Some(key) = key {
            headers.push(("authorization", format!("Bearer {}", key.trim())));
        }
        if arguments.payer {
            let chain = ChainClient::new(&arguments.chain.rpc, None)?;
            let contracts = chain.contracts(arguments.chain.deployment()?).await?;
            let head = chain.block(None).await?.ok_or_else(|| eyre!("the chain has no block"))?;
            let (until, domain) = (head.timestamp + READING_SECONDS, contracts.voucher_domain());
            let reading = SignedReading::sign(digest, until, &arguments.key.signer()?, &domain)?;
            headers.push((READER_HEADER, reading.encode()));
        }
        Ok(Whence::Node { client, headers })
    }

    pub(super) async fn explanation(&self, digest: B256, rows: usize) -> eyre::Result<Explanation> {
        match self {
            Self::Node { client, headers } => {
                let path = format!("/v1/records/{digest}/explanation?rows={rows}");
                let body = client.get_with(&path, headers, PATIENCE).await?;
                serde_json::from_value(body).wrap_err("the node's explanation")
            }
            Self::Store(config, store, registry) => {
                let found = recorded(&***store, digest)?;
                let recorded = found.ok_or_else(|| eyre!("the store has no record of {digest}"))?;
                let index = index_of(config, recorded.call.record.call().model.0.into())?;
                let sources = Sources { store: &***store, registry, index: index.as_ref() };
                Ok(explain(sources, &recorded, rows, true)?)
            }
        }
    }

    /// The texts of the rows that an explanation names, as far as they may be read here.
    pub(super) async fn rows(&self, explanation: &Explanation) -> Vec<RowText> {
        let mut texts = Vec::new();
        for row in &explanation.rows {
            texts.push(self.row(row).await.unwrap_or_default());
        }
        texts
    }

    async fn row(&self, row: &RowPart) -> Option<RowText> {
        let hash = row.hash;
        match self {
            Self::Node { client, headers } => {
                let path = format!("/v1/rows/{hash}");
                let body = client.get_with(&path, headers, PATIENCE).await.ok()?;
                Some(RowText {
                    hash,
                    text: body["text"].as_str().map(str::to_owned),
                    source: body["source"].as_str().unwrap_or_default().to_owned(),
                    contributor: body["contributor"].as_str().and_then(|text| text.parse().ok()),
                })
            }
            Self::Store(_, store, _) => {
                let row = catalog::row(&***store, hash).ok()??;
                let (text, source) = (Some(row.text), row.source);
                Some(RowText { hash, text, source, contributor: Some(row.contributor) })
            }
        }
    }
}

/// The index of a model, if one of the configuration's folders is its.
fn index_of(config: &Config, model: B256) -> eyre::Result<Option<InfluenceIndex>> {
    for dir in &config.model.models {
        if ModelManifest::load(dir).is_ok_and(|manifest| manifest.model_id == model) {
            let path = dir.join(INDEX_FILE);
            let index = InfluenceIndex::read(&path);
            return index.map(Some).wrap_err_with(|| path.display().to_string());
        }
    }
    Ok(None)
}
