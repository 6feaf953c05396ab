// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";
import {ICrossDomainMessenger} from "./ICrossDomainMessenger.sol";
import {IDaCertVerifier} from "./IDaCertVerifier.sol";

/// @notice On L2: knows the EigenDA certificates that `DaCertRelay` on L1 had verified.
/// @dev A certificate for `check` is the ABI-encoded EigenDA certificate that was relayed, byte for byte. So what a
/// batch carries on chain is what EigenDA's contract accepted, and with it anybody can get the blob from EigenDA.
interface IRelayedCertVerifier is IDaCertVerifier {
    /// @dev Thrown when the caller is not the messenger.
    error NotMessenger(address caller);
    /// @dev Thrown when the message is not the relay's.
    error NotRelay(address sender);

    event CertificateAccepted(bytes32 indexed certificateHash, G1Point commitment, uint32 symbols, uint64 storedAt);

    /// @notice L2's messenger.
    function messenger() external view returns (ICrossDomainMessenger);

    /// @notice Whose messages are taken: `DaCertRelay` on L1.
    function relay() external view returns (address);

    /// @notice When the blob of a certificate was stored, in seconds; 0 if no such certificate was relayed.
    function storedAtOf(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash)
        external
        view
        returns (uint64);

    /// @notice Takes down what the relay says of a certificate. Messenger only.
    /// @dev Of several messages about one certificate the earliest time counts, so that none makes it younger.
    function accept(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash, uint64 storedAt) external;
}
