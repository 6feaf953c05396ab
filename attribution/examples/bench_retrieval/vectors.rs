//! What rounding to int8 costs.

use attribution::retrieval::dot;
use inference::encoder::VECTOR_SCALE;

use super::report::Sheet;

/// Every how many-th row is compared with every row.
const STEP: usize = 29;

pub(crate) fn compare(floats: &[Vec<f32>], ints: &[Vec<i8>], sheet: &mut Sheet) {
    let edge = 127.5 / VECTOR_SCALE as f32;
    let clipped = floats.iter().flatten().filter(|x| x.abs() > edge).count();
    let numbers: usize = floats.iter().map(Vec::len).sum();
    sheet.value("numbers clipped", 1e6 * clipped as f64 / numbers as f64, "ppm");
    let scale = f64::from(VECTOR_SCALE) * f64::from(VECTOR_SCALE);
    let (mut largest, mut squares, mut pairs) = (0.0f64, 0.0, 0.0);
    for (a, x) in floats.iter().zip(ints).step_by(STEP) {
        for (b, y) in floats.iter().zip(ints) {
            let cosine: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            let change = f64::from(dot(x, y)) / scale - cosine;
            largest = largest.max(change.abs());
            squares += change * change;
            pairs += 1.0;
        }
    }
    sheet.value("change of a cosine by int8, largest", largest, "");
    sheet.value("change of a cosine by int8, root mean square", (squares / pairs).sqrt(), "");
}
