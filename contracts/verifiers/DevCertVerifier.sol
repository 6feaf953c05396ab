// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {G1Point} from "../libraries/Kzg.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @notice Takes the word of one attestor that a blob is available. For development only.
/// @dev A certificate begins with 73 bytes: the attestor's 65-byte ECDSA signature (r, s, v), then `storedAt` (seconds)
/// as 8 bytes big-endian. Signed is the EIP-712 struct `Blob(uint256 x,uint256 y,uint32 symbols,uint64 storedAt)` under
/// the domain ("OpenLedger DevCertVerifier", "1", chainId, this), where (x, y) is the commitment. What follows, at most
/// 16 KiB, is the data-availability layer's own certificate, with which the blob is found there. It is for readers of
/// the chain; neither this contract nor the signature vouches for it.
///
/// Warning: whoever holds the attestor's key can let batches final whose data nobody can see. Real networks verify
/// EigenDA certificates instead, so this contract cannot be deployed on chains 1 and 1612.
contract DevCertVerifier is IDaCertVerifier, EIP712 {
    /// @notice How old a certificate may be: a blob lives about 14 days, and the dispute window has to end before it
    /// goes.
    uint64 public constant MAX_AGE = 12 hours;

    /// @notice How far the attestor's clock may run ahead of the latest block.
    uint64 public constant MAX_CLOCK_SKEW = 1 minutes;

    uint256 private constant ATTESTATION_LENGTH = 73;
    uint256 private constant MAX_LAYER_CERTIFICATE_LENGTH = 16_384;
    bytes32 private constant BLOB_TYPEHASH = keccak256("Blob(uint256 x,uint256 y,uint32 symbols,uint64 storedAt)");

    /// @notice Whose word is taken.
    address public immutable attestor;

    /// @dev Thrown at construction on a chain where real coins depend on the data.
    error MainChain(uint256 chainId);
    /// @dev Thrown at construction, when the attestor would be the zero address.
    error ZeroAttestor();

    constructor(address attestor_) EIP712("OpenLedger DevCertVerifier", "1") {
        require(block.chainid != 1 && block.chainid != 1612, MainChain(block.chainid));
        require(attestor_ != address(0), ZeroAttestor());

        attestor = attestor_;
    }

    /// @inheritdoc IDaCertVerifier
    function check(G1Point calldata commitment, uint32 symbols, bytes calldata certificate) external view {
        require(certificate.length >= ATTESTATION_LENGTH, InvalidCertificate());
        require(certificate.length <= ATTESTATION_LENGTH + MAX_LAYER_CERTIFICATE_LENGTH, InvalidCertificate());
        uint64 storedAt = uint64(bytes8(certificate[65:ATTESTATION_LENGTH]));

        (address signer,,) = ECDSA.tryRecoverCalldata(digestOf(commitment, symbols, storedAt), certificate[:65]);
        require(signer == attestor, InvalidCertificate());

        require(storedAt <= block.timestamp + MAX_CLOCK_SKEW, InvalidCertificate());
        require(block.timestamp <= uint256(storedAt) + MAX_AGE, CertificateExpired(storedAt));
    }

    /// @notice EIP-712 digest that the attestor signs.
    function digestOf(G1Point calldata commitment, uint32 symbols, uint64 storedAt) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(BLOB_TYPEHASH, commitment.x, commitment.y, symbols, storedAt)));
    }
}
