//! The configuration file, checked on load.

mod access;
mod defaults;
mod keys;
mod retrieval;
mod sections;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use access::{AdapterConfig, AdaptersConfig, KeyConfig};
use alloy::signers::local::PrivateKeySigner;
pub use keys::read_key;
pub(crate) use keys::read_small;
pub use retrieval::RetrievalConfig;
pub use sections::{
    ChainConfig, ChallengerConfig, DaConfig, DaKind, EarningsConfig, LogConfig, LogFormat,
    ModelConfig, NodeConfig, OperatorConfig, ShoppingConfig, SrsConfig, ValidatorConfig,
};
use serde::Deserialize;

use crate::{
    Error, Result,
    chain::{Certification, Deployment},
};

/// Environment variable that may hold the operator's key instead of a file.
pub const OPERATOR_KEY_VARIABLE: &str = "OPENLEDGER_OPERATOR_KEY";
/// Environment variable that may hold the attestor's key instead of a file.
pub const ATTESTOR_KEY_VARIABLE: &str = "OPENLEDGER_ATTESTOR_KEY";
/// Environment variable that may hold the key of the account that relays certificates on L1.
pub const RELAY_KEY_VARIABLE: &str = "OPENLEDGER_RELAY_KEY";
/// Chains on which what is made up for development is refused: Ethereum and OpenLedger.
const MAIN_CHAINS: [u64; 2] = [1, 1612];

/// Whether a chain has money of value, so that nothing for development is taken there.
pub(crate) fn is_main(chain_id: u64) -> bool {
    MAIN_CHAINS.contains(&chain_id)
}

