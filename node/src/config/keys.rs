//! Keys and other small files.

use std::path::Path;

use alloy::signers::local::PrivateKeySigner;

use crate::{Error, Result};

/// Largest configuration or key file read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

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

    #[test]
    fn a_broken_key_file_is_not_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret words").unwrap();
        let error = read_key("OPENLEDGER_NO_SUCH_KEY", Some(file.path())).unwrap_err();
        assert!(!error.to_string().contains("secret words"), "{error}");
    }
}
