// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {EarnerIndex} from "../../contracts/types/Ids.sol";
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
        (settlement, channels, book) = handler.contracts();

        bytes4[] memory selectors = new bytes4[](10);
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

    function invariant_noFalseClaimIsPaid() public view {
        assertEq(handler.falselyPaid(), 0);
    }

    function invariant_settlementHoldsWhatIsNotClaimed() public view {
        assertEq(address(settlement).balance, (handler.totalPosted() - settlement.totalClaimed()) * GWEI);
    }

    function invariant_channelsHoldWhatIsNotDrawn() public view {
        assertEq(address(channels).balance, handler.undrawn());
        assertFalse(handler.someDrawnDiffers());
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

    /// @dev However a run went, everything can still be finalised and claimed, and then nothing is left.
    function afterInvariant() public {
        handler.settleAll();

        assertEq(settlement.totalClaimed(), handler.totalPosted());
        assertEq(address(settlement).balance, 0);
    }
}
