//! A frozen weight matrix in the form that it is stored and multiplied in.

use std::sync::OnceLock;

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor},
};
use rayon::prelude::*;

use super::{
    Kernel, LANES, Level, Packed, Rows, dispatch,
    matmul::{add_product, matmul, product},
    matrix::Panels,
    narrow::{Half, HalfPanels, PackedF8, PackedHalf},
    quant::{Quant, QuantMatrix},
    tile::Panel,
};
use crate::{Error, Result};

/// How frozen weights are held in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// As the file has them: f32, bf16, f16, and of GGUF files Q8_0, Q4_K and Q6_K. Other types of a
    /// GGUF file are widened to f32.
    #[default]
    AsStored,
    /// 32 bits each.
    F32,
    /// ggml's Q8_0: 8 bits, a scale for 32 inputs.
    Q8_0,
    /// ggml's Q4_K: 4 bits, a scale and minimum for 32 inputs.
    Q4K,
    /// ggml's Q6_K: 6 bits, a scale for 16 inputs.
    Q6K,
    /// FP8 E4M3: 8 bits, a scale for 128 inputs.
    F8E4M3,
}

impl WeightFormat {
    /// The quantised format, if it is one of ggml's.
    pub(crate) const fn quant(self) -> Option<Quant> {
        match self {
            Self::Q8_0 => Some(Quant::Q8_0),
            Self::Q4K => Some(Quant::Q4K),
            Self::Q6K => Some(Quant::Q6K),
            Self::AsStored | Self::F32 | Self::F8E4M3 => None,
        }
    }
}

/// A weight `W (d_out, d_in)`, packed for `x W^T`.
///
/// Products with f32, bf16, f16 and FP8 weights have the bits of the f32 product with the widened
/// weight. With Q8_0, Q4_K and Q6_K, `x` is rounded to 8 bits in blocks of 32: an element is off by
/// at most half a step, `max|x_block| / 254`, times the sum of `|w|` over the block.
#[derive(Debug)]
pub struct Weight {
    form: Form,
    /// `W` of an f32 weight, for `dx = dy W`; made when a gradient is first asked for.
    backward: OnceLock<Packed>,
}

#[derive(Debug)]
enum Form {
    F32(Packed),
    Half(PackedHalf),
    F8(PackedF8),
    Quant(QuantMatrix),
}

/// Calls `$body` with the weight's float panels, or `$other` with its quantised matrix.
macro_rules! each_form {
    ($weight:expr, $float:ident => $body:expr, $quant:ident => $other:expr) => {
        match &$weight.form {
            Form::F32($float) => $body,
            Form::Half(half) if half.format == Half::F16 => {
                let $float = &HalfPanels::<true>(half);
                $body
            }
            Form::Half(half) => {
                let $float = &HalfPanels::<false>(half);
                $body
            }
            Form::F8($float) => $body,
            Form::Quant($quant) => $other,
        }
    };
}

impl Weight {
    const fn new(form: Form) -> Self {
        Self { form, backward: OnceLock::new() }
    }

