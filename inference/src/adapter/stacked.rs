//! Adapters on stacked experts, as PEFT writes them for `target_parameters`.
//!
//! `transformers` keeps the experts of a layer in two tensors, `experts.gate_up_proj` of shape
//! `(experts, 2 inner, hidden)` and `experts.down_proj` of `(experts, hidden, inner)`. PEFT gives each
//! one `A (experts r, d_in)` and one `B (d_out, r experts)`; expert `e` has
//! `A_e = A[e r .. (e + 1) r]` and `B_e[o][k] = B[o][k experts + e]`. Here every expert's projections
//! are sites of their own: gate and up share `A_e` and have the halves of `B_e`.

use std::{collections::BTreeMap, ops::Range};

use safetensors::Dtype;

use super::host::bad;
use crate::{Result, model::Site};

/// The stacked tensors, in the order in which PEFT wraps them: the first is the innermost.
pub(super) const PARAMETERS: [&str; 2] = ["gate_up_proj", "down_proj"];

/// The experts of one layer: paths end in `experts`.
#[derive(Debug)]
pub(super) struct Experts<'a> {
    pub(super) path: &'a str,
    sites: BTreeMap<(usize, &'a str), &'a Site>,
}

/// A tensor in the adapter's file.
pub(super) type Place = (Dtype, Range<usize>);

/// One site's part of a stacked tensor.
pub(super) struct Part<'a> {
    pub(super) site: &'a Site,
    pub(super) a: Place,
    pub(super) b: Place,
}

impl<'a> Experts<'a> {
    /// The layers with experts among a model's sites.
    pub(super) fn of(sites: &'a [Site]) -> Vec<Self> {
        let mut layers: Vec<Self> = Vec::new();
        for site in sites {
            let Some((rest, module)) = site.path.rsplit_once('.') else { continue };
            let Some((path, index)) = rest.rsplit_once('.') else { continue };
            let Ok(index) = index.parse() else { continue };
            if !path.ends_with(".experts") {
                continue;
            }
            if layers.last().is_none_or(|layer| layer.path != path) {
                layers.push(Self { path, sites: BTreeMap::new() });
            }
            let layer = layers.last_mut().expect("one was just added");
            layer.sites.insert((index, module), site);
        }
        layers
    }

    fn count(&self) -> usize {
        self.sites.keys().map(|(index, _)| index + 1).max().unwrap_or(0)
    }

    fn site(&self, expert: usize, module: &str) -> Result<&'a Site> {
        let site = self.sites.get(&(expert, module)).copied();
        site.ok_or_else(|| bad(format!("{} has no {module} in expert {expert}", self.path)))
    }

    /// Shapes of `A` and `B` of a stacked parameter at this rank.
    pub(super) fn shapes(&self, parameter: &str, rank: usize) -> Result<[[usize; 2]; 2]> {
        let first = self.site(0, if parameter == "down_proj" { "down_proj" } else { "up_proj" })?;
        let halves = if parameter == "down_proj" { 1 } else { 2 };
        let stacked = rank * self.count();
        Ok([[stacked, first.d_in], [halves * first.d_out, stacked]])
    }

    /// Cuts a stacked parameter into its sites' parts. `A` stays where it lies; the parts of `B` are
    /// appended to `weights`.
    pub(super) fn cut(
        &self,
        parameter: &str,
        rank: usize,
        (a, b): (Place, Place),
        weights: &mut Vec<u8>,
    ) -> Result<Vec<Part<'a>>> {
        let modules: &[&str] =
            if parameter == "down_proj" { &["down_proj"] } else { &["gate_proj", "up_proj"] };
        let count = self.count();
        let size = |dtype| if dtype == Dtype::F32 { 4 } else { 2 };
        let mut parts = Vec::with_capacity(count * modules.len());
        for expert in 0..count {
            for (half, module) in modules.iter().enumerate() {
                let site = self.site(expert, module)?;
                let length = rank * site.d_in * size(a.0);
                let start = a.1.start + expert * length;
                let place = weights.len();
                for row in half * site.d_out..(half + 1) * site.d_out {
                    for k in 0..rank {
                        let value = (row * rank + k) * count + expert;
                        let at = b.1.start + value * size(b.0);
                        weights.extend_from_within(at..at + size(b.0));
                    }
                }
                let (a, b) = ((a.0, start..start + length), (b.0, place..weights.len()));
                parts.push(Part { site, a, b });
            }
        }
        Ok(parts)
    }
}
