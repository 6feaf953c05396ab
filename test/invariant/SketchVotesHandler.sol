// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {CellOpening} from "../../contracts/libraries/CellOpenings.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesBase} from "../SketchVotesBase.t.sol";

/// @notice Does what an operator, challengers, validators, other fault contracts, governance and time may do to votes.
/// @dev No call reverts: what would be refused is left out beforehand, by what the interface says.
contract SketchVotesHandler is SketchVotesBase {
    uint64 internal constant GWEI_PER_BATCH = 10;

    address[] public challengers;
    address[] public panelists;
    BatchId[] public batches;

    /// @dev Wei of bonds that were paid out and burned.
    uint256 public withdrawn;
    uint256 public bondsBurned;

    uint64 private _nextEpoch = FIRST_EPOCH;

    function setUp() public override {
        super.setUp();
        challengers.push(challenger);
        challengers.push(makeAddr("other challenger"));
        for (uint256 i; i < 5; ++i) {
            panelists.push(_validator(string.concat("validator", vm.toString(i)), (1 + i) * 1500 ether));
        }
        // One that challenges too.
        challengers.push(panelists[0]);
        _topUp(operator);
        post();
    }

    /* THE OPERATOR */

    function post() public {
        if (!staking.isActive(operator)) _topUp(operator);
        batches.push(_post(_nextEpoch++, _payouts(contributor, GWEI_PER_BATCH)));
    }

    function answer(uint256 voteSeed) public {
        uint256 vote = _vote(voteSeed, ISketchVotes.Stage.Answering);
        if (vote == 0 || block.timestamp >= votes.voteOf(vote).endsAt || !_isPosted(votes.voteOf(vote).batch)) return;

        _answer(vote);
    }

    /* CHALLENGERS */

    function challenge(uint256 batchSeed, uint256 rowSeed, uint256 challengerSeed) public {
        BatchId batch = batches[batchSeed % batches.length];
        uint32 row = uint32(rowSeed % 3);
        address by = challengers[challengerSeed % challengers.length];
        ISettlement.Batch memory stored = settlement.batchOf(batch);
        if (stored.status != ISettlement.Status.Posted || block.timestamp >= stored.finalisableAt) return;
        if (votes.openVoteOn(batch, row) != 0 || _panelStakeWithout(by) < MIN_STAKE) return;

        bytes memory witness = _witness(row);
        CellOpening memory opening = _open(stored.epoch, row, _cells(witness));
        vm.deal(by, by.balance + BOND);
        vm.prank(by);
        votes.challenge{value: BOND}(batch, row, opening, witness);
    }

    /* VALIDATORS */

    /// @param picks three values for each member of the panel: silent, Holds, False
    function commit(uint256 voteSeed, uint256 picks) public {
        uint256 vote = _vote(voteSeed, ISketchVotes.Stage.Voting);
        if (vote == 0 || block.timestamp >= votes.voteOf(vote).endsAt || !_isPosted(votes.voteOf(vote).batch)) return;

        address[] memory panel = votes.panelOf(vote);
        // Half of the time all agree but one.
        uint256 agreed = 1 + picks / 2 % 2;
        for (uint256 i; i < panel.length; ++i) {
            uint256 pick = picks % 2 == 0 ? (picks >> 8 * (i + 1)) % 3 : (i == picks / 4 % 8 ? 3 - agreed : agreed);
            if (pick == 0 || votes.ballotOf(vote, panel[i]).commitment != 0) continue;
            _commit(vote, panel[i], ISketchVotes.Choice(pick));
        }
    }

    /// @dev Goes on to the time to reveal if it has not begun.
    /// @param absent who does not reveal, by bits
    function reveal(uint256 voteSeed, uint256 absent) public {
        uint256 vote = _vote(voteSeed, ISketchVotes.Stage.Voting);
        if (vote == 0 || block.timestamp >= votes.voteOf(vote).endsAt + REVEAL_PERIOD) return;
        if (block.timestamp < votes.voteOf(vote).endsAt) _toReveals(vote);

        address[] memory panel = votes.panelOf(vote);
        for (uint256 i; i < panel.length; ++i) {
            ISketchVotes.Ballot memory ballot = votes.ballotOf(vote, panel[i]);
            bool isAbsent = (absent >> 3 * i) % 8 == 3;
            if (isAbsent || ballot.commitment == 0 || ballot.choice != ISketchVotes.Choice.None) continue;
            bool isFalse = ballot.commitment == votes.commitmentOf(vote, panel[i], FALSE, SALT);
            _reveal(vote, panel[i], isFalse ? FALSE : HOLDS);
        }
    }

    function enrol(uint256 seed) public {
        address validator = panelists[seed % panelists.length];
        if (roll.isEnrolled(validator)) return;
        if (!staking.isActive(validator)) _topUp(validator);

        vm.prank(validator);
        roll.enrol();
    }

    function leave(uint256 seed) public {
        address validator = panelists[seed % panelists.length];
        if (!roll.isEnrolled(validator) || seed % 4 != 0) return;

        vm.prank(validator);
        roll.leave();
    }

    /* ANYONE */

    /// @dev Goes on to when the vote can be closed if that is not yet, unless it is to be left alone.
    function close(uint256 voteSeed) public {
        uint256 vote = _openVote(voteSeed);
        if (vote != 0) _closeVote(vote);
    }

    function finalise(uint256 batchSeed) public {
        BatchId batch = batches[batchSeed % batches.length];
        ISettlement.Batch memory stored = settlement.batchOf(batch);
        bool isFirst = BatchId.unwrap(stored.previous) == 0;
        if (!isFirst && settlement.batchOf(stored.previous).status != ISettlement.Status.Final) return;
        if (stored.status != ISettlement.Status.Posted || stored.holds != 0) return;
        if (block.timestamp < stored.finalisableAt) return;

        _finalise(batch, _payouts(contributor, GWEI_PER_BATCH));
    }

    function strikeOrphan(uint256 batchSeed) public {
        BatchId batch = batches[batchSeed % batches.length];
        ISettlement.Batch memory stored = settlement.batchOf(batch);
        if (stored.status != ISettlement.Status.Posted || BatchId.unwrap(stored.previous) == 0) return;
        if (settlement.batchOf(stored.previous).status != ISettlement.Status.Struck) return;

        settlement.strikeOrphan(batch);
    }

    function withdraw(uint256 seed) public {
        address account = _account(seed);
        uint256 amount = votes.owed(account);
        if (amount == 0) return;

        uint256 before = account.balance;
        assertEq(votes.withdraw(account), amount, "withdrawn what was owed");
        assertEq(account.balance, before + amount, "paid what was owed");
        withdrawn += amount;
    }

    function wait(uint256 duration) public {
        skip(bound(duration, 1, 8 hours));
    }

    /* OTHERS WITH POWER */

    function strike(uint256 batchSeed) public {
        BatchId batch = batches[batchSeed % batches.length];
        if (batchSeed % 3 != 0 || !_isPosted(batch) || !staking.isSlasher(address(arbiter))) return;

        _strikeOtherwise(batch);
    }

    function slash(uint256 seed) public {
        address validator = panelists[seed % panelists.length];
        if (seed % 3 != 0 || !staking.isSlasher(address(arbiter))) return;

        vm.prank(address(arbiter));
        staking.slash(validator, 0.2e18);
    }

    /// @dev Without the role no batch can be struck, so votes that would strike one must wait to be abandoned.
    function setSlasher(uint256 seed) public {
        vm.startPrank(owner);
        staking.setSlasher(address(arbiter), seed % 4 != 0);
        staking.setSlasher(address(votes), seed % 5 != 0);
        vm.stopPrank();
    }

    /* EVERYTHING ENDS */

    function unwind() external {
        while (votes.openVotes() != 0) {
            close(0);
        }
        for (uint256 i; i < accountCount(); ++i) {
            withdraw(i);
        }
    }

    /* BOOKS */

    function batchCount() external view returns (uint256) {
        return batches.length;
    }

    function accountCount() public view returns (uint256) {
        return challengers.length + panelists.length;
    }

    /// @notice What all accounts are owed.
    function owedInAll() external view returns (uint256 sum) {
        for (uint256 i; i < challengers.length; ++i) {
            // The last one is a validator too.
            if (challengers[i] != panelists[0]) sum += votes.owed(challengers[i]);
        }
        for (uint256 i; i < panelists.length; ++i) {
            sum += votes.owed(panelists[i]);
        }
    }

    function theVotes() external view returns (ISketchVotes) {
        return votes;
    }

    function theSettlement() external view returns (ISettlement) {
        return settlement;
    }

    function _account(uint256 seed) private view returns (address) {
        seed %= accountCount();
        return seed < challengers.length ? challengers[seed] : panelists[seed - challengers.length];
    }

    function _closeVote(uint256 vote) private {
        ISketchVotes.Vote memory stored = votes.voteOf(vote);
        bool isAnswering = stored.stage == ISketchVotes.Stage.Answering;
        uint256 endsAt = stored.endsAt + (isAnswering ? 0 : REVEAL_PERIOD);
        bool isPosted = _isPosted(stored.batch);
        if (block.timestamp < endsAt && (isPosted || !isAnswering)) vm.warp(endsAt);

        bool strikes = isPosted && (isAnswering || _isFalse(stored));
        if (strikes && !staking.isSlasher(address(arbiter))) {
            if (block.timestamp < endsAt + 7 days) vm.warp(endsAt + 7 days);
            votes.abandon(vote);
        } else if (isAnswering && isPosted) {
            votes.strikeSilent(vote);
        } else {
            uint256 before = this.owedInAll();
            votes.resolve(vote);
            bondsBurned += BOND - (this.owedInAll() - before);
        }
    }

    function _isFalse(ISketchVotes.Vote memory vote) private pure returns (bool) {
        uint256 silent = vote.panelStake - vote.revealedStake;
        uint256 holds = vote.revealedStake - vote.falseStake;
        return 2 * silent <= vote.revealedStake && vote.falseStake > 2 * holds;
    }

    function _isPosted(BatchId batch) private view returns (bool) {
        return settlement.batchOf(batch).status == ISettlement.Status.Posted;
    }

    function _panelStakeWithout(address by) private view returns (uint256 sum) {
        (, uint256[] memory stakes) = roll.panelWithout(operator, by);
        for (uint256 i; i < stakes.length; ++i) {
            sum += stakes[i];
        }
    }

    /// @dev Some vote at the stage, 0 if there is none.
    function _vote(uint256 seed, ISketchVotes.Stage stage) private view returns (uint256) {
        uint256 count = votes.voteCount();
        for (uint256 i; i < count; ++i) {
            uint256 vote = 1 + (seed % count + i) % count;
            if (votes.voteOf(vote).stage == stage) return vote;
        }
        return 0;
    }

    function _openVote(uint256 seed) private view returns (uint256 vote) {
        vote = _vote(seed, seed % 2 == 0 ? ISketchVotes.Stage.Voting : ISketchVotes.Stage.Answering);
        if (vote == 0) vote = _vote(seed, ISketchVotes.Stage.Voting);
        if (vote == 0) vote = _vote(seed, ISketchVotes.Stage.Answering);
    }

    function _topUp(address account) private {
        vm.deal(account, account.balance + 20_000 ether);
        vm.prank(account);
        staking.stake{value: 20_000 ether}(account);
    }
}
