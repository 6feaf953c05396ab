//! Names, shapes and kinds of a model's weights, and its sites.

use super::{
    Site, SiteId,
    block::Map,
    plan::{LinearPlan, NormPlan, Plan, TablePlan},
    shard::Split,
};
use crate::{Result, config::ModelSpec, layers::norm::NormKind};

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
    fn table(&mut self, table: &TablePlan) {
        self.0.push(table.parameter());
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

impl TablePlan {
    pub(super) fn parameter(&self) -> Parameter {
        Parameter {
            name: format!("{}.weight", self.path),
            shape: vec![self.rows, self.width],
            kind: ParameterKind::Table,
        }
    }
}

impl LinearPlan {
    /// Weight, then bias.
    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
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
    pub(super) fn parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
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
