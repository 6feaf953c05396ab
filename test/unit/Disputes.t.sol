// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../contracts/interfaces/IDisputes.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Disputes} from "../../contracts/settlement/Disputes.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SettlementBase} from "../SettlementBase.t.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// @dev Takes a batch for broken when told so.
contract FaultContract {
    IDisputes private immutable _disputes;

    constructor(IDisputes disputes) {
        _disputes = disputes;
    }

    function prove(BatchId batch, Rule rule, address challenger) external {
        _disputes.strike(batch, rule, challenger);
    }

    function hold(BatchId batch) external {
        _disputes.hold(batch);
    }

    function release(BatchId batch) external {
        _disputes.release(batch);
    }
}

/// @dev A challenger with code that refuses its reward, wastes gas, or proves another fault while it is paid.
contract ContractChallenger {
    FaultContract private immutable _faults;
    bool private _accepts = true;
    bool private _wastes;
    BatchId private _next;

    constructor(FaultContract faults) {
        _faults = faults;
    }

    receive() external payable {
        require(_accepts);
        while (_wastes) {}
        BatchId next = _next;
        if (BatchId.unwrap(next) != 0) {
            _next = BatchId.wrap(0);
            _faults.prove(next, Rule.Fee, address(this));
        }
    }

    function refuse() external {
        _accepts = false;
    }

    function waste() external {
        _wastes = true;
    }

    function proveNext(BatchId batch) external {
        _next = batch;
    }
}

