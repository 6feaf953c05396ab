// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";
import {ICrossDomainMessenger} from "./ICrossDomainMessenger.sol";
import {IEigenDACertVerifier} from "./IEigenDACertVerifier.sol";
import {IRelayedCertVerifier} from "./IRelayedCertVerifier.sol";

/// @notice On L1: has EigenDA certificates verified by EigenDA's contract and tells `RelayedCertVerifier` on L2, which
/// cannot verify them itself. Anybody may relay any certificate; it costs L1 gas only.
interface IDaCertRelay {
    /// @dev Thrown when a certificate is longer than EigenDA's verifier takes.
    error CertificateTooLong(uint256 length);
    /// @dev Thrown when the ABI encoding does not begin with the offset of the certificate's content, which EigenDA's
    /// router relies on.
    error MalformedCertificate();
    /// @dev Thrown when EigenDA's verifier answers anything but 1.
    error RefusedByEigenDA(uint8 status);
    /// @dev Thrown when the certificate's reference block is not before this one.
    error ReferenceBlockNotPast(uint32 referenceBlock);
    /// @dev Thrown when the certificate is older than 12 hours; its age in L1 blocks.
    error CertificateTooOld(uint256 age);

    /// @param certificateHash keccak256 of the ABI-encoded certificate
    /// @param symbols field elements of the blob
    /// @param storedAt seconds; time of the certificate's reference block, as `relay` counts it
    event CertificateRelayed(bytes32 indexed certificateHash, G1Point commitment, uint32 symbols, uint64 storedAt);

    /// @notice Whose answer is taken.
    function eigenDA() external view returns (IEigenDACertVerifier);

    /// @notice L1's messenger.
    function messenger() external view returns (ICrossDomainMessenger);

    /// @notice Who is told, on L2.
    function verifier() external view returns (IRelayedCertVerifier);

    /// @notice Verifies a certificate and sends what it says to L2, where it arrives within minutes.
    /// @dev Time counts from the reference block, a little before EigenDA's operators sign: a block is 12 seconds, or
    /// more when slots were missed, so an age is never overstated, and understated by what was missed: 12 seconds for
    /// each, against the two weeks that blobs live. Relaying again changes nothing on L2.
    /// @param certificate EigenDA's certificate, version 3 or 4, ABI-encoded
    function relay(bytes calldata certificate) external;
}
