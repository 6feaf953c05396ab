//! What is on its way to L2, on disk before each step that costs money.

use alloy::primitives::{B256, keccak256};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Result,
    da::BlobCommitment,
    store::{SharedStore, Table, WriteBatch, get_row, read_sol, rows, write_sol},
};

/// A transaction on L1, signed. Whatever is sent again for it has its nonce, so that at most one is paid
/// for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed {
    /// The account's count of transactions before it.
    pub nonce: u64,
    /// Most wei for a unit of gas, in the latest of `hashes`.
    pub max_fee: u128,
    /// Of these, most wei for whoever makes the block.
    pub priority: u128,
    /// L1's head when the latest was signed.
    pub block: u64,
    /// The latest, as it goes over the wire.
    pub raw: Vec<u8>,
    /// All that had this nonce, each with a higher fee than the one before.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub hashes: Vec<B256>,
}

/// A certificate between EigenDA and L2.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RelayRow {
    /// As EigenDA's contracts take it.
    pub certificate: Vec<u8>,
    /// The chain's time (seconds) when the blob was put.
    pub put_at: u64,
    /// Transactions with different nonces that were signed for it.
    pub sent: u32,
    /// The last of them, unless it is known to be in no block for ever, or failed.
    pub signed: Option<Signed>,
}

impl RelayRow {
    /// A certificate fresh from EigenDA.
    pub const fn new(certificate: Vec<u8>, put_at: u64) -> Self {
        Self { certificate, put_at, sent: 0, signed: None }
    }

    /// By which L2 knows the certificate.
    pub fn hash(&self) -> B256 {
        keccak256(&self.certificate)
    }
}

/// The rows of [`Table::Relays`].
#[derive(Debug, Clone)]
pub(super) struct Journal(SharedStore);

impl Journal {
    pub(super) const fn new(store: SharedStore) -> Self {
        Self(store)
    }

    pub(super) fn get(&self, of: &BlobCommitment) -> Result<Option<RelayRow>> {
        get_row(&*self.0, Table::Relays, &key(of))
    }

    pub(super) fn put(&self, of: &BlobCommitment, row: &RelayRow) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Relays, key(of), row);
        self.0.write(batch)
    }

    pub(super) fn delete(&self, of: &BlobCommitment) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete(Table::Relays, key(of));
        self.0.write(batch)
    }

    /// Removes what was put before `time` (seconds).
    pub(super) fn prune(&self, time: u64) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, row) in rows::<RelayRow>(&*self.0, Table::Relays, &[])? {
            if row.put_at < time {
                batch.delete(Table::Relays, key);
            }
        }
        if batch.is_empty() { Ok(()) } else { self.0.write(batch) }
    }
}

/// Coordinates, then symbols.
fn key(of: &BlobCommitment) -> Vec<u8> {
    let (x, y) = (of.commitment.x.to_be_bytes::<32>(), of.commitment.y.to_be_bytes::<32>());
    [&x[..], &y, &of.symbols.to_be_bytes()].concat()
}
