use attribution::spans::{LOG2_ONE, log2};
use proptest::prelude::*;

/// `floor(2^16 log2 x)`, by Python's decimal with 60 digits.
const KNOWN: [(u64, u64); 12] = [
    (1, 0),
    (2, 65_536),
    (3, 103_872),
    (5, 152_169),
    (10, 217_705),
    (1_000, 653_117),
    (50_257, 1_023_478),
    (65_537, 1_048_577),
    (10_000_000, 1_523_941),
    (4_294_967_295, 2_097_151),
    (123_456_789_012_345_678, 3_720_923),
    (18_446_744_073_709_551_615, 4_194_303),
];

#[test]
fn logarithms_equal_those_of_sixty_digits() {
    for (x, expected) in KNOWN {
        assert_eq!(log2(x), expected, "{x}");
    }
    for bit in 0_u32..64 {
        assert_eq!(log2(1 << bit), u64::from(bit) * LOG2_ONE);
    }
    assert_eq!(log2(0), 0);
}

proptest! {
    #[test]
    fn logarithms_never_fall(x in 1..u64::MAX, shift in 0_u32..64) {
        let x = (x >> shift).max(1);
        prop_assert!(log2(x) <= log2(x + 1));
    }

    #[test]
    fn products_become_sums_within_one_unit(x in 1..u64::from(u32::MAX), y in 1..u64::from(u32::MAX)) {
        let (sum, product) = (log2(x) + log2(y), log2(x * y));
        prop_assert!(sum <= product && product <= sum + 1);
    }
}
