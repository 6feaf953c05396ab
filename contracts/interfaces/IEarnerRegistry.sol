// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EarnerIndex} from "../types/Ids.sol";

/// @notice Gives every account in a role the index under which it earns.
/// @dev Indices count up from 1; 0 is nobody and 1 is the treasury, registered by the constructor. An index never
/// changes, is never reused and cannot be handed over: earnings are positions in committed polynomials. An account may
/// hold one index per role, and each of them earns by itself.
/// @dev Warning: registration is free and needs no consent beyond the caller's own, so an index says nothing about who
/// its account is. There are at most 2^32 - 1 indices; the registration after the last one panics.
/// @dev Warning: `setStaking` is called once, right after Staking is deployed with this registry's address. Until then
/// no operator can register. The owner has no other power.
interface IEarnerRegistry {
    /// @dev Stable on chain and off chain: None 0, Treasury 1, Contributor 2, ModelOwner 3, Stakers 4. The account of a
    /// `Stakers` index is the operator, but its earnings belong to all who stake with it: a claim for such an index is
    /// paid into `IStaking.addFees(account)`, never to the account.
    enum Role {
        None,
        Treasury,
        Contributor,
        ModelOwner,
        Stakers
    }

    /// @dev Thrown when `register` is called for a role other than `Contributor` and `ModelOwner`.
    error RoleNotOpen(Role role);
    /// @dev Thrown when the account has an index in that role already.
    error AlreadyRegistered(address account, Role role);
    /// @dev Thrown for index 0 and for an index above `earnerCount`.
    error UnknownEarner(EarnerIndex earner);
    /// @dev Thrown when anyone but Staking registers stakers, or when Staking is not set yet.
    error NotStaking(address caller);
    /// @dev Thrown when Staking is set a second time.
    error StakingAlreadySet(address staking);
    /// @dev Thrown when the treasury or Staking would be the zero address.
    error ZeroAddress();

    /// @dev Indices are emitted in order, without a gap, from 1.
    event EarnerRegistered(EarnerIndex indexed earner, address indexed account, Role indexed role);
    event StakingSet(address indexed staking);

    /// @notice The index of `account` in `role`, 0 if it has none. Never reverts.
    function earnerOf(address account, Role role) external view returns (EarnerIndex earner);

    /// @notice Whom an index pays. Reverts with `UnknownEarner` for an index not given out yet.
    function accountOf(EarnerIndex earner) external view returns (address account, Role role);

    /// @notice How many indices have been given out; the highest valid index. At least 1.
    function earnerCount() external view returns (uint32 count);

    /// @notice The only contract that may register stakers; the zero address until it is set.
    function staking() external view returns (address);

    /// @notice Registers the caller as `Contributor` or `ModelOwner`.
    /// @dev Reverts with `RoleNotOpen` for another role and `AlreadyRegistered` for a second index in the same role.
    function register(Role role) external returns (EarnerIndex earner);

    /// @notice Registers an operator's stakers. Only Staking calls it.
    /// @dev Reverts with `NotStaking` for any other caller and `AlreadyRegistered` for a second time.
    function registerStakers(address operator) external returns (EarnerIndex earner);

    /// @notice Sets the contract that may register stakers. Owner only, once.
    /// @dev Reverts with `StakingAlreadySet` when it is set and `ZeroAddress` for the zero address.
    function setStaking(address staking_) external;
}
