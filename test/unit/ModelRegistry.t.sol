// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Test} from "forge-std/Test.sol";

import {IDatanetRegistry} from "../../contracts/interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {DatanetRegistry} from "../../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {ModelRegistry} from "../../contracts/registry/ModelRegistry.sol";
import {DatanetId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";

contract ModelRegistryTest is Test {
    address internal immutable ALICE = makeAddr("alice");
    address internal immutable BOB = makeAddr("bob");
    address internal immutable EVE = makeAddr("eve");
    bytes32 internal constant WEIGHTS = keccak256("weights");
    bytes32 internal constant ADAPTER = keccak256("adapter");
    bytes32 internal constant INDEX_ROOT = keccak256("index root");
    bytes32 internal constant INDEX = keccak256("index");

    EarnerRegistry internal earners;
    DatanetRegistry internal datanets;
    ModelRegistry internal registry;
    DatanetId internal datanet;
    ModelId internal base;

    function setUp() public {
        earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        datanets = new DatanetRegistry();
        registry = new ModelRegistry(earners, datanets);
        datanet = datanets.create("law", "MIT", 0);
        datanets.publish(datanet, keccak256("rows"), 3);
        vm.prank(ALICE);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        vm.prank(BOB);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        vm.prank(ALICE);
        base = registry.registerBase(WEIGHTS, "tiny", _price(1));
    }

    function test_registerBase_storesTheModel() public view {
        IModelRegistry.Model memory model = registry.modelOf(base);

        assertTrue(model.base == ModelId.wrap(0), "base");
        assertEq(model.contentHash, WEIGHTS, "content");
        assertEq(model.indexRoot, 0, "index root");
        assertEq(model.indexHash, 0, "index hash");
        assertEq(model.priceVersion, 1, "price version");
        assertEq(model.name, "tiny", "name");
        assertEq(registry.ownerOf(uint256(ModelId.unwrap(base))), ALICE, "owner");
        assertEq(registry.datanetsOf(base).length, 0, "datanets");
        assertEq(registry.lineageOf(base).length, 0, "lineage");
        assertTrue(registry.modelOfContent(WEIGHTS) == base, "model of content");
    }

    function test_registerBase_derivesTheIdAndEmits() public {
        bytes32 content = keccak256("more weights");
        ModelId expected = ModelId.wrap(keccak256(abi.encode(block.chainid, address(registry), bytes32(0), content)));

        vm.expectEmit(address(registry));
        emit IERC721.Transfer(address(0), BOB, uint256(ModelId.unwrap(expected)));
        vm.expectEmit(address(registry));
        emit IModelRegistry.ModelRegistered(expected, ModelId.wrap(0), BOB, content, "tiny 2");
        vm.expectEmit(address(registry));
        emit IModelRegistry.PriceSet(expected, 1, _price(5));
        vm.prank(BOB);
        ModelId model = registry.registerBase(content, "tiny 2", _price(5));
        vm.snapshotGasLastCall("ModelRegistry", "registerBase");

        assertTrue(model == expected, "id");
        assertTrue(registry.modelIdOf(ModelId.wrap(0), content) == expected, "view");
    }

    function test_registerBase_reverts_whenContentHashIsEmpty() public {
        vm.expectRevert(IModelRegistry.EmptyContentHash.selector);
        vm.prank(ALICE);
        registry.registerBase(0, "tiny", _price(1));
    }

    function test_registerBase_reverts_whenContentExists() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.DuplicateContent.selector, WEIGHTS));
        vm.prank(BOB);
        registry.registerBase(WEIGHTS, "tiny", _price(1));
    }

    function test_registerBase_reverts_whenNameIsTooLong() public {
        vm.startPrank(ALICE);
        registry.registerBase(keccak256("longest"), string(new bytes(256)), _price(1));

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NameTooLong.selector, 257, 256));
        registry.registerBase(keccak256("too long"), string(new bytes(257)), _price(1));
    }

    function test_registerBase_reverts_whenOwnerIsNotRegistered() public {
        vm.prank(EVE);
        earners.register(IEarnerRegistry.Role.Contributor);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.OwnerNotRegistered.selector, EVE));
        vm.prank(EVE);
        registry.registerBase(keccak256("weights of eve"), "tiny", _price(1));
    }

    function test_registerBase_reverts_whenPriceIsTooHigh() public {
        IModelRegistry.Price[3] memory prices = [
            IModelRegistry.Price({inputRate: 1e15 + 1, outputRate: 0, platformFee: 0}),
            IModelRegistry.Price({inputRate: 0, outputRate: 1e15 + 1, platformFee: 0}),
            IModelRegistry.Price({inputRate: 0, outputRate: 0, platformFee: 1e15 + 1})
        ];
        for (uint256 i = 0; i < prices.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.PriceTooHigh.selector, 1e15 + 1, 1e15));
            vm.prank(ALICE);
            registry.registerBase(keccak256("dear weights"), "dear", prices[i]);
        }
    }

    function test_registerAdapter_storesTheModelAndItsIndex() public {
        IModelRegistry.DatanetVersion[] memory versions = _versions(1);
        ModelId expected = registry.modelIdOf(base, ADAPTER);

        vm.expectEmit(address(registry));
        emit IModelRegistry.ModelRegistered(expected, base, BOB, ADAPTER, "lawyer");
        vm.expectEmit(address(registry));
        emit IModelRegistry.IndexRegistered(expected, INDEX_ROOT, INDEX, versions);
        vm.prank(BOB);
        ModelId adapter = registry.registerAdapter(base, ADAPTER, INDEX_ROOT, INDEX, versions, "lawyer", _price(9));
        vm.snapshotGasLastCall("ModelRegistry", "registerAdapter");

        assertTrue(adapter == expected, "id");
        IModelRegistry.Model memory model = registry.modelOf(adapter);
        assertTrue(model.base == base, "base");
        assertEq(model.indexRoot, INDEX_ROOT, "index root");
        assertEq(model.indexHash, INDEX, "index hash");
        assertEq(registry.datanetsOf(adapter).length, 1, "datanets");
        assertTrue(registry.datanetsOf(adapter)[0].datanet == datanet, "datanet");
        assertEq(registry.datanetsOf(adapter)[0].version, 1, "version");
        assertEq(registry.lineageOf(adapter).length, 1, "lineage");
        assertTrue(registry.lineageOf(adapter)[0] == base, "parent");
        assertEq(registry.priceAt(adapter, 1).inputRate, 9, "price");
    }

    function test_registerAdapter_acceptsSixteenDatanets() public {
        ModelId adapter = _registerAdapter(ADAPTER, 16);

        assertEq(registry.datanetsOf(adapter).length, 16, "datanets");
    }

    function test_registerAdapter_reverts_whenTooManyDatanets() public {
        IModelRegistry.DatanetVersion[] memory versions = _versions(17);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.TooManyDatanets.selector, 17));
        vm.prank(BOB);
        registry.registerAdapter(base, ADAPTER, INDEX_ROOT, INDEX, versions, "lawyer", _price(1));
    }

    function test_registerAdapter_reverts_whenNoDatanets() public {
        vm.expectRevert(IModelRegistry.NoDatanets.selector);
        vm.prank(BOB);
        registry.registerAdapter(base, ADAPTER, INDEX_ROOT, INDEX, _versions(0), "lawyer", _price(1));
    }

    function test_registerAdapter_reverts_whenDatanetVersionIsUnknown() public {
        IModelRegistry.DatanetVersion[] memory versions = _versions(2);

        versions[1].version = 2;
        vm.expectRevert(abi.encodeWithSelector(IDatanetRegistry.UnknownVersion.selector, datanet, 2));
        vm.prank(BOB);
        registry.registerAdapter(base, ADAPTER, INDEX_ROOT, INDEX, versions, "lawyer", _price(1));

        versions[1].datanet = DatanetId.wrap(keccak256("unknown"));
        vm.expectRevert(
            abi.encodeWithSelector(IDatanetRegistry.UnknownDatanet.selector, DatanetId.wrap(keccak256("unknown")))
        );
        vm.prank(BOB);
        registry.registerAdapter(base, ADAPTER, INDEX_ROOT, INDEX, versions, "lawyer", _price(1));
    }

    function test_registerAdapter_reverts_whenIndexIsMissing() public {
        vm.startPrank(BOB);
        vm.expectRevert(IModelRegistry.NoIndex.selector);
        registry.registerAdapter(base, ADAPTER, 0, INDEX, _versions(1), "lawyer", _price(1));
        vm.expectRevert(IModelRegistry.NoIndex.selector);
        registry.registerAdapter(base, ADAPTER, INDEX_ROOT, 0, _versions(1), "lawyer", _price(1));
    }

    function test_registerAdapter_reverts_whenBaseIsUnknown() public {
        ModelId[2] memory unknown = [ModelId.wrap(0), ModelId.wrap(keccak256("unknown"))];
        for (uint256 i = 0; i < unknown.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, unknown[i]));
            vm.prank(BOB);
            registry.registerAdapter(unknown[i], ADAPTER, INDEX_ROOT, INDEX, _versions(1), "lawyer", _price(1));
        }
    }

    function test_registerAdapter_reverts_whenBaseIsAnAdapter() public {
        ModelId adapter = _registerAdapter(ADAPTER, 1);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotABase.selector, adapter));
        vm.prank(BOB);
        registry.registerAdapter(adapter, keccak256("second"), INDEX_ROOT, INDEX, _versions(1), "lawyer", _price(1));
    }

    function test_registerAdapter_reverts_whenContentExistsUnderAnotherBase() public {
        _registerAdapter(ADAPTER, 1);
        vm.startPrank(ALICE);
        ModelId copy = registry.registerBase(keccak256("another base"), "copy", _price(1));

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.DuplicateContent.selector, ADAPTER));
        registry.registerAdapter(copy, ADAPTER, INDEX_ROOT, INDEX, _versions(1), "lawyer", _price(1));
    }

    function test_setPrice_addsAVersionAndKeepsTheOldOnes() public {
        vm.expectEmit(address(registry));
        emit IModelRegistry.PriceSet(base, 2, _price(2));
        vm.prank(ALICE);
        uint32 priceVersion = registry.setPrice(base, _price(2));
        vm.snapshotGasLastCall("ModelRegistry", "setPrice");

        assertEq(priceVersion, 2, "version");
        assertEq(registry.modelOf(base).priceVersion, 2, "newest");
        assertEq(registry.priceAt(base, 1).outputRate, 2, "first price");
        assertEq(registry.priceAt(base, 2).outputRate, 4, "second price");
    }

    function test_setPrice_acceptsTheHighestAndAFreeModel() public {
        vm.startPrank(ALICE);
        registry.setPrice(base, IModelRegistry.Price({inputRate: 1e15, outputRate: 1e15, platformFee: 1e15}));
        registry.setPrice(base, IModelRegistry.Price({inputRate: 0, outputRate: 0, platformFee: 0}));
    }

    function test_setPrice_reverts_whenPriceIsTooHigh() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.PriceTooHigh.selector, type(uint64).max, 1e15));
        vm.prank(ALICE);
        registry.setPrice(base, IModelRegistry.Price({inputRate: 0, outputRate: type(uint64).max, platformFee: 0}));
    }

    function test_setPrice_reverts_whenCallerIsNotOwner() public {
        vm.prank(ALICE);
        registry.setApprovalForAll(BOB, true);

        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, base, BOB));
        vm.prank(BOB);
        registry.setPrice(base, _price(1));
    }

    function test_setPrice_reverts_whenModelIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, ModelId.wrap(0)));
        registry.setPrice(ModelId.wrap(0), _price(1));
    }

    function test_priceAt_reverts_whenVersionIsUnknown() public {
        uint32[2] memory unknown = [uint32(0), 2];
        for (uint256 i = 0; i < unknown.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownPriceVersion.selector, base, unknown[i]));
            registry.priceAt(base, unknown[i]);
        }
    }

    function test_views_revert_whenModelIsUnknown() public {
        ModelId unknown = ModelId.wrap(keccak256("unknown"));
        bytes memory expected = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, unknown);

        vm.expectRevert(expected);
        registry.modelOf(unknown);
        vm.expectRevert(expected);
        registry.datanetsOf(unknown);
        vm.expectRevert(expected);
        registry.priceAt(unknown, 1);
        vm.expectRevert(expected);
        registry.ownerEarnerOf(unknown);
        vm.expectRevert(expected);
        registry.ownerEarnerAt(unknown, 0);
        vm.expectRevert(expected);
        registry.lineageOf(unknown);
    }

    function test_transferFrom_movesTheModelShare() public {
        assertTrue(registry.ownerEarnerOf(base) == earners.earnerOf(ALICE, IEarnerRegistry.Role.ModelOwner), "alice");

        vm.prank(ALICE);
        registry.transferFrom(ALICE, BOB, uint256(ModelId.unwrap(base)));

        EarnerIndex earner = registry.ownerEarnerOf(base);
        assertTrue(earner == earners.earnerOf(BOB, IEarnerRegistry.Role.ModelOwner), "bob");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, base, ALICE));
        vm.prank(ALICE);
        registry.setPrice(base, _price(1));
    }

    function test_ownerEarnerAt_isTheFirstOwnerFromTheStart() public view {
        uint64[3] memory times = [0, uint64(block.timestamp), type(uint64).max];
        for (uint256 i = 0; i < times.length; i++) {
            assertTrue(registry.ownerEarnerAt(base, times[i]) == _earnerOf(ALICE));
        }
    }

    function test_ownerEarnerAt_changesAnHourAfterATransfer() public {
        vm.warp(1_800_000_000);
        uint64 notice = registry.OWNER_NOTICE();
        assertEq(notice, 1 hours);
        _transfer(ALICE, BOB);

        assertTrue(registry.ownerEarnerAt(base, 1_800_000_000) == _earnerOf(ALICE), "at the transfer");
        assertTrue(registry.ownerEarnerAt(base, 1_800_000_000 + notice - 1) == _earnerOf(ALICE), "within the notice");
        assertTrue(registry.ownerEarnerAt(base, 1_800_000_000 + notice) == _earnerOf(BOB), "after it");
        assertTrue(registry.ownerEarnerAt(base, type(uint64).max) == _earnerOf(BOB), "for ever");
        assertTrue(registry.ownerEarnerOf(base) == _earnerOf(BOB), "the token's owner at once");
    }

    function test_ownerEarnerAt_takesTheLastTransferOfABlock() public {
        _transfer(ALICE, BOB);
        _transfer(BOB, ALICE);

        assertTrue(registry.ownerEarnerAt(base, type(uint64).max) == _earnerOf(ALICE));
    }

    /// @dev Transfers at any times, against a search through all of them; what is past never changes.
    function testFuzz_ownerEarnerAt_findsTheOwnerOfTheTime(uint32[6] memory waits, uint64 time) public {
        vm.warp(1_800_000_000);
        time = uint64(bound(time, 1_799_999_000, 1_800_200_000));
        address[2] memory owners = [ALICE, BOB];
        EarnerIndex expected = _earnerOf(ALICE);
        for (uint256 i = 0; i < waits.length; i++) {
            bool past = time <= block.timestamp;
            EarnerIndex before = registry.ownerEarnerAt(base, time);
            skip(bound(waits[i], 0, 30_000));
            _transfer(owners[i % 2], owners[1 - i % 2]);
            if (block.timestamp + 1 hours <= time) expected = _earnerOf(owners[1 - i % 2]);
            if (past) assertTrue(registry.ownerEarnerAt(base, time) == before, "past");
        }

        assertTrue(registry.ownerEarnerAt(base, time) == expected);
    }

    function test_transferFrom_reverts_whenReceiverIsNotRegistered() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.OwnerNotRegistered.selector, EVE));
        vm.prank(ALICE);
        registry.transferFrom(ALICE, EVE, uint256(ModelId.unwrap(base)));
    }

    function _transfer(address from, address to) private {
        vm.prank(from);
        registry.transferFrom(from, to, uint256(ModelId.unwrap(base)));
    }

    function _earnerOf(address account) private view returns (EarnerIndex) {
        return earners.earnerOf(account, IEarnerRegistry.Role.ModelOwner);
    }

    function _registerAdapter(bytes32 contentHash, uint256 count) private returns (ModelId) {
        IModelRegistry.DatanetVersion[] memory versions = _versions(count);
        vm.prank(BOB);
        return registry.registerAdapter(base, contentHash, INDEX_ROOT, INDEX, versions, "lawyer", _price(1));
    }

    function _versions(uint256 count) private view returns (IModelRegistry.DatanetVersion[] memory versions) {
        versions = new IModelRegistry.DatanetVersion[](count);
        for (uint256 i = 0; i < count; i++) {
            versions[i] = IModelRegistry.DatanetVersion({datanet: datanet, version: 1});
        }
    }

    function _price(uint64 rate) private pure returns (IModelRegistry.Price memory) {
        return IModelRegistry.Price({inputRate: rate, outputRate: 2 * rate, platformFee: 3 * rate});
    }
}
