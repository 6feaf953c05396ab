//! The decoder: embedding, layers of attention and MLP, norm, output projection.

mod attention;
mod block;
mod export;
#[cfg(test)]
pub(crate) mod fixture;
mod initial;
mod layer;
mod mlp;
mod parallel;
pub mod parameters;
mod plan;
pub mod reference;
mod shard;
pub mod site;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;

use candle_core::{Tensor, Var};

use self::{
    block::Map,
    export::{Export, WeightBytes},
    initial::InitialValues,
    layer::{Layer, Pass},
    plan::Plan,
    shard::Split,
    source::{Form, Projection, Read, Source},
};
pub use self::{
    parallel::ParallelDecoder,
    parameters::{Parameter, ParameterKind, parameters},
    shard::Share,
    site::{AdapterDelta, NoAdapter, Site, SiteId, SiteWeights},
};
use crate::{
    Error, Result,
    comm::{Alone, Comm},
    config::{ModelSpec, PositionSpec},
    kernels::WeightFormat,
    kv::{KvShape, KvStore},
    layers::{elementwise::softcap, embedding::Embedding, norm::Norm, rope::Rope},
    step::Step,
    weights::{Checkpoint, NamedTensor},
};

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Form of the embedding table and of every projection; other weights are not quantised.
    pub weights: WeightFormat,
}

/// A decoder on the CPU in f32, of the form that its [`ModelSpec`] says, as `transformers` computes
/// it.
///
/// A token's result depends on its own sequence and adapter only: its bits are the same in any
/// batch, with or without cache, on any number of threads, on any processor of the architecture.
#[derive(Debug)]
pub struct Decoder {
    spec: ModelSpec,
    share: Share,
    kv_shape: KvShape,
    sites: Vec<Site>,
    /// What this rank has of each site.
    splits: Vec<Split>,
    embedding: Embedding,
    positions: Option<Embedding>,
    embedding_norm: Option<Norm>,
    layers: Vec<Layer>,
    norm: Norm,
    head: Projection,
    /// In layers that see all positions, and in those with a window.
    ropes: Option<[Rope; 2]>,
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

