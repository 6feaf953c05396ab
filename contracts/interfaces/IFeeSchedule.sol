// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice The governed rules by which a call's gross fee is shared.
/// @dev A change applies to calls whose signed time is at or after its activation, never to earlier ones.
interface IFeeSchedule {
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

    struct Rules {
        Split split;
        uint8 maxCredits;
    }

    error SplitNotWhole(uint256 sumBps);
    error MaxCreditsOutOfRange(uint8 maxCredits);
    error ActivationTooEarly(uint64 activation, uint64 earliest);

    event RulesScheduled(uint64 indexed activation, Rules rules);

    /// @notice The rules for a call signed at `time` (seconds).
    function rulesAt(uint64 time) external view returns (Rules memory rules);

    /// @notice Schedules new rules from `activation` (seconds) on. Owner only.
    function schedule(Rules calldata rules, uint64 activation) external;
}
