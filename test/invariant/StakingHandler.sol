// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Test} from "forge-std/Test.sol";

import {Staking} from "../../contracts/staking/Staking.sol";

/// @notice Does what any of five accounts, a slasher and time may do to Staking, and keeps its books beside it.
/// @dev No call reverts: what Staking would refuse is left out beforehand.
contract StakingHandler is Test {
    Staking internal immutable STAKING;
    address internal immutable SLASHER;

    address[] public actors;
    address[] public operators;
    uint256[] public unbondIds;

    /// @dev Of one operator, in wei.
    struct Books {
        uint256 staked;
        uint256 withdrawn;
        uint256 slashed;
        uint256 feesAdded;
        uint256 feesClaimed;
        uint256 shares;
    }

    mapping(address operator => Books) internal books;

    uint256 public withdrawals;

    constructor(Staking staking, address slasher) {
        STAKING = staking;
        SLASHER = slasher;
        for (uint256 i = 0; i < 5; i++) {
            actors.push(makeAddr(string.concat("actor", vm.toString(i))));
        }
        register(0, 0);
    }

    /* ACTIONS */

    function register(uint256 actorSeed, uint256 amount) public {
        address actor = _actor(actorSeed);
        if (_isOperator(actor)) return;
        amount = bound(amount, STAKING.minStake(), 1e27);

        _fund(actor, amount);
        vm.prank(actor);
        STAKING.registerOperator{value: amount}();

        operators.push(actor);
        books[actor].staked += amount;
        books[actor].shares += STAKING.sharesOf(actor, actor);
    }

    function stake(uint256 actorSeed, uint256 operatorSeed, uint256 amount) public {
        address actor = _actor(actorSeed);
        address operator = _operator(operatorSeed);
        amount = bound(amount, 1, 1e27);
        if (!sells(operator, amount)) return;

        uint256 before = STAKING.sharesOf(operator, actor);
        _fund(actor, amount);
        vm.prank(actor);
        STAKING.stake{value: amount}(operator);

        books[operator].staked += amount;
        books[operator].shares += STAKING.sharesOf(operator, actor) - before;
    }

    function unbond(uint256 actorSeed, uint256 operatorSeed, uint256 shares) public {
        address actor = _actor(actorSeed);
        address operator = _operator(operatorSeed);
        uint256 held = STAKING.sharesOf(operator, actor);
        if (held == 0) return;

        vm.prank(actor);
        unbondIds.push(STAKING.unbond(operator, bound(shares, 1, held)));
    }

    function withdraw(uint256 seed) public {
        if (unbondIds.length == 0) return;
        uint256 position = seed % unbondIds.length;
        Staking.Unbond memory entry = STAKING.unbondOf(unbondIds[position]);
        if (block.timestamp < entry.withdrawableAt) return;

        uint256 before = entry.staker.balance;
        uint256 amount = STAKING.withdraw(unbondIds[position]);
        assertEq(entry.staker.balance, before + amount, "paid what was returned");

        unbondIds[position] = unbondIds[unbondIds.length - 1];
        unbondIds.pop();
        books[entry.operator].withdrawn += amount;
        books[entry.operator].shares -= entry.shares;
        withdrawals++;
    }

    function slash(uint256 operatorSeed, uint256 slashWad) public {
        address operator = _operator(operatorSeed);
        // Every eighth takes all; the others rarely spend an operator.
        slashWad = slashWad % 8 == 0 ? 1e18 : bound(slashWad, 1, 0.3e18);

        uint256 pool = poolOf(operator);
        vm.prank(SLASHER);
        uint256 amount = STAKING.slash(operator, slashWad);
        assertLe(amount, pool, "never more than the pool");

        books[operator].slashed += amount;
    }

    function addFees(uint256 operatorSeed, uint256 amount) public {
        address operator = _operator(operatorSeed);
        amount = bound(amount, 1, 1e24);

        _fund(address(this), amount);
        STAKING.addFees{value: amount}(operator);

        books[operator].feesAdded += amount;
    }

    function claimFees(uint256 actorSeed, uint256 operatorSeed) public {
        address actor = _actor(actorSeed);
        address operator = _operator(operatorSeed);
        uint256 owed = STAKING.feesOf(operator, actor);
        if (owed == 0) return;

        uint256 before = actor.balance;
        vm.prank(actor);
        uint256 amount = STAKING.claimFees(operator);
        assertEq(amount, owed, "claimed what was shown");
        assertEq(actor.balance, before + amount, "paid what was returned");

        books[operator].feesClaimed += amount;
    }

    function wait(uint256 duration) public {
        skip(bound(duration, 1, 2 * STAKING.unbondingPeriod()));
    }

    /* EVERYBODY LEAVES */

    /// @dev Fees of operators without stake need a staker to reach anyone, so one joins.
    function unwind() external {
        _withdrawAll();
        for (uint256 i = 0; i < operators.length; i++) {
            if (STAKING.stakeOf(operators[i]) == 0) stake(0, i, 1 ether);
        }
        skip(STAKING.unbondingPeriod());
        for (uint256 i = 0; i < operators.length; i++) {
            for (uint256 j = 0; j < actors.length; j++) {
                claimFees(j, i);
                unbond(j, i, type(uint256).max);
            }
        }
        _withdrawAll();
    }

    /* BOOKS */

    function booksOf(address operator) external view returns (Books memory) {
        return books[operator];
    }

    /// @notice Stake that the operator's pool must hold.
    function poolOf(address operator) public view returns (uint256) {
        Books storage entry = books[operator];
        return entry.staked - entry.withdrawn - entry.slashed;
    }

    /// @notice Fees of the operator's stakers that Staking must hold.
    function feesHeldFor(address operator) public view returns (uint256) {
        return books[operator].feesAdded - books[operator].feesClaimed;
    }

    /// @notice Whether the operator still sells shares for `amount`.
    function sells(address operator, uint256 amount) public view returns (bool) {
        uint256 shares = books[operator].shares;
        return shares + Math.mulDiv(amount, shares + 1e6, poolOf(operator) + 1) <= type(uint128).max;
    }

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    function operatorCount() external view returns (uint256) {
        return operators.length;
    }

    function _withdrawAll() private {
        skip(STAKING.unbondingPeriod());
        while (unbondIds.length != 0) {
            withdraw(0);
        }
    }

    function _fund(address account, uint256 amount) private {
        vm.deal(account, account.balance + amount);
    }

    function _isOperator(address account) private view returns (bool) {
        for (uint256 i = 0; i < operators.length; i++) {
            if (operators[i] == account) return true;
        }
        return false;
    }

    function _actor(uint256 seed) private view returns (address) {
        return actors[seed % actors.length];
    }

    function _operator(uint256 seed) private view returns (address) {
        return operators[seed % operators.length];
    }
}
