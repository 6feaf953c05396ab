use std::path::PathBuf;

use serde::Deserialize;

use crate::{Error, Result};

/// How certificates get from EigenDA's contract on L1 to L2.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// JSON-RPC endpoint of L1.
    pub rpc_url: String,
    /// File with the private key in hex of the account that pays on L1;
    /// [`crate::config::RELAY_KEY_VARIABLE`] wins.
    pub key_file: Option<PathBuf>,
    /// L1 blocks that a message may take to L2 before it is sent again.
    #[serde(default = "patience_blocks")]
    pub patience_blocks: u64,
    /// Transactions for one certificate at most.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// Most gwei for a unit of gas on L1.
    #[serde(default = "max_fee_gwei")]
    pub max_fee_gwei: u64,
}

const fn patience_blocks() -> u64 {
    300
}
const fn attempts() -> u32 {
    3
}
const fn max_fee_gwei() -> u64 {
    200
}

impl RelayConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Config`] with the first that breaks its bound.
    pub(crate) fn validate(&self) -> Result<()> {
        let bounds = [
            // A certificate is relayed within 3,600 blocks or not at all.
            ("patience_blocks", self.patience_blocks, 3_600),
            ("attempts", self.attempts.into(), 100),
            ("max_fee_gwei", self.max_fee_gwei, 1_000_000),
        ];
        for (name, value, high) in bounds {
            if !(1..=high).contains(&value) {
                return Err(Error::Config(format!("da.relay.{name} {value} is not in 1..={high}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_bounds() {
        let check = |text: &str| {
            toml::from_str::<RelayConfig>(&format!("rpc_url = 'http://a:1'\n{text}"))
                .unwrap()
                .validate()
        };
        check("").unwrap();
        for text in ["patience_blocks = 3601", "attempts = 0", "max_fee_gwei = 0"] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(text.split(' ').next().unwrap()), "{error}");
        }
        assert!(toml::from_str::<RelayConfig>("attempts = 1").is_err(), "there is no default L1");
    }
}
