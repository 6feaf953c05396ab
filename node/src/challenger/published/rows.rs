//! The rows of a model's Datanet versions, as far as this node has them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use alloy::primitives::{Address, B256};
use attribution::{
    estimate::IndexRow,
    settle::{EarnerIndex, Hash, merkle},
};
use tracing::warn;

use crate::{
    Error, Result,
    chain::bindings::IIndexDisputes::{self, DatanetRow},
    datanet::{Datanet, Row},
    factory::EarnerMap,
    registry::{DatanetRef, Registry, Role},
};

/// A row of one of the model's Datanet versions; they are ordered as leaves are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::challenger) struct Place {
    datanet: u8,
    row: u64,
}

impl Place {
    /// The row of a Datanet with an index.
    pub(in crate::challenger) const fn at(datanet: u8, row: u64) -> Self {
        Self { datanet, row }
    }

    /// Where a leaf says that its row is.
    pub(super) const fn of(row: &IndexRow) -> Self {
        Self { datanet: row.datanet, row: row.index }
    }

    /// Whether it comes before another.
    pub(super) fn is_before(self, datanet: u8, row: u64) -> bool {
        self < Self { datanet, row }
    }
}

/// What is known of a model's Datanet versions, in the model's order.
#[derive(Debug)]
pub(in crate::challenger) struct Rows {
    /// Rows of each, and the rows themselves where they are here.
    versions: Vec<(u32, Option<Arc<Datanet>>)>,
    /// The first row of each cluster among the rows that are here.
    first: HashMap<B256, Place>,
    /// Contributors that are registered.
    earners: BTreeMap<Address, EarnerIndex>,
}

impl Rows {
    /// Reads the versions from the directories that hold them. A directory that is damaged, or has not
    /// the root that the chain has, is passed over.
    ///
    /// # Errors
    /// [`Error::Store`], also if a version is not indexed.
    pub(in crate::challenger) fn load(
        registry: &Registry,
        folders: &[PathBuf],
        of: &[DatanetRef],
    ) -> Result<Self> {
        let mut here: Vec<Arc<Datanet>> = Vec::new();
        for folder in folders {
            match Datanet::load(folder) {
                Ok(datanet) => here.push(Arc::new(datanet)),
                Err(error) => warn!(target: "node::challenger", %error, "rows passed over"),
            }
        }
        let mut versions = Vec::new();
        for DatanetRef { id, version } in of {
            let published = registry.datanet_version(*id, *version)?;
            let unknown = || Error::Store(format!("version {version} of {id} is not indexed"));
            let published = published.ok_or_else(unknown)?;
            let rows = here.iter().find(|datanet| {
                let manifest = &datanet.manifest;
                (manifest.id, manifest.version) == (*id, *version)
                    && manifest.rows_root == published.rows_root
                    && datanet.rows.len() == published.row_count as usize
            });
            versions.push((published.row_count, rows.cloned()));
        }
        let mut rows = Self { versions, first: HashMap::new(), earners: BTreeMap::new() };
        rows.index(registry)?;
        Ok(rows)
    }

    fn index(&mut self, registry: &Registry) -> Result<()> {
        let mut contributors = BTreeSet::new();
        for (datanet, (_, rows)) in (0..).zip(&self.versions) {
            for row in rows.iter().flat_map(|datanet| &datanet.rows) {
                contributors.insert(row.contributor);
                let place = Place { datanet, row: row.index };
                self.first.entry(row.cluster_hash).or_insert(place);
            }
        }
        for account in contributors {
            if let Some(earner) = registry.earner_of(account, Role::Contributor)? {
                self.earners.insert(account, earner);
            }
        }
        Ok(())
    }

    /// The versions in the model's order; `None` unless all are here.
    pub(in crate::challenger) fn all(&self) -> Option<Vec<&Datanet>> {
        self.versions.iter().map(|(_, rows)| rows.as_deref()).collect()
    }

    /// Contributors that are registered.
    pub(in crate::challenger) const fn earners(&self) -> &EarnerMap {
        &self.earners
    }

    /// How many of the versions are here.
    pub(super) fn known(&self) -> usize {
        self.versions.iter().filter(|(_, rows)| rows.is_some()).count()
    }

    /// Whether the model has such a row.
    pub(in crate::challenger) fn has(&self, datanet: u8, row: u64) -> bool {
        let version = self.versions.get(usize::from(datanet));
        version.is_some_and(|(count, _)| row < u64::from(*count))
    }

    /// A row; `None` if it is not here.
    pub(in crate::challenger) fn get(&self, place: Place) -> Option<&Row> {
        self.datanet(place)?.rows.get(usize::try_from(place.row).ok()?)
    }

    /// Under which index an account earns as a contributor.
    pub(in crate::challenger) fn earner(&self, contributor: Address) -> Option<EarnerIndex> {
        self.earners.get(&contributor).copied()
    }

    /// The first row of a cluster that is here.
    pub(super) fn first_of(&self, cluster: Hash) -> Option<Place> {
        self.first.get(&B256::new(cluster)).copied()
    }

    /// The rows that have leaves in an honest index, in order; `None` unless all versions are here.
    pub(super) fn canonical(&self) -> Option<impl Iterator<Item = Place>> {
        if self.known() < self.versions.len() {
            return None;
        }
        let all = (0..).zip(&self.versions).flat_map(|(datanet, (_, rows))| {
            let rows = rows.iter().flat_map(|datanet| &datanet.rows);
            rows.map(move |row| (Place { datanet, row: row.index }, row))
        });
        let first = |&(place, row): &(Place, &Row)| {
            row.row_hash == row.cluster_hash && self.first.get(&row.cluster_hash) == Some(&place)
        };
        Some(all.filter(first).map(|(place, _)| place))
    }

    /// A row with its way to the version's root.
    ///
    /// # Errors
    /// [`Error::Dispute`] if it is not here.
    pub(in crate::challenger) fn proof(&self, place: Place) -> Result<DatanetRow> {
        let missing = || Error::Dispute(format!("{place:?} is not here"));
        let (datanet, row) = self.datanet(place).zip(self.get(place)).ok_or_else(missing)?;
        let number = usize::try_from(place.row).map_err(|_| missing())?;
        let proof = merkle::proof(&datanet.leaves(), number)?;
        Ok(DatanetRow {
            datanet: place.datanet,
            row: IIndexDisputes::Row {
                index: row.index,
                rowHash: row.row_hash,
                contributor: row.contributor,
                clusterHash: row.cluster_hash,
            },
            proof: proof.into_iter().map(B256::from).collect(),
        })
    }

    fn datanet(&self, place: Place) -> Option<&Datanet> {
        self.versions.get(usize::from(place.datanet))?.1.as_deref()
    }
}