contract DisputesTest is SettlementBase {
    uint256 private constant SLASHED = MIN_STAKE / 4;

    address private challenger = makeAddr("challenger");
    address private burned;
    FaultContract private faults;

    function setUp() public override {
        super.setUp();
        // The script's are set for ever, so these get one of their own.
        disputes = new Disputes(owner, settlement, staking, STRIKE_SLASH);
        burned = disputes.BURNED();
        faults = new FaultContract(disputes);
        vm.startPrank(owner);
        settlement.setArbiter(address(disputes), true);
        staking.setSlasher(address(disputes), true);
        disputes.setFaultContracts(_list(address(faults)));
        vm.stopPrank();
    }

    function test_strike_slashesBurnsAndRewards() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));

        vm.expectEmit(address(disputes));
        emit IDisputes.Struck(batch, Rule.Split, challenger, SLASHED, SLASHED / 2);
        faults.prove(batch, Rule.Split, challenger);
        vm.snapshotGasLastCall("Disputes", "strike");

        assertEq(uint8(settlement.batchOf(batch).status), uint8(ISettlement.Status.Struck));
        assertEq(challenger.balance, SLASHED / 2);
        assertEq(burned.balance, SLASHED / 2);
        assertEq(address(disputes).balance, 0);
        assertApproxEqAbs(staking.stakeOf(operator), MIN_STAKE - SLASHED, 1);
        assertFalse(staking.isActive(operator), "below the minimum");
    }

    /// @dev A reward is never more than what is burned, so an operator that challenges itself loses half.
    function testFuzz_strike_burnsAtLeastHalf(uint256 slashWad, uint96 more) public {
        slashWad = bound(slashWad, 1, 1e18);
        vm.prank(owner);
        disputes.setStrikeSlash(slashWad);
        more = uint96(bound(more, 1, type(uint96).max));
        vm.deal(address(this), more);
        staking.stake{value: more}(operator);
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));

        faults.prove(batch, Rule.Row, challenger);

        uint256 slashed = (MIN_STAKE + more) * slashWad / 1e18;
        assertEq(challenger.balance, slashed / 2);
        assertEq(burned.balance, slashed - slashed / 2);
        assertGe(burned.balance, challenger.balance);
    }

    function test_strike_reachesUnbondingStake() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        uint256 shares = staking.sharesOf(operator, operator);
        vm.prank(operator);
        staking.unbond(operator, shares);
        vm.warp(settlement.batchOf(batch).finalisableAt - 1);

        faults.prove(batch, Rule.Row, challenger);

        assertEq(challenger.balance, SLASHED / 2);
    }

    function test_strike_worksWhenNothingIsLeftToSlash() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        vm.prank(owner);
        disputes.setStrikeSlash(1e18);
        faults.prove(second, Rule.Row, challenger);

        vm.expectEmit(address(disputes));
        emit IDisputes.Struck(first, Rule.Row, challenger, 0, 0);
        faults.prove(first, Rule.Row, challenger);
        assertEq(challenger.balance + burned.balance, MIN_STAKE);
    }

    function test_strike_burnsARefusedReward() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        ContractChallenger refusing = new ContractChallenger(faults);
        refusing.refuse();

        vm.expectEmit(address(disputes));
        emit IDisputes.Struck(batch, Rule.Row, address(refusing), SLASHED, 0);
        faults.prove(batch, Rule.Row, address(refusing));
        assertEq(burned.balance, SLASHED);
    }

    /// @dev Whoever relays a strike must not pay for what the challenger does.
    function test_strike_boundsTheGasOfAReward() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        ContractChallenger wasting = new ContractChallenger(faults);
        wasting.waste();

        uint256 before = gasleft();
        faults.prove(batch, Rule.Row, address(wasting));
        assertLt(before - gasleft(), 500_000);
        assertEq(burned.balance, SLASHED);
    }

    /// @dev With more gas than it gets it might: the coins of both strikes stay apart.
    function test_strike_standsWhenTheChallengerProvesAnother() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        ContractChallenger busy = new ContractChallenger(faults);
        busy.proveNext(second);

        faults.prove(first, Rule.Row, address(busy));

        assertEq(uint8(settlement.batchOf(first).status), uint8(ISettlement.Status.Struck));
        assertEq(address(disputes).balance, 0);
        assertEq(address(busy).balance + burned.balance, MIN_STAKE - address(staking).balance);
    }

    function test_strike_reverts_whenCallerIsNoFaultContract() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        address[2] memory callers = [owner, challenger];
        for (uint256 i; i < callers.length; ++i) {
            bytes memory error = abi.encodeWithSelector(IDisputes.NotFaultContract.selector, callers[i]);
            vm.startPrank(callers[i]);
            vm.expectRevert(error);
            disputes.strike(batch, Rule.Row, challenger);
            vm.expectRevert(error);
            disputes.hold(batch);
            vm.expectRevert(error);
            disputes.release(batch);
            vm.stopPrank();
        }
    }

    function test_strike_reverts_whenBatchIsFinal() public {
        BatchId batch = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, batch));
        faults.prove(batch, Rule.Row, challenger);
        assertEq(staking.stakeOf(operator), MIN_STAKE);
    }

    function test_strike_reverts_whenStruckAlready() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        faults.prove(batch, Rule.Row, challenger);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPosted.selector, batch));
        faults.prove(batch, Rule.Fee, challenger);
    }

    function test_holdAndRelease_passThrough() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        faults.hold(batch);
        assertEq(settlement.batchOf(batch).holds, 1);
        faults.release(batch);
        assertEq(settlement.batchOf(batch).holds, 0);
    }

    function test_setFaultContracts_isForEver() public {
        assertTrue(disputes.isFaultContract(address(faults)));
        assertEq(disputes.faultContracts(), _list(address(faults)));

        vm.expectRevert(IDisputes.FaultContractsAlreadySet.selector);
        vm.prank(owner);
        disputes.setFaultContracts(_list(address(settlement)));
    }

    function test_setFaultContracts_emits() public {
        Disputes fresh = new Disputes(owner, settlement, staking, 1);
        vm.expectEmit(address(fresh));
        emit IDisputes.FaultContractsSet(_list(address(faults)));
        vm.prank(owner);
        fresh.setFaultContracts(_list(address(faults)));
    }

    function test_setFaultContracts_reverts_whenInvalid() public {
        Disputes fresh = new Disputes(owner, settlement, staking, 1);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDisputes.InvalidFaultContract.selector, address(0)));
        fresh.setFaultContracts(new address[](0));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.InvalidFaultContract.selector, challenger));
        fresh.setFaultContracts(_list(challenger));
        address[] memory twice = new address[](2);
        (twice[0], twice[1]) = (address(faults), address(faults));
        vm.expectRevert(abi.encodeWithSelector(IDisputes.InvalidFaultContract.selector, address(faults)));
        fresh.setFaultContracts(twice);
        vm.stopPrank();
    }

    function test_setStrikeSlash_setsAndEmits() public {
        vm.expectEmit(address(disputes));
        emit IDisputes.StrikeSlashSet(0.5e18);
        vm.prank(owner);
        disputes.setStrikeSlash(0.5e18);
        assertEq(disputes.strikeSlashWad(), 0.5e18);
    }

    function test_setStrikeSlash_reverts_whenOutOfRange() public {
        uint256[2] memory wrong = [uint256(0), 1e18 + 1];
        for (uint256 i; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IDisputes.SlashOutOfRange.selector, wrong[i]));
            vm.prank(owner);
            disputes.setStrikeSlash(wrong[i]);
            vm.expectRevert(abi.encodeWithSelector(IDisputes.SlashOutOfRange.selector, wrong[i]));
            new Disputes(owner, settlement, staking, wrong[i]);
        }
    }

    function test_governance_reverts_whenCallerIsNotOwner() public {
        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, challenger));
        disputes.setFaultContracts(_list(address(faults)));
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, challenger));
        disputes.setStrikeSlash(1e18);
        vm.stopPrank();
    }

    function test_receive_reverts_whenSenderIsNotStaking() public {
        vm.deal(address(this), 1 ether);
        (bool sent, bytes memory reason) = address(disputes).call{value: 1 ether}("");
        assertFalse(sent);
        assertEq(reason, abi.encodeWithSelector(IDisputes.NotStaking.selector, address(this)));
    }

    function test_constructor_publishesItsParameters() public view {
        assertEq(address(disputes.settlement()), address(settlement));
        assertEq(address(disputes.staking()), address(staking));
        assertEq(disputes.strikeSlashWad(), STRIKE_SLASH);
        assertEq(disputes.owner(), owner);
    }

    function _list(address one) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = one;
    }
}
