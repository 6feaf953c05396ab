//! How good attribution is, measured against retraining: pure functions of scores and outcomes.
//!
//! - [`lds`]: the linear datamodelling score, by [`spearman`]'s rank correlation
//! - [`bootstrap`]: percentile intervals of any statistic of a sample
//! - [`auc`]: how well a score finds flagged rows
//! - [`loss_rise`]: what removing the rows that a method names first does to a query
//! - [`pay`]: what contributors would earn under the pay rule, and under rules that it is held against

mod auc;
mod bootstrap;
mod lds;
mod loss_rise;
mod pay;
mod ranks;

pub use self::{
    auc::auc,
    bootstrap::{Interval, bootstrap, bootstrap_both, bootstrap_mean},
    lds::{Subsets, lds},
    loss_rise::{loss_rise, top_rows},
    pay::{Clamp, Pay, PayRule, pay},
    ranks::{average_ranks, spearman},
};
