//! What rounding to int8 costs.

use attribution::retrieval::dot;
use inference::encoder::{VECTOR_SCALE, quantise};

use super::report::Sheet;

/// Every how many-th row is compared with every row.
const STEP: usize = 29;

/// - `rows`: each with its vectors, of the whole text first
pub(crate) fn compare(set: &str, rows: &[Vec<Vec<f32>>], sheet: &mut Sheet) {
    let edge = 127.5 / VECTOR_SCALE as f32;
    let clipped = rows.iter().flatten().flatten().filter(|x| x.abs() > edge).count();
    let numbers: usize = rows.iter().flatten().map(Vec::len).sum();
    sheet.value(&format!("{set}: numbers clipped"), 1e6 * clipped as f64 / numbers as f64, "ppm");
    let scale = f64::from(VECTOR_SCALE) * f64::from(VECTOR_SCALE);
    let (mut largest, mut squares, mut pairs) = (0.0f64, 0.0, 0.0);
    let wholes: Vec<(&Vec<f32>, Vec<i8>)> =
        rows.iter().map(|row| (&row[0], quantise(&row[0]))).collect();
    for (a, x) in wholes.iter().step_by(STEP) {
        for (b, y) in &wholes {
            let cosine: f64 = a.iter().zip(*b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            let change = f64::from(dot(x, y)) / scale - cosine;
            largest = largest.max(change.abs());
            squares += change * change;
            pairs += 1.0;
        }
    }
    sheet.value(&format!("{set}: change of a cosine by int8, largest"), largest, "");
    let mean: f64 = squares / pairs;
    sheet.value(&format!("{set}: change of a cosine by int8, root mean square"), mean.sqrt(), "");
}
