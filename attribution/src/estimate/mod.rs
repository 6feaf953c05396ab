//! From gradients to committed integer sketches: the only part of this crate that uses floats.
//!
//! A training row `i` and a query `q` each have a gradient at every LoRA site. [`Projector`] maps
//! it to a raw sketch `s` of `d` numbers: the strongest of them all, by a [`Basis`] learned from some
//! rows, and a hash of the rest. [`Fisher`] gives `W = (F + lambda I)^(-1/2)` with `F = (1/n) sum s_i s_i^T` and
//! `lambda = c tr(F) / d`, one block per tensor. Then
//!
//! - row: `w_i = W s_i`, `t_i = w_i / ||w_i||^(1/2)`, committed as
//!   `clip(round(scale t_i), -127, 127)` with one public scale per model;
//! - query: `q = W s_q`, sent as `round(127 q / ||q||_inf)`;
//! - score of a row: the exact integer dot product of the two; score of a contributor: the same
//!   with `T_c`, the integer sum of its rows' sketches, one row per duplicate cluster.
//!
//! A positive score says that training on the row made the query's output more likely. The damped
//! Fisher in sketch space is LoGra's estimator (Choe et al. 2024) on LoRA factors; the square root of
//! the norm keeps mislabelled rows, whose gradients are long, from dominating.
//!
//! [`IndexBuilder`] takes rows one at a time and makes an [`InfluenceIndex`]. Its root commits to
//! every accepted row's sketch through trees of partial sums ([`SumTree`]), and [`PublishedIndex`]
//! is what of it anyone can rebuild that root from.
//! [`duplicates::clusters`] finds the clusters, and [`InfluenceIndex::alike`] those of rows that
//! only teach the same. [`attributor`] has this estimate and the baselines it
//! is measured against behind one trait.

mod alike;
pub mod attributor;
mod builder;
pub mod duplicates;
mod ensemble;
mod fisher;
mod index;
mod index_file;
mod kernel;
mod projector;
mod published;
mod quantise;
mod raw;
mod score;
mod sketches;
mod store;
mod tree;
mod whitening;

pub use self::{
    builder::{IndexBuilder, IndexConfig, IndexStats, Progress, Stage},
    ensemble::IndexEnsemble,
    fisher::{Fisher, Trial},
    index::{Contributor, InfluenceIndex, Row, RowSource},
    projector::{
        BASIS_ROWS, Basis, BasisBuilder, DIM_RANGE, Fit, Projector, ProjectorBuilder,
        ProjectorConfig, SiteGradient, SiteShape, basis_rows,
    },
    published::PublishedIndex,
    sketches::Sketches,
    store::SketchStore,
    tree::{ContributorLeaf, IndexRow, NodePath, OpenedNode, SumTree, sums_bytes, sums_hash},
    whitening::{DAMPING_RANGE, Whitening},
};
