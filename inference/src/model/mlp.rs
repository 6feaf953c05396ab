//! The MLP of one layer: dense or a mixture of experts.

use candle_core::Tensor;

use super::{
    block::{Dense, Mlp},
    layer::Pass,
    source::Projection,
};
use crate::{
    Error, Result,
    config::ExpertSpec,
    layers::{
        activation::Activation,
        columns::Columns,
        elementwise::softmax,
        experts::{Routes, gather},
    },
};

/// The MLP of the normalised `x (tokens, hidden)`.
pub(super) fn forward(
    mlp: &Mlp<Projection>,
    activation: Activation,
    spec: Option<&ExpertSpec>,
    pass: &Pass<'_>,
    x: &Tensor,
) -> Result<Tensor> {
    let (router, experts, shared) = match mlp {
        Mlp::Dense(mlp) => return dense(mlp, activation, x, |p, x| pass.project(p, x)),
        Mlp::Experts { router, experts, shared } => (router, experts, shared),
    };
    let spec = spec.ok_or_else(|| Error::Config("experts without their specification".into()))?;
    let scores = softmax(&pass.project(router, x)?)?;
    let routes = Routes::choose(spec, &scores)?;
    let parts = routes
        .experts()
        .map(|(expert, rows)| {
            let x = gather(x, rows)?;
            dense(&experts[expert], activation, &x, |p, x| pass.project_rows(p, rows, x))
        })
        .collect::<Result<Vec<_>>>()?;
    let out = routes.combine(&Tensor::cat(&parts, 0)?, &scores)?;
    match shared {
        Some(mlp) => Ok((out + dense(mlp, activation, x, |p, x| pass.project(p, x))?)?),
        None => Ok(out),
    }
}

fn dense(
    mlp: &Dense<Projection>,
    activation: Activation,
    x: &Tensor,
    project: impl Fn(&Projection, &Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (inner, down) = match mlp {
        Dense::Gated { gate, up, down } => {
            (activation.gated(&project(gate, x)?, &project(up, x)?)?, down)
        }
        Dense::FusedGated { gate_up, down } => {
            let both = project(gate_up, x)?;
            let half = both.dim(1)? / 2;
            let part = |first| Columns::range(first, half).of(&both);
            (activation.gated(&part(0)?, &part(half)?)?, down)
        }
        Dense::Plain { up, down } => (activation.forward(&project(up, x)?)?, down),
    };
    project(down, &inner)
}
