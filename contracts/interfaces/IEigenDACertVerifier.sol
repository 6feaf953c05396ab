// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice EigenDA's verifier of certificates on L1, or its router, which chooses the verifier by the certificate's
/// reference block.
interface IEigenDACertVerifier {
    /// @notice 1 if the certificate is valid, another number if not.
    /// @dev Does not revert, whatever the certificate.
    /// @param abiEncodedCert EigenDA's certificate, version 3 or later, ABI-encoded
    function checkDACert(bytes calldata abiEncodedCert) external view returns (uint8 status);
}
