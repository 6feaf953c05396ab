//! The attributors against their formulas, written out naively in f64.

use attribution::{
    Error,
    estimate::{
        DAMPING_RANGE, ProjectorConfig, SiteShape, Sketches,
        attributor::{
            Attributor, Blocks, Bm25, Cosine, DampedFisher, DataInf, GradientDot, Gradients,
            Layout, Norm, Query, Random, Representation, SketchSpace, TracIn,
        },
    },
};
use rand::{SeedableRng, rngs::StdRng};

use super::{dot, noise, spearman};

const SITES: [SiteShape; 2] =
    [SiteShape { rank: 2, d_in: 5, d_out: 3 }, SiteShape { rank: 1, d_in: 4, d_out: 6 }];

fn random(layout: &Layout, n: usize, seed: u64) -> Gradients {
    let mut rng = StdRng::seed_from_u64(seed);
    let values = (0..n * layout.len()).map(|j| {
        let scale = 1.0 + (j % layout.len()) as f64;
        (noise(&mut rng) / scale) as f32
    });
    Gradients::new(layout.clone(), values.collect()).unwrap()
}

fn lora(n: usize, seed: u64) -> Gradients {
    random(&Layout::lora(&SITES).unwrap(), n, seed)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn assert_close(ours: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len());
    let size = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (x, y) in ours.iter().zip(expected) {
        assert!((f64::from(*x) - y).abs() <= tolerance * size, "{x} {y}");
    }
}

/// DataInf as its authors' code has it: an inverse-Hessian-vector product per tensor, one training
/// row after the other.
fn datainf(gradients: &Gradients, q: &[f32], factor: f64) -> Vec<f64> {
    let n = gradients.len();
    let mut scores = vec![0.0; n];
    for columns in gradients.layout().ranges() {
        let of = |g: &[f32]| wide(&g[columns.clone()]);
        let mean_square = |g: &[f32]| product(&of(g), &of(g)) / columns.len() as f64;
        let lambda = gradients.rows().map(mean_square).sum::<f64>() / n as f64 / 10.0 * factor;
        let v = of(q);
        let mut hvp = vec![0.0; columns.len()];
        for g in gradients.rows() {
            let g = of(g);
            let c = product(&v, &g) / (lambda + product(&g, &g));
            for j in 0..hvp.len() {
                hvp[j] += (v[j] - c * g[j]) / (n as f64 * lambda);
            }
        }
        for (score, g) in scores.iter_mut().zip(gradients.rows()) {
            *score += product(&hvp, &of(g));
        }
    }
    scores
}

