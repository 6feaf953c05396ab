// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice OP Stack's messenger, of which there is one on each side.
interface ICrossDomainMessenger {
    /// @notice The account on the other side whose message is being delivered.
    /// @dev Reverts unless a message is being delivered.
    function xDomainMessageSender() external view returns (address);

    /// @notice Calls `target` on the other side. A message that fails there may be delivered again, by anybody.
    /// @param message calldata of the call
    /// @param minGasLimit that the call gets at least
    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable;
}
