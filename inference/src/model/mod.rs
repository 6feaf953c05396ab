//! The decoder: embedding, layers of attention and MLP, norm, output projection.

#[cfg(test)]
pub(crate) mod fixture;
mod layer;
pub mod parameters;
pub mod reference;
pub mod site;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use candle_core::{Tensor, Var};

use self::{
    layer::Layer,
    parameters::{Form, InitialValues, Source},
};
pub use self::{
    parameters::{Parameter, parameters},
    site::{AdapterDelta, NoAdapter, Site, SiteId, SiteWeights},
};
use crate::{
    Error, Result,
    config::ModelSpec,
    kernels::WeightFormat,
    kv::KvStore,
    layers::{Linear, embedding::Embedding, norm::RmsNorm, rope::Rope},
    step::Step,
    weights::{Checkpoint, NamedTensor, Values},
};

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Form of the embedding table and of every projection; norms are f32.
    pub weights: WeightFormat,
}

/// A LLaMA-architecture decoder on the CPU in f32, as `transformers`' `LlamaForCausalLM` computes it.
///
/// A token's result depends on its own sequence and adapter only: its bits are the same in any
/// batch, with or without cache, on any number of threads, on any processor of the architecture.
#[derive(Debug)]
pub struct Decoder {
    spec: ModelSpec,
    sites: Vec<Site>,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    rope: Rope,
    /// Trained weights by checkpoint name; empty in a frozen model.
    variables: Vec<(String, Var)>,
}

