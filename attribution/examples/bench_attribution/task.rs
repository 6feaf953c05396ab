//! What was trained and retrained, as Python left it.

use std::{collections::BTreeMap, fs, path::Path};

use attribution::{
    estimate::{
        SiteShape,
        attributor::{Gradients, Layout, Query},
    },
    evaluate::Subsets,
};
use safetensors::{SafeTensors, tensor::TensorView};
use serde::Deserialize;

use crate::Failure;

/// `task.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct About {
    pub(crate) task: String,
    pub(crate) quick: bool,
    sites: Vec<Shape>,
    pub(crate) rows: usize,
    pub(crate) queries: usize,
    pub(crate) subsets: usize,
    texts: Option<Texts>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    rank: usize,
    d_in: usize,
    d_out: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Texts {
    pub(crate) rows: Vec<String>,
    pub(crate) queries: Vec<String>,
}

/// A task's model, rows and queries.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) about: About,
    /// Rows' gradients at two early checkpoints and at the end.
    pub(crate) rows: Vec<Gradients>,
    /// Queries' gradients at each, `(queries, p)`.
    queries: Vec<Table<f32>>,
    pub(crate) rates: Vec<f64>,
    pub(crate) hidden: Table<f32>,
    hidden_queries: Table<f32>,
    pub(crate) owners: Vec<usize>,
    pub(crate) subsets: Subsets,
    /// Query's log-likelihood per seed, subset and query.
    outputs: Vec<Table<f32>>,
    /// By method and setting, `(queries, rows)`.
    pub(crate) peers: BTreeMap<String, Table<f32>>,
}

/// A matrix, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    width: usize,
    values: Vec<T>,
}

impl<T> Table<T> {
    pub(crate) fn row(&self, at: usize) -> &[T] {
        &self.values[at * self.width..][..self.width]
    }

    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.width)
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }
}

impl Task {
    pub(crate) fn load(folder: &Path) -> Result<Self, Failure> {
        let about: About = serde_json::from_slice(&fs::read(folder.join("task.json"))?)?;
        let layout = layout(&about)?;
        let main = Part::read(folder, "main")?;
        let (mut rows, mut queries) = (Vec::new(), Vec::new());
        for checkpoint in 0..3 {
            let table = main.floats(&format!("rows.{checkpoint}"))?;
            rows.push(Gradients::new(layout.clone(), table.values)?);
            queries.push(main.floats(&format!("queries.{checkpoint}"))?);
        }
        let halves = Part::read(folder, "subsets")?;
        let members = halves.integers("members")?;
        let members = members.rows().map(|rows| rows.iter().map(|&r| r as u32).collect());
        let outputs = halves.floats("outputs")?;
        let of_seed = outputs.values.chunks_exact(about.subsets * about.queries);
        let of_seed = of_seed.map(|values| Table { width: about.queries, values: values.to_vec() });
        Ok(Self {
            rows,
            queries,
            rates: main.floats("rates")?.values.into_iter().map(f64::from).collect(),
            hidden: main.floats("hidden.rows")?,
            hidden_queries: main.floats("hidden.queries")?,
            owners: main.places("owners")?,
            subsets: Subsets::new(about.rows, members.collect())?,
            outputs: of_seed.collect(),
            peers: Part::read(folder, "peers")?.all_floats()?,
            about,
        })
    }

    /// The rows' gradients at the end.
    pub(crate) fn gradients(&self) -> &Gradients {
        &self.rows[2]
    }

    /// The queries' gradients at the end.
    pub(crate) fn query_gradients(&self) -> Result<Gradients, Failure> {
        let queries = self.queries[2].values.clone();
        Ok(Gradients::new(self.gradients().layout().clone(), queries)?)
    }

    pub(crate) const fn texts(&self) -> Option<&Texts> {
        self.about.texts.as_ref()
    }

    /// Calls `ask` with a query.
    pub(crate) fn with_query<T>(&self, at: usize, ask: impl FnOnce(&Query<'_>) -> T) -> T {
        let checkpoints: Vec<&[f32]> = self.queries.iter().map(|table| table.row(at)).collect();
        let text = self.texts().map_or("", |texts| &texts.queries[at]);
        let hidden = self.hidden_queries.row(at);
        ask(&Query { gradient: checkpoints[2], checkpoints: &checkpoints, hidden, text })
    }

    pub(crate) const fn seeds(&self) -> usize {
        self.outputs.len()
    }

    /// A query's log-likelihoods under the models of each subset, mean over these seeds.
    pub(crate) fn outputs(&self, query: usize, seeds: std::ops::Range<usize>) -> Vec<f64> {
        let count = seeds.len() as f64;
        let of_subset = |subset| {
            let sum: f64 = self.outputs[seeds.clone()]
                .iter()
                .map(|seed| f64::from(seed.row(subset)[query]))
                .sum();
            sum / count
        };
        (0..self.about.subsets).map(of_subset).collect()
    }
}

pub(crate) fn layout(about: &About) -> Result<Layout, Failure> {
    let shape = |s: &Shape| SiteShape { rank: s.rank, d_in: s.d_in, d_out: s.d_out };
    Ok(Layout::lora(&about.sites.iter().map(shape).collect::<Vec<_>>())?)
}

/// One file of tensors.
pub(crate) struct Part {
    bytes: Vec<u8>,
}

impl Part {
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, Failure> {
        let path = folder.join(format!("{name}.safetensors"));
        let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { bytes })
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Table<f32>, Failure> {
        table(&SafeTensors::deserialize(&self.bytes)?.tensor(name)?, f32::from_le_bytes)
    }

    pub(crate) fn integers(&self, name: &str) -> Result<Table<i32>, Failure> {
        table(&SafeTensors::deserialize(&self.bytes)?.tensor(name)?, i32::from_le_bytes)
    }

    pub(crate) fn places(&self, name: &str) -> Result<Vec<usize>, Failure> {
        Ok(self.integers(name)?.values.into_iter().map(|x| x as usize).collect())
    }

    pub(crate) fn gradients(&self, name: &str, about: &About) -> Result<Gradients, Failure> {
        Ok(Gradients::new(layout(about)?, self.floats(name)?.values)?)
    }

    pub(crate) fn all_floats(&self) -> Result<BTreeMap<String, Table<f32>>, Failure> {
        let tensors = SafeTensors::deserialize(&self.bytes)?;
        let read =
            |(name, view): (String, TensorView<'_>)| Ok((name, table(&view, f32::from_le_bytes)?));
        tensors.tensors().into_iter().map(read).collect()
    }
}

/// Numbers of four bytes; one row for a vector, the last axis for the width of others.
fn table<T>(view: &TensorView<'_>, number: fn([u8; 4]) -> T) -> Result<Table<T>, Failure> {
    if view.dtype().bitsize() != 32 {
        return Err(
            format!("tensors must have numbers of four bytes, got {:?}", view.dtype()).into()
        );
    }
    let width = view.shape().last().copied().unwrap_or(1).max(1);
    let values = view.data().chunks_exact(4).map(|b| number([b[0], b[1], b[2], b[3]]));
    Ok(Table { width, values: values.collect() })
}
