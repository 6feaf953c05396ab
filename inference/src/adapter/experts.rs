//! Adapters on stacked experts, as PEFT writes them for models that keep all experts of a layer in one
//! parameter (`target_parameters`). Here every expert's projection is a site of its own.
//!
//! With `E` experts and rank `r`, `A (E r, d_in)` holds one expert's rows after another's, and column
//! `k E + e` of `B (d_out, r E)` is rank `k` of expert `e`. `gate_up_proj` is the gate's outputs, then
//! the other's. Where both parameters of a module have an adapter, PEFT wraps one in the other, so one
//! pair of tensors has `base_layer` in its name: which is which is told by their shapes.

use std::collections::BTreeMap;

use super::{
    config::PeftConfig,
    host::{PREFIX, Tensors, View, bad},
};
use crate::{Result, model::Site};

/// One module of experts: the sites of each expert by projection.
#[derive(Default)]
struct Experts<'a> {
    gate: BTreeMap<usize, &'a Site>,
    up: BTreeMap<usize, &'a Site>,
    down: BTreeMap<usize, &'a Site>,
}

/// Views of the stacked tensors that `config` targets, and the names that were read. `B` is not
/// contiguous in the file: it is appended to `tail`, which is to follow the file.
pub(super) fn stacked(
    config: &PeftConfig,
    tensors: &Tensors<'_>,
    sites: &[Site],
    tail: &mut Vec<u8>,
) -> Result<(Vec<View>, Vec<String>)> {
    let (mut views, mut names) = (Vec::new(), Vec::new());
    if config.parameters().is_empty() {
        return Ok((views, names));
    }
    for (module, experts) in modules(sites) {
        let pairs = [
            ("gate_up_proj", vec![&experts.gate, &experts.up]),
            ("down_proj", vec![&experts.down]),
        ];
        for (parameter, projections) in pairs {
            let path = format!("{module}.{parameter}");
            let Some((rank, scale)) = config.parameter_at(&path) else { continue };
            let stack = Stack { module: &module, path, rank, scale, projections };
            stack.read(tensors, tail, &mut views, &mut names)?;
        }
    }
    Ok((views, names))
}

fn modules(sites: &[Site]) -> BTreeMap<String, Experts<'_>> {
    let mut modules = BTreeMap::<String, Experts<'_>>::new();
    for site in sites {
        let Some((module, rest)) = site.path.rsplit_once(".experts.") else { continue };
        let Some((index, projection)) = rest.split_once('.') else { continue };
        let Ok(index) = index.parse() else { continue };
        let experts = modules.entry(format!("{module}.experts")).or_default();
        match projection {
            "gate_proj" => experts.gate.insert(index, site),
            "up_proj" => experts.up.insert(index, site),
            "down_proj" => experts.down.insert(index, site),
            _ => None,
        };
    }
    modules
}

/// One stacked parameter.
struct Stack<'a> {
    module: &'a str,
    path: String,
    rank: usize,
    scale: f32,
    /// Those that lie one after another in its outputs.
    projections: Vec<&'a BTreeMap<usize, &'a Site>>,
}

impl Stack<'_> {
    fn read(
        &self,
        tensors: &Tensors<'_>,
        tail: &mut Vec<u8>,
        views: &mut Vec<View>,
        names: &mut Vec<String>,
    ) -> Result<()> {
        let Self { module, path, rank, scale, projections } = self;
        let (rank, count) = (*rank, projections[0].len());
        let first = projections.iter().filter_map(|sites| sites.values().next());
        let d_out: usize = first.clone().map(|site| site.d_out).sum();
        let d_in = first.clone().map(|site| site.d_in).next().unwrap_or_default();
        let (a_shape, b_shape) = ([count * rank, d_in], [d_out, rank * count]);
        let name = |inner: &str, side: char| format!("{PREFIX}{module}{inner}.lora_{side}.weight");
        let fits = |inner: &&str| {
            tensors.has(&name(inner, 'A'), a_shape) && tensors.has(&name(inner, 'B'), b_shape)
        };
        let inner = ["", ".base_layer"].into_iter().find(|inner| fits(inner));
        let inner = inner.ok_or_else(|| {
            bad(format!("no tensors of shapes {a_shape:?} and {b_shape:?} for {path}"))
        })?;
        let (a_type, a) = tensors.take(&name(inner, 'A'), a_shape)?;
        let (b_type, b) = tensors.take(&name(inner, 'B'), b_shape)?;
        names.extend([name(inner, 'A'), name(inner, 'B')]);
        let (a_size, b_size) = (a.len() / (count * rank * d_in), b.len() / (d_out * rank * count));
        let mut output = 0;
        for sites in projections {
            for (&expert, site) in *sites {
                if expert >= count || site.d_in != d_in {
                    return Err(bad(format!("the experts of {module} are not alike")));
                }
                let rows = a.start + expert * rank * d_in * a_size;
                let start = tensors.bytes.len() + tail.len();
                for row in output..output + site.d_out {
                    for k in 0..rank {
                        let at = b.start + ((row * rank + k) * count + expert) * b_size;
                        tail.extend_from_slice(&tensors.bytes[at..at + b_size]);
                    }
                }
                views.push(View {
                    site: site.id,
                    rank,
                    d_in,
                    d_out: site.d_out,
                    scale: *scale,
                    a: (a_type, rows..rows + rank * d_in * a_size),
                    b: (b_type, start..start + site.d_out * rank * b_size),
                });
            }
            output += sites.values().next().map_or(0, |site| site.d_out);
        }
        Ok(())
    }
}
