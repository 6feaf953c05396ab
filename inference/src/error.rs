//! The crate's error.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong when models, adapters and text from outside are read and run.
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
    /// A model's `config.json` asks for something outside what the decoder can run.
    #[error("model configuration: {0}")]
    Config(String),
    /// A safetensors file is damaged, or a tensor in it is missing, unknown or of the wrong shape.
    #[error("weights: {0}")]
    Weights(String),
    /// The tokenizer or its chat template is damaged, or refused the text.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// An adapter is damaged or does not fit the model.
    #[error("adapter: {0}")]
    Adapter(String),
    /// Tensors or slices disagree in shape.
    #[error("shape: {0}")]
    Shape(String),
    /// A step or a request names tokens, positions or caches that the model cannot run.
    #[error("request: {0}")]
    Request(String),
    /// No resident adapter has this hash (given in hex).
    #[error("adapter {0} is not loaded")]
    UnknownAdapter(String),
    /// The queue of waiting requests is full.
    #[error("{waiting} requests are waiting already")]
    Busy {
        /// How many.
        waiting: usize,
        /// After how many seconds some of them will probably have started.
        retry_after: u64,
    },
    /// The engine has been shut down, or its thread has ended.
    #[error("the engine has stopped")]
    Stopped,
    /// The ranks of a model do not work together any more.
    #[error("ranks: {0}")]
    Comm(String),
    /// Training settings or data outside their bounds, or a checkpoint that does not fit them.
    #[error("training: {0}")]
    Training(String),
    /// The tensor library failed.
    #[error("tensor: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Wraps an I/O error with the path that it is about.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
