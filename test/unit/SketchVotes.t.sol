// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {CellOpening, CellOpenings} from "../../contracts/libraries/CellOpenings.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {RecordWitness} from "../../contracts/libraries/RecordWitness.sol";
import {SketchVotes} from "../../contracts/settlement/SketchVotes.sol";
import {ValidatorRoll} from "../../contracts/settlement/ValidatorRoll.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesSteps} from "../SketchVotesSteps.t.sol";

/// @notice Challenges, answers, silence and ballots.
contract SketchVotesTest is SketchVotesSteps {
    /* CHALLENGE */

    function test_challenge_opensAVoteAndHoldsTheBatch() public {
        uint64 answerEndsAt = uint64(vm.getBlockTimestamp()) + ANSWER_PERIOD;
        vm.expectEmit(address(votes));
        emit ISketchVotes.Challenged(1, batch, operator, challenger, ROW, 11, 22, _witness(ROW), answerEndsAt);
        uint256 vote = _challenge(batch, ROW);

        ISketchVotes.Vote memory stored = votes.voteOf(vote);
        assertEq(vote, 1);
        assertEq(votes.voteCount(), 1);
        assertEq(votes.openVotes(), 1);
        assertEq(votes.openVoteOn(batch, ROW), vote);
        assertEq(BatchId.unwrap(stored.batch), BatchId.unwrap(batch));
        assertEq(stored.operator, operator);
        assertEq(stored.challenger, challenger);
        assertEq(stored.endsAt, answerEndsAt);
        assertEq(stored.row, ROW);
        assertTrue(stored.held);
        assertEq(stored.panelStake, 6000 ether);
        assertEq(stored.answerHash, keccak256(abi.encode(keccak256(REQUEST), keccak256(TEXT))));
        _assertStage(vote, ISketchVotes.Stage.Answering);
        assertEq(settlement.batchOf(batch).holds, 1);
        assertEq(address(votes).balance, BOND);
    }

    function test_challenge_fixesThePanel() public {
        vm.prank(operator);
        roll.enrol();
        vm.deal(middle, BOND);
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));

        address[] memory panel = new address[](2);
        uint256[] memory stakes = new uint256[](2);
        (panel[0], stakes[0], panel[1], stakes[1]) = (large, 3000 ether, small, 1000 ether);
        vm.expectEmit(address(votes));
        emit ISketchVotes.PanelFixed(1, panel, stakes);
        vm.prank(middle);
        uint256 vote = votes.challenge{value: BOND}(batch, ROW, opening, witness);

        assertEq(votes.panelOf(vote), panel, "neither accused nor challenger");
        assertEq(votes.voteOf(vote).panelStake, 4000 ether);
        assertEq(votes.ballotOf(vote, large).stake, 3000 ether);
        assertEq(votes.ballotOf(vote, middle).stake, 0);
        assertEq(votes.ballotOf(vote, operator).stake, 0);
    }

    function test_challenge_reverts_unlessTheBatchIsPosted() public {
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        BatchId unknown = BatchId.wrap("unknown");

        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, unknown));
        votes.challenge{value: BOND}(unknown, ROW, opening, witness);

        vm.startPrank(address(arbiter));
        settlement.strike(batch);
        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, batch));
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_forAFinalBatch() public {
        vm.warp(vm.getBlockTimestamp() + DISPUTE_WINDOW);
        _finalise(batch, _payouts(contributor, 1000));
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, batch));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_afterTheWindow() public {
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        uint64 finalisableAt = settlement.batchOf(batch).finalisableAt;

        vm.warp(finalisableAt);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WindowOver.selector, batch, finalisableAt));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);

        vm.warp(finalisableAt - 1);
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_withAnotherBond() public {
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));

        uint256[3] memory wrong = [BOND - 1, BOND + 1, 0];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongBond.selector, wrong[i], BOND));
            vm.prank(challenger);
            votes.challenge{value: wrong[i]}(batch, ROW, opening, witness);
        }
    }

    function test_challenge_reverts_whileAnotherVoteOnTheRecordIsOpen() public {
        uint256 vote = _challenge(batch, ROW);
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.VoteOpen.selector, vote));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_forOtherCells() public {
        bytes memory witness = _witness(ROW);
        CellOpening[] memory wrong = new CellOpening[](3);
        // Of the next row, of another pair of cells, of one cell.
        wrong[0] = _open(FIRST_EPOCH, ROW + 1, _cells(witness));
        uint32[] memory indices = new uint32[](2);
        (indices[0], indices[1]) = (8 * ROW + 4, 8 * ROW + 6);
        wrong[1] = _open(FIRST_EPOCH, indices, _cells(witness));
        wrong[2] = wrong[1];
        wrong[2].indices = new uint32[](1);
        wrong[2].indices[0] = 8 * ROW + 4;

        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongCells.selector, ROW));
            vm.prank(challenger);
            votes.challenge{value: BOND}(batch, ROW, wrong[i], witness);
        }
    }

    function test_challenge_reverts_forCellsThatTheLedgerDoesNotHold() public {
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        opening.values[0] += 1;

        vm.expectRevert(CellOpenings.FalseOpening.selector);
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);

        // Another batch's ledger.
        opening = _open(FIRST_EPOCH + 1, ROW, _cells(witness));
        vm.expectRevert(CellOpenings.FalseOpening.selector);
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_beyondTheLedger() public {
        bytes memory witness = _witness(ROW);
        uint32 row = ROWS;
        CellOpening memory opening = _open(FIRST_EPOCH, row, _cells(witness));

        vm.expectRevert(abi.encodeWithSelector(CellOpenings.IndexOutOfRange.selector, 8 * row + 4, 8 * ROWS));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, row, opening, witness);

        // 8 * 2^29 + 4 is 4 in 32 bits.
        opening = _open(FIRST_EPOCH, 0, _cells(witness));
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongCells.selector, uint32(1 << 29)));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, 1 << 29, opening, witness);
    }

    function test_challenge_reverts_forARowOfAnotherKind() public {
        bytes memory witness = _witness(ROW);
        uint256[] memory cells = _cells(witness);
        uint256[3] memory kinds = [uint256(4) << 240, uint256(0), uint256(0x103) << 240];

        for (uint256 i; i < 3; ++i) {
            cells[0] = kinds[i];
            CellOpening memory opening = _open(FIRST_EPOCH, ROW, cells);
            vm.expectRevert(abi.encodeWithSelector(ISketchVotes.NotRecord.selector, ROW));
            vm.prank(challenger);
            votes.challenge{value: BOND}(batch, ROW, opening, witness);
        }
    }

    function test_challenge_reverts_forAnotherWitness() public {
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(_witness(ROW)));
        bytes memory other = _witness(ROW + 1);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongWitness.selector, ROW, keccak256(other)));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, other);

        // A symbol that is no cell, whose lower 248 bits are right.
        uint256[] memory cells = _cells(other);
        cells[1] += 1 << 248;
        opening = _open(FIRST_EPOCH, ROW, cells);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongWitness.selector, ROW, keccak256(other)));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, other);
    }

    function test_challenge_reverts_forAWitnessThatEndsEarly() public {
        bytes memory witness = new bytes(228);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));

        vm.expectRevert(abi.encodeWithSelector(RecordWitness.WitnessTooShort.selector, 228));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
    }

    function test_challenge_reverts_withoutEnoughStakeOnThePanel() public {
        vm.prank(large);
        roll.leave();
        vm.prank(middle);
        roll.leave();
        // Exactly the least stake will do.
        uint256 vote = _challenge(batch, ROW);
        assertEq(votes.voteOf(vote).panelStake, MIN_STAKE);

        vm.prank(small);
        roll.leave();
        bytes memory witness = _witness(ROW + 1);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW + 1, _cells(witness));
        vm.expectRevert(abi.encodeWithSelector(PanelVote.PanelTooSmall.selector, 0, MIN_STAKE));
        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW + 1, opening, witness);
    }

    function test_challenge_gas() public {
        bytes memory witness = _witness(ROW);
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        _cool();

        vm.prank(challenger);
        votes.challenge{value: BOND}(batch, ROW, opening, witness);
        vm.snapshotGasLastCall("SketchVotes", "challenge, panel of 3");
    }

    /* ANSWER */

    function test_answer_opensTheVote() public {
        uint256 vote = _challenge(batch, ROW);
        uint64 commitEndsAt = uint64(vm.getBlockTimestamp()) + COMMIT_PERIOD;

        vm.expectEmit(address(votes));
        emit ISketchVotes.Answered(vote, batch, REQUEST, TEXT, commitEndsAt, commitEndsAt + REVEAL_PERIOD);
        _answer(vote);

        _assertStage(vote, ISketchVotes.Stage.Voting);
        assertEq(votes.voteOf(vote).endsAt, commitEndsAt);
    }

    function test_answer_reverts_forAnyoneElse() public {
        uint256 vote = _challenge(batch, ROW);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.NotAccused.selector, vote, challenger));
        vm.prank(challenger);
        votes.answer(vote, REQUEST, TEXT);
    }

    function test_answer_reverts_whenItsTimeIsOver() public {
        uint256 vote = _challenge(batch, ROW);
        uint64 endsAt = votes.voteOf(vote).endsAt;

        vm.warp(endsAt);
        _revert(PanelVote.TooLate.selector, endsAt);
        vm.prank(operator);
        votes.answer(vote, REQUEST, TEXT);

        vm.warp(endsAt - 1);
        _answer(vote);
    }

    function test_answer_reverts_forAnythingElse() public {
        uint256 vote = _challenge(batch, ROW);

        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongAnswer.selector, vote));
        votes.answer(vote, REQUEST, "another text");
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongAnswer.selector, vote));
        votes.answer(vote, "another request", TEXT);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongAnswer.selector, vote));
        votes.answer(vote, TEXT, REQUEST);
        // The same bytes, cut elsewhere.
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongAnswer.selector, vote));
        votes.answer(vote, bytes.concat(REQUEST, TEXT), "");
    }

    function test_answer_reverts_beyondItsSize() public {
        uint256 vote = _challenge(batch, ROW);
        uint256 max = votes.MAX_ANSWER_BYTES();

        vm.startPrank(operator);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.AnswerTooLong.selector, max + 1));
        votes.answer(vote, new bytes(max - 10), new bytes(11));
        // One byte less is only refused for what it says.
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongAnswer.selector, vote));
        votes.answer(vote, new bytes(max - 10), new bytes(10));
    }

    function test_answer_takesAnAnswerOfTheLargestSize() public {
        bytes memory request = new bytes(votes.MAX_ANSWER_BYTES() - TEXT.length);
        for (uint256 i; i < request.length; i += 31) {
            request[i] = bytes1(uint8(1 + i % 255));
        }
        bytes memory head = abi.encodePacked(bytes32("channel"), uint64(1000), bytes32("model"), uint32(1));
        bytes memory call = abi.encodePacked(keccak256(request), uint64(1), uint64(128), uint64(START));
        bytes memory witness = bytes.concat(head, call, keccak256(TEXT), new bytes(65));
        CellOpening memory opening = _open(FIRST_EPOCH, ROW, _cells(witness));
        vm.prank(challenger);
        uint256 vote = votes.challenge{value: BOND}(batch, ROW, opening, witness);

        vm.prank(operator);
        votes.answer(vote, request, TEXT);
        vm.snapshotGasLastCall("SketchVotes", "answer of 120 KiB");

        _assertStage(vote, ISketchVotes.Stage.Voting);
    }

    function test_answer_reverts_onceTheBatchIsStruck() public {
        uint256 vote = _challenge(batch, ROW);
        _strikeOtherwise(batch);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, batch));
        vm.prank(operator);
        votes.answer(vote, REQUEST, TEXT);
    }

    function test_answer_reverts_atOtherStages() public {
        _revertStage(7, ISketchVotes.Stage.None);
        votes.answer(7, REQUEST, TEXT);

        uint256 vote = _opened();
        _revertStage(vote, ISketchVotes.Stage.Voting);
        vm.prank(operator);
        votes.answer(vote, REQUEST, TEXT);
    }

    /* SILENCE */

    function test_strikeSilent_strikesTheBatch() public {
        uint256 vote = _challenge(batch, ROW);
        uint256 before = challenger.balance;
        vm.warp(votes.voteOf(vote).endsAt);

        vm.expectEmit(address(votes));
        emit ISketchVotes.Resolved(vote, batch, ISketchVotes.Stage.Struck, 6000 ether, 0, 0);
        votes.strikeSilent(vote);

        _assertClosed(vote, ISketchVotes.Stage.Struck);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Struck));
        uint256 slashed = MIN_STAKE * STRIKE_SLASH / 1e18;
        assertEq(staking.stakeOf(operator), MIN_STAKE - slashed);
        assertEq(challenger.balance, before + slashed / 2, "part of the strike");
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);
    }

    function test_strikeSilent_reverts_whileThereIsTime() public {
        uint256 vote = _challenge(batch, ROW);
        uint64 endsAt = votes.voteOf(vote).endsAt;

        vm.warp(endsAt - 1);
        _revert(PanelVote.TooEarly.selector, endsAt);
        votes.strikeSilent(vote);
    }

    function test_strikeSilent_reverts_atOtherStages() public {
        _revertStage(7, ISketchVotes.Stage.None);
        votes.strikeSilent(7);

        uint256 vote = _opened();
        _toEnd(vote);
        _revertStage(vote, ISketchVotes.Stage.Voting);
        votes.strikeSilent(vote);

        votes.resolve(vote);
        _revertStage(vote, ISketchVotes.Stage.Undecided);
        votes.strikeSilent(vote);
    }

    function test_strikeSilent_reverts_whenStruckMeanwhile() public {
        uint256 vote = _challenge(batch, ROW);
        vm.warp(votes.voteOf(vote).endsAt);
        _strikeOtherwise(batch);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, batch));
        votes.strikeSilent(vote);
    }

    /* BALLOTS */

    function test_commit_keepsTheCommitment() public {
        uint256 vote = _opened();

        vm.expectEmit(address(votes));
        emit PanelVote.Committed(vote, large, "commitment");
        vm.prank(large);
        votes.commit(vote, "commitment");

        assertEq(votes.ballotOf(vote, large).commitment, "commitment");
    }

    function test_commit_reverts_offThePanel() public {
        uint256 vote = _opened();

        _revert(PanelVote.NotOnPanel.selector, operator);
        vm.prank(operator);
        votes.commit(vote, "commitment");

        // Enrolled too late for this one.
        address late = _validator("late", 9000 ether);
        _revert(PanelVote.NotOnPanel.selector, late);
        vm.prank(late);
        votes.commit(vote, "commitment");
    }

    function test_commit_reverts_whenItsTimeIsOver() public {
        uint256 vote = _opened();
        uint64 endsAt = votes.voteOf(vote).endsAt;

        vm.warp(endsAt);
        _revert(PanelVote.TooLate.selector, endsAt);
        vm.prank(large);
        votes.commit(vote, "commitment");

        vm.warp(endsAt - 1);
        vm.prank(large);
        votes.commit(vote, "commitment");
    }

    function test_commit_reverts_withoutCommitment() public {
        uint256 vote = _opened();

        vm.expectRevert(PanelVote.ZeroCommitment.selector);
        vm.prank(large);
        votes.commit(vote, 0);
    }

    function test_commit_reverts_theSecondTime() public {
        uint256 vote = _opened();
        _commit(vote, large, HOLDS);

        _revert(PanelVote.AlreadyCommitted.selector, large);
        vm.prank(large);
        votes.commit(vote, "commitment");
    }

    function test_commit_reverts_onceTheBatchIsStruck() public {
        uint256 vote = _opened();
        _strikeOtherwise(batch);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.BatchNotPosted.selector, batch));
        vm.prank(large);
        votes.commit(vote, "commitment");
    }

    function test_commit_reverts_beforeTheAnswer() public {
        uint256 vote = _challenge(batch, ROW);

        _revertStage(vote, ISketchVotes.Stage.Answering);
        vm.prank(large);
        votes.commit(vote, "commitment");
    }

    function test_reveal_countsTheStake() public {
        uint256 vote = _opened();
        _commit(vote, large, FALSE);
        _commit(vote, small, HOLDS);
        _toReveals(vote);

        vm.expectEmit(address(votes));
        emit PanelVote.Revealed(vote, large, FALSE, 3000 ether);
        _reveal(vote, large, FALSE);
        _reveal(vote, small, HOLDS);

        assertEq(votes.voteOf(vote).revealedStake, 4000 ether);
        assertEq(votes.voteOf(vote).falseStake, 3000 ether);
        assertEq(uint8(votes.ballotOf(vote, large).choice), uint8(FALSE));
    }

    function test_reveal_reverts_outsideItsTime() public {
        uint256 vote = _opened();
        _commit(vote, large, HOLDS);
        uint64 commitEndsAt = votes.voteOf(vote).endsAt;

        vm.warp(commitEndsAt - 1);
        _revert(PanelVote.TooEarly.selector, commitEndsAt);
        vm.prank(large);
        votes.reveal(vote, HOLDS, SALT);

        vm.warp(commitEndsAt + REVEAL_PERIOD);
        _revert(PanelVote.TooLate.selector, commitEndsAt + REVEAL_PERIOD);
        vm.prank(large);
        votes.reveal(vote, HOLDS, SALT);

        vm.warp(commitEndsAt + REVEAL_PERIOD - 1);
        _reveal(vote, large, HOLDS);
    }

    function test_reveal_reverts_forAnythingElse() public {
        uint256 vote = _opened();
        _commit(vote, large, HOLDS);
        // A commitment copied from another validator is worth nothing.
        bytes32 copied = votes.commitmentOf(vote, large, HOLDS, SALT);
        vm.prank(small);
        votes.commit(vote, copied);
        _toReveals(vote);

        _revert(PanelVote.WrongReveal.selector, large);
        vm.prank(large);
        votes.reveal(vote, FALSE, SALT);
        _revert(PanelVote.WrongReveal.selector, large);
        vm.prank(large);
        votes.reveal(vote, HOLDS, "another salt");
        _revert(PanelVote.WrongReveal.selector, small);
        vm.prank(small);
        votes.reveal(vote, HOLDS, SALT);
        _revert(PanelVote.WrongReveal.selector, middle);
        vm.prank(middle);
        votes.reveal(vote, HOLDS, SALT);
    }

    function test_reveal_reverts_withoutChoice() public {
        uint256 vote = _opened();
        _commit(vote, large, SILENT);
        _toReveals(vote);

        vm.expectRevert(PanelVote.NoChoice.selector);
        vm.prank(large);
        votes.reveal(vote, SILENT, SALT);
    }

    function test_reveal_reverts_theSecondTime() public {
        uint256 vote = _opened();
        _commit(vote, large, HOLDS);
        _toReveals(vote);
        _reveal(vote, large, HOLDS);

        _revert(PanelVote.AlreadyRevealed.selector, large);
        vm.prank(large);
        votes.reveal(vote, HOLDS, SALT);
    }

    function test_reveal_reverts_atOtherStages() public {
        uint256 vote = _challenge(batch, ROW);

        _revertStage(vote, ISketchVotes.Stage.Answering);
        vm.prank(large);
        votes.reveal(vote, HOLDS, SALT);
    }

    function test_ballots_revert_onceTheVoteIsClosed() public {
        uint256 vote = _voted(HOLDS, HOLDS, FALSE);
        votes.resolve(vote);

        _revertStage(vote, ISketchVotes.Stage.Upheld);
        vm.prank(small);
        votes.commit(vote, "commitment");
        _revertStage(vote, ISketchVotes.Stage.Upheld);
        vm.prank(small);
        votes.reveal(vote, FALSE, SALT);
        _revertStage(vote, ISketchVotes.Stage.Upheld);
        votes.resolve(vote);
        _revertStage(vote, ISketchVotes.Stage.Upheld);
        votes.abandon(vote);

        _assertSlashed(small, 1000 ether, true);
        assertEq(votes.owed(large) + votes.owed(middle), BOND / 2, "rewarded once");
    }

    function test_commitmentOf_isBoundToEverything() public view {
        bytes32 commitment = votes.commitmentOf(1, large, HOLDS, SALT);

        assertEq(commitment, keccak256(abi.encode(block.chainid, address(votes), 1, large, HOLDS, SALT)));
        assertNotEq(commitment, votes.commitmentOf(2, large, HOLDS, SALT));
        assertNotEq(commitment, votes.commitmentOf(1, small, HOLDS, SALT));
        assertNotEq(commitment, votes.commitmentOf(1, large, FALSE, SALT));
    }

    /* CONSTRUCTION */

    function test_constructor_keepsTheParameters() public view {
        assertEq(address(votes.disputes()), address(arbiter));
        assertEq(address(votes.settlement()), address(settlement));
        assertEq(address(votes.staking()), address(staking));
        assertEq(address(votes.roll()), address(roll));
        assertEq(votes.bond(), BOND);
        assertEq(votes.minPanelStake(), MIN_STAKE);
        assertEq(votes.penaltyWad(), PENALTY);
        assertEq(votes.answerPeriod(), ANSWER_PERIOD);
        assertEq(votes.commitPeriod(), COMMIT_PERIOD);
        assertEq(votes.revealPeriod(), REVEAL_PERIOD);
    }

    function _construct(ISketchVotes.Parameters memory parameters) internal returns (SketchVotes) {
        return new SketchVotes(arbiter, roll, parameters);
    }

    function test_constructor_reverts_forParametersOutOfRange() public {
        ISketchVotes.Parameters memory wrong = _parameters();
        wrong.bond = 0;
        vm.expectRevert(ISketchVotes.ParameterOutOfRange.selector);
        _construct(wrong);

        wrong = _parameters();
        wrong.bond = uint256(type(uint128).max) + 1;
        vm.expectRevert(ISketchVotes.ParameterOutOfRange.selector);
        _construct(wrong);

        wrong = _parameters();
        wrong.minPanelStake = 0;
        vm.expectRevert(ISketchVotes.ParameterOutOfRange.selector);
        _construct(wrong);

        wrong = _parameters();
        wrong.penaltyWad = 0;
        vm.expectRevert(ISketchVotes.ParameterOutOfRange.selector);
        _construct(wrong);

        wrong.penaltyWad = 0.1e18 + 1;
        vm.expectRevert(ISketchVotes.ParameterOutOfRange.selector);
        _construct(wrong);

        wrong.penaltyWad = 0.1e18;
        _construct(wrong);
    }

    function _revertPeriods(uint64 answer, uint64 commit, uint64 reveal) internal {
        ISketchVotes.Parameters memory wrong = _parameters();
        (wrong.answerPeriod, wrong.commitPeriod, wrong.revealPeriod) = (answer, commit, reveal);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.PeriodOutOfRange.selector, answer, commit, reveal));
        _construct(wrong);
    }

    function test_constructor_reverts_forPeriodsOutOfRange() public {
        _revertPeriods(0, 1, 1);
        _revertPeriods(1, 0, 1);
        _revertPeriods(1, 1, 0);
        _revertPeriods(type(uint64).max, type(uint64).max, type(uint64).max);
        // 14 days of a blob, less 12 hours that a certificate may be old and 7 days of the window.
        _revertPeriods(6.5 days - 2, 1, 1);

        ISketchVotes.Parameters memory longest = _parameters();
        (longest.answerPeriod, longest.commitPeriod, longest.revealPeriod) = (6.5 days - 3, 1, 1);
        _construct(longest);
    }

    function test_constructor_reverts_whenStakeCouldLeaveDuringAVote() public {
        uint64 duration = ANSWER_PERIOD + COMMIT_PERIOD + REVEAL_PERIOD;

        vm.mockCall(address(staking), abi.encodeCall(staking.unbondingPeriod, ()), abi.encode(duration));
        _revertPeriods(ANSWER_PERIOD, COMMIT_PERIOD, REVEAL_PERIOD);

        vm.mockCall(address(staking), abi.encodeCall(staking.unbondingPeriod, ()), abi.encode(duration + 1));
        _construct(_parameters());
    }

    function test_constructor_reverts_forTheRollOfAnotherStaking() public {
        Staking another = new Staking(owner, earners, MIN_STAKE, UNBONDING_PERIOD);
        ValidatorRoll wrong = new ValidatorRoll(another);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongRoll.selector, wrong));
        new SketchVotes(arbiter, wrong, _parameters());
    }
}
