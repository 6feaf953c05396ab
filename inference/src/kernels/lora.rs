//! The low-rank deltas of many adapters in one pass: `y_i += sum_k s_k (x_i A_k^T) B_k^T`.
//!
//! First all parts' `h = x A^T` (shrink), then all `y += s (h B^T)` (expand). In decoding almost
//! every row has an adapter of its own, so a row's sum is one chain of dependent additions: chains of
//! different rows, whatever their adapters, run side by side to hide its latency. Nothing is gathered
//! or copied: rows and weights are read where they lie.

use std::ops::Range;

use super::{
    LANES,
    dispatch::Kernel,
    panel::{Bf16, Element, Matrices, PanelShape},
};

/// One adapter's part at one site.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    /// Rows of `x` and `y` that get it.
    pub(crate) rows: Range<usize>,
    /// `s`, the request's weight included.
    pub(crate) scale: f32,
    pub(crate) rank: usize,
    pub(crate) matrices: Matrices<'a>,
}

/// Adds `parts`, in order, to some rows of `y`.
///
/// Element `j` of `h` is the sum over `k = 0, 1, ...` of the rounded products `x[k] A[j][k]`, element
/// `j` of a part the same of `h[k] B[j][k]`, and `s` times it is added to `y`: what plain products
/// one after another give, bit for bit.
pub(crate) struct Deltas<'a, I> {
    pub(crate) parts: I,
    /// The rows to compute; a part's other rows are left to others.
    pub(crate) rows: Range<usize>,
    /// All rows, `d_in` wide.
    pub(crate) x: &'a [f32],
    pub(crate) d_in: usize,
    /// Only `rows`, `d_out` wide.
    pub(crate) y: &'a mut [f32],
    pub(crate) d_out: usize,
    /// Reused from call to call.
    pub(crate) hidden: &'a mut Vec<f32>,
}

impl<'a, I: Iterator<Item = Part<'a>> + Clone> Deltas<'a, I> {
    /// The parts that touch `rows`, cut to them, each with where its hidden rows begin.
    #[inline(always)]
    fn cut(&self) -> impl Iterator<Item = (Part<'a>, usize)> + Clone + use<'a, I> {
        let (rows, d_in) = (self.rows.clone(), self.d_in);
        let cut = self.parts.clone().map(move |mut part| {
            part.rows = part.rows.start.max(rows.start)..part.rows.end.min(rows.end);
            part
        });
        let mut next = 0;
        cut.filter(|part| !part.rows.is_empty()).map(move |part| {
            let at = next;
            next += part.rows.len() * PanelShape { depth: d_in, columns: part.rank }.padded();
            (part, at)
        })
    }
}

impl<'a, I: Iterator<Item = Part<'a>> + Clone> Kernel for Deltas<'a, I> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let parts = self.cut();
        let mut size = 0;
        // Which of (type, width) there are.
        let mut kinds = [[false; 3]; 2];
        for (part, at) in parts.clone() {
            let shape = PanelShape { depth: self.d_in, columns: part.rank };
            size = at + part.rows.len() * shape.padded();
            let widths = &mut kinds[usize::from(matches!(part.matrices, Matrices::Bf16(..)))];
            widths[0] |= shape.columns / LANES > 0 || shape.tail() == LANES;
            widths[1] |= shape.tail() == 8;
            widths[2] |= shape.tail() == 4;
        }
        self.hidden.clear();
        self.hidden.resize(size, 0.0);
        let mut hidden = std::mem::take(self.hidden);
        macro_rules! shrink {
            ($($kind:literal $element:ty: $($index:literal $width:literal)*;)*) => {$($(
                if kinds[$kind][$index] {
                    shrink::<ROWS, $width, $element>(parts.clone(), self.x, self.d_in, &mut hidden);
                }
            )*)*};
        }
        shrink!(0 f32: 0 16 1 8 2 4; 1 Bf16: 0 16 1 8 2 4;);
        for (part, at) in parts {
            let width = PanelShape { depth: self.d_in, columns: part.rank }.padded();
            let hidden = &hidden[at..][..part.rows.len() * width];
            let first = part.rows.start - self.rows.start;
            let y = &mut self.y[first * self.d_out..][..part.rows.len() * self.d_out];
            match part.matrices {
                Matrices::F32(_, b) => expand::<ROWS, f32>(&part, b, hidden, width, y, self.d_out),
                Matrices::Bf16(_, b) => {
                    expand::<ROWS, Bf16>(&part, b, hidden, width, y, self.d_out)
                }
            }
        }
        *self.hidden = hidden;
    }
}

