// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point, Kzg, Opening} from "../contracts/libraries/Kzg.sol";

/// @notice A structured reference string whose secret is known, so that commitments and witnesses are one scalar
/// multiplication each: commit(p) = p(tau) G1, and the witness at z is (p(tau) - p(z)) / (tau - z) G1.
library DevSrs {
    uint256 internal constant R = Kzg.SCALAR_MODULUS;
    uint256 internal constant TAU =
        881_462_271_010_711_522_255_557_671_346_413_133_900_417_267_821_405_668_649_806_406_399_484_096_255;

    /// @dev TAU G2, computed with py_ecc.
    function tauG2() internal pure returns (G2Point memory) {
        return G2Point({
            x1: 20_217_520_503_636_774_463_933_209_058_110_667_225_950_645_149_332_514_432_975_418_451_234_481_099_760,
            x0: 6_708_839_982_576_603_789_461_473_735_219_987_516_105_902_308_082_155_671_283_907_275_543_105_496_199,
            y1: 18_370_633_561_913_666_280_069_802_299_748_794_184_062_321_664_679_394_256_209_144_859_208_450_095_840,
            y0: 7_953_329_660_984_241_499_231_733_474_518_654_153_487_177_910_525_868_409_341_402_342_502_166_334_374
        });
    }

    function commit(uint256[] memory coefficients) internal view returns (G1Point memory) {
        return Kzg.mul(Kzg.generator(), evaluate(coefficients, TAU));
    }

    function open(uint256[] memory coefficients, uint256 point) internal view returns (Opening memory) {
        uint256 value = evaluate(coefficients, point);
        return Opening(commit(coefficients), point, value, witness(evaluate(coefficients, TAU), point, value));
    }

    function evaluate(uint256[] memory coefficients, uint256 point) internal pure returns (uint256 value) {
        for (uint256 i = coefficients.length; i > 0; --i) {
            value = addmod(mulmod(value, point, R), coefficients[i - 1], R);
        }
    }

    /// @param atTau the polynomial's value at TAU
    function witness(uint256 atTau, uint256 point, uint256 value) internal view returns (G1Point memory) {
        uint256 difference = addmod(atTau, R - value, R);
        return Kzg.mul(Kzg.generator(), mulmod(difference, inverse(addmod(TAU, R - point, R)), R));
    }

    /// @notice L_k(TAU) for the domain of `order` points with generator v:
    /// v^k (TAU^order - 1) / (order (TAU - v^k)).
    function lagrange(uint256 order, uint256 k) internal view returns (uint256) {
        uint256 point = Kzg.pow(Kzg.rootOfUnity(order), k);
        uint256 numerator = mulmod(point, addmod(Kzg.pow(TAU, order), R - 1, R), R);
        return mulmod(numerator, inverse(mulmod(order, addmod(TAU, R - point, R), R)), R);
    }

    function inverse(uint256 x) internal view returns (uint256) {
        return Kzg.pow(x, R - 2);
    }
}
