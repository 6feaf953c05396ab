//! Exact integer dot products of a query sketch with rows and with contributors' sums.

use rayon::prelude::*;

use super::kernel::widest;

/// Terms that `i16` pair products may sum to in one `i32` lane group before it is widened.
const LANES: usize = 16;
/// Rows that one task scores.
const TASK_ROWS: usize = 256;
/// Contributors that one task scores.
const TASK_SUMS: usize = 64;

/// `q . t` of two int8 vectors of equal length, at most 8192 long: `|q . t| <= 8192 * 128^2`
/// is below `2^31`, so the wrapping sums below never wrap. (Checked sums would keep the compiler
/// from using the CPU's 16-bit multiply-add.)
#[inline(always)]
pub(super) fn dot_i8(q: &[i8], t: &[i8]) -> i32 {
    let (q_body, t_body) = (q.chunks_exact(LANES), t.chunks_exact(LANES));
    let tail = q_body.remainder().iter().zip(t_body.remainder());
    let mut sum = tail.fold(0i32, |sum, (a, b)| sum.wrapping_add(i32::from(*a) * i32::from(*b)));
    let mut lanes = [0i32; LANES];
    for (a, b) in q_body.zip(t_body) {
        for k in 0..LANES {
            lanes[k] = lanes[k].wrapping_add(i32::from(a[k]).wrapping_mul(i32::from(b[k])));
        }
    }
    for lane in lanes {
        sum = sum.wrapping_add(lane);
    }
    sum
}

/// `q . T` of an int8 and an int32 vector of equal length, at most 8192 long:
/// `|q . T| <= 8192 * 128 * 2^31 = 2^51`, so the wrapping sum never wraps.
#[inline(always)]
fn dot_i32(q: &[i8], sums: &[i32]) -> i64 {
    let terms = q.iter().zip(sums);
    terms.fold(0, |sum, (a, b)| sum.wrapping_add(i64::from(*a).wrapping_mul(i64::from(*b))))
}

/// `q . t_i` for every row of `rows: (n, d)`.
pub(crate) fn rows(q: &[i8], rows: &[i8]) -> Vec<i32> {
    each(rows, q.len(), TASK_ROWS, |t| dot_i8(q, t))
}

/// `q . T_c` for every row of `sums: (contributors, d)`.
pub(crate) fn contributors(q: &[i8], sums: &[i32]) -> Vec<i64> {
    each(sums, q.len(), TASK_SUMS, |t| dot_i32(q, t))
}

/// `score` of every row of `rows: (n, width)`, `task` of them at a time.
#[inline(always)]
fn each<T: Sync, S: Clone + Default + Send>(
    rows: &[T],
    width: usize,
    task: usize,
    score: impl Fn(&[T]) -> S + Sync,
) -> Vec<S> {
    let mut scores = vec![S::default(); rows.len() / width];
    let tasks = scores.par_chunks_mut(task).zip(rows.par_chunks(task * width));
    tasks.for_each(|(scores, rows)| {
        widest(|| {
            let rows = rows.chunks_exact(width);
            scores.iter_mut().zip(rows).for_each(|(to, row)| *to = score(row));
        });
    });
    scores
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Term by term in i128, as the definition reads.
    fn reference(q: &[i8], t: &[i32]) -> i128 {
        q.iter().zip(t).map(|(a, b)| i128::from(*a) * i128::from(*b)).sum()
    }

    proptest! {
        #[test]
        fn fast_sums_equal_the_definition(
            pairs in prop::collection::vec(any::<(i8, i8, i32)>(), 1..200),
        ) {
            let q: Vec<i8> = pairs.iter().map(|p| p.0).collect();
            let t: Vec<i8> = pairs.iter().map(|p| p.1).collect();
            let wide: Vec<i32> = t.iter().map(|x| i32::from(*x)).collect();
            let sums: Vec<i32> = pairs.iter().map(|p| p.2).collect();
            prop_assert_eq!(i128::from(dot_i8(&q, &t)), reference(&q, &wide));
            prop_assert_eq!(i128::from(dot_i32(&q, &sums)), reference(&q, &sums));
        }
    }

    #[test]
    fn extreme_sketches_of_the_largest_dimension_do_not_wrap() {
        let (q, t) = (vec![-128i8; 8192], vec![-128i8; 8192]);
        assert_eq!(rows(&q, &t), [8192 * 128 * 128]);
        assert_eq!(contributors(&q, &vec![i32::MIN; 8192]), [8192 * 128 * (1i64 << 31)]);
    }
}
