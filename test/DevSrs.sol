// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point, Kzg, Opening} from "../contracts/libraries/Kzg.sol";

/// @notice A structured reference string whose secret is known, so that commitments and witnesses are one scalar
/// multiplication each: commit(p) = p(tau) G1, and the witness at z is (p(tau) - p(z)) / (tau - z) G1.
library DevSrs {
    uint256 internal constant R = Kzg.SCALAR_MODULUS;
    uint256 internal constant TAU = 881462271010711522255557671346413133900417267821405668649806406399484096255;

    /// @dev TAU G2, computed with py_ecc.
    function tauG2() internal pure returns (G2Point memory) {
        return G2Point({
            x1: 20217520503636774463933209058110667225950645149332514432975418451234481099760,
            x0: 6708839982576603789461473735219987516105902308082155671283907275543105496199,
            y1: 18370633561913666280069802299748794184062321664679394256209144859208450095840,
            y0: 7953329660984241499231733474518654153487177910525868409341402342502166334374
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
