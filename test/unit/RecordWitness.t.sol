// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {RecordWitness} from "../../contracts/libraries/RecordWitness.sol";
import {ChannelId, ModelId} from "../../contracts/types/Ids.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

/// @dev The library's functions as external calls, for calldata and so that reverts can be expected.
contract RecordWitnessCaller {
    function decode(bytes calldata witness) external pure returns (RecordWitness.Witness memory) {
        return RecordWitness.decode(witness);
    }

    function ofSlot(uint256[] memory cells, uint256 length) external pure returns (bytes memory, bool) {
        return RecordWitness.ofSlot(cells, length);
    }
}

/// @notice Witnesses of test/vectors/witness.json, which a Python script wrote from the table of fields.
contract RecordWitnessTest is Test {
    using stdJson for string;

    RecordWitnessCaller private caller;
    string private json;

    function setUp() public {
        caller = new RecordWitnessCaller();
        json = vm.readFile("test/vectors/witness.json");
    }

    function test_decode_readsTheVectors() public view {
        uint256 cases;
        for (; vm.keyExistsJson(json, _at(".witnesses", cases)); ++cases) {
            string memory path = _at(".witnesses", cases);
            bytes memory packed = json.readBytes(string.concat(path, ".bytes"));
            RecordWitness.Witness memory w = caller.decode(packed);

            assertEq(keccak256(packed), json.readBytes32(string.concat(path, ".hash")));
            _assertVoucher(w.voucher, path);
            assertEq(w.outputHash, json.readBytes32(string.concat(path, ".output")));
            assertEq(w.signature, json.readBytes(string.concat(path, ".signature")));
            int256[] memory sketch = json.readIntArray(string.concat(path, ".sketch"));
            assertEq(w.sketch.length, sketch.length);
            for (uint256 i; i < sketch.length; ++i) {
                assertEq(int8(uint8(w.sketch[i])), sketch[i]);
            }
        }
        assertEq(cases, 5, "cases in the file");
    }

    function testFuzz_decode_reverts_whenTheBytesAreTooFew(uint256 length) public {
        length = bound(length, 0, RecordWitness.SKETCH_AT - 1);

        vm.expectRevert(abi.encodeWithSelector(RecordWitness.WitnessTooShort.selector, length));
        caller.decode(new bytes(length));
    }

    function test_placeOf_isThatOfTheVectors() public view {
        uint256 cases;
        for (uint256 i; vm.keyExistsJson(json, _at(".layouts", i)); ++i) {
            string memory path = _at(".layouts", i);
            uint256 symbols = json.readUint(string.concat(path, ".symbols"));
            uint256 cells = json.readUint(string.concat(path, ".cells"));
            string memory places = string.concat(path, ".places");
            for (uint256 j; vm.keyExistsJson(json, _at(places, j)); ++j) {
                uint256[] memory place = json.readUintArray(_at(places, j));
                (uint256 blob, uint256 slot) = RecordWitness.placeOf(place[0], symbols, cells);

                assertEq(blob, place[1]);
                assertEq(slot, place[2]);
                ++cases;
            }
        }
        assertGt(cases, 20, "places in the file");
    }

    function test_ofSlot_readsTheBlobsOfTheVectors() public view {
        uint256 symbols = json.readUint(".filled.symbols");
        uint256 slotCells = json.readUint(".filled.cells");
        uint256 count;
        for (; vm.keyExistsJson(json, _at(".filled.witnesses", count)); ++count) {
            bytes memory packed = json.readBytes(_at(".filled.witnesses", count));
            (uint256 blob, uint256 slot) = RecordWitness.placeOf(count, symbols, slotCells);
            bytes memory content = json.readBytes(_at(".filled.blobs", blob));
            uint256[] memory cells = new uint256[](slotCells);
            for (uint256 j; j < slotCells; ++j) {
                cells[j] = _symbol(content, slot + j * symbols / slotCells);
            }
            (bytes memory read, bool padded) = RecordWitness.ofSlot(cells, packed.length);

            assertEq(read, packed);
            assertTrue(padded);
        }
        assertEq(count, 6, "witnesses in the file");
    }

    function test_ofSlot_seesWhatIsBehindTheWitness() public view {
        uint256[] memory cells = new uint256[](8);
        cells[7] = 1;

        (bytes memory read, bool padded) = caller.ofSlot(cells, 247);
        assertEq(read.length, 247);
        assertFalse(padded);

        (read, padded) = caller.ofSlot(cells, 248);
        assertEq(read[247], bytes1(0x01));
        assertTrue(padded);
    }

    function test_ofSlot_reverts_whenTheSlotIsTooShort() public {
        vm.expectRevert(abi.encodeWithSelector(RecordWitness.SlotTooShort.selector, 8, 249));
        caller.ofSlot(new uint256[](8), 249);
    }

    function _assertVoucher(IPaymentChannels.Voucher memory voucher, string memory path) private view {
        assertEq(ChannelId.unwrap(voucher.channelId), json.readBytes32(string.concat(path, ".channel")));
        assertEq(voucher.ceiling, json.readUint(string.concat(path, ".ceiling")));
        assertEq(ModelId.unwrap(voucher.call.modelId), json.readBytes32(string.concat(path, ".model")));
        assertEq(voucher.call.priceVersion, json.readUint(string.concat(path, ".priceVersion")));
        assertEq(voucher.call.promptHash, json.readBytes32(string.concat(path, ".prompt")));
        assertEq(voucher.call.seed, json.readUint(string.concat(path, ".seed")));
        assertEq(voucher.call.maxTokens, json.readUint(string.concat(path, ".maxTokens")));
        assertEq(voucher.call.time, json.readUint(string.concat(path, ".time")));
    }

    function _symbol(bytes memory content, uint256 index) private pure returns (uint256 symbol) {
        assembly ("memory-safe") {
            symbol := mload(add(add(content, 32), mul(index, 32)))
        }
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}