    /// Holds row-major `values` in `format` ([`WeightFormat::AsStored`] is f32).
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` are not rows of `d_in`; [`Error::Tensor`] if quantising fails.
    pub fn from_values(values: &[f32], d_in: usize, format: WeightFormat) -> Result<Self> {
        if d_in == 0 || values.is_empty() || !values.len().is_multiple_of(d_in) {
            return Err(Error::Shape(format!("{} values are not rows of {d_in}", values.len())));
        }
        let rows = Rows::whole(values, d_in);
        let quantised = |format, dtype| {
            let blocks = quantise(rows, format, dtype)?;
            Ok(Self::new(Form::Quant(QuantMatrix::from_blocks(format, &blocks, d_in)?)))
        };
        match format {
            WeightFormat::AsStored | WeightFormat::F32 => {
                Ok(Self::new(Form::F32(Packed::from_transposed(rows))))
            }
            WeightFormat::F8E4M3 => Ok(Self::new(Form::F8(PackedF8::from_transposed(rows)))),
            WeightFormat::Q8_0 => quantised(Quant::Q8_0, GgmlDType::Q8_0),
            WeightFormat::Q4K => quantised(Quant::Q4K, GgmlDType::Q4K),
            WeightFormat::Q6K => quantised(Quant::Q6K, GgmlDType::Q6K),
        }
    }

    /// Holds bf16 or f16 values, given row-major by their bits, as they are.
    pub(crate) fn from_half(bits: &[u16], d_in: usize, format: Half) -> Result<Self> {
        if d_in == 0 || bits.is_empty() || !bits.len().is_multiple_of(d_in) {
            return Err(Error::Shape(format!("{} values are not rows of {d_in}", bits.len())));
        }
        Ok(Self::new(Form::Half(PackedHalf::from_transposed(format, bits, d_in))))
    }

    /// Holds ggml's blocks as they are.
    pub(crate) fn from_blocks(blocks: &[u8], d_in: usize, format: Quant) -> Result<Self> {
        Ok(Self::new(Form::Quant(QuantMatrix::from_blocks(format, blocks, d_in)?)))
    }

    /// Input width.
    pub fn d_in(&self) -> usize {
        each_form!(self, float => float.depth(), quant => quant.depth())
    }

    /// Output width.
    pub fn d_out(&self) -> usize {
        each_form!(self, float => float.columns(), quant => quant.columns())
    }

    /// Bytes that the weight takes, with the second copy that an f32 weight has once a gradient has
    /// gone through it.
    pub fn bytes(&self) -> usize {
        let copy = self.backward.get().map_or(0, Packed::bytes);
        copy + match &self.form {
            Form::F32(packed) => packed.bytes(),
            Form::Half(packed) => packed.bytes(),
            Form::F8(packed) => packed.bytes(),
            Form::Quant(matrix) => matrix.bytes(),
        }
    }

    /// `x W^T`.
    ///
    /// # Panics
    /// If `x` is not `d_in` wide.
    pub fn product(&self, x: Rows<'_>) -> Vec<f32> {
        each_form!(self, float => product(x, float), quant => quant.product(x))
    }

    /// `dy W` with the widened weight: the gradient in `x` of [`Self::product`] for frozen scales.
    ///
    /// Element `(i, k)` is the sum over outputs `0, 1, ...` in this order, whatever the form. Of a
    /// weight that is not f32 only a few outputs are widened at a time.
    ///
    /// # Panics
    /// If `dy` is not `d_out` wide.
    pub fn backward(&self, dy: Rows<'_>) -> Vec<f32> {
        /// Panels widened at a time.
        const STRIP: usize = 16;
        assert_eq!(dy.width, self.d_out(), "gradient of another width");
        let depth = self.d_in();
        let panels = self.d_out().div_ceil(LANES);
        if let Form::F32(packed) = &self.form {
            // On this thread alone: one that waits for others may be given work that waits for this.
            let turned = || Packed::from_rows(Rows::whole(&packed.to_transposed(), depth));
            return matmul(dy, self.backward.get_or_init(turned));
        }
        let mut out = vec![0.0; dy.rows * depth];
        for first in (0..panels).step_by(STRIP) {
            let strip = self.turned(first..panels.min(first + STRIP));
            let part = dy.columns(first * LANES, strip.depth());
            add_product(Level::detect(), part, &strip, &mut out);
        }
        out
    }

    /// The outputs of some panels widened, `(outputs, d_in)`.
    fn turned(&self, panels: std::ops::Range<usize>) -> Packed {
        let depth = self.d_in();
        let outputs = panels.start * LANES..self.d_out().min(panels.end * LANES);
        each_form!(self, float => Packed::filled(outputs.len(), depth, |column, target| {
            for (panel, target) in panels.clone().zip(target.chunks_mut(LANES * LANES)) {
                let inputs = column * LANES..depth.min((column + 1) * LANES);
                dispatch(Turn { panel: float.panel(panel), depth, inputs, target });
            }
        // Blocks are widened whole: a number alone would have its scales decoded for itself.
        }), _quant => Packed::from_rows(Rows::whole(&self.rows(outputs), depth)))
    }

    /// The whole weight widened, row-major `(d_out, d_in)`.
    pub fn to_values(&self) -> Vec<f32> {
        self.rows(0..self.d_out())
    }

    /// Rows of the weight widened, row-major: of an embedding table, tokens.
    ///
    /// # Panics
    /// If the range leaves the weight.
    pub fn rows(&self, range: std::ops::Range<usize>) -> Vec<f32> {
        assert!(range.end <= self.d_out(), "row {} of {}", range.end, self.d_out());
        let depth = self.d_in();
        let mut rows = vec![0.0; range.len() * depth];
        if range.len() < LANES {
            for (part, row) in rows.chunks_mut(depth).zip(range) {
                self.widen_row(row, part);
            }
            return rows;
        }
        let first = range.start / LANES * LANES;
        let skipped = range.start - first;
        // Whole panels but for the first one's skipped rows.
        let (head, rest) = rows.split_at_mut((LANES - skipped) * depth);
        let parts = std::iter::once((skipped, head));
        let parts: Vec<_> = parts.chain(rest.chunks_mut(LANES * depth).map(|r| (0, r))).collect();
        parts.into_par_iter().enumerate().for_each(|(index, (skipped, part))| {
            let mut panel = vec![0.0; depth * LANES];
            self.widen_panel(first / LANES + index, &mut panel);
            for (lane, row) in part.chunks_mut(depth).enumerate() {
                let lane = panel[skipped + lane..].iter().step_by(LANES);
                row.iter_mut().zip(lane).for_each(|(to, from)| *to = *from);
            }
        });
        rows
    }

    /// One row widened.
    fn widen_row(&self, row: usize, out: &mut [f32]) {
        let (index, lane) = (row / LANES, row % LANES);
        each_form!(self, float => {
            let panel = float.panel(index);
            panel.check(float.depth());
            for (k, value) in out.iter_mut().enumerate() {
                // SAFETY: `out` has a value for each of the checked depth.
                *value = unsafe { panel.lanes(k) }[lane];
            }
        }, quant => {
            for (k, value) in out.iter_mut().enumerate() {
                *value = quant.value(index, k, lane);
            }
        });
    }

    /// Panel `index` widened, `(d_in, 16)`.
    fn widen_panel(&self, index: usize, out: &mut [f32]) {
        each_form!(self, float => {
            let panel = float.panel(index);
            panel.check(float.depth());
            for (k, lanes) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                // SAFETY: `out` has a row for each of the checked depth.
                *lanes = unsafe { panel.lanes(k) };
            }
        }, quant => quant.widen_panel(index, out));
    }
}

/// Writes `target[output][input]` of up to 16 outputs of a panel, the inputs being `inputs`.
struct Turn<'a, P> {
    panel: P,
    depth: usize,
    inputs: std::ops::Range<usize>,
    target: &'a mut [f32],
}

impl<P: Panel> Kernel for Turn<'_, P> {
    #[inline(always)]
    fn run<const ROWS: usize>(self) {
        let Self { panel, depth, inputs, target } = self;
        panel.check(depth);
        assert!(inputs.end <= depth, "input {} of {depth}", inputs.end);
        for (column, k) in inputs.enumerate() {
            // SAFETY: `k` is below the checked depth.
            let lanes = unsafe { panel.lanes(k) };
            for (row, value) in target.chunks_exact_mut(LANES).zip(lanes) {
                row[column] = value;
            }
        }
    }
}

/// ggml's blocks of a row-major matrix, each row padded with zeros to whole blocks.
fn quantise(matrix: Rows<'_>, format: Quant, dtype: GgmlDType) -> Result<Vec<u8>> {
    /// Rows quantised by one task.
    const TASK: usize = 64;
    let padded = matrix.width.next_multiple_of(format.block());
    let tasks: Vec<&[f32]> = matrix.values.chunks(TASK * matrix.width).collect();
    let parts: Vec<Vec<u8>> = tasks
        .into_par_iter()
        .map(|values| {
            let count = values.len() / matrix.width;
            let mut rows = vec![0.0; count * padded];
            for (to, from) in rows.chunks_mut(padded).zip(values.chunks(matrix.width)) {
                to[..from.len()].copy_from_slice(from);
            }
            let rows = Tensor::from_vec(rows, (count, padded), &Device::Cpu)?;
            Ok(QTensor::quantize(&rows, dtype)?.data()?.into_owned())
        })
        .collect::<Result<_>>()?;
    Ok(parts.concat())
}

#[cfg(test)]
mod tests;
