// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Kzg} from "./Kzg.sol";

/// @notice Fiat-Shamir transcript over keccak256, as in section 6 of prover/SPEC.md.
/// @dev The state is 32 bytes, at first zero. Absorbed input has at least one word, so that it is never mistaken for
/// squeezing, which hashes the state alone.
library Transcript {
    function absorb(bytes32 state, uint256[] memory words) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(state, words));
    }

    function absorbFrom(bytes32 state, uint256[] calldata words) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(state, words));
    }

    /// @notice The state after a challenge is drawn; `challenge` reads it.
    function squeeze(bytes32 state) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(state));
    }

    /// @dev Not quite uniform: no value is more likely than 6 / 2^256.
    function challenge(bytes32 state) internal pure returns (uint256) {
        return uint256(state) % Kzg.SCALAR_MODULUS;
    }
}
