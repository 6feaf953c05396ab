// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {StakingHandler} from "./StakingHandler.sol";

contract StakingInvariantTest is Test {
    address internal immutable SLASHER = makeAddr("slasher");
    address internal immutable TREASURY = makeAddr("treasury");

    Staking internal staking;
    StakingHandler internal handler;

    function setUp() public {
        vm.warp(1_800_000_000);
        EarnerRegistry earners = new EarnerRegistry(address(this), TREASURY);
        staking = new Staking(address(this), earners, 1000 ether, 7 days);
        earners.setStaking(address(staking));
        staking.setSlasher(SLASHER, true);
        handler = new StakingHandler(staking, SLASHER);

        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = StakingHandler.register.selector;
        selectors[1] = StakingHandler.stake.selector;
        selectors[2] = StakingHandler.unbond.selector;
        selectors[3] = StakingHandler.withdraw.selector;
        selectors[4] = StakingHandler.slash.selector;
        selectors[5] = StakingHandler.addFees.selector;
        selectors[6] = StakingHandler.claimFees.selector;
        selectors[7] = StakingHandler.wait.selector;
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
        targetContract(address(handler));
    }

    function invariant_balanceIsStakeAndFeesToTheWei() public view {
        uint256 held = 0;
        for (uint256 i = 0; i < handler.operatorCount(); i++) {
            held += handler.poolOf(handler.operators(i)) + handler.feesHeldFor(handler.operators(i));
        }

        assertEq(address(staking).balance, held, "balance");
    }

    function invariant_stakeNeverExceedsItsPool() public view {
        for (uint256 i = 0; i < handler.operatorCount(); i++) {
            address operator = handler.operators(i);
            uint256 stakes = 0;
            for (uint256 j = 0; j < handler.actorCount(); j++) {
                stakes += staking.stakeOf(operator, handler.actors(j));
            }

            assertLe(stakes, staking.stakeOf(operator), "stakers against bonded stake");
            assertLe(staking.stakeOf(operator), handler.poolOf(operator), "bonded stake against the pool");
        }
    }

    function invariant_feesNeverExceedWhatWasAdded() public view {
        for (uint256 i = 0; i < handler.operatorCount(); i++) {
            address operator = handler.operators(i);
            uint256 fees = 0;
            for (uint256 j = 0; j < handler.actorCount(); j++) {
                fees += staking.feesOf(operator, handler.actors(j));
            }

            assertLe(fees, handler.feesHeldFor(operator), "fees");
        }
    }

    function invariant_slashingNeverExceedsStake() public view {
        uint256 slashed = 0;
        for (uint256 i = 0; i < handler.operatorCount(); i++) {
            StakingHandler.Books memory books = handler.booksOf(handler.operators(i));
            assertLe(books.slashed, books.staked - books.withdrawn, "slashed");
            slashed += books.slashed;
        }

        assertEq(SLASHER.balance, slashed, "all of it went to the slasher");
    }

    function invariant_activeMeansEnoughOwnStake() public view {
        for (uint256 i = 0; i < handler.actorCount(); i++) {
            address actor = handler.actors(i);

            assertEq(staking.isActive(actor), staking.stakeOf(actor, actor) >= staking.minStake(), "active");
        }
    }

    /// @dev After everyone has left, rounding has kept less than a wei per payment.
    function afterInvariant() public {
        handler.unwind();

        invariant_balanceIsStakeAndFeesToTheWei();
        uint256 payments = handler.withdrawals() + handler.operatorCount() * (handler.actorCount() + 1);
        assertLe(address(staking).balance, payments, "dust");
    }
}
