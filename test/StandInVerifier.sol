// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IPayoutVerifier} from "../contracts/interfaces/IPayoutVerifier.sol";
import {G1Point, G2Point} from "../contracts/libraries/Kzg.sol";

/// @notice Takes the hash of a statement for its proof. For tests of what does not depend on proofs: a statement that
/// differs in any field from the one that was "proven" is refused, as PayoutVerifier would.
contract StandInVerifier is IPayoutVerifier {
    uint32 public immutable pageSize;
    uint256 public constant limbs = 4;

    G2Point private _tauG2;

    constructor(uint32 pageSize_, G2Point memory tauG2_) {
        pageSize = pageSize_;
        _tauG2 = tauG2_;
    }

    function tauG2() external view returns (G2Point memory) {
        return _tauG2;
    }

    function identity() external pure returns (G1Point memory) {
        return G1Point(1, 2);
    }

    function verify(Statement calldata statement, uint256[] calldata proof) external view returns (bool) {
        return proof.length == 1 && proof[0] == prove(statement)[0];
    }

    function prove(Statement memory statement) public view returns (uint256[] memory proof) {
        proof = new uint256[](1);
        proof[0] = uint256(keccak256(abi.encode(block.chainid, statement)));
    }
}
