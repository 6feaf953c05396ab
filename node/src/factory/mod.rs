//! From a Datanet to a model that earns: train an adapter, index its influence, register it, publish
//! the index, and report how true that influence is.
//!
//! Every step is a function with a progress callback, and a subcommand of the binary.

mod blobs;
mod index;
mod log;
mod publish;
mod register;
mod report;
mod rows;
mod train;

pub use index::{
    BuildReport, EarnerMap, IndexProgress, IndexSettings, build_index, earners_on_chain,
};
pub use log::{LOG_FILE, SIGNATURE_FILE, SignedLog};
pub use publish::{IndexPublication, IndexPublisher, StoredIndex};
pub use register::{RegisterSettings, Registered, Registrar, datanet_id, model_id};
pub use report::{
    Correlation, FigureBps, Protocol, PublishedReport, REPORT_FILE, Report, ReportProgress,
    ReportSettings, ReportedModel, measure_report,
};
pub use rows::{row_example, row_tokens, site_gradients, site_shapes};
pub use train::{TrainProgress, TrainReport, TrainSettings, train};
