// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

import {IFeeSchedule} from "../interfaces/IFeeSchedule.sol";
import {FeeSplit} from "../libraries/FeeSplit.sol";

/// @title FeeSchedule
/// @notice Keeps the fee rules by the time from which they apply.
contract FeeSchedule is IFeeSchedule, Ownable2Step {
    struct Checkpoint {
        uint64 activation;
        Rules rules;
    }

    /// @notice Most that `maxCredits` may be: a record's rows are bounded by it.
    uint8 public constant MAX_CREDITS_LIMIT = 64;

    /// @inheritdoc IFeeSchedule
    uint64 public immutable minNotice;

    /// @dev Never empty; activations strictly increase from 0.
    Checkpoint[] private _checkpoints;

    constructor(address owner_, Rules memory initialRules, uint64 minNotice_) Ownable(owner_) {
        minNotice = minNotice_;

        _push(initialRules, 0);
    }

    /// @inheritdoc IFeeSchedule
    function rulesAt(uint64 time) external view returns (Rules memory rules) {
        // The first activation is 0, so the answer is in [low, high) throughout.
        uint256 low = 0;
        uint256 high = _checkpoints.length;
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            if (_checkpoints[middle].activation <= time) low = middle;
            else high = middle;
        }

        return _checkpoints[low].rules;
    }

    /// @inheritdoc IFeeSchedule
    function schedule(Rules calldata rules, uint64 activation) external onlyOwner {
        uint64 earliest = uint64(block.timestamp) + minNotice;
        require(activation >= earliest, ActivationTooEarly(activation, earliest));

        // Stops at the first rules at the latest: their activation, 0, is below any that passes the check.
        while (_checkpoints[_checkpoints.length - 1].activation >= activation) _checkpoints.pop();
        _push(rules, activation);
    }

    function _push(Rules memory rules, uint64 activation) private {
        Split memory split = rules.split;
        uint256 sumBps = uint256(split.platformBps) + split.modelBps + split.stakersBps + split.contributorsBps;
        require(sumBps == FeeSplit.BPS, SplitNotWhole(sumBps));
        require(rules.maxCredits != 0 && rules.maxCredits <= MAX_CREDITS_LIMIT, MaxCreditsOutOfRange(rules.maxCredits));

        _checkpoints.push(Checkpoint({activation: activation, rules: rules}));

        emit RulesScheduled(activation, rules);
    }
}
