//! The gradients of many rows from one backward pass.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, Var};

use crate::{
    Result,
    kernels::{Packed, Rows, matmul, transpose},
    layers::{linear, with_values},
    model::{AdapterDelta, SiteId},
    train::TrainableLora,
};

/// Which of a site's matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matrix {
    A,
    B,
}

/// Gradients of a matrix, one for each row of the batch.
type PerRow = Vec<Vec<f32>>;
type Taken = Arc<Mutex<BTreeMap<(SiteId, Matrix), PerRow>>>;

/// An adapter whose backward pass keeps rows apart: a matrix's gradient is `dY_i^T X_i` over the
/// tokens of each row `i` instead of one sum over all of them.
///
/// Everything else is computed as [`TrainableLora`] does, and no product of the model mixes rows, so
/// a row's gradient has the bits that it has alone. `dY_i` is `(tokens, out)` and `X_i`
/// `(tokens, in)`, both held by the backward pass anyway; beyond it, memory is one gradient per row.
pub(super) struct RowDelta<'a> {
    adapter: &'a TrainableLora,
    /// Tokens of each row.
    rows: Arc<[Range<usize>]>,
    taken: Taken,
}

impl<'a> RowDelta<'a> {
    pub(super) fn new(
        adapter: &'a TrainableLora,
        rows: impl Iterator<Item = Range<usize>>,
    ) -> Self {
        Self { adapter, rows: rows.collect(), taken: Taken::default() }
    }

    /// Each row's gradient of a matrix, once the backward pass is done; `None` if it never came to
    /// the matrix.
    pub(super) fn take(&self, site: SiteId, matrix: Matrix) -> Option<PerRow> {
        lock(&self.taken).remove(&(site, matrix))
    }

    fn product(
        &self,
        x: &Tensor,
        weight: &Var,
        at: (SiteId, Matrix),
        rows: &Arc<[Range<usize>]>,
    ) -> Result<Tensor> {
        let op = RowProduct { at, rows: Arc::clone(rows), taken: Arc::clone(&self.taken) };
        Ok(x.contiguous()?.apply_op2(weight.as_tensor(), op)?)
    }

    fn delta(
        &self,
        id: SiteId,
        x: &Tensor,
        y: Tensor,
        rows: &Arc<[Range<usize>]>,
    ) -> Result<Tensor> {
        let Some((a, b, scale)) = self.adapter.site(id) else { return Ok(y) };
        let hidden = self.product(x, a, (id, Matrix::A), rows)?;
        let delta = self.product(&hidden, b, (id, Matrix::B), rows)?;
        Ok((y + (delta * scale)?)?)
    }
}

impl AdapterDelta for RowDelta<'_> {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        self.delta(site, x, y, &self.rows)
    }

    fn add_rows(&self, site: SiteId, tokens: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        // Consecutive tokens stay consecutive among the chosen ones.
        let place = |token: usize| tokens.partition_point(|&chosen| chosen < token);
        let rows = self.rows.iter().map(|row| place(row.start)..place(row.end)).collect();
        self.delta(site, x, y, &rows)
    }
}

/// `x W^T`, whose backward pass takes each row's gradient of `W` and leaves none for the graph.
struct RowProduct {
    at: (SiteId, Matrix),
    rows: Arc<[Range<usize>]>,
    taken: Taken,
}

impl CustomOp2 for RowProduct {
    fn name(&self) -> &'static str {
        "linear-by-row"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        linear::product(x, lx, w, lw)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_out, d_in) = w.dims2()?;
        with_values(dy, |dy| {
            let dx = linear::input_gradient(x, w, dy)?;
            with_values(x, |x| {
                let mut taken = lock(&self.taken);
                let zeros = || vec![vec![0.0; d_out * d_in]; self.rows.len()];
                let sums = taken.entry(self.at).or_insert_with(zeros);
                for (tokens, sum) in self.rows.iter().zip(sums) {
                    if tokens.is_empty() {
                        continue;
                    }
                    let dy = Rows::whole(&dy[tokens.start * d_out..tokens.end * d_out], d_out);
                    let x = Rows::whole(&x[tokens.start * d_in..tokens.end * d_in], d_in);
                    let dw = matmul(Rows::whole(&transpose(dy), dy.rows), &Packed::from_rows(x));
                    // Added to zero, as the graph does: it turns -0 into 0.
                    sum.iter_mut().zip(dw).for_each(|(sum, dw)| *sum += dw);
                }
            })?;
            Ok((dx, None))
        })?
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the backward pass, whose result is then not read.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
