// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening, SlotOpening} from "../contracts/libraries/CellOpenings.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {DevSrs} from "./DevSrs.sol";

/// @notice The prover's part in tests: commitments and openings of blobs, made from the secret of `DevSrs`.
library BlobBook {
    uint256 private constant R = Kzg.SCALAR_MODULUS;

    /// @param atTau value of the polynomial at TAU
    struct Blob {
        uint256[] symbols;
        uint256 atTau;
    }

    function blobOf(uint256[] memory symbols) internal view returns (Blob memory) {
        return Blob(symbols, atTau(symbols));
    }

    function commitmentOf(Blob memory blob) internal view returns (G1Point memory) {
        return Kzg.mul(Kzg.generator(), blob.atTau);
    }

    /// @notice (TAU^N - 1) / N sum_i y_i w^i / (TAU - w^i), whose denominator is TAU^N - 1.
    function atTau(uint256[] memory symbols) internal view returns (uint256 value) {
        uint256 root = Kzg.rootOfUnity(symbols.length);
        uint256 denominator = 1;
        uint256 point = 1;
        for (uint256 i; i < symbols.length; ++i) {
            uint256 distance = addmod(DevSrs.TAU, R - point, R);
            uint256 term = mulmod(mulmod(symbols[i], point, R), denominator, R);
            value = addmod(mulmod(value, distance, R), term, R);
            denominator = mulmod(denominator, distance, R);
            point = mulmod(point, root, R);
        }
        return mulmod(value, DevSrs.inverse(symbols.length), R);
    }

    function openCells(Blob memory blob, uint32[] memory indices) internal view returns (CellOpening memory opening) {
        uint256 root = Kzg.rootOfUnity(blob.symbols.length);
        uint256[] memory points = new uint256[](indices.length);
        opening.indices = indices;
        opening.values = new uint256[](indices.length);
        for (uint256 i; i < indices.length; ++i) {
            points[i] = Kzg.pow(root, indices[i]);
            opening.values[i] = blob.symbols[indices[i]];
        }

        uint256 quotient = quotientOf(blob, points, opening.values);
        opening.quotient = Kzg.mul(Kzg.generator(), quotient);
        opening.remainder = remainderOf(
            blob, points, opening.values, quotient, cellsChallenge(commitmentOf(blob), blob.symbols.length, opening)
        );
    }

    function openSlot(Blob memory blob, uint256 cells, uint256 slot)
        internal
        view
        returns (SlotOpening memory opening)
    {
        uint256 order = blob.symbols.length;
        uint256[] memory points = new uint256[](cells);
        opening.values = new uint256[](cells);
        for (uint256 j; j < cells; ++j) {
            uint256 index = slot + j * (order / cells);
            points[j] = Kzg.pow(Kzg.rootOfUnity(order), index);
            opening.values[j] = blob.symbols[index];
        }

        uint256 quotient = quotientOf(blob, points, opening.values);
        opening.quotient = Kzg.mul(Kzg.generator(), quotient);
        opening.remainder = remainderOf(
            blob, points, opening.values, quotient, slotChallenge(commitmentOf(blob), order, cells, slot, opening)
        );
    }

    function cellsChallenge(G1Point memory c, uint256 order, CellOpening memory o) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(c.x, c.y, order, o.indices, o.values, o.quotient.x, o.quotient.y))) % R;
    }

    function slotChallenge(G1Point memory c, uint256 order, uint256 cells, uint256 slot, SlotOpening memory o)
        internal
        pure
        returns (uint256)
    {
        return uint256(keccak256(abi.encode(c.x, c.y, order, cells, slot, o.values, o.quotient.x, o.quotient.y))) % R;
    }

    /// @dev (f(TAU) - r(TAU)) / Z(TAU)
    function quotientOf(Blob memory blob, uint256[] memory points, uint256[] memory values)
        internal
        view
        returns (uint256)
    {
        (uint256 r, uint256 z) = interpolate(points, values, DevSrs.TAU);
        return mulmod(addmod(blob.atTau, R - r, R), DevSrs.inverse(z), R);
    }

    /// @dev (f(TAU) - r(chi) - Z(chi) W(TAU)) / (TAU - chi) G1
    function remainderOf(
        Blob memory blob,
        uint256[] memory points,
        uint256[] memory values,
        uint256 quotient,
        uint256 chi
    ) internal view returns (G1Point memory) {
        (uint256 r, uint256 z) = interpolate(points, values, chi);
        return DevSrs.witness(blob.atTau, chi, addmod(r, mulmod(z, quotient, R), R));
    }

    /// @dev r(x) and Z(x), by the definition of Lagrange's polynomials.
    function interpolate(uint256[] memory points, uint256[] memory values, uint256 x)
        internal
        view
        returns (uint256 r, uint256 z)
    {
        z = 1;
        for (uint256 i; i < points.length; ++i) {
            uint256 numerator = values[i];
            uint256 denominator = 1;
            for (uint256 j; j < points.length; ++j) {
                if (j == i) continue;
                numerator = mulmod(numerator, addmod(x, R - points[j], R), R);
                denominator = mulmod(denominator, addmod(points[i], R - points[j], R), R);
            }
            r = addmod(r, mulmod(numerator, DevSrs.inverse(denominator), R), R);
            z = mulmod(z, addmod(x, R - points[i], R), R);
        }
    }
}
