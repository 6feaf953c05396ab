// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {BatchId, ChannelId} from "../contracts/types/Ids.sol";
import {ProvenBatchBase} from "./ProvenBatchBase.sol";

/// @notice A batch of which only the sums are true, beside an honest one of another operator, that nobody challenges.
/// @dev Its calls were never made: no model, price or rule that its rows go by is on chain. What it draws is what the
/// third payer signed for something else, and all of it is for earners of the operator: its stakers, who are itself,
/// and two accounts. That is as far as proofs go: with sums that are not true none verifies, see
/// payout_argument_dishonest.json.
abstract contract DishonestBatch is ProvenBatchBase {
    /// @dev First earner of the dishonest operator; those before are of the honest batch.
    uint32 internal constant STAKERS = 8;
    uint32 internal constant LAST = 10;
    uint32 internal constant LAST_HONEST = 6;

    /// @param total gwei drawn by the dishonest batch
    /// @param taken gwei that its earners got in all
    /// @param lost gwei that anyone but the payer who signed lost
    struct Cost {
        uint64 total;
        uint64 taken;
        uint64 lost;
    }

    address internal honest;
    address internal thirdPayer;
    address internal immutable OWNER = makeAddr("dishonest owner");
    address internal immutable CONTRIBUTOR = makeAddr("dishonest contributor");

    uint64 private honestTotal;
    ChannelId[] private honestChannels;

    function setUp() public virtual override {
        super.setUp();
        honest = operator;
        honestTotal = amounts[0] + amounts[1];
        bytes32[] memory ids = vm.parseJsonBytes32Array(json, ".channels");
        honestChannels.push(ChannelId.wrap(ids[0]));
        honestChannels.push(ChannelId.wrap(ids[1]));

        _use("settlement_dishonest.json");
        vm.deal(operator, STAKE);
        vm.prank(operator);
        staking.registerOperator{value: STAKE}();
        vm.prank(OWNER);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        vm.prank(CONTRIBUTOR);
        earners.register(IEarnerRegistry.Role.Contributor);
        thirdPayer = vm.parseJsonAddressArray(json, ".payers")[0];
        _openChannels();
    }

    /// @dev Posts both batches, lets them become final and claims all that the dishonest operator's earners can.
    function _settleUnchallenged() internal returns (uint64 taken) {
        _use("settlement_proof.json");
        BatchId first = _submit();
        ISettlement.Submission memory submission = _submission();
        _use("settlement_dishonest.json");
        BatchId second = _submit();
        ISettlement.Submission memory dishonest = _submission();

        vm.warp(settlement.batchOf(second).finalisableAt);
        settlement.finaliseBatch(first, submission.pages, submission.payouts);
        settlement.finaliseBatch(second, dishonest.pages, dishonest.payouts);
        taken = settlement.claimMany(_claims(2, STAKERS, LAST));
    }

    /// @dev All of it, as the wei of accounts tell.
    function _cost() internal returns (Cost memory cost) {
        uint256 escrow = address(channels).balance;
        uint256 staked = address(staking).balance;
        _settleUnchallenged();
        uint256 got = address(staking).balance - staked + OWNER.balance + CONTRIBUTOR.balance;
        cost.taken = uint64(got / GWEI);
        cost.total = amounts[0];

        // What others should have: earnings of the honest batch, what was not drawn, what the payer did not sign for.
        uint256 others = settlement.claimMany(_claims(2, 1, LAST_HONEST)) * GWEI;
        others += _withdraw(honestChannels[0]) + _withdraw(honestChannels[1]);
        others += _withdraw(ChannelId.wrap(vm.parseJsonBytes32Array(json, ".channels")[0]));
        uint256 due = escrow - cost.total * GWEI;
        cost.lost = uint64((due - others) / GWEI);
    }

    /// @dev All that is left of a channel goes back to its payer.
    function _withdraw(ChannelId channel) internal returns (uint256) {
        address payer = channels.channelOf(channel).payer;
        uint256 left = channels.channelOf(channel).deposit - channels.channelOf(channel).drawn * GWEI;
        vm.startPrank(payer);
        channels.requestWithdrawal(channel, left);
        vm.warp(vm.getBlockTimestamp() + channels.withdrawDelay());
        channels.withdraw(channel);
        vm.stopPrank();
        return payer.balance;
    }

    function _honestTotal() internal view returns (uint64) {
        return honestTotal;
    }

    function _honestChannel(uint256 i) internal view returns (ChannelId) {
        return honestChannels[i];
    }
}
