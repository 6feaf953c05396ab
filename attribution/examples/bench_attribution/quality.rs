//! Linear datamodelling scores, what quantisation changes, mislabelled rows, loss rises.

use std::{collections::BTreeMap, fs, path::Path};

use attribution::{
    estimate::attributor::{
        Attributor, Blocks, Cosine, DampedFisher, GradientDot, Gradients, Norm, SketchSpace,
    },
    evaluate::{auc, bootstrap, bootstrap_mean, lds, loss_rise, spearman, top_rows},
    settle::keccak,
};
use serde::{Deserialize, Serialize};

use crate::{
    Failure,
    methods::{DIMS, Kind, Method, PAID_DIM, QUICK_DIMS, all, projector},
    payouts,
    sheet::{Row, Sheet, Target},
    task::{Part, Task},
};

const RESAMPLES: usize = 2000;
const SEED: u64 = 1;
/// Share of the rows that is removed to see the loss rise.
const DROPPED: f64 = 0.01;

/// Queries that settings are chosen on; figures are of the others.
const fn is_for_tuning(query: usize) -> bool {
    query.is_multiple_of(2)
}

fn judged(task: &Task) -> Vec<usize> {
    (0..task.about.queries).filter(|&query| !is_for_tuning(query)).collect()
}

/// LDS of each of these queries; 0 where the method predicts nothing.
fn scores_of(task: &Task, scores: &[Vec<f64>], queries: &[usize]) -> Vec<f64> {
    let of_query = |&query: &usize| {
        let outputs = task.outputs(query, 0..task.seeds());
        lds(&task.subsets, &scores[query], &outputs).ok().flatten().unwrap_or(0.0)
    };
    queries.iter().map(of_query).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The setting with the largest LDS on the queries for tuning.
fn tuned(task: &Task, method: &Method) -> usize {
    let queries: Vec<usize> = (0..task.about.queries).filter(|&q| is_for_tuning(q)).collect();
    let found = method.settings.iter().map(|s| mean(&scores_of(task, &s.scores, &queries)));
    let best = found.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(at, _)| at)
}

/// Rows that each method removes for each of some queries.
#[derive(Debug, Deserialize, Serialize)]
struct Plan {
    digest: String,
    queries: Vec<usize>,
    methods: BTreeMap<String, Vec<Vec<u32>>>,
}