impl Decoder {
    /// Loads a model folder (`config.json`, `model.safetensors` or its shards; or a GGUF file, or a
    /// folder with one), frozen.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Weights`] if the folder is not a model that this decoder
    /// computes exactly, down to missing and unknown tensors; [`Error::Io`] if it cannot be read.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_with(dir, &LoadOptions::default())
    }

    /// Loads a model folder as [`Self::load`] does, with weights in the format that `options` name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(dir: &Path, options: &LoadOptions) -> Result<Self> {
        Self::from_checkpoint(dir, Form::Frozen(options.weights))
    }

    /// Loads a model folder with every weight a variable, for full-parameter training.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_trainable(dir: &Path) -> Result<Self> {
        Self::from_checkpoint(dir, Form::Trainable)
    }

    /// A model with random weights drawn from `seed`, every weight a variable.
    ///
    /// # Errors
    /// [`Error::Config`] if the specification is out of bounds.
    pub fn random(spec: ModelSpec, seed: u64) -> Result<Self> {
        let mut values = InitialValues::new(seed, spec.layers);
        Self::build(spec, Form::Trainable, &mut |parameter| Ok(values.draw(parameter).into()))
    }

    /// A model with these weights: `read` gives the row-major values of each parameter.
    ///
    /// # Errors
    /// What `read` returns; [`Error::Config`] if the specification is out of bounds.
    pub fn with_values(
        spec: ModelSpec,
        trainable: bool,
        mut read: impl FnMut(&Parameter) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let form = if trainable { Form::Trainable } else { Form::Frozen(WeightFormat::F32) };
        Self::build(spec, form, &mut |parameter| Ok(read(parameter)?.into()))
    }

    fn from_checkpoint(dir: &Path, form: Form) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir)?;
        let spec = match checkpoint.config()? {
            Some(text) => ModelSpec::parse(&text)?,
            None => ModelSpec::load(dir)?,
        };
        let expected: Vec<String> = parameters(&spec).into_iter().map(|p| p.name).collect();
        let unknown = |name: &&str| {
            // Tied models are sometimes saved with their head, and old ones with rope tables: both
            // repeat what is already known.
            let repeated = (spec.tied_embeddings && *name == "lm_head.weight")
                || name.ends_with("rotary_emb.inv_freq");
            !repeated && !expected.iter().any(|known| known == name)
        };
        if let Some(name) = checkpoint.names().find(unknown) {
            return Err(Error::Weights(format!("{name} is not part of the model")));
        }
        Self::build(spec, form, &mut |parameter| {
            checkpoint.values(&parameter.name, &parameter.shape)
        })
    }

    fn build(
        spec: ModelSpec,
        form: Form,
        read: &mut dyn FnMut(&Parameter) -> Result<Values>,
    ) -> Result<Self> {
        spec.validate()?;
        let mut source = Source::new(&spec, form, read);
        let (embedding, embedding_projection) = source.embedding()?;
        let sites = parameters::sites(&spec);
        let layers = sites.as_chunks().0.iter().enumerate();
        let layers = layers
            .map(|(index, sites)| Layer::build(index, &spec, sites, &mut source))
            .collect::<Result<Vec<_>>>()?;
        let norm = source.norm("model.norm.weight", spec.norm_eps)?;
        let head = match embedding_projection {
            Some(head) => head,
            None => source.linear("lm_head.weight")?,
        };
        let rope = Rope::new(spec.head_dim, spec.max_positions, spec.rope_theta);
        let variables = source.into_variables();
        Ok(Self { spec, sites, embedding, layers, norm, head, rope, variables })
    }

    /// What the model is made of.
    pub const fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Trained weights by checkpoint name, in [`parameters()`] order; empty in a frozen model.
    pub fn variables(&self) -> &[(String, Var)] {
        &self.variables
    }

    /// Bytes of memory that the frozen tables and projections take, a tied table once; 0 for
    /// variables.
    pub fn weight_bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::weight_bytes).sum();
        let table = match &self.embedding {
            Embedding::Frozen(table) if !self.spec.tied_embeddings => table.bytes(),
            _ => 0,
        };
        layers + table + self.head.weight_bytes()
    }

    /// Every LoRA site, in the order of [`SiteId`]: site `i` of the slice has the id `i`.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Hidden states after the final norm, `(tokens, hidden)`, rows as in `step`.
    ///
    /// With a cache, keys and values of earlier positions are read from it and the step's own are
    /// appended; the result carries no gradient. Without one, every sequence starts at position 0.
    ///
    /// # Errors
    /// [`Error::Request`] if the step is malformed or a cache does not hold the earlier positions
    /// (caches may then hold part of the step and must be dropped); what `delta` returns.
    pub fn forward(
        &self,
        step: &Step,
        mut kv: Option<&mut dyn KvStore>,
        delta: &dyn AdapterDelta,
    ) -> Result<Tensor> {
        step.validate(self.spec.vocab_size, self.spec.max_positions)?;
        let positions: Arc<[u32]> = Arc::from(step.positions.as_slice());
        let mut hidden = self.embedding.forward(&step.tokens)?;
        for layer in &self.layers {
            // Reborrowed for each layer: `as_deref_mut` would tie the borrow to the whole loop.
            let kv = kv.as_mut().map(|kv| &mut **kv as &mut dyn KvStore);
            hidden = layer.forward(&hidden, step, &positions, &self.rope, kv, delta)?;
        }
        self.norm.forward(&hidden)
    }

    /// Logits `(rows, vocab)` of hidden states `(rows, hidden)`; pass only the rows that are needed.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the width differs.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(hidden)
    }

    /// Reads every weight back: checkpoint name, shape and values, in [`parameters()`] order.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a value cannot be read.
    pub fn export(&self) -> Result<Vec<NamedTensor>> {
        parameters(&self.spec)
            .into_iter()
            .map(|parameter| {
                let values = self.parameter(&parameter.name)?;
                Ok((parameter.name, parameter.shape, values))
            })
            .collect()
    }

    fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        let flat = |tensor: &Tensor| Ok(tensor.flatten_all()?.to_vec1::<f32>()?);
        match name {
            "model.embed_tokens.weight" => self.embedding.values(),
            "model.norm.weight" => flat(self.norm.weight()),
            "lm_head.weight" => self.head.weight(),
            _ => {
                let rest = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.'));
                let (index, rest) = rest.expect("parameter names are made by `parameters`");
                let index: usize = index.parse().expect("layer numbers are decimal");
                self.layers[index].parameter(rest.trim_end_matches(".weight"))
            }
        }
    }
}
