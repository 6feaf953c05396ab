//! Merges: one adapter made of several, as PEFT's `add_weighted_adapter` makes them.
//!
//! `A` and `B` are combined separately, each with the square root of `w_k s_k`, so a merge of two
//! adapters is not the sum of their deltas (an [`super::AdapterSet`] is that, and so is
//! [`Method::Cat`]).

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use super::{AdapterFiles, AdapterHash, AdapterSet, config::MAX_RANK, host::PREFIX};
use crate::{
    Error, Result,
    model::{Site, SiteId, SiteWeights},
};

/// How the sign of a value is elected in TIES (Yadav et al. 2023).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MajoritySign {
    /// The sign of the sum.
    #[default]
    Total,
    /// The sign that most adapters have.
    Frequency,
}

/// How adapters are combined. `density` is the part of each adapter's values that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Weighted sum.
    Linear,
    /// Ranks side by side: exactly the weighted sum of the deltas.
    Cat,
    /// Weighted sum of the largest values of each.
    MagnitudePrune {
        /// 0 to 1.
        density: f64,
    },
    /// The largest values of each, the majority's sign elected, the mean of those that have it.
    Ties {
        /// 0 to 1.
        density: f64,
        /// How signs are elected.
        #[serde(default)]
        majority_sign: MajoritySign,
    },
    /// Weighted sum of random values of each, divided by the density (Yu et al. 2023).
    DareLinear {
        /// Above 0, to 1.
        density: f64,
        /// What the choice is drawn from.
        #[serde(default)]
        seed: u64,
    },
    /// [`Self::Ties`] with random values instead of the largest.
    DareTies {
        /// Above 0, to 1.
        density: f64,
        /// How signs are elected.
        #[serde(default)]
        majority_sign: MajoritySign,
        /// What the choice is drawn from.
        #[serde(default)]
        seed: u64,
    },
}

impl Method {
    const fn density(self) -> f64 {
        match self {
            Self::Linear | Self::Cat => 1.0,
            Self::MagnitudePrune { density }
            | Self::Ties { density, .. }
            | Self::DareLinear { density, .. }
            | Self::DareTies { density, .. } => density,
        }
    }

    const fn seed(self) -> Option<u64> {
        match self {
            Self::DareLinear { seed, .. } | Self::DareTies { seed, .. } => Some(seed),
            _ => None,
        }
    }

    const fn majority_sign(self) -> Option<MajoritySign> {
        match self {
            Self::Ties { majority_sign, .. } | Self::DareTies { majority_sign, .. } => {
                Some(majority_sign)
            }
            _ => None,
        }
    }

    fn check(self) -> Result<()> {
        let density = self.density();
        let low = if self.seed().is_some() { density > 0.0 } else { density >= 0.0 };
        if low && density <= 1.0 {
            return Ok(());
        }
        Err(Error::Adapter(format!("a density of {density}")))
    }
}

/// What a merged adapter is made of. The order of the parts does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    parts: AdapterSet,
    method: Method,
}

impl Recipe {
    /// A merge of `parts`.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there are none or the density is out of bounds.
    pub fn new(parts: AdapterSet, method: Method) -> Result<Self> {
        if parts.parts().is_empty() {
            return Err(Error::Adapter("a merge of no adapters".into()));
        }
        method.check()?;
        Ok(Self { parts, method })
    }

    /// The adapters and their weights.
    pub const fn parts(&self) -> &AdapterSet {
        &self.parts
    }

    /// How they are combined.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// What the merge is cached by: the same recipe always gives the same bytes.
    pub fn id(&self) -> [u8; 32] {
        let mut hasher = Keccak256::new();
        hasher.update(b"openlora merge 1");
        for (hash, weight) in self.parts.parts() {
            hasher.update(hash.0);
            hasher.update(weight.to_bits().to_be_bytes());
        }
        let method = match self.method {
            Method::Linear => 0u8,
            Method::Cat => 1,
            Method::MagnitudePrune { .. } => 2,
            Method::Ties { .. } => 3,
            Method::DareLinear { .. } => 4,
            Method::DareTies { .. } => 5,
        };
        let sign = self.method.majority_sign().map_or(0, |sign| 1 + sign as u8);
        hasher.update([method, sign]);
        hasher.update(self.method.density().to_bits().to_be_bytes());
        hasher.update(self.method.seed().unwrap_or(0).to_be_bytes());
        hasher.finalize().into()
    }
}

