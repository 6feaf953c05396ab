// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IModelMixes} from "../../contracts/interfaces/IModelMixes.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {DatanetRegistry} from "../../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {ModelMixes} from "../../contracts/registry/ModelMixes.sol";
import {ModelRegistry} from "../../contracts/registry/ModelRegistry.sol";
import {DatanetId, ModelId} from "../../contracts/types/Ids.sol";
import {Test} from "forge-std/Test.sol";

contract ModelMixesTest is Test {
    uint64 private constant START = 1_800_000_000;

    ModelRegistry private models;
    ModelMixes private mixes;
    ModelId private base;
    ModelId private adapter;
    bytes31 private leading;

    function setUp() public {
        vm.warp(START);
        EarnerRegistry earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        earners.register(IEarnerRegistry.Role.ModelOwner);
        DatanetRegistry datanets = new DatanetRegistry();
        DatanetId datanet = datanets.create("datanet", "licence", 0);
        datanets.publish(datanet, keccak256("rows"), 100);
        models = new ModelRegistry(earners, datanets);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        base = models.registerBase("base", "base", IModelRegistry.Price(1, 1, 1));
        adapter = models.registerAdapter(
            base, "adapter", "root", "index", versions, "adapter", IModelRegistry.Price(1, 1, 1)
        );
        leading = bytes31(ModelId.unwrap(adapter));
        mixes = new ModelMixes(models);
    }

    function test_mixAt_isZeroForAModelWithoutOne() public view {
        _expect(START, 0, 0);
        _expect(type(uint64).max, 0, 0);
    }

    function test_setMix_holdsForCallsSignedAfterTheNotice() public {
        vm.expectEmit(address(mixes));
        emit IModelMixes.MixSet(adapter, 3000, 2001, START + 1 hours);
        mixes.setMix(adapter, IModelMixes.Mix(3000, 2001));
        _expect(START + 1 hours - 1, 0, 0);
        _expect(START + 1 hours, 3000, 2001);
        _expect(type(uint64).max, 3000, 2001);

        vm.warp(START + 2 hours);
        mixes.setMix(adapter, IModelMixes.Mix(0, 10_000));
        _expect(START + 3 hours - 1, 3000, 2001);
        _expect(START + 3 hours, 0, 10_000);
    }

    function testFuzz_mixAt_neverChangesWhatIsPast(uint16[4] calldata bps, uint32[4] calldata waits) public {
        uint64[4] memory times;
        uint64 now_ = START;
        for (uint256 i; i < 4; ++i) {
            now_ += waits[i];
            vm.warp(now_);
            mixes.setMix(adapter, IModelMixes.Mix(bps[i] % 10_001, 0));
            times[i] = now_ + 1 hours;
        }
        for (uint256 i; i < 4; ++i) {
            // The last one set for this time or before.
            uint256 last = i;
            while (last < 3 && times[last + 1] == times[i]) ++last;
            _expect(times[i], bps[last] % 10_001, 0);
        }
    }

    function test_setMix_reverts_forAnybodyElse() public {
        vm.prank(makeAddr("somebody"));
        vm.expectRevert(abi.encodeWithSelector(IModelMixes.NotModelOwner.selector, adapter, makeAddr("somebody")));
        mixes.setMix(adapter, IModelMixes.Mix(1, 1));
    }

    function test_setMix_reverts_forMoreThanTheWhole() public {
        vm.expectRevert(abi.encodeWithSelector(IModelMixes.MixTooLarge.selector, 10_001));
        mixes.setMix(adapter, IModelMixes.Mix(5000, 5001));
        mixes.setMix(adapter, IModelMixes.Mix(5000, 5000));
    }

    function test_setMix_reverts_forABaseOrUnknownModel() public {
        vm.expectRevert(abi.encodeWithSelector(IModelMixes.NoContributors.selector, base));
        mixes.setMix(base, IModelMixes.Mix(1, 1));
        ModelId unknown = ModelId.wrap("unknown");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, unknown));
        mixes.setMix(unknown, IModelMixes.Mix(1, 1));
    }

    function _expect(uint64 time, uint256 spans, uint256 citations) private view {
        IModelMixes.Mix memory mix = mixes.mixAt(leading, time);
        assertEq(mix.spansBps, spans);
        assertEq(mix.citationsBps, citations);
    }
}
