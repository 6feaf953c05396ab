// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {IStaking} from "../../contracts/interfaces/IStaking.sol";
import {IValidatorRoll} from "../../contracts/interfaces/IValidatorRoll.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Test} from "forge-std/Test.sol";

/// @notice A roll whose stakes are set at will.
contract SetRoll {
    address[] internal _members;
    uint256[] internal _stakes;

    function set(address[] calldata members, uint256[] calldata stakes) external {
        (_members, _stakes) = (members, stakes);
    }

    function panelWithout(address, address) external view returns (address[] memory, uint256[] memory) {
        return (_members, _stakes);
    }
}

/// @notice Staking that slashes 7 wei of whoever it is told to, and counts.
contract CountingStaking {
    bool public isASlasher = true;
    mapping(address operator => uint256) public slashes;

    function setSlasher(bool allowed) external {
        isASlasher = allowed;
    }

    function isSlasher(address) external view returns (bool) {
        return isASlasher;
    }

    function slash(address operator, uint256) external returns (uint256) {
        ++slashes[operator];
        return 7;
    }
}

/// @notice Votes by PanelVote and nothing else.
contract Votes {
    using PanelVote for PanelVote.Panel;

    mapping(address account => uint256) public owed;
    mapping(uint256 vote => PanelVote.Panel) internal _panels;

    function fix(uint256 vote, IValidatorRoll roll, uint256 minStake) external {
        _panels[vote].fix(roll, [address(1), address(2)], minStake);
    }

    function begin(uint256 vote) external {
        _panels[vote].begin(100, 50);
    }

    function commit(uint256 vote, bytes32 commitment) external {
        _panels[vote].commit(vote, commitment);
    }

    function reveal(uint256 vote, ISketchVotes.Choice choice, bytes32 salt) external {
        _panels[vote].reveal(vote, choice, salt);
    }

    function reward(uint256 vote, PanelVote.Outcome decided, uint256 amount) external returns (uint256) {
        return _panels[vote].reward(vote, decided, amount, owed);
    }

    function penalise(uint256 vote, PanelVote.Outcome decided, IStaking staking) external returns (uint256) {
        return _panels[vote].penalise(vote, decided, staking, 1);
    }

    function outcome(uint256 vote) external view returns (PanelVote.Outcome) {
        return _panels[vote].outcome();
    }

    function stakes(uint256 vote) external view returns (uint256 all, uint256 revealed, uint256 isFalse) {
        PanelVote.Panel storage panel = _panels[vote];
        return (panel.stake, panel.revealedStake, panel.falseStake);
    }

    function commitmentOf(uint256 vote, address validator, ISketchVotes.Choice choice, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return PanelVote.commitmentOf(vote, validator, choice, salt);
    }
}

