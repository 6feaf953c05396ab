// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../contracts/interfaces/ICrossDomainMessenger.sol";
import {IEigenDACertVerifier} from "../contracts/interfaces/IEigenDACertVerifier.sol";

/// @dev Stands in for EigenDA's verifier on L1: answers what a test wants for a certificate, by default "invalid".
contract TestEigenDACertVerifier is IEigenDACertVerifier {
    uint8 private constant INVALID = 6;

    mapping(bytes32 certificateHash => uint8 status) private _statuses;

    function set(bytes calldata certificate, uint8 status) external {
        _statuses[keccak256(certificate)] = status;
    }

    function checkDACert(bytes calldata abiEncodedCert) external view returns (uint8) {
        uint8 status = _statuses[keccak256(abiEncodedCert)];
        return status == 0 ? INVALID : status;
    }
}

/// @dev Stands in for both of OP Stack's messengers: keeps messages until `deliver`, which a test calls on the other
/// side. As with the real ones, whoever sends is named while the message is delivered, and only then.
contract TestMessenger is ICrossDomainMessenger {
    struct Message {
        address sender;
        address target;
        bytes data;
        uint32 gasLimit;
    }

    error NoMessage();

    Message[] private _messages;
    address private _sender;

    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable {
        _messages.push(Message(msg.sender, target, message, minGasLimit));
    }

    /// @dev Delivers a message with the gas that it asked for; reverts as its call does.
    function deliver(uint256 index) external {
        Message storage message = _messages[index];
        _sender = message.sender;

        (bool success, bytes memory result) = message.target.call{gas: message.gasLimit}(message.data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 32), mload(result))
            }
        }

        _sender = address(0);
    }

    function messageAt(uint256 index) external view returns (Message memory) {
        return _messages[index];
    }

    function count() external view returns (uint256) {
        return _messages.length;
    }

    function xDomainMessageSender() external view returns (address) {
        require(_sender != address(0), NoMessage());
        return _sender;
    }
}
