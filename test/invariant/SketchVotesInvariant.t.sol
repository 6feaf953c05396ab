// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesHandler} from "./SketchVotesHandler.sol";
import {Test} from "forge-std/Test.sol";

contract SketchVotesInvariantTest is Test {
    uint256 internal constant BOND = 10 ether + 1;

    SketchVotesHandler internal handler;
    ISketchVotes internal votes;
    ISettlement internal settlement;

    function setUp() public {
        handler = new SketchVotesHandler();
        handler.setUp();
        votes = handler.theVotes();
        settlement = handler.theSettlement();

        // Steps of a vote more than once, so that votes get far in few calls.
        bytes4[] memory selectors = new bytes4[](22);
        selectors[0] = SketchVotesHandler.post.selector;
        selectors[1] = SketchVotesHandler.challenge.selector;
        selectors[2] = SketchVotesHandler.challenge.selector;
        selectors[3] = SketchVotesHandler.challenge.selector;
        selectors[4] = SketchVotesHandler.answer.selector;
        selectors[5] = SketchVotesHandler.answer.selector;
        selectors[6] = SketchVotesHandler.answer.selector;
        selectors[7] = SketchVotesHandler.commit.selector;
        selectors[8] = SketchVotesHandler.commit.selector;
        selectors[9] = SketchVotesHandler.commit.selector;
        selectors[10] = SketchVotesHandler.reveal.selector;
        selectors[11] = SketchVotesHandler.reveal.selector;
        selectors[12] = SketchVotesHandler.close.selector;
        selectors[13] = SketchVotesHandler.enrol.selector;
        selectors[14] = SketchVotesHandler.leave.selector;
        selectors[15] = SketchVotesHandler.finalise.selector;
        selectors[16] = SketchVotesHandler.strikeOrphan.selector;
        selectors[17] = SketchVotesHandler.withdraw.selector;
        selectors[18] = SketchVotesHandler.wait.selector;
        selectors[19] = SketchVotesHandler.strike.selector;
        selectors[20] = SketchVotesHandler.slash.selector;
        selectors[21] = SketchVotesHandler.setSlasher.selector;
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
        targetContract(address(handler));
    }

    function _isOpen(ISketchVotes.Vote memory vote) internal pure returns (bool) {
        return vote.stage == ISketchVotes.Stage.Answering || vote.stage == ISketchVotes.Stage.Voting;
    }

    function invariant_balanceIsOpenBondsAndWhatIsOwedToTheWei() public view {
        assertEq(address(votes).balance, BOND * votes.openVotes() + handler.owedInAll());
    }

    function invariant_everyBondLeavesOnce() public view {
        uint256 left = handler.withdrawn() + handler.bondsBurned();

        assertEq(BOND * votes.voteCount(), address(votes).balance + left);
    }

    function invariant_holdsAreOpenVotes() public view {
        uint256 open = 0;
        for (uint256 i; i < handler.batchCount(); ++i) {
            BatchId batch = handler.batches(i);
            uint256 holds = 0;
            for (uint256 vote = 1; vote <= votes.voteCount(); ++vote) {
                ISketchVotes.Vote memory stored = votes.voteOf(vote);
                if (BatchId.unwrap(stored.batch) != BatchId.unwrap(batch)) continue;
                assertEq(stored.held, _isOpen(stored), "held while open");
                if (_isOpen(stored)) ++holds;
            }
            assertEq(settlement.batchOf(batch).holds, holds, "holds");
            open += holds;
        }

        assertEq(votes.openVotes(), open, "open votes");
    }

    function invariant_recordsKnowTheirOpenVote() public view {
        for (uint256 vote = 1; vote <= votes.voteCount(); ++vote) {
            ISketchVotes.Vote memory stored = votes.voteOf(vote);
            uint256 open = votes.openVoteOn(stored.batch, stored.row);

            if (_isOpen(stored)) assertEq(open, vote, "of an open vote");
            else assertNotEq(open, vote, "of a closed vote");
        }
    }

    function invariant_noVoteOnAFinalBatchIsOpen() public view {
        for (uint256 vote = 1; vote <= votes.voteCount(); ++vote) {
            ISketchVotes.Vote memory stored = votes.voteOf(vote);
            if (!_isOpen(stored)) continue;

            assertNotEq(uint8(settlement.batchOf(stored.batch).status), uint8(ISettlement.Status.Final));
        }
    }

    function invariant_stakesAddUp() public view {
        for (uint256 vote = 1; vote <= votes.voteCount(); ++vote) {
            ISketchVotes.Vote memory stored = votes.voteOf(vote);
            address[] memory panel = votes.panelOf(vote);
            uint256[3] memory sums;
            for (uint256 i; i < panel.length; ++i) {
                ISketchVotes.Ballot memory ballot = votes.ballotOf(vote, panel[i]);
                sums[uint8(ballot.choice)] += ballot.stake;
            }

            assertEq(stored.panelStake, sums[0] + sums[1] + sums[2], "panel");
            assertEq(stored.revealedStake, sums[1] + sums[2], "revealed");
            assertEq(stored.falseStake, sums[2], "false");
        }
    }

    /// @dev Whatever happened before, every vote can be closed and everybody paid, and then nothing is left.
    function afterInvariant() public {
        handler.unwind();

        invariant_holdsAreOpenVotes();
        invariant_everyBondLeavesOnce();
        assertEq(address(votes).balance, 0, "balance");
    }
}