/// The merge of adapters with weights, in the order given. Every site of any of them is in it, made of
/// those that have it; its scale is 1.
///
/// # Errors
/// [`Error::Adapter`] if ranks differ at a site (unless concatenated), or the result's rank is too
/// large; [`Error::Shape`] if sizes differ.
pub fn merge(parts: &[(Vec<SiteWeights>, f32)], method: Method) -> Result<Vec<SiteWeights>> {
    method.check()?;
    let mut sites: BTreeMap<SiteId, Vec<(usize, &SiteWeights, f32)>> = BTreeMap::new();
    for (index, (weights, weight)) in parts.iter().enumerate() {
        for site in weights {
            sites.entry(site.site).or_default().push((index, site, *weight));
        }
    }
    // PEFT merges one adapter linearly whatever is asked for.
    let method = if parts.len() == 1 { Method::Linear } else { method };
    sites.values().map(|parts| merge_site(parts, method)).collect()
}

fn merge_site(parts: &[(usize, &SiteWeights, f32)], method: Method) -> Result<SiteWeights> {
    let (_, first, _) = parts[0];
    let SiteWeights { site, rank, d_in, d_out, .. } = *first;
    if parts.iter().any(|(_, part, _)| (part.d_in, part.d_out) != (d_in, d_out)) {
        return Err(Error::Shape(format!("site {} has several sizes", site.0)));
    }
    if method == Method::Cat {
        return concatenate(parts);
    }
    if let Some((_, part, _)) = parts.iter().find(|(_, part, _)| part.rank != rank) {
        let other = part.rank;
        return Err(Error::Adapter(format!("ranks {rank} and {other} at site {}", site.0)));
    }
    // The sign goes to one side only.
    let root = |weight: f32, scale: f32| (f64::from(weight) * f64::from(scale)).abs().sqrt();
    let side = |side: u64, values: fn(&SiteWeights) -> &[f32], signed: bool| {
        let tasks = parts.iter().map(|(index, part, weight)| {
            let negative = signed && weight * part.scale < 0.0;
            let root = root(*weight, part.scale) * if negative { -1.0 } else { 1.0 };
            let stream = (u64::from(site.0) << 32) | (*index as u64) << 1 | side;
            (prune(values(part), method, stream), root as f32)
        });
        combine(&tasks.collect::<Vec<_>>(), method)
    };
    let (a, b) = (side(0, |w| &w.a, true), side(1, |w| &w.b, false));
    Ok(SiteWeights { site, rank, d_in, d_out, a, b, scale: 1.0 })
}

fn concatenate(parts: &[(usize, &SiteWeights, f32)]) -> Result<SiteWeights> {
    let (_, first, _) = parts[0];
    let SiteWeights { site, d_in, d_out, .. } = *first;
    let rank: usize = parts.iter().map(|(_, part, _)| part.rank).sum();
    if rank > MAX_RANK {
        return Err(Error::Adapter(format!("rank {rank} at site {} is above {MAX_RANK}", site.0)));
    }
    let mut a = Vec::with_capacity(rank * d_in);
    for (_, part, weight) in parts {
        a.extend(part.a.iter().map(|value| value * weight * part.scale));
    }
    let mut b = Vec::with_capacity(d_out * rank);
    for row in 0..d_out {
        for (_, part, _) in parts {
            b.extend_from_slice(&part.b[row * part.rank..][..part.rank]);
        }
    }
    Ok(SiteWeights { site, rank, d_in, d_out, a, b, scale: 1.0 })
}

