//! The configuration file, checked on load.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use alloy::signers::local::PrivateKeySigner;
use serde::Deserialize;

use crate::{Error, Result, da::EigendaConfig};

/// Environment variable that may hold the operator's key instead of a file.
pub const OPERATOR_KEY_VARIABLE: &str = "OPENLEDGER_OPERATOR_KEY";
/// Environment variable that may hold the attestor's key instead of a file.
pub const ATTESTOR_KEY_VARIABLE: &str = "OPENLEDGER_ATTESTOR_KEY";
/// Chains on which what is made up for development is refused: Ethereum and OpenLedger.
const MAIN_CHAINS: [u64; 2] = [1, 1612];
/// Largest configuration or key file read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that an operator decides. `openledger.example.toml` documents each value.
///
/// Paths in the file are relative to the file's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The chain that settles.
    pub chain: ChainConfig,
    /// Who serves.
    #[serde(default)]
    pub operator: OperatorConfig,
    /// The node's own address, data and bounds.
    pub node: NodeConfig,
    /// What is served.
    pub model: ModelConfig,
    /// Data availability.
    #[serde(default)]
    pub da: DaConfig,
    /// Powers of tau.
    #[serde(default)]
    pub srs: SrsConfig,
    /// Earnings of all earners.
    #[serde(default)]
    pub earnings: EarningsConfig,
    /// Votes on other operators' records.
    #[serde(default)]
    pub validator: ValidatorConfig,
    /// Checks of other operators' batches.
    #[serde(default)]
    pub challenger: ChallengerConfig,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
}

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
    /// Requests answered at once; more are refused with 503.
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
    /// Calls that may wait for the engine; more are refused with 503.
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

mod defaults {
    use std::net::SocketAddr;

    pub(super) const fn yes() -> bool {
        true
    }

