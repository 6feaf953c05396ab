// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {CellOpening} from "../../contracts/libraries/CellOpenings.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {SketchVotes} from "../../contracts/settlement/SketchVotes.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SketchVotesSteps} from "../SketchVotesSteps.t.sol";
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

/// @notice Votes that cannot be resolved, and coins that go out.
contract SketchVotesPaymentsTest is SketchVotesSteps {
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
}