/// The values that are kept, the others zero.
fn prune(values: &[f32], method: Method, stream: u64) -> Vec<f32> {
    let density = method.density();
    if density >= 1.0 {
        return values.to_vec();
    }
    if let Some(seed) = method.seed() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let keep = |value: &f32| {
            if rng.random_bool(density) { value / density as f32 } else { 0.0 }
        };
        return values.iter().map(keep).collect();
    }
    let count = (density * values.len() as f64) as usize;
    let mut kept = vec![0.0; values.len()];
    if count == 0 {
        return kept;
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    // The larger first; of equal ones the earlier.
    let larger =
        |x: &usize, y: &usize| values[*y].abs().total_cmp(&values[*x].abs()).then(x.cmp(y));
    order.select_nth_unstable_by(count - 1, larger);
    for index in &order[..count] {
        kept[*index] = values[*index];
    }
    kept
}

/// Weighted sum, or the mean of those that have the elected sign.
fn combine(tasks: &[(Vec<f32>, f32)], method: Method) -> Vec<f32> {
    let count = tasks[0].0.len();
    let Some(election) = method.majority_sign() else {
        let sum = |i| tasks.iter().fold(0.0f32, |sum, (values, weight)| sum + values[i] * weight);
        return (0..count).map(sum).collect();
    };
    let sign = |value: f32| if value == 0.0 { 0.0 } else { value.signum() };
    let value = |i: usize| {
        let vote = tasks.iter().fold(0.0f32, |sum, (values, _)| match election {
            MajoritySign::Total => sum + values[i],
            MajoritySign::Frequency => sum + sign(values[i]),
        });
        let majority = if vote >= 0.0 { 1.0 } else { -1.0 };
        let agreeing = tasks.iter().filter(|(values, _)| sign(values[i]) == majority);
        let (sum, voters) = agreeing.fold((0.0f32, 0.0f32), |(sum, voters), (values, weight)| {
            (sum + values[i] * weight, voters + 1.0)
        });
        sum / voters.max(1.0)
    };
    (0..count).map(value).collect()
}

