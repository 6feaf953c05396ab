//! The file of a log: magic `OLTRAIN\0`, version u16 big-endian, then the log in borsh.

use alloc::vec::Vec;

use borsh::BorshDeserialize;

use super::TrainingLog;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"OLTRAIN\0";
const VERSION: u16 = 1;

impl TrainingLog {
    /// The bytes of its file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        borsh::to_writer(&mut bytes, self).expect("writing to memory does not fail");
        bytes
    }

    /// Reads a log. Memory is bounded by the bytes given.
    ///
    /// # Errors
    /// [`Error::TrainingLog`] if they are no log of this version, or the log breaks a rule of
    /// [`Self::commitment`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Error::TrainingLog("its magic differs"))?;
        let rest = rest
            .strip_prefix(&VERSION.to_be_bytes())
            .ok_or(Error::TrainingLog("it must have version 1"))?;
        let log = Self::try_from_slice(rest)
            .map_err(|_| Error::TrainingLog("it must be whole and nothing may follow"))?;
        log.commitment().map(|_| log)
    }
}
