// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../interfaces/ICrossDomainMessenger.sol";
import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IRelayedCertVerifier} from "../interfaces/IRelayedCertVerifier.sol";
import {G1Point} from "../libraries/Kzg.sol";

/// @notice Takes EigenDA certificates that L1 had verified.
/// @dev See {IRelayedCertVerifier}.
contract RelayedCertVerifier is IRelayedCertVerifier {
    /// @notice How old a certificate may be: a blob lives about 14 days, and the dispute window has to end before it
    /// goes.
    uint64 public constant MAX_AGE = 12 hours;

    /// @inheritdoc IRelayedCertVerifier
    ICrossDomainMessenger public immutable messenger;
    /// @inheritdoc IRelayedCertVerifier
    address public immutable relay;

    mapping(bytes32 key => uint64 storedAt) private _storedAt;

    /// @param messenger_ on OP Stack chains 0x4200000000000000000000000000000000000007
    constructor(ICrossDomainMessenger messenger_, address relay_) {
        messenger = messenger_;
        relay = relay_;
    }

    /// @inheritdoc IRelayedCertVerifier
    function accept(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash, uint64 storedAt) external {
        require(msg.sender == address(messenger), NotMessenger(msg.sender));
        address sender = messenger.xDomainMessageSender();
        require(sender == relay, NotRelay(sender));

        bytes32 key = _key(commitment, symbols, certificateHash);
        uint64 known = _storedAt[key];
        if (known != 0 && known <= storedAt) return;

        _storedAt[key] = storedAt;

        emit CertificateAccepted(certificateHash, commitment, symbols, storedAt);
    }

    /// @inheritdoc IDaCertVerifier
    function check(G1Point calldata commitment, uint32 symbols, bytes calldata certificate) external view {
        uint64 storedAt = storedAtOf(commitment, symbols, keccak256(certificate));

        require(storedAt != 0, InvalidCertificate());
        require(block.timestamp <= uint256(storedAt) + MAX_AGE, CertificateExpired(storedAt));
    }

    /// @inheritdoc IRelayedCertVerifier
    function storedAtOf(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash)
        public
        view
        returns (uint64)
    {
        return _storedAt[_key(commitment, symbols, certificateHash)];
    }

    function _key(G1Point calldata commitment, uint32 symbols, bytes32 certificateHash) private pure returns (bytes32) {
        return keccak256(abi.encode(commitment.x, commitment.y, symbols, certificateHash));
    }
}
