//! Every method's scores, with each of its settings.

use std::ops::Range;

use attribution::estimate::{
    ProjectorConfig, Sketches,
    attributor::{
        Attributor, Blocks, Bm25, Cosine, DampedFisher, DataInf, Ensemble, GradientDot, Gradients,
        Layout, Norm, Query, Random, Representation, SketchSpace, TracIn,
    },
};
use rayon::prelude::*;

use crate::{Failure, task::Task};

/// Damping `c` in `lambda = c tr(F) / d`: as many values as the peers have.
const DAMPING: [f64; 7] = [1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4];
/// Of DataInf's own `mean(g^2) / 10`.
const FACTORS: [f64; 7] = [1.0, 1e-2, 1e-1, 10.0, 100.0, 1e3, 1e4];
pub(crate) const DIMS: [usize; 5] = [512, 1024, 2048, 4096, 8192];
pub(crate) const QUICK_DIMS: [usize; 3] = [512, 2048, 4096];
/// Of the index that payments use.
pub(crate) const PAID_DIM: usize = 4096;
pub(crate) const CLIP_SHARE: f64 = 1e-3;

/// A method with the settings that tuning may choose from.
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) settings: Vec<Setting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Int8 sketches.
    Committed(usize),
    /// The same sketches in floats.
    Sketch(usize),
    /// Sketches of the same length by a map that knows nothing of the rows.
    Hashed,
    /// Int8 sketches of several checkpoints, their scores added up.
    Ensemble,
    /// Our Fisher matrix on whole gradients.
    Dense,
    /// The same, each tensor by itself.
    ByTensor,
    Baseline,
    Peer,
}

pub(crate) struct Setting {
    pub(crate) name: String,
    /// Damping `c`, of methods that have it.
    pub(crate) damping: Option<f64>,
    /// By query, one score per row; not finite where the method fails.
    pub(crate) scores: Vec<Vec<f64>>,
}

pub(crate) fn projector(dim: usize) -> ProjectorConfig {
    ProjectorConfig { dim, seed: [7; 32], ..ProjectorConfig::default() }
}

fn ask(task: &Task, attributor: &dyn Attributor) -> Vec<Vec<f64>> {
    let of_query = |query| {
        let scores = task.with_query(query, |query| attributor.scores(query));
        let failed = || vec![f64::NAN; task.about.rows];
        scores.map_or_else(|_| failed(), |scores| scores.into_iter().map(f64::from).collect())
    };
    (0..task.about.queries).into_par_iter().map(of_query).collect()
}

fn fixed(task: &Task, name: &str, attributor: &dyn Attributor) -> Method {
    let scores = ask(task, attributor);
    let settings = vec![Setting { name: String::new(), damping: None, scores }];
    Method { name: name.into(), kind: Kind::Baseline, settings }
}

fn damped(damping: f64, scores: Vec<Vec<f64>>) -> Setting {
    Setting { name: format!("c = {damping}"), damping: Some(damping), scores }
}

/// All methods; sketches of these dimensions.
pub(crate) fn all(
    task: &Task,
    dims: &[usize],
    best: impl Fn(&Method) -> usize,
) -> Result<Vec<Method>, Failure> {
    let mut methods = ours(task, dims, best)?;
    methods.extend(baselines(task)?);
    methods.extend(peers(task));
    Ok(methods)
}

/// Sketches and dense Fisher. The int8 sketches have the damping that is `best` for the floats.
fn ours(
    task: &Task,
    dims: &[usize],
    best: impl Fn(&Method) -> usize,
) -> Result<Vec<Method>, Failure> {
    let mut methods = Vec::new();
    let mut grid = DAMPING.to_vec();
    // The paid dimension first: others look only at its best damping and the values beside that.
    let (paid, others): (Vec<usize>, Vec<usize>) = dims.iter().partition(|dim| **dim == PAID_DIM);
    for dim in paid.into_iter().chain(others) {
        let space = SketchSpace::new(task.gradients(), projector(dim))?;
        let floats = Method {
            name: String::new(),
            kind: Kind::Sketch(dim),
            settings: tried(task, &space, &grid)?,
        };
        let chosen = floats.settings[best(&floats)].damping.expect("sketches are damped");
        for (kind, number, attributor) in [
            (
                Kind::Committed(dim),
                "int8",
                &space.committed(chosen, CLIP_SHARE)? as &dyn Attributor,
            ),
            (Kind::Sketch(dim), "f32", &space.whitened(chosen, Norm::Root)?),
        ] {
            let name = format!("sketch {number}, d = {dim}");
            methods.push(Method {
                name,
                kind,
                settings: vec![damped(chosen, ask(task, attributor))],
            });
        }
        if dim == PAID_DIM {
            let hashed = SketchSpace::hashed(task.gradients(), projector(dim))?;
            let hashed = Method {
                name: format!("sketch f32, hashed, d = {dim}"),
                kind: Kind::Hashed,
                settings: tried(task, &hashed, &grid)?,
            };
            methods.push(hashed);
            methods.push(ensemble(task, &space, chosen)?);
            grid = vec![chosen / 10.0, chosen, chosen * 10.0];
        }
    }
    for (name, blocks) in [("dense Fisher", Blocks::Whole), ("Fisher by tensor", Blocks::PerTensor)]
    {
        let mut fisher = DampedFisher::new(task.gradients(), blocks, 1.0)?;
        let mut settings = Vec::new();
        for c in DAMPING {
            fisher = fisher.with_damping(c)?;
            settings.push(damped(c, ask(task, &fisher)));
        }
        let kind = if blocks == Blocks::Whole { Kind::Dense } else { Kind::ByTensor };
        methods.push(Method { name: name.into(), kind, settings });
    }
    Ok(methods)
}

