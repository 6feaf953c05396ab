// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {BatchId, EarnerIndex} from "../../contracts/types/Ids.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementHandler} from "./SettlementHandler.sol";
import {Test} from "forge-std/Test.sol";

contract SettlementInvariantTest is Test {
    uint256 private constant GWEI = 1e9;

    SettlementHandler private handler;
    Settlement private settlement;
    PaymentChannels private channels;
    PayoutBook private book;

    function setUp() public {
        handler = new SettlementHandler();
        handler.begin();
        (settlement, channels, book) = handler.contracts();

        bytes4[] memory selectors = new bytes4[](17);
        selectors[0] = handler.openChannel.selector;
        selectors[1] = handler.deposit.selector;
        selectors[2] = handler.requestWithdrawal.selector;
        selectors[3] = handler.withdraw.selector;
        selectors[4] = handler.registerEarner.selector;
        selectors[5] = handler.post.selector;
        selectors[6] = handler.finalise.selector;
        selectors[7] = handler.claim.selector;
        selectors[8] = handler.claimMany.selector;
        selectors[9] = handler.claimFalsely.selector;
        selectors[10] = handler.strike.selector;
        selectors[11] = handler.strikeOrphan.selector;
        selectors[12] = handler.refund.selector;
        selectors[13] = handler.refundFalsely.selector;
        selectors[14] = handler.hold.selector;
        selectors[15] = handler.release.selector;
        selectors[16] = handler.slash.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_claimedNeverExceedsFunded() public view {
        assertLe(settlement.totalClaimed(), settlement.totalFunded());
        assertEq(settlement.totalFunded(), handler.totalFinal());
    }

    function invariant_claimedIsTheSumOverEarners() public view {
        uint256 sum;
        uint32 count = handler.earnerCount();
        for (uint32 earner = 1; earner <= count; ++earner) {
            uint64 claimed = settlement.claimed(EarnerIndex.wrap(earner));
            assertLe(claimed, book.cumulativeOf(earner));
            sum += claimed;
        }
        assertEq(sum, settlement.totalClaimed());
    }

    function invariant_noFalseClaimOrRefundIsPaid() public view {
        assertEq(handler.falselyPaid(), 0);
    }

    /// @dev Final batches that nobody claimed, posted ones, and struck ones that nobody refunded.
    function invariant_settlementHoldsWhatIsNotPaidToTheWei() public view {
        uint256 unclaimed = settlement.totalFunded() - settlement.totalClaimed();
        address[2] memory operators = handler.operators();
        uint256 unfinal = settlement.unfinalOf(operators[0]) + settlement.unfinalOf(operators[1]);
        assertEq(address(settlement).balance, (unclaimed + unfinal + handler.toRefund()) * GWEI);
    }

    function invariant_escrowAndPaymentsAreTheDepositsToTheWei() public view {
        uint256 escrow = address(channels).balance + address(settlement).balance;
        uint256 paid = settlement.totalClaimed() * GWEI + handler.totalWithdrawn();
        assertEq(escrow + paid, handler.totalDeposited());
    }

    function invariant_paidNeverExceedsDrawn() public view {
        assertLe(settlement.totalClaimed(), handler.totalPosted() - handler.totalRefunded());
        assertLe(settlement.totalFunded() + handler.totalRefunded(), handler.totalPosted());
    }

    function invariant_channelsHoldWhatIsNotDrawn() public view {
        assertEq(address(channels).balance, handler.undrawn());
        assertFalse(handler.someDrawnDiffers());
    }

    function invariant_unfinalIsTheSumOfPostedBatches() public view {
        address[2] memory operators = handler.operators();
        for (uint256 i; i < 2; ++i) {
            assertEq(settlement.unfinalOf(operators[i]), handler.postedOf(operators[i]));
        }
    }

    /// @dev From the head back: nothing struck, no gap, and epochs that fall. What is posted and not there is an orphan.
    function invariant_batchesThatStandAreOneChain() public view {
        address[2] memory operators = handler.operators();
        uint256 standing;
        for (uint256 i; i < 2; ++i) {
            uint64 later = type(uint64).max;
            BatchId at = settlement.headOf(operators[i]);
            uint64 height = settlement.batchOf(at).height;
            bool isFinal;
            while (BatchId.unwrap(at) != 0) {
                ISettlement.Batch memory batch = settlement.batchOf(at);
                assertEq(batch.operator, operators[i]);
                assertEq(batch.height, height--);
                assertLt(batch.epoch, later);
                assertTrue(batch.status != ISettlement.Status.Struck);
                // Whatever a final batch rests on is final.
                assertTrue(!isFinal || batch.status == ISettlement.Status.Final);
                isFinal = batch.status == ISettlement.Status.Final;
                if (!isFinal) ++standing;
                later = batch.epoch;
                at = batch.previous;
            }
            assertEq(height, 0);
        }
        assertEq(standing + _orphans(), _posted());
    }

    /// @dev Every kept version is the commitment to numbers of which none is below that of the version before.
    function invariant_earningsNeverFall() public view {
        for (uint32 page; page < handler.pageCount(); ++page) {
            uint64 latest = book.latest(page);
            for (uint64 version = latest > 16 ? latest - 15 : 1; version <= latest; ++version) {
                G1Point memory expected = Kzg.mul(Kzg.generator(), book.atTau(page, version));
                assertEq(settlement.earningsAt(page, version).x, expected.x);
            }
        }
        for (uint32 earner = 1; earner <= handler.earnerCount(); ++earner) {
            uint64 latest = book.latest(earner / settlement.pageSize());
            uint64 before;
            for (uint64 version = 1; version <= latest; ++version) {
                uint64 cumulative = book.cumulativeAt(earner, version);
                assertGe(cumulative, before);
                before = cumulative;
            }
            assertGe(before, settlement.claimed(EarnerIndex.wrap(earner)));
        }
    }

    function invariant_earningsAreTheSumOfFinalPayouts() public view {
        for (uint32 page; page < handler.pageCount(); ++page) {
            (uint64 version, G1Point memory commitment) = settlement.earningsOf(page);
            G1Point memory expected = book.commitmentOf(page);
            assertEq(version, book.latest(page));
            assertEq(commitment.x, expected.x);
            assertEq(commitment.y, expected.y);
        }
    }

    /// @dev However a run went, everything can still be finalised, refunded, claimed and withdrawn, and then nothing is
    /// left anywhere.
    function afterInvariant() public {
        handler.settleAll();

        assertEq(_posted(), 0);
        assertEq(settlement.totalClaimed() + handler.totalRefunded(), handler.totalPosted());
        assertEq(address(settlement).balance, 0);
        assertEq(address(channels).balance, 0);
        invariant_escrowAndPaymentsAreTheDepositsToTheWei();
        invariant_earningsAreTheSumOfFinalPayouts();
        invariant_unfinalIsTheSumOfPostedBatches();
    }

    function _posted() private view returns (uint256 count) {
        for (uint256 i; i < handler.batchCount(); ++i) {
            if (settlement.batchOf(handler.batchAt(i)).status == ISettlement.Status.Posted) ++count;
        }
    }

    /// @dev Posted batches that rest on a struck one.
    function _orphans() private view returns (uint256 count) {
        for (uint256 i; i < handler.batchCount(); ++i) {
            ISettlement.Batch memory batch = settlement.batchOf(handler.batchAt(i));
            if (batch.status != ISettlement.Status.Posted) continue;
            while (batch.status == ISettlement.Status.Posted) {
                batch = settlement.batchOf(batch.previous);
            }
            if (batch.status == ISettlement.Status.Struck) ++count;
        }
    }
}
