//! The crate's error.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a node, outside of what is answered to one caller.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The configuration, a key file or a deployment file breaks a rule.
    #[error("configuration: {0}")]
    Config(String),
    /// A model directory is damaged or is not what the chain has registered.
    #[error("model {dir}: {reason}")]
    Catalog {
        /// The model's directory.
        dir: PathBuf,
        /// The rule that it breaks.
        reason: String,
    },
    /// A Datanet directory is damaged or is not what the chain has published.
    #[error("datanet: {0}")]
    Datanet(String),
    /// The store failed, or holds what no version of this program wrote.
    #[error("store: {0}")]
    Store(String),
    /// The chain could not be reached or refused.
    #[error("chain: {0}")]
    Chain(String),
    /// A contract refused, or would refuse, a transaction.
    #[error("contract refused: {0}")]
    Reverted(String),
    /// Data availability failed.
    #[error("data availability: {0}")]
    Availability(String),
    /// A call could not be attributed.
    #[error("attribution: {0}")]
    Attribution(String),
    /// The node is busy: a bounded queue is full.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// A part of the node has stopped.
    #[error("{0} has stopped")]
    Stopped(&'static str),
    /// Another node answered with an error, or with what this client does not accept.
    #[error("remote: {0}")]
    Remote(String),
    /// A voucher breaks a rule; nothing was changed.
    #[error(transparent)]
    Refused(#[from] crate::recorder::Refusal),
    /// Amounts do not add up, or somebody who is owed has no index; nothing is paid until it is
    /// resolved.
    #[error("money: {0}")]
    Money(String),
    /// A batch or its earnings could not be settled.
    #[error("settling: {0}")]
    Settle(#[from] attribution::Error),
    /// A commitment or an opening could not be made.
    #[error("prover: {0}")]
    Prover(#[from] prover::Error),
    /// A batch could not be disputed.
    #[error("dispute: {0}")]
    Dispute(String),
    /// The engine gave a call up.
    #[error("generating: {0}")]
    Generation(String),
    /// A call's deadline passed while the engine had it.
    #[error("the call's deadline passed")]
    Expired,
    /// The model or its engine failed.
    #[error(transparent)]
    Inference(#[from] inference::Error),
}

impl Error {
    /// Wraps what the chain's client says.
    pub(crate) fn chain(e: impl std::fmt::Display) -> Self {
        Self::Chain(e.to_string())
    }

    /// Wraps an I/O error with the path that it is about.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
