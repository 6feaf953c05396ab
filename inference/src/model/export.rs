//! What a model's modules hold, as a checkpoint has it.

use candle_core::Tensor;

use super::{block::Map, source::Projection};
use crate::{
    Result,
    kernels::{Rows, transpose},
    layers::{embedding::Embedding, norm::Norm},
};

/// Bytes of frozen projections.
#[derive(Default)]
pub(super) struct WeightBytes(pub(super) usize);

impl Map<Projection, Norm> for WeightBytes {
    type L = ();
    type N = ();

    fn linear(&mut self, projection: Projection) -> Result<()> {
        self.0 += projection.linear.weight_bytes();
        Ok(())
    }

    fn norm(&mut self, _: Norm) -> Result<()> {
        Ok(())
    }
}

/// Collects the values of modules in the order of [`parameters`](super::parameters()), as the checkpoint holds them.
#[derive(Default)]
pub(super) struct Export(pub(super) Vec<Vec<f32>>);

impl Export {
    pub(super) fn table(&mut self, table: &Embedding) -> Result<()> {
        self.0.push(table.values()?);
        Ok(())
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<()> {
        self.0.push(tensor.flatten_all()?.to_vec1()?);
        Ok(())
    }
}

impl Map<Projection, Norm> for Export {
    type L = ();
    type N = ();

    fn linear(&mut self, projection: Projection) -> Result<()> {
        let linear = &projection.linear;
        let values = linear.weight()?;
        let stored = projection.fan_in_fan_out;
        self.0.push(if stored { transpose(Rows::whole(&values, linear.d_in())) } else { values });
        linear.bias().map_or(Ok(()), |bias| self.tensor(bias))
    }

    fn norm(&mut self, norm: Norm) -> Result<()> {
        self.tensor(norm.weight())?;
        norm.bias().map_or(Ok(()), |bias| self.tensor(bias))
    }
}