/// `R` rows, each times a panel of its own.
#[inline(always)]
fn chains<const R: usize, const L: usize, E: Element>(
    rows: [&[f32]; R],
    panels: [&[E]; R],
    depth: usize,
) -> [[f32; L]; R] {
    let rows = rows.map(|row| &row[..depth]);
    let panels = panels.map(|panel| panel[..depth * L].as_chunks::<L>().0);
    let mut sums = [[0.0f32; L]; R];
    for k in 0..depth {
        // Written out: left as a loop over rows, the compiler vectorises across them, with gathers.
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: every row has `depth` values and every panel `depth` lines.
                    let (value, line) = unsafe {
                        (*rows[$r].get_unchecked(k), panels[$r].get_unchecked(k))
                    };
                    let sum: &mut [f32; L] = &mut sums[$r];
                    for j in 0..L {
                        sum[j] += value * line[j].widen();
                    }
                }
            )*};
        }
        accumulate!(0 1 2 3 4 5 6 7);
    }
    sums
}

/// `R` rows times one panel.
#[inline(always)]
fn tile<const R: usize, const L: usize, E: Element>(
    rows: [&[f32]; R],
    panel: &[E],
    depth: usize,
) -> [[f32; L]; R] {
    let rows = rows.map(|row| &row[..depth]);
    let panel = panel[..depth * L].as_chunks::<L>().0;
    let mut sums = [[0.0f32; L]; R];
    for (k, line) in panel.iter().enumerate() {
        let mut wide = [0.0f32; L];
        for j in 0..L {
            wide[j] = line[j].widen();
        }
        macro_rules! accumulate {
            ($($r:literal)*) => {$(
                if $r < R {
                    // SAFETY: every row has `depth` values, and the panel as many lines.
                    let value = unsafe { *rows[$r].get_unchecked(k) };
                    let sum: &mut [f32; L] = &mut sums[$r];
                    for j in 0..L {
                        sum[j] += value * wide[j];
                    }
                }
            )*};
        }
        accumulate!(0 1 2 3 4 5 6 7);
    }
    sums
}

/// Rows that wait for company: single rows of any adapters.
struct Chains<'a, E, const L: usize> {
    jobs: [(&'a [f32], &'a [E], usize); 4],
    count: usize,
}

impl<'a, E: Element, const L: usize> Chains<'a, E, L> {
    /// Takes a row, its panel, and where in `hidden` the result goes; computes when there are `size`.
    #[inline(always)]
    fn push(
        &mut self,
        job: (&'a [f32], &'a [E], usize),
        size: usize,
        depth: usize,
        hidden: &mut [f32],
    ) {
        self.jobs[self.count] = job;
        self.count += 1;
        if self.count == size {
            self.flush(depth, hidden);
        }
    }

    #[inline(always)]
    fn flush(&mut self, depth: usize, hidden: &mut [f32]) {
        macro_rules! run {
            ($size:literal) => {{
                let rows: [&[f32]; $size] = std::array::from_fn(|i| self.jobs[i].0);
                let panels: [&[E]; $size] = std::array::from_fn(|i| self.jobs[i].1);
                for (sums, job) in chains::<$size, L, E>(rows, panels, depth).iter().zip(&self.jobs)
                {
                    hidden[job.2..][..L].copy_from_slice(sums);
                }
            }};
        }
        match self.count {
            1 => run!(1),
            2 => run!(2),
            3 => run!(3),
            4 => run!(4),
            _ => {}
        }
        self.count = 0;
    }
}

