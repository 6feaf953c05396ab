//! The library of rows, as the configuration wants it.

use std::sync::Arc;

use tracing::warn;

use crate::{
    Result,
    metrics::RetrievalMetrics,
    node::start::Parts,
    retrieval::{DatanetRows, Librarian, Retrieval},
    worker::blocking,
};

impl Parts {
    /// Opens the library and starts the task that adds to it; nothing without its section.
    pub(super) async fn retrieval(&mut self) -> Result<Option<Retrieval>> {
        let Some(config) = &self.config.retrieval else {
            if self.config.validator.enabled {
                warn!(
                    target: "node",
                    "this validator cannot vote on answers from rows: [retrieval] is not configured"
                );
            }
            return Ok(None);
        };
        let settings = config.settings(&self.config.node.data_dir);
        let metrics = RetrievalMetrics::register(&mut self.metrics);
        let retrieval = blocking(move || Retrieval::open(settings, metrics)).await?;
        retrieval.relevance().check(self.registry.contracts().deployment.chain_id)?;
        let librarian = Librarian::new(
            retrieval.clone(),
            Arc::clone(&self.store),
            self.registry.clone(),
            self.client.clone(),
            self.config.datanet_folders(),
        );
        self.tasks.spawn(librarian.run(self.shutdown.clone()));
        Ok(Some(retrieval))
    }

    /// The rows that answers may have been given.
    pub(super) fn datanet_rows(&self) -> DatanetRows {
        DatanetRows::new(self.registry.clone(), &self.config.datanet_folders())
    }
}