/// The int8 sketches of every checkpoint, of which the last one's are there.
fn ensemble(task: &Task, last: &SketchSpace, damping: f64) -> Result<Method, Failure> {
    let member = |space: &SketchSpace| -> Result<Box<dyn Attributor>, Failure> {
        Ok(Box::new(space.committed(damping, CLIP_SHARE)?))
    };
    let earlier = task.rows[..task.rows.len() - 1].iter();
    let earlier = earlier.map(|rows| member(&SketchSpace::new(rows, projector(PAID_DIM))?));
    let members = earlier.chain([member(last)]).collect::<Result<Vec<_>, _>>()?;
    let name = format!("sketch int8, d = {PAID_DIM}, {} checkpoints", members.len());
    let scores = ask(task, &Ensemble::new(members)?);
    Ok(Method { name, kind: Kind::Ensemble, settings: vec![damped(damping, scores)] })
}

/// Scores of sketches for each damping, as [`Norm::Root`] has them, without whitening every row again:
/// `s_q^T (F + lambda I)^-1 s_i / |W s_i|^(1/2)`.
fn tried(task: &Task, space: &SketchSpace, grid: &[f64]) -> Result<Vec<Setting>, Failure> {
    let raw = space.raw().rows().flatten().copied().collect();
    let widths: Vec<usize> = space.projector().blocks().iter().map(Range::len).collect();
    let raw = Gradients::new(Layout::tensors(&widths)?, raw)?;
    let (layout, projector) = (task.gradients().layout(), space.projector());
    let queries = (0..task.about.queries).into_par_iter().map(|query| {
        Ok(task.with_query(query, |query| projector.project(&layout.split(query.gradient)?))?)
    });
    let queries = queries.collect::<Result<Vec<_>, Failure>>()?;
    let mut fisher = DampedFisher::new(&raw, Blocks::PerTensor, 1.0)?;
    let mut settings = Vec::new();
    for &c in grid {
        fisher = fisher.with_damping(c)?;
        let own = fisher.self_influence().ok_or("sketches must have a self-influence")?;
        let of_query = |query: &Vec<f32>| {
            let scores = fisher.scores(&Query::of(query))?;
            let divided = scores.iter().zip(&own).map(|(score, own)| {
                if *own > 0.0 { f64::from(*score) / f64::from(*own).powf(0.25) } else { 0.0 }
            });
            Ok(divided.collect())
        };
        settings.push(damped(c, queries.par_iter().map(of_query).collect::<Result<_, Failure>>()?));
    }
    Ok(settings)
}

fn baselines(task: &Task) -> Result<Vec<Method>, Failure> {
    let gradients = task.gradients();
    let mut hidden = Sketches::new(task.hidden.width());
    task.hidden.rows().try_for_each(|row| hidden.push(row))?;
    let checkpoints = task.rates.iter().copied().zip(&task.rows).collect();
    let settings = FACTORS.iter().map(|&factor| {
        let scores = ask(task, &DataInf::new(gradients, factor)?);
        Ok(Setting { name: format!("lambda x {factor}"), damping: None, scores })
    });
    let settings = settings.collect::<Result<_, Failure>>()?;
    let mut methods = vec![
        fixed(task, "random", &Random { rows: gradients.len(), seed: 1 }),
        fixed(task, "gradient dot product", &GradientDot { gradients }),
        fixed(task, "gradient cosine", &Cosine { gradients }),
        fixed(task, "TracIn, 3 checkpoints", &TracIn::new(checkpoints)?),
        fixed(task, "representation similarity", &Representation::new(hidden)),
        Method { name: "DataInf (ours)".into(), kind: Kind::Baseline, settings },
    ];
    if let Some(texts) = task.texts() {
        methods.push(fixed(task, "BM25", &Bm25::new(&texts.rows)));
    }
    Ok(methods)
}

/// dattri's methods: with its own setting, and with the others to choose from.
fn peers(task: &Task) -> Vec<Method> {
    let mut methods = Vec::<Method>::new();
    for (name, table) in &task.peers {
        let (method, setting) = name.split_once('|').unwrap_or((name, ""));
        let scores: Vec<Vec<f64>> =
            table.rows().map(|row| row.iter().copied().map(f64::from).collect()).collect();
        let mut add = |name: String| {
            let setting = Setting { name: setting.into(), damping: None, scores: scores.clone() };
            match methods.iter_mut().find(|method| method.name == name) {
                Some(method) => method.settings.push(setting),
                None => methods.push(Method { name, kind: Kind::Peer, settings: vec![setting] }),
            }
        };
        if setting == "default" {
            add(format!("dattri {method}, default"));
        }
        add(format!("dattri {method}, tuned"));
    }
    methods
}