/// The PEFT files of an adapter with these weights, in f32; the same weights give the same bytes.
///
/// # Errors
/// [`Error::Adapter`] if there are no weights or one is of no site of the model; [`Error::Weights`] if
/// they cannot be written.
pub fn peft_files(weights: &[SiteWeights], sites: &[Site]) -> Result<AdapterFiles> {
    let mut tensors = Vec::new();
    let mut ranks = BTreeMap::new();
    let mut alphas = BTreeMap::new();
    for weight in weights {
        let site = sites
            .get(weight.site.0 as usize)
            .ok_or_else(|| Error::Adapter(format!("site {} is not in the model", weight.site.0)))?;
        let path = &site.path;
        let bytes =
            |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let name = |side: char| format!("{PREFIX}{path}.lora_{side}.weight");
        tensors.push((name('A'), vec![weight.rank, weight.d_in], bytes(&weight.a)));
        tensors.push((name('B'), vec![weight.d_out, weight.rank], bytes(&weight.b)));
        ranks.insert(path.clone(), weight.rank);
        alphas.insert(path.clone(), f64::from(weight.scale) * weight.rank as f64);
    }
    let Some(rank) = ranks.values().next().copied() else {
        return Err(Error::Adapter("it has no sites".into()));
    };
    let config = serde_json::json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": null,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "target_modules": ranks.keys().collect::<Vec<_>>(),
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "inference_mode": true,
    });
    let wrong = |error: safetensors::SafeTensorError| Error::Weights(error.to_string());
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            Ok((name.as_str(), view.map_err(wrong)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let weights = safetensors::serialize(views, None).map_err(wrong)?;
    Ok(AdapterFiles { config: format!("{config:#}\n").into_bytes(), weights })
}

/// The adapters that answer when `set` does, with their weights: merges are taken apart by
/// `recipe_of`, weights multiplied, and those of the same adapter added.
pub(super) fn leaves(
    set: &AdapterSet,
    recipe_of: &impl Fn(&AdapterHash) -> Option<Recipe>,
) -> Vec<(AdapterHash, f32)> {
    fn add(
        set: &AdapterSet,
        factor: f32,
        depth: usize,
        recipe_of: &impl Fn(&AdapterHash) -> Option<Recipe>,
        sums: &mut BTreeMap<AdapterHash, f32>,
    ) {
        for (hash, weight) in set.parts() {
            // Merges of merges end: each was made when its parts existed already.
            match recipe_of(hash).filter(|_| depth < 8) {
                Some(recipe) => add(recipe.parts(), factor * weight, depth + 1, recipe_of, sums),
                None => *sums.entry(*hash).or_default() += factor * weight,
            }
        }
    }
    let mut sums = BTreeMap::new();
    add(set, 1.0, 0, recipe_of, &mut sums);
    sums.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(rank: usize, a: &[f32], b: &[f32], scale: f32) -> Vec<SiteWeights> {
        let (d_in, d_out) = (a.len() / rank, b.len() / rank);
        let (site, a, b) = (SiteId(0), a.to_vec(), b.to_vec());
        vec![SiteWeights { site, rank, d_in, d_out, a, b, scale }]
    }

    /// `scale B A`
    fn delta(w: &SiteWeights) -> Vec<f32> {
        let entry = |i: usize| {
            let (row, column) = (i / w.d_in, i % w.d_in);
            let sum: f32 =
                (0..w.rank).map(|k| w.b[row * w.rank + k] * w.a[k * w.d_in + column]).sum();
            w.scale * sum
        };
        (0..w.d_out * w.d_in).map(entry).collect()
    }

    #[test]
    fn concatenation_is_the_sum_of_deltas() {
        let first = weights(1, &[1.0, 2.0, 3.0], &[0.5, -1.0], 2.0);
        let second = weights(2, &[1.0, 0.0, 1.0, 2.0, 1.0, 0.0], &[1.0, 1.0, 0.0, 2.0], 0.5);
        let parts = [(first.clone(), 0.75), (second.clone(), -2.0)];
        let merged = merge(&parts, Method::Cat).unwrap();
        assert_eq!((merged[0].rank, merged[0].scale), (3, 1.0));
        let sum: Vec<f32> = delta(&first[0])
            .iter()
            .zip(delta(&second[0]))
            .map(|(x, y)| 0.75 * x - 2.0 * y)
            .collect();
        assert_eq!(delta(&merged[0]), sum);
        assert!(merge(&parts, Method::Linear).is_err());
    }

    #[test]
    fn linear_takes_roots_with_the_sign_on_one_side() {
        let parts = [
            (weights(1, &[1.0, 2.0], &[3.0], 2.0), 2.0),
            (weights(1, &[10.0, 20.0], &[30.0], 1.0), -9.0),
        ];
        let merged = merge(&parts, Method::Linear).unwrap();
        assert_eq!(merged[0].a, [2.0 - 30.0, 4.0 - 60.0]);
        assert_eq!(merged[0].b, [6.0 + 90.0]);
    }

    #[test]
    fn ties_keeps_the_largest_and_averages_those_that_agree() {
        let parts = [
            (weights(1, &[4.0, -3.0, 2.0, 1.0], &[1.0], 1.0), 1.0),
            (weights(1, &[3.0, 4.0, -1.0, -5.0], &[1.0], 1.0), 4.0),
        ];
        let ties = |density, majority_sign| {
            merge(&parts, Method::Ties { density, majority_sign }).unwrap().remove(0).a
        };
        // Whole: signs +, + (4 - 3 > 0), + (2 - 1), - (1 - 5); weights 1 and 2.
        assert_eq!(ties(1.0, MajoritySign::Total), [5.0, 8.0, 2.0, -10.0]);
        // Votes that are equal go to plus.
        assert_eq!(ties(1.0, MajoritySign::Frequency), [5.0, 8.0, 2.0, 1.0]);
        // Half: [4, -3, 0, 0] and [0, 4, 0, -5].
        assert_eq!(ties(0.5, MajoritySign::Total), [4.0, 8.0, 0.0, -10.0]);
        assert_eq!(ties(0.0, MajoritySign::Total), [0.0; 4]);
        let pruned = merge(&parts, Method::MagnitudePrune { density: 0.5 }).unwrap();
        assert_eq!(pruned[0].a, [4.0, 5.0, 0.0, -10.0]);
    }

    #[test]
    fn dare_keeps_the_density_and_the_mean_and_follows_the_seed() {
        let ones = vec![1.0; 20_000];
        let parts = [(weights(1, &ones, &[1.0], 1.0), 1.0), (weights(1, &ones, &[1.0], 1.0), 1.0)];
        let run =
            |seed| merge(&parts, Method::DareLinear { density: 0.25, seed }).unwrap().remove(0);
        let merged = run(7);
        assert_eq!(merged, run(7));
        assert_ne!(merged.a, run(8).a);
        let mean = merged.a.iter().sum::<f32>() / ones.len() as f32;
        assert!((mean - 2.0).abs() < 0.06, "{mean}");
        let both =
            merged.a.iter().filter(|value| **value == 8.0).count() as f32 / ones.len() as f32;
        assert!((both - 0.0625).abs() < 0.01, "the parts are drawn independently: {both}");
        let whole = |method| merge(&parts, method).unwrap();
        assert_eq!(whole(Method::DareLinear { density: 1.0, seed: 1 }), whole(Method::Linear));
        let majority_sign = MajoritySign::Total;
        assert_eq!(
            whole(Method::DareTies { density: 1.0, majority_sign, seed: 1 }),
            whole(Method::Ties { density: 1.0, majority_sign })
        );
    }

    #[test]
    fn recipes_are_known_by_what_they_say() {
        let hash = |byte| AdapterHash([byte; 32]);
        let set = |parts: &[(u8, f32)]| {
            AdapterSet::new(parts.iter().map(|(b, w)| (hash(*b), *w)).collect()).unwrap()
        };
        let linear = |parts: &[(u8, f32)]| Recipe::new(set(parts), Method::Linear).unwrap();
        assert_eq!(linear(&[(1, 0.5), (2, 2.0)]).id(), linear(&[(2, 2.0), (1, 0.5)]).id());
        let mut ids = vec![
            linear(&[(1, 0.5), (2, 2.0)]).id(),
            linear(&[(1, 0.5), (2, 2.5)]).id(),
            linear(&[(1, 0.5), (3, 2.0)]).id(),
        ];
        for density in [0.5, 0.25] {
            for majority_sign in [MajoritySign::Total, MajoritySign::Frequency] {
                let parts = || set(&[(1, 0.5), (2, 2.0)]);
                let methods = [
                    Method::Ties { density, majority_sign },
                    Method::DareTies { density, majority_sign, seed: 1 },
                    Method::DareTies { density, majority_sign, seed: 2 },
                ];
                ids.extend(methods.map(|method| Recipe::new(parts(), method).unwrap().id()));
            }
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(Recipe::new(AdapterSet::base(), Method::Linear).is_err());
        for density in [-0.1, 1.1, f64::NAN] {
            let method = Method::Ties { density, majority_sign: MajoritySign::Total };
            assert!(Recipe::new(set(&[(1, 1.0)]), method).is_err());
        }
        assert!(
            Recipe::new(set(&[(1, 1.0)]), Method::DareLinear { density: 0.0, seed: 0 }).is_err()
        );

        let recipe_of = |of: &AdapterHash| (*of == hash(9)).then(|| linear(&[(1, 0.5), (2, 2.0)]));
        let leaves = leaves(&set(&[(9, 0.5), (1, 1.0)]), &recipe_of);
        assert_eq!(leaves, [(hash(1), 1.25), (hash(2), 1.0)]);
    }
}
