// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {CellOpening} from "../../contracts/libraries/CellOpenings.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {SketchVotes} from "../../contracts/settlement/SketchVotes.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesSteps} from "../SketchVotesSteps.t.sol";

/// @notice What votes decide, and what it costs whom.
contract SketchVotesOutcomesTest is SketchVotesSteps {
    /* OUTCOMES */

    function test_resolve_strikesWhatIsFalse() public {
        uint256 before = challenger.balance - BOND;
        uint256 burned = BURN.balance;
        uint256 vote = _voted(FALSE, FALSE, HOLDS);

        vm.expectEmit(address(votes));
        emit ISketchVotes.Resolved(vote, batch, ISketchVotes.Stage.Struck, 6000 ether, 6000 ether, 5000 ether);
        vm.expectEmit(address(votes));
        emit PanelVote.Penalised(vote, small, 50 ether);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Struck);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Struck));
        uint256 slashed = MIN_STAKE * STRIKE_SLASH / 1e18;
        assertEq(challenger.balance, before + slashed / 2);
        assertEq(votes.owed(challenger), BOND);
        assertEq(BURN.balance, burned + (slashed - slashed / 2) + 50 ether);
        _assertSlashed(large, 3000 ether, false);
        _assertSlashed(middle, 2000 ether, false);
        _assertSlashed(small, 1000 ether, true);
        assertEq(address(votes).balance, BOND);
    }

    function test_resolve_strikesAndPenalisesTheSilent() public {
        uint256 vote = _voted(FALSE, FALSE, SILENT);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Struck);
        _assertSlashed(large, 3000 ether, false);
        _assertSlashed(small, 1000 ether, true);
    }

    function test_resolve_upholdsWhatHolds() public {
        uint256 burned = BURN.balance;
        uint256 vote = _voted(HOLDS, HOLDS, FALSE);

        // Half of the bond is 5 ether; 3/5 and 2/5 of it.
        vm.expectEmit(address(votes));
        emit PanelVote.Rewarded(vote, large, 3 ether);
        vm.expectEmit(address(votes));
        emit PanelVote.Rewarded(vote, middle, 2 ether);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Upheld);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Posted));
        assertEq(votes.owed(large), 3 ether);
        assertEq(votes.owed(middle), 2 ether);
        assertEq(votes.owed(small), 0);
        assertEq(votes.owed(challenger), 0);
        assertEq(BURN.balance, burned + 5 ether + 1 + 50 ether);
        _assertSlashed(large, 3000 ether, false);
        _assertSlashed(small, 1000 ether, true);
        assertEq(address(votes).balance, 5 ether);
    }

    function test_resolve_burnsWhatFlooringLeaves() public {
        uint256 burned = BURN.balance;
        uint256 vote = _voted(HOLDS, HOLDS, HOLDS);
        votes.resolve(vote);

        uint256 paid = votes.owed(large) + votes.owed(middle) + votes.owed(small);
        assertEq(votes.owed(large), 2.5 ether);
        assertEq(votes.owed(middle), uint256(5 ether) / 3);
        assertEq(votes.owed(small), uint256(5 ether) / 6);
        assertEq(paid, 5 ether - 1);
        assertEq(BURN.balance, burned + BOND - paid);
        assertEq(address(votes).balance, paid);
    }

    function test_resolve_leavesASplitVoteUndecided() public {
        // Half and half, and nobody loses for having voted.
        uint256 vote = _voted(FALSE, HOLDS, HOLDS);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Undecided);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Posted));
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);
        _assertSlashed(middle, 2000 ether, false);
        _assertSlashed(small, 1000 ether, false);
    }

    function test_resolve_leavesAVoteWithoutQuorumUndecided() public {
        uint256 burned = BURN.balance;
        uint256 vote = _voted(FALSE, SILENT, SILENT);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Undecided);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Posted));
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);
        _assertSlashed(middle, 2000 ether, true);
        _assertSlashed(small, 1000 ether, true);
        assertEq(BURN.balance, burned + 150 ether);
    }

    function test_resolve_countsOnlyWhatIsRevealed() public {
        uint256 vote = _opened();
        _commit(vote, large, FALSE);
        _commit(vote, middle, FALSE);
        _toReveals(vote);
        _reveal(vote, middle, FALSE);
        _toEnd(vote);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Undecided);
        _assertSlashed(large, 3000 ether, true);
        _assertSlashed(middle, 2000 ether, false);
        _assertSlashed(small, 1000 ether, true);
    }

    function test_resolve_leavesAVoteThatNobodyTookPartInUndecided() public {
        uint256 vote = _voted(SILENT, SILENT, SILENT);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Undecided);
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, true);
    }

    function test_resolve_reverts_beforeTheEnd() public {
        uint256 vote = _opened();
        uint256 endsAt = votes.voteOf(vote).endsAt + REVEAL_PERIOD;

        vm.warp(endsAt - 1);
        _revert(PanelVote.TooEarly.selector, endsAt);
        votes.resolve(vote);
    }

    function test_resolve_reverts_atOtherStages() public {
        _revertStage(7, ISketchVotes.Stage.None);
        votes.resolve(7);

        uint256 vote = _challenge(batch, ROW);
        vm.warp(votes.voteOf(vote).endsAt);
        _revertStage(vote, ISketchVotes.Stage.Answering);
        votes.resolve(vote);

        votes.strikeSilent(vote);
        _revertStage(vote, ISketchVotes.Stage.Struck);
        votes.resolve(vote);
    }

    function test_resolve_gas() public {
        uint256 vote = _voted(HOLDS, HOLDS, HOLDS);
        _cool();

        votes.resolve(vote);
        vm.snapshotGasLastCall("SketchVotes", "resolve, upheld by 3");
    }

    function test_ballots_gas() public {
        uint256 vote = _opened();
        _cool();
        _commit(vote, large, HOLDS);
        vm.snapshotGasLastCall("SketchVotes", "commit");

        _toReveals(vote);
        _cool();
        _reveal(vote, large, HOLDS);
        vm.snapshotGasLastCall("SketchVotes", "reveal");
    }

    function test_resolve_gasOfAFullPanel() public {
        for (uint256 i = 3; i < 64; ++i) {
            _validator(string.concat("validator", vm.toString(i)), 1000 ether);
        }
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        _cool();
        vm.prank(challenger);
        uint256 vote = votes.challenge{value: BOND}(batch, ROW, opening, witness);
        vm.snapshotGasLastCall("SketchVotes", "challenge, panel of 64");

        _answer(vote);
        _toEnd(vote);
        _cool();
        votes.resolve(vote);
        vm.snapshotGasLastCall("SketchVotes", "resolve, 64 silent");
        _assertClosed(vote, ISketchVotes.Stage.Undecided);
    }

    /* THE RULE, TO THE WEI */

    /// @dev Resolves a vote of validators with these stakes and choices; those of setUp have left.
    function _outcomeOf(uint256[] memory stakes, ISketchVotes.Choice[] memory choices)
        internal
        returns (ISketchVotes.Stage)
    {
        address[3] memory before = [large, middle, small];
        for (uint256 i; i < 3; ++i) {
            vm.prank(before[i]);
            roll.leave();
        }
        address[] memory voters = new address[](stakes.length);
        for (uint256 i; i < stakes.length; ++i) {
            voters[i] = _validator(string.concat("voter", vm.toString(i)), stakes[i]);
        }
        uint256 vote = _opened();
        _ballots(vote, voters, choices);
        votes.resolve(vote);
        return _stageOf(vote);
    }

    function _outcomeOf(uint256[3] memory stakes, ISketchVotes.Choice a, ISketchVotes.Choice b, ISketchVotes.Choice c)
        internal
        returns (ISketchVotes.Stage)
    {
        uint256[] memory list = new uint256[](3);
        (list[0], list[1], list[2]) = (stakes[0], stakes[1], stakes[2]);
        ISketchVotes.Choice[] memory choices = new ISketchVotes.Choice[](3);
        (choices[0], choices[1], choices[2]) = (a, b, c);
        return _outcomeOf(list, choices);
    }

    function _assertOutcome(ISketchVotes.Stage given, ISketchVotes.Stage expected) internal pure {
        assertEq(uint8(given), uint8(expected));
    }

    function test_quorum_isReachedByExactlyTwoThirds() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether, 2000 ether], FALSE, FALSE, SILENT), ISketchVotes.Stage.Struck
        );
    }

    function test_quorum_isMissedByAWei() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether, 2000 ether + 1], FALSE, FALSE, SILENT),
            ISketchVotes.Stage.Undecided
        );
    }

    function test_majority_forFalseIsMoreThanTwoThirds() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether, 2000 ether], FALSE, FALSE, HOLDS), ISketchVotes.Stage.Undecided
        );
    }

    function test_majority_forFalseIsReachedByAWei() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether + 1, 2000 ether], FALSE, FALSE, HOLDS),
            ISketchVotes.Stage.Struck
        );
    }

    function test_majority_forHoldsIsMoreThanTwoThirds() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether, 2000 ether], HOLDS, HOLDS, FALSE), ISketchVotes.Stage.Undecided
        );
    }

    function test_majority_forHoldsIsReachedByAWei() public {
        _assertOutcome(
            _outcomeOf([uint256(2000 ether), 2000 ether + 1, 2000 ether], HOLDS, HOLDS, FALSE),
            ISketchVotes.Stage.Upheld
        );
    }

    /// @dev The rule said without thirds.
    function testFuzz_resolve_followsTheRule(uint256[4] memory stakes, uint8[4] memory picks) public {
        uint256[] memory list = new uint256[](4);
        ISketchVotes.Choice[] memory choices = new ISketchVotes.Choice[](4);
        uint256[3] memory sums;
        for (uint256 i; i < 4; ++i) {
            list[i] = bound(stakes[i], 1000 ether, 4000 ether);
            choices[i] = ISketchVotes.Choice(picks[i] % 3);
            sums[uint8(choices[i])] += list[i];
        }

        ISketchVotes.Stage expected = ISketchVotes.Stage.Undecided;
        uint256 silent = sums[0];
        (uint256 holds, uint256 isFalse) = (sums[1], sums[2]);
        // Silence of at most half of what is heard; either side more than twice the other.
        if (2 * silent <= holds + isFalse) {
            if (isFalse > 2 * holds) expected = ISketchVotes.Stage.Struck;
            if (holds > 2 * isFalse) expected = ISketchVotes.Stage.Upheld;
        }

        _assertOutcome(_outcomeOf(list, choices), expected);
        assertEq(address(votes).balance, _owedInAll(), "balance is what is owed");
    }

    function _owedInAll() internal returns (uint256 sum) {
        sum = votes.owed(challenger);
        for (uint256 i; i < 4; ++i) {
            sum += votes.owed(makeAddr(string.concat("voter", vm.toString(i))));
        }
    }

    /* STRUCK MEANWHILE */

    function test_resolve_voidsAnUnansweredChallengeOfAStruckBatch() public {
        uint256 vote = _challenge(batch, ROW);
        _strikeOtherwise(batch);

        vm.expectEmit(address(votes));
        emit ISketchVotes.Resolved(vote, batch, ISketchVotes.Stage.Void, 6000 ether, 0, 0);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Void);
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);
    }

    function test_resolve_voidsAVoteOnAStruckBatchAtItsEnd() public {
        uint256 vote = _opened();
        _commit(vote, large, HOLDS);
        _commit(vote, middle, FALSE);
        _strikeOtherwise(batch);
        _toReveals(vote);
        _reveal(vote, large, HOLDS);

        uint256 endsAt = votes.voteOf(vote).endsAt + REVEAL_PERIOD;
        _revert(PanelVote.TooEarly.selector, endsAt);
        votes.resolve(vote);

        vm.warp(endsAt);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Void);
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);
        // Committed and did not reveal; the third had no reason left to commit.
        _assertSlashed(middle, 2000 ether, true);
        _assertSlashed(small, 1000 ether, false);
    }

    function test_resolve_voidsADecidedVoteOnAStruckBatch() public {
        uint256 vote = _voted(FALSE, FALSE, HOLDS);
        _strikeOtherwise(batch);
        uint256 stake = staking.stakeOf(operator);
        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Void);
        assertEq(staking.stakeOf(operator), stake, "slashed once");
        _assertSlashed(small, 1000 ether, false);
    }

    function test_resolve_voidsVotesOnAnOrphan() public {
        BatchId next = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        uint256 vote = _challenge(next, ROW);
        _strikeOtherwise(batch);
        settlement.strikeOrphan(next);

        votes.resolve(vote);

        _assertStage(vote, ISketchVotes.Stage.Void);
        assertEq(settlement.batchOf(next).holds, 0);
        assertEq(votes.owed(challenger), BOND);
    }

    /* PANEL MEMBERS */

    function test_panel_keepsItsStakesWhenSlashedMeanwhile() public {
        uint256 vote = _opened();
        vm.prank(address(arbiter));
        staking.slash(large, 0.9e18);
        _commit(vote, large, FALSE);
        _commit(vote, middle, FALSE);
        _toReveals(vote);
        _reveal(vote, large, FALSE);
        _reveal(vote, middle, FALSE);
        _toEnd(vote);

        assertEq(votes.voteOf(vote).revealedStake, 5000 ether);
        votes.resolve(vote);
        _assertClosed(vote, ISketchVotes.Stage.Struck);
    }

    function test_panel_isPenalisedOnWhatIsLeft() public {
        uint256 vote = _voted(FALSE, FALSE, SILENT);
        vm.prank(address(arbiter));
        staking.slash(small, 1e18);

        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Struck);
        assertEq(staking.stakeOf(small), 0);
    }

    function test_panel_isBoundAfterLeavingAndUnbonding() public {
        uint256 vote = _opened();
        uint256 shares = staking.sharesOf(small, small);
        vm.startPrank(small);
        roll.leave();
        uint256 unbondId = staking.unbond(small, shares);
        vm.stopPrank();
        _commit(vote, large, HOLDS);
        _commit(vote, middle, HOLDS);
        _toReveals(vote);
        _reveal(vote, large, HOLDS);
        _reveal(vote, middle, HOLDS);
        _toEnd(vote);

        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Upheld);
        vm.warp(vm.getBlockTimestamp() + UNBONDING_PERIOD);
        assertEq(staking.withdraw(unbondId), 950 ether, "what unbonds is slashed too");
    }

    function test_panel_isNotPenalisedWithoutTheRole() public {
        uint256 vote = _voted(HOLDS, HOLDS, FALSE);
        vm.prank(owner);
        staking.setSlasher(address(votes), false);
        uint256 burned = BURN.balance;

        votes.resolve(vote);

        _assertClosed(vote, ISketchVotes.Stage.Upheld);
        _assertSlashed(small, 1000 ether, false);
        assertEq(BURN.balance, burned + 5 ether + 1);
    }

    /* SEVERAL CHALLENGES */

    function test_challenge_severalRecordsOfOneBatch() public {
        uint256 first = _challenge(batch, 1);
        uint256 second = _challenge(batch, 2);
        uint256 third = _challenge(batch, 3);
        assertEq(settlement.batchOf(batch).holds, 3);
        assertEq(votes.openVotes(), 3);
        assertEq(address(votes).balance, 3 * BOND);

        // The first is upheld, the second stays without an answer, the third is open when the batch is struck.
        _answer(first);
        _commit(first, large, HOLDS);
        _commit(first, middle, HOLDS);
        _toReveals(first);
        _reveal(first, large, HOLDS);
        _reveal(first, middle, HOLDS);
        _toEnd(first);
        votes.resolve(first);
        assertEq(settlement.batchOf(batch).holds, 2);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Posted));

        _answer(third);
        vm.warp(votes.voteOf(second).endsAt);
        votes.strikeSilent(second);
        assertEq(settlement.batchOf(batch).holds, 1);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Struck));

        _toEnd(third);
        votes.resolve(third);
        _assertStage(first, ISketchVotes.Stage.Upheld);
        _assertStage(second, ISketchVotes.Stage.Struck);
        _assertStage(third, ISketchVotes.Stage.Void);
        assertEq(settlement.batchOf(batch).holds, 0);
        assertEq(votes.openVotes(), 0);
        assertEq(votes.owed(challenger), 2 * BOND);
        assertEq(address(votes).balance, 2 * BOND + 5 ether);
    }

    function test_challenge_theSameRecordAgain() public {
        uint256 first = _voted(HOLDS, HOLDS, HOLDS);
        votes.resolve(first);

        uint256 second = _challenge(batch, ROW);

        assertEq(second, first + 1);
        assertEq(votes.openVoteOn(batch, ROW), second);
        _assertStage(first, ISketchVotes.Stage.Upheld);
    }

    function test_hold_keepsTheBatchFromBecomingFinal() public {
        vm.warp(settlement.batchOf(batch).finalisableAt - 1);
        uint256 vote = _opened();
        _toEnd(vote);

        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(_payouts(contributor, 1000));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.BatchHeld.selector, batch, 1));
        settlement.finaliseBatch(batch, pages, commitments);

        votes.resolve(vote);
        _finalise(batch, _payouts(contributor, 1000));
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Final));
    }
}
