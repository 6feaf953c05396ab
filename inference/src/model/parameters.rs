//! Names, shapes, initial values and construction of a model's weights.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Site, SiteId,
    block::{Block, Map},
    plan::{LinearPlan, NormPlan, Plan, TablePlan},
    shard::{Share, Split},
};
use crate::{
    Error, Result,
    config::ModelSpec,
    kernels::{Rows, WeightFormat, transpose},
    layers::{
        Linear,
        embedding::Embedding,
        norm::{Norm, NormKind},
    },
    weights::Values,
};

/// What a weight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Vectors of tokens or positions.
    Table,
    /// A projection; `residual` if its result is added to the residual stream.
    Projection {
        /// See above.
        residual: bool,
    },
    /// A norm's weight that is 1 where it changes nothing.
    Scale,
    /// A bias, or a norm's weight that is 0 where it changes nothing.
    Shift,
}

/// One weight of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name in the safetensors file.
    pub name: String,
    /// As in the file: `(d_out, d_in)` of a projection (or `(d_in, d_out)` where the family stores
    /// it so), `(rows, width)` of a table, `(width,)` of a norm or bias.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: ParameterKind,
}

/// Every weight of a model, in a fixed order.
pub fn parameters(spec: &ModelSpec) -> Vec<Parameter> {
    let mut list = Listing::default();
    let plan = Plan::new(spec);
    list.table(&plan.embedding);
    plan.positions.iter().for_each(|table| list.table(table));
    plan.embedding_norm.into_iter().for_each(|norm| list.add_norm(&norm));
    for layer in plan.layers {
        layer.map(&mut list).expect("listing does not fail");
    }
    list.add_norm(&plan.final_norm);
    plan.head.iter().for_each(|head| list.add_linear(head));
    list.0
}

/// The model's site table.
pub(super) fn sites(plan: &Plan) -> Vec<Site> {
    let mut sites = SiteList::default();
    for layer in &plan.layers {
        layer.clone().map(&mut sites).expect("listing does not fail");
    }
    sites.0
}

/// What a rank has of each site.
pub(super) fn splits(plan: &Plan) -> Vec<Split> {
    let mut splits = SplitList::default();
    for layer in &plan.layers {
        layer.clone().map(&mut splits).expect("listing does not fail");
    }
    splits.0
}

#[derive(Default)]
struct Listing(Vec<Parameter>);

impl Listing {
    fn push(&mut self, name: String, shape: Vec<usize>, kind: ParameterKind) {
        self.0.push(Parameter { name, shape, kind });
    }

    fn table(&mut self, table: &TablePlan) {
        let shape = vec![table.rows, table.width];
        self.push(format!("{}.weight", table.path), shape, ParameterKind::Table);
    }

    fn add_linear(&mut self, plan: &LinearPlan) {
        self.0.extend(plan.parameters());
    }

    fn add_norm(&mut self, plan: &NormPlan) {
        self.0.extend(plan.parameters());
    }
}

impl Map<LinearPlan, NormPlan> for Listing {
    type L = ();
    type N = ();

    fn linear(&mut self, linear: LinearPlan) -> Result<()> {
        self.add_linear(&linear);
        Ok(())
    }

    fn norm(&mut self, norm: NormPlan) -> Result<()> {
        self.add_norm(&norm);
        Ok(())
    }
}

impl LinearPlan {
    /// Weight, then bias.
    fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
        let Self { path, d_in, d_out, bias, fan_in_fan_out, residual, .. } = self;
        let shape = if *fan_in_fan_out { vec![*d_in, *d_out] } else { vec![*d_out, *d_in] };
        let kind = ParameterKind::Projection { residual: *residual };
        let weight = Parameter { name: format!("{path}.weight"), shape, kind };
        let shift = bias.then(|| Parameter {
            name: format!("{path}.bias"),
            shape: vec![*d_out],
            kind: ParameterKind::Shift,
        });
        std::iter::once(weight).chain(shift)
    }
}

