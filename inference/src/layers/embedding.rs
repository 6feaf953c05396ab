//! The token embedding.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use crate::{
    Error, Result,
    kernels::Weight,
    layers::{contiguous, tensor, with_values},
};

/// A table of token embeddings, `(vocab, hidden)`: frozen in any form of weight, or a variable.
#[derive(Clone, Debug)]
pub enum Embedding {
    /// Never changes; a tied output projection holds the same weight.
    Frozen(Arc<Weight>),
    /// Gradients are taken of it.
    Trainable(Tensor),
}

impl Embedding {
    /// The rows `ids`, as `(tokens, hidden)`.
    ///
    /// # Errors
    /// [`Error::Request`] if an id is outside the table.
    pub fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let weight = match self {
            Self::Trainable(table) => return embed(table, ids),
            Self::Frozen(weight) => weight,
        };
        let mut rows = Vec::with_capacity(ids.len() * weight.d_in());
        for &id in ids {
            let id = id as usize;
            if id >= weight.d_out() {
                return Err(Error::Request(format!("token {id} is not below {}", weight.d_out())));
            }
            rows.extend(weight.rows(id..id + 1));
        }
        Ok(tensor(rows, (ids.len(), weight.d_in()))?)
    }

    /// Bytes of memory that a frozen table takes; 0 for a variable.
    pub fn weight_bytes(&self) -> usize {
        match self {
            Self::Frozen(weight) => weight.bytes(),
            Self::Trainable(_) => 0,
        }
    }

    /// The table, row-major.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if it cannot be read.
    pub fn values(&self) -> Result<Vec<f32>> {
        match self {
            Self::Frozen(weight) => Ok(weight.to_values()),
            Self::Trainable(table) => Ok(with_values(table, <[f32]>::to_vec)?),
        }
    }
}

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
    fn frozen_rows_are_those_of_the_variable() {
        let table = random(2, (21, 5));
        let values = with_values(&table, <[f32]>::to_vec).unwrap();
        let weight = Weight::from_values(&values, 5, crate::kernels::WeightFormat::F32).unwrap();
        let frozen = Embedding::Frozen(Arc::new(weight));
        let trainable = Embedding::Trainable(table);
        let rows =
            |table: &Embedding| table.forward(&[3, 20, 0, 3]).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(rows(&frozen), rows(&trainable));
        assert_eq!(frozen.values().unwrap(), values);
        assert!(matches!(frozen.forward(&[21]), Err(Error::Request(_))));
    }

    #[test]
    fn unknown_token_is_an_error() {
        assert!(embed(&random(1, (5, 4)), &[5]).is_err());
    }
}
