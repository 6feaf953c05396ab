// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";

/// @notice Tells whether a blob is available on the data-availability layer.
/// @dev What a certificate is depends on the layer, so it is opaque here. An implementation refuses certificates that
/// are older than 12 hours: a blob lives about 14 days, and whoever wants to dispute a batch needs its data for the
/// whole dispute window.
interface IDaCertVerifier {
    /// @dev Thrown when a certificate is malformed, or not of this blob.
    error InvalidCertificate();
    /// @dev Thrown when a certificate is too old; `storedAt` in seconds.
    error CertificateExpired(uint64 storedAt);

    /// @notice Reverts unless `certificate` shows that the blob with this commitment and exactly this many symbols is
    /// available.
    /// @dev The number of symbols bounds the degree of the committed polynomial, which the payout argument relies on.
    /// @param commitment KZG commitment to the blob's polynomial; the caller has checked that it is a valid point
    /// @param symbols field elements of 32 bytes, a power of two
    function check(G1Point calldata commitment, uint32 symbols, bytes calldata certificate) external view;
}
