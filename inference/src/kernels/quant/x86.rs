//! The vector operations in AVX-512 with VNNI, and in AVX2 with F16C.

use core::arch::x86_64::*;

use super::vector::{Line, Vector};

/// AVX-512F, BW and VNNI.
pub(super) struct Avx512;

impl Vector for Avx512 {
    const OFFSET: i32 = 128;
    type Bytes = __m512i;
    type Int = __m512i;
    type Float = __m512;

    #[inline(always)]
    unsafe fn bytes(line: &Line) -> __m512i {
        // SAFETY: a line is 64 aligned bytes.
        unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m512i) -> __m512i {
        // SAFETY: by the trait's contract, here and below.
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { Self::low(_mm512_srli_epi16::<4>(bytes)) }
    }

    #[inline(always)]
    unsafe fn six_bits(nibbles: __m512i, pairs: __m512i, group: usize) -> __m512i {
        // SAFETY: as above. Bits shifted in from the neighbouring byte are masked off.
        unsafe {
            let moved = match group {
                0 => _mm512_slli_epi16::<4>(pairs),
                1 => _mm512_slli_epi16::<2>(pairs),
                2 => pairs,
                _ => _mm512_srli_epi16::<2>(pairs),
            };
            _mm512_or_si512(nibbles, _mm512_and_si512(moved, _mm512_set1_epi8(0x30)))
        }
    }

    #[inline(always)]
    unsafe fn int(value: i32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn dot(sum: __m512i, bytes: __m512i, a: i32) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(sum, bytes, _mm512_set1_epi32(a)) }
    }

    #[inline(always)]
    unsafe fn dot_offset(sum: __m512i, bytes: __m512i, a: i32) -> __m512i {
        // SAFETY: as above.
        unsafe { Self::dot(sum, bytes, a) }
    }

    #[inline(always)]
    unsafe fn float(value: f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn of_int(value: __m512i) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtepi32_ps(value) }
    }

    #[inline(always)]
    unsafe fn of_halves(values: &[u16; 16]) -> __m512 {
        // SAFETY: as above; 32 bytes are read.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(values.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn of_unsigned(values: &[u8; 16]) -> __m512 {
        // SAFETY: as above; 16 bytes are read.
        unsafe {
            let values = _mm_loadu_si128(values.as_ptr().cast());
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(values))
        }
    }

    #[inline(always)]
    unsafe fn of_signed(values: &[i8; 16]) -> __m512 {
        // SAFETY: as above; 16 bytes are read.
        unsafe {
            let values = _mm_loadu_si128(values.as_ptr().cast());
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(values))
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn store(value: __m512) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        // SAFETY: as above; 64 bytes are written.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), value) };
        lanes
    }
}

/// AVX2 and F16C: lanes 0 to 7, then 8 to 15.
pub(super) struct Avx2;

/// `f` of both halves.
#[inline(always)]
fn both<A: Copy, B: Copy, C>(a: [A; 2], b: [B; 2], f: impl Fn(A, B) -> C) -> [C; 2] {
    [f(a[0], b[0]), f(a[1], b[1])]
}

impl Vector for Avx2 {
    const OFFSET: i32 = 0;
    type Bytes = [__m256i; 2];
    type Int = [__m256i; 2];
    type Float = [__m256; 2];

    #[inline(always)]
    unsafe fn bytes(line: &Line) -> [__m256i; 2] {
        let start: *const __m256i = std::ptr::from_ref(line).cast();
        // SAFETY: a line is 64 aligned bytes.
        unsafe { [_mm256_load_si256(start), _mm256_load_si256(start.add(1))] }
    }

    #[inline(always)]
    unsafe fn low(bytes: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: by the trait's contract, here and below.
        bytes.map(|bytes| unsafe { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) })
    }

    #[inline(always)]
    unsafe fn high(bytes: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { Self::low(bytes.map(|bytes| _mm256_srli_epi16::<4>(bytes))) }
    }

    #[inline(always)]
    unsafe fn six_bits(nibbles: [__m256i; 2], pairs: [__m256i; 2], group: usize) -> [__m256i; 2] {
        // SAFETY: as above. Bits shifted in from the neighbouring byte are masked off.
        both(nibbles, pairs, |nibbles, pairs| unsafe {
            let moved = match group {
                0 => _mm256_slli_epi16::<4>(pairs),
                1 => _mm256_slli_epi16::<2>(pairs),
                2 => pairs,
                _ => _mm256_srli_epi16::<2>(pairs),
            };
            _mm256_or_si256(nibbles, _mm256_and_si256(moved, _mm256_set1_epi8(0x30)))
        })
    }

    #[inline(always)]
    unsafe fn int(value: i32) -> [__m256i; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    unsafe fn dot(sum: [__m256i; 2], bytes: [__m256i; 2], a: i32) -> [__m256i; 2] {
        // SAFETY: as above. Two products of at most 63 * 127 fit i16.
        both(sum, bytes, |sum, bytes| unsafe {
            let pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi32(a));
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        })
    }

    #[inline(always)]
    unsafe fn dot_offset(sum: [__m256i; 2], bytes: [__m256i; 2], a: i32) -> [__m256i; 2] {
        // SAFETY: as above. |w| is at most 128 and the sign goes to `a`, which is never -128: two
        // products of at most 128 * 127 fit i16.
        both(sum, bytes, |sum, bytes| unsafe {
            let weights = _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));
            let a = _mm256_sign_epi8(_mm256_set1_epi32(a), weights);
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), a);
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        })
    }

    #[inline(always)]
    unsafe fn float(value: f32) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    unsafe fn of_int(value: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        value.map(|value| unsafe { _mm256_cvtepi32_ps(value) })
    }

    #[inline(always)]
    unsafe fn of_halves(values: &[u16; 16]) -> [__m256; 2] {
        let start: *const __m128i = values.as_ptr().cast();
        // SAFETY: as above; twice 16 bytes are read.
        [0, 1].map(|half| unsafe { _mm256_cvtph_ps(_mm_loadu_si128(start.add(half))) })
    }

    #[inline(always)]
    unsafe fn of_unsigned(values: &[u8; 16]) -> [__m256; 2] {
        // SAFETY: as above; 16 bytes are read.
        unsafe {
            let values = _mm_loadu_si128(values.as_ptr().cast());
            [values, _mm_srli_si128::<8>(values)]
                .map(|eight| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight)))
        }
    }

    #[inline(always)]
    unsafe fn of_signed(values: &[i8; 16]) -> [__m256; 2] {
        // SAFETY: as above; 16 bytes are read.
        unsafe {
            let values = _mm_loadu_si128(values.as_ptr().cast());
            [values, _mm_srli_si128::<8>(values)]
                .map(|eight| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)))
        }
    }

    #[inline(always)]
    unsafe fn add(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        both(a, b, |a, b| unsafe { _mm256_add_ps(a, b) })
    }

    #[inline(always)]
    unsafe fn sub(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        both(a, b, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }

    #[inline(always)]
    unsafe fn mul(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        both(a, b, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }

    #[inline(always)]
    unsafe fn store(value: [__m256; 2]) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        // SAFETY: as above; twice 32 bytes are written.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), value[0]);
            _mm256_storeu_ps(lanes.as_mut_ptr().add(8), value[1]);
        }
        lanes
    }
}
