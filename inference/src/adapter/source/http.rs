//! Adapters from web servers and from hubs laid out like Hugging Face's.

use std::{
    fmt,
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;
use ureq::{
    Agent,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::{AdapterFiles, Source, is_public};
use crate::{
    Error, Result,
    adapter::{AdapterLimits, CONFIG_FILE, WEIGHTS_FILE},
};

/// Longest URL.
const MAX_URL: usize = 2048;
/// Longest manifest in bytes.
const MAX_MANIFEST: usize = 1 << 16;

/// What may be fetched over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where hub repositories live: `https://huggingface.co`.
    pub hub: String,
    /// Allow `http://`.
    pub allow_plain: bool,
    /// Allow servers whose address is not public ([`is_public`]).
    pub allow_private: bool,
    /// Most redirects of one file.
    pub redirects: u32,
    /// Longest time to connect, and to wait for the first byte of an answer.
    pub connect_timeout: Duration,
    /// Longest time for one file.
    pub timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            hub: "https://huggingface.co".into(),
            allow_plain: false,
            allow_private: false,
            redirects: 5,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
        }
    }
}

/// Makes sources that share one HTTP client.
#[derive(Clone, Debug)]
pub struct HttpSources {
    client: Arc<Client>,
}

/// A file on a web server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Where it is.
    pub url: String,
    /// Its size, if known; another size is an error.
    pub bytes: Option<u64>,
}

/// An adapter's two files by URL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `adapter_config.json`
    pub config: RemoteFile,
    /// `adapter_model.safetensors`
    pub weights: RemoteFile,
}

impl HttpSources {
    /// A client with these bounds. No proxy is used, whatever the environment says: the checks of
    /// addresses would be void.
    pub fn new(config: HttpConfig) -> Self {
        let settings = Config::builder()
            .https_only(!config.allow_plain)
            .proxy(None)
            .max_redirects(config.redirects)
            .max_redirects_will_error(true)
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .timeout_recv_response(Some(config.connect_timeout))
            .timeout_global(Some(config.timeout))
            .max_response_header_size(1 << 16)
            .user_agent("openledger")
            .accept_encoding("identity")
            .build();
        let resolver = Guarded { inner: DefaultResolver::default(), private: config.allow_private };
        let agent = Agent::with_parts(settings, DefaultConnector::default(), resolver);
        Self { client: Arc::new(Client { agent, config }) }
    }

    /// The adapter whose files a manifest names.
    ///
    /// # Errors
    /// [`Error::Adapter`] if a URL is not one that may be fetched.
    pub fn manifest(&self, manifest: Manifest) -> Result<HttpSource> {
        self.client.check(&manifest.config.url)?;
        self.client.check(&manifest.weights.url)?;
        Ok(HttpSource { client: Arc::clone(&self.client), place: Place::Files(manifest.into()) })
    }

    /// The adapter whose [`Manifest`] is the JSON at `url`.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the URL is not one that may be fetched.
    pub fn manifest_at(&self, url: &str) -> Result<HttpSource> {
        self.client.check(url)?;
        Ok(HttpSource { client: Arc::clone(&self.client), place: Place::Manifest(url.into()) })
    }

    /// The adapter in a hub's repository (`owner/name`) at a revision (branch, tag or commit), at the
    /// hub of the configuration: `{hub}/{repository}/resolve/{revision}/adapter_config.json`.
    ///
    /// # Errors
    /// [`Error::Adapter`] if a name has other characters than the hub's names have.
    pub fn hub(&self, repository: &str, revision: &str) -> Result<HttpSource> {
        let part = |part: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (1..=96).contains(&part.len()) && part.chars().all(fits) && !part.starts_with('.')
        };
        if repository.split('/').count() > 2 || !repository.split('/').all(part) {
            return Err(bad(format!("{repository:?} is not the name of a repository")));
        }
        if !part(revision) {
            return Err(bad(format!("{revision:?} is not the name of a revision")));
        }
        let place = Place::Hub(repository.into(), revision.into());
        let source = HttpSource { client: Arc::clone(&self.client), place };
        source.client.check(&source.hub_file(repository, revision, WEIGHTS_FILE))?;
        Ok(source)
    }
}

#[derive(Debug)]
struct Client {
    agent: Agent,
    config: HttpConfig,
}

