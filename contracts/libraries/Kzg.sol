// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @dev Affine point of BN254's G1; (0, 0) is the identity.
struct G1Point {
    uint256 x;
    uint256 y;
}

/// @dev Affine point of BN254's G2, coefficients of the tower in the precompile's order: imaginary part first.
struct G2Point {
    uint256 x1;
    uint256 x0;
    uint256 y1;
    uint256 y0;
}

/// @dev The claim that the committed polynomial p has p(point) = value.
/// @param witness commitment to (p(X) - value) / (X - point)
struct Opening {
    G1Point commitment;
    uint256 point;
    uint256 value;
    G1Point witness;
}

/// @notice KZG commitments over BN254: group operations, openings one by one or many in one pairing, and the roots of
/// unity that evaluation domains are made of (Kate, Zaverucha and Goldberg 2010).
/// @dev A commitment is p(tau) G1 for the secret tau of the structured reference string, of which only tau G2 is
/// needed here. Functions that take points assume them valid (see `isValid`), because the precompiles burn all gas that
/// they are given when a point is not; `opens` and `opensAll` check by themselves and answer false.
///
/// In assembly the arguments of `and` are evaluated from the last: the size is that of what the call returned, which is
/// nothing on a chain without the precompile.
library Kzg {
    /// @dev Order of the field of coordinates.
    uint256 internal constant BASE_MODULUS =
        21_888_242_871_839_275_222_246_405_745_257_275_088_696_311_157_297_823_662_689_037_894_645_226_208_583;

    /// @dev Order of the group and of the field of scalars.
    uint256 internal constant SCALAR_MODULUS =
        21_888_242_871_839_275_222_246_405_745_257_275_088_548_364_400_416_034_343_698_204_186_575_808_495_617;

    /// @dev 5^((SCALAR_MODULUS - 1) / 2^28), which generates the largest subgroup whose order is a power of two.
    /// arkworks and rust-kzg-bn254 take the same one.
    uint256 internal constant ROOT_2_28 =
        19_103_219_067_921_713_944_291_392_827_692_070_036_145_651_957_329_286_315_305_642_004_821_462_161_904;

    uint256 internal constant MAX_ORDER = 1 << 28;

    uint256 private constant G2_X1 =
        11_559_732_032_986_387_107_991_004_021_392_285_783_925_812_861_821_192_530_917_403_151_452_391_805_634;
    uint256 private constant G2_X0 =
        10_857_046_999_023_057_135_944_570_762_232_829_481_370_756_359_578_518_086_990_519_993_285_655_852_781;
    uint256 private constant G2_Y1 =
        4_082_367_875_863_433_681_332_203_403_145_435_568_316_851_327_593_401_208_105_741_076_214_120_093_531;
    uint256 private constant G2_Y0 =
        8_495_653_923_123_431_417_604_973_247_489_272_438_418_190_587_263_600_148_770_280_649_306_958_101_930;

    address private constant MODEXP = address(5);
    address private constant EC_ADD = address(6);
    address private constant EC_MUL = address(7);
    address private constant EC_PAIRING = address(8);

    /// @dev Thrown when a precompile was given an invalid point or too little gas.
    error PrecompileFailed(address precompile);
    /// @dev Thrown unless a domain's order is a power of two from 1 to 2^28.
    error UnsupportedOrder(uint256 order);

    function generator() internal pure returns (G1Point memory) {
        return G1Point(1, 2);
    }

    /// @notice Whether `p` is the identity or lies on the curve, with reduced coordinates.
    /// @dev G1 has no other subgroup, so being on the curve is being in the group.
    function isValid(G1Point memory p) internal pure returns (bool) {
        if (p.x >= BASE_MODULUS || p.y >= BASE_MODULUS) return false;
        if (p.x == 0 && p.y == 0) return true;

        uint256 cube = mulmod(mulmod(p.x, p.x, BASE_MODULUS), p.x, BASE_MODULUS);
        return mulmod(p.y, p.y, BASE_MODULUS) == addmod(cube, 3, BASE_MODULUS);
    }

    /// @notice Whether `p` is a point of G2 other than the identity.
    function isValid(G2Point memory p) internal view returns (bool) {
        if (p.x1 == 0 && p.x0 == 0 && p.y1 == 0 && p.y0 == 0) return false;

        // The pairing precompile checks curve and subgroup even where the other argument is the identity.
        (bool ok,) = EC_PAIRING.staticcall(abi.encode(uint256(0), uint256(0), p));
        return ok;
    }

    function add(G1Point memory a, G1Point memory b) internal view returns (G1Point memory sum) {
        _addTo(sum, a, b);
    }

    function mul(G1Point memory p, uint256 scalar) internal view returns (G1Point memory product) {
        _mulTo(product, p, scalar);
    }

    function negate(G1Point memory p) internal pure returns (G1Point memory) {
        // The identity is its own negative; BASE_MODULUS - 0 would not be a reduced coordinate.
        return p.y == 0 ? p : G1Point(p.x, BASE_MODULUS - p.y);
    }

    /// @notice Whether the opening is true: e(C - y G1 + z W, G2) = e(W, tau G2).
    /// @dev False also for invalid points and for scalars that are not reduced; otherwise y and y + SCALAR_MODULUS
    /// would both open.
    function opens(Opening memory opening, G2Point memory tauG2) internal view returns (bool) {
        if (!_isReduced(opening)) return false;

        G1Point memory left = mul(opening.witness, opening.point);
        _addTo(left, left, opening.commitment);
        _subtractValue(left, opening.value);

        return _pairs(left, opening.witness, tauG2);
    }

    /// @notice Whether all openings are true, with one pairing check for all of them.
    /// @dev Checks the sum of the equations of `opens`, the i-th multiplied by rho^i. If one of n equations is false,
    /// at most n - 1 values of rho of SCALAR_MODULUS make the sum true. rho is a hash of everything that whoever made
    /// the openings could choose, tau G2 included: were a witness left out, it could be chosen after rho such that its
    /// error cancels that of another opening.
    ///
    /// An opening costs two multiplications. Neighbours with the same commitment share a third, so sort by commitment.
    /// True for an empty list.
    function opensAll(Opening[] memory openings, G2Point memory tauG2) internal view returns (bool) {
        uint256 rho = _combiner(openings, tauG2);
        uint256 weight = 1;
        uint256 sharedWeight;
        uint256 values;
        G1Point memory left;
        G1Point memory witnesses;
        G1Point memory term;

        for (uint256 i; i < openings.length; ++i) {
            Opening memory opening = openings[i];
            if (opening.point >= SCALAR_MODULUS || opening.value >= SCALAR_MODULUS) return false;
            if (!isValid(opening.witness)) return false;

            values = addmod(values, mulmod(weight, opening.value, SCALAR_MODULUS), SCALAR_MODULUS);
            sharedWeight = addmod(sharedWeight, weight, SCALAR_MODULUS);
            if (i + 1 == openings.length || !_equal(opening.commitment, openings[i + 1].commitment)) {
                // Whoever shares it has the same coordinates.
                if (!isValid(opening.commitment)) return false;
                _mulTo(term, opening.commitment, sharedWeight);
                _addTo(left, left, term);
                sharedWeight = 0;
            }

            _mulTo(term, opening.witness, weight);
            _addTo(witnesses, witnesses, term);
            _mulTo(term, term, opening.point);
            _addTo(left, left, term);
            weight = mulmod(weight, rho, SCALAR_MODULUS);
        }
        _subtractValue(left, values);

        return _pairs(left, witnesses, tauG2);
    }

    /// @notice Room for `count` openings, all of which must be set before one is read.
    /// @dev Solidity would make an empty opening for each first, which costs as much as the real one.
    function unfilled(uint256 count) internal pure returns (Opening[] memory openings) {
        assembly ("memory-safe") {
            openings := mload(0x40)
            mstore(openings, count)
            mstore(0x40, add(openings, mul(add(count, 1), 0x20)))
        }
    }

    /// @notice The root of unity that generates the domain of `order` points, a power of two up to 2^28.
    function rootOfUnity(uint256 order) internal view returns (uint256) {
        require(order != 0 && order <= MAX_ORDER && order & (order - 1) == 0, UnsupportedOrder(order));
        return pow(ROOT_2_28, MAX_ORDER / order);
    }

    /// @notice base^exponent mod SCALAR_MODULUS.
    function pow(uint256 base, uint256 exponent) internal view returns (uint256 power) {
        uint256 modulus = SCALAR_MODULUS;
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, 32)
            mstore(add(input, 0x20), 32)
            mstore(add(input, 0x40), 32)
            mstore(add(input, 0x60), base)
            mstore(add(input, 0x80), exponent)
            mstore(add(input, 0xa0), modulus)
            ok := and(eq(returndatasize(), 0x20), staticcall(gas(), 5, input, 0xc0, 0, 0x20))
            power := mload(0)
        }
        require(ok, PrecompileFailed(MODEXP));
    }

    /// @dev Hash of all openings, of six words each, and tau G2.
    function _combiner(Opening[] memory openings, G2Point memory tauG2) private pure returns (uint256 rho) {
        assembly ("memory-safe") {
            let input := mload(0x40)
            let at := input
            let end := add(add(openings, 0x20), mul(mload(openings), 0x20))
            for { let place := add(openings, 0x20) } lt(place, end) { place := add(place, 0x20) } {
                let opening := mload(place)
                mcopy(at, mload(opening), 0x40)
                mcopy(add(at, 0x40), add(opening, 0x20), 0x40)
                mcopy(add(at, 0x80), mload(add(opening, 0x60)), 0x40)
                at := add(at, 0xc0)
            }
            mcopy(at, tauG2, 0x80)
            rho := keccak256(input, sub(add(at, 0x80), input))
        }
        rho %= SCALAR_MODULUS;
    }

    /// @dev sum = a + b; it may be one of them.
    function _addTo(G1Point memory sum, G1Point memory a, G1Point memory b) private view {
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mcopy(input, a, 0x40)
            mcopy(add(input, 0x40), b, 0x40)
            ok := and(eq(returndatasize(), 0x40), staticcall(gas(), 6, input, 0x80, sum, 0x40))
        }
        require(ok, PrecompileFailed(EC_ADD));
    }

    /// @dev product = scalar p; it may be p.
    function _mulTo(G1Point memory product, G1Point memory p, uint256 scalar) private view {
        bool ok = true;
        assembly ("memory-safe") {
            switch scalar
            case 1 { mcopy(product, p, 0x40) }
            default {
                let input := mload(0x40)
                mcopy(input, p, 0x40)
                mstore(add(input, 0x40), scalar)
                ok := and(eq(returndatasize(), 0x40), staticcall(gas(), 7, input, 0x60, product, 0x40))
            }
        }
        require(ok, PrecompileFailed(EC_MUL));
    }

    /// @dev Takes value G1 from a point.
    function _subtractValue(G1Point memory p, uint256 value) private view {
        G1Point memory term = mul(G1Point(1, BASE_MODULUS - 2), value);
        _addTo(p, p, term);
    }

    /// @dev e(left, G2) = e(witness, tau G2), as e(left, G2) e(-witness, tau G2) = 1.
    function _pairs(G1Point memory left, G1Point memory witness, G2Point memory tauG2)
        private
        view
        returns (bool pairs)
    {
        G2Point memory g2 = G2Point(G2_X1, G2_X0, G2_Y1, G2_Y0);
        G1Point memory negated = negate(witness);
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mcopy(input, left, 0x40)
            mcopy(add(input, 0x40), g2, 0x80)
            mcopy(add(input, 0xc0), negated, 0x40)
            mcopy(add(input, 0x100), tauG2, 0x80)
            ok := and(eq(returndatasize(), 0x20), staticcall(gas(), 8, input, 0x180, 0, 0x20))
            pairs := mload(0)
        }
        require(ok, PrecompileFailed(EC_PAIRING));
    }

    function _isReduced(Opening memory opening) private pure returns (bool) {
        return opening.point < SCALAR_MODULUS && opening.value < SCALAR_MODULUS && isValid(opening.commitment)
            && isValid(opening.witness);
    }

    function _equal(G1Point memory a, G1Point memory b) private pure returns (bool) {
        return a.x == b.x && a.y == b.y;
    }
}