/// `x A^T` of all parts of type `E`, in their panels of width `L`.
#[inline(always)]
fn shrink<'a, const ROWS: usize, const L: usize, E: Element>(
    parts: impl Iterator<Item = (Part<'a>, usize)>,
    x: &'a [f32],
    d_in: usize,
    hidden: &mut [f32],
) {
    let row = |index: usize| &x[index * d_in..][..d_in];
    let mut single = Chains::<E, L> { jobs: [(&[], &[], 0); 4], count: 0 };
    for (part, at) in parts {
        let Some((a, _)) = E::of(&part.matrices) else { continue };
        let shape = PanelShape { depth: d_in, columns: part.rank };
        for (first, width) in shape.panels() {
            if width != L {
                continue;
            }
            let panel = &a[first * d_in..][..L * d_in];
            let target = |row: usize| at + (row - part.rows.start) * shape.padded() + first;
            let mut next = part.rows.start;
            while part.rows.end - next >= ROWS {
                let rows: [&[f32]; ROWS] = std::array::from_fn(|i| row(next + i));
                for (i, sums) in tile::<ROWS, L, E>(rows, panel, d_in).iter().enumerate() {
                    hidden[target(next + i)..][..L].copy_from_slice(sums);
                }
                next += ROWS;
            }
            for index in next..part.rows.end {
                single.push((row(index), panel, target(index)), ROWS.min(4), d_in, hidden);
            }
        }
    }
    single.flush(d_in, hidden);
}

