//! Names, shapes, initial values and construction of a model's weights.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Site, SiteId};
use crate::{
    Error, Result,
    config::ModelSpec,
    kernels::{Weight, WeightFormat},
    layers::{Linear, embedding::Embedding, norm::RmsNorm},
    weights::Values,
};

/// One weight of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name in the safetensors file.
    pub name: String,
    /// `(d_out, d_in)` of a projection, `(vocab, hidden)` of a table, `(hidden,)` of a norm.
    pub shape: Vec<usize>,
}

/// Every weight of a model, in a fixed order.
pub fn parameters(spec: &ModelSpec) -> Vec<Parameter> {
    let table = vec![spec.vocab_size, spec.hidden_size];
    let norm = vec![spec.hidden_size];
    let mut all =
        vec![Parameter { name: "model.embed_tokens.weight".into(), shape: table.clone() }];
    for layer in 0..spec.layers {
        for (path, [d_out, d_in]) in projections(spec) {
            let name = format!("model.layers.{layer}.{path}.weight");
            all.push(Parameter { name, shape: vec![d_out, d_in] });
        }
        for module in ["input_layernorm", "post_attention_layernorm"] {
            let name = format!("model.layers.{layer}.{module}.weight");
            all.push(Parameter { name, shape: norm.clone() });
        }
    }
    all.push(Parameter { name: "model.norm.weight".into(), shape: norm });
    if !spec.tied_embeddings {
        all.push(Parameter { name: "lm_head.weight".into(), shape: table });
    }
    all
}

/// The projections of a layer in model order: path within the layer and `[d_out, d_in]`.
pub(super) const fn projections(spec: &ModelSpec) -> [(&'static str, [usize; 2]); 7] {
    let (hidden, inner) = (spec.hidden_size, spec.intermediate_size);
    let queries = spec.heads * spec.head_dim;
    let keys = spec.kv_heads * spec.head_dim;
    [
        ("self_attn.q_proj", [queries, hidden]),
        ("self_attn.k_proj", [keys, hidden]),
        ("self_attn.v_proj", [keys, hidden]),
        ("self_attn.o_proj", [hidden, queries]),
        ("mlp.gate_proj", [inner, hidden]),
        ("mlp.up_proj", [inner, hidden]),
        ("mlp.down_proj", [hidden, inner]),
    ]
}

/// The model's site table: the projections of each layer.
pub(super) fn sites(spec: &ModelSpec) -> Vec<Site> {
    let of_layer = |layer| {
        let path = move |path| format!("model.layers.{layer}.{path}");
        projections(spec).map(|(name, [d_out, d_in])| (path(name), d_in, d_out))
    };
    let all = (0..spec.layers).flat_map(of_layer).zip(0..);
    all.map(|((path, d_in, d_out), id)| Site::new(SiteId(id), path, d_in, d_out, false)).collect()
}

/// Draws initial weights: normal with standard deviation 0.02, divided by `sqrt(2 layers)` for the
/// projections that write to the residual stream (Radford et al. 2019), and 1 for norms.
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
        if parameter.shape.len() == 1 {
            return vec![1.0; count];
        }
        let residual = ["o_proj.weight", "down_proj.weight"];
        let scaled = residual.iter().any(|end| parameter.name.ends_with(end));
        let deviation = if scaled { 0.02 * self.residual_scale } else { 0.02 };
        (0..count).map(|_| (deviation * self.normal()) as f32).collect()
    }

    /// One standard normal value (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.rng.random::<f64>())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.rng.random::<f64>())
    }
}

/// What a model's weights become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Variables.
    Trainable,
    /// Frozen; tables and projections in this format.
    Frozen(WeightFormat),
}

/// Builds layers out of named values.
pub(super) struct Source<'a> {
    by_name: std::collections::BTreeMap<String, Vec<usize>>,
    read: &'a mut dyn FnMut(&Parameter) -> Result<Values>,
    tied: bool,
    form: Form,
    variables: Vec<(String, Var)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        spec: &ModelSpec,
        form: Form,
        read: &'a mut dyn FnMut(&Parameter) -> Result<Values>,
    ) -> Self {
        let by_name = parameters(spec).into_iter().map(|p| (p.name, p.shape)).collect();
        Self { by_name, read, tied: spec.tied_embeddings, form, variables: Vec::new() }
    }

    fn values(&mut self, name: &str) -> Result<(Vec<usize>, Values)> {
        let shape = self.by_name.get(name).expect("names are made by `parameters`").clone();
        let values = (self.read)(&Parameter { name: name.to_owned(), shape: shape.clone() })?;
        Ok((shape, values))
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let (shape, values) = self.values(name)?;
        Ok(Tensor::from_vec(values.widened()?, shape, &Device::Cpu)?)
    }

    fn variable(&mut self, name: &str) -> Result<Var> {
        let variable = Var::from_tensor(&self.tensor(name)?)?;
        self.variables.push((name.to_owned(), variable.clone()));
        Ok(variable)
    }

    fn weight(&mut self, name: &str, format: WeightFormat) -> Result<Arc<Weight>> {
        let (shape, values) = self.values(name)?;
        let weight = values.into_weight(shape[1], format)?;
        if weight.d_out() != shape[0] {
            return Err(Error::Shape(format!(
                "{name} has {} rows, not {}",
                weight.d_out(),
                shape[0]
            )));
        }
        Ok(Arc::new(weight))
    }

    /// The embedding table, and the output projection if it is the same weight.
    pub(super) fn embedding(&mut self) -> Result<(Embedding, Option<Linear>)> {
        let name = "model.embed_tokens.weight";
        match self.form {
            Form::Trainable => {
                let table = self.variable(name)?;
                let head = self.tied.then(|| Linear::trainable(&table)).transpose()?;
                Ok((Embedding::Trainable(table.as_tensor().clone()), head))
            }
            Form::Frozen(format) => {
                let table = self.weight(name, format)?;
                let head = self.tied.then(|| Linear::of_weight(Arc::clone(&table)));
                Ok((Embedding::Frozen(table), head))
            }
        }
    }

    pub(super) fn linear(&mut self, name: &str) -> Result<Linear> {
        match self.form {
            Form::Trainable => Linear::trainable(&self.variable(name)?),
            Form::Frozen(format) => Ok(Linear::of_weight(self.weight(name, format)?)),
        }
    }

    pub(super) fn norm(&mut self, name: &str, eps: f32) -> Result<RmsNorm> {
        let weight = match self.form {
            Form::Trainable => self.variable(name)?.as_tensor().clone(),
            Form::Frozen(_) => self.tensor(name)?,
        };
        Ok(RmsNorm::new(weight, eps))
    }

    pub(super) fn into_variables(self) -> Vec<(String, Var)> {
        self.variables
    }
}
