//! The gradients of many rows from one backward pass.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, Var};

use crate::{
    Result,
    kernels::{Rows, columns_product},
    layers::{
        Linear,
        adapted::{self, Factors},
        linear, with_values,
    },
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

    fn by_row(&self, site: SiteId, rows: &Arc<[Range<usize>]>) -> ByRow {
        ByRow { site, rows: Arc::clone(rows), taken: Arc::clone(&self.taken) }
    }

    fn delta(&self, x: &Tensor, y: Tensor, by_row: &ByRow) -> Result<Tensor> {
        let Some((a, b, scale)) = self.adapter.site(by_row.site) else { return Ok(y) };
        let product = |x: &Tensor, weight: &Var, matrix| {
            let op = RowProduct { matrix, sums: by_row.clone() };
            x.contiguous()?.apply_op2(weight.as_tensor(), op)
        };
        let delta = product(&product(x, a, Matrix::A)?, b, Matrix::B)?;
        Ok((y + (delta * scale)?)?)
    }

    fn projected(&self, linear: &Linear, x: &Tensor, by_row: ByRow) -> Result<Tensor> {
        let Some((a, b, scale)) = self.adapter.site(by_row.site) else { return linear.forward(x) };
        match adapted::project(linear, x, (a, b, scale), by_row.clone())? {
            Some(y) => Ok(y),
            None => self.delta(x, linear.forward(x)?, &by_row),
        }
    }

    /// Where the rows lie among the chosen tokens: consecutive ones stay consecutive.
    fn among(&self, tokens: &[usize]) -> Arc<[Range<usize>]> {
        let place = |token: usize| tokens.partition_point(|&chosen| chosen < token);
        self.rows.iter().map(|row| place(row.start)..place(row.end)).collect()
    }
}

impl AdapterDelta for RowDelta<'_> {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        self.delta(x, y, &self.by_row(site, &self.rows))
    }

    fn add_rows(&self, site: SiteId, tokens: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        self.delta(x, y, &self.by_row(site, &self.among(tokens)))
    }

    fn project(&self, site: SiteId, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        self.projected(linear, x, self.by_row(site, &self.rows))
    }

    fn project_rows(
        &self,
        site: SiteId,
        tokens: &[usize],
        linear: &Linear,
        x: &Tensor,
    ) -> Result<Tensor> {
        self.projected(linear, x, self.by_row(site, &self.among(tokens)))
    }
}

/// Takes each row's gradients at a site and leaves none for the graph.
#[derive(Clone)]
struct ByRow {
    site: SiteId,
    rows: Arc<[Range<usize>]>,
    taken: Taken,
}

impl ByRow {
    /// Adds `dY_i^T X_i` of every row.
    fn take(&self, matrix: Matrix, dy: Rows<'_>, x: Rows<'_>) {
        let mut taken = lock(&self.taken);
        let zeros = || vec![vec![0.0; dy.width * x.width]; self.rows.len()];
        let sums = taken.entry((self.site, matrix)).or_insert_with(zeros);
        for (tokens, sum) in self.rows.iter().zip(sums) {
            let product = columns_product(dy.range(tokens.clone()), x.range(tokens.clone()));
            // Added to zero, as the graph does: it turns -0 into 0.
            sum.iter_mut().zip(product).for_each(|(sum, product)| *sum += product);
        }
    }
}

impl Factors for ByRow {
    fn a(&self, dh: Rows<'_>, x: Rows<'_>) -> Option<Vec<f32>> {
        self.take(Matrix::A, dh, x);
        None
    }

    fn b(&self, dy: Rows<'_>, h: Rows<'_>) -> Option<Vec<f32>> {
        self.take(Matrix::B, dy, h);
        None
    }
}

/// `x W^T`, whose backward pass takes each row's gradient of `W`.
struct RowProduct {
    matrix: Matrix,
    sums: ByRow,
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
            let dy = Rows::whole(dy, d_out);
            with_values(x, |x| self.sums.take(self.matrix, dy, Rows::whole(x, d_in)))?;
            Ok((dx, None))
        })?
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the backward pass, whose result is then not read.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
