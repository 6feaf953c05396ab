use attribution::{
    Error,
    estimate::{Fisher, Sketches, Whitening},
};
use rand::{SeedableRng, rngs::StdRng};

use super::{dot, noise};

fn sketches(n: usize, dim: usize, seed: u64) -> Sketches {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sketches = Sketches::new(dim);
    for _ in 0..n {
        let row: Vec<f32> = (0..dim).map(|j| (noise(&mut rng) / (1.0 + j as f64)) as f32).collect();
        sketches.push(&row).unwrap();
    }
    sketches
}

/// `(F + lambda I)^-1 s` by Gaussian elimination with pivoting, from the definition.
fn solve(rows: &Sketches, lambda: f64, s: &[f32]) -> Vec<f64> {
    let dim = rows.dim();
    let mut m: Vec<Vec<f64>> = (0..dim)
        .map(|i| {
            let fisher = |j: usize| {
                rows.rows().map(|s| f64::from(s[i]) * f64::from(s[j])).sum::<f64>()
                    / rows.len() as f64
            };
            let mut row: Vec<f64> = (0..dim).map(fisher).collect();
            row[i] += lambda;
            row.push(f64::from(s[i]));
            row
        })
        .collect();
    for k in 0..dim {
        let pivot = (k..dim).max_by(|a, b| m[*a][k].abs().total_cmp(&m[*b][k].abs())).unwrap();
        m.swap(k, pivot);
        for i in 0..dim {
            if i != k {
                let factor = m[i][k] / m[k][k];
                let from = m[k].clone();
                m[i].iter_mut().zip(from).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    m.iter().enumerate().map(|(i, row)| row[dim] / row[i]).collect()
}

#[test]
fn whitened_products_equal_the_dense_inverse() {
    // Few rows use the factored form, many the dense one.
    for (n, dim) in [(10, 32), (20, 32), (100, 32)] {
        let rows = sketches(n, dim, 5);
        let fisher = Fisher::new(&rows).unwrap();
        for damping in [0.01, 1.0] {
            let whitening = fisher.whitening(damping).unwrap();
            assert_eq!(whitening.lambda(), damping * fisher.trace() / dim as f64);
            for q in sketches(4, dim, 6).rows() {
                let solved = solve(&rows, whitening.lambda(), q);
                let q = whitening.apply(q).unwrap();
                for s in rows.rows().take(5) {
                    let expected: f64 = solved.iter().zip(s).map(|(x, y)| x * f64::from(*y)).sum();
                    let got = dot(&q, &whitening.apply(s).unwrap());
                    let size = expected.abs().max(1.0);
                    assert!((got - expected).abs() < 1e-4 * size, "n {n}: {got} {expected}");
                }
            }
        }
    }
}

/// Blocks are whitened as if each were a Fisher matrix of its own, whichever way each is decomposed;
/// one without a gradient gives nothing.
#[test]
fn blocks_are_whitened_by_themselves() {
    let blocks = [0..20, 20..24, 24..28];
    for n in [10, 100] {
        let mut rows = Sketches::new(28);
        for row in sketches(n, 28, 5).rows() {
            rows.push(&[&row[..24], &[0.0; 4]].concat()).unwrap();
        }
        let fisher = Fisher::of_blocks(&rows, &blocks).unwrap();
        let whole = Fisher::new(&rows).unwrap();
        assert!((fisher.trace() / whole.trace() - 1.0).abs() < 1e-12);
        let whitening = fisher.whitening(0.3).unwrap();
        assert_eq!(whitening.dim(), 28);
        let query = sketches(1, 28, 6);
        let whitened = whitening.apply(query.row(0)).unwrap();
        assert_eq!(whitened[24..], [0.0; 4]);
        for columns in &blocks[..2] {
            let mut part = Sketches::new(columns.len());
            rows.rows().for_each(|row| part.push(&row[columns.clone()]).unwrap());
            let alone = Fisher::new(&part).unwrap().whitening(0.3).unwrap();
            let alone = alone.apply(&query.row(0)[columns.clone()]).unwrap();
            let size = dot(&alone, &alone).sqrt() as f32;
            for (x, y) in alone.iter().zip(&whitened[columns.clone()]) {
                assert!((x - y).abs() <= 1e-5 * size, "{n} {columns:?}: {x} {y}");
            }
        }
    }
}

#[test]
fn the_trace_is_the_mean_squared_norm_and_the_sum_of_eigenvalues() {
    for n in [8, 64] {
        let rows = sketches(n, 32, 1);
        let fisher = Fisher::new(&rows).unwrap();
        let mean = rows.rows().map(|s| dot(s, s)).sum::<f64>() / n as f64;
        assert!((fisher.trace() - mean).abs() < 1e-9 * mean);
        assert!((fisher.eigenvalues().sum::<f64>() - mean).abs() < 1e-9 * mean);
    }
}

#[test]
fn building_and_applying_twice_gives_the_same_bits() {
    let rows = sketches(40, 32, 2);
    let build = || Fisher::new(&rows).unwrap().whitening(0.1).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (many, one) = (build(), pool.install(build));
    assert_eq!(many, one);
    assert_eq!(many.apply(rows.row(3)).unwrap(), one.apply(rows.row(3)).unwrap());
}

#[test]
fn tuning_takes_the_best_score_and_the_first_of_equals() {
    let fisher = Fisher::new(&sketches(10, 32, 3)).unwrap();
    let score = |w: &Whitening| Ok(-(w.lambda() / fisher.trace() * 32.0).log10().abs());
    let (best, trials) = fisher.tune(&[0.01, 1.0, 10.0], score).unwrap();
    assert_eq!(best.damping, 1.0);
    assert_eq!(trials.len(), 3);
    let (best, _) = fisher.tune(&[5.0, 2.0], |_| Ok(1.0)).unwrap();
    assert_eq!(best.damping, 5.0);
}

#[test]
fn bad_input_is_refused() {
    let empty = Sketches::new(32);
    assert!(matches!(Fisher::new(&empty), Err(Error::NoSignal)));
    let mut zeros = Sketches::new(32);
    zeros.push(&[0.0; 32]).unwrap();
    assert!(matches!(Fisher::new(&zeros), Err(Error::NoSignal)));
    assert!(matches!(zeros.push(&[0.0; 31]), Err(Error::Shape { .. })));
    assert!(matches!(zeros.push(&[f32::INFINITY; 32]), Err(Error::NotFinite("sketch"))));
    let fisher = Fisher::new(&sketches(10, 32, 3)).unwrap();
    for damping in [0.0, -1.0, f64::NAN, 1e7] {
        assert!(matches!(fisher.whitening(damping), Err(Error::Setting { .. })));
    }
    assert!(matches!(fisher.tune(&[], |_| Ok(0.0)), Err(Error::Setting { .. })));
    assert!(matches!(fisher.tune(&[1.0], |_| Ok(f64::NAN)), Err(Error::NotFinite(_))));
    let whitening = fisher.whitening(1.0).unwrap();
    assert!(matches!(whitening.apply(&[1.0; 31]), Err(Error::Shape { .. })));
    assert!(matches!(whitening.apply(&[f32::NAN; 32]), Err(Error::NotFinite(_))));
}