    /// Loads a model as [`Self::load`] does, with weights in the format that `options` name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(dir: &Path, options: &LoadOptions) -> Result<Self> {
        Self::from_checkpoint(dir, Form::Frozen(options.weights), Share::WHOLE)
    }

    /// Loads one rank's share of a model, to be run with [`Self::forward_shared`]: see [`Share`].
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::Config`] if the model cannot be split over so many ranks.
    pub fn load_share(dir: &Path, options: &LoadOptions, share: Share) -> Result<Self> {
        Self::from_checkpoint(dir, Form::Frozen(options.weights), share)
    }

    /// Loads a model folder with every weight a variable, for full-parameter training.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_trainable(dir: &Path) -> Result<Self> {
        Self::from_checkpoint(dir, Form::Trainable, Share::WHOLE)
    }

    /// A model with random weights drawn from `seed`, every weight a variable.
    ///
    /// # Errors
    /// [`Error::Config`] if the specification is out of bounds.
    pub fn random(spec: ModelSpec, seed: u64) -> Result<Self> {
        let mut values = InitialValues::new(seed, spec.layers);
        let read: Read<'_> = &mut |parameter| Ok(values.draw(parameter).into());
        Self::build(spec, Form::Trainable, Share::WHOLE, read)
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
        Self::build(spec, form, Share::WHOLE, &mut |parameter| Ok(read(parameter)?.into()))
    }

    fn from_checkpoint(dir: &Path, form: Form, share: Share) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir)?;
        let spec = match checkpoint.config()? {
            Some(text) => ModelSpec::parse(&text)?,
            None => ModelSpec::load(dir)?,
        };
        let names = StoredNames::new(&spec, &checkpoint)?;
        Self::build(spec, form, share, &mut |parameter| {
            checkpoint.values(names.of(&parameter.name), &parameter.shape)
        })
    }

    fn build(spec: ModelSpec, form: Form, share: Share, read: Read<'_>) -> Result<Self> {
        spec.validate()?;
        let plan = share.split(&spec, Plan::new(&spec))?;
        let own = share.spec(&spec)?;
        let sites = parameters::sites(&plan);
        let splits = parameters::splits(&plan);
        let mut source = Source::new(form, share, read);
        let (embedding, tied_head) = source.embedding(&plan.embedding, spec.tied_embeddings)?;
        let positions = match &plan.positions {
            Some(table) => Some(source.table(table)?),
            None => None,
        };
        let embedding_norm = plan.embedding_norm.map(|norm| source.norm(norm)).transpose()?;
        let blocks = plan.layers.into_iter().enumerate();
        let layers = blocks
            .map(|(index, block)| Ok(Layer::new(&own, index, source.layer(block)?)))
            .collect::<Result<Vec<_>>>()?;
        let norm = source.norm(plan.final_norm)?;
        let head = match (tied_head, plan.head) {
            (Some(head), _) => head,
            (None, Some(head)) => source.linear(head)?,
            (None, None) => unreachable!("a model without tied embeddings has a head"),
        };
        let ropes = match &spec.positions {
            PositionSpec::Rope { global, local } => {
                let head_dim = spec.attention.head_dim;
                Some([global, local].map(|rope| Rope::new(rope.clone(), head_dim)))
            }
            _ => None,
        };
        let variables = source.into_variables();
        Ok(Self {
            spec,
            share,
            kv_shape: own.kv_shape(),
            sites,
            splits,
            embedding,
            positions,
            embedding_norm,
            layers,
            norm,
            head,
            ropes,
            variables,
        })
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
        let mut bytes = WeightBytes::default();
        for layer in &self.layers {
            layer.block.clone().map(&mut bytes).expect("counting does not fail");
        }
        let table = if self.spec.tied_embeddings { 0 } else { self.embedding.weight_bytes() };
        let positions = self.positions.as_ref().map_or(0, Embedding::weight_bytes);
        bytes.0 + table + positions + self.head.linear.weight_bytes()
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
        kv: Option<&mut dyn KvStore>,
        delta: &dyn AdapterDelta,
    ) -> Result<Tensor> {
        self.forward_shared(step, kv, delta, &Alone)
    }

    /// This rank's part in a forward pass of all ranks, with the same step on each. The result is
    /// the whole one, the same bits on each rank.
    ///
    /// `kv` and `delta` are this rank's own: see [`Self::kv_shape`] and [`Self::share_of`].
    ///
    /// # Errors
    /// As [`Self::forward`]; [`Error::Comm`] if `comm` is another rank's or a rank gives up.
    pub fn forward_shared(
        &self,
        step: &Step,
        mut kv: Option<&mut dyn KvStore>,
        delta: &dyn AdapterDelta,
        comm: &dyn Comm,
    ) -> Result<Tensor> {
        self.share.check(comm)?;
        step.validate(self.spec.vocab_size, self.spec.max_positions)?;
        let rotations = self.ropes.as_ref().map(|ropes| {
            let [global, local] = ropes;
            [global.at(&step.positions), local.at(&step.positions)]
        });
        let pass = Pass { step, rotations, delta, comm };
        let mut hidden = self.embed(step, comm)?;
        for layer in &self.layers {
            // Reborrowed for each layer: `as_deref_mut` would tie the borrow to the whole loop.
            let kv = kv.as_mut().map(|kv| &mut **kv as &mut dyn KvStore);
            hidden = layer.forward(&hidden, &pass, kv)?;
        }
        self.norm.forward(&hidden)
    }

    fn embed(&self, step: &Step, comm: &dyn Comm) -> Result<Tensor> {
        let mut hidden = self.share.embed(&self.embedding, &step.tokens, &self.spec, comm)?;
        if let Some(scale) = self.spec.embedding_scale {
            hidden = (hidden * f64::from(scale))?;
        }
        if let Some(table) = &self.positions {
            hidden = (hidden + table.forward(&step.positions)?)?;
        }
        match &self.embedding_norm {
            Some(norm) => norm.forward(&hidden),
            None => Ok(hidden),
        }
    }

    /// What a cache keeps of each token; of a share, the part of its own heads.
    pub const fn kv_shape(&self) -> KvShape {
        self.kv_shape
    }

    /// What this is of its model.
    pub const fn share(&self) -> Share {
        self.share
    }

    /// This rank's part of an adapter's weights: where outputs are split, rows of `B`; where inputs
    /// are, columns of `A`. What the ranks add to split inputs is added up with the projection.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit their sites.
    pub fn share_of(&self, weights: &[SiteWeights]) -> Result<Vec<SiteWeights>> {
        let part = |site: &SiteWeights| match self.splits.get(site.site.0 as usize) {
            Some(split) => split.of(site),
            None => Err(Error::Shape(format!("site {} of {}", site.site.0, self.splits.len()))),
        };
        weights.iter().map(part).collect()
    }

    /// Logits `(rows, vocab)` of hidden states `(rows, hidden)`; pass only the rows that are needed.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the width differs.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.logits_shared(hidden, &Alone)
    }

    /// This rank's part in computing logits; the result is the whole one.
    ///
    /// # Errors
    /// As [`Self::logits`]; [`Error::Comm`] if `comm` is another rank's or a rank gives up.
    pub fn logits_shared(&self, hidden: &Tensor, comm: &dyn Comm) -> Result<Tensor> {
        self.share.check(comm)?;
        let logits = self.head.linear.forward(hidden)?;
        let logits = self.share.gather(logits, self.spec.vocab_size, comm)?;
        match self.spec.logit_softcap {
            Some(cap) => softcap(&logits, cap),
            None => Ok(logits),
        }
    }

    /// Reads every weight back: checkpoint name, shape and values, in [`parameters()`] order.
    ///
    /// # Errors
    /// [`Error::Comm`] of a share, [`Error::Tensor`] if a value cannot be read.
    pub fn export(&self) -> Result<Vec<NamedTensor>> {
        self.share.check(&Alone)?;
        let mut export = Export::default();
        export.table(&self.embedding)?;
        self.positions.iter().try_for_each(|table| export.table(table))?;
        self.embedding_norm.iter().cloned().try_for_each(|norm| export.norm(norm))?;
        for layer in &self.layers {
            layer.block.clone().map(&mut export)?;
        }
        export.norm(self.norm.clone())?;
        if !self.spec.tied_embeddings {
            export.linear(self.head.clone())?;
        }
        let named = parameters(&self.spec).into_iter().zip(export.0);
        Ok(named.map(|(parameter, values)| (parameter.name, parameter.shape, values)).collect())
    }
}

/// What a checkpoint calls each weight: some were saved without the outermost module.
struct StoredNames {
    prefix: &'static str,
    left_out: bool,
}

impl StoredNames {
    /// # Errors
    /// [`Error::Weights`] if the checkpoint has a tensor that is not part of the model.
    fn new(spec: &ModelSpec, checkpoint: &Checkpoint) -> Result<Self> {
        let names = &spec.names;
        let embedding = format!("{}.weight", names.embedding);
        let left_out = checkpoint.names().all(|name| name != embedding)
            && embedding
                .strip_prefix(names.optional_prefix)
                .is_some_and(|short| checkpoint.names().any(|name| name == short));
        let stored = Self { prefix: names.optional_prefix, left_out };
        let expected: std::collections::HashSet<String> =
            parameters(spec).into_iter().map(|p| stored.of(&p.name).to_owned()).collect();
        let head = format!("{}.weight", names.head);
        let unknown = |name: &&str| {
            // Tied models are sometimes saved with their head, and old ones with rope tables or
            // causal masks: all repeat what is already known.
            let repeated = (spec.tied_embeddings && *name == head)
                || names.repeated.iter().any(|end| name.ends_with(end));
            !expected.contains(*name) && !repeated
        };
        match checkpoint.names().find(unknown) {
            Some(name) => Err(Error::Weights(format!("{name} is not part of the model"))),
            None => Ok(stored),
        }
    }

    fn of<'a>(&self, name: &'a str) -> &'a str {
        if self.left_out { name.strip_prefix(self.prefix).unwrap_or(name) } else { name }
    }
}
