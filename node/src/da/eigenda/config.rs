use serde::Deserialize;

use crate::{Error, Result};

/// How EigenDA's proxy is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EigendaConfig {
    /// Address of the proxy, which runs beside the node: `http://host:port`.
    pub proxy_url: String,
    /// Seconds that one request may take; EigenDA disperses a blob for a minute or more.
    pub timeout_seconds: u64,
    /// How often a request is tried. What failed all the same, the pipeline begins again.
    pub attempts: u32,
    /// Seconds after which a request is not tried again.
    pub patience_seconds: u64,
}

impl Default for EigendaConfig {
    fn default() -> Self {
        Self {
            proxy_url: "http://127.0.0.1:3100".into(),
            timeout_seconds: 300,
            attempts: 4,
            patience_seconds: 60,
        }
    }
}

impl EigendaConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Config`] with the first that breaks its bound.
    pub(crate) fn validate(&self) -> Result<()> {
        let bounds = [
            ("timeout_seconds", self.timeout_seconds, 3_600),
            ("attempts", self.attempts.into(), 100),
            ("patience_seconds", self.patience_seconds, 86_400),
        ];
        for (name, value, high) in bounds {
            if !(1..=high).contains(&value) {
                return Err(Error::Config(format!(
                    "da.eigenda.{name} {value} is not in 1..={high}"
                )));
            }
        }
        // Plain HTTP, because the proxy is on this machine or in its private network.
        let is_plain = reqwest::Url::parse(&self.proxy_url)
            .is_ok_and(|url| url.scheme() == "http" && url.path() == "/" && url.query().is_none());
        if !is_plain {
            let url = &self.proxy_url;
            return Err(Error::Config(format!(
                "da.eigenda.proxy_url {url} is not http://host:port"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_bounds() {
        let check = |text: &str| toml::from_str::<EigendaConfig>(text).unwrap().validate();
        check("").unwrap();
        check("proxy_url = 'http://proxy:80/'").unwrap();
        for text in [
            "timeout_seconds = 0",
            "attempts = 101",
            "patience_seconds = 86401",
            "proxy_url = 'https://a:1'",
            "proxy_url = 'http://a/put'",
            "proxy_url = 'http://a?b'",
            "proxy_url = '127.0.0.1:3100'",
            "proxy_url = ''",
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(text.split(' ').next().unwrap()), "{error}");
        }
        assert!(toml::from_str::<EigendaConfig>("attempt = 1").is_err());
    }
}
