// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISketchVotes} from "../interfaces/ISketchVotes.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";

/// @title PanelVote
/// @notice A vote of staked validators by commitments and reveals, as ISketchVotes describes it: who votes, with what
/// stake, and what decides.
/// @dev The panel is the whole roll but the two parties, with the stakes of the moment when it is fixed. Two thirds of
/// that stake must be revealed, and more than two thirds of what is revealed decides. Whoever uses it fixes a panel
/// once, and gives bonds and penalties their effect.
library PanelVote {
    using SafeCast for uint256;

    enum Outcome {
        Undecided,
        Holds,
        False
    }

    /// @param stake sum over the members
    /// @param revealedStake of which revealed
    /// @param falseStake of which for False
    /// @param commitEndsAt end of the time to commit (seconds)
    /// @param revealEndsAt end of the time to reveal
    struct Panel {
        uint128 stake;
        uint128 revealedStake;
        uint128 falseStake;
        uint64 commitEndsAt;
        uint64 revealEndsAt;
        address[] members;
        mapping(address validator => ISketchVotes.Ballot) ballots;
    }

    /// @dev Thrown when those who could vote have less stake than is asked.
    error PanelTooSmall(uint256 stake, uint256 minStake);
    /// @dev Thrown when the time for an action ended.
    error TooLate(uint256 endedAt);
    /// @dev Thrown when the time for an action has not begun.
    error TooEarly(uint256 beginsAt);
    /// @dev Thrown when whoever is not on the panel commits or reveals.
    error NotOnPanel(address validator);
    /// @dev Thrown for an empty commitment.
    error ZeroCommitment();
    /// @dev Thrown when a validator commits twice.
    error AlreadyCommitted(address validator);
    /// @dev Thrown when a validator reveals twice.
    error AlreadyRevealed(address validator);
    /// @dev Thrown when choice and salt are not what was committed to.
    error WrongReveal(address validator);
    /// @dev Thrown when Choice.None is revealed.
    error NoChoice();

    /// @notice Fixes an empty panel: the roll but for two parties, with at least `minStake` (wei).
    function fix(
        Panel storage panel,
        IValidatorRoll roll,
        address[2] memory parties,
        uint256 minStake,
        uint64 commitPeriod,
        uint64 revealPeriod
    ) internal returns (address[] memory members, uint256[] memory stakes) {
        (members, stakes) = roll.panelWithout(parties[0], parties[1]);

        uint256 total = 0;
        for (uint256 i; i < members.length; ++i) {
            total += stakes[i];
            panel.ballots[members[i]].stake = stakes[i].toUint128();
        }
        require(total >= minStake, PanelTooSmall(total, minStake));

        panel.members = members;
        panel.stake = total.toUint128();
        panel.commitEndsAt = uint64(block.timestamp) + commitPeriod;
        panel.revealEndsAt = panel.commitEndsAt + revealPeriod;
    }

    /// @notice Takes a member's commitment, once, in time.
    function commit(Panel storage panel, address validator, bytes32 commitment) internal {
        ISketchVotes.Ballot storage ballot = panel.ballots[validator];
        require(ballot.stake != 0, NotOnPanel(validator));
        require(block.timestamp < panel.commitEndsAt, TooLate(panel.commitEndsAt));
        require(commitment != 0, ZeroCommitment());
        require(ballot.commitment == 0, AlreadyCommitted(validator));

        ballot.commitment = commitment;
    }

    /// @notice Counts a member's choice, if `commitment` is what it committed to.
    function reveal(Panel storage panel, address validator, ISketchVotes.Choice choice, bytes32 commitment)
        internal
        returns (uint128 stake)
    {
        ISketchVotes.Ballot storage ballot = panel.ballots[validator];
        require(ballot.stake != 0, NotOnPanel(validator));
        require(block.timestamp >= panel.commitEndsAt, TooEarly(panel.commitEndsAt));
        require(block.timestamp < panel.revealEndsAt, TooLate(panel.revealEndsAt));
        require(choice != ISketchVotes.Choice.None, NoChoice());
        require(ballot.choice == ISketchVotes.Choice.None, AlreadyRevealed(validator));
        require(ballot.commitment == commitment, WrongReveal(validator));

        ballot.choice = choice;
        stake = ballot.stake;
        panel.revealedStake += stake;
        if (choice == ISketchVotes.Choice.False) panel.falseStake += stake;
    }

    /// @notice What the vote decided. Only once the time to reveal is over.
    function outcome(Panel storage panel) internal view returns (Outcome) {
        require(block.timestamp >= panel.revealEndsAt, TooEarly(panel.revealEndsAt));
        uint256 revealed = panel.revealedStake;
        uint256 isFalse = panel.falseStake;

        if (3 * revealed < 2 * uint256(panel.stake)) return Outcome.Undecided;
        if (3 * isFalse > 2 * revealed) return Outcome.False;
        if (3 * (revealed - isFalse) > 2 * revealed) return Outcome.Holds;
        return Outcome.Undecided;
    }

    /// @notice Stake that was revealed for a decided outcome; not 0 then.
    function stakeFor(Panel storage panel, Outcome decided) internal view returns (uint256) {
        return decided == Outcome.False ? panel.falseStake : panel.revealedStake - panel.falseStake;
    }

    /// @notice Whether a member voted for a decided outcome.
    function votedFor(Panel storage panel, address validator, Outcome decided) internal view returns (bool) {
        ISketchVotes.Choice choice = panel.ballots[validator].choice;
        if (decided == Outcome.Holds) return choice == ISketchVotes.Choice.Holds;
        return decided == Outcome.False && choice == ISketchVotes.Choice.False;
    }

    /// @notice Whether a member was silent, or voted against what was decided.
    function owesPenalty(Panel storage panel, address validator, Outcome decided) internal view returns (bool) {
        if (panel.ballots[validator].choice == ISketchVotes.Choice.None) return true;
        return decided != Outcome.Undecided && !votedFor(panel, validator, decided);
    }
}
