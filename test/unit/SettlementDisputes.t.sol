// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {BatchId, ChannelId} from "../../contracts/types/Ids.sol";
import {SettlementBase} from "../SettlementBase.t.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// @notice What becomes of batches that are struck, orphaned or held.
contract SettlementDisputesTest is SettlementBase {
    address private stranger = makeAddr("stranger");

    function test_strike_takesABatchOut() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 20));

        vm.expectEmit(address(settlement));
        emit ISettlement.BatchStruck(second, operator);
        _strike(second);
        vm.snapshotGasLastCall("Settlement", "strike");

        _assertStatus(second, ISettlement.Status.Struck);
        _assertStatus(first, ISettlement.Status.Posted);
        _assertHead(first);
        assertEq(settlement.unfinalOf(operator), 10);
        assertEq(address(settlement).balance, 30 * GWEI, "until it is refunded");
    }

    function test_strike_changesNoEarnings() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        BatchId batch = _post(FIRST_EPOCH + 1, _payouts(contributor, 500));
        (uint64 version, G1Point memory before) = settlement.earningsOf(0);
        _strike(batch);
        settlement.refund(batch, _interval(1000, 1500));

        (uint64 versionAfter, G1Point memory earnings) = settlement.earningsOf(0);
        assertEq(versionAfter, version);
        assertEq(keccak256(abi.encode(earnings)), keccak256(abi.encode(before)));
        assertEq(settlement.totalFunded(), 1000);
        assertEq(settlement.claim(book.claimOf(contributor)), 300, "what it earned before");
    }

    function test_strike_worksAfterTheWindow() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.warp(settlement.batchOf(batch).finalisableAt + 365 days);
        _strike(batch);
        _assertStatus(batch, ISettlement.Status.Struck);
    }

    function test_strike_worksOnAHeldBatch() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _hold(batch);
        _strike(batch);
        _release(batch);
        assertEq(settlement.batchOf(batch).holds, 0);
        settlement.refund(batch, _interval(0, 10));
    }

    function test_strike_reverts_whenCallerIsNotArbiter() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        address[3] memory callers = [stranger, owner, operator];
        for (uint256 i; i < callers.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, callers[i]));
            vm.prank(callers[i]);
            settlement.strike(batch);
        }
    }

    function test_strike_reverts_unlessPosted() public {
        BatchId batch = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId struck = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        _strike(struck);

        vm.startPrank(address(disputes));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, batch));
        settlement.strike(batch);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, struck));
        settlement.strike(struck);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, bytes32("none")));
        settlement.strike(BatchId.wrap("none"));
        vm.stopPrank();
    }

    function test_finaliseBatch_reverts_whenStruck() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _strike(batch);
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _expectFinaliseReverts(abi.encodeWithSelector(ISettlement.NotPosted.selector, batch), batch, 10);
    }

    function test_submitBatch_reverts_whenTheEpochWasStruck() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _strike(batch);
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        IPaymentChannels.Draw[] memory draws = _draws(10, FIRST_EPOCH);
        uint256[] memory proof = _proof(submission, draws);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.BatchExists.selector, batch));
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    /* CHAINS */

    /// @dev 1 - 2 - 3 - 4; 2 is struck, so 3 and 4 are orphans and 5 goes on from 1.
    function test_strike_cutsTheChain() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[1]);
        _assertHead(batches[0]);

        BatchId fifth = _post(FIRST_EPOCH + 4, _payouts(contributor, 5));
        assertEq(BatchId.unwrap(settlement.batchOf(fifth).previous), BatchId.unwrap(batches[0]));
        assertEq(settlement.batchOf(fifth).height, 2);

        settlement.strikeOrphan(batches[2]);
        settlement.strikeOrphan(batches[3]);
        _assertHead(fifth);
        assertEq(settlement.unfinalOf(operator), 10 + 5);

        vm.warp(settlement.batchOf(fifth).finalisableAt);
        _finalise(batches[0], _payouts(contributor, 10));
        _finalise(fifth, _payouts(contributor, 5));
        assertEq(settlement.unfinalOf(operator), 0);
    }

    /// @dev 4 lies on the orphan 3, which nobody has struck yet, and at a height that the new chain has not reached.
    function test_strike_ofAnOrphansChildLeavesTheHead() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[1]);
        _strike(batches[3]);
        _assertHead(batches[0]);
        _strike(batches[2]);
        _assertHead(batches[0]);
    }

    /// @dev The new chain has a batch at the orphan's height: that one stays.
    function test_strike_ofAnOrphanLeavesTheNewChain() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[1]);
        _post(FIRST_EPOCH + 4, _payouts(contributor, 5));
        BatchId sixth = _post(FIRST_EPOCH + 5, _payouts(contributor, 6));
        assertEq(settlement.batchOf(sixth).height, settlement.batchOf(batches[2]).height);

        _strike(batches[2]);
        _assertHead(sixth);
        settlement.strikeOrphan(batches[3]);
        _assertHead(sixth);
    }

    function test_strike_ofTheFirstLeavesNoHead() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[0]);
        _assertHead(BatchId.wrap(0));

        BatchId fresh = _post(FIRST_EPOCH + 4, _payouts(contributor, 5));
        assertEq(BatchId.unwrap(settlement.batchOf(fresh).previous), 0);
        assertEq(settlement.batchOf(fresh).height, 1);
    }

    function test_strike_goesOnFromAFinalBatch() public {
        BatchId first = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        _strike(second);
        _assertHead(first);
        _settle(FIRST_EPOCH + 2, _payouts(contributor, 3));
        assertEq(settlement.claim(book.claimOf(contributor)), 13);
    }

    /// @dev Between the epochs of the batch that stands and of the one that was struck.
    function test_strike_freesEpochsThatWereSkipped() public {
        _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId late = _post(FIRST_EPOCH + 5, _payouts(contributor, 10));
        _strike(late);
        _post(FIRST_EPOCH + 2, _payouts(contributor, 10));
    }

    function test_strikeOrphan_isForAnyone() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[1]);
        uint256 stake = staking.stakeOf(operator);

        vm.expectEmit(address(settlement));
        emit ISettlement.BatchStruck(batches[2], operator);
        vm.prank(stranger);
        settlement.strikeOrphan(batches[2]);

        _assertStatus(batches[2], ISettlement.Status.Struck);
        assertEq(staking.stakeOf(operator), stake, "nobody is slashed");
    }

    function test_strikeOrphan_reverts_unlessThePreviousIsStruck() public {
        BatchId[4] memory batches = _postFour();
        for (uint256 i; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.NotOrphan.selector, batches[i]));
            settlement.strikeOrphan(batches[i]);
        }
        _strike(batches[1]);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotOrphan.selector, batches[3]));
        settlement.strikeOrphan(batches[3]);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, batches[1]));
        settlement.strikeOrphan(batches[1]);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, bytes32("none")));
        settlement.strikeOrphan(BatchId.wrap("none"));
    }

    function test_strikeOrphan_reverts_whenThePreviousIsFinal() public {
        _settle(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId batch = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotOrphan.selector, batch));
        settlement.strikeOrphan(batch);
    }

    function test_finaliseBatch_reverts_forAnOrphan() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[1]);
        vm.warp(settlement.batchOf(batches[3]).finalisableAt);
        _finalise(batches[0], _payouts(contributor, 10));
        _expectFinaliseReverts(
            abi.encodeWithSelector(ISettlement.PreviousNotFinal.selector, batches[2], batches[1]), batches[2], 10
        );
    }

    /* REFUNDS */

    function test_refund_sendsTheDrawsBack() public {
        _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId batch = _post(FIRST_EPOCH + 1, _payouts(contributor, 25));
        _strike(batch);

        vm.expectEmit(address(settlement));
        emit ISettlement.BatchRefunded(batch, 25);
        vm.prank(stranger);
        settlement.refund(batch, _interval(10, 35));
        vm.snapshotGasLastCall("Settlement", "refund, one channel");

        assertEq(address(settlement).balance, 10 * GWEI);
        IPaymentChannels.Channel memory state = channels.channelOf(channel);
        assertEq(state.drawn, 35, "void for ever");
        assertEq(state.deposit, 100 ether + 25 * GWEI);
        assertEq(settlement.batchOf(batch).drawsHash, 0);
    }

    function test_refund_ofSeveralChannels() public {
        vm.prank(payer);
        ChannelId second = channels.open{value: 10 ether}(operator, "second");
        IPaymentChannels.Draw[] memory draws = new IPaymentChannels.Draw[](2);
        uint256 place = ChannelId.unwrap(channel) < ChannelId.unwrap(second) ? 0 : 1;
        draws[place] = _draw(channel, payerKey, 4, FIRST_EPOCH);
        draws[1 - place] = _draw(second, payerKey, 6, FIRST_EPOCH);
        vm.warp(_endOf(FIRST_EPOCH));
        IPaymentChannels.Interval[] memory intervals = _intervalsOf(draws);
        BatchId batch = _submit(_submission(FIRST_EPOCH, _payouts(contributor, 10)), draws);
        _strike(batch);
        settlement.refund(batch, intervals);

        assertEq(channels.channelOf(channel).deposit, 100 ether + 4 * GWEI);
        assertEq(channels.channelOf(second).deposit, 10 ether + 6 * GWEI);
        assertEq(address(settlement).balance, 0);
    }

    function test_refund_ofAnOrphan() public {
        BatchId[4] memory batches = _postFour();
        _strike(batches[0]);
        settlement.strikeOrphan(batches[1]);
        settlement.refund(batches[1], _interval(10, 20));
        assertEq(address(settlement).balance, 30 * GWEI);
    }

    function test_refund_reverts_unlessStruck() public {
        BatchId final_ = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId posted = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotStruck.selector, final_));
        settlement.refund(final_, _interval(0, 10));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotStruck.selector, posted));
        settlement.refund(posted, _interval(10, 20));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, bytes32("none")));
        settlement.refund(BatchId.wrap("none"), _interval(0, 10));
    }

    function test_refund_reverts_whenRepeated() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _strike(batch);
        settlement.refund(batch, _interval(0, 10));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.AlreadyRefunded.selector, batch));
        settlement.refund(batch, _interval(0, 10));
    }

    function test_refund_reverts_whenIntervalsAreOthers() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _strike(batch);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongDraws.selector, batch));
        settlement.refund(batch, _interval(0, 11));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongDraws.selector, batch));
        settlement.refund(batch, new IPaymentChannels.Interval[](0));
    }

    /* HOLDS */

    function test_hold_keepsABatchFromBecomingFinal() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.expectEmit(address(settlement));
        emit ISettlement.BatchHoldsChanged(batch, 1);
        _hold(batch);
        _hold(batch);
        vm.warp(settlement.batchOf(batch).finalisableAt + 1);

        _expectFinaliseReverts(abi.encodeWithSelector(ISettlement.BatchHeld.selector, batch, uint32(2)), batch, 10);
        vm.expectEmit(address(settlement));
        emit ISettlement.BatchHoldsChanged(batch, 1);
        _release(batch);
        _expectFinaliseReverts(abi.encodeWithSelector(ISettlement.BatchHeld.selector, batch, uint32(1)), batch, 10);
        _release(batch);
        _finalise(batch, _payouts(contributor, 10));
    }

    function test_hold_reverts_unlessPosted() public {
        BatchId final_ = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId struck = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        _strike(struck);

        vm.startPrank(address(disputes));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, final_));
        settlement.hold(final_);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, struck));
        settlement.hold(struck);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, bytes32("none")));
        settlement.hold(BatchId.wrap("none"));
        vm.stopPrank();
    }

    function test_release_reverts_whenNotHeld() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.startPrank(address(disputes));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotHeld.selector, batch));
        settlement.release(batch);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, bytes32("none")));
        settlement.release(BatchId.wrap("none"));
        vm.stopPrank();
    }

    function test_holdAndRelease_revert_whenCallerIsNotArbiter() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, stranger));
        settlement.hold(batch);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, stranger));
        settlement.release(batch);
        vm.stopPrank();
    }

    /* GOVERNANCE */

    function test_setArbiter_setsAndEmits() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.startPrank(owner);
        vm.expectEmit(address(settlement));
        emit ISettlement.ArbiterSet(stranger, true);
        settlement.setArbiter(stranger, true);
        settlement.setArbiter(address(disputes), false);
        vm.stopPrank();

        assertTrue(settlement.isArbiter(stranger));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotArbiter.selector, address(disputes)));
        vm.prank(address(disputes));
        settlement.strike(batch);
        vm.prank(stranger);
        settlement.strike(batch);
    }

    function test_setExposure_boundsLaterBatches() public {
        _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.expectEmit(address(settlement));
        emit ISettlement.ExposureSet(1);
        vm.prank(owner);
        settlement.setExposure(1);

        assertEq(settlement.exposureCapOf(operator), 0, "1000 wei, rounded down");
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH + 1, _payouts(contributor, 1));
        IPaymentChannels.Draw[] memory draws = _draws(1, FIRST_EPOCH + 1);
        uint256[] memory proof = _proof(submission, draws);
        vm.warp(_endOf(FIRST_EPOCH + 1));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.AboveExposure.selector, operator, uint256(11), uint256(0)));
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    function test_setExposure_reverts_whenOutOfRange() public {
        uint256[2] memory wrong = [uint256(0), 1e18 + 1];
        for (uint256 i; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.ExposureOutOfRange.selector, wrong[i]));
            vm.prank(owner);
            settlement.setExposure(wrong[i]);
        }
    }

    function test_governance_reverts_whenCallerIsNotOwner() public {
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        settlement.setArbiter(stranger, true);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        settlement.setExposure(1e18);
        vm.stopPrank();
    }

    function _postFour() private returns (BatchId[4] memory batches) {
        for (uint64 i; i < 4; ++i) {
            batches[i] = _post(FIRST_EPOCH + i, _payouts(contributor, 10));
        }
    }

    function _hold(BatchId batch) private {
        vm.prank(address(disputes));
        settlement.hold(batch);
    }

    function _release(BatchId batch) private {
        vm.prank(address(disputes));
        settlement.release(batch);
    }

    function _interval(uint64 from, uint64 to) private view returns (IPaymentChannels.Interval[] memory intervals) {
        intervals = new IPaymentChannels.Interval[](1);
        intervals[0] = IPaymentChannels.Interval(channel, from, to);
    }

    function _expectFinaliseReverts(bytes memory error, BatchId batch, uint64 amount) private {
        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(_payouts(contributor, amount));
        vm.expectRevert(error);
        settlement.finaliseBatch(batch, pages, commitments);
    }

    function _assertStatus(BatchId batch, ISettlement.Status status) private view {
        assertEq(uint8(settlement.batchOf(batch).status), uint8(status));
    }

    function _assertHead(BatchId batch) private view {
        assertEq(BatchId.unwrap(settlement.headOf(operator)), BatchId.unwrap(batch));
    }
}
