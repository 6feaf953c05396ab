//! Blobs as files in a folder.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use alloy::primitives::{B256, keccak256};
use attribution::settle::SYMBOL_BYTES;
use futures::{FutureExt, future::BoxFuture};

use super::{Attestor, DataAvailability};
use crate::{Error, Result, chain::bindings::G1Point, worker::blocking};

/// A folder with one file a blob, named by the commitment. A certificate is the word of an attestor
/// key, which is for development: it shows that this folder has the blob and nothing more.
#[derive(Debug)]
pub struct LocalAvailability {
    folder: PathBuf,
    attestor: Attestor,
}

impl LocalAvailability {
    /// Blobs in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made.
    pub fn open(folder: &Path, attestor: Attestor) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        Ok(Self { folder: folder.to_owned(), attestor })
    }

    fn path(&self, commitment: &G1Point) -> PathBuf {
        let name = [commitment.x.to_be_bytes::<32>(), commitment.y.to_be_bytes::<32>()].concat();
        self.folder.join(alloy::hex::encode(name))
    }
}

impl DataAvailability for LocalAvailability {
    fn put(&self, commitment: G1Point, blob: Vec<u8>, time: u64) -> BoxFuture<'_, Result<Vec<u8>>> {
        let path = self.path(&commitment);
        async move {
            let symbols = u32::try_from(blob.len() / SYMBOL_BYTES)
                .map_err(|_| Error::Availability(format!("blob of {} bytes", blob.len())))?;
            blocking(move || write(&path, &blob)).await?;
            self.attestor.certify(&commitment, symbols, time)
        }
        .boxed()
    }

    fn get<'a>(
        &'a self,
        commitment: G1Point,
        _certificate: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        let path = self.path(&commitment);
        async move { blocking(move || read(&path)).await }.boxed()
    }
}

/// Writes a checksum and the blob beside the file and moves it there, so that a file is whole or
/// missing.
fn write(path: &Path, blob: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let folder = path.parent().expect("a blob's path has a folder");
    let mut file = File::create(&partial).map_err(Error::io(&partial))?;
    file.write_all(keccak256(blob).as_slice())
        .and_then(|()| file.write_all(blob))
        .and_then(|()| file.sync_all())
        .map_err(Error::io(&partial))?;
    fs::rename(&partial, path).map_err(Error::io(path))?;
    // The move itself is durable once its folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path)(e)),
    };
    let damaged = || Error::Availability(format!("blob {} is damaged", path.display()));
    let (checksum, blob) = bytes.split_at_checked(32).ok_or_else(damaged)?;
    if keccak256(blob) != B256::from_slice(checksum) {
        return Err(damaged());
    }
    Ok(Some(blob.to_vec()))
}

#[cfg(test)]
mod tests {
    use alloy::{primitives::U256, signers::local::PrivateKeySigner};

    use super::*;

    fn open(folder: &Path) -> LocalAvailability {
        let domain = alloy::sol_types::eip712_domain! { name: "test", };
        LocalAvailability::open(folder, Attestor::new(PrivateKeySigner::random(), domain)).unwrap()
    }

    const COMMITMENT: G1Point = G1Point { x: U256::ONE, y: U256::ZERO };

    #[tokio::test]
    async fn a_blob_is_found_again_by_its_commitment() {
        let folder = tempfile::tempdir().unwrap();
        let blob = vec![7; 32 * 64];
        let certificate = open(folder.path()).put(COMMITMENT, blob.clone(), 5).await.unwrap();
        assert_eq!(certificate.len(), super::super::ATTESTATION_BYTES);
        let again = open(folder.path());
        assert_eq!(again.get(COMMITMENT, &certificate).await.unwrap(), Some(blob));
        let other = G1Point { x: U256::ZERO, y: U256::ONE };
        assert_eq!(again.get(other, &certificate).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_damaged_blob_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let layer = open(folder.path());
        layer.put(COMMITMENT, vec![7; 32], 5).await.unwrap();
        let path = layer.path(&COMMITMENT);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(layer.get(COMMITMENT, &[]).await, Err(Error::Availability(_))));
        fs::write(&path, [1, 2, 3]).unwrap();
        assert!(matches!(layer.get(COMMITMENT, &[]).await, Err(Error::Availability(_))));
    }
}
