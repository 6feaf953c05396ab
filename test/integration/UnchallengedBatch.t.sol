// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {BatchId, ChannelId, EarnerIndex} from "../../contracts/types/Ids.sol";
import {DishonestBatch} from "../DishonestBatch.sol";

/// @notice What false rows cost when nobody disputes them: the total that the batch drew, to the wei.
contract UnchallengedBatchTest is DishonestBatch {
    function test_unchallenged_costsExactlyWhatWasDrawn() public {
        Cost memory cost = _cost();

        assertEq(cost.taken, cost.total, "the operator's earners have all of it");
        assertEq(cost.lost, 0, "nobody else lost any");
        assertEq(address(settlement).balance, 0);
        assertEq(address(channels).balance, 0);
        assertEq(settlement.totalClaimed(), settlement.totalFunded());
    }

    function test_unchallenged_leavesTheEarningsOfOthers() public {
        _settleUnchallenged();
        assertEq(address(settlement).balance, _honestTotal() * GWEI, "what the honest batch paid is still there");

        // Openings of the honest batch alone: as their earners had them before the dishonest one was final.
        _use("settlement_proof.json");
        assertEq(settlement.claimMany(_claims(1, 1, LAST_HONEST)), _honestTotal());
        assertEq(address(settlement).balance, 0);
    }

    function test_unchallenged_leavesThePayersWhatTheyDidNotSignFor() public {
        uint256 left = DEPOSIT - amounts[0] * GWEI;
        ChannelId channel = ChannelId.wrap(vm.parseJsonBytes32Array(json, ".channels")[0]);
        _settleUnchallenged();

        assertEq(channels.channelOf(channel).drawn, amounts[0], "the ceiling that it signed");
        assertEq(_withdraw(channel), left);
        for (uint256 i; i < 2; ++i) {
            uint256 drawn = channels.channelOf(_honestChannel(i)).drawn * GWEI;
            assertEq(_withdraw(_honestChannel(i)), DEPOSIT - drawn);
        }
    }

    function test_unchallenged_paysItsEarnersOnce() public {
        uint64 taken = _settleUnchallenged();
        assertEq(taken, amounts[0]);

        ISettlement.Claim[] memory claims = _claims(2, STAKERS, LAST);
        for (uint256 i; i < claims.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToClaim.selector, claims[i].earner));
            settlement.claim(claims[i]);

            claims[i].cumulativeEarnings += 1;
            vm.expectRevert(ISettlement.InvalidOpening.selector);
            settlement.claim(claims[i]);
            claims[i].cumulativeEarnings -= 1;
        }
        // Nor with an opening of somebody else's earnings.
        ISettlement.Claim memory other = _claims(2, 1, 1)[0];
        other.earner = EarnerIndex.wrap(LAST);
        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claim(other);
    }

    function test_unchallenged_cannotDrawMore() public {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");
        IPaymentChannels.Voucher memory voucher = draws[0].voucher;

        draws[0].drawnTo = voucher.ceiling + 1;
        vm.prank(operator);
        vm.expectPartialRevert(IPaymentChannels.AboveCeiling.selector);
        settlement.submitBatch(submission, draws, proof);

        draws[0].voucher.ceiling += 1;
        vm.prank(operator);
        vm.expectPartialRevert(IPaymentChannels.WrongSigner.selector);
        settlement.submitBatch(submission, draws, proof);

        draws[0].voucher.channelId = _honestChannel(0);
        vm.prank(operator);
        vm.expectPartialRevert(IPaymentChannels.WrongOperator.selector);
        settlement.submitBatch(submission, draws, proof);

        submission.total += 1;
        draws = _draws();
        vm.prank(operator);
        vm.expectPartialRevert(ISettlement.TotalMismatch.selector);
        settlement.submitBatch(submission, draws, proof);
    }

    /// @dev The honest batch's payouts as its own would pay twice what the honest one drew.
    function test_unchallenged_cannotPayWhatItDidNotDraw() public {
        ISettlement.Submission memory submission = _submission();
        _use("settlement_proof.json");
        submission.payouts = _submission().payouts;
        _use("settlement_dishonest.json");

        _expectRefused(submission, _draws(), vm.parseJsonUintArray(json, ".proof"));
    }

    /// @dev The rows are no better than that: one false row that anybody shows undoes all of it.
    function test_challenged_costsNothing() public {
        BatchId batch = _submit();
        vm.prank(ARBITER);
        settlement.strike(batch);
        IPaymentChannels.Interval[] memory intervals = new IPaymentChannels.Interval[](1);
        ChannelId channel = ChannelId.wrap(vm.parseJsonBytes32Array(json, ".channels")[0]);
        intervals[0] = IPaymentChannels.Interval(channel, 0, amounts[0]);
        settlement.refund(batch, intervals);

        assertEq(_withdraw(channel), DEPOSIT);
    }

    function test_certificates_areTheAttestors() public view {
        ISettlement.Submission memory submission = _submission();
        bytes[] memory given = submission.certificates;
        _certify(submission);
        assertEq(given[0], submission.certificates[0]);
        assertEq(given[1], submission.certificates[1]);
        assertEq(keccak256(abi.encode(given)), vm.parseJsonBytes32(json, ".certificate_hash"));
    }
}
