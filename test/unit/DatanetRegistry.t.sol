// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {IDatanetRegistry} from "../../contracts/interfaces/IDatanetRegistry.sol";
import {MerkleLeaves} from "../../contracts/libraries/MerkleLeaves.sol";
import {DatanetRegistry} from "../../contracts/registry/DatanetRegistry.sol";
import {DatanetId} from "../../contracts/types/Ids.sol";

contract DatanetRegistryTest is Test {
    address internal immutable ALICE = makeAddr("alice");
    address internal immutable BOB = makeAddr("bob");
    bytes32 internal constant ROOT = keccak256("root");
    bytes32 internal constant METADATA = keccak256("metadata");

    DatanetRegistry internal registry;
    DatanetId internal datanet;

    function setUp() public {
        vm.warp(1_800_000_000);
        registry = new DatanetRegistry();
        vm.prank(ALICE);
        datanet = registry.create("law", "CC-BY-4.0", METADATA);
    }

    function test_create_storesTheDatanet() public view {
        IDatanetRegistry.Datanet memory stored = registry.datanetOf(datanet);

        assertEq(stored.owner, ALICE, "owner");
        assertEq(stored.versions, 0, "versions");
        assertEq(stored.metadataHash, METADATA, "metadata");
        assertEq(stored.name, "law", "name");
        assertEq(stored.licence, "CC-BY-4.0", "licence");
    }

    function test_create_derivesTheIdFromOwnerAndName() public {
        bytes32 expected = keccak256(abi.encode(block.chainid, address(registry), BOB, "law"));

        vm.expectEmit(address(registry));
        emit IDatanetRegistry.DatanetCreated(DatanetId.wrap(expected), BOB, "law", "", 0);
        vm.prank(BOB);
        DatanetId created = registry.create("law", "", 0);
        vm.snapshotGasLastCall("DatanetRegistry", "create");

        assertEq(DatanetId.unwrap(created), expected, "id");
        assertTrue(registry.datanetIdOf(BOB, "law") == created, "view");
        assertFalse(created == datanet, "one name, two owners");
    }

    function test_create_reverts_whenNameIsEmpty() public {
        vm.expectRevert(IDatanetRegistry.EmptyName.selector);
        registry.create("", "MIT", METADATA);
    }

    function test_create_reverts_whenTextIsTooLong() public {
        string memory longest = string(new bytes(256));
        string memory tooLong = string(new bytes(257));
        registry.create(longest, longest, METADATA);

        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.TextTooLong.selector, 257, 256));
        registry.create(tooLong, "MIT", METADATA);
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.TextTooLong.selector, 257, 256));
        registry.create("name", tooLong, METADATA);
    }

    function test_create_reverts_whenItExists() public {
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.DatanetExists.selector, datanet));
        vm.prank(ALICE);
        registry.create("law", "MIT", 0);
    }

    function test_publish_countsVersionsFromOne() public {
        vm.startPrank(ALICE);
        vm.expectEmit(address(registry));
        emit IDatanetRegistry.VersionPublished(datanet, 1, ROOT, 7);
        uint32 first = registry.publish(datanet, ROOT, 7);
        vm.snapshotGasLastCall("DatanetRegistry", "publish");
        vm.warp(block.timestamp + 5);
        uint32 second = registry.publish(datanet, keccak256("another"), 8);

        assertEq(first, 1, "first");
        assertEq(second, 2, "second");
        assertEq(registry.datanetOf(datanet).versions, 2, "versions");
        IDatanetRegistry.Version memory stored = registry.versionOf(datanet, 1);
        assertEq(stored.rowsRoot, ROOT, "root");
        assertEq(stored.rowCount, 7, "rows");
        assertEq(stored.publishedAt, 1_800_000_000, "time");
        assertEq(registry.versionOf(datanet, 2).publishedAt, 1_800_000_005, "second time");
    }

    function test_publish_reverts_whenDatanetIsUnknown() public {
        DatanetId unknown = DatanetId.wrap(keccak256("unknown"));

        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownDatanet.selector, unknown));
        registry.publish(unknown, ROOT, 1);
    }

    function test_publish_reverts_whenCallerIsNotOwner() public {
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.NotDatanetOwner.selector, datanet, BOB));
        vm.prank(BOB);
        registry.publish(datanet, ROOT, 1);
    }

    function test_publish_reverts_whenVersionIsEmpty() public {
        vm.startPrank(ALICE);
        vm.expectRevert(IDatanetRegistry.EmptyVersion.selector);
        registry.publish(datanet, ROOT, 0);
        vm.expectRevert(IDatanetRegistry.EmptyVersion.selector);
        registry.publish(datanet, 0, 1);
    }

    function test_datanetOf_reverts_whenUnknown() public {
        DatanetId unknown = DatanetId.wrap(keccak256("unknown"));

        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownDatanet.selector, unknown));
        registry.datanetOf(unknown);
    }

    function test_versionOf_reverts_whenUnknown() public {
        vm.prank(ALICE);
        registry.publish(datanet, ROOT, 1);

        uint32[2] memory unknown = [uint32(0), 2];
        for (uint256 i = 0; i < unknown.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownVersion.selector, datanet, unknown[i]));
            registry.versionOf(datanet, unknown[i]);
        }

        DatanetId absent = DatanetId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownDatanet.selector, absent));
        registry.versionOf(absent, 1);
    }

    function test_contains_findsTheOnlyRow() public {
        IDatanetRegistry.Row memory row = _row(0);
        _publish(_leaf(row), 1);

        assertTrue(registry.contains(datanet, 1, row, new bytes32[](0)), "row");
    }

    function test_contains_rejectsAnyOtherField() public {
        _publish(_leaf(_row(0)), 1);
        bytes32[] memory proof = new bytes32[](0);

        IDatanetRegistry.Row memory row = _row(0);
        row.rowHash = keccak256("other");
        assertFalse(registry.contains(datanet, 1, row, proof), "row hash");
        row = _row(0);
        row.contributor = BOB;
        assertFalse(registry.contains(datanet, 1, row, proof), "contributor");
        row = _row(0);
        row.clusterHash = keccak256("other");
        assertFalse(registry.contains(datanet, 1, row, proof), "cluster");
        row = _row(1);
        assertFalse(registry.contains(datanet, 1, row, proof), "index");
        assertFalse(registry.contains(datanet, 1, _row(0), new bytes32[](1)), "proof");
    }

    function test_contains_rejectsARowPastTheCount() public {
        IDatanetRegistry.Row memory row = _row(1);
        _publish(_leaf(row), 1);

        assertFalse(registry.contains(datanet, 1, row, new bytes32[](0)), "row 1 of 1");
    }

    function test_contains_reverts_whenUnknown() public {
        IDatanetRegistry.Row memory row = _row(0);

        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownVersion.selector, datanet, 1));
        registry.contains(datanet, 1, row, new bytes32[](0));
        DatanetId absent = DatanetId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownDatanet.selector, absent));
        registry.contains(absent, 1, row, new bytes32[](0));
    }

    function _publish(bytes32 root, uint32 rowCount) private {
        vm.prank(ALICE);
        registry.publish(datanet, root, rowCount);
    }

    function _row(uint64 index) private view returns (IDatanetRegistry.Row memory) {
        return IDatanetRegistry.Row({
            index: index, rowHash: keccak256("row"), contributor: ALICE, clusterHash: keccak256("row")
        });
    }

    function _leaf(IDatanetRegistry.Row memory row) private pure returns (bytes32) {
        return MerkleLeaves.rowLeaf(row.index, row.rowHash, row.contributor, row.clusterHash);
    }
}
