// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Test} from "forge-std/Test.sol";

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IStaking} from "../../contracts/interfaces/IStaking.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {EarnerIndex} from "../../contracts/types/Ids.sol";

contract StakingTest is Test {
    address internal immutable OWNER = makeAddr("owner");
    address internal immutable TREASURY = makeAddr("slasher");
    address internal immutable SLASHER = makeAddr("slasher");
    address internal immutable OPERATOR = makeAddr("operator");
    address internal immutable ALICE = makeAddr("alice");
    address internal immutable BOB = makeAddr("bob");
    uint256 internal constant MIN_STAKE = 1000 ether;
    uint64 internal constant PERIOD = 7 days;

    EarnerRegistry internal earners;
    Staking internal staking;

    function setUp() public {
        vm.warp(1_800_000_000);
        earners = new EarnerRegistry(OWNER, TREASURY);
        staking = new Staking(OWNER, earners, MIN_STAKE, PERIOD);
        vm.startPrank(OWNER);
        earners.setStaking(address(staking));
        staking.setSlasher(SLASHER, true);
        vm.stopPrank();

        address[4] memory rich = [OPERATOR, ALICE, BOB, address(this)];
        for (uint256 i = 0; i < rich.length; i++) {
            vm.deal(rich[i], 1_000_000 ether);
        }
        vm.prank(OPERATOR);
        staking.registerOperator{value: MIN_STAKE}();
    }

    /* CONSTRUCTION */

    function test_constructor_keepsItsParameters() public view {
        assertEq(staking.minStake(), MIN_STAKE, "min stake");
        assertEq(staking.unbondingPeriod(), PERIOD, "period");
        assertTrue(staking.isSlasher(SLASHER), "slasher");
        assertEq(staking.owner(), OWNER, "owner");
    }

    function test_constructor_reverts_whenMinStakeOrPeriodIsZero() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        new Staking(OWNER, earners, 0, PERIOD);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        new Staking(OWNER, earners, MIN_STAKE, 0);
    }

    /* OPERATORS */

    function test_registerOperator_stakesAndGivesItsStakersAnIndex() public {
        vm.expectEmit(address(staking));
        emit IStaking.OperatorRegistered(ALICE, MIN_STAKE + 1);
        vm.prank(ALICE);
        staking.registerOperator{value: MIN_STAKE + 1}();
        vm.snapshotGasLastCall("Staking", "registerOperator");

        assertTrue(staking.isActive(ALICE), "active");
        assertEq(staking.stakeOf(ALICE), MIN_STAKE + 1, "stake");
        assertEq(staking.stakeOf(ALICE, ALICE), MIN_STAKE + 1, "own stake");
        assertEq(EarnerIndex.unwrap(earners.earnerOf(ALICE, IEarnerRegistry.Role.Stakers)), 3, "earner");
    }

    function test_registerOperator_reverts_whenBelowMinStake() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.BelowMinStake.selector, MIN_STAKE - 1, MIN_STAKE));
        vm.prank(ALICE);
        staking.registerOperator{value: MIN_STAKE - 1}();
    }

    function test_registerOperator_reverts_whenAlreadyOperator() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.AlreadyOperator.selector, OPERATOR));
        vm.prank(OPERATOR);
        staking.registerOperator{value: MIN_STAKE}();
    }

    function test_isActive_isFalseForStrangersAndBelowMinStake() public {
        assertFalse(staking.isActive(ALICE), "stranger");

        _stake(ALICE, 10 * MIN_STAKE);
        vm.prank(OPERATOR);
        staking.unbond(OPERATOR, 1e6);
        assertFalse(staking.isActive(OPERATOR), "delegations do not count");

        _stake(OPERATOR, 1);
        assertTrue(staking.isActive(OPERATOR), "topped up");
    }

    /* STAKING */

    function test_stake_addsADelegation() public {
        vm.expectEmit(address(staking));
        emit IStaking.Staked(OPERATOR, ALICE, 5 ether, 5 ether * 1e6);
        _stake(ALICE, 5 ether);
        vm.snapshotGasLastCall("Staking", "stake");

        assertEq(staking.stakeOf(OPERATOR), MIN_STAKE + 5 ether, "pool");
        assertEq(staking.stakeOf(OPERATOR, ALICE), 5 ether, "alice");
        assertEq(staking.sharesOf(OPERATOR, ALICE), 5 ether * 1e6, "shares");
        assertEq(staking.stakeOf(OPERATOR, OPERATOR), MIN_STAKE, "own stake");
    }

    function test_stake_reverts_whenNotOperator() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOperator.selector, BOB));
        vm.prank(ALICE);
        staking.stake{value: 1 ether}(BOB);
    }

    function test_stake_reverts_whenAmountIsZero() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(ALICE);
        staking.stake(OPERATOR);
    }

    function test_stake_reverts_whenAllWasSlashed() public {
        _slash(1e18);

        vm.expectRevert(abi.encodeWithSelector(IStaking.OperatorSpent.selector, OPERATOR));
        vm.prank(ALICE);
        staking.stake{value: 1 ether}(OPERATOR);
    }

    function test_stake_reverts_whenSlashingMadeSharesTooCheap() public {
        _slash(1e18 - 1);

        vm.expectRevert(abi.encodeWithSelector(IStaking.OperatorSpent.selector, OPERATOR));
        vm.prank(ALICE);
        staking.stake{value: 100 ether}(OPERATOR);
    }

    function test_stake_belongsToItsStakerWhereTheRestWasSlashed() public {
        _slash(1e18);

        _stake(ALICE, 1000);

        assertEq(staking.stakeOf(OPERATOR, ALICE), 1000, "alice");
        assertEq(staking.stakeOf(OPERATOR, OPERATOR), 0, "operator");
    }

    function test_stake_worksAgainOnceTheSlashedHaveLeft() public {
        _slash(1e18);
        vm.prank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, MIN_STAKE * 1e6);
        skip(PERIOD);
        assertEq(staking.withdraw(unbondId), 0, "worth nothing");

        _stake(OPERATOR, MIN_STAKE);

        assertTrue(staking.isActive(OPERATOR), "active");
    }

    function test_stake_firstStakerCannotInflateTheRate() public {
        // Own stake out but for one share, which rounds in the pool's favour; then a delegation.
        vm.startPrank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, MIN_STAKE * 1e6 - 1);
        skip(PERIOD);
        staking.withdraw(unbondId);
        vm.stopPrank();

        _stake(ALICE, 1 ether);

        assertApproxEqAbs(staking.stakeOf(OPERATOR, ALICE), 1 ether, 1, "stake of alice");
    }

    function testFuzz_stake_isWorthWhatWasPaid(uint96 first, uint96 second, uint64 slashWad) public {
        uint256 delegated = bound(first, 1, 1e27);
        uint256 later = bound(second, 1, 1e27);
        // By at most a million: beyond that, shares of such stakes may exceed 128 bits.
        slashWad = uint64(bound(slashWad, 1, 1e18 - 1e12));
        vm.deal(ALICE, delegated);
        vm.deal(BOB, later);
        _stake(ALICE, delegated);
        _slash(slashWad);

        _stake(BOB, later);

        assertLe(staking.stakeOf(OPERATOR, BOB), later, "never more than paid");
        assertApproxEqAbs(staking.stakeOf(OPERATOR, BOB), later, 1, "at most a wei less");
    }

    /* UNBONDING */

    function test_unbond_takesSharesOutOfTheBondedStake() public {
        _stake(ALICE, 5 ether);

        vm.expectEmit(address(staking));
        emit IStaking.Unbonding(1, OPERATOR, ALICE, 2 ether * 1e6, uint64(block.timestamp) + PERIOD);
        vm.prank(ALICE);
        uint256 unbondId = staking.unbond(OPERATOR, 2 ether * 1e6);
        vm.snapshotGasLastCall("Staking", "unbond");

        assertEq(unbondId, 1, "first id");
        assertEq(staking.stakeOf(OPERATOR, ALICE), 3 ether, "alice");
        assertEq(staking.stakeOf(OPERATOR), MIN_STAKE + 3 ether, "pool");
        IStaking.Unbond memory entry = staking.unbondOf(1);
        assertEq(entry.operator, OPERATOR, "operator");
        assertEq(entry.staker, ALICE, "staker");
        assertEq(entry.shares, 2 ether * 1e6, "shares");
        assertEq(entry.withdrawableAt, block.timestamp + PERIOD, "time");
    }

    function test_unbond_reverts_whenSharesAreZero() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(OPERATOR);
        staking.unbond(OPERATOR, 0);
    }

    function test_unbond_reverts_whenNotEnoughShares() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, 1, 0));
        vm.prank(ALICE);
        staking.unbond(OPERATOR, 1);

        _stake(ALICE, 1);
        vm.startPrank(ALICE);
        staking.unbond(OPERATOR, 1e6);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, 1e6, 0));
        staking.unbond(OPERATOR, 1e6);
    }

    function test_withdraw_paysTheStakerWhoeverCalls() public {
        _stake(ALICE, 5 ether);
        vm.prank(ALICE);
        uint256 unbondId = staking.unbond(OPERATOR, 5 ether * 1e6);
        uint256 before = ALICE.balance;
        skip(PERIOD);

        vm.expectEmit(address(staking));
        emit IStaking.Withdrawn(unbondId, ALICE, 5 ether);
        vm.prank(BOB);
        uint256 amount = staking.withdraw(unbondId);
        vm.snapshotGasLastCall("Staking", "withdraw");

        assertEq(amount, 5 ether, "amount");
        assertEq(ALICE.balance, before + 5 ether, "balance");
        assertEq(address(staking).balance, MIN_STAKE, "what stays");
    }

    function test_withdraw_reverts_whenStillBonded() public {
        vm.prank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, 1e6);
        uint256 withdrawableAt = block.timestamp + PERIOD;
        skip(PERIOD - 1);

        vm.expectRevert(abi.encodeWithSelector(IStaking.StillBonded.selector, unbondId, withdrawableAt));
        staking.withdraw(unbondId);
    }

    function test_withdraw_reverts_whenUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownUnbond.selector, 1));
        staking.withdraw(1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownUnbond.selector, 1));
        staking.unbondOf(1);
    }

    function test_withdraw_reverts_whenWithdrawnAlready() public {
        vm.prank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, 1e6);
        skip(PERIOD);
        staking.withdraw(unbondId);

        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownUnbond.selector, unbondId));
        staking.withdraw(unbondId);
    }

    function test_withdraw_reverts_whenTheStakerRejectsThePayment() public {
        RejectingStaker rejecting = new RejectingStaker();
        rejecting.stakeAndUnbond{value: 1 ether}(staking, OPERATOR);
        skip(PERIOD);

        vm.expectRevert(Errors.FailedCall.selector);
        staking.withdraw(1);
    }

    function test_withdraw_reverts_whenReentered() public {
        ReenteringStaker reentering = new ReenteringStaker(staking, OPERATOR);
        reentering.stakeAndUnbond{value: 2 ether}();
        skip(PERIOD);

        staking.withdraw(1);

        assertEq(reentering.reason(), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "reentry");
        assertEq(address(reentering).balance, 1 ether, "paid once");
    }

    /* SLASHING */

    function test_slash_reachesOwnDelegatedAndUnbondingStake() public {
        _stake(ALICE, 500 ether);
        _stake(BOB, 500 ether);
        vm.prank(BOB);
        uint256 unbondId = staking.unbond(OPERATOR, 500 ether * 1e6);

        vm.expectEmit(address(staking));
        emit IStaking.Slashed(OPERATOR, 0.25e18, 500 ether);
        uint256 amount = _slash(0.25e18);
        vm.snapshotGasLastCall("Staking", "slash");

        assertEq(amount, 500 ether, "a quarter of all");
        assertEq(SLASHER.balance, 500 ether, "slasher");
        assertApproxEqAbs(staking.stakeOf(OPERATOR, OPERATOR), 750 ether, 1, "own");
        assertApproxEqAbs(staking.stakeOf(OPERATOR, ALICE), 375 ether, 1, "delegated");
        assertFalse(staking.isActive(OPERATOR), "below the minimum");
        skip(PERIOD);
        assertApproxEqAbs(staking.withdraw(unbondId), 375 ether, 1, "unbonding");
    }

    function test_slash_reachesStakeWhoseDelayIsOver() public {
        vm.prank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, MIN_STAKE * 1e6);
        skip(10 * PERIOD);

        _slash(0.5e18);

        assertApproxEqAbs(staking.withdraw(unbondId), MIN_STAKE / 2, 1, "half");
    }

    function test_slash_doesNotReachOtherOperators() public {
        vm.prank(ALICE);
        staking.registerOperator{value: MIN_STAKE}();

        _slash(1e18);

        assertEq(staking.stakeOf(ALICE), MIN_STAKE, "alice");
        assertEq(staking.stakeOf(OPERATOR), 0, "operator");
    }

    function test_slash_leavesFeesAlone() public {
        staking.addFees{value: 7 ether}(OPERATOR);
        _slash(1e18);
        skip(PERIOD);

        vm.prank(OPERATOR);
        assertEq(staking.claimFees(OPERATOR), 7 ether - 1, "fees");
    }

    function test_slash_reverts_whenCallerIsNotSlasher() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotSlasher.selector, OWNER));
        vm.prank(OWNER);
        staking.slash(OPERATOR, 1e18);
    }

    function test_slash_reverts_whenNotOperator() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOperator.selector, ALICE));
        vm.prank(SLASHER);
        staking.slash(ALICE, 1e18);
    }

    function test_slash_reverts_whenOutOfRange() public {
        uint256[3] memory outOfRange = [uint256(0), 1e18 + 1, type(uint256).max];
        for (uint256 i = 0; i < outOfRange.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IStaking.SlashOutOfRange.selector, outOfRange[i]));
            vm.prank(SLASHER);
            staking.slash(OPERATOR, outOfRange[i]);
        }
    }

    function testFuzz_slash_neverExceedsStake(uint96 delegated, uint64[4] memory slashesWad) public {
        vm.deal(ALICE, delegated);
        if (delegated != 0) _stake(ALICE, delegated);
        uint256 total = MIN_STAKE + delegated;

        uint256 slashed = 0;
        for (uint256 i = 0; i < slashesWad.length; i++) {
            slashed += _slash(bound(slashesWad[i], 1, 1e18));
        }

        assertLe(slashed, total, "slashed");
        assertEq(SLASHER.balance, slashed, "slasher");
        assertEq(address(staking).balance, total - slashed, "what stays");
        assertLe(
            staking.stakeOf(OPERATOR, OPERATOR) + staking.stakeOf(OPERATOR, ALICE), total - slashed, "what is owed"
        );
    }

    function test_setSlasher_setsAndEmits() public {
        vm.expectEmit(address(staking));
        emit IStaking.SlasherSet(SLASHER, false);
        vm.prank(OWNER);
        staking.setSlasher(SLASHER, false);

        assertFalse(staking.isSlasher(SLASHER), "allowed no more");
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotSlasher.selector, SLASHER));
        vm.prank(SLASHER);
        staking.slash(OPERATOR, 1);
    }

    function test_slash_paysWhicheverSlasherCalls() public {
        vm.prank(OWNER);
        staking.setSlasher(BOB, true);
        uint256 before = BOB.balance;
        _slash(0.5e18);

        vm.prank(BOB);
        uint256 amount = staking.slash(OPERATOR, 0.5e18);

        assertEq(SLASHER.balance, MIN_STAKE / 2, "first");
        assertEq(BOB.balance - before, amount, "second");
        assertEq(amount, MIN_STAKE / 4, "of what the first left");
    }

    function test_slash_ofASpentOperatorTakesNothing() public {
        _slash(1e18);
        assertEq(_slash(0.5e18), 0);
    }

    function test_slash_reverts_whenSlasherDoesNotAcceptIt() public {
        vm.prank(OWNER);
        staking.setSlasher(address(earners), true);

        vm.expectRevert(Errors.FailedCall.selector);
        vm.prank(address(earners));
        staking.slash(OPERATOR, 1e18);
    }

    function test_setSlasher_reverts_whenCallerIsNotOwner() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, ALICE));
        vm.prank(ALICE);
        staking.setSlasher(ALICE, true);
    }

    /* FEES */

    function test_addFees_streamsOverTheUnbondingPeriod() public {
        vm.expectEmit(address(staking));
        emit IStaking.FeesAdded(OPERATOR, 700 ether);
        staking.addFees{value: 700 ether}(OPERATOR);
        vm.snapshotGasLastCall("Staking", "addFees");

        assertEq(staking.feesOf(OPERATOR, OPERATOR), 0, "at once");
        skip(1 days);
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 100 ether, 1, "after a day");
        skip(6 days);
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 700 ether, 1, "after all days");
        skip(100 days);
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 700 ether, 1, "no more");
    }

    function test_addFees_sharesByStake() public {
        _stake(ALICE, 3 * MIN_STAKE);
        staking.addFees{value: 8 ether}(OPERATOR);
        skip(PERIOD);

        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 2 ether, 1, "operator");
        assertApproxEqAbs(staking.feesOf(OPERATOR, ALICE), 6 ether, 1, "alice");
    }

    function test_addFees_givesALateStakerNothingOfEarlierFees() public {
        staking.addFees{value: 700 ether}(OPERATOR);
        skip(PERIOD);

        _stake(ALICE, 1000 * MIN_STAKE / 10);
        assertEq(staking.feesOf(OPERATOR, ALICE), 0, "at once");
        skip(PERIOD);
        assertEq(staking.feesOf(OPERATOR, ALICE), 0, "later");
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 700 ether, 1, "operator");
    }

    function test_addFees_givesAStakerOfTheLastDayOnlyThatDay() public {
        staking.addFees{value: 700 ether}(OPERATOR);
        skip(6 days);
        _stake(ALICE, MIN_STAKE);
        skip(1 days);

        assertApproxEqAbs(staking.feesOf(OPERATOR, ALICE), 50 ether, 1, "half of a day");
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 650 ether, 1, "the rest");
    }

    function test_addFees_mergesWithWhatRemains() public {
        staking.addFees{value: 700 ether}(OPERATOR);
        skip(1 days);
        // 600 with 6 days left and 600 over 7 days: 1200 over 6.5 days.
        staking.addFees{value: 600 ether}(OPERATOR);
        skip(6.5 days - 1);

        assertLt(staking.feesOf(OPERATOR, OPERATOR), 1299.999 ether, "a second before the end");
        skip(1);
        assertApproxEqAbs(staking.feesOf(OPERATOR, OPERATOR), 1300 ether, 1, "at the end");
    }

    function test_addFees_waitForSomeStake() public {
        vm.prank(OPERATOR);
        uint256 unbondId = staking.unbond(OPERATOR, MIN_STAKE * 1e6);
        staking.addFees{value: 7 ether}(OPERATOR);
        skip(PERIOD);
        staking.withdraw(unbondId);
        assertEq(staking.feesOf(OPERATOR, OPERATOR), 0, "unbonding stake earns nothing");

        _stake(ALICE, 1 ether);
        skip(1 days);
        assertApproxEqAbs(staking.feesOf(OPERATOR, ALICE), 1 ether, 1, "a seventh");
        skip(6 days);
        assertApproxEqAbs(staking.feesOf(OPERATOR, ALICE), 7 ether, 1, "all");
    }

    function test_addFees_reverts_whenNotOperator() public {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOperator.selector, ALICE));
        staking.addFees{value: 1}(ALICE);
    }

    function test_addFees_reverts_whenAmountIsZero() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.addFees(OPERATOR);
    }

    function test_claimFees_paysOnce() public {
        staking.addFees{value: 7 ether}(OPERATOR);
        skip(PERIOD);
        uint256 owed = staking.feesOf(OPERATOR, OPERATOR);
        uint256 before = OPERATOR.balance;

        vm.expectEmit(address(staking));
        emit IStaking.FeesClaimed(OPERATOR, OPERATOR, owed);
        vm.prank(OPERATOR);
        uint256 amount = staking.claimFees(OPERATOR);
        vm.snapshotGasLastCall("Staking", "claimFees");

        assertEq(amount, owed, "amount");
        assertEq(OPERATOR.balance, before + owed, "balance");
        assertEq(staking.feesOf(OPERATOR, OPERATOR), 0, "left");
        assertEq(staking.stakeOf(OPERATOR), MIN_STAKE, "stake is untouched");
    }

    function test_claimFees_keepsWhatWasEarnedBeforeUnbonding() public {
        staking.addFees{value: 7 ether}(OPERATOR);
        skip(1 days);
        vm.prank(OPERATOR);
        staking.unbond(OPERATOR, MIN_STAKE * 1e6);
        skip(PERIOD);

        vm.prank(OPERATOR);
        assertApproxEqAbs(staking.claimFees(OPERATOR), 1 ether, 1, "one day");
    }

    function test_claimFees_reverts_whenThereIsNothing() public {
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(OPERATOR);
        staking.claimFees(OPERATOR);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(ALICE);
        staking.claimFees(BOB);
    }

    function test_claimFees_reverts_whenReentered() public {
        ReenteringStaker reentering = new ReenteringStaker(staking, OPERATOR);
        reentering.stakeAndUnbond{value: 2 ether}();
        staking.addFees{value: 7 ether}(OPERATOR);
        skip(PERIOD);

        reentering.claimFees();

        assertEq(reentering.reason(), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "reentry");
    }

    /// @dev Each staker's fees against its exact share of every distribution, however often it is brought up to date.
    function testFuzz_fees_areOffByAtMostOneWei(uint96[3] memory stakes, uint96[4] memory fees, uint8[4] memory touches)
        public
    {
        address[3] memory stakers = [OPERATOR, ALICE, BOB];
        uint256[3] memory shares;
        uint256 total = MIN_STAKE;
        shares[0] = MIN_STAKE;
        for (uint256 i = 1; i < 3; i++) {
            shares[i] = bound(stakes[i], 1, 1e27);
            total += shares[i];
            vm.deal(stakers[i], shares[i]);
            _stake(stakers[i], shares[i]);
        }

        uint256 added = 0;
        for (uint256 i = 0; i < fees.length; i++) {
            uint256 amount = bound(fees[i], 1, 1e27);
            added += amount;
            vm.deal(address(this), amount);
            staking.addFees{value: amount}(OPERATOR);
            for (uint256 j = 0; j < touches[i] % 5; j++) {
                skip(PERIOD / 5);
                _touch(stakers[(i + j) % 3]);
            }
        }
        skip(PERIOD);

        for (uint256 i = 0; i < 3; i++) {
            uint256 exactDown = added * shares[i] / total;
            uint256 got = staking.feesOf(OPERATOR, stakers[i]) + claimedOf[stakers[i]];
            assertLe(got, exactDown, "never more than the exact share");
            assertGe(got + 1, exactDown, "at most one wei less");
        }
    }

    mapping(address staker => uint256 amount) internal claimedOf;

    function _touch(address staker) private {
        if (staking.feesOf(OPERATOR, staker) == 0) return;
        vm.prank(staker);
        claimedOf[staker] += staking.claimFees(OPERATOR);
    }

    function _stake(address staker, uint256 amount) private {
        vm.prank(staker);
        staking.stake{value: amount}(OPERATOR);
    }

    function _slash(uint256 slashWad) private returns (uint256) {
        vm.prank(SLASHER);
        return staking.slash(OPERATOR, slashWad);
    }
}