fn bad(message: impl Into<String>) -> Error {
    Error::Adapter(message.into())
}

impl Client {
    fn check(&self, url: &str) -> Result<()> {
        if url.len() > MAX_URL {
            return Err(bad(format!("a URL of {} bytes", url.len())));
        }
        let uri: Uri = url.parse().map_err(|error| bad(format!("URL {url:?}: {error}")))?;
        let scheme = uri.scheme_str();
        if scheme != Some("https") && !(scheme == Some("http") && self.config.allow_plain) {
            return Err(bad(format!("URL {url:?} is not https")));
        }
        let Some(authority) = uri.authority() else {
            return Err(bad(format!("URL {url:?} has no host")));
        };
        if authority.as_str().contains('@') {
            return Err(bad("a URL with a password"));
        }
        Ok(())
    }

    /// The body at `url`, at most `max` bytes and, if given, exactly `expected`.
    fn get(&self, url: &str, max: usize, expected: Option<u64>) -> Result<Vec<u8>> {
        self.check(url)?;
        let started = Instant::now();
        let fail = |error: &dyn fmt::Display| bad(format!("{url}: {error}"));
        let mut response = self.agent.get(url).call().map_err(|error| fail(&error))?;
        let body = response.body_mut();
        let announced = body.content_length().or(expected);
        if let Some(bytes) = announced.filter(|bytes| *bytes > max as u64) {
            return Err(fail(&format!("{bytes} bytes, more than {max} bytes")));
        }
        // What is announced is allocated only as it comes.
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(1 << 20) as usize);
        let mut reader = body.as_reader().take(max as u64 + 1);
        reader.read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        if bytes.len() > max {
            return Err(fail(&format!("more than {max} bytes")));
        }
        if expected.is_some_and(|expected| expected != bytes.len() as u64) {
            let expected = expected.unwrap_or_default();
            return Err(fail(&format!("{} bytes, not {expected}", bytes.len())));
        }
        let milliseconds = started.elapsed().as_millis();
        tracing::debug!(target: "inference::adapter", url, bytes = bytes.len(), milliseconds, "fetched");
        Ok(bytes)
    }
}

/// Resolves names as usual and refuses to hand out addresses that are not public. What it hands out
/// is what is connected to, at every redirect, so a name cannot change its address after the check.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    private: bool,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.inner.resolve(uri, config, timeout)?;
        if !self.private && addresses.iter().any(|address| !is_public(address.ip())) {
            let host = uri.host().unwrap_or_default();
            return Err(ureq::Error::Io(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                format!("{host} is not at a public address"),
            )));
        }
        Ok(addresses)
    }
}

/// An adapter on a web server; made by [`HttpSources`].
#[derive(Clone)]
pub struct HttpSource {
    client: Arc<Client>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Files(Box<Manifest>),
    Manifest(Box<str>),
    Hub(Box<str>, Box<str>),
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

impl HttpSource {
    fn hub_file(&self, repository: &str, revision: &str, file: &str) -> String {
        let hub = self.client.config.hub.trim_end_matches('/');
        format!("{hub}/{repository}/resolve/{revision}/{file}")
    }

    fn files(&self) -> Result<Manifest> {
        match &self.place {
            Place::Files(manifest) => Ok((**manifest).clone()),
            Place::Manifest(url) => {
                let bytes = self.client.get(url, MAX_MANIFEST, None)?;
                let manifest: Manifest = serde_json::from_slice(&bytes)
                    .map_err(|error| bad(format!("{url}: {error}")))?;
                Ok(manifest)
            }
            Place::Hub(repository, revision) => {
                let file = |name| RemoteFile {
                    url: self.hub_file(repository, revision, name),
                    bytes: None,
                };
                Ok(Manifest { config: file(CONFIG_FILE), weights: file(WEIGHTS_FILE) })
            }
        }
    }
}

impl Source for HttpSource {
    fn fetch(&self, limits: &AdapterLimits) -> Result<AdapterFiles> {
        let Manifest { config, weights } = self.files()?;
        Ok(AdapterFiles {
            config: self.client.get(&config.url, limits.config_bytes, config.bytes)?,
            weights: self.client.get(&weights.url, limits.weights_bytes, weights.bytes)?,
        })
    }
}