/// `y += s (h B^T)` of one part; `hidden` has rows of `stride` values.
#[inline(always)]
fn expand<const ROWS: usize, E: Element>(
    part: &Part<'_>,
    b: &[E],
    hidden: &[f32],
    stride: usize,
    y: &mut [f32],
    d_out: usize,
) {
    let rank = part.rank;
    let tiled = part.rows.len() / ROWS * ROWS;
    let shape = PanelShape { depth: rank, columns: d_out };
    let row = |index: usize| &hidden[index * stride..][..rank];
    let mut add = |index: usize, first: usize, sums: &[f32]| {
        let y = &mut y[index * d_out..][..d_out][first..];
        for (y, sum) in y.iter_mut().zip(sums) {
            *y += part.scale * sum;
        }
    };
    macro_rules! panel {
        ($width:literal, $first:expr) => {{
            let panel = &b[$first * rank..][..$width * rank];
            for next in (0..tiled).step_by(ROWS) {
                let rows: [&[f32]; ROWS] = std::array::from_fn(|i| row(next + i));
                for (i, sums) in tile::<ROWS, $width, E>(rows, panel, rank).iter().enumerate() {
                    add(next + i, $first, sums);
                }
            }
        }};
    }
    macro_rules! single {
        ($count:literal, $width:literal, $first:expr) => {{
            let panels: [&[E]; $count] =
                std::array::from_fn(|i| &b[($first + i * $width) * rank..][..$width * rank]);
            for index in tiled..part.rows.len() {
                let sums = chains::<$count, $width, E>([row(index); $count], panels, rank);
                for (i, sums) in sums.iter().enumerate() {
                    add(index, $first + i * $width, sums);
                }
            }
        }};
    }
    if tiled > 0 {
        for (first, width) in shape.panels() {
            match width {
                4 => panel!(4, first),
                8 => panel!(8, first),
                _ => panel!(16, first),
            }
        }
    }
    if tiled == part.rows.len() {
        return;
    }
    let whole = d_out / (4 * LANES) * 4 * LANES;
    for first in (0..whole).step_by(4 * LANES) {
        single!(4, 16, first);
    }
    for (first, width) in shape.panels().skip(whole / LANES) {
        match width {
            4 => single!(1, 4, first),
            8 => single!(1, 8, first),
            _ => single!(1, 16, first),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::kernels::{Level, at_every_level, dispatch_at};

    struct Fixture {
        shape: PanelShape,
        expand: PanelShape,
        a: Vec<f32>,
        b: Vec<f32>,
    }

    impl Fixture {
        fn new(rng: &mut ChaCha8Rng, rank: usize, d_in: usize, d_out: usize) -> Self {
            let shape = PanelShape { depth: d_in, columns: rank };
            let expand = PanelShape { depth: rank, columns: d_out };
            let mut packed = |shape: PanelShape| {
                // Exact in bf16.
                let values: Vec<f32> = (0..shape.depth * shape.columns)
                    .map(|_| rng.random_range(-64..64) as f32 / 32.0)
                    .collect();
                let mut out = vec![0.0; shape.len()];
                shape.pack(&values, |value| *value, &mut out);
                assert_eq!(shape.unpack(&out), values);
                out
            };
            let (a, b) = (packed(shape), packed(expand));
            Self { shape, expand, a, b }
        }

        /// The specification: one element after another.
        fn add(&self, x: &[f32], y: &mut [f32], scale: f32) {
            let (a, b) = (self.shape.unpack(&self.a), self.expand.unpack(&self.b));
            let dot =
                |x: &[f32], w: &[f32]| x.iter().zip(w).fold(0.0f32, |sum, (x, w)| sum + x * w);
            let hidden: Vec<f32> = a.chunks(self.shape.depth).map(|a| dot(x, a)).collect();
            for (y, b) in y.iter_mut().zip(b.chunks(hidden.len())) {
                *y += scale * dot(&hidden, b);
            }
        }
    }

    #[test]
    fn every_level_and_type_gives_the_bits_of_the_plain_loop() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (rows, d_in, d_out) in [(1, 7, 5), (5, 33, 70), (23, 65, 131), (40, 20, 24)] {
            let ranks = [1, 3, 4, 7, 8, 11, 16, 17, 21, 40];
            let adapters = ranks.map(|rank| Fixture::new(&mut rng, rank, d_in, d_out));
            let x: Vec<f32> = (0..rows * d_in).map(|_| rng.random_range(-1.0..1.0)).collect();
            let y: Vec<f32> = (0..rows * d_out).map(|_| rng.random_range(-1.0..1.0)).collect();
            let segments: Vec<(Range<usize>, usize, f32)> = (0..ranks.len())
                .map(|i| {
                    let start = rng.random_range(0..rows);
                    let end = rng.random_range(start + 1..=rows);
                    (start..end, i, rng.random_range(-2.0..2.0))
                })
                .collect();
            let mut expected = y.clone();
            for (range, adapter, scale) in &segments {
                for row in range.clone() {
                    let y = &mut expected[row * d_out..][..d_out];
                    adapters[*adapter].add(&x[row * d_in..][..d_in], y, *scale);
                }
            }
            let narrow = |values: &[f32]| -> Vec<Bf16> {
                values.iter().map(|value| Bf16((value.to_bits() >> 16) as u16)).collect()
            };
            let halves: Vec<_> = adapters.iter().map(|f| (narrow(&f.a), narrow(&f.b))).collect();
            let matrices = |i: usize, half: bool| {
                if half {
                    Matrices::Bf16(&halves[i].0, &halves[i].1)
                } else {
                    Matrices::F32(&adapters[i].a, &adapters[i].b)
                }
            };
            let run = |level: Level, rows: Range<usize>, y: &mut [f32], half: fn(usize) -> bool| {
                let parts = segments.iter().map(|(range, i, scale)| Part {
                    rows: range.clone(),
                    scale: *scale,
                    rank: ranks[*i],
                    matrices: matrices(*i, half(*i)),
                });
                let (x, hidden) = (x.as_slice(), &mut vec![f32::NAN; 3]);
                dispatch_at(level, Deltas { parts, rows, x, d_in, y, d_out, hidden });
            };
            for half in [|_| false, |_| true, |i: usize| i.is_multiple_of(3)] {
                at_every_level(rows * d_out, |level, out| {
                    out.copy_from_slice(&y);
                    run(level, 0..rows, out, half);
                    assert_eq!(out, expected);
                    // In two shares of rows.
                    out.copy_from_slice(&y);
                    let middle = rows / 3;
                    let (first, second) = out.split_at_mut(middle * d_out);
                    run(level, 0..middle, first, half);
                    run(level, middle..rows, second, half);
                    assert_eq!(out, expected);
                });
            }
        }
    }
}
