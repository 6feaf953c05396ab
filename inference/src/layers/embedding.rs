//! The token embedding.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use crate::{
    Result,
    layers::{contiguous, tensor, with_values},
};

/// Rows `ids` of `table (vocab, hidden)`, as `(tokens, hidden)`.
///
/// # Errors
/// [`crate::Error::Tensor`] if an id is outside the table.
pub fn embed(table: &Tensor, ids: &[u32]) -> Result<Tensor> {
    Ok(table.apply_op1(Op { ids: Arc::from(ids) })?)
}

struct Op {
    ids: Arc<[u32]>,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(&self, table: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (vocab, hidden) = l.shape().dims2()?;
        let table = contiguous(table, l)?;
        let mut out = Vec::with_capacity(self.ids.len() * hidden);
        for &id in self.ids.iter() {
            if id as usize >= vocab {
                bail!("token {id} is not below {vocab}");
            }
            out.extend_from_slice(&table[id as usize * hidden..][..hidden]);
        }
        Ok((CpuStorage::F32(out), (self.ids.len(), hidden).into()))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if !table.track_op() {
            return Ok(None);
        }
        let (_, hidden) = table.dims2()?;
        let mut gradient = vec![0.0; table.elem_count()];
        with_values(dy, |dy| {
            for (&id, dy) in self.ids.iter().zip(dy.chunks_exact(hidden)) {
                let row = &mut gradient[id as usize * hidden..][..hidden];
                row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
            }
        })?;
        Ok(Some(tensor(gradient, table.shape())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_difference::{check, random};

    #[test]
    fn gradients_equal_finite_differences() {
        check(&[&random(1, (5, 4))], |v| embed(&v[0], &[3, 0, 3]));
    }

    #[test]
    fn unknown_token_is_an_error() {
        assert!(embed(&random(1, (5, 4)), &[5]).is_err());
    }
}