contract PanelVoteTest is Test {
    uint256 internal constant VOTE = 1;
    uint256 internal constant MEMBERS = 4;
    bytes32 internal constant SALT = keccak256("salt");
    ISketchVotes.Choice internal constant SILENT = ISketchVotes.Choice.None;
    ISketchVotes.Choice internal constant HOLDS = ISketchVotes.Choice.Holds;
    ISketchVotes.Choice internal constant FALSE = ISketchVotes.Choice.False;

    Votes internal votes = new Votes();
    SetRoll internal roll = new SetRoll();
    CountingStaking internal staking = new CountingStaking();
    address[] internal members;

    function setUp() public {
        vm.warp(1_000_000);
        for (uint256 i; i < MEMBERS; ++i) {
            members.push(makeAddr(string.concat("member ", vm.toString(i))));
        }
    }

    function _open(uint256 vote, uint256[MEMBERS] memory stakes) internal {
        _setRoll(stakes);
        votes.fix(vote, IValidatorRoll(address(roll)), 1);
        votes.begin(vote);
    }

    function _setRoll(uint256[MEMBERS] memory stakes) internal {
        uint256[] memory list = new uint256[](MEMBERS);
        for (uint256 i; i < MEMBERS; ++i) {
            list[i] = stakes[i];
        }
        roll.set(members, list);
    }

    function _commit(uint256 vote, uint256 member, ISketchVotes.Choice choice) internal {
        bytes32 commitment = votes.commitmentOf(vote, members[member], choice, SALT);
        vm.prank(members[member]);
        votes.commit(vote, commitment);
    }

    /// @dev Commits and reveals what is not SILENT, and ends the vote.
    function _vote(ISketchVotes.Choice[MEMBERS] memory choices) internal {
        for (uint256 i; i < MEMBERS; ++i) {
            if (choices[i] != SILENT) _commit(VOTE, i, choices[i]);
        }
        skip(100);
        for (uint256 i; i < MEMBERS; ++i) {
            if (choices[i] == SILENT) continue;
            vm.prank(members[i]);
            votes.reveal(VOTE, choices[i], SALT);
        }
        skip(50);
    }

    function test_fix_keepsTheStakesOfTheMoment() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        _setRoll([uint256(1), 1, 1, 1000]);

        _vote([FALSE, FALSE, HOLDS, SILENT]);

        (uint256 all, uint256 revealed, uint256 isFalse) = votes.stakes(VOTE);
        assertEq(all, 100, "all");
        assertEq(revealed, 90, "revealed");
        assertEq(isFalse, 70, "false");
    }

    function test_fix_reverts_belowTheLeastStake() public {
        _setRoll([uint256(40), 30, 20, 10]);

        vm.expectRevert(abi.encodeWithSelector(PanelVote.PanelTooSmall.selector, 100, 101));
        votes.fix(VOTE, IValidatorRoll(address(roll)), 101);
        votes.fix(VOTE, IValidatorRoll(address(roll)), 100);
    }

    function test_commit_reverts_beforeTheVoteBegins() public {
        _setRoll([uint256(40), 30, 20, 10]);
        votes.fix(VOTE, IValidatorRoll(address(roll)), 1);

        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooLate.selector, 0));
        vm.prank(members[0]);
        votes.commit(VOTE, "commitment");
    }

    function test_commit_reverts_withoutAPanel() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);

        vm.expectRevert(abi.encodeWithSelector(PanelVote.NotOnPanel.selector, members[0]));
        vm.prank(members[0]);
        votes.commit(VOTE + 1, "commitment");
    }

    function test_reveal_reverts_offThePanel() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        skip(100);

        vm.expectRevert(abi.encodeWithSelector(PanelVote.NotOnPanel.selector, address(this)));
        votes.reveal(VOTE, HOLDS, SALT);
    }

    function test_reveal_reverts_withACommitmentToAnotherVote() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        _open(VOTE + 1, [uint256(40), 30, 20, 10]);
        Votes others = new Votes();
        bytes32[2] memory wrong =
            [votes.commitmentOf(VOTE + 1, members[0], HOLDS, SALT), others.commitmentOf(VOTE, members[1], HOLDS, SALT)];
        for (uint256 i; i < wrong.length; ++i) {
            vm.prank(members[i]);
            votes.commit(VOTE, wrong[i]);
        }
        skip(100);

        for (uint256 i; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(PanelVote.WrongReveal.selector, members[i]));
            vm.prank(members[i]);
            votes.reveal(VOTE, HOLDS, SALT);
        }
    }

    function test_reveal_countsOnceWhateverIsRevealedNext() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        _commit(VOTE, 0, FALSE);
        skip(100);
        vm.prank(members[0]);
        votes.reveal(VOTE, FALSE, SALT);

        for (uint8 choice = 1; choice < 3; ++choice) {
            vm.expectRevert(abi.encodeWithSelector(PanelVote.AlreadyRevealed.selector, members[0]));
            vm.prank(members[0]);
            votes.reveal(VOTE, ISketchVotes.Choice(choice), SALT);
        }

        (, uint256 revealed, uint256 isFalse) = votes.stakes(VOTE);
        assertEq(revealed, 40, "revealed");
        assertEq(isFalse, 40, "false");
    }

    /// @dev Stakes up to where their sum no longer fits.
    function testFuzz_outcome_followsTheRule(uint128[MEMBERS] memory given, uint8[MEMBERS] memory picks) public {
        uint256[MEMBERS] memory stakes;
        ISketchVotes.Choice[MEMBERS] memory choices;
        uint256[3] memory sums;
        for (uint256 i; i < MEMBERS; ++i) {
            stakes[i] = bound(given[i], 1, type(uint128).max / MEMBERS);
            choices[i] = ISketchVotes.Choice(picks[i] % 3);
            sums[uint8(choices[i])] += stakes[i];
        }
        _open(VOTE, stakes);

        _vote(choices);

        uint256 revealed = sums[1] + sums[2];
        PanelVote.Outcome expected = PanelVote.Outcome.Undecided;
        if (revealed >= Math.ceilDiv(2 * (sums[0] + revealed), 3)) {
            if (sums[1] > 2 * revealed / 3) expected = PanelVote.Outcome.Holds;
            if (sums[2] > 2 * revealed / 3) expected = PanelVote.Outcome.False;
        }
        assertEq(uint8(votes.outcome(VOTE)), uint8(expected));
    }

    function test_outcome_reverts_beforeTheEnd() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        skip(149);

        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooEarly.selector, block.timestamp + 1));
        votes.outcome(VOTE);
    }

    function testFuzz_reward_isSharedByStakeAndNeverExceeded(uint128[MEMBERS] memory given, uint128 amount, bool holds)
        public
    {
        uint256[MEMBERS] memory stakes;
        for (uint256 i; i < MEMBERS; ++i) {
            stakes[i] = bound(given[i], 1, type(uint128).max / MEMBERS);
        }
        _open(VOTE, stakes);
        (ISketchVotes.Choice winning, ISketchVotes.Choice losing) = holds ? (HOLDS, FALSE) : (FALSE, HOLDS);
        _vote([winning, winning, losing, SILENT]);

        uint256 rewarded = votes.reward(VOTE, holds ? PanelVote.Outcome.Holds : PanelVote.Outcome.False, amount);

        uint256 winners = stakes[0] + stakes[1];
        assertEq(votes.owed(members[0]), Math.mulDiv(amount, stakes[0], winners), "first");
        assertEq(votes.owed(members[1]), Math.mulDiv(amount, stakes[1], winners), "second");
        assertEq(votes.owed(members[2]) + votes.owed(members[3]), 0, "who did not win");
        assertEq(rewarded, votes.owed(members[0]) + votes.owed(members[1]), "rewarded");
        assertLe(amount - rewarded, 1, "what flooring leaves");
    }

    /// @dev Member 0 reveals Holds, 1 reveals False, 2 commits only, 3 does nothing.
    function test_penalise_slashesWhoOwes() public {
        bool[MEMBERS][4] memory owes;
        owes[uint8(PanelVote.Outcome.Undecided)] = [false, false, true, true];
        owes[uint8(PanelVote.Outcome.Holds)] = [false, true, true, true];
        owes[uint8(PanelVote.Outcome.False)] = [true, false, true, true];
        owes[uint8(PanelVote.Outcome.Void)] = [false, false, true, false];
        _open(VOTE, [uint256(40), 30, 20, 10]);
        _commit(VOTE, 2, HOLDS);
        _vote([HOLDS, FALSE, SILENT, SILENT]);

        uint256[MEMBERS] memory expected;
        for (uint8 decided; decided < 4; ++decided) {
            uint256 count = 0;
            uint256 slashed = votes.penalise(VOTE, PanelVote.Outcome(decided), IStaking(address(staking)));

            for (uint256 i; i < MEMBERS; ++i) {
                if (owes[decided][i]) (++expected[i], ++count);
                assertEq(staking.slashes(members[i]), expected[i], "slashes");
            }
            assertEq(slashed, 7 * count, "slashed");
        }
    }

    function test_penalise_takesNothingWithoutTheRole() public {
        _open(VOTE, [uint256(40), 30, 20, 10]);
        skip(150);
        staking.setSlasher(false);

        assertEq(votes.penalise(VOTE, PanelVote.Outcome.Undecided, IStaking(address(staking))), 0);
        assertEq(staking.slashes(members[0]), 0);
    }
}
