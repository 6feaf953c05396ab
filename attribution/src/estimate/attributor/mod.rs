//! Ways to say how much each training row did for an answer, behind one trait.
//!
//! | attributor | score of row `i` for query `q` |
//! |---|---|
//! | [`GradientDot`] | `g_q . g_i` |
//! | [`Cosine`] | `g_q . g_i / (|g_q| |g_i|)` |
//! | [`TracIn`] | `sum_k eta_k g_q^k . g_i^k` over checkpoints (Pruthi et al. 2020, eq. 3) |
//! | [`DataInf`] | `sum_l g_ql^T P_l g_il`, `P_l` the mean of damped rank-one inverses (Kwon et al. 2024, eq. 5) |
//! | [`DampedFisher`] | `g_q^T (F + lambda I)^-1 g_i`, whole or one block per tensor |
//! | [`Whitened`] | the same on sketches, in floats |
//! | [`Committed`] | the same in integers: what an index commits to and payments use |
//! | [`Representation`] | cosine of hidden states |
//! | [`Bm25`] | shared words (Robertson and Zaragoza 2009, eq. 3.15) |
//! | [`Random`] | noise from a seed |
//!
//! All take the same gradients, so that a comparison of them compares nothing else. The first one to
//! need is [`Gradients`]: the rows' gradients of the log-likelihood, `(n, p)`, with the places of the
//! adapter's tensors among the `p` numbers.

mod bm25;
mod datainf;
mod fisher;
mod gradients;
mod similarity;
mod sketch;

use core::fmt::Debug;

pub use self::{
    bm25::Bm25,
    datainf::DataInf,
    fisher::{Blocks, DampedFisher},
    gradients::{Gradients, Layout},
    similarity::{Cosine, GradientDot, Random, Representation, TracIn},
    sketch::{Committed, Norm, SketchSpace, Whitened},
};
use crate::Result;

/// What is asked about: one answer of the model. An attributor reads the fields it needs; the others
/// may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// Gradient of the answer's log-likelihood at the final weights, `(p,)`, of the same sign and
    /// layout as the rows'.
    pub gradient: &'a [f32],
    /// The same at each checkpoint, `(p,)` each, in the order of the rows' (for [`TracIn`]).
    pub checkpoints: &'a [&'a [f32]],
    /// Hidden state of the answer, `(h,)` (for [`Representation`]).
    pub hidden: &'a [f32],
    /// The answer's text (for [`Bm25`]).
    pub text: &'a str,
}

impl<'a> Query<'a> {
    /// A query by its gradient alone, `(p,)`.
    #[must_use]
    pub const fn of(gradient: &'a [f32]) -> Self {
        Self { gradient, checkpoints: &[], hidden: &[], text: "" }
    }
}

/// An estimate of what each training row did for an answer.
///
/// Scores may have any scale; only their order and their ratios within one query mean something. A
/// positive score says that training on the row made the answer more likely. Equal inputs give equal
/// scores.
pub trait Attributor: Debug + Send + Sync {
    /// Short name for tables, with what distinguishes it from others of its kind.
    fn name(&self) -> String;

    /// Training rows.
    fn rows(&self) -> usize;

    /// One score per row, in the rows' order.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if a field of the query that it reads has not the rows'
    /// shape, [`Error::NotFinite`](crate::Error::NotFinite) if it or a score is not finite.
    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>>;

    /// Each row's score for itself as the query, by which odd rows stand out; `None` where that says
    /// nothing about the row.
    fn self_influence(&self) -> Option<Vec<f32>> {
        None
    }
}
