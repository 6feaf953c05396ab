/// One bit, in the units of [`log2`]: it has 16 bits after the point.
pub const LOG2_ONE: u64 = 1 << 16;

const FRACTION_BITS: u32 = 16;

/// Binary logarithm of `x` in units of 2^-16, rounded down, by repeated squaring: no table and no
/// float, so that a contract can follow it. `x` is at least 1; 0 gives 0.
///
/// With `x = m 2^k` and `1 <= m < 2` the integer part is `k`. Squaring `m` doubles its logarithm:
/// if the square is 2 or more the next bit is 1 and the square is halved, else it is 0. `m` has 63
/// bits after the point and squares are truncated to them.
#[must_use]
pub fn log2(x: u64) -> u64 {
    let Some(whole) = x.checked_ilog2() else { return 0 };
    let mut mantissa = x << (63 - whole);
    let mut bits = u64::from(whole);
    for _ in 0..FRACTION_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let doubled = u64::from(square >> 127 == 1);
        bits = bits << 1 | doubled;
        mantissa = u64::try_from(square >> (63 + doubled)).expect("below 2 with 63 bits after it");
    }
    bits
}
