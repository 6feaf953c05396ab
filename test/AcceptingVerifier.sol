// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEigenDACertVerifier} from "../contracts/interfaces/IEigenDACertVerifier.sol";

/// @dev Stands in for EigenDA's verifier on L1, whose operators' signatures a test does not have: gives the same answer
/// for every certificate, by default that it is valid.
contract AcceptingVerifier is IEigenDACertVerifier {
    uint8 private _status = 1;

    function set(uint8 status) external {
        _status = status;
    }

    function checkDACert(bytes calldata) external view returns (uint8) {
        return _status;
    }
}
