//! Least squares with a penalty on the absolute weights, by coordinate descent.

/// Rounds over all weights, at most.
const ROUNDS: usize = 10_000;
/// Weights have settled when none moves by more than this share of the values' spread.
const SETTLED: f64 = 1e-9;

/// Weights and intercept that minimise `1/(2n) sum (y - b - w x)^2 + penalty sum |v|`, where `v` are
/// the weights of columns scaled to unit variance (Friedman, Hastie and Tibshirani 2010, eq. 5). A
/// column that is the same in all rows has weight 0.
pub(super) fn fit(rows: &[Vec<bool>], values: &[f64], penalty: f64) -> (Vec<f64>, f64) {
    let n = rows.len() as f64;
    let width = rows.first().map_or(0, Vec::len);
    let mean_value = values.iter().sum::<f64>() / n;
    let of = |kept: bool| if kept { 1.0 } else { 0.0 };
    let means: Vec<f64> =
        (0..width).map(|j| rows.iter().map(|row| of(row[j])).sum::<f64>() / n).collect();
    // The variance of a share of ones.
    let spreads: Vec<f64> = means.iter().map(|mean| (mean * (1.0 - mean)).sqrt()).collect();
    let column = |j: usize| -> Vec<f64> {
        rows.iter().map(|row| (of(row[j]) - means[j]) / spreads[j]).collect()
    };
    let columns: Vec<Vec<f64>> =
        (0..width).map(|j| if spreads[j] > 0.0 { column(j) } else { Vec::new() }).collect();
    let mut rest: Vec<f64> = values.iter().map(|value| value - mean_value).collect();
    let spread = (rest.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
    let mut weights = vec![0.0; width];
    for _ in 0..ROUNDS {
        let mut moved = 0.0f64;
        for (column, weight) in columns.iter().zip(&mut weights) {
            if column.is_empty() {
                continue;
            }
            let product: f64 = column.iter().zip(&rest).map(|(x, r)| x * r).sum();
            let wanted = soften(product / n + *weight, penalty);
            let step = wanted - *weight;
            rest.iter_mut().zip(column).for_each(|(r, x)| *r -= step * x);
            *weight = wanted;
            moved = moved.max(step.abs());
        }
        if moved <= SETTLED * spread {
            break;
        }
    }
    for (weight, spread) in weights.iter_mut().zip(&spreads) {
        *weight = if *spread > 0.0 { *weight / spread } else { 0.0 };
    }
    let shift: f64 = weights.iter().zip(&means).map(|(weight, mean)| weight * mean).sum();
    (weights, mean_value - shift)
}

/// `sign(x) max(|x| - penalty, 0)`.
fn soften(x: f64, penalty: f64) -> f64 {
    x.signum() * (x.abs() - penalty).max(0.0)
}
