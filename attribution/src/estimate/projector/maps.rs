//! The random linear maps a projector is made of.

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Nonzeros per column of `P_out` and `P_in`; a kept side is a multiple of it.
pub(super) const SPARSITY: usize = 8;

/// One long side: kept whole, or hashed to `kept` with [`SPARSITY`] signed buckets a coordinate.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) kept: usize,
    targets: Option<Vec<Target>>,
}

/// A bucket and a sign in bit 0 (set means minus).
#[derive(Clone, Copy, Debug)]
pub(super) struct Target(u32);

impl Target {
    pub(super) fn draw(rng: &mut ChaCha20Rng, offset: usize, buckets: usize) -> Self {
        let draw = rng.next_u64();
        let bucket = offset + (((draw >> 32) * buckets as u64) >> 32) as usize;
        Self((bucket as u32) << 1 | (draw & 1) as u32)
    }

    const fn bucket(self) -> usize {
        (self.0 >> 1) as usize
    }

    fn signed(self, value: f64) -> f64 {
        if self.0 & 1 == 1 { -value } else { value }
    }

    /// Adds the signed value to its bucket.
    pub(super) fn add(self, value: f64, sums: &mut [f64]) {
        sums[self.bucket()] += self.signed(value);
    }
}

impl Side {
    pub(super) fn new(len: usize, kept: usize, mut rng: ChaCha20Rng) -> Self {
        if len <= kept {
            return Self { kept: len, targets: None };
        }
        let buckets = kept / SPARSITY;
        let targets = (0..len * SPARSITY)
            .map(|i| Target::draw(&mut rng, i % SPARSITY * buckets, buckets))
            .collect();
        Self { kept, targets: Some(targets) }
    }

    /// `out = P m` for `m: (len, width)`.
    pub(super) fn project_columns(&self, m: &[f32], width: usize, out: &mut Vec<f64>) {
        let Some(targets) = &self.targets else { return copy(m, out) };
        out.clear();
        out.resize(self.kept * width, 0.0);
        for (row, targets) in m.chunks_exact(width).zip(targets.chunks_exact(SPARSITY)) {
            for target in targets {
                let sums = &mut out[target.bucket() * width..][..width];
                sums.iter_mut().zip(row).for_each(|(s, x)| *s += target.signed(f64::from(*x)));
            }
        }
        normalise(out);
    }

    /// `out = m P^T` for `m: (rows, len)`.
    pub(super) fn project_rows(&self, m: &[f32], len: usize, out: &mut Vec<f64>) {
        let Some(targets) = &self.targets else { return copy(m, out) };
        out.clear();
        out.resize(m.len() / len * self.kept, 0.0);
        for (row, sums) in m.chunks_exact(len).zip(out.chunks_exact_mut(self.kept)) {
            for (x, targets) in row.iter().zip(targets.chunks_exact(SPARSITY)) {
                targets.iter().for_each(|t| sums[t.bucket()] += t.signed(f64::from(*x)));
            }
        }
        normalise(out);
    }
}

/// Stream `number` of ChaCha20 under the seed.
pub(super) fn stream(seed: &[u8; 32], number: u64) -> ChaCha20Rng {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    rng.set_stream(number);
    rng
}

fn copy(m: &[f32], out: &mut Vec<f64>) {
    out.clear();
    out.extend(m.iter().map(|x| f64::from(*x)));
}

fn normalise(block: &mut [f64]) {
    let scale = 1.0 / (SPARSITY as f64).sqrt();
    block.iter_mut().for_each(|x| *x *= scale);
}
