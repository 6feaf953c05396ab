//! A LoRA adapter whose weights are trained (Hu et al. 2021).

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    layers::{
        Linear,
        adapted::{self, Summed},
        with_values,
    },
    model::{AdapterDelta, Decoder, Site, SiteId, SiteWeights},
    weights::{self, Storage},
};

/// Shape of an adapter.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank `r`, 1 to 512.
    pub rank: usize,
    /// The delta is scaled by `alpha / r`.
    pub alpha: f64,
    /// Modules that get a delta: names (`q_proj`) or ends of paths (`mlp.up_proj`), as PEFT's
    /// `target_modules`; or [`ALL_LINEAR`] alone for every site.
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, target_modules: vec![ALL_LINEAR.into()] }
    }
}

/// Stands for every LoRA site of the model in [`LoraConfig::target_modules`], as in PEFT.
pub const ALL_LINEAR: &str = "all-linear";
/// Largest rank accepted.
const MAX_RANK: usize = 512;

/// One site's variables.
#[derive(Debug)]
struct SiteVariables {
    path: String,
    fan_in_fan_out: bool,
    a: Var,
    b: Var,
    shrink: Linear,
    expand: Linear,
    scale: f64,
}

impl SiteVariables {
    fn new(site: &Site, weights: &SiteWeights) -> Result<Self> {
        let SiteWeights { rank, d_in, d_out, a, b, scale, .. } = weights;
        let variable = |values: &[f32], shape: (usize, usize)| {
            Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu)?)
        };
        let (a, b) = (variable(a, (*rank, *d_in))?, variable(b, (*d_out, *rank))?);
        let (shrink, expand) = (Linear::trainable(&a)?, Linear::trainable(&b)?);
        let Site { path, fan_in_fan_out, .. } = site.clone();
        Ok(Self { path, fan_in_fan_out, a, b, shrink, expand, scale: f64::from(*scale) })
    }
}

/// A LoRA adapter with every `A` and `B` a variable.
#[derive(Debug)]
pub struct TrainableLora {
    sites: BTreeMap<SiteId, SiteVariables>,
}

impl TrainableLora {
    /// A fresh adapter: `A` uniform in `+-1 / sqrt(d_in)` (Kaiming with `a = sqrt 5`, as PEFT), `B`
    /// zero, so that it changes nothing yet.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the rank is out of bounds, no module is targeted, or one is unknown.
    pub fn new(decoder: &Decoder, config: &LoraConfig, seed: u64) -> Result<Self> {
        check(config)?;
        let targeted = targeted(config, decoder.sites())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weights: Vec<SiteWeights> = targeted
            .into_iter()
            .map(|&Site { id, d_in, d_out, .. }| {
                let bound = 1.0 / (d_in as f32).sqrt();
                let a = (0..config.rank * d_in).map(|_| bound * rng.random_range(-1.0f32..1.0));
                SiteWeights {
                    site: id,
                    rank: config.rank,
                    d_in,
                    d_out,
                    a: a.collect(),
                    b: vec![0.0; d_out * config.rank],
                    scale: (config.alpha / config.rank as f64) as f32,
                }
            })
            .collect();
        Self::from_weights(decoder, &weights)
    }

    /// An adapter with these weights.
    ///
    /// # Errors
    /// [`Error::Adapter`] if a site is listed twice or does not fit the decoder.
    pub fn from_weights(decoder: &Decoder, weights: &[SiteWeights]) -> Result<Self> {
        let mut sites = BTreeMap::new();
        for weight in weights {
            let known = decoder.sites().get(weight.site.0 as usize);
            let known = known.ok_or_else(|| Error::Adapter(format!("{:?}", weight.site)))?;
            let path = &known.path;
            let fits = (known.d_in, known.d_out) == (weight.d_in, weight.d_out)
                && (1..=MAX_RANK).contains(&weight.rank)
                && weight.a.len() == weight.rank * weight.d_in
                && weight.b.len() == weight.d_out * weight.rank;
            if !fits {
                return Err(Error::Adapter(format!("{path} does not fit the model")));
            }
            if sites.contains_key(&weight.site) {
                return Err(Error::Adapter(format!("{path} is listed twice")));
            }
            sites.insert(weight.site, SiteVariables::new(known, weight)?);
        }
        if sites.is_empty() {
            return Err(Error::Adapter("it has no sites".into()));
        }
        Ok(Self { sites })
    }

    /// The variables by PEFT name, in site order, `A` before `B`.
    pub fn variables(&self) -> Vec<(String, Var)> {
        let names = self.sites.values().flat_map(|site| {
            let name = |matrix| peft_name(&site.path, matrix);
            [(name('A'), site.a.clone()), (name('B'), site.b.clone())]
        });
        names.collect()
    }

    /// Number of weights that are trained: `sum r (d_in + d_out)` over the sites.
    pub fn parameter_count(&self) -> usize {
        self.sites.values().map(|site| site.a.elem_count() + site.b.elem_count()).sum()
    }

