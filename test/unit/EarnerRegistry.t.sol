// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Test} from "forge-std/Test.sol";

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {EarnerIndex} from "../../contracts/types/Ids.sol";

contract EarnerRegistryTest is Test {
    address internal immutable OWNER = makeAddr("owner");
    address internal immutable TREASURY = makeAddr("treasury");
    address internal immutable STAKING = makeAddr("staking");
    address internal immutable ALICE = makeAddr("alice");
    address internal immutable BOB = makeAddr("bob");

    EarnerRegistry internal registry;

    function setUp() public {
        registry = new EarnerRegistry(OWNER, TREASURY);
        vm.prank(OWNER);
        registry.setStaking(STAKING);
    }

    function test_constructor_registersTheTreasuryAsFirst() public {
        vm.expectEmit();
        emit IEarnerRegistry.EarnerRegistered(EarnerIndex.wrap(1), TREASURY, IEarnerRegistry.Role.Treasury);
        EarnerRegistry fresh = new EarnerRegistry(OWNER, TREASURY);

        (address account, IEarnerRegistry.Role role) = fresh.accountOf(EarnerIndex.wrap(1));
        assertEq(account, TREASURY, "account");
        assertEq(uint8(role), uint8(IEarnerRegistry.Role.Treasury), "role");
        assertEq(fresh.earnerCount(), 1, "count");
        assertEq(fresh.staking(), address(0), "staking");
    }

    function test_constructor_reverts_whenTheTreasuryIsZero() public {
        vm.expectRevert(IEarnerRegistry.ZeroAddress.selector);
        new EarnerRegistry(OWNER, address(0));
    }

    function test_roles_haveTheAgreedNumbers() public pure {
        assertEq(uint8(IEarnerRegistry.Role.None), 0, "none");
        assertEq(uint8(IEarnerRegistry.Role.Treasury), 1, "treasury");
        assertEq(uint8(IEarnerRegistry.Role.Contributor), 2, "contributor");
        assertEq(uint8(IEarnerRegistry.Role.ModelOwner), 3, "model owner");
        assertEq(uint8(IEarnerRegistry.Role.Stakers), 4, "stakers");
    }

    function test_register_givesTheNextIndex() public {
        vm.expectEmit(address(registry));
        emit IEarnerRegistry.EarnerRegistered(EarnerIndex.wrap(2), ALICE, IEarnerRegistry.Role.Contributor);
        vm.prank(ALICE);
        EarnerIndex first = registry.register(IEarnerRegistry.Role.Contributor);
        vm.snapshotGasLastCall("EarnerRegistry", "register");
        vm.prank(BOB);
        EarnerIndex second = registry.register(IEarnerRegistry.Role.ModelOwner);

        assertEq(EarnerIndex.unwrap(first), 2, "first");
        assertEq(EarnerIndex.unwrap(second), 3, "second");
        assertEq(registry.earnerCount(), 3, "count");
        assertTrue(registry.earnerOf(ALICE, IEarnerRegistry.Role.Contributor) == first, "index of alice");
        (address account, IEarnerRegistry.Role role) = registry.accountOf(second);
        assertEq(account, BOB, "account");
        assertEq(uint8(role), uint8(IEarnerRegistry.Role.ModelOwner), "role");
    }

    function test_register_keepsRolesOfOneAccountApart() public {
        vm.startPrank(ALICE);
        EarnerIndex contributor = registry.register(IEarnerRegistry.Role.Contributor);
        EarnerIndex modelOwner = registry.register(IEarnerRegistry.Role.ModelOwner);

        assertFalse(contributor == modelOwner, "indices");
        assertTrue(registry.earnerOf(ALICE, IEarnerRegistry.Role.Contributor) == contributor, "contributor");
        assertTrue(registry.earnerOf(ALICE, IEarnerRegistry.Role.ModelOwner) == modelOwner, "model owner");
        assertEq(EarnerIndex.unwrap(registry.earnerOf(ALICE, IEarnerRegistry.Role.Stakers)), 0, "stakers");
    }

    function test_register_reverts_whenRoleIsNotOpen() public {
        IEarnerRegistry.Role[3] memory closed =
            [IEarnerRegistry.Role.None, IEarnerRegistry.Role.Treasury, IEarnerRegistry.Role.Stakers];
        for (uint256 i = 0; i < closed.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.RoleNotOpen.selector, closed[i]));
            registry.register(closed[i]);
        }
    }

    function test_register_reverts_whenAlreadyRegistered() public {
        vm.startPrank(ALICE);
        registry.register(IEarnerRegistry.Role.Contributor);

        vm.expectRevert(
            abi.encodeWithSelector(IEarnerRegistry.AlreadyRegistered.selector, ALICE, IEarnerRegistry.Role.Contributor)
        );
        registry.register(IEarnerRegistry.Role.Contributor);
    }

    function test_registerStakers_registersTheOperator() public {
        vm.prank(STAKING);
        EarnerIndex earner = registry.registerStakers(ALICE);

        (address account, IEarnerRegistry.Role role) = registry.accountOf(earner);
        assertEq(account, ALICE, "account");
        assertEq(uint8(role), uint8(IEarnerRegistry.Role.Stakers), "role");
    }

    function test_registerStakers_reverts_whenCallerIsNotStaking() public {
        vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.NotStaking.selector, ALICE));
        vm.prank(ALICE);
        registry.registerStakers(ALICE);
    }

    function test_registerStakers_reverts_whenStakingIsNotSet() public {
        EarnerRegistry fresh = new EarnerRegistry(OWNER, TREASURY);

        vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.NotStaking.selector, STAKING));
        vm.prank(STAKING);
        fresh.registerStakers(ALICE);
    }

    function test_registerStakers_reverts_whenAlreadyRegistered() public {
        vm.startPrank(STAKING);
        registry.registerStakers(ALICE);

        vm.expectRevert(
            abi.encodeWithSelector(IEarnerRegistry.AlreadyRegistered.selector, ALICE, IEarnerRegistry.Role.Stakers)
        );
        registry.registerStakers(ALICE);
    }

    function test_setStaking_emitsAndStores() public {
        EarnerRegistry fresh = new EarnerRegistry(OWNER, TREASURY);

        vm.expectEmit(address(fresh));
        emit IEarnerRegistry.StakingSet(STAKING);
        vm.prank(OWNER);
        fresh.setStaking(STAKING);

        assertEq(fresh.staking(), STAKING, "staking");
    }

    function test_setStaking_reverts_whenCallerIsNotOwner() public {
        EarnerRegistry fresh = new EarnerRegistry(OWNER, TREASURY);

        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, ALICE));
        vm.prank(ALICE);
        fresh.setStaking(ALICE);
    }

    function test_setStaking_reverts_whenAlreadySet() public {
        vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.StakingAlreadySet.selector, STAKING));
        vm.prank(OWNER);
        registry.setStaking(ALICE);
    }

    function test_setStaking_reverts_whenZero() public {
        EarnerRegistry fresh = new EarnerRegistry(OWNER, TREASURY);

        vm.expectRevert(IEarnerRegistry.ZeroAddress.selector);
        vm.prank(OWNER);
        fresh.setStaking(address(0));
    }

    function test_accountOf_reverts_whenUnknown() public {
        uint32[3] memory unknown = [0, registry.earnerCount() + 1, type(uint32).max];
        for (uint256 i = 0; i < unknown.length; i++) {
            vm.expectRevert(
                abi.encodeWithSelector(IEarnerRegistry.UnknownEarner.selector, EarnerIndex.wrap(unknown[i]))
            );
            registry.accountOf(EarnerIndex.wrap(unknown[i]));
        }
    }

    function testFuzz_register_indicesAreDenseAndUnique(address[8] calldata accounts) public {
        for (uint256 i = 0; i < accounts.length; i++) {
            IEarnerRegistry.Role role =
                uint160(accounts[i]) % 2 == 0 ? IEarnerRegistry.Role.Contributor : IEarnerRegistry.Role.ModelOwner;
            if (EarnerIndex.unwrap(registry.earnerOf(accounts[i], role)) != 0) continue;
            vm.prank(accounts[i]);
            registry.register(role);
        }

        for (uint32 index = 1; index <= registry.earnerCount(); index++) {
            (address account, IEarnerRegistry.Role role) = registry.accountOf(EarnerIndex.wrap(index));
            assertEq(EarnerIndex.unwrap(registry.earnerOf(account, role)), index, "round trip");
        }
    }
}
