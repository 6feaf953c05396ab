//! Adapters' matrices in panels of columns, as the kernels of low-rank deltas read them.

use super::LANES;

/// A stored weight that widens to f32 without rounding.
pub(crate) trait Element: Copy + Default + Send + Sync + 'static {
    /// Its value.
    fn widen(self) -> f32;
    /// The stored matrices if they are of this type.
    fn of<'a>(matrices: &Matrices<'a>) -> Option<(&'a [Self], &'a [Self])>;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of<'a>(matrices: &Matrices<'a>) -> Option<(&'a [Self], &'a [Self])> {
        match matrices {
            Matrices::F32(a, b) => Some((a, b)),
            Matrices::Bf16(..) => None,
        }
    }
}

/// The upper half of a finite f32. (`half::bf16` looks for NaN when it widens, which costs vectors.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Element for Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn of<'a>(matrices: &Matrices<'a>) -> Option<(&'a [Self], &'a [Self])> {
        match matrices {
            Matrices::F32(..) => None,
            Matrices::Bf16(a, b) => Some((a, b)),
        }
    }
}

/// Shape of a `(depth, columns)` matrix in panels of 16 columns; the last panel has 4, 8 or 16, so
/// that small ranks are not padded to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelShape {
    pub(crate) depth: usize,
    pub(crate) columns: usize,
}

impl PanelShape {
    /// Width of the panel behind those of full columns; 0 if there is none.
    #[inline(always)]
    pub(super) const fn tail(self) -> usize {
        match self.columns % LANES {
            0 => 0,
            1..=4 => 4,
            5..=8 => 8,
            _ => LANES,
        }
    }

    /// Columns with padding.
    #[inline(always)]
    pub(crate) const fn padded(self) -> usize {
        self.columns / LANES * LANES + self.tail()
    }

    /// Stored values.
    pub(crate) const fn len(self) -> usize {
        self.padded() * self.depth
    }

    /// First column and width of each panel.
    #[inline(always)]
    pub(super) fn panels(self) -> impl Iterator<Item = (usize, usize)> {
        let padded = self.padded();
        (0..padded).step_by(LANES).map(move |first| (first, LANES.min(padded - first)))
    }

    /// Packs the row-major `(columns, depth)` matrix `values`. `out` holds [`Self::len`] zeros.
    pub(crate) fn pack<S, E: Element>(self, values: &[S], read: impl Fn(&S) -> E, out: &mut [E]) {
        for (first, width) in self.panels() {
            let panel = &mut out[first * self.depth..][..width * self.depth];
            let rows = &values[first * self.depth..self.columns.min(first + width) * self.depth];
            if width == LANES && rows.len() == panel.len() {
                let mut lanes = rows.chunks_exact(self.depth);
                let lanes: [&[S]; LANES] =
                    std::array::from_fn(|_| lanes.next().expect("a panel has 16 columns"));
                for (k, line) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    for (value, lane) in line.iter_mut().zip(&lanes) {
                        *value = read(&lane[k]);
                    }
                }
            } else {
                for (lane, row) in rows.chunks_exact(self.depth).enumerate() {
                    for (line, value) in panel.chunks_exact_mut(width).zip(row) {
                        line[lane] = read(value);
                    }
                }
            }
        }
    }

    /// The row-major `(columns, depth)` matrix back.
    pub(crate) fn unpack<E: Element>(self, packed: &[E]) -> Vec<f32> {
        let mut matrix = vec![0.0; self.columns * self.depth];
        for (first, width) in self.panels() {
            let panel = &packed[first * self.depth..][..width * self.depth];
            for lane in 0..width.min(self.columns - first) {
                let row = &mut matrix[(first + lane) * self.depth..][..self.depth];
                for (k, value) in row.iter_mut().enumerate() {
                    *value = panel[k * width + lane].widen();
                }
            }
        }
        matrix
    }
}

/// `A^T (d_in, r)` and `B^T (r, d_out)` in panels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Matrices<'a> {
    F32(&'a [f32], &'a [f32]),
    Bf16(&'a [Bf16], &'a [Bf16]),
}
