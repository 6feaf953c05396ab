//! The estimate against the truth on a convex task: ridge regression, where leaving a row out and
//! solving again is cheap and exact.

use attribution::estimate::{
    IndexBuilder, IndexConfig, InfluenceIndex, Projector, ProjectorConfig, SiteGradient, SiteShape,
};
use rand::{SeedableRng, rngs::StdRng};

use super::{dot, noise, source, spearman};

const FEATURES: usize = 12;
const ROWS: usize = 400;
const RIDGE: f64 = 1e-6;
/// The weights as a site's `A: (1, FEATURES)`; its `B` has one number without a gradient.
const SHAPE: SiteShape = SiteShape { rank: 1, d_in: FEATURES, d_out: 1 };

type Example = ([f64; FEATURES], f64);

/// Features of very unlike scale, so that gradients must be whitened to rank rows. The least
/// eigenvalue is near 1e-5 of the mean one, which is why the damping below is no larger.
fn examples(n: usize, rng: &mut StdRng) -> Vec<Example> {
    let example = |_| {
        let x: [f64; FEATURES] = std::array::from_fn(|j| noise(rng) * 0.6f64.powi(j as i32));
        let y = x.iter().enumerate().map(|(j, x)| x * (1.0 + j as f64)).sum::<f64>();
        (x, y + noise(rng))
    };
    (0..n).map(example).collect()
}

/// Weights that minimise `sum (x w - y)^2 + RIDGE |w|^2`.
fn fit<'a>(examples: impl Iterator<Item = &'a Example>) -> [f64; FEATURES] {
    let mut m = [[0.0; FEATURES + 1]; FEATURES];
    (0..FEATURES).for_each(|i| m[i][i] = RIDGE);
    for (x, y) in examples {
        for i in 0..FEATURES {
            (0..FEATURES).for_each(|j| m[i][j] += x[i] * x[j]);
            m[i][FEATURES] += x[i] * y;
        }
    }
    for k in 0..FEATURES {
        for i in (0..FEATURES).filter(|i| *i != k) {
            let factor = m[i][k] / m[k][k];
            (k..=FEATURES).for_each(|j| m[i][j] -= factor * m[k][j]);
        }
    }
    std::array::from_fn(|i| m[i][FEATURES] / m[i][i])
}

fn error(w: &[f64; FEATURES], (x, y): &Example) -> f64 {
    x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() - y
}

/// Gradient of the log-likelihood `-(x w - y)^2 / 2`.
fn gradient(w: &[f64; FEATURES], example: &Example) -> Vec<f32> {
    example.0.iter().map(|x| (-error(w, example) * x) as f32).collect()
}

const fn site(a: &[f32]) -> [SiteGradient<'_>; 1] {
    [SiteGradient { a, b: &[0.0], rank: SHAPE.rank, d_in: SHAPE.d_in, d_out: SHAPE.d_out }]
}

struct Task {
    train: Vec<Example>,
    queries: Vec<Example>,
    w: [f64; FEATURES],
}

impl Task {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let train = examples(ROWS, &mut rng);
        let w = fit(train.iter());
        Self { train, queries: examples(20, &mut rng), w }
    }

    /// How much more likely each row made each query: its log-likelihood with all rows minus that
    /// without the row. `(queries, rows)`.
    fn left_out(&self) -> Vec<Vec<f64>> {
        let likelihood = |w: &[f64; FEATURES], q: &Example| -error(w, q).powi(2) / 2.0;
        let without = |i: usize| {
            fit(self.train.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, row)| row))
        };
        let refits: Vec<[f64; FEATURES]> = (0..ROWS).map(without).collect();
        let gain = |q: &Example, w: &[f64; FEATURES]| likelihood(&self.w, q) - likelihood(w, q);
        self.queries.iter().map(|q| refits.iter().map(|w| gain(q, w)).collect()).collect()
    }

    fn index(&self, damping: f64) -> InfluenceIndex {
        let sketches = ProjectorConfig { seed: [0; 32], dim: 16, side: 256 };
        let projector = Projector::new(&[SHAPE], sketches).unwrap();
        let config = IndexConfig { damping, ..Default::default() };
        let mut builder = IndexBuilder::new(projector, config).unwrap();
        for (i, row) in (0..).zip(&self.train) {
            let a = gradient(&self.w, row);
            builder.push(source(i, 1, i), &site(&a)).unwrap();
        }
        builder.finish(|_| {}).unwrap().0
    }

    /// Mean over queries of the rank correlation with leaving rows out.
    fn agreement(&self, truth: &[Vec<f64>], score: impl Fn(&[f32]) -> Vec<f64>) -> f64 {
        let each = self.queries.iter().zip(truth);
        let sum: f64 = each.map(|(q, truth)| spearman(&score(&gradient(&self.w, q)), truth)).sum();
        sum / self.queries.len() as f64
    }
}

#[test]
fn influence_ranks_rows_as_leaving_them_out_does() {
    for seed in [1, 2, 3] {
        let task = Task::new(seed);
        let truth = task.left_out();
        let index = task.index(1e-5);
        let raw: Vec<Vec<f32>> = task.train.iter().map(|row| gradient(&task.w, row)).collect();
        let whiten = |g: &[f32]| {
            let sketch = index.projector().project(&site(g)).unwrap();
            index.whitening().apply(&sketch).unwrap()
        };
        let whitened: Vec<Vec<f32>> = raw.iter().map(|g| whiten(g)).collect();
        let exact = task.agreement(&truth, |q| {
            let q = whiten(q);
            whitened.iter().map(|t| dot(&q, t)).collect()
        });
        let plain = task.agreement(&truth, |q| raw.iter().map(|g| dot(q, g)).collect());
        // Ties of equal integers are broken by place, which favours nobody.
        let committed = task.agreement(&truth, |q| {
            let scores = index.score_rows(&index.query(&site(q)).unwrap()).unwrap();
            scores.into_iter().map(f64::from).collect()
        });
        eprintln!("seed {seed}: Fisher {exact:.3}, int8 {committed:.3}, plain {plain:.3}");
        assert!(exact >= 0.9, "seed {seed}: {exact}");
        assert!(committed >= 0.9, "seed {seed}: {committed}");
        assert!(committed > plain + 0.3, "seed {seed}: {plain}");
    }
}

#[test]
fn mislabelled_rows_stand_out_by_self_influence() {
    let mut task = Task::new(4);
    let flipped: Vec<usize> = (0..ROWS).step_by(10).collect();
    for i in &flipped {
        task.train[*i].1 += 6.0;
    }
    task.w = fit(task.train.iter());
    let index = task.index(0.1);
    let mut order: Vec<usize> = (0..ROWS).collect();
    order.sort_by(|i, j| {
        index.rows()[*j].self_influence.total_cmp(&index.rows()[*i].self_influence)
    });
    let found = order[..flipped.len()].iter().filter(|i| flipped.contains(i)).count();
    assert!(found * 10 >= flipped.len() * 8, "{found} of {}", flipped.len());
}
