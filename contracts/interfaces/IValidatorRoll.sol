// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IStaking} from "./IStaking.sol";

/// @notice Operators of Staking that judge what only re-execution shows.
/// @dev Every active operator may enrol, up to `MAX_VALIDATORS`; a full roll takes who has more stake than its least.
/// Putting others out so takes more stake than theirs for each of them, because stake that leaves an operator again
/// stays where it is for the unbonding period.
interface IValidatorRoll {
    /// @dev Thrown when whoever is not an active operator enrols.
    error OperatorNotActive(address operator);
    /// @dev Thrown when a validator enrols twice.
    error AlreadyEnrolled(address validator);
    /// @dev Thrown when whoever is not on the roll leaves it.
    error NotEnrolled(address validator);
    /// @dev Thrown when the roll is full and nobody on it has less stake.
    error RollFull(uint256 stake, uint256 leastStake);

    event Enrolled(address indexed validator);
    event Left(address indexed validator);
    /// @dev Emitted when a full roll takes somebody with more stake, after the newcomer's `Enrolled`.
    event Displaced(address indexed validator, address indexed by);

    /// @notice Where validators have their stake.
    function staking() external view returns (IStaking);

    /// @notice Everyone on the roll, in no order.
    function validators() external view returns (address[] memory);

    /// @notice Whether the account is on the roll.
    function isEnrolled(address account) external view returns (bool);

    /// @notice Who on the roll is active now, but for two parties, and the stake of each: its own and delegated to it.
    /// @return panel in the roll's order
    /// @return stakes wei, above 0
    function panelWithout(address one, address other)
        external
        view
        returns (address[] memory panel, uint256[] memory stakes);

    /// @notice Puts the calling operator on the roll.
    /// @dev Reverts with `OperatorNotActive`, `AlreadyEnrolled` or `RollFull`. A validator that is not active counts as
    /// one without stake when the roll is full.
    function enrol() external;

    /// @notice Takes the caller off the roll, so that it is on no later panel.
    /// @dev Panels that it is on already stay as they are, with their duties.
    function leave() external;
}
