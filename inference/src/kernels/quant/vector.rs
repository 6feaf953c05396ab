//! The few vector operations that products with quantised weights need.

/// Bytes of a vector: four inputs of each of 16 columns.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; 64]);

/// 16 lanes of i32 and f32, and 64 bytes, in one instruction set.
///
/// All sets give the same bits: integers are exact, and floats are multiplied and added separately.
///
/// # Safety
/// Every function must only be called on a processor that has the instruction set.
pub(super) trait Vector {
    /// What [`Self::dot_offset`] leaves in the sum for each unit of the activations' sum.
    const OFFSET: i32;
    type Bytes: Copy;
    type Int: Copy;
    type Float: Copy;

    unsafe fn bytes(line: &Line) -> Self::Bytes;
    /// `bytes & 15`.
    unsafe fn low(bytes: Self::Bytes) -> Self::Bytes;
    /// `bytes >> 4`.
    unsafe fn high(bytes: Self::Bytes) -> Self::Bytes;
    /// `nibbles | ((pairs >> 2 group) & 3) << 4`.
    unsafe fn six_bits(nibbles: Self::Bytes, pairs: Self::Bytes, group: usize) -> Self::Bytes;

    unsafe fn int(value: i32) -> Self::Int;
    /// Adds to each lane the sum of its four bytes, 0 to 63, times the four signed bytes of `a`.
    unsafe fn dot(sum: Self::Int, bytes: Self::Bytes, a: i32) -> Self::Int;
    /// As [`Self::dot`] with `bytes - 128`, but for `OFFSET` times the sum of `a`.
    unsafe fn dot_offset(sum: Self::Int, bytes: Self::Bytes, a: i32) -> Self::Int;

    unsafe fn float(value: f32) -> Self::Float;
    unsafe fn of_int(value: Self::Int) -> Self::Float;
    /// Sixteen f16.
    unsafe fn of_halves(values: &[u16; 16]) -> Self::Float;
    unsafe fn of_unsigned(values: &[u8; 16]) -> Self::Float;
    unsafe fn of_signed(values: &[i8; 16]) -> Self::Float;
    unsafe fn add(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn sub(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn mul(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn store(value: Self::Float) -> [f32; 16];
}

/// Plain loops: what the instruction sets are compared with.
pub(super) struct Plain;

impl Plain {
    #[inline(always)]
    fn lanes<A: Copy, B: Copy, C>(a: [A; 16], b: [B; 16], f: impl Fn(A, B) -> C) -> [C; 16] {
        std::array::from_fn(|lane| f(a[lane], b[lane]))
    }

    #[inline(always)]
    fn dot_with(sum: [i32; 16], bytes: [u8; 64], a: i32, of: impl Fn(u8) -> i32) -> [i32; 16] {
        let a = a.to_le_bytes().map(|byte| i32::from(byte as i8));
        std::array::from_fn(|lane| {
            let four = &bytes[4 * lane..][..4];
            four.iter().zip(a).fold(sum[lane], |sum, (&byte, a)| sum + of(byte) * a)
        })
    }
}

impl Vector for Plain {
    const OFFSET: i32 = 0;
    type Bytes = [u8; 64];
    type Int = [i32; 16];
    type Float = [f32; 16];

    #[inline(always)]
    unsafe fn bytes(line: &Line) -> [u8; 64] {
        line.0
    }

    #[inline(always)]
    unsafe fn low(bytes: [u8; 64]) -> [u8; 64] {
        bytes.map(|byte| byte & 15)
    }

    #[inline(always)]
    unsafe fn high(bytes: [u8; 64]) -> [u8; 64] {
        bytes.map(|byte| byte >> 4)
    }

    #[inline(always)]
    unsafe fn six_bits(nibbles: [u8; 64], pairs: [u8; 64], group: usize) -> [u8; 64] {
        std::array::from_fn(|i| nibbles[i] | ((pairs[i] >> (2 * group)) & 3) << 4)
    }

    #[inline(always)]
    unsafe fn int(value: i32) -> [i32; 16] {
        [value; 16]
    }

    #[inline(always)]
    unsafe fn dot(sum: [i32; 16], bytes: [u8; 64], a: i32) -> [i32; 16] {
        Self::dot_with(sum, bytes, a, i32::from)
    }

    #[inline(always)]
    unsafe fn dot_offset(sum: [i32; 16], bytes: [u8; 64], a: i32) -> [i32; 16] {
        Self::dot_with(sum, bytes, a, |byte| i32::from(byte) - 128)
    }

    #[inline(always)]
    unsafe fn float(value: f32) -> [f32; 16] {
        [value; 16]
    }

    #[inline(always)]
    unsafe fn of_int(value: [i32; 16]) -> [f32; 16] {
        value.map(|value| value as f32)
    }

    #[inline(always)]
    unsafe fn of_halves(values: &[u16; 16]) -> [f32; 16] {
        values.map(|bits| half::f16::from_bits(bits).to_f32_const())
    }

    #[inline(always)]
    unsafe fn of_unsigned(values: &[u8; 16]) -> [f32; 16] {
        values.map(f32::from)
    }

    #[inline(always)]
    unsafe fn of_signed(values: &[i8; 16]) -> [f32; 16] {
        values.map(f32::from)
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        Self::lanes(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        Self::lanes(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        Self::lanes(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn store(value: [f32; 16]) -> [f32; 16] {
        value
    }
}
