// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IValidatorRoll} from "../../contracts/interfaces/IValidatorRoll.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {ValidatorRoll} from "../../contracts/settlement/ValidatorRoll.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {Test} from "forge-std/Test.sol";

contract ValidatorRollTest is Test {
    uint256 internal constant MIN = 1000 ether;

    Staking internal staking;
    ValidatorRoll internal roll;

    receive() external payable {}

    function setUp() public {
        EarnerRegistry earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        staking = new Staking(address(this), earners, MIN, 14 days);
        earners.setStaking(address(staking));
        staking.setSlasher(address(this), true);
        roll = new ValidatorRoll(staking);
    }

    function _operator(uint256 i, uint256 stake) internal returns (address operator) {
        operator = vm.addr(i + 1);
        vm.deal(operator, stake);
        vm.prank(operator);
        staking.registerOperator{value: stake}();
    }

    function _enrol(uint256 i, uint256 stake) internal returns (address validator) {
        validator = _operator(i, stake);
        vm.prank(validator);
        roll.enrol();
    }

    /// @dev Validator i has MIN + i wei.
    function _fill() internal {
        for (uint256 i; i < roll.MAX_VALIDATORS(); ++i) {
            _enrol(i, MIN + i);
        }
    }

    function test_enrol_putsAnOperatorOnTheRoll() public {
        address validator = _operator(0, MIN);

        vm.expectEmit(address(roll));
        emit IValidatorRoll.Enrolled(validator);
        vm.prank(validator);
        roll.enrol();

        assertTrue(roll.isEnrolled(validator));
        assertEq(roll.validators().length, 1);
        assertEq(roll.validators()[0], validator);
    }

    function test_enrol_reverts_forWhoeverIsNotActive() public {
        vm.expectRevert(abi.encodeWithSelector(IValidatorRoll.OperatorNotActive.selector, address(this)));
        roll.enrol();

        address slashed = _operator(0, MIN);
        staking.slash(slashed, 1);
        // A wei in 1e18 of 1000e18 wei is taken, so it is below the minimum.
        vm.expectRevert(abi.encodeWithSelector(IValidatorRoll.OperatorNotActive.selector, slashed));
        vm.prank(slashed);
        roll.enrol();
    }

    function test_enrol_reverts_whenEnrolledAlready() public {
        address validator = _enrol(0, MIN);

        vm.expectRevert(abi.encodeWithSelector(IValidatorRoll.AlreadyEnrolled.selector, validator));
        vm.prank(validator);
        roll.enrol();
    }

    function test_enrol_displacesTheLeastOfAFullRoll() public {
        _fill();
        address least = vm.addr(1);
        address newcomer = _operator(100, MIN + 1);

        vm.expectEmit(address(roll));
        emit IValidatorRoll.Enrolled(newcomer);
        vm.expectEmit(address(roll));
        emit IValidatorRoll.Displaced(least, newcomer);
        vm.prank(newcomer);
        roll.enrol();

        assertFalse(roll.isEnrolled(least));
        assertTrue(roll.isEnrolled(newcomer));
        assertEq(roll.validators().length, 64);

        // Its place is its own now: leaving takes out nobody else.
        vm.prank(newcomer);
        roll.leave();
        assertEq(roll.validators().length, 63);
        for (uint256 i = 1; i < 64; ++i) {
            assertTrue(roll.isEnrolled(vm.addr(i + 1)));
        }
    }

    function test_enrol_reverts_whenTheFullRollHasNobodyWithLess() public {
        _fill();
        address newcomer = _operator(100, MIN);

        vm.expectRevert(abi.encodeWithSelector(IValidatorRoll.RollFull.selector, MIN, MIN));
        vm.prank(newcomer);
        roll.enrol();
    }

    function test_enrol_displacesTheInactiveFirst() public {
        _fill();
        address inactive = vm.addr(64);
        staking.slash(inactive, 0.5e18);
        address newcomer = _operator(100, MIN);

        vm.prank(newcomer);
        roll.enrol();

        assertFalse(roll.isEnrolled(inactive));
    }

    function test_leave_takesOffTheRoll() public {
        address first = _enrol(0, MIN);
        address second = _enrol(1, MIN);
        address third = _enrol(2, MIN);

        vm.expectEmit(address(roll));
        emit IValidatorRoll.Left(first);
        vm.prank(first);
        roll.leave();
        // The last took the first one's place, and can leave from there.
        vm.prank(third);
        roll.leave();

        assertEq(roll.validators().length, 1);
        assertEq(roll.validators()[0], second);
        assertFalse(roll.isEnrolled(first));
        assertFalse(roll.isEnrolled(third));

        vm.prank(first);
        roll.enrol();
        assertTrue(roll.isEnrolled(first));
    }

    function test_leave_reverts_whenNotEnrolled() public {
        vm.expectRevert(abi.encodeWithSelector(IValidatorRoll.NotEnrolled.selector, address(this)));
        roll.leave();
    }

    function test_panelWithout_leavesOutPartiesAndTheInactive() public {
        address one = _enrol(0, MIN);
        address other = _enrol(1, MIN);
        address inactive = _enrol(2, MIN);
        address delegated = _enrol(3, MIN);
        address last = _enrol(4, 2 * MIN);
        staking.slash(inactive, 0.01e18);
        staking.stake{value: 5 ether}(delegated);

        (address[] memory panel, uint256[] memory stakes) = roll.panelWithout(one, other);

        assertEq(panel.length, 2);
        assertEq(stakes.length, 2);
        assertEq(panel[0], delegated);
        assertEq(stakes[0], MIN + 5 ether);
        assertEq(panel[1], last);
        assertEq(stakes[1], 2 * MIN);
    }

    function test_panelWithout_isEmptyForAnEmptyRoll() public view {
        (address[] memory panel, uint256[] memory stakes) = roll.panelWithout(address(0), address(0));

        assertEq(panel.length, 0);
        assertEq(stakes.length, 0);
    }

    function test_panelWithout_gasOfAFullRoll() public {
        _fill();

        vm.cool(address(roll));
        vm.cool(address(staking));
        roll.panelWithout(address(0), address(0));
        vm.snapshotGasLastCall("ValidatorRoll", "panel of 64");
    }
}
