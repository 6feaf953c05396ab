// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point, Kzg, Opening} from "./Kzg.sol";

/// @dev The claim that a committed polynomial f has f(w^indices[i]) = values[i] for the root w of its domain.
/// @param quotient W, commitment to (f - r) / Z for the polynomial r of the values and Z, zero at the indices
/// @param remainder W', commitment to (f - r(chi) - Z(chi) W) / (X - chi)
struct CellOpening {
    uint32[] indices;
    uint256[] values;
    G1Point quotient;
    G1Point remainder;
}

/// @dev The same for one slot of a domain of N points cut into slots of c cells: slot s is at the indices s + j * N/c.
/// @param values of the slot's cells, j from 0 to c - 1
struct SlotOpening {
    uint256[] values;
    G1Point quotient;
    G1Point remainder;
}

/// @title CellOpenings
/// @notice KZG openings of a polynomial at many roots of unity (Boneh, Drake, Fisch and Gabizon 2020, section 4), any
/// number of them checked by one pairing.
/// @dev For points S, with Z zero on S and r of degree below |S| equal to f on S, f - r = Z W as polynomials. It is
/// checked at chi, a hash of everything before it: e(C - r(chi) G1 - Z(chi) W + chi W', G2) = e(W', tau G2).
///
/// Values are only required to be reduced. A blob may hold symbols that no cell can be, from 2^248 up; were they
/// refused here, nobody could show them.
library CellOpenings {
    /// @dev What is left to check of an opening.
    /// @param chi challenge
    /// @param interpolated r(chi)
    /// @param vanishing Z(chi)
    struct Equation {
        G1Point commitment;
        uint256 chi;
        uint256 interpolated;
        uint256 vanishing;
        G1Point quotient;
        G1Point remainder;
    }

    /// @dev Thrown unless an opening has as many values as it opens cells, and at least one.
    error WrongValueCount(uint256 cells, uint256 values);
    /// @dev Thrown unless the indices strictly increase.
    error IndicesMisordered(uint256 position);
    /// @dev Thrown for an index that is not below the domain's order, or a slot that is not below the number of slots.
    error IndexOutOfRange(uint256 index, uint256 order);
    /// @dev Thrown for a value that is not a reduced scalar.
    error ValueOutOfRange(uint256 position, uint256 value);
    /// @dev Thrown when a quotient or remainder is not a point.
    error InvalidPoint(uint256 x, uint256 y);
    /// @dev Thrown when the challenge is a point of the domain, which no one can bring about.
    error ChallengeOnDomain(uint256 chi);
    /// @dev Thrown when an opening is not true.
    error FalseOpening();

    /// @dev Kzg.SCALAR_MODULUS, as a literal for assembly.
    uint256 private constant R =
        21_888_242_871_839_275_222_246_405_745_257_275_088_548_364_400_416_034_343_698_204_186_575_808_495_617;

    /// @notice What is left to check of an opening of cells.
    /// @dev chi = keccak256(abi.encode(C.x, C.y, N, uint256[] indices, uint256[] values, W.x, W.y)) mod R.
    /// @param commitment a valid point
    /// @param order N, a power of two up to 2^28
    function ofCells(G1Point memory commitment, uint256 order, CellOpening calldata opening)
        internal
        view
        returns (Equation memory equation)
    {
        _checkIndices(opening.indices, order);
        uint256 cells = opening.indices.length;
        require(cells == opening.values.length && cells != 0, WrongValueCount(cells, opening.values.length));
        _checkValues(opening.values);

        equation = _equation(commitment, opening.quotient, opening.remainder);
        equation.chi = uint256(
            keccak256(
                abi.encode(
                    commitment.x,
                    commitment.y,
                    order,
                    opening.indices,
                    opening.values,
                    opening.quotient.x,
                    opening.quotient.y
                )
            )
        ) % R;
        _checkChallenge(equation.chi, order);

        uint256[] memory points = _pointsOf(opening.indices, order);
        (equation.interpolated, equation.vanishing) = _interpolate(points, opening.values, equation.chi);
    }

    /// @notice What is left to check of the opening of a slot.
    /// @dev chi = keccak256(abi.encode(C.x, C.y, N, c, slot, uint256[] values, W.x, W.y)) mod R.
    /// @param commitment a valid point
    /// @param order N, a power of two up to 2^28
    /// @param cells c, a power of two up to N
    function ofSlot(G1Point memory commitment, uint256 order, uint256 cells, uint256 slot, SlotOpening calldata opening)
        internal
        view
        returns (Equation memory equation)
    {
        require(opening.values.length == cells && cells != 0, WrongValueCount(cells, opening.values.length));
        require(slot < order / cells, IndexOutOfRange(slot, order / cells));
        _checkValues(opening.values);

        equation = _equation(commitment, opening.quotient, opening.remainder);
        equation.chi = uint256(
            keccak256(
                abi.encode(
                    commitment.x,
                    commitment.y,
                    order,
                    cells,
                    slot,
                    opening.values,
                    opening.quotient.x,
                    opening.quotient.y
                )
            )
        ) % R;
        _checkChallenge(equation.chi, order);

        (equation.interpolated, equation.vanishing) = _interpolateSlot(order, slot, opening.values, equation.chi);
    }

    /// @notice Reverts with `FalseOpening` unless the opening is true.
    function check(Equation memory e, G2Point memory tauG2) internal view {
        G1Point memory rest = Kzg.add(e.commitment, Kzg.negate(Kzg.mul(e.quotient, e.vanishing)));

        require(Kzg.opens(Opening(rest, e.chi, e.interpolated, e.remainder), tauG2), FalseOpening());
    }

    /// @notice Reverts with `FalseOpening` unless all openings are true.
    /// @dev Checks the sum of their equations, the i-th multiplied by rho^i. If one of n is false, at most n - 1 values
    /// of rho of R make the sum true. rho hashes each chi, which binds everything before it, and each W'.
    function checkAll(Equation[] memory equations, G2Point memory tauG2) internal view {
        uint256 rho = _combiner(equations);
        uint256 weight = 1;
        uint256 value;
        G1Point memory left;
        G1Point memory remainders;

        for (uint256 i; i < equations.length; ++i) {
            Equation memory e = equations[i];
            G1Point memory remainder = Kzg.mul(e.remainder, weight);

            left = Kzg.add(left, Kzg.mul(e.commitment, weight));
            left = Kzg.add(left, Kzg.negate(Kzg.mul(e.quotient, mulmod(weight, e.vanishing, R))));
            left = Kzg.add(left, Kzg.mul(remainder, e.chi));
            remainders = Kzg.add(remainders, remainder);
            value = addmod(value, mulmod(weight, e.interpolated, R), R);
            weight = mulmod(weight, rho, R);
        }

        // chi W' is in `left` already, so the point is 0.
        require(Kzg.opens(Opening(left, 0, value, remainders), tauG2), FalseOpening());
    }

    function _combiner(Equation[] memory equations) private pure returns (uint256) {
        uint256[] memory words = new uint256[](3 * equations.length);
        for (uint256 i; i < equations.length; ++i) {
            words[3 * i] = equations[i].chi;
            words[3 * i + 1] = equations[i].remainder.x;
            words[3 * i + 2] = equations[i].remainder.y;
        }
        return uint256(keccak256(abi.encodePacked(words))) % R;
    }

    function _equation(G1Point memory commitment, G1Point calldata quotient, G1Point calldata remainder)
        private
        pure
        returns (Equation memory equation)
    {
        require(Kzg.isValid(quotient), InvalidPoint(quotient.x, quotient.y));
        require(Kzg.isValid(remainder), InvalidPoint(remainder.x, remainder.y));

        equation.commitment = commitment;
        equation.quotient = quotient;
        equation.remainder = remainder;
    }

    function _checkIndices(uint32[] calldata indices, uint256 order) private pure {
        for (uint256 i; i < indices.length; ++i) {
            require(i == 0 || indices[i] > indices[i - 1], IndicesMisordered(i));
            require(indices[i] < order, IndexOutOfRange(indices[i], order));
        }
    }

    function _checkValues(uint256[] calldata values) private pure {
        for (uint256 i; i < values.length; ++i) {
            require(values[i] < R, ValueOutOfRange(i, values[i]));
        }
    }

    function _checkChallenge(uint256 chi, uint256 order) private view {
        require(Kzg.pow(chi, order) != 1, ChallengeOnDomain(chi));
    }

    /// @dev w^index of each index.
    function _pointsOf(uint32[] calldata indices, uint256 order) private view returns (uint256[] memory points) {
        uint256 root = Kzg.rootOfUnity(order);
        points = new uint256[](indices.length);

        for (uint256 i; i < indices.length; ++i) {
            bool isNext = i != 0 && indices[i] == indices[i - 1] + 1;
            points[i] = isNext ? mulmod(points[i - 1], root, R) : Kzg.pow(root, indices[i]);
        }
    }

    /// @dev r(chi) = Z(chi) sum_i y_i / ((chi - x_i) prod_(j != i) (x_i - x_j)), the sum kept as one fraction, so that
    /// there is one inversion.
    function _interpolate(uint256[] memory points, uint256[] calldata values, uint256 chi)
        private
        view
        returns (uint256 interpolated, uint256 vanishing)
    {
        uint256 denominator = 1;
        vanishing = 1;
        for (uint256 i; i < points.length; ++i) {
            uint256 distance = addmod(chi, R - points[i], R);
            uint256 term = mulmod(distance, _derivative(points, i), R);

            interpolated = addmod(mulmod(interpolated, term, R), mulmod(values[i], denominator, R), R);
            denominator = mulmod(denominator, term, R);
            vanishing = mulmod(vanishing, distance, R);
        }
        // No factor is zero: points differ, and chi is none of them.
        interpolated = mulmod(mulmod(interpolated, vanishing, R), Kzg.pow(denominator, R - 2), R);
    }

    /// @dev Z'(x_i), the product of x_i - x_j over all others. Its loop is what opening many cells costs.
    function _derivative(uint256[] memory points, uint256 i) private pure returns (uint256 product) {
        uint256 own = points[i];
        // The factor of i itself becomes 1.
        points[i] = addmod(own, R - 1, R);
        product = 1;
        assembly ("memory-safe") {
            let end := add(add(points, 32), mul(32, mload(points)))
            for { let at := add(points, 32) } lt(at, end) { at := add(at, 32) } {
                product := mulmod(product, addmod(own, sub(R, mload(at)), R), R)
            }
        }
        points[i] = own;
    }

    /// @dev On the coset of x_j = w^(s + j N/c), Z = X^c - w^(s c) and Z'(x_j) = c w^(s c) / x_j. So
    /// r(chi) = Z(chi) / (c w^(s c)) sum_j y_j x_j / (chi - x_j), and the sum's denominator is Z(chi).
    function _interpolateSlot(uint256 order, uint256 slot, uint256[] calldata values, uint256 chi)
        private
        view
        returns (uint256 interpolated, uint256 vanishing)
    {
        uint256 root = Kzg.rootOfUnity(order);
        uint256 point = Kzg.pow(root, slot);
        uint256 step = Kzg.pow(root, order / values.length);
        uint256 shift = Kzg.pow(point, values.length);

        interpolated = _sumOnCoset(values, point, step, chi);
        interpolated = mulmod(interpolated, Kzg.pow(mulmod(values.length, shift, R), R - 2), R);
        vanishing = addmod(Kzg.pow(chi, values.length), R - shift, R);
    }

    /// @dev Z(chi) sum_j y_j x_j / (chi - x_j) over x_0 = point, x_(j+1) = step x_j.
    function _sumOnCoset(uint256[] calldata values, uint256 point, uint256 step, uint256 chi)
        private
        pure
        returns (uint256 sum)
    {
        uint256 denominator = 1;
        for (uint256 j; j < values.length; ++j) {
            uint256 distance = addmod(chi, R - point, R);

            sum = addmod(mulmod(sum, distance, R), mulmod(mulmod(values[j], point, R), denominator, R), R);
            denominator = mulmod(denominator, distance, R);
            point = mulmod(point, step, R);
        }
    }
}
