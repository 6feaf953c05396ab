// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ISketchVotes} from "../interfaces/ISketchVotes.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";

/// @title PanelVote
/// @notice A vote of staked validators by commitments and reveals, as ISketchVotes describes it: who votes, with what
/// stake, what decides, who is paid and who is slashed.
/// @dev The panel is the whole roll but the two parties, with the stakes of the moment when it is fixed. Two thirds of
/// that stake must be revealed, and more than two thirds of what is revealed decides.
/// @dev Warning: whoever uses it numbers its votes, fixes each panel once, begins it once, takes no more ballots from
/// when it closed, and rewards and penalises once, then.
library PanelVote {
    using SafeCast for uint256;

    /// @dev `Void` is for users whose question has become pointless; no vote comes to it by itself.
    enum Outcome {
        Undecided,
        Holds,
        False,
        Void
    }

    /// @param stake sum over the members
    /// @param revealedStake of which revealed
    /// @param falseStake of which for False
    /// @param commitEndsAt end of the time to commit (seconds); 0 until it begins
    /// @param revealEndsAt end of the time to reveal; 0 until the time to commit begins
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

    event Committed(uint256 indexed vote, address indexed validator, bytes32 commitment);
    event Revealed(uint256 indexed vote, address indexed validator, ISketchVotes.Choice choice, uint256 stake);
    event Rewarded(uint256 indexed vote, address indexed validator, uint256 amount);
    event Penalised(uint256 indexed vote, address indexed validator, uint256 amount);

    /// @notice Fixes an empty panel: the roll but for two parties, with at least `minStake` (wei).
    function fix(Panel storage panel, IValidatorRoll roll, address[2] memory parties, uint256 minStake)
        internal
        returns (address[] memory members, uint256[] memory stakes)
    {
        (members, stakes) = roll.panelWithout(parties[0], parties[1]);

        uint256 total = 0;
        for (uint256 i; i < members.length; ++i) {
            total += stakes[i];
            panel.ballots[members[i]].stake = stakes[i].toUint128();
        }
        require(total >= minStake, PanelTooSmall(total, minStake));

        panel.members = members;
        panel.stake = total.toUint128();
    }

    /// @notice Begins the time to commit, after which comes the time to reveal.
    function begin(Panel storage panel, uint64 commitPeriod, uint64 revealPeriod)
        internal
        returns (uint64 commitEndsAt, uint64 revealEndsAt)
    {
        commitEndsAt = uint64(block.timestamp) + commitPeriod;
        revealEndsAt = commitEndsAt + revealPeriod;
        (panel.commitEndsAt, panel.revealEndsAt) = (commitEndsAt, revealEndsAt);
    }

    /// @notice What a member commits to in a vote of this contract.
    function commitmentOf(uint256 vote, address validator, ISketchVotes.Choice choice, bytes32 salt)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), vote, validator, choice, salt));
    }

    /// @notice Takes the calling member's commitment, once, in time.
    function commit(Panel storage panel, uint256 vote, bytes32 commitment) internal {
        ISketchVotes.Ballot storage ballot = panel.ballots[msg.sender];
        require(ballot.stake != 0, NotOnPanel(msg.sender));
        require(block.timestamp < panel.commitEndsAt, TooLate(panel.commitEndsAt));
        require(commitment != 0, ZeroCommitment());
        require(ballot.commitment == 0, AlreadyCommitted(msg.sender));

        ballot.commitment = commitment;

        emit Committed(vote, msg.sender, commitment);
    }

    /// @notice Counts the calling member's choice, if it is what it committed to, once, in time.
    function reveal(Panel storage panel, uint256 vote, ISketchVotes.Choice choice, bytes32 salt) internal {
        ISketchVotes.Ballot storage ballot = panel.ballots[msg.sender];
        (uint64 from, uint64 endsAt, uint128 stake) = (panel.commitEndsAt, panel.revealEndsAt, ballot.stake);
        require(stake != 0, NotOnPanel(msg.sender));
        require(block.timestamp >= from, TooEarly(from));
        require(block.timestamp < endsAt, TooLate(endsAt));
        require(choice != ISketchVotes.Choice.None, NoChoice());
        require(ballot.choice == ISketchVotes.Choice.None, AlreadyRevealed(msg.sender));
        require(ballot.commitment == commitmentOf(vote, msg.sender, choice, salt), WrongReveal(msg.sender));

        ballot.choice = choice;
        panel.revealedStake += stake;
        if (choice == ISketchVotes.Choice.False) panel.falseStake += stake;

        emit Revealed(vote, msg.sender, choice, stake);
    }

    /// @notice What the vote decided. Only once the time to reveal is over, which must have begun.
    function outcome(Panel storage panel) internal view returns (Outcome) {
        require(block.timestamp >= panel.revealEndsAt, TooEarly(panel.revealEndsAt));
        uint256 revealed = panel.revealedStake;
        uint256 isFalse = panel.falseStake;

        if (3 * revealed < 2 * uint256(panel.stake)) return Outcome.Undecided;
        if (3 * isFalse > 2 * revealed) return Outcome.False;
        if (3 * (revealed - isFalse) > 2 * revealed) return Outcome.Holds;
        return Outcome.Undecided;
    }

    /// @notice Adds an amount to what is owed to who voted for `decided`, Holds or False, by stake.
    /// @return rewarded at most the amount: parts are rounded down
    function reward(
        Panel storage panel,
        uint256 vote,
        Outcome decided,
        uint256 amount,
        mapping(address account => uint256) storage owed
    ) internal returns (uint256 rewarded) {
        bool holds = decided == Outcome.Holds;
        ISketchVotes.Choice choice = holds ? ISketchVotes.Choice.Holds : ISketchVotes.Choice.False;
        // Above 0: something was revealed for what was decided.
        uint256 stake = holds ? panel.revealedStake - panel.falseStake : panel.falseStake;

        address[] memory members = panel.members;
        for (uint256 i; i < members.length; ++i) {
            ISketchVotes.Ballot storage ballot = panel.ballots[members[i]];
            if (ballot.choice != choice) continue;

            uint256 part = amount * ballot.stake / stake;
            owed[members[i]] += part;
            rewarded += part;
            emit Rewarded(vote, members[i], part);
        }
    }

    /// @notice Slashes who was silent or voted against what was decided; of a void vote, who committed in vain.
    /// @dev Whether this contract is a slasher is asked beforehand: a slash that may fail could be made to fail by
    /// whoever owes it, with too little gas.
    /// @param penaltyWad share of each one's pool (1e18 = all)
    /// @return slashed wei that came here
    function penalise(Panel storage panel, uint256 vote, Outcome decided, IStaking staking, uint256 penaltyWad)
        internal
        returns (uint256 slashed)
    {
        if (!staking.isSlasher(address(this))) return 0;

        address[] memory members = panel.members;
        for (uint256 i; i < members.length; ++i) {
            if (!_owesPenalty(panel.ballots[members[i]], decided)) continue;

            uint256 amount = staking.slash(members[i], penaltyWad);
            slashed += amount;
            emit Penalised(vote, members[i], amount);
        }
    }

    function _owesPenalty(ISketchVotes.Ballot storage ballot, Outcome decided) private view returns (bool) {
        ISketchVotes.Choice choice = ballot.choice;

        if (choice == ISketchVotes.Choice.None) return decided != Outcome.Void || ballot.commitment != 0;
        if (decided == Outcome.False) return choice == ISketchVotes.Choice.Holds;
        if (decided == Outcome.Holds) return choice == ISketchVotes.Choice.False;
        return false;
    }
}
