// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../../contracts/interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IFeeSchedule} from "../../contracts/interfaces/IFeeSchedule.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {FeeSplit} from "../../contracts/libraries/FeeSplit.sol";
import {BatchId, ChannelId, DatanetId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @notice From registration to claims, over all contracts as they are deployed.
/// @dev Two payers buy one epoch's calls of one adapter, trained on rows of two contributors, from an operator with one
/// delegator.
contract PaidCallsTest is SettlementBase {
    /// @dev The first earner registered here: the other contributor of the Datanet.
    uint32 private otherContributor;
    address private delegator = makeAddr("delegator");
    uint256 private secondKey;
    ChannelId private second;
    ModelId private adapter;

    function setUp() public override {
        super.setUp();
        otherContributor = _earner("other contributor", IEarnerRegistry.Role.Contributor);
        adapter = _registerAdapter();

        vm.deal(delegator, 3 * MIN_STAKE);
        vm.prank(delegator);
        staking.stake{value: 3 * MIN_STAKE}(operator);

        address secondPayer;
        (secondPayer, secondKey) = makeAddrAndKey("second payer");
        vm.deal(secondPayer, 50 ether);
        vm.prank(secondPayer);
        second = channels.open{value: 50 ether}(operator, bytes32(0));
    }

    function test_flow_everyGweiPaidIsEarnedAndClaimed() public {
        uint64 firstFee = _feeOf(1200, 800);
        uint64 secondFee = _feeOf(333, 77);
        assertEq(firstFee, 0.8e9);
        PayoutBook.Payout[] memory payouts = _payoutsOf(firstFee, secondFee);
        uint256 staked = address(staking).balance;

        BatchId batch = _postBoth(payouts, firstFee, secondFee);
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _finalise(batch, payouts);
        assertEq(settlement.claim(book.claimOf(contributor)), payouts[2].amount);
        ISettlement.Claim[] memory others = new ISettlement.Claim[](4);
        (others[0], others[1]) = (book.claimOf(TREASURY), book.claimOf(stakers));
        (others[2], others[3]) = (book.claimOf(modelOwner), book.claimOf(otherContributor));
        settlement.claimMany(others);

        assertEq(treasury.balance, payouts[0].amount * GWEI);
        assertEq(address(staking).balance - staked, payouts[1].amount * GWEI);
        assertEq(makeAddr("contributor").balance, payouts[2].amount * GWEI);
        assertEq(makeAddr("model owner").balance, payouts[3].amount * GWEI);
        assertEq(makeAddr("other contributor").balance, payouts[4].amount * GWEI);
        assertEq(settlement.totalClaimed(), firstFee + secondFee);
        assertEq(address(settlement).balance, 0);
    }

    function test_flow_stakersAreStreamedTheirFeesByStake() public {
        PayoutBook.Payout[] memory payouts = _payoutsOf(_feeOf(1200, 800), _feeOf(333, 77));
        BatchId batch = _postBoth(payouts, _feeOf(1200, 800), _feeOf(333, 77));
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _finalise(batch, payouts);
        settlement.claim(book.claimOf(stakers));

        uint256 fees_ = payouts[1].amount * GWEI;
        assertEq(staking.feesOf(operator, delegator), 0, "streamed, not paid at once");
        vm.warp(vm.getBlockTimestamp() + UNBONDING_PERIOD);
        vm.prank(delegator);
        assertApproxEqAbs(staking.claimFees(operator), fees_ * 3 / 4, 1);
        vm.prank(operator);
        assertApproxEqAbs(staking.claimFees(operator), fees_ / 4, 1);
    }

    /// @dev The operator sees the payer's request and posts before the delay is over: it is paid in full.
    function test_flow_payerLeavesWithWhatWasNotDrawn() public {
        vm.prank(payer);
        channels.requestWithdrawal(channel, 100 ether);
        uint64 fee = _feeOf(1200, 800);
        _settle(FIRST_EPOCH, _payouts(modelOwner, fee));

        uint256 before = payer.balance;
        vm.prank(payer);
        channels.withdraw(channel);

        assertEq(payer.balance - before, 100 ether - fee * GWEI);
        assertEq(settlement.claim(book.claimOf(modelOwner)), fee);
    }

    function test_flow_secondOperatorEarnsOnTheSamePages() public {
        uint64 fee = _feeOf(1200, 800);
        _settle(FIRST_EPOCH, _payouts(modelOwner, fee));
        operator = _operator("operator two");
        vm.prank(payer);
        channel = channels.open{value: 10 ether}(operator, bytes32(0));
        _settle(FIRST_EPOCH, _payouts(modelOwner, 5));

        assertEq(settlement.claim(book.claimOf(modelOwner)), fee + 5);
    }

    function _feeOf(uint64 inputTokens, uint64 outputTokens) private view returns (uint64) {
        IModelRegistry.Price memory price = models.priceAt(adapter, 1);
        return FeeSplit.feeOf(inputTokens, outputTokens, price.inputRate, price.outputRate, price.platformFee);
    }

    /// @dev Shares of both calls by the rules in force; the first contributor has three quarters of the influence.
    function _payoutsOf(uint64 firstFee, uint64 secondFee) private view returns (PayoutBook.Payout[] memory payouts) {
        payouts = new PayoutBook.Payout[](5);
        for (uint32 i; i < 5; ++i) {
            payouts[i].earner = i + 1;
        }
        assertEq(otherContributor, 5);

        IFeeSchedule.Split memory bps = fees.rulesAt(START).split;
        uint64[2] memory callFees = [firstFee, secondFee];
        for (uint256 i; i < 2; ++i) {
            FeeSplit.Shares memory shares =
                FeeSplit.split(callFees[i], bps.platformBps, bps.modelBps, bps.stakersBps, bps.contributorsBps);
            uint64 most = shares.contributors * 3 / 4;
            payouts[TREASURY - 1].amount += shares.treasury;
            payouts[stakers - 1].amount += shares.stakers;
            payouts[contributor - 1].amount += most;
            payouts[modelOwner - 1].amount += shares.model;
            payouts[otherContributor - 1].amount += shares.contributors - most;
        }
    }

    function _postBoth(PayoutBook.Payout[] memory payouts, uint64 firstFee, uint64 secondFee)
        private
        returns (BatchId)
    {
        IPaymentChannels.Draw[] memory draws = new IPaymentChannels.Draw[](2);
        uint256 place = ChannelId.unwrap(channel) < ChannelId.unwrap(second) ? 0 : 1;
        draws[place] = _draw(channel, payerKey, firstFee, FIRST_EPOCH);
        draws[1 - place] = _draw(second, secondKey, secondFee, FIRST_EPOCH);
        vm.warp(_endOf(FIRST_EPOCH));

        return _submit(_submission(FIRST_EPOCH, payouts), draws);
    }

    function _registerAdapter() private returns (ModelId) {
        address modeller = makeAddr("model owner");
        vm.startPrank(modeller);
        DatanetId datanet = datanets.create("questions", "CC-BY-4.0", keccak256("metadata"));
        uint32 version = datanets.publish(datanet, keccak256("rows"), 2);

        IModelRegistry.Price memory price =
            IModelRegistry.Price({inputRate: 0.25e9, outputRate: 0.5e9, platformFee: 0.1e9});
        ModelId base = models.registerBase(keccak256("weights"), "base", price);
        IDatanetRegistry.Version memory published = datanets.versionOf(datanet, version);
        assertEq(published.rowCount, 2);
        IModelRegistry.DatanetVersion[] memory sources = new IModelRegistry.DatanetVersion[](1);
        sources[0] = IModelRegistry.DatanetVersion(datanet, version);
        ModelId registered = models.registerAdapter(
            base, keccak256("adapter"), keccak256("root"), keccak256("index"), sources, "adapter", price
        );
        vm.stopPrank();

        assertEq(EarnerIndex.unwrap(models.ownerEarnerOf(registered)), modelOwner);
        return registered;
    }
}
