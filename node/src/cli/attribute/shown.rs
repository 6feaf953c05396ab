//! What is shown.

use node::{
    explain::{Explanation, Report},
    retrieval::Ablation,
};

use super::fetch::RowText;

/// What is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) explanation: Explanation,
    /// Of each row of the explanation.
    pub(super) texts: Vec<RowText>,
    pub(super) report: Option<Report>,
    /// What its sources add, if that was asked for.
    pub(super) audit: Option<Ablation>,
}