/// `q^T (F + lambda I)^-1 g_i` over a range of columns, by Gaussian elimination.
fn damped(
    gradients: &Gradients,
    columns: std::ops::Range<usize>,
    q: &[f32],
    damping: f64,
) -> Vec<f64> {
    let (n, p) = (gradients.len() as f64, columns.len());
    let rows: Vec<Vec<f64>> = gradients.rows().map(|g| wide(&g[columns.clone()])).collect();
    let fisher = |i: usize, j: usize| rows.iter().map(|g| g[i] * g[j]).sum::<f64>() / n;
    let trace: f64 = (0..p).map(|i| fisher(i, i)).sum();
    let q = wide(&q[columns]);
    let mut m: Vec<Vec<f64>> = (0..p)
        .map(|i| {
            let mut row: Vec<f64> = (0..p).map(|j| fisher(i, j)).collect();
            row[i] += damping * trace / p as f64;
            row.push(q[i]);
            row
        })
        .collect();
    for k in 0..p {
        for i in 0..p {
            if i != k {
                let factor = m[i][k] / m[k][k];
                let from = m[k].clone();
                m[i].iter_mut().zip(from).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    let solved: Vec<f64> = m.iter().enumerate().map(|(i, row)| row[p] / row[i]).collect();
    rows.iter().map(|g| product(&solved, g)).collect()
}

#[test]
fn datainf_is_its_formula() {
    for (n, factor) in [(7, 1.0), (60, 1.0), (60, 0.01), (60, 100.0)] {
        let (gradients, queries) = (lora(n, 1), lora(3, 2));
        let ours = DataInf::new(&gradients, factor).unwrap();
        for q in queries.rows() {
            let expected = datainf(&gradients, q, factor);
            assert_close(&ours.scores(&Query::of(q)).unwrap(), &expected, 1e-6);
        }
    }
}

#[test]
fn a_tensor_without_gradients_adds_nothing_to_datainf() {
    let layout = Layout::tensors(&[3, 4]).unwrap();
    let values = [1.0f32, -2.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 0.0, 0.0, 0.0, 0.0];
    let both = Gradients::new(layout, values.to_vec()).unwrap();
    let short = Layout::tensors(&[3]).unwrap();
    let first = Gradients::new(short, [&values[..3], &values[7..10]].concat()).unwrap();
    let q = [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0];
    let (ours, expected) = (DataInf::new(&both, 1.0).unwrap(), DataInf::new(&first, 1.0).unwrap());
    assert_eq!(ours.scores(&Query::of(&q)).unwrap(), expected.scores(&Query::of(&q[..3])).unwrap());
}

#[test]
fn damped_fisher_is_its_formula_with_few_rows_and_with_many() {
    for n in [4, 20, 25, 26, 80] {
        let (gradients, queries) = (lora(n, 3), lora(2, 4));
        let all = 0..gradients.layout().len();
        let mut whole = DampedFisher::new(&gradients, Blocks::Whole, 1.0).unwrap();
        let mut blocks = DampedFisher::new(&gradients, Blocks::PerTensor, 1.0).unwrap();
        for damping in [0.01, 1.0, 100.0] {
            whole = whole.with_damping(damping).unwrap();
            blocks = blocks.with_damping(damping).unwrap();
            for q in queries.rows() {
                let expected = damped(&gradients, all.clone(), q, damping);
                assert_close(&whole.scores(&Query::of(q)).unwrap(), &expected, 1e-6);
                let mut expected = vec![0.0; n];
                for columns in gradients.layout().ranges() {
                    let part = damped(&gradients, columns.clone(), q, damping);
                    expected.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
                }
                assert_close(&blocks.scores(&Query::of(q)).unwrap(), &expected, 1e-6);
            }
        }
    }
}

#[test]
fn self_influence_is_a_rows_score_for_itself() {
    for n in [9, 60] {
        let gradients = lora(n, 5);
        let checkpoint = lora(n, 6);
        let space = SketchSpace::new(&gradients, sketch(64)).unwrap();
        let attributors: Vec<Box<dyn Attributor + '_>> = vec![
            Box::new(GradientDot { gradients: &gradients }),
            Box::new(DataInf::new(&gradients, 1.0).unwrap()),
            Box::new(DampedFisher::new(&gradients, Blocks::Whole, 0.5).unwrap()),
            Box::new(DampedFisher::new(&gradients, Blocks::PerTensor, 0.5).unwrap()),
            Box::new(TracIn::new(vec![(0.5, &gradients), (0.25, &checkpoint)]).unwrap()),
            Box::new(space.whitened(0.5, Norm::Keep).unwrap()),
        ];
        for attributor in &attributors {
            let expected: Vec<f64> = (0..n)
                .map(|i| {
                    let checkpoints = [gradients.row(i), checkpoint.row(i)];
                    let query = Query { checkpoints: &checkpoints, ..Query::of(gradients.row(i)) };
                    f64::from(attributor.scores(&query).unwrap()[i])
                })
                .collect();
            let own = attributor.self_influence().unwrap();
            assert_close(&own, &expected, 1e-5);
            assert_eq!(attributor.rows(), n, "{}", attributor.name());
        }
    }
}

#[test]
fn plain_products_are_their_formulas() {
    let (gradients, queries) = (lora(12, 7), lora(2, 8));
    let q = queries.row(0);
    let products: Vec<f64> = gradients.rows().map(|g| dot(q, g)).collect();
    let ours = GradientDot { gradients: &gradients }.scores(&Query::of(q)).unwrap();
    assert_close(&ours, &products, 1e-6);
    let cosines: Vec<f64> =
        gradients.rows().map(|g| dot(q, g) / (dot(q, q) * dot(g, g)).sqrt()).collect();
    let ours = Cosine { gradients: &gradients }.scores(&Query::of(q)).unwrap();
    assert_close(&ours, &cosines, 1e-6);

    let later = lora(12, 9);
    let tracin = TracIn::new(vec![(0.5, &gradients), (0.125, &later)]).unwrap();
    let checkpoints = [q, queries.row(1)];
    let query = Query { checkpoints: &checkpoints, ..Query::default() };
    let pairs = gradients.rows().zip(later.rows());
    let expected: Vec<f64> =
        pairs.map(|(g, l)| 0.5 * dot(q, g) + 0.125 * dot(queries.row(1), l)).collect();
    assert_close(&tracin.scores(&query).unwrap(), &expected, 1e-6);

    let mut hidden = Sketches::new(3);
    for row in [[1.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0; 3]] {
        hidden.push(&row).unwrap();
    }
    let query = Query { hidden: &[2.0, 0.0, 0.0], ..Query::default() };
    assert_eq!(Representation::new(hidden).scores(&query).unwrap(), [1.0, 0.6, 0.0]);
}

const fn sketch(dim: usize) -> ProjectorConfig {
    ProjectorConfig { seed: [3; 32], dim, side: 256 }
}

#[test]
fn a_sketch_that_keeps_everything_scores_as_the_dense_fisher() {
    for n in [9, 60, 200] {
        let (gradients, queries) = (lora(n, 10), lora(3, 11));
        // 26 numbers fit into 64 without a projection, tensor by tensor.
        let space = SketchSpace::new(&gradients, sketch(64)).unwrap();
        let dense = DampedFisher::new(&gradients, Blocks::PerTensor, 0.5).unwrap();
        let floats = space.whitened(0.5, Norm::Keep).unwrap();
        let (root, committed) =
            (space.whitened(0.5, Norm::Root).unwrap(), space.committed(0.5, 1e-3).unwrap());
        for q in queries.rows() {
            let query = Query::of(q);
            let expected: Vec<f64> = wide(&dense.scores(&query).unwrap());
            assert_close(&floats.scores(&query).unwrap(), &expected, 1e-5);
            let by_root = wide(&root.scores(&query).unwrap());
            let own = root.self_influence().unwrap();
            let scaled: Vec<f64> =
                expected.iter().zip(own).map(|(x, own)| x / f64::from(own).powf(0.25)).collect();
            let by_root_f32: Vec<f32> = by_root.iter().map(|x| *x as f32).collect();
            assert_close(&by_root_f32, &scaled, 1e-5);
            let integers = wide(&committed.scores(&query).unwrap());
            assert!(n < 60 || spearman(&integers, &by_root) > 0.995);
        }
    }
}

#[test]
fn bm25_is_its_formula() {
    let rows = ["The cat sat.", "the dog, the dog!", "a bird_2 flew"];
    let query = Query { text: "DOG the sat", ..Query::default() };
    let scores = Bm25::new(&rows).scores(&query).unwrap();
    // Lengths 3, 4, 3; "the" is in 2 of 3 texts, "dog" and "sat" in one.
    let idf = |n: f64| (1.0 + (3.0 - n + 0.5) / (n + 0.5)).ln();
    let weight = |f: f64, length: f64| f * 2.2 / (f + 1.2 * (0.25 + 0.75 * length / (10.0 / 3.0)));
    let expected =
        [(idf(2.0) + idf(1.0)) * weight(1.0, 3.0), (idf(2.0) + idf(1.0)) * weight(2.0, 4.0), 0.0];
    assert_close(&scores, &expected, 1e-6);
}

#[test]
fn noise_depends_on_seed_and_query() {
    let noise = |seed, q: &[f32]| Random { rows: 1000, seed }.scores(&Query::of(q)).unwrap();
    let one = noise(1, &[1.0]);
    assert_eq!(one, noise(1, &[1.0]));
    assert!(one != noise(2, &[1.0]) && one != noise(1, &[2.0]));
    let mean = one.iter().map(|x| f64::from(*x)).sum::<f64>() / 1000.0;
    assert!(mean.abs() < 0.1 && one.iter().all(|x| x.abs() <= 1.0), "{mean}");
}

#[test]
fn bad_input_is_refused() {
    let gradients = lora(4, 12);
    let layout = gradients.layout();
    for bad in [&[][..], &[3, 0]] {
        assert!(matches!(Layout::tensors(bad), Err(Error::Setting { .. })));
    }
    assert!(matches!(Gradients::new(layout.clone(), vec![]), Err(Error::Shape { .. })));
    assert!(matches!(Gradients::new(layout.clone(), vec![0.0; 27]), Err(Error::Shape { .. })));
    let nan = vec![f32::NAN; layout.len()];
    assert!(matches!(Gradients::new(layout.clone(), nan.clone()), Err(Error::NotFinite(_))));
    let zeros = Gradients::new(layout.clone(), vec![0.0; 2 * layout.len()]).unwrap();
    assert!(matches!(DataInf::new(&zeros, 1.0), Err(Error::NoSignal)));
    assert!(matches!(DataInf::new(&gradients, 0.0), Err(Error::Setting { .. })));
    assert!(matches!(DampedFisher::new(&zeros, Blocks::Whole, 1.0), Err(Error::NoSignal)));
    let low = DAMPING_RANGE.start() / 2.0;
    let refused = DampedFisher::new(&gradients, Blocks::Whole, low);
    assert!(matches!(refused, Err(Error::Setting { .. })));
    assert!(TracIn::new(vec![]).is_err() && TracIn::new(vec![(f64::NAN, &gradients)]).is_err());
    assert!(TracIn::new(vec![(1.0, &gradients), (1.0, &zeros)]).is_err());
    let tensors = random(&Layout::tensors(&[3, 4]).unwrap(), 5, 1);
    assert!(SketchSpace::new(&tensors, sketch(64)).is_err());
    let dot = GradientDot { gradients: &gradients };
    assert!(matches!(dot.scores(&Query::of(&[1.0])), Err(Error::Shape { .. })));
    assert!(matches!(dot.scores(&Query::of(&nan)), Err(Error::NotFinite(_))));
}
