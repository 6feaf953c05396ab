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