/// A setting's name and value, with its least and its greatest.
type Bound = (&'static str, u64, u64, u64);

fn check((name, value, low, high): Bound) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::Config(format!("{name} {value} is not in {low}..={high}")))
}

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
    /// Callers that need no vouchers of their own.
    #[serde(default)]
    pub keys: Vec<KeyConfig>,
    /// Adapters besides those of models.
    #[serde(default)]
    pub adapters: AdaptersConfig,
    /// Rows that questions are answered from; none if absent.
    pub retrieval: Option<RetrievalConfig>,
    /// Logs.
    #[serde(default)]
    pub log: LogConfig,
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
        for bound in self.bounds() {
            check(bound)?;
        }
        if self.srs.secret_seed.is_some() && self.srs.path.is_some() {
            return Err(Error::Config("srs has both secret_seed and path".into()));
        }
        if let Some(shopping) = &self.challenger.shopping {
            shopping.validate()?;
        }
        if self.da.kind == DaKind::Eigenda && self.srs.secret_seed.is_some() {
            let rule = "da.kind eigenda needs srs.path: EigenDA commits with its own powers of tau";
            return Err(Error::Config(rule.into()));
        }
        if let Some(relay) = &self.da.relay {
            relay.validate()?;
        }
        self.keys.iter().try_for_each(KeyConfig::validate)?;
        self.adapters.validate()?;
        self.check_retrieval()?;
        self.da.eigenda.validate()
    }

    /// A grant of what is not private would promise what is not kept.
    fn check_retrieval(&self) -> Result<()> {
        if let Some(retrieval) = &self.retrieval {
            retrieval.validate()?;
        }
        let private = self.retrieval.as_ref().map_or(&[][..], |retrieval| &retrieval.private);
        for key in &self.keys {
            if let Some(id) = key.datanets.iter().find(|id| !private.contains(id)) {
                let name = &key.name;
                let rule = format!("key {name:?} is granted {id}, which retrieval.private has not");
                return Err(Error::Config(rule));
            }
        }
        Ok(())
    }

    /// Folders of Datanet directories.
    pub fn datanet_folders(&self) -> Vec<PathBuf> {
        let more = self.retrieval.iter().flat_map(|retrieval| &retrieval.folders);
        self.node.datanets.iter().chain(more).cloned().collect()
    }

    const fn bounds(&self) -> [Bound; 14] {
        let (chain, node, model) = (&self.chain, &self.node, &self.model);
        [
            ("chain.poll_interval_ms", chain.poll_interval_ms, 50, 60_000),
            ("chain.max_head_age_seconds", chain.max_head_age_seconds, 1, 86_400),
            ("node.max_skew_seconds", node.max_skew_seconds, 1, 86_400),
            ("node.max_body_bytes", node.max_body_bytes as u64, 1 << 10, 64 << 20),
            ("node.max_requests", node.max_requests as u64, 1, 1 << 16),
            ("node.call_timeout_seconds", node.call_timeout_seconds, 1, 3_600),
            ("model.max_prompt_tokens", model.max_prompt_tokens as u64, 1, 1 << 20),
            ("model.max_new_tokens", model.max_new_tokens as u64, 1, 1 << 20),
            ("model.max_batch", model.max_batch as u64, 1, 1 << 12),
            ("model.ranks", model.ranks as u64, 1, 64),
            ("model.queue", model.queue as u64, 1, 1 << 16),
            ("model.attribution_threads", model.attribution_threads as u64, 1, 256),
            ("srs.powers", self.srs.powers as u64, 1 << 10, 1 << 19),
            ("earnings.archive_seconds", self.earnings.archive_seconds, 60, 14 * 86_400),
        ]
    }

    /// Refuses to run against a deployment whose certificates of availability this configuration
    /// cannot make, and with what is for development where real money is.
    ///
    /// # Errors
    /// [`Error::Config`] on chains 1 and 1612: if `srs.secret_seed` is set, because whoever knows
    /// it can forge openings, and if an attestor's word is taken for availability. On any chain: if
    /// the deployment takes relayed certificates and an attestor is configured or the relay is not, or
    /// the other way round.
    pub fn check_deployment(&self, deployment: &Deployment) -> Result<()> {
        let (chain_id, is_attested) =
            (deployment.chain_id, deployment.certification == Certification::Attested);
        if is_main(chain_id) && (self.srs.secret_seed.is_some() || is_attested) {
            let what = match self.srs.secret_seed {
                Some(_) => "srs.secret_seed",
                None => "the development attestor (da.attestor_key_file)",
            };
            return Err(Error::Config(format!("{what} is refused on main chain {chain_id}")));
        }
        let attestor = self.da.attestor_key_file.is_some()
            || std::env::var_os(ATTESTOR_KEY_VARIABLE).is_some();
        let rule = match (is_attested, self.da.relay.is_some()) {
            (true, true) => {
                "da.relay is set, but the deployment relays nothing: it takes the word \
                             of a development attestor (parameters.daVerifier is dev)"
            }
            (true, false) => return Ok(()),
            (false, _) if attestor => {
                "da.attestor_key_file or OPENLEDGER_ATTESTOR_KEY is set, but the deployment takes no \
                 attestor's word (parameters.daVerifier is relayed): remove it"
            }
            (false, _) if self.da.kind == DaKind::Local => {
                "da.kind is local, but the deployment takes EigenDA's certificates only \
                 (parameters.daVerifier is relayed)"
            }
            (false, false) => {
                "da.relay is missing, and the deployment takes certificates that L1 has verified \
                 (parameters.daVerifier is relayed)"
            }
            (false, true) => return Ok(()),
        };
        Err(Error::Config(rule.into()))
    }

    fn resolve(&mut self, folder: &Path) {
        let fixed = [&mut self.chain.deployment, &mut self.node.data_dir, &mut self.model.base];
        let optional = [
            &mut self.operator.key_file,
            &mut self.da.attestor_key_file,
            &mut self.srs.path,
            &mut self.srs.cache_dir,
            &mut self.adapters.root,
        ];
        let optional =
            optional.into_iter().chain(self.da.relay.iter_mut().map(|relay| &mut relay.key_file));
        let keys = self.keys.iter_mut().flat_map(|key| {
            let adapters = key.adapters.iter_mut().map(|adapter| &mut adapter.path);
            key.payer_key_file.iter_mut().chain(adapters)
        });
        let shopping = self.challenger.shopping.iter_mut();
        let shopping =
            shopping.flat_map(|shopping| [&mut shopping.key_file, &mut shopping.prompts]);
        let listed =
            self.model.models.iter_mut().chain(&mut self.node.datanets).chain(shopping).chain(keys);
        let retrieval = self.retrieval.iter_mut().flat_map(RetrievalConfig::paths);
        for path in fixed.into_iter().chain(optional.flatten()).chain(listed).chain(retrieval) {
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

    /// The key that pays for relayed certificates on L1, from [`RELAY_KEY_VARIABLE`] or the file.
    ///
    /// # Errors
    /// As [`Self::operator_key`].
    pub fn relay_key(&self) -> Result<PrivateKeySigner> {
        let file = self.da.relay.as_ref().and_then(|relay| relay.key_file.as_deref());
        read_key(RELAY_KEY_VARIABLE, file)
    }
}

impl ShoppingConfig {
    fn validate(&self) -> Result<()> {
        [
            ("challenger.shopping.endpoints", self.endpoints.len() as u64, 1, 1_024),
            ("challenger.shopping.budget_gwei", self.budget_gwei, 1, u64::MAX),
            ("challenger.shopping.deposit_gwei", self.deposit_gwei, 1, u64::MAX),
            ("challenger.shopping.calls_per_epoch", self.calls_per_epoch.into(), 1, 1_000),
            ("challenger.shopping.max_tokens", self.max_tokens, 1, 1 << 20),
        ]
        .into_iter()
        .try_for_each(check)
    }
}