    /// The weights on the host, in site order.
    ///
    /// # Errors
    /// [`Error::Tensor`] if they cannot be read.
    pub fn weights(&self) -> Result<Vec<SiteWeights>> {
        let weights = self.sites.iter().map(|(&id, site)| {
            Ok(SiteWeights {
                site: id,
                rank: site.a.dim(0)?,
                d_in: site.shrink.d_in(),
                d_out: site.expand.d_out(),
                a: with_values(&site.a, <[f32]>::to_vec)?,
                b: with_values(&site.b, <[f32]>::to_vec)?,
                scale: site.scale as f32,
            })
        });
        weights.collect()
    }

    pub(crate) fn site_variables(&self) -> impl Iterator<Item = (SiteId, &str, &Var, &Var)> {
        self.sites.iter().map(|(&id, site)| (id, &*site.path, &site.a, &site.b))
    }

    /// `A`, `B` and the scale at a site; `None` if the adapter leaves it alone.
    pub(crate) fn site(&self, id: SiteId) -> Option<(&Var, &Var, f64)> {
        self.sites.get(&id).map(|site| (&site.a, &site.b, site.scale))
    }

    /// What PEFT reads as the same modules: [`ALL_LINEAR`] is spelled out in model order.
    fn target_modules(&self, config: &LoraConfig) -> Vec<String> {
        if config.target_modules.iter().all(|target| target != ALL_LINEAR) {
            return config.target_modules.clone();
        }
        let mut names = Vec::<String>::new();
        for site in self.sites.values() {
            let name = site.path.rsplit('.').next().unwrap_or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT does, in f32. `base` is
    /// recorded as the base model's name.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Adapter`] if `config` is not the shape of
    /// this adapter.
    pub fn save(&self, dir: &Path, config: &LoraConfig, base: &str) -> Result<()> {
        check(config)?;
        let scale = (config.alpha / config.rank as f64) as f32;
        let fits = |(site, w): (&SiteVariables, SiteWeights)| {
            w.rank == config.rank && w.scale == scale && is_targeted(config, &site.path)
        };
        let same = self.sites.values().zip(self.weights()?).all(fits);
        if !same {
            return Err(Error::Adapter(format!("its shape is not {config:?}")));
        }
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let json = serde_json::json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": config.rank,
            "lora_alpha": config.alpha,
            "lora_dropout": 0.0,
            "target_modules": self.target_modules(config),
            "bias": "none",
            "fan_in_fan_out": self.sites.values().any(|site| site.fan_in_fan_out),
            "use_rslora": false,
            "inference_mode": true,
        });
        let tensors: Vec<_> = self
            .variables()
            .into_iter()
            .map(|(name, variable)| {
                let values = with_values(&variable, <[f32]>::to_vec)?;
                Ok((name, variable.dims().to_vec(), values))
            })
            .collect::<Result<_>>()?;
        let path = dir.join("adapter_model.safetensors");
        weights::save(&path, &tensors, Storage::F32, None)?;
        let text = format!("{json:#}\n");
        weights::write_atomically(&dir.join("adapter_config.json"), text.as_bytes())
    }
}

impl AdapterDelta for TrainableLora {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        let Some(site) = self.sites.get(&site) else { return Ok(y) };
        let delta = site.expand.forward(&site.shrink.forward(x)?)?;
        Ok((y + (delta * site.scale)?)?)
    }

    fn add_rows(&self, site: SiteId, _rows: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        self.add(site, x, y)
    }

    fn project(&self, id: SiteId, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let Some((a, b, scale)) = self.site(id) else { return linear.forward(x) };
        match adapted::project(linear, x, (a, b, scale), Summed)? {
            Some(y) => Ok(y),
            None => self.add(id, x, linear.forward(x)?),
        }
    }

    fn project_rows(
        &self,
        id: SiteId,
        _rows: &[usize],
        linear: &Linear,
        x: &Tensor,
    ) -> Result<Tensor> {
        self.project(id, linear, x)
    }
}

/// PEFT's name of a site's matrix: `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`.
fn peft_name(path: &str, matrix: char) -> String {
    format!("base_model.model.{path}.lora_{matrix}.weight")
}

fn check(config: &LoraConfig) -> Result<()> {
    let alpha = config.alpha > 0.0 && config.alpha < 1e6;
    if !(1..=MAX_RANK).contains(&config.rank) || !alpha {
        return Err(Error::Adapter(format!("rank {} or alpha {}", config.rank, config.alpha)));
    }
    if config.target_modules.is_empty() {
        return Err(Error::Adapter("target_modules is empty".into()));
    }
    Ok(())
}

/// PEFT's rule: the whole path, or its end from a dot on.
fn names(target: &str, path: &str) -> bool {
    path.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_targeted(config: &LoraConfig, path: &str) -> bool {
    config.target_modules.iter().any(|target| target == ALL_LINEAR || names(target, path))
}

/// The sites that `config` names; each of its targets must name one.
fn targeted<'a>(config: &LoraConfig, sites: &'a [Site]) -> Result<Vec<&'a Site>> {
    let idle = |target: &&String| {
        *target != ALL_LINEAR && !sites.iter().any(|site| names(target, &site.path))
    };
    if let Some(name) = config.target_modules.iter().find(idle) {
        return Err(Error::Adapter(format!("target module {name:?} is unknown")));
    }
    Ok(sites.iter().filter(|site| is_targeted(config, &site.path)).collect())
}
