//! Products of quantised activations with a quantised matrix.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use super::{
    Activations, LANES, Quant, QuantMatrix, SUPER_BLOCK,
    activations::{BLOCK, Block},
    vector::{Plain, Vector},
};
use crate::kernels::{
    Level,
    share::{Output, Task, shared},
};

/// Blocks of 32 inputs that share an outer scale.
const SUPER: usize = SUPER_BLOCK / BLOCK;

/// Writes `x B` to `out`, at `level` or at the widest that the processor has if that is lower.
pub(super) fn run(level: Level, matrix: &QuantMatrix, x: &Activations, out: &mut [f32]) {
    let level = level.min(detect());
    // Bytes weigh a quarter of what the same number of f32 products does.
    shared(out, matrix.columns, matrix.depth / 4 + 1, |out, task| {
        let job = Job { matrix, x, out, task };
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found the instruction sets.
            Level::Avx512 => unsafe { run_avx512(job) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { run_avx2(job) },
            // SAFETY: plain loops need nothing.
            _ => unsafe { job.run::<Plain, 2>() },
        }
    });
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni");
        if wide && is_x86_feature_detected!("avx512f") {
            Level::Avx512
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
            Level::Avx2
        } else {
            Level::Baseline
        }
    })
}

#[cfg(not(target_arch = "x86_64"))]
const fn detect() -> Level {
    Level::Baseline
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn run_avx512(job: Job<'_>) {
    // SAFETY: this function is only called where the instruction set is.
    unsafe { job.run::<Avx512, 8>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
fn run_avx2(job: Job<'_>) {
    // SAFETY: this function is only called where the instruction set is.
    unsafe { job.run::<Avx2, 4>() }
}

struct Job<'a> {
    matrix: &'a QuantMatrix,
    x: &'a Activations,
    out: &'a Output<'a>,
    task: Task,
}

impl Job<'_> {
    /// # Safety
    /// The processor has `V`'s instructions.
    #[inline(always)]
    unsafe fn run<V: Vector, const ROWS: usize>(self) {
        let Task { rows, panels } = self.task.clone();
        for panel in panels {
            let mut row = rows.start;
            macro_rules! blocks {
                ($size:expr) => {
                    while rows.end - row >= $size {
                        // SAFETY: by contract.
                        unsafe { self.tile::<V, { $size }>(panel, row..row + $size) };
                        row += $size;
                    }
                };
            }
            // Q6_K has two sums for each row: more rows than four do not fit the registers.
            if self.matrix.format != Quant::Q6K {
                blocks!(ROWS);
            }
            blocks!(4);
            blocks!(2);
            blocks!(1);
        }
    }

    /// # Safety
    /// As [`Self::run`]; `rows` are `R` rows of the task.
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize>(&self, panel: usize, rows: Range<usize>) {
        assert!(rows.end <= self.x.rows && self.x.blocks == self.matrix.blocks);
        let first = rows.start;
        let tile = Tile { matrix: self.matrix, x: self.x, panel, row: first };
        // SAFETY: by contract.
        let sums = unsafe {
            match self.matrix.format {
                Quant::Q8_0 => tile.q8_0::<V, R>(),
                Quant::Q4K => tile.q4k::<V, R>(),
                Quant::Q6K => tile.q6k::<V, R>(),
            }
        };
        for (row, sum) in rows.zip(sums) {
            // SAFETY: by contract, and the row and panel are this task's.
            let (lanes, part) = unsafe { (V::store(sum), self.out.part(row, panel)) };
            part.copy_from_slice(&lanes[..part.len()]);
        }
    }
}

/// `R` rows from `row` on times one panel.
#[derive(Clone, Copy)]
struct Tile<'a> {
    matrix: &'a QuantMatrix,
    x: &'a Activations,
    panel: usize,
    row: usize,
}