/// @notice Stakes and unbonds, and takes no payment.
contract RejectingStaker {
    function stakeAndUnbond(Staking staking, address operator) external payable {
        staking.stake{value: msg.value}(operator);
        staking.unbond(operator, staking.sharesOf(operator, address(this)));
    }
}

/// @notice Tries to take its second unbonding and its fees while it is paid, and keeps the reason of the failure.
contract ReenteringStaker {
    Staking internal immutable STAKING;
    address internal immutable OPERATOR;

    bytes4 public reason;

    constructor(Staking staking, address operator) {
        STAKING = staking;
        OPERATOR = operator;
    }

    receive() external payable {
        try STAKING.withdraw(2) {
            reason = 0;
        } catch (bytes memory why) {
            reason = bytes4(why);
        }
        try STAKING.claimFees(OPERATOR) {
            reason = 0;
        } catch (bytes memory why) {
            if (bytes4(why) != reason) reason = 0;
        }
    }

    /// @dev Half of it in each of two unbondings, and a wei that stays to earn.
    function stakeAndUnbond() external payable {
        STAKING.stake{value: msg.value}(OPERATOR);
        uint256 shares = STAKING.sharesOf(OPERATOR, address(this));
        STAKING.unbond(OPERATOR, shares / 2);
        STAKING.unbond(OPERATOR, shares / 4);
    }

    function claimFees() external {
        STAKING.claimFees(OPERATOR);
    }
}
