// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {LedgerGrammar} from "../../../contracts/libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The ledger of uses.json and what the audit in Rust says of it and of what its rows may become.
contract MixedLedgerTest is Test {
    using stdJson for string;

    struct Change {
        uint256 at;
        bytes32[] cells;
        bool sound;
        bool before;
        bool next;
    }

    LedgerRow.Row[] private rows;
    LedgerGrammar.Bounds private bounds;
    Change[] private changes;

    function setUp() public {
        string memory json = vm.readFile("test/vectors/uses.json");
        for (uint256 i; json.keyExists(string.concat(".rows[", vm.toString(i), "]")); ++i) {
            rows.push(_decode(json.readBytes32Array(string.concat(".rows[", vm.toString(i), "]"))));
        }
        bounds =
            LedgerGrammar.Bounds(rows.length, json.readUint(".earners"), json.readUint(".from"), json.readUint(".to"));
        string memory kind = "MixedLedgerChange(uint256 at,bytes32[] cells,bool sound,bool before,bool next)";
        Change[] memory given = abi.decode(vm.parseJsonTypeArray(json, ".changes", kind), (Change[]));
        for (uint256 i; i < given.length; ++i) {
            changes.push(given[i]);
        }
    }

    function test_isSound_andMayFollow_holdInAnHonestLedger() public view {
        assertGt(rows.length, 60);
        for (uint256 i = 1; i < rows.length; ++i) {
            assertTrue(LedgerGrammar.isSound(rows[i], i, bounds), vm.toString(i));
            assertTrue(LedgerGrammar.mayFollow(rows[i - 1], rows[i]), vm.toString(i));
        }
    }

    function test_isSound_andMayFollow_sayOfChangedRowsWhatRustSays() public view {
        assertGt(changes.length, 300);
        for (uint256 i; i < changes.length; ++i) {
            Change memory c = changes[i];
            LedgerRow.Row memory row = _decode(c.cells);
            string memory name = string.concat(vm.toString(i), " at row ", vm.toString(c.at));
            assertEq(LedgerGrammar.isSound(row, c.at, bounds), c.sound, name);
            assertEq(LedgerGrammar.mayFollow(rows[c.at - 1], row), c.before, name);
            if (c.at + 1 < rows.length) assertEq(LedgerGrammar.mayFollow(row, rows[c.at + 1]), c.next, name);
        }
    }

    function _decode(bytes32[] memory given) private pure returns (LedgerRow.Row memory) {
        uint256[8] memory cells;
        for (uint256 j; j < 8; ++j) {
            cells[j] = uint256(given[j]);
        }
        return LedgerRow.decode(cells);
    }
}
