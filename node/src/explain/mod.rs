//! Explains recorded answers, and checks explanations.
//!
//! An [`Explanation`] is what a node says of a record: who is credited by which scores, the rows
//! behind them, where the fee goes and what the batch paid. Nothing in it has to be believed.
//! [`Checker`] computes all of it again, from the chain and from committed data: the model's folder
//! with its index, the batch's blobs, and request and answer for who has them.
//!
//! Scores and money are everybody's; they follow from what is published with the batch. Request and
//! answer are the payer's and the operator's ([`Reading`]). `docs/explain.md` has the steps.

mod build;
mod check;
mod finding;
mod index;
mod reading;
mod source;
mod statement;

pub use build::{Sources, explain};
pub use check::{Checker, Claimed};
pub use finding::{Finding, Report, Verdict};
pub use index::{ChainIndex, IndexCheck, IndexSummary, verify_index};
pub use reading::{MAX_READING_SECONDS, READER_HEADER, Reading, SignedReading};
pub use source::{CheckSettings, open_checker, open_registry};
pub use statement::{
    BalancePart, BatchPart, CitationPart, ContributorPart, DatanetPart, Explanation, ModelPart,
    MoneyPart, PaidPart, RowPart, SectionPart, SharePart, SpanPart, TextPart, UsePart,
};
