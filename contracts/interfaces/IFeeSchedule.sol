// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The governed rules by which a call's gross fee is shared.
/// @dev A change applies to calls whose signed time is at or after its activation, never to earlier ones, and is known
/// at least `minNotice` before. The arithmetic is `FeeSplit`: each share is floor(fee * bps / 10_000), and what the
/// floors leave goes to the treasury.
/// @dev Warning: `rulesAt` of a time more than `minNotice` ahead may still change.
interface IFeeSchedule {
    /// @dev Basis points of the gross fee; they sum to 10_000.
    /// @param platformBps to the treasury
    /// @param modelBps to the owners of the adapters used
    /// @param stakersBps to the stakers of the operator that served the call
    /// @param contributorsBps to the contributors, by influence
    struct Split {
        uint16 platformBps;
        uint16 modelBps;
        uint16 stakersBps;
        uint16 contributorsBps;
    }

    /// @param maxCredits most contributors that one call may credit, 1 to 64
    struct Rules {
        Split split;
        uint8 maxCredits;
    }

    /// @dev Thrown when the split does not sum to 10_000.
    error SplitNotWhole(uint256 sumBps);
    /// @dev Thrown when `maxCredits` is 0 or above 64.
    error MaxCreditsOutOfRange(uint8 maxCredits);
    /// @dev Thrown when rules would apply sooner than `minNotice` from now.
    error ActivationTooEarly(uint64 activation, uint64 earliest);

    /// @dev Voids every rule that was scheduled for `activation` or later. The first rules are emitted with activation
    /// 0.
    event RulesScheduled(uint64 indexed activation, Rules rules);

    /// @notice Shortest time between scheduling rules and their activation (seconds).
    function minNotice() external view returns (uint64);

    /// @notice The rules for a call signed at `time` (seconds): those of the last activation at or before it. Never
    /// reverts, because the first rules apply from 0.
    function rulesAt(uint64 time) external view returns (Rules memory rules);

    /// @notice Schedules new rules from `activation` (seconds) on. Owner only.
    /// @dev Rules scheduled earlier for that time or later are dropped: the last word counts, and a mistaken far
    /// activation does not block the schedule. Rules that apply, or will within `minNotice`, are beyond reach.
    /// Reverts with `SplitNotWhole`, `MaxCreditsOutOfRange` or `ActivationTooEarly`.
    function schedule(Rules calldata rules, uint64 activation) external;
}
