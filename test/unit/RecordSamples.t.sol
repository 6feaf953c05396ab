// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRecordSamples} from "../../contracts/interfaces/IRecordSamples.sol";
import {RecordSamples} from "../../contracts/settlement/RecordSamples.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

contract RecordSamplesTest is SettlementBase {
    RecordSamples internal samples;
    BatchId internal batch;

    function setUp() public override {
        super.setUp();
        samples = new RecordSamples(settlement);
        batch = _post(FIRST_EPOCH, _payouts(contributor, 1000));
        vm.roll(1000);
    }

    function _draw() internal returns (bytes32 seed) {
        samples.draw(batch);
        vm.roll(1009);
        vm.setBlockhash(1008, keccak256("block 1008"));
        return samples.draw(batch);
    }

    function test_draw_takesTheHashOfABlockFixedBefore() public {
        vm.expectEmit(address(samples));
        emit IRecordSamples.Scheduled(batch, 1008);
        assertEq(samples.draw(batch), 0);
        assertEq(samples.blockOf(batch), 1008);
        assertEq(samples.seedOf(batch), 0);

        vm.roll(1264);
        vm.setBlockhash(1008, keccak256("block 1008"));
        bytes32 seed = keccak256(abi.encode(keccak256("block 1008"), batch));
        vm.expectEmit(address(samples));
        emit IRecordSamples.Drawn(batch, seed);
        assertEq(samples.draw(batch), seed);
        assertEq(samples.seedOf(batch), seed);
    }

    function test_draw_schedulesAgainWhenTheHashIsGone() public {
        samples.draw(batch);
        vm.roll(1265);

        assertEq(samples.draw(batch), 0);
        assertEq(samples.blockOf(batch), 1273);
    }

    function test_draw_reverts_beforeItsBlockIsOver() public {
        samples.draw(batch);

        vm.roll(1008);
        vm.expectRevert(abi.encodeWithSelector(IRecordSamples.NotReady.selector, batch, 1008));
        samples.draw(batch);
    }

    function test_draw_reverts_whenDrawnAlready() public {
        _draw();

        vm.expectRevert(abi.encodeWithSelector(IRecordSamples.AlreadyDrawn.selector, batch));
        samples.draw(batch);
    }

    function test_draw_reverts_unlessTheBatchIsPosted() public {
        BatchId unknown = BatchId.wrap("unknown");
        vm.expectRevert(abi.encodeWithSelector(IRecordSamples.BatchNotPosted.selector, unknown));
        samples.draw(unknown);

        _strike(batch);
        vm.expectRevert(abi.encodeWithSelector(IRecordSamples.BatchNotPosted.selector, batch));
        samples.draw(batch);
    }

    function test_sampleOf_isTheAuditorsOwn() public {
        bytes32 seed = _draw();

        uint32[] memory mine = samples.sampleOf(batch, address(1), 1000, 20);
        uint32[] memory others = samples.sampleOf(batch, address(2), 1000, 20);

        assertEq(mine.length, 20);
        assertEq(mine[3], uint256(keccak256(abi.encode(seed, address(1), uint256(3)))) % 1000);
        assertNotEq(keccak256(abi.encode(mine)), keccak256(abi.encode(others)));
    }

    function testFuzz_sampleOf_namesRecordsOfTheBatch(uint32 records, address auditor) public {
        records = uint32(bound(records, 1, 1500));
        _draw();

        uint32[] memory ordinals = samples.sampleOf(batch, auditor, records, 50);
        for (uint256 i; i < ordinals.length; ++i) {
            assertLt(ordinals[i], records);
        }
    }

    function test_sampleOf_reverts_untilDrawn() public {
        samples.draw(batch);

        vm.expectRevert(abi.encodeWithSelector(IRecordSamples.NotDrawn.selector, batch));
        samples.sampleOf(batch, address(this), 10, 1);
    }

    function test_sampleOf_reverts_withoutRecords() public {
        _draw();

        vm.expectRevert(IRecordSamples.NoRecords.selector);
        samples.sampleOf(batch, address(this), 0, 1);
    }
}
