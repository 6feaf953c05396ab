//! Keys of the chain's tables.

use alloy::primitives::{Address, B256, keccak256};

use super::Role;
use crate::{Error, Result, store::Table};

/// The hash that a key is, or ends with.
pub(super) fn hash_in(table: Table, bytes: &[u8]) -> Result<B256> {
    bytes.try_into().map_err(|_| {
        Error::Store(format!("table {}: damaged key of {} bytes", table.name(), bytes.len()))
    })
}

/// Where the indexer's head is in [`Table::Meta`].
pub(crate) const HEAD_KEY: &[u8] = b"indexer/head";

/// A name's prefix in [`Table::ModelNames`]; hashed, so that no name is a prefix of another.
pub(crate) fn name_key(name: &str) -> Vec<u8> {
    keccak256(name.as_bytes()).to_vec()
}

/// An id and a version of it.
pub(crate) fn price_key(id: B256, version: u32) -> Vec<u8> {
    [id.as_slice(), &version.to_be_bytes()].concat()
}

/// A model and the time (seconds) from which an owner is paid, or a mix holds.
pub(crate) fn owner_key(model: B256, activation: u64) -> Vec<u8> {
    [model.as_slice(), &activation.to_be_bytes()].concat()
}

/// An operator and an epoch.
pub(crate) fn operator_batch_key(operator: Address, epoch: u64) -> Vec<u8> {
    [operator.as_slice(), &epoch.to_be_bytes()].concat()
}

/// The block in which an index was published, and its model.
pub(crate) fn index_order_key(block: u64, model: B256) -> Vec<u8> {
    [&block.to_be_bytes()[..], model.as_slice()].concat()
}

/// A role and an account in it.
pub(crate) fn earner_key(account: Address, role: Role) -> Vec<u8> {
    [&[role as u8], account.as_slice()].concat()
}