impl<'a> Tile<'a> {
    /// Row `r`'s block.
    ///
    /// # Safety
    /// Row and block exist.
    #[inline(always)]
    unsafe fn activation(&self, r: usize, block: usize) -> &'a Block {
        // SAFETY: by contract.
        unsafe { self.x.values.get_unchecked(block * self.x.rows + self.row + r) }
    }

    /// `sum_b (sum w a) (dw da)`.
    ///
    /// # Safety
    /// The processor has `V`'s instructions; the panel and rows exist.
    #[inline(always)]
    unsafe fn q8_0<V: Vector, const R: usize>(self) -> [V::Float; R] {
        let blocks = self.matrix.blocks;
        let lines = &self.matrix.codes[self.panel * blocks * 8..][..blocks * 8];
        let scales = &self.matrix.scales[self.panel * blocks..][..blocks];
        // SAFETY: by contract; `b` is below `blocks`, the slices' length.
        unsafe {
            let mut total = [V::float(0.0); R];
            for b in 0..blocks {
                // Not `from_fn`: its closure is not inlined into a function of other target features.
                let mut sums = [V::int(0); R];
                for (r, sum) in sums.iter_mut().enumerate() {
                    let [low, high] = self.activation(r, b).sums;
                    *sum = V::int(-V::OFFSET * (low + high));
                }
                for g in 0..8 {
                    let bytes = V::bytes(lines.get_unchecked(b * 8 + g));
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum = V::dot_offset(*sum, bytes, self.activation(r, b).codes[g]);
                    }
                }
                let dw = V::of_halves(scales.get_unchecked(b));
                for (r, (total, sum)) in total.iter_mut().zip(sums).enumerate() {
                    let scale = V::mul(dw, V::float(self.activation(r, b).scale));
                    *total = V::add(*total, V::mul(V::of_int(sum), scale));
                }
            }
            total
        }
    }

    /// `sum_b (sum w a) (dw scale) da - (dm minimum) (da sum a)`.
    ///
    /// # Safety
    /// As [`Self::q8_0`].
    #[inline(always)]
    unsafe fn q4k<V: Vector, const R: usize>(self) -> [V::Float; R] {
        let blocks = self.matrix.blocks;
        let outer = blocks.div_ceil(SUPER);
        let lines = &self.matrix.codes[self.panel * blocks * 4..][..blocks * 4];
        let small = &self.matrix.small[self.panel * blocks..][..blocks];
        let scales = &self.matrix.scales[self.panel * outer..][..outer];
        let minima = &self.matrix.minimum_scales[self.panel * outer..][..outer];
        // SAFETY: by contract; `b` is below `blocks` and `b / SUPER` below `outer`.
        unsafe {
            let mut total = [V::float(0.0); R];
            for b in 0..blocks {
                let mut sums = [V::int(0); R];
                for g in 0..4 {
                    let bytes = V::bytes(lines.get_unchecked(b * 4 + g));
                    let (low, high) = (V::low(bytes), V::high(bytes));
                    for (r, sum) in sums.iter_mut().enumerate() {
                        let codes = &self.activation(r, b).codes;
                        *sum = V::dot(V::dot(*sum, low, codes[g]), high, codes[4 + g]);
                    }
                }
                let [scale, minimum] = small.get_unchecked(b);
                let dw = V::of_halves(scales.get_unchecked(b / SUPER));
                let dm = V::of_halves(minima.get_unchecked(b / SUPER));
                let dw = V::mul(dw, V::of_unsigned(scale));
                let dm = V::mul(dm, V::of_unsigned(minimum));
                for (r, (total, sum)) in total.iter_mut().zip(sums).enumerate() {
                    let Block { scale: da, sums: [low, high], .. } = *self.activation(r, b);
                    let part = V::mul(V::mul(V::of_int(sum), dw), V::float(da));
                    let offset = V::mul(dm, V::float(da * (low + high) as f32));
                    *total = V::sub(V::add(*total, part), offset);
                }
            }
            total
        }
    }

    /// `sum_b (sum of halves (sum w a) (dw scale)) da`.
    ///
    /// # Safety
    /// As [`Self::q8_0`].
    #[inline(always)]
    unsafe fn q6k<V: Vector, const R: usize>(self) -> [V::Float; R] {
        let blocks = self.matrix.blocks;
        let outer = blocks.div_ceil(SUPER);
        let lines = &self.matrix.codes[self.panel * blocks * 6..][..blocks * 6];
        let signed = &self.matrix.signed[self.panel * blocks..][..blocks];
        let scales = &self.matrix.scales[self.panel * outer..][..outer];
        // SAFETY: by contract; `b` is below `blocks` and `b / SUPER` below `outer`.
        unsafe {
            let mut total = [V::float(0.0); R];
            for b in 0..blocks {
                // The codes are stored 32 too high.
                let mut sums = [[V::int(0); R]; 2];
                for (half, sums) in sums.iter_mut().enumerate() {
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum = V::int(-32 * self.activation(r, b).sums[half]);
                    }
                }
                let pairs = [4, 5].map(|line| V::bytes(lines.get_unchecked(b * 6 + line)));
                for g in 0..4 {
                    let bytes = V::bytes(lines.get_unchecked(b * 6 + g));
                    let low = V::six_bits(V::low(bytes), pairs[0], g);
                    let high = V::six_bits(V::high(bytes), pairs[1], g);
                    let [first, second] = &mut sums;
                    for (r, (first, second)) in first.iter_mut().zip(second).enumerate() {
                        let codes = &self.activation(r, b).codes;
                        *first = V::dot(*first, low, codes[g]);
                        *second = V::dot(*second, high, codes[4 + g]);
                    }
                }
                let dw = V::of_halves(scales.get_unchecked(b / SUPER));
                let [first, second] = signed.get_unchecked(b);
                let first = V::mul(dw, V::of_signed(first));
                let second = V::mul(dw, V::of_signed(second));
                for (r, total) in total.iter_mut().enumerate() {
                    let first = V::mul(V::of_int(sums[0][r]), first);
                    let second = V::mul(V::of_int(sums[1][r]), second);
                    let part = V::mul(V::add(first, second), V::float(self.activation(r, b).scale));
                    *total = V::add(*total, part);
                }
            }
            total
        }
    }
}

const _: () = assert!(LANES == 16, "vectors have 16 lanes");
