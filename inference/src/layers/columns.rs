//! Columns of fused projections, and heads put together from parts.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    layers::{contiguous, tensor, with_values},
};

/// Equal runs of columns at equal distances: `first..first + width`, then the same `stride` further
/// on, `count` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// First column.
    pub first: usize,
    /// Columns of one run.
    pub width: usize,
    /// Distance between the starts of runs.
    pub stride: usize,
    /// Number of runs.
    pub count: usize,
}

impl Columns {
    /// One run.
    pub const fn range(first: usize, width: usize) -> Self {
        Self { first, width, stride: width, count: 1 }
    }

    /// These columns of `x (tokens, features)`, side by side: `(tokens, count * width)`;
    /// differentiable.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if a run ends beyond `x`.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        Ok(x.contiguous()?.apply_op1(Select(self))?)
    }

    const fn total(self) -> usize {
        self.count * self.width
    }

    const fn end(self) -> usize {
        self.first + self.count.saturating_sub(1) * self.stride + self.width
    }

    /// Pairs of runs: in the wide row and in the narrow one.
    fn runs(self) -> impl Iterator<Item = (std::ops::Range<usize>, std::ops::Range<usize>)> {
        (0..self.count).map(move |run| {
            let wide = self.first + run * self.stride;
            let narrow = run * self.width;
            (wide..wide + self.width, narrow..narrow + self.width)
        })
    }
}

struct Select(Columns);

impl CustomOp1 for Select {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = l.shape().dims2()?;
        let (end, total) = (self.0.end(), self.0.total());
        if end > width || total == 0 {
            bail!("columns up to {end} of {width}");
        }
        let mut out = vec![0.0; rows * total];
        let x = contiguous(x, l)?;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(total)) {
            for (wide, narrow) in self.0.runs() {
                out[narrow].copy_from_slice(&x[wide]);
            }
        }
        Ok((CpuStorage::F32(out), (rows, total).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, width) = x.dims2()?;
        let mut gradient = vec![0.0; x.elem_count()];
        with_values(dy, |dy| {
            let rows = gradient.chunks_exact_mut(width).zip(dy.chunks_exact(self.0.total()));
            for (dx, dy) in rows {
                for (wide, narrow) in self.0.runs() {
                    dx[wide].copy_from_slice(&dy[narrow]);
                }
            }
        })?;
        Ok(Some(tensor(gradient, x.shape())?))
    }
}

/// Heads of two parts: each head's own from `own (tokens, heads * a)`, then `shared (tokens, b)`.
/// Returns `(tokens, heads * (a + b))`; differentiable.
///
/// # Errors
/// [`crate::Error::Tensor`] if the rows differ or `own` is not `heads` parts wide.
pub fn join_heads(own: &Tensor, shared: &Tensor, heads: usize) -> Result<Tensor> {
    Ok(own.contiguous()?.apply_op2(&shared.contiguous()?, Join { heads })?)
}

struct Join {
    heads: usize,
}

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join-heads"
    }

    fn cpu_fwd(
        &self,
        own: &CpuStorage,
        lo: &Layout,
        shared: &CpuStorage,
        ls: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ((rows, width), (shared_rows, b)) = (lo.shape().dims2()?, ls.shape().dims2()?);
        if rows != shared_rows || width == 0 || b == 0 || !width.is_multiple_of(self.heads) {
            bail!("{} heads of ({rows}, {width}) and ({shared_rows}, {b})", self.heads);
        }
        let a = width / self.heads;
        let (own, shared) = (contiguous(own, lo)?, contiguous(shared, ls)?);
        let mut out = Vec::with_capacity(rows * (width + self.heads * b));
        for (own, shared) in own.chunks_exact(width).zip(shared.chunks_exact(b)) {
            for own in own.chunks_exact(a) {
                out.extend_from_slice(own);
                out.extend_from_slice(shared);
            }
        }
        Ok((CpuStorage::F32(out), (rows, width + self.heads * b).into()))
    }

    /// A head's own part as it is; the shared part's sum over the heads, in their order.
    fn bwd(
        &self,
        own: &Tensor,
        shared: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (a, b) = (own.dim(1)? / self.heads, shared.dim(1)?);
        let mut d_own = Vec::with_capacity(own.elem_count());
        let mut d_shared = vec![0.0; shared.elem_count()];
        with_values(dy, |dy| {
            let rows = dy.chunks_exact(self.heads * (a + b)).zip(d_shared.chunks_exact_mut(b));
            for (dy, d_shared) in rows {
                for head in dy.chunks_exact(a + b) {
                    d_own.extend_from_slice(&head[..a]);
                    d_shared.iter_mut().zip(&head[a..]).for_each(|(sum, dy)| *sum += dy);
                }
            }
        })?;
        Ok((Some(tensor(d_own, own.shape())?), Some(tensor(d_shared, shared.shape())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_difference::{check, random};

    #[test]
    fn gradients_equal_finite_differences() {
        let x = random(1, (3, 14));
        for columns in [Columns::range(2, 5), Columns { first: 1, width: 2, stride: 5, count: 3 }] {
            check(&[&x], |v| columns.of(&v[0]));
        }
        check(&[&random(2, (3, 8)), &random(3, (3, 3))], |v| join_heads(&v[0], &v[1], 2));
    }

    #[test]
    fn runs_come_side_by_side() {
        let x = tensor((0..10).map(|i| i as f32).collect(), (1, 10)).unwrap();
        let columns = Columns { first: 1, width: 2, stride: 4, count: 2 };
        assert_eq!(columns.of(&x).unwrap().to_vec2::<f32>().unwrap(), [[1.0, 2.0, 5.0, 6.0]]);
        let joined = join_heads(&x, &(columns.of(&x).unwrap() + 100.0).unwrap(), 5).unwrap();
        let joined = joined.to_vec2::<f32>().unwrap();
        assert_eq!(joined[0][..8], [0.0, 1.0, 101.0, 102.0, 105.0, 106.0, 2.0, 3.0]);
    }

    #[test]
    fn wrong_widths_are_errors() {
        let x = random(1, (3, 6));
        assert!(Columns::range(2, 5).of(&x).is_err());
        assert!(Columns::range(6, 0).of(&x).is_err());
        assert!(join_heads(&x, &random(1, (2, 2)), 2).is_err());
        assert!(join_heads(&x, &random(1, (3, 2)), 4).is_err());
    }
}