impl NormPlan {
    /// Weight, then bias.
    fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
        let Self { path, kind, width, .. } = self;
        let parameter = |end: &str, kind| {
            let name = format!("{path}.{end}");
            Parameter { name, shape: vec![*width], kind }
        };
        let plus_one = *kind == NormKind::RmsPlusOne;
        let neutral = if plus_one { ParameterKind::Shift } else { ParameterKind::Scale };
        let weight = parameter("weight", neutral);
        let bias = (*kind == NormKind::Layer).then(|| parameter("bias", ParameterKind::Shift));
        std::iter::once(weight).chain(bias)
    }
}

#[derive(Default)]
struct SiteList(Vec<Site>);

impl Map<LinearPlan, NormPlan> for SiteList {
    type L = ();
    type N = ();

    fn linear(&mut self, linear: LinearPlan) -> Result<()> {
        let id = u32::try_from(self.0.len()).expect("layers and experts are bounded");
        self.0.extend(linear.site(SiteId(id)));
        Ok(())
    }

    fn norm(&mut self, _: NormPlan) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct SplitList(Vec<Split>);

impl Map<LinearPlan, NormPlan> for SplitList {
    type L = ();
    type N = ();

    fn linear(&mut self, linear: LinearPlan) -> Result<()> {
        self.0.extend(linear.is_site.then_some(linear.split));
        Ok(())
    }

    fn norm(&mut self, _: NormPlan) -> Result<()> {
        Ok(())
    }
}

/// Draws initial weights: normal with standard deviation 0.02, divided by `sqrt(2 layers)` for the
/// projections that write to the residual stream (Radford et al. 2019); norms and biases change
/// nothing.
#[derive(Debug)]
pub(super) struct InitialValues {
    rng: ChaCha8Rng,
    residual_scale: f64,
}

impl InitialValues {
    pub(super) fn new(seed: u64, layers: usize) -> Self {
        let residual_scale = 1.0 / (2.0 * layers as f64).sqrt();
        Self { rng: ChaCha8Rng::seed_from_u64(seed), residual_scale }
    }

    pub(super) fn draw(&mut self, parameter: &Parameter) -> Vec<f32> {
        let count = parameter.shape.iter().product();
        let deviation = match parameter.kind {
            ParameterKind::Scale => return vec![1.0; count],
            ParameterKind::Shift => return vec![0.0; count],
            ParameterKind::Projection { residual: true } => 0.02 * self.residual_scale,
            ParameterKind::Table | ParameterKind::Projection { .. } => 0.02,
        };
        (0..count).map(|_| (deviation * self.normal()) as f32).collect()
    }

    /// One standard normal value (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.rng.random::<f64>())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.rng.random::<f64>())
    }
}

/// A projection with its weights.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    /// The site that it is, if adapters may act on it.
    pub(super) site: Option<SiteId>,
    pub(super) linear: Linear,
    /// Whether the checkpoint holds the transpose.
    fan_in_fan_out: bool,
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
                let parameter = table_parameter(plan);
                let values = (self.read)(&parameter)?.widened()?;
                let table = self.variable(parameter.name, &parameter.shape, values)?;
                let linear = tied.then(|| Linear::trainable(&table)).transpose()?;
                Ok((Embedding::Trainable(table.as_tensor().clone()), linear.map(head)))
            }
            Form::Frozen(format) => {
                let mut values = (self.read)(&table_parameter(plan))?;
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
            Form::Trainable => Ok(Embedding::Trainable(self.tensor(table_parameter(plan))?)),
            Form::Frozen(_) => {
                let values = (self.read)(&table_parameter(plan))?;
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

fn table_parameter(plan: &TablePlan) -> Parameter {
    Parameter {
        name: format!("{}.weight", plan.path),
        shape: vec![plan.rows, plan.width],
        kind: ParameterKind::Table,
    }
}

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

/// Collects the values of modules in the order of [`parameters`], as the checkpoint holds them.
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
