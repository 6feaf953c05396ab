//! The sections of the file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::defaults;
use crate::da::{EigendaConfig, RelayConfig};

/// The chain that settles.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// JSON-RPC over HTTP.
    pub rpc_url: String,
    /// The contracts' addresses: `deployments/<chain id>.json`.
    pub deployment: PathBuf,
    /// Milliseconds between looks at the chain's head.
    #[serde(default = "defaults::poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// Seconds without a new look at the head after which calls are refused.
    #[serde(default = "defaults::max_head_age_seconds")]
    pub max_head_age_seconds: u64,
}

/// Who serves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// File with the private key in hex; [`OPERATOR_KEY_VARIABLE`] wins over it.
    pub key_file: Option<PathBuf>,
}

/// The node's own address, data and bounds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Address of the HTTP API.
    #[serde(default = "defaults::listen")]
    pub listen: SocketAddr,
    /// Folder of the store and of local blobs.
    pub data_dir: PathBuf,
    /// Seconds that a voucher's time may differ from the chain's head.
    #[serde(default = "defaults::max_skew_seconds")]
    pub max_skew_seconds: u64,
    /// Largest request body, in bytes.
    #[serde(default = "defaults::max_body_bytes")]
    pub max_body_bytes: usize,
    /// Requests answered at once; more are refused with 429.
    #[serde(default = "defaults::max_requests")]
    pub max_requests: usize,
    /// Seconds that one call may take, from its body to its record.
    #[serde(default = "defaults::call_timeout_seconds")]
    pub call_timeout_seconds: u64,
    /// Datanet directories whose rows are served by hash.
    #[serde(default)]
    pub datanets: Vec<PathBuf>,
}

/// What is served.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Directory of the base model, Hugging Face layout.
    pub base: PathBuf,
    /// Directories of adapter, influence index and `model.json`.
    #[serde(default)]
    pub models: Vec<PathBuf>,
    /// Longest prompt, in tokens.
    #[serde(default = "defaults::max_prompt_tokens")]
    pub max_prompt_tokens: usize,
    /// Most tokens that one call may generate.
    #[serde(default = "defaults::max_new_tokens")]
    pub max_new_tokens: usize,
    /// Sequences decoded together.
    #[serde(default = "defaults::max_batch")]
    pub max_batch: usize,
    /// Ranks, groups of threads with a part of the model each, that compute steps together. More than
    /// one add up in another order than validators do.
    #[serde(default = "defaults::ranks")]
    pub ranks: usize,
    /// Calls that may wait for the engine; more are refused with 429.
    #[serde(default = "defaults::queue")]
    pub queue: usize,
    /// Threads that attribute answers.
    #[serde(default = "defaults::attribution_threads")]
    pub attribution_threads: usize,
}

/// Where batches' blobs are published.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DaKind {
    /// In the data folder, for development on one machine.
    #[default]
    Local,
    /// On EigenDA, through its proxy.
    Eigenda,
}

/// Data availability.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaConfig {
    /// Where blobs are published.
    #[serde(default)]
    pub kind: DaKind,
    /// The proxy, for [`DaKind::Eigenda`].
    #[serde(default)]
    pub eigenda: EigendaConfig,
    /// File with the development attestor's private key in hex; [`ATTESTOR_KEY_VARIABLE`] wins.
    pub attestor_key_file: Option<PathBuf>,
    /// L1, where EigenDA's certificates are verified; for deployments that take nothing else.
    pub relay: Option<RelayConfig>,
}

/// Powers of tau: made from a seed for development, or read from a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SrsConfig {
    /// How many powers: eight for each row of the largest batch, as many as a witness blob has
    /// symbols, and for proofs five for each earner of a page of 65,536, more for smaller pages.
    #[serde(default = "defaults::powers")]
    pub powers: usize,
    /// Seed of a locally made secret; refused on main chains, where anyone who knows it can forge.
    pub secret_seed: Option<String>,
    /// File of G1 powers.
    pub path: Option<PathBuf>,
    /// Folder in which powers made from the seed are kept; the data folder if absent.
    pub cache_dir: Option<PathBuf>,
}

impl Default for SrsConfig {
    fn default() -> Self {
        Self { powers: defaults::powers(), secret_seed: None, path: None, cache_dir: None }
    }
}

/// Earnings of all earners.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarningsConfig {
    /// Seconds of the chain's time between two snapshots of a page; shorter than data availability
    /// keeps blobs.
    #[serde(default = "defaults::archive_seconds")]
    pub archive_seconds: u64,
}

impl Default for EarningsConfig {
    fn default() -> Self {
        Self { archive_seconds: defaults::archive_seconds() }
    }
}

/// Votes on other operators' records.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorConfig {
    /// Whether this operator is on the roll of validators and votes. Off again, it leaves the roll
    /// and still votes where it is on a panel.
    #[serde(default)]
    pub enabled: bool,
}

/// Checks of other operators' batches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengerConfig {
    /// Whether every batch of other operators is examined and its first fault proven on chain.
    #[serde(default = "defaults::yes")]
    pub enabled: bool,
    /// Whether the samples of others' batches are drawn, which takes two transactions each.
    #[serde(default)]
    pub draw_samples: bool,
    /// Calls that are bought from others to be run again; none if absent.
    pub shopping: Option<ShoppingConfig>,
}

impl Default for ChallengerConfig {
    fn default() -> Self {
        Self { enabled: true, draw_samples: false, shopping: None }
    }
}

/// Calls that are bought from other operators to be run again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShoppingConfig {
    /// Operators' APIs, such as `http://10.0.0.7:8080`.
    pub endpoints: Vec<String>,
    /// File with the private key in hex of the account that pays. Not the operator's: whoever is
    /// checked must not know by whom.
    pub key_file: PathBuf,
    /// File with one prompt a line.
    pub prompts: PathBuf,
    /// Most gwei that the calls of one epoch may cost, over all endpoints.
    pub budget_gwei: u64,
    /// Gwei that the channel to each operator holds.
    pub deposit_gwei: u64,
    /// Calls per epoch and endpoint, on average: the times are random.
    #[serde(default = "defaults::calls_per_epoch")]
    pub calls_per_epoch: u32,
    /// Most tokens of an answer.
    #[serde(default = "defaults::shopping_tokens")]
    pub max_tokens: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// How log lines look.
    #[serde(default)]
    pub format: LogFormat,
    /// A `tracing` filter: `info`, `info,node::settler=debug`.
    #[serde(default = "defaults::level")]
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: defaults::level() }
    }
}