/// Writes `drops.json`.
pub(crate) fn plan(folder: &Path) -> Result<(), Failure> {
    let task = Task::load(folder)?;
    let wanted = match (&*task.about.task, task.about.quick) {
        ("digits", quick) => {
            if quick {
                10
            } else {
                40
            }
        }
        ("text", _) => 8,
        _ => 4,
    };
    let queries: Vec<usize> = judged(&task).into_iter().take(wanted).collect();
    let mut methods = BTreeMap::new();
    for method in all(&task, &[PAID_DIM], |method| tuned(&task, method))? {
        let default = method.kind == Kind::Peer && method.name.ends_with("default");
        if default || matches!(method.kind, Kind::Sketch(_) | Kind::Hashed | Kind::Ensemble) {
            continue;
        }
        let scores = &method.settings[tuned(&task, &method)].scores;
        let top = |&query: &usize| top_rows(&scores[query], DROPPED);
        methods.insert(method.name, queries.iter().map(top).collect());
    }
    let bytes = serde_json::to_vec(&(&queries, &methods))?;
    let digest = keccak(&[&bytes])[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let plan = Plan { digest, queries, methods };
    Ok(fs::write(folder.join("drops.json"), serde_json::to_vec(&plan)?)?)
}

/// All figures of one task.
pub(crate) fn measure(folder: &Path, results: &Path) -> Result<(), Failure> {
    let task = Task::load(folder)?;
    let mut sheet = Sheet::default();
    let methods = all(&task, if task.about.quick { &QUICK_DIMS } else { &DIMS }, |method| {
        tuned(&task, method)
    })?;
    let damping = correlations(&task, &methods, &mut sheet);
    mislabelled(&task, folder, damping, &mut sheet)?;
    rises(&task, folder, &mut sheet)?;
    payouts::measure(&task, folder, damping, &mut sheet)?;
    sheet.write(results, &task.about.task)
}

/// LDS of every method; returns the damping of the sketches that are paid by.
fn correlations(task: &Task, methods: &[Method], sheet: &mut Sheet) -> f64 {
    let name = &task.about.task;
    let queries = judged(task);
    let mut found: Vec<(&Method, &str, Vec<f64>)> = Vec::new();
    let mut damping = 1.0;
    for method in methods {
        let setting = &method.settings[tuned(task, method)];
        found.push((method, &setting.name, scores_of(task, &setting.scores, &queries)));
        if method.kind == Kind::Committed(PAID_DIM) {
            damping = setting.damping.unwrap_or(damping);
        }
    }
    let of = |kind: Kind| found.iter().find(|f| f.0.kind == kind).map(|f| &f.2);
    let best = found.iter().filter(|f| f.0.kind == Kind::Peer);
    let best = best.max_by(|a, b| mean(&a.2).total_cmp(&mean(&b.2)));
    for (method, setting, values) in &found {
        let Some(interval) = bootstrap_mean(values, RESAMPLES, SEED) else { continue };
        let setting = if setting.is_empty() { String::new() } else { format!(" ({setting})") };
        let row = Row::with(format!("{name}: LDS, {}{setting}", method.name), interval, "");
        let row = match (method.kind, best) {
            (Kind::Committed(PAID_DIM), Some(best)) => {
                row.against(&best.0.name, mean(&best.2)).target(Target::AtLeast(mean(&best.2)))
            }
            _ => row,
        };
        sheet.push(row);
    }
    if let (Some(paid), Some(best)) = (of(Kind::Committed(PAID_DIM)), best) {
        let ahead: Vec<f64> = paid.iter().zip(&best.2).map(|(a, b)| a - b).collect();
        if let Some(ahead) = bootstrap_mean(&ahead, RESAMPLES, SEED) {
            let title = format!("{name}: LDS, int8 d = {PAID_DIM} less {}", best.0.name);
            sheet.push(Row::with(title, ahead, ""));
        }
    }
    if let (Some(paid), Some(several)) = (of(Kind::Committed(PAID_DIM)), of(Kind::Ensemble)) {
        let gain: Vec<f64> = several.iter().zip(paid).map(|(a, b)| a - b).collect();
        let count = task.rows.len();
        if let Some(gain) = bootstrap_mean(&gain, RESAMPLES, SEED) {
            let title = format!("{name}: LDS, gain of an ensemble of {count} checkpoints");
            sheet.push(Row::with(title, gain, ""));
        }
        let title = format!("{name}: gradients and index bytes of that ensemble, against one");
        sheet.push(Row::of(title, count as f64, "x"));
    }
    for (kind, what) in [(Kind::Dense, "dense Fisher"), (Kind::ByTensor, "Fisher by tensor")] {
        let (Some(paid), Some(dense)) = (of(Kind::Committed(PAID_DIM)), of(kind)) else {
            continue;
        };
        let share = bootstrap(paid.len(), RESAMPLES, SEED, |drawn| {
            let sum = |values: &[f64]| drawn.iter().map(|&i| values[i]).sum::<f64>();
            Some(sum(paid) / sum(dense))
        });
        if let Some(share) = share {
            let title = format!("{name}: LDS, int8 d = {PAID_DIM} over {what}");
            sheet.push(Row::with(title, share, "").target(Target::AtLeast(0.97)));
        }
    }
    for dim in DIMS {
        let (Some(int8), Some(float)) = (of(Kind::Committed(dim)), of(Kind::Sketch(dim))) else {
            continue;
        };
        let change: Vec<f64> = int8.iter().zip(float).map(|(a, b)| a - b).collect();
        let change = mean(&change).abs();
        let row = Row::of(format!("{name}: LDS change, float to int8, d = {dim}"), change, "");
        sheet.push(row.target(Target::AtMost(0.002)));
    }
    ceiling(task, &queries, sheet);
    let about = &task.about;
    sheet.note(format!(
        "{name}: {} rows, {} queries ({} judged), {} half subsets x {} seeds, p = {}",
        about.rows,
        about.queries,
        queries.len(),
        about.subsets,
        task.seeds(),
        task.gradients().layout().len()
    ));
    damping
}

/// How well retraining with one seed predicts retraining with another.
fn ceiling(task: &Task, queries: &[usize], sheet: &mut Sheet) {
    if task.seeds() < 2 {
        return;
    }
    let of_query = |&q: &usize| spearman(&task.outputs(q, 0..1), &task.outputs(q, 1..2));
    let values: Vec<f64> = queries.iter().filter_map(of_query).collect();
    if let Some(found) = bootstrap_mean(&values, RESAMPLES, SEED) {
        sheet.push(Row::with(
            format!("{}: seed ceiling, one seed against another", task.about.task),
            found,
            "",
        ));
    }
}

/// Areas under the curve of finding spoilt rows by their influence on themselves.
fn mislabelled(task: &Task, folder: &Path, damping: f64, sheet: &mut Sheet) -> Result<(), Failure> {
    let part = Part::read(folder, "spread")?;
    let flags: Vec<bool> = part.places("flags")?.into_iter().map(|flag| flag == 1).collect();
    let gradients: Gradients = part.gradients("rows", &task.about)?;
    let space = SketchSpace::new(&gradients, projector(PAID_DIM))?;
    let own = |attributor: &dyn Attributor| {
        let own = attributor.self_influence()?;
        auc(&own.into_iter().map(f64::from).collect::<Vec<_>>(), &flags)
    };
    let unseen = Part::read(folder, "unseen")?.floats("unseen")?;
    let unseen: Vec<f64> = unseen.row(0).iter().copied().map(f64::from).collect();
    if let Some(area) = auc(&unseen, &flags) {
        let title =
            format!("{}: AUC of 10% spoilt rows, loss of models without the row", task.about.task);
        sheet.push(Row::of(title, area, ""));
    }
    let dense = DampedFisher::new(&gradients, Blocks::Whole, damping)?;
    let norm = GradientDot { gradients: &gradients };
    let cosine = Cosine { gradients: &gradients };
    let found: [(&str, &dyn Attributor, Option<Target>); 4] = [
        ("int8 sketches", &space.whitened(damping, Norm::Root)?, Some(Target::AtLeast(0.95))),
        ("dense Fisher", &dense, None),
        ("gradient norm", &norm, None),
        ("gradient cosine", &cosine, None),
    ];
    for (name, attributor, target) in found {
        let Some(area) = own(attributor) else { continue };
        let row = Row::of(format!("{}: AUC of 10% spoilt rows, {name}", task.about.task), area, "");
        sheet.push(Row { target, ..row });
    }
    Ok(())
}

/// Loss rises after the top 1% of each method are removed and the model is retrained.
fn rises(task: &Task, folder: &Path, sheet: &mut Sheet) -> Result<(), Failure> {
    let Ok(plan) = fs::read(folder.join("drops.json")) else { return Ok(()) };
    let plan: Plan = serde_json::from_slice(&plan)?;
    let Ok(part) = Part::read(folder, &format!("drops-{}", plan.digest)) else { return Ok(()) };
    let losses = |name: &str| -> Result<Vec<f64>, Failure> {
        Ok(part.floats(name)?.row(0).iter().map(|x| -f64::from(*x)).collect())
    };
    let before = losses("before")?;
    let paid = format!("sketch int8, d = {PAID_DIM}");
    let mut found = Vec::new();
    for method in plan.methods.keys() {
        let after = losses(&format!("after.{method}"))?;
        let rise = bootstrap(before.len(), RESAMPLES, SEED, |drawn| {
            let pick = |values: &[f64]| drawn.iter().map(|&i| values[i]).collect::<Vec<_>>();
            loss_rise(&pick(&before), &pick(&after))
        });
        found.extend(rise.map(|rise| (method, rise)));
    }
    // The unprojected estimates are our own too.
    let ours = [&*paid, "dense Fisher", "Fisher by tensor"];
    let others = found.iter().filter(|(name, _)| !ours.contains(&name.as_str()));
    let best = others.max_by(|a, b| a.1.value.total_cmp(&b.1.value)).copied();
    let name = &task.about.task;
    for (method, rise) in &found {
        let row =
            Row::with(format!("{name}: loss rise without the top 1%, {method}"), *rise, "nats");
        let row = match best {
            Some((peer, best)) if **method == paid => {
                row.against(peer, best.value).target(Target::Above(best.value))
            }
            _ => row,
        };
        sheet.push(row);
    }
    Ok(())
}
