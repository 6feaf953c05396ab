// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {CellOpening, CellOpenings} from "../../contracts/libraries/CellOpenings.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {RecordWitness} from "../../contracts/libraries/RecordWitness.sol";
import {SketchVotes} from "../../contracts/settlement/SketchVotes.sol";
import {ValidatorRoll} from "../../contracts/settlement/ValidatorRoll.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesBase} from "../SketchVotesBase.t.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @notice A challenger that, when paid, does a call of its choice and keeps what became of it.
contract Caller {
    address internal immutable TARGET;
    bytes internal _call;
    bool public refuses;
    bool public called;
    bool public succeeded;
    bytes public result;

    constructor(address target) {
        TARGET = target;
    }

    receive() external payable {
        require(!refuses);
        if (_call.length == 0) return;
        called = true;
        (succeeded, result) = TARGET.call(_call);
    }

    function onPayment(bytes calldata call) external {
        _call = call;
    }

    function refuse(bool refuses_) external {
        refuses = refuses_;
    }

    function challenge(BatchId batch, uint32 row, CellOpening calldata ledger, bytes calldata witness)
        external
        payable
        returns (uint256)
    {
        return SketchVotes(payable(TARGET)).challenge{value: msg.value}(batch, row, ledger, witness);
    }
}

contract SketchVotesTest is SketchVotesBase {
    ISketchVotes.Choice internal constant SILENT = ISketchVotes.Choice.None;
    uint32 internal constant ROW = 5;

    address internal large;
    address internal middle;
    address internal small;
    BatchId internal batch;

    function setUp() public override {
        super.setUp();
        large = _validator("large", 3000 ether);
        middle = _validator("middle", 2000 ether);
        small = _validator("small", 1000 ether);
        batch = _post();
    }

    /* STEPS */

    /// @dev A vote that is open for commitments.
    function _opened() internal returns (uint256 vote) {
        vote = _challenge(batch, ROW);
        _answer(vote);
    }

    /// @dev A vote with the ballots of the three, whose time is over.
    function _voted(ISketchVotes.Choice a, ISketchVotes.Choice b, ISketchVotes.Choice c)
        internal
        returns (uint256 vote)
    {
        vote = _opened();
        address[] memory voters = new address[](3);
        (voters[0], voters[1], voters[2]) = (large, middle, small);
        ISketchVotes.Choice[] memory choices = new ISketchVotes.Choice[](3);
        (choices[0], choices[1], choices[2]) = (a, b, c);
        _ballots(vote, voters, choices);
    }

    function _stageOf(uint256 vote) internal view returns (ISketchVotes.Stage) {
        return votes.voteOf(vote).stage;
    }

    function _assertStage(uint256 vote, ISketchVotes.Stage stage) internal view {
        assertEq(uint8(_stageOf(vote)), uint8(stage), "stage");
    }

    function _statusOf(BatchId batch_) internal view returns (ISettlement.Status) {
        return settlement.batchOf(batch_).status;
    }

    function _assertSlashed(address validator, uint256 stake, bool slashed) internal view {
        assertEq(staking.stakeOf(validator), slashed ? stake - stake * PENALTY / 1e18 : stake, "stake");
    }

    function _assertClosed(uint256 vote, ISketchVotes.Stage stage) internal view {
        _assertStage(vote, stage);
        assertFalse(votes.voteOf(vote).held, "held");
        assertEq(votes.openVotes(), 0, "open votes");
        assertEq(votes.openVoteOn(batch, ROW), 0, "open vote on the record");
        assertEq(settlement.batchOf(batch).holds, 0, "holds");
    }

    function _revert(bytes4 selector, uint256 what) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, what));
    }

    function _revert(bytes4 selector, address who) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, who));
    }

    function _revertStage(uint256 vote, ISketchVotes.Stage stage) internal {
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongStage.selector, vote, stage));
    }

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

    /// @dev As in a transaction of its own.
    function _cool() internal {
        vm.cool(address(votes));
        vm.cool(address(roll));
        vm.cool(address(staking));
        vm.cool(address(arbiter));
        vm.cool(address(settlement));
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

    /* ABANDONED */

    function test_abandon_givesTheBondBackWhenNothingCanBeStruck() public {
        uint256 vote = _challenge(batch, ROW);
        uint256 endsAt = votes.voteOf(vote).endsAt;
        vm.prank(owner);
        staking.setSlasher(address(arbiter), false);
        vm.warp(endsAt);
        vm.expectRevert();
        votes.strikeSilent(vote);
        _assertStage(vote, ISketchVotes.Stage.Answering);

        vm.warp(endsAt + 7 days - 1);
        _revert(PanelVote.TooEarly.selector, endsAt + 7 days);
        votes.abandon(vote);

        vm.warp(endsAt + 7 days);
        votes.abandon(vote);
        _assertClosed(vote, ISketchVotes.Stage.Abandoned);
        assertEq(votes.owed(challenger), BOND);
        _assertSlashed(large, 3000 ether, false);

        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.NotHeld.selector, vote));
        votes.releaseHold(vote);
    }

    function test_abandon_givesTheBondBackWhenNothingCanBeReleased() public {
        uint256 vote = _voted(HOLDS, HOLDS, FALSE);
        uint256 endsAt = vm.getBlockTimestamp();
        vm.prank(owner);
        settlement.setArbiter(address(arbiter), false);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, address(arbiter)));
        votes.resolve(vote);

        vm.warp(endsAt + 7 days - 1);
        _revert(PanelVote.TooEarly.selector, endsAt + 7 days);
        votes.abandon(vote);

        vm.warp(endsAt + 7 days);
        votes.abandon(vote);
        _assertStage(vote, ISketchVotes.Stage.Abandoned);
        assertEq(votes.owed(challenger), BOND);
        assertTrue(votes.voteOf(vote).held);
        assertEq(settlement.batchOf(batch).holds, 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, address(arbiter)));
        votes.releaseHold(vote);

        vm.prank(owner);
        settlement.setArbiter(address(arbiter), true);
        vm.expectEmit(address(votes));
        emit ISketchVotes.HoldReleased(vote, batch);
        votes.releaseHold(vote);
        _assertClosed(vote, ISketchVotes.Stage.Abandoned);
    }

    function test_abandon_reverts_forClosedVotes() public {
        _revertStage(7, ISketchVotes.Stage.None);
        votes.abandon(7);

        uint256 vote = _voted(HOLDS, HOLDS, HOLDS);
        votes.resolve(vote);
        vm.warp(vm.getBlockTimestamp() + 30 days);
        _revertStage(vote, ISketchVotes.Stage.Upheld);
        votes.abandon(vote);
    }

    function test_releaseHold_reverts_unlessAbandoned() public {
        uint256 vote = _opened();

        _revertStage(vote, ISketchVotes.Stage.Voting);
        votes.releaseHold(vote);
    }

    /* PAYMENTS */

    function test_withdraw_paysWhatIsOwed() public {
        uint256 vote = _voted(HOLDS, HOLDS, FALSE);
        votes.resolve(vote);
        uint256 before = large.balance;

        vm.expectEmit(address(votes));
        emit ISketchVotes.Withdrawn(large, 3 ether);
        assertEq(votes.withdraw(large), 3 ether);

        assertEq(large.balance, before + 3 ether);
        assertEq(votes.owed(large), 0);
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.NothingOwed.selector, large));
        votes.withdraw(large);
    }

    function test_withdraw_keepsWhatIsRefused() public {
        (Caller caller, uint256 vote) = _challengeByContract();
        caller.refuse(true);
        vm.warp(votes.voteOf(vote).endsAt);
        votes.strikeSilent(vote);
        assertEq(uint8(_statusOf(batch)), uint8(ISettlement.Status.Struck), "the strike stands");

        vm.expectRevert();
        votes.withdraw(address(caller));
        assertEq(votes.owed(address(caller)), BOND);

        caller.refuse(false);
        votes.withdraw(address(caller));
        assertEq(address(caller).balance, BOND);
    }

    function test_withdraw_cannotBeEnteredAgain() public {
        (Caller caller, uint256 vote) = _challengeByContract();
        _challenge(batch, ROW + 1);
        vm.warp(votes.voteOf(vote).endsAt);
        votes.strikeSilent(vote);
        caller.onPayment(abi.encodeCall(votes.withdraw, (address(caller))));
        uint256 before = address(caller).balance;

        votes.withdraw(address(caller));

        assertTrue(caller.called());
        assertFalse(caller.succeeded());
        assertEq(
            caller.result(), abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
        assertEq(address(caller).balance, before + BOND);
        assertEq(address(votes).balance, BOND, "the other bond");
    }

    function test_strikeSilent_cannotBeEnteredAgain() public {
        (Caller caller, uint256 vote) = _challengeByContract();
        vm.warp(votes.voteOf(vote).endsAt);

        bytes[3] memory calls = [
            abi.encodeCall(votes.strikeSilent, (vote)),
            abi.encodeCall(votes.withdraw, (address(caller))),
            abi.encodeCall(votes.resolve, (vote))
        ];
        for (uint256 i; i < 3; ++i) {
            uint256 state = vm.snapshotState();
            caller.onPayment(calls[i]);
            votes.strikeSilent(vote);

            assertTrue(caller.called());
            assertFalse(caller.succeeded());
            _assertClosed(vote, ISketchVotes.Stage.Struck);
            assertEq(votes.owed(address(caller)), BOND);
            assertEq(address(votes).balance, BOND);
            vm.revertToState(state);
        }
    }

    function test_resolve_paysAContractOnce() public {
        (Caller caller, uint256 vote) = _challengeByContract();
        _answer(vote);
        _commit(vote, large, FALSE);
        _commit(vote, middle, FALSE);
        _toReveals(vote);
        _reveal(vote, large, FALSE);
        _reveal(vote, middle, FALSE);
        _toEnd(vote);
        bytes[3] memory calls = [
            abi.encodeCall(votes.resolve, (vote)),
            abi.encodeCall(votes.withdraw, (address(caller))),
            abi.encodeCall(votes.abandon, (vote))
        ];
        for (uint256 i; i < calls.length; ++i) {
            uint256 state = vm.snapshotState();
            caller.onPayment(calls[i]);
            votes.resolve(vote);

            assertTrue(caller.called());
            assertFalse(caller.succeeded());
            _assertClosed(vote, ISketchVotes.Stage.Struck);
            assertEq(votes.owed(address(caller)), BOND);
            assertEq(address(votes).balance, BOND);
            vm.revertToState(state);
        }
    }

    function _challengeByContract() internal returns (Caller caller, uint256 vote) {
        caller = new Caller(address(votes));
        bytes memory witness = _witness(ROW);
        vote = caller.challenge{value: BOND}(batch, ROW, _open(FIRST_EPOCH, ROW, _cells(witness)), witness);
    }

    function test_receive_reverts_forAnyoneButStaking() public {
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.NotStaking.selector, challenger));
        vm.prank(challenger);
        Address.sendValue(payable(address(votes)), 1);
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
