//! From a Datanet to a model that earns: train an adapter, index its influence and its rows' spans,
//! register it, publish the indexes, and report how true its influence is.
//!
//! Every step is a function with a progress callback, and a subcommand of the binary.

mod basis;
mod blobs;
mod gradients;
mod index;
mod log;
mod publish;
mod publish_spans;
mod register;
mod report;
mod roster;
mod rows;
mod sources;
mod spans;
mod train;

pub(crate) use basis::{Sample, projection_seed};
pub(crate) use gradients::Source;
pub use index::{BuildReport, IndexProgress, IndexSettings, build_index};
pub use log::{LOG_FILE, SIGNATURE_FILE, SignedLog};
pub use publish::{IndexPublication, IndexPublisher, StoredIndex};
pub use publish_spans::{SpanPublication, leaf_opening, span_commitment};
pub use register::{RegisterSettings, Registered, Registrar, datanet_id, model_id};
pub use report::{
    CheckedFigure, CheckedReport, Correlation, FigureBps, PostedFigures, Protocol, PublishedReport,
    REPORT_FILE, Report, ReportCheck, ReportProgress, ReportSettings, ReportedModel, check_report,
    measure_report, reported_model,
};
pub use roster::{RosterReport, build_roster};
pub use rows::{row_example, row_tokens, site_gradients, site_shapes, span_tokens};
pub use sources::{EarnerMap, earners_on_chain};
pub use spans::{SpanProgress, SpanReport, build_spans, write_spans};
pub use train::{TrainProgress, TrainReport, TrainSettings, train};

/// An error of attribution as the factory gives it.
pub(crate) fn attribution(error: attribution::Error) -> crate::Error {
    crate::Error::Attribution(error.to_string())
}
