// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";

/// @notice Tells whether a blob is available on the data-availability layer.
interface IDaCertVerifier {
    error InvalidCertificate();

    /// @notice Reverts unless `certificate` shows that the blob with this commitment and exactly this many symbols is
    /// available.
    function check(G1Point calldata commitment, uint32 symbols, bytes calldata certificate) external view;
}
