//! Datanet rows in the node's store, by the hash of their text.

use std::{collections::HashMap, path::Path};

use alloy::primitives::{Address, B256};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    Error, Result,
    datanet::Datanet,
    registry::Registry,
    store::{SharedStore, Store, Table, WriteBatch, get_row, read_sol, write_sol},
};

/// Rows written in one batch.
const CHUNK: usize = 1024;

/// A row of a published Datanet version.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredRow {
    /// The Datanet.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub datanet: B256,
    /// Its version.
    pub version: u32,
    /// Place in the version.
    pub index: u64,
    /// The data itself.
    pub text: String,
    /// Who contributed it first.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub contributor: Address,
    /// Hash of the canonical row of its duplicate cluster.
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    pub cluster_hash: B256,
    /// The file that it was cut from.
    pub source: String,
}

/// Puts the rows of a Datanet directory into the store. Of rows with the same text the first one
/// counts. Returns how many there are.
///
/// # Errors
/// [`Error::Datanet`] if the directory is damaged or its root is not the one published on the
/// chain, [`Error::Store`] if the rows cannot be written.
pub fn load_rows(store: &SharedStore, registry: &Registry, dir: &Path) -> Result<usize> {
    let Datanet { manifest, rows } = Datanet::load(dir)?;
    let published = registry.datanet_version(manifest.id, manifest.version)?;
    if published.as_ref().map(|version| version.rows_root) != Some(manifest.rows_root) {
        let found = published.map_or_else(|| "nothing".into(), |v| v.rows_root.to_string());
        return Err(Error::Datanet(format!(
            "{}: root is {}, the chain has {found} as version {} of {}",
            dir.display(),
            manifest.rows_root,
            manifest.version,
            manifest.id
        )));
    }
    let mut first: HashMap<B256, StoredRow> = HashMap::new();
    for row in rows {
        first.entry(row.row_hash).or_insert_with(|| StoredRow {
            datanet: manifest.id,
            version: manifest.version,
            index: row.index,
            text: row.text,
            contributor: row.contributor,
            cluster_hash: row.cluster_hash,
            source: row.source,
        });
    }
    let rows: Vec<_> = first.into_iter().collect();
    for chunk in rows.chunks(CHUNK) {
        let mut batch = WriteBatch::default();
        for (hash, row) in chunk {
            batch.put_row(Table::Rows, hash.as_slice(), row);
        }
        store.write(batch)?;
    }
    Ok(rows.len())
}

/// The row with this hash.
///
/// # Errors
/// [`Error::Store`].
pub fn row(store: &dyn Store, hash: B256) -> Result<Option<StoredRow>> {
    get_row(store, Table::Rows, hash.as_slice())
}
