//! A tensor's values in the type that a file has them in.

use std::ops::Range;

use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    Error, Result,
    kernels::{Half, Quant, Weight, WeightFormat},
};

/// Row-major values of one tensor, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Stored);

#[derive(Clone, Debug, PartialEq)]
enum Stored {
    F32(Vec<f32>),
    /// The bits of 16-bit floats.
    Half(Half, Vec<u16>),
    /// ggml's blocks, whole rows of this many inputs.
    Blocks(Quant, Vec<u8>, usize),
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self(Stored::F32(values))
    }
}

impl Values {
    /// The values of a safetensors tensor.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is not f32, bf16 or f16, or a value is not finite.
    pub fn of_view(name: &str, view: &TensorView<'_>) -> Result<Self> {
        match view.dtype() {
            Dtype::F32 => Self::of_f32(name, view.data()),
            Dtype::BF16 => Self::of_half(name, Half::Bf16, view.data()),
            Dtype::F16 => Self::of_half(name, Half::F16, view.data()),
            other => Err(Error::Weights(format!("{name} has type {other:?}"))),
        }
    }

    /// Little-endian f32.
    pub(super) fn of_f32(name: &str, data: &[u8]) -> Result<Self> {
        let values: Vec<f32> = data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        finite(name, values.iter().all(|value| value.is_finite()))?;
        Ok(Self(Stored::F32(values)))
    }

    /// Little-endian 16-bit floats.
    pub(super) fn of_half(name: &str, format: Half, data: &[u8]) -> Result<Self> {
        let bits: Vec<u16> = data.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        let exponent = match format {
            Half::Bf16 => 0x7f80,
            Half::F16 => 0x7c00,
        };
        finite(name, bits.iter().all(|bits| bits & exponent != exponent))?;
        Ok(Self(Stored::Half(format, bits)))
    }

    /// ggml's blocks of rows of `d_in`.
    pub(super) fn of_blocks(format: Quant, data: &[u8], d_in: usize) -> Self {
        Self(Stored::Blocks(format, data.to_vec(), d_in))
    }

    /// The values as f32.
    ///
    /// # Errors
    /// [`Error::Weights`] if a block's scale is not finite.
    pub fn widened(self) -> Result<Vec<f32>> {
        Ok(match self.0 {
            Stored::F32(values) => values,
            Stored::Half(Half::Bf16, bits) => {
                bits.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect()
            }
            Stored::Half(Half::F16, bits) => {
                bits.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect()
            }
            Stored::Blocks(format, data, d_in) => {
                Weight::from_blocks(&data, d_in, format)?.to_values()
            }
        })
    }

    /// The transpose of rows of `width`; blocks are widened to f32.
    ///
    /// # Errors
    /// As [`Self::widened`].
    pub(crate) fn transposed(self, width: usize) -> Result<Self> {
        fn turn<T: Copy>(values: &[T], width: usize) -> Vec<T> {
            let rows = values.len() / width;
            (0..values.len()).map(|i| values[i % rows * width + i / rows]).collect()
        }
        Ok(Self(match self.0 {
            Stored::Half(format, bits) => Stored::Half(format, turn(&bits, width)),
            stored => Stored::F32(turn(&Self(stored).widened()?, width)),
        }))
    }

    /// These rows of `rows` rows, one range after another.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not so many rows.
    pub(crate) fn rows(self, rows: usize, ranges: &[Range<usize>]) -> Result<Self> {
        fn pick<T: Copy>(values: &[T], rows: usize, ranges: &[Range<usize>]) -> Option<Vec<T>> {
            let width = values.len().checked_div(rows)?;
            let part = |range: &Range<usize>| values.get(range.start * width..range.end * width);
            let whole = values.len().is_multiple_of(rows);
            let parts: Option<Vec<&[T]>> = ranges.iter().map(part).collect();
            parts.filter(|_| whole).map(|parts| parts.concat())
        }
        let stored = match self.0 {
            Stored::F32(values) => pick(&values, rows, ranges).map(Stored::F32),
            Stored::Half(half, bits) => {
                pick(&bits, rows, ranges).map(|bits| Stored::Half(half, bits))
            }
            Stored::Blocks(quant, data, d_in) => {
                pick(&data, rows, ranges).map(|data| Stored::Blocks(quant, data, d_in))
            }
        };
        let missing =
            || Error::Shape(format!("rows {ranges:?} of values that are not {rows} rows"));
        stored.map(Self).ok_or_else(missing)
    }

    /// These columns of rows of `width`. Blocks that the range cuts through are widened to f32.
    ///
    /// # Errors
    /// [`Error::Shape`] if the values are not such rows; as [`Self::widened`].
    pub(crate) fn columns(self, width: usize, range: &Range<usize>) -> Result<Self> {
        fn pick<T: Copy>(values: &[T], width: usize, range: &Range<usize>) -> Result<Vec<T>> {
            if width == 0 || range.end > width || !values.len().is_multiple_of(width) {
                let count = values.len();
                return Err(Error::Shape(format!("columns {range:?} of {count} values")));
            }
            Ok(values.chunks_exact(width).flat_map(|row| &row[range.clone()]).copied().collect())
        }
        Ok(Self(match self.0 {
            Stored::Half(half, bits) => Stored::Half(half, pick(&bits, width, range)?),
            Stored::Blocks(quant, data, d_in)
                if d_in == width
                    && [range.start, range.end, width]
                        .iter()
                        .all(|end| end.is_multiple_of(quant.block())) =>
            {
                let bytes = quant.block_bytes();
                let range_of = |at: usize| at / quant.block() * bytes;
                let part = range_of(range.start)..range_of(range.end);
                Stored::Blocks(quant, pick(&data, range_of(width), &part)?, range.len())
            }
            stored => Stored::F32(pick(&Self(stored).widened()?, width, range)?),
        }))
    }

    /// A weight of inputs `d_in` in `format`; values that are in that format already are not rounded
    /// again.
    ///
    /// # Errors
    /// [`Error::Shape`] if the values are not rows of `d_in`; [`Error::Weights`] if a block's scale
    /// is not finite.
    pub fn into_weight(self, d_in: usize, format: WeightFormat) -> Result<Weight> {
        match (self.0, format) {
            (Stored::Half(half, bits), WeightFormat::AsStored) => {
                Weight::from_half(&bits, d_in, half)
            }
            (Stored::Blocks(quant, data, width), format)
                if width == d_in
                    && (format == WeightFormat::AsStored || format.quant() == Some(quant)) =>
            {
                Weight::from_blocks(&data, d_in, quant)
            }
            (stored, format) => Weight::from_values(&Self(stored).widened()?, d_in, format),
        }
    }
}

fn finite(name: &str, all: bool) -> Result<()> {
    if all { Ok(()) } else { Err(Error::Weights(format!("{name} has a value that is not finite"))) }
}

/// Values of a safetensors tensor as f32.
///
/// # Errors
/// [`Error::Weights`] if it is not f32, bf16 or f16, or a value is not finite.
pub fn widen(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
    Values::of_view(name, view)?.widened()
}
