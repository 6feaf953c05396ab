// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../interfaces/ICrossDomainMessenger.sol";
import {IDaCertRelay} from "../interfaces/IDaCertRelay.sol";
import {IEigenDACertVerifier} from "../interfaces/IEigenDACertVerifier.sol";
import {IRelayedCertVerifier} from "../interfaces/IRelayedCertVerifier.sol";
import {EigenDACertificate} from "../libraries/EigenDACertificate.sol";
import {G1Point} from "../libraries/Kzg.sol";

/// @notice Has EigenDA certificates verified on L1 and tells L2.
/// @dev See {IDaCertRelay}.
contract DaCertRelay is IDaCertRelay {
    /// @notice Longest certificate, as EigenDA's verifier has it.
    uint256 public constant MAX_CERTIFICATE_LENGTH = 262_144;

    /// @notice Seconds of an L1 slot.
    uint64 public constant SECONDS_PER_BLOCK = 12;

    /// @notice Oldest certificate relayed; `RelayedCertVerifier` refuses older ones.
    uint64 public constant MAX_AGE = 12 hours;

    /// @notice Gas for the message on L2, which writes one slot.
    uint32 public constant MESSAGE_GAS = 100_000;

    uint8 private constant VALID = 1;

    /// @inheritdoc IDaCertRelay
    IEigenDACertVerifier public immutable eigenDA;
    /// @inheritdoc IDaCertRelay
    ICrossDomainMessenger public immutable messenger;
    /// @inheritdoc IDaCertRelay
    IRelayedCertVerifier public immutable verifier;

    /// @dev The verifier on L2 names this contract, and is named here: one of the addresses is predicted.
    constructor(IEigenDACertVerifier eigenDA_, ICrossDomainMessenger messenger_, IRelayedCertVerifier verifier_) {
        eigenDA = eigenDA_;
        messenger = messenger_;
        verifier = verifier_;
    }

    /// @inheritdoc IDaCertRelay
    function relay(bytes calldata certificate) external {
        require(certificate.length <= MAX_CERTIFICATE_LENGTH, CertificateTooLong(certificate.length));
        require(certificate.length >= 32 && uint256(bytes32(certificate[:32])) == 32, MalformedCertificate());

        uint8 status = eigenDA.checkDACert(certificate);
        require(status == VALID, RefusedByEigenDA(status));

        (G1Point memory commitment, uint32 symbols, uint32 referenceBlock) = EigenDACertificate.read(certificate);
        uint64 storedAt = _timeOf(referenceBlock);
        bytes32 certificateHash = keccak256(certificate);

        emit CertificateRelayed(certificateHash, commitment, symbols, storedAt);

        messenger.sendMessage(
            address(verifier),
            abi.encodeCall(IRelayedCertVerifier.accept, (commitment, symbols, certificateHash, storedAt)),
            MESSAGE_GAS
        );
    }

    /// @dev Time of a block, as if no slot had been missed since.
    function _timeOf(uint32 referenceBlock) private view returns (uint64) {
        require(referenceBlock < block.number, ReferenceBlockNotPast(referenceBlock));
        uint256 age = block.number - referenceBlock;
        require(age * SECONDS_PER_BLOCK <= MAX_AGE, CertificateTooOld(age));

        return uint64(block.timestamp - age * SECONDS_PER_BLOCK);
    }
}
