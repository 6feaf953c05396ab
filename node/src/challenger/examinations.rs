//! What a stage found out about the indexes that models publish, and which it looks at next.

use std::fmt::Debug;

use alloy::primitives::B256;
use borsh::BorshSerialize;
use tracing::{error, info};

use super::pauses::Pauses;
use crate::{
    Error, Result,
    store::{SharedStore, Table, WriteBatch},
};

/// Findings by model, in a table of the stage's own.
#[derive(Debug, Clone)]
pub(super) struct Examinations {
    store: SharedStore,
    table: Table,
    pauses: Pauses,
}

/// Indexes that are not done with.
#[derive(Debug)]
pub(super) struct Open {
    /// Block of the first.
    pub(super) first: Option<u64>,
    /// Models of those whose pause is over, in the order of their blocks.
    pub(super) due: Vec<B256>,
}

impl Examinations {
    pub(super) fn new(store: SharedStore, table: Table) -> Self {
        Self { store, table, pauses: Pauses::default() }
    }

    /// Those of `published`, (block, model) in order, that are not done with.
    pub(super) fn open(
        &self,
        published: Vec<(u64, B256)>,
        is_done: impl Fn(B256) -> Result<bool>,
    ) -> Result<Open> {
        let mut open = Open { first: None, due: Vec::new() };
        for (block, model) in published {
            if is_done(model)? {
                continue;
            }
            open.first.get_or_insert(block);
            if self.pauses.is_over(model) {
                open.due.push(model);
            }
        }
        Ok(open)
    }

    /// Notes what was found out of a model's index; after a failure the next look is later. True if
    /// there was something to note.
    ///
    /// # Errors
    /// [`Error::Store`], `found`'s too.
    pub(super) fn take<F: BorshSerialize + Debug>(
        &self,
        model: B256,
        found: Result<Option<F>>,
    ) -> Result<bool> {
        let table = self.table.name();
        match found {
            Ok(None) => Ok(false),
            Ok(Some(found)) => {
                info!(target: "node::challenger", table, %model, ?found, "index examined");
                let mut rows = WriteBatch::default();
                rows.put_row(self.table, model.as_slice(), &found);
                self.store.write(rows)?;
                self.pauses.forget(model);
                Ok(true)
            }
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => {
                error!(target: "node::challenger", table, %model, %error, "index not examined");
                self.pauses.grow(model);
                Ok(false)
            }
        }
    }
}
