// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IStaking} from "../interfaces/IStaking.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";

/// @title ValidatorRoll
/// @notice A list of at most 64 operators.
contract ValidatorRoll is IValidatorRoll {
    /// @notice Most validators on the roll, which bounds what fixing and settling a panel costs.
    uint256 public constant MAX_VALIDATORS = 64;

    /// @inheritdoc IValidatorRoll
    IStaking public immutable staking;

    address[] private _roll;

    /// @dev Place on the roll, from 1.
    mapping(address validator => uint256 place) private _placeOf;

    constructor(IStaking staking_) {
        staking = staking_;
    }

    /// @inheritdoc IValidatorRoll
    function validators() external view returns (address[] memory) {
        return _roll;
    }

    /// @inheritdoc IValidatorRoll
    function isEnrolled(address account) external view returns (bool) {
        return _placeOf[account] != 0;
    }

    /// @inheritdoc IValidatorRoll
    function enrol() external {
        require(staking.isActive(msg.sender), OperatorNotActive(msg.sender));
        require(_placeOf[msg.sender] == 0, AlreadyEnrolled(msg.sender));

        if (_roll.length < MAX_VALIDATORS) {
            _roll.push(msg.sender);
            _placeOf[msg.sender] = _roll.length;
            emit Enrolled(msg.sender);
        } else {
            _displaceLeast();
        }
    }

    /// @inheritdoc IValidatorRoll
    function leave() external {
        uint256 place = _placeOf[msg.sender];
        require(place != 0, NotEnrolled(msg.sender));

        address last = _roll[_roll.length - 1];
        _roll[place - 1] = last;
        _placeOf[last] = place;
        _roll.pop();
        delete _placeOf[msg.sender];

        emit Left(msg.sender);
    }

    /// @inheritdoc IValidatorRoll
    function panelWithout(address one, address other)
        external
        view
        returns (address[] memory panel, uint256[] memory stakes)
    {
        address[] memory roll = _roll;
        panel = new address[](roll.length);
        stakes = new uint256[](roll.length);

        uint256 size = 0;
        for (uint256 i; i < roll.length; ++i) {
            if (roll[i] == one || roll[i] == other) continue;
            uint256 stake = _votingStake(roll[i]);
            if (stake == 0) continue;

            (panel[size], stakes[size]) = (roll[i], stake);
            ++size;
        }

        // Only shortened: what is behind stays allocated and unused.
        assembly ("memory-safe") {
            mstore(panel, size)
            mstore(stakes, size)
        }
    }

    function _displaceLeast() private {
        uint256 stake = _votingStake(msg.sender);
        uint256 leastAt = 0;
        uint256 least = type(uint256).max;
        for (uint256 i; i < _roll.length; ++i) {
            uint256 other = _votingStake(_roll[i]);
            if (other < least) (leastAt, least) = (i, other);
        }
        require(stake > least, RollFull(stake, least));

        address displaced = _roll[leastAt];
        delete _placeOf[displaced];
        _roll[leastAt] = msg.sender;
        _placeOf[msg.sender] = leastAt + 1;

        emit Enrolled(msg.sender);
        emit Displaced(displaced, msg.sender);
    }

    /// @dev None for whoever is not active.
    function _votingStake(address validator) private view returns (uint256) {
        return staking.isActive(validator) ? staking.stakeOf(validator) : 0;
    }
}
