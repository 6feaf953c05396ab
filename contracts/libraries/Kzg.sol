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

    function add(G1Point memory a, G1Point memory b) internal view returns (G1Point memory) {
        return abi.decode(_call(EC_ADD, abi.encode(a, b)), (G1Point));
    }

    function mul(G1Point memory p, uint256 scalar) internal view returns (G1Point memory) {
        return abi.decode(_call(EC_MUL, abi.encode(p, scalar)), (G1Point));
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

        G1Point memory left = add(opening.commitment, mul(opening.witness, opening.point));
        left = add(left, negate(mul(generator(), opening.value)));

        return _pairs(left, opening.witness, tauG2);
    }

    /// @notice Whether all openings are true, with one pairing check for all of them.
    /// @dev Checks the sum of the equations of `opens`, the i-th multiplied by rho^i. If one of n equations is false,
    /// at most n - 1 values of rho of SCALAR_MODULUS make the sum true. rho is a hash of everything that whoever made
    /// the openings could choose, tau G2 included: were a witness left out, it could be chosen after rho such that its
    /// error cancels that of another opening.
    ///
    /// Neighbours with the same commitment share one multiplication, so sort by commitment. True for an empty list.
    function opensAll(Opening[] memory openings, G2Point memory tauG2) internal view returns (bool) {
        uint256 rho = uint256(keccak256(abi.encode(openings, tauG2))) % SCALAR_MODULUS;
        uint256 weight = 1;
        uint256 sharedWeight;
        uint256 values;
        G1Point memory left;
        G1Point memory witnesses;

        for (uint256 i; i < openings.length; ++i) {
            Opening memory opening = openings[i];
            if (!_isReduced(opening)) return false;

            values = addmod(values, mulmod(weight, opening.value, SCALAR_MODULUS), SCALAR_MODULUS);
            sharedWeight = addmod(sharedWeight, weight, SCALAR_MODULUS);
            if (i + 1 == openings.length || !_equal(opening.commitment, openings[i + 1].commitment)) {
                left = add(left, mul(opening.commitment, sharedWeight));
                sharedWeight = 0;
            }

            G1Point memory witness = mul(opening.witness, weight);
            witnesses = add(witnesses, witness);
            left = add(left, mul(witness, opening.point));
            weight = mulmod(weight, rho, SCALAR_MODULUS);
        }
        left = add(left, negate(mul(generator(), values)));

        return _pairs(left, witnesses, tauG2);
    }

    /// @notice The root of unity that generates the domain of `order` points, a power of two up to 2^28.
    function rootOfUnity(uint256 order) internal view returns (uint256) {
        require(order != 0 && order <= MAX_ORDER && order & (order - 1) == 0, UnsupportedOrder(order));
        return pow(ROOT_2_28, MAX_ORDER / order);
    }

    /// @notice base^exponent mod SCALAR_MODULUS.
    function pow(uint256 base, uint256 exponent) internal view returns (uint256) {
        bytes memory input = abi.encode(uint256(32), uint256(32), uint256(32), base, exponent, SCALAR_MODULUS);
        return abi.decode(_call(MODEXP, input), (uint256));
    }

    /// @dev e(left, G2) = e(witness, tau G2), as e(left, G2) e(-witness, tau G2) = 1.
    function _pairs(G1Point memory left, G1Point memory witness, G2Point memory tauG2) private view returns (bool) {
        G2Point memory g2 = G2Point(G2_X1, G2_X0, G2_Y1, G2_Y0);
        return abi.decode(_call(EC_PAIRING, abi.encode(left, g2, negate(witness), tauG2)), (bool));
    }

    function _isReduced(Opening memory opening) private pure returns (bool) {
        return opening.point < SCALAR_MODULUS && opening.value < SCALAR_MODULUS && isValid(opening.commitment)
            && isValid(opening.witness);
    }

    function _equal(G1Point memory a, G1Point memory b) private pure returns (bool) {
        return a.x == b.x && a.y == b.y;
    }

    function _call(address precompile, bytes memory input) private view returns (bytes memory output) {
        bool ok;
        (ok, output) = precompile.staticcall(input);
        require(ok, PrecompileFailed(precompile));
    }
}
