// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EarnerIndex} from "../types/Ids.sol";

/// @notice Gives every account in a role the index under which it earns.
/// @dev An index never changes and is never reused: earnings are positions in committed polynomials.
interface IEarnerRegistry {
    enum Role {
        None,
        Treasury,
        Contributor,
        ModelOwner,
        Stakers
    }

    error RoleNotOpen(Role role);
    error AlreadyRegistered(address account, Role role);
    error UnknownEarner(EarnerIndex earner);
    error NotStaking(address caller);

    event EarnerRegistered(EarnerIndex indexed earner, address indexed account, Role indexed role);

    /// @notice The index of `account` in `role`, 0 if it has none.
    function earnerOf(address account, Role role) external view returns (EarnerIndex earner);

    /// @notice Whom an index pays. Reverts for an index not given out yet.
    function accountOf(EarnerIndex earner) external view returns (address account, Role role);

    /// @notice How many indices have been given out; the highest valid index.
    function earnerCount() external view returns (uint32 count);

    /// @notice Registers the caller as `Contributor` or `ModelOwner`.
    function register(Role role) external returns (EarnerIndex earner);

    /// @notice Registers an operator's stakers. Only Staking calls it.
    function registerStakers(address operator) external returns (EarnerIndex earner);
}
