//! Construction of a model's modules out of named values.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use super::{
    Parameter, SiteId,
    block::{Block, Map},
    plan::{LinearPlan, NormPlan, TablePlan},
    shard::{Share, Split},
};
use crate::{
    Error, Result,
    kernels::WeightFormat,
    layers::{Linear, embedding::Embedding, norm::Norm},
    weights::Values,
};

/// A projection with its weights.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    /// The site that it is, if adapters may act on it.
    pub(super) site: Option<SiteId>,
    pub(super) linear: Linear,
    /// Whether the checkpoint holds the transpose.
    pub(super) fan_in_fan_out: bool,
}

/// Reads the values of one weight, row-major as in the checkpoint.
pub(super) type Read<'a> = &'a mut dyn FnMut(&Parameter) -> Result<Values>;

/// What a model's weights become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Variables.
    Trainable,
    /// Frozen; the embedding table and projections in this format.
    Frozen(WeightFormat),
}

/// Builds modules out of named values.
pub(super) struct Source<'a> {
    read: Read<'a>,
    form: Form,
    /// Of a frozen model, what this rank has of it.
    share: Share,
    variables: Vec<(String, Var)>,
    next_site: u32,
}

impl<'a> Source<'a> {
    pub(super) const fn new(form: Form, share: Share, read: Read<'a>) -> Self {
        Self { read, form, share, variables: Vec::new(), next_site: 0 }
    }

    fn variable(&mut self, name: String, shape: &[usize], values: Vec<f32>) -> Result<Var> {
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        self.variables.push((name, variable.clone()));
        Ok(variable)
    }

    /// A tensor that is a variable if the model is trained.
    fn tensor(&mut self, parameter: Parameter) -> Result<Tensor> {
        let values = (self.read)(&parameter)?.widened()?;
        if self.form == Form::Trainable {
            let variable = self.variable(parameter.name, &parameter.shape, values)?;
            return Ok(variable.as_tensor().clone());
        }
        Ok(Tensor::from_vec(values, parameter.shape, &Device::Cpu)?)
    }

    /// This rank's part of a projection's bias. Results of split inputs are added up over the ranks,
    /// so only the first adds the bias.
    fn bias(&mut self, parameter: Parameter, split: &Split) -> Result<Option<Tensor>> {
        match split {
            Split::Whole => Ok(Some(self.tensor(parameter)?)),
            Split::Inputs(_) if self.share.rank > 0 => Ok(None),
            Split::Inputs(_) => Ok(Some(self.tensor(parameter)?)),
            Split::Outputs(ranges) => {
                let width = parameter.shape[0];
                let values = (self.read)(&parameter)?.rows(width, ranges)?.widened()?;
                Ok(Some(Tensor::new(values, &Device::Cpu)?))
            }
        }
    }

    /// The embedding table, and the output projection if that is the same weight.
    pub(super) fn embedding(
        &mut self,
        plan: &TablePlan,
        tied: bool,
    ) -> Result<(Embedding, Option<Projection>)> {
        let head = |linear| Projection { site: None, linear, fan_in_fan_out: false };
        match self.form {
            Form::Trainable => {
                let parameter = plan.parameter();
                let values = (self.read)(&parameter)?.widened()?;
                let table = self.variable(parameter.name, &parameter.shape, values)?;
                let linear = tied.then(|| Linear::trainable(&table)).transpose()?;
                Ok((Embedding::Trainable(table.as_tensor().clone()), linear.map(head)))
            }
            Form::Frozen(format) => {
                let mut values = (self.read)(&plan.parameter())?;
                if self.share != Share::WHOLE {
                    let own = self.share.range("vocab_size", plan.rows)?;
                    values = values.rows(plan.rows, &[own])?;
                }
                let table = Arc::new(values.into_weight(plan.width, format)?);
                let linear = tied.then(|| Linear::of_weight(Arc::clone(&table)));
                Ok((Embedding::Frozen(table), linear.map(head)))
            }
        }
    }

    /// A table that is not quantised.
    pub(super) fn table(&mut self, plan: &TablePlan) -> Result<Embedding> {
        match self.form {
            Form::Trainable => Ok(Embedding::Trainable(self.tensor(plan.parameter())?)),
            Form::Frozen(_) => {
                let values = (self.read)(&plan.parameter())?;
                let table = values.into_weight(plan.width, WeightFormat::AsStored)?;
                Ok(Embedding::Frozen(Arc::new(table)))
            }
        }
    }

    pub(super) fn layer(
        &mut self,
        plan: Block<LinearPlan, NormPlan>,
    ) -> Result<Block<Projection, Norm>> {
        plan.map(self)
    }

    pub(super) fn into_variables(self) -> Vec<(String, Var)> {
        self.variables
    }
}

impl Map<LinearPlan, NormPlan> for Source<'_> {
    type L = Projection;
    type N = Norm;

    fn linear(&mut self, plan: LinearPlan) -> Result<Projection> {
        let (d_in, d_out) = plan.split.sizes(plan.d_in, plan.d_out);
        let mut parameters = plan.parameters();
        let weight = parameters.next().expect("a projection has a weight");
        let mut values = (self.read)(&weight)?;
        if plan.fan_in_fan_out {
            values = values.transposed(plan.d_out)?;
        }
        values = match &plan.split {
            Split::Whole => values,
            Split::Outputs(ranges) => values.rows(plan.d_out, ranges)?,
            Split::Inputs(range) => values.columns(plan.d_in, range)?,
        };
        let linear = match self.form {
            Form::Trainable => {
                let values = values.widened()?;
                Linear::trainable(&self.variable(weight.name, &[d_out, d_in], values)?)?
            }
            Form::Frozen(format) => {
                let format = if plan.exact { WeightFormat::AsStored } else { format };
                Linear::of_weight(Arc::new(values.into_weight(d_in, format)?))
            }
        };
        if linear.d_out() != d_out {
            let found = linear.d_out();
            return Err(Error::Shape(format!("{} has {found} outputs, not {d_out}", plan.path)));
        }
        let bias = match parameters.next() {
            Some(bias) => self.bias(bias, &plan.split)?,
            None => None,
        };
        let site = plan.is_site.then_some(SiteId(self.next_site));
        self.next_site += u32::from(plan.is_site);
        let linear = linear.with_bias(bias)?;
        Ok(Projection { site, linear, fan_in_fan_out: plan.fan_in_fan_out })
    }

    fn norm(&mut self, plan: NormPlan) -> Result<Norm> {
        let mut parameters = plan.parameters();
        let weight = self.tensor(parameters.next().expect("a norm has a weight"))?;
        let bias = parameters.next().map(|bias| self.tensor(bias)).transpose()?;
        Norm::new(plan.kind, weight, bias, plan.eps)
    }
}
