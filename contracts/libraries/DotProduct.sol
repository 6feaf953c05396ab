// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title DotProduct
/// @notice Exact dot products of integer vectors packed in bytes, several terms per multiplication.
/// @dev Numbers are two's complement, big-endian. A vector of n numbers is cut into blocks of 32; what is left at the
/// end is multiplied number by number.
///
/// Lanes of one word, and of the other in reverse order, are the coefficients of two polynomials at 2^width. Their
/// product's coefficient in the highest lane is where equal places meet: the lanes' dot product. Coefficients may be
/// negative, because the polynomials are only ever evaluated, modulo 2^256. A lane becomes signed when half of its range
/// is added to the number, which flips its highest bit, and taken off the lane again.
///
/// Products of all words are added before the highest lane is read. What the lanes below it hold is then in absolute
/// value less than half of their range: below n * 2^14 <= 2^29 in lanes of 32 bits, n * 2^38 <= 2^53 in lanes of 64. So
/// they borrow at most 1 from the highest lane, and not even that once half of their range is added to each.
library DotProduct {
    /// @dev Thrown for vectors of different lengths (numbers).
    error LengthMismatch(uint256 a, uint256 b);
    /// @dev Thrown for more than 2^15 numbers.
    error VectorTooLong(uint256 length);
    /// @dev Thrown when the bytes of an int32 vector end within a number.
    error NotWhole(uint256 length);

    uint256 internal constant MAX_LENGTH = 1 << 15;

    uint256 private constant BLOCK = 32;

    /// @dev 128 in each byte.
    uint256 private constant FLIP_8 = 0x8080808080808080808080808080808080808080808080808080808080808080;

    /// @dev 2^31 in each 32 bits: half of an int32's range, and of a lane's.
    uint256 private constant FLIP_32 = 0x8000000080000000800000008000000080000000800000008000000080000000;

    /// @dev The lowest byte of each lane of 32 bits, and half of its range.
    uint256 private constant BYTES_32 = 0x000000ff000000ff000000ff000000ff000000ff000000ff000000ff000000ff;
    uint256 private constant HALF_BYTES_32 = 0x0000008000000080000000800000008000000080000000800000008000000080;

    /// @dev The lowest byte of each lane of 64 bits, and half of its range.
    uint256 private constant BYTES_64 = 0x00000000000000ff00000000000000ff00000000000000ff00000000000000ff;
    uint256 private constant HALF_BYTES_64 = 0x0000000000000080000000000000008000000000000000800000000000000080;

    /// @dev The lower half of each lane of 64 bits, and half of its range.
    uint256 private constant WORDS_64 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant HALF_WORDS_64 = 0x0000000080000000000000008000000000000000800000000000000080000000;

    /// @dev The lower half of each lane of 128 bits.
    uint256 private constant LANES_128 = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;

    uint256 private constant LANE_64 = 0xffffffffffffffff;

    /// @dev Half of the range of every lane of 32 or 64 bits but the highest.
    uint256 private constant LOWER_HALVES_32 = 0x0000000080000000800000008000000080000000800000008000000080000000;
    uint256 private constant LOWER_HALVES_64 = 0x0000000000000000800000000000000080000000000000008000000000000000;

    /// @dev 2^0 + 2^80 + 2^160 + 2^240. Eight bytes b0 .. b7 times this are copies that do not overlap, in which b1,
    /// b3, b5 and b7 begin at bits 48, 112, 176 and 240: one lane of 64 bits apart, in reverse order. b0, b2, b4 and b6
    /// are 8 bits above them.
    uint256 private constant SPREAD = 0x0001000000000000000000010000000000000000000100000000000000000001;

    /// @notice Sum of a_i b_i for two vectors of int8.
    /// @dev Reverts with `LengthMismatch` or `VectorTooLong`.
    function ofInt8(bytes calldata a, bytes calldata b) internal pure returns (int256 sum) {
        uint256 length = a.length;
        require(length == b.length, LengthMismatch(length, b.length));
        require(length <= MAX_LENGTH, VectorTooLong(length));

        uint256 packed = length & ~(BLOCK - 1);
        sum = _packedInt8(a, b, packed);
        for (uint256 i = packed; i < length; ++i) {
            sum += _int8At(a, i) * _int8At(b, i);
        }
    }

    /// @notice Sum of a_i t_i for a vector of int8 and one of int32.
    /// @dev Reverts with `NotWhole`, `LengthMismatch` or `VectorTooLong`.
    function ofInt8AndInt32(bytes calldata a, bytes calldata t) internal pure returns (int256 sum) {
        uint256 length = a.length;
        require(t.length % 4 == 0, NotWhole(t.length));
        require(length == t.length / 4, LengthMismatch(length, t.length / 4));
        require(length <= MAX_LENGTH, VectorTooLong(length));

        uint256 packed = length & ~(BLOCK - 1);
        sum = _packedInt32(a, t, packed);
        for (uint256 i = packed; i < length; ++i) {
            sum += _int8At(a, i) * _int32At(t, i);
        }
    }

    /// @param length a multiple of 32
    function _packedInt8(bytes calldata a, bytes calldata b, uint256 length) private pure returns (int256) {
        uint256 products;
        assembly ("memory-safe") {
            let end := add(a.offset, length)
            let shift := sub(b.offset, a.offset)
            for { let at := a.offset } lt(at, end) { at := add(at, 32) } {
                let x := xor(calldataload(at), FLIP_8)
                let y := xor(calldataload(add(at, shift)), FLIP_8)

                // The eight lanes in reverse order: halves, then quarters, then eighths change places.
                y := or(shr(128, y), shl(128, y))
                y := or(and(shr(64, y), LANES_128), shl(64, and(y, LANES_128)))
                y := or(and(shr(32, y), WORDS_64), shl(32, and(y, WORDS_64)))

                products := add(
                    products,
                    add(
                        add(
                            mul(sub(and(x, BYTES_32), HALF_BYTES_32), sub(and(y, BYTES_32), HALF_BYTES_32)),
                            mul(
                                sub(and(shr(8, x), BYTES_32), HALF_BYTES_32),
                                sub(and(shr(8, y), BYTES_32), HALF_BYTES_32)
                            )
                        ),
                        add(
                            mul(
                                sub(and(shr(16, x), BYTES_32), HALF_BYTES_32),
                                sub(and(shr(16, y), BYTES_32), HALF_BYTES_32)
                            ),
                            mul(
                                sub(and(shr(24, x), BYTES_32), HALF_BYTES_32),
                                sub(and(shr(24, y), BYTES_32), HALF_BYTES_32)
                            )
                        )
                    )
                )
            }
        }
        unchecked {
            return int256(products + LOWER_HALVES_32) >> 224;
        }
    }

    /// @param length a multiple of 32
    function _packedInt32(bytes calldata a, bytes calldata t, uint256 length) private pure returns (int256) {
        uint256 products;
        assembly ("memory-safe") {
            // The dot product of eight of the bytes, moved to the lowest 64 bits, and the word of their eight int32.
            function eight(bytes8, word) -> product {
                let copies := mul(and(bytes8, LANE_64), SPREAD)
                let y := xor(word, FLIP_32)
                product := add(
                    mul(sub(and(shr(48, copies), BYTES_64), HALF_BYTES_64), sub(and(y, WORDS_64), HALF_WORDS_64)),
                    mul(
                        sub(and(shr(56, copies), BYTES_64), HALF_BYTES_64),
                        sub(and(shr(32, y), WORDS_64), HALF_WORDS_64)
                    )
                )
            }

            let end := add(a.offset, length)
            let at := t.offset
            for { let from := a.offset } lt(from, end) { from := add(from, 32) } {
                let x := xor(calldataload(from), FLIP_8)
                products := add(
                    products,
                    add(
                        add(eight(shr(192, x), calldataload(at)), eight(shr(128, x), calldataload(add(at, 32)))),
                        add(eight(shr(64, x), calldataload(add(at, 64))), eight(x, calldataload(add(at, 96))))
                    )
                )
                at := add(at, 128)
            }
        }
        unchecked {
            return int256(products + LOWER_HALVES_64) >> 192;
        }
    }

    function _int8At(bytes calldata a, uint256 i) private pure returns (int256) {
        return int8(uint8(a[i]));
    }

    function _int32At(bytes calldata t, uint256 i) private pure returns (int256) {
        return int32(uint32(bytes4(t[4 * i:4 * i + 4])));
    }
}