    pub(super) const fn poll_interval_ms() -> u64 {
        400
    }
    pub(super) const fn max_head_age_seconds() -> u64 {
        30
    }
    pub(super) fn listen() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }
    pub(super) const fn max_skew_seconds() -> u64 {
        30
    }
    pub(super) const fn max_body_bytes() -> usize {
        256 << 10
    }
    pub(super) const fn max_requests() -> usize {
        256
    }
    pub(super) const fn call_timeout_seconds() -> u64 {
        120
    }
    pub(super) const fn max_prompt_tokens() -> usize {
        768
    }
    pub(super) const fn max_new_tokens() -> usize {
        256
    }
    pub(super) const fn max_batch() -> usize {
        16
    }
    pub(super) const fn queue() -> usize {
        64
    }
    pub(super) const fn attribution_threads() -> usize {
        1
    }
    pub(super) const fn powers() -> usize {
        1 << 19
    }
    pub(super) const fn archive_seconds() -> u64 {
        7 * 86_400
    }
    pub(super) const fn calls_per_epoch() -> u32 {
        2
    }
    pub(super) const fn shopping_tokens() -> u64 {
        48
    }
    pub(super) fn level() -> String {
        "info".into()
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Config`] if it is not TOML, has an unknown
    /// field, or a value breaks a bound.
    pub fn load(path: &Path) -> Result<Self> {
        let mut config = Self::parse(&read_small(path)?)?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Parses and checks the text of a file; paths stay as written.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|error| Error::Config(error.to_string()))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<()> {
        let bounds = [
            ("chain.poll_interval_ms", self.chain.poll_interval_ms, 50, 60_000),
            ("chain.max_head_age_seconds", self.chain.max_head_age_seconds, 1, 86_400),
            ("node.max_skew_seconds", self.node.max_skew_seconds, 1, 86_400),
            ("node.max_body_bytes", self.node.max_body_bytes as u64, 1 << 10, 64 << 20),
            ("node.max_requests", self.node.max_requests as u64, 1, 1 << 16),
            ("node.call_timeout_seconds", self.node.call_timeout_seconds, 1, 3_600),
            ("model.max_prompt_tokens", self.model.max_prompt_tokens as u64, 1, 1 << 20),
            ("model.max_new_tokens", self.model.max_new_tokens as u64, 1, 1 << 20),
            ("model.max_batch", self.model.max_batch as u64, 1, 1 << 12),
            ("model.queue", self.model.queue as u64, 1, 1 << 16),
            ("srs.powers", self.srs.powers as u64, 1 << 10, 1 << 19),
            ("earnings.archive_seconds", self.earnings.archive_seconds, 60, 14 * 86_400),
            ("model.attribution_threads", self.model.attribution_threads as u64, 1, 256),
        ];
        for (name, value, low, high) in bounds {
            if !(low..=high).contains(&value) {
                return Err(Error::Config(format!("{name} {value} is not in {low}..={high}")));
            }
        }
        if self.srs.secret_seed.is_some() && self.srs.path.is_some() {
            return Err(Error::Config("srs has both secret_seed and path".into()));
        }
        if let Some(shopping) = &self.challenger.shopping {
            let bounds = [
                ("calls_per_epoch", u64::from(shopping.calls_per_epoch), 1, 1_000),
                ("max_tokens", shopping.max_tokens, 1, 1 << 20),
                ("deposit_gwei", shopping.deposit_gwei, 1, u64::MAX),
            ];
            for (name, value, low, high) in bounds {
                if !(low..=high).contains(&value) {
                    let name = format!("challenger.shopping.{name}");
                    return Err(Error::Config(format!("{name} {value} is not in {low}..={high}")));
                }
            }
        }
        if self.da.kind == DaKind::Eigenda && self.srs.secret_seed.is_some() {
            let rule = "da.kind eigenda needs srs.path: EigenDA commits with its own powers of tau";
            return Err(Error::Config(rule.into()));
        }
        self.da.eigenda.validate()
    }

    /// Refuses to run with a development's setup or attestor where real money is.
    ///
    /// # Errors
    /// [`Error::Config`] on chains 1 and 1612: if `srs.secret_seed` is set, because whoever knows
    /// it can forge openings, and without it as well, because the only certificates of
    /// availability that a node makes are the word of a development attestor.
    pub fn check_chain(&self, chain_id: u64) -> Result<()> {
        if !MAIN_CHAINS.contains(&chain_id) {
            return Ok(());
        }
        let what = if self.srs.secret_seed.is_some() {
            "srs.secret_seed"
        } else {
            "the development attestor (da.attestor_key_file)"
        };
        Err(Error::Config(format!("{what} is refused on main chain {chain_id}")))
    }

    fn resolve(&mut self, folder: &Path) {
        let fixed = [&mut self.chain.deployment, &mut self.node.data_dir, &mut self.model.base];
        let optional = [
            &mut self.operator.key_file,
            &mut self.da.attestor_key_file,
            &mut self.srs.path,
            &mut self.srs.cache_dir,
        ];
        let shopping = self.challenger.shopping.iter_mut();
        let shopping =
            shopping.flat_map(|shopping| [&mut shopping.key_file, &mut shopping.prompts]);
        let listed = self.model.models.iter_mut().chain(&mut self.node.datanets).chain(shopping);
        for path in fixed.into_iter().chain(optional.into_iter().flatten()).chain(listed) {
            *path = folder.join(&*path);
        }
    }

    /// The operator's key, from [`OPERATOR_KEY_VARIABLE`] or the file.
    ///
    /// # Errors
    /// [`Error::Config`] if neither is there or the text is not a private key.
    pub fn operator_key(&self) -> Result<PrivateKeySigner> {
        read_key(OPERATOR_KEY_VARIABLE, self.operator.key_file.as_deref())
    }

    /// The development attestor's key, from [`ATTESTOR_KEY_VARIABLE`] or the file.
    ///
    /// # Errors
    /// As [`Self::operator_key`].
    pub fn attestor_key(&self) -> Result<PrivateKeySigner> {
        read_key(ATTESTOR_KEY_VARIABLE, self.da.attestor_key_file.as_deref())
    }
}

/// Reads a private key from an environment variable or, without it, from a file.
///
/// # Errors
/// [`Error::Config`] if there is neither or the text is not 32 bytes of hex; the key itself is
/// never part of the message.
pub fn read_key(variable: &str, file: Option<&Path>) -> Result<PrivateKeySigner> {
    let (text, source) = match (std::env::var(variable), file) {
        (Ok(text), _) => (text, variable.to_owned()),
        (Err(_), Some(path)) => (read_small(path)?, path.display().to_string()),
        (Err(_), None) => {
            return Err(Error::Config(format!("no key: set {variable} or name a key file")));
        }
    };
    text.trim().parse().map_err(|_| Error::Config(format!("{source} does not hold a private key")))
}

/// Reads a text file of at most a mebibyte.
pub(crate) fn read_small(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::Config(format!("{} has {length} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../openledger.example.toml");

    #[test]
    fn the_documented_example_is_valid() {
        let config = Config::parse(EXAMPLE).unwrap();
        assert_eq!(config.node.listen.port(), 8080);
        assert_eq!(config.model.models.len(), 1);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = Config::parse(&EXAMPLE.replace("data_dir", "dada_dir")).unwrap_err();
        assert!(error.to_string().contains("dada_dir"), "{error}");
    }

    #[test]
    fn values_out_of_bounds_are_refused_by_name() {
        let text = EXAMPLE.replace("max_requests = 256", "max_requests = 0");
        let error = Config::parse(&text).unwrap_err();
        assert_eq!(error.to_string(), "configuration: node.max_requests 0 is not in 1..=65536");
    }

    #[test]
    fn eigenda_is_refused_with_other_powers_than_its_own() {
        assert_eq!(Config::parse(EXAMPLE).unwrap().da.kind, DaKind::Local);
        let seeded = EXAMPLE.replace("# kind = \"local\"", "kind = \"eigenda\"");
        let error = Config::parse(&seeded).unwrap_err().to_string();
        assert!(error.contains("needs srs.path"), "{error}");
        let whole = seeded.replace("secret_seed = \"openledger-dev\"", "path = \"g1.point\"");
        assert_eq!(Config::parse(&whole).unwrap().da.kind, DaKind::Eigenda);
        let error = Config::parse(&format!("{whole}[da.eigenda]\nattempts = 0")).unwrap_err();
        assert!(error.to_string().contains("da.eigenda.attempts 0"), "{error}");
    }

    #[test]
    fn what_is_for_development_is_refused_on_main_chains() {
        let seeded = Config::parse(EXAMPLE).unwrap();
        assert!(seeded.srs.secret_seed.is_some());
        let mut attested = seeded.clone();
        attested.srs.secret_seed = None;
        for chain_id in [1, 1612] {
            for (config, rule) in
                [(&seeded, "srs.secret_seed"), (&attested, "the development attestor")]
            {
                let error = config.check_chain(chain_id).unwrap_err().to_string();
                assert!(error.contains(rule), "{error}");
                assert!(error.ends_with(&format!("refused on main chain {chain_id}")), "{error}");
            }
        }
        for chain_id in [0, 2, 31_337, 161_201] {
            seeded.check_chain(chain_id).unwrap();
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, EXAMPLE).unwrap();
        let config = Config::load(&path).unwrap();
        assert!(config.model.base.starts_with(folder.path()));
        assert!(config.model.models[0].starts_with(folder.path()));
    }

    #[test]
    fn a_broken_key_file_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret words").unwrap();
        let error = read_key("OPENLEDGER_NO_SUCH_KEY", Some(file.path())).unwrap_err();
        assert!(!error.to_string().contains("secret words"), "{error}");
    }
}
