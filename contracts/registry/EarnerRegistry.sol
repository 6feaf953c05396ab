// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {EarnerIndex} from "../types/Ids.sol";

/// @title EarnerRegistry
/// @notice Hands out earner indices, in order and for ever.
contract EarnerRegistry is IEarnerRegistry, Ownable2Step {
    struct Earner {
        address account;
        Role role;
    }

    /// @inheritdoc IEarnerRegistry
    uint32 public earnerCount;

    /// @inheritdoc IEarnerRegistry
    address public staking;

    /// @inheritdoc IEarnerRegistry
    mapping(address account => mapping(Role role => EarnerIndex earner)) public earnerOf;

    mapping(EarnerIndex earner => Earner) private _earners;

    constructor(address owner_, address treasury) Ownable(owner_) {
        require(treasury != address(0), ZeroAddress());

        _register(treasury, Role.Treasury);
    }

    /// @inheritdoc IEarnerRegistry
    function accountOf(EarnerIndex earner) external view returns (address account, Role role) {
        Earner storage entry = _earners[earner];
        require(entry.role != Role.None, UnknownEarner(earner));

        return (entry.account, entry.role);
    }

    /// @inheritdoc IEarnerRegistry
    function register(Role role) external returns (EarnerIndex earner) {
        require(role == Role.Contributor || role == Role.ModelOwner, RoleNotOpen(role));

        return _register(msg.sender, role);
    }

    /// @inheritdoc IEarnerRegistry
    function registerStakers(address operator) external returns (EarnerIndex earner) {
        require(msg.sender == staking, NotStaking(msg.sender));

        return _register(operator, Role.Stakers);
    }

    /// @inheritdoc IEarnerRegistry
    function setStaking(address staking_) external onlyOwner {
        require(staking == address(0), StakingAlreadySet(staking));
        require(staking_ != address(0), ZeroAddress());

        staking = staking_;

        emit StakingSet(staking_);
    }

    function _register(address account, Role role) private returns (EarnerIndex earner) {
        require(EarnerIndex.unwrap(earnerOf[account][role]) == 0, AlreadyRegistered(account, role));

        earner = EarnerIndex.wrap(++earnerCount);
        earnerOf[account][role] = earner;
        _earners[earner] = Earner({account: account, role: role});

        emit EarnerRegistered(earner, account, role);
    }
}
