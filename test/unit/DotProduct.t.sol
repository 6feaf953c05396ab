// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {DotProduct} from "../../contracts/libraries/DotProduct.sol";
import {Test} from "forge-std/Test.sol";

/// @dev The library reads calldata; the plain loops beside it are what it is compared with.
contract DotProductCaller {
    function ofInt8(bytes calldata a, bytes calldata b) external pure returns (int256) {
        return DotProduct.ofInt8(a, b);
    }

    function ofInt8AndInt32(bytes calldata a, bytes calldata t) external pure returns (int256) {
        return DotProduct.ofInt8AndInt32(a, t);
    }

    function gasOfInt8(bytes calldata a, bytes calldata b) external view returns (uint256 used) {
        used = gasleft();
        DotProduct.ofInt8(a, b);
        used -= gasleft();
    }

    function gasOfInt8AndInt32(bytes calldata a, bytes calldata t) external view returns (uint256 used) {
        used = gasleft();
        DotProduct.ofInt8AndInt32(a, t);
        used -= gasleft();
    }

    function loopOfInt8(bytes calldata a, bytes calldata b) external pure returns (int256 sum) {
        for (uint256 i; i < a.length; ++i) {
            sum += int256(int8(uint8(a[i]))) * int8(uint8(b[i]));
        }
    }

    function loopOfInt8AndInt32(bytes calldata a, bytes calldata t) external pure returns (int256 sum) {
        for (uint256 i; i < a.length; ++i) {
            sum += int256(int8(uint8(a[i]))) * int32(uint32(bytes4(t[4 * i:4 * i + 4])));
        }
    }
}

contract DotProductTest is Test {
    uint256 private constant DIM = 4096;

    DotProductCaller private caller;

    function setUp() public {
        caller = new DotProductCaller();
    }

    function test_ofInt8_multipliesByHand() public view {
        // 1 * 127 + (-1) * (-128) + (-128) * 2 = -1
        assertEq(caller.ofInt8(hex"01ff80", hex"7f8002"), -1);
        assertEq(caller.ofInt8("", ""), 0);
    }

    function test_ofInt8AndInt32_multipliesByHand() public view {
        // 1 * (2^31 - 1) + (-128) * (-2^31) + (-1) * 5 = 129 * 2^31 - 6
        assertEq(caller.ofInt8AndInt32(hex"0180ff", hex"7fffffff8000000000000005"), 129 * 2 ** 31 - 6);
        assertEq(caller.ofInt8AndInt32("", ""), 0);
    }

    function test_ofInt8_isExactAtTheExtremes() public view {
        bytes memory lowest = _filled(DIM, 0x80);
        bytes memory highest = _filled(DIM, 0x7f);

        assertEq(caller.ofInt8(lowest, lowest), 4096 * 128 * 128);
        assertEq(caller.ofInt8(lowest, highest), -4096 * 128 * 127);
        assertEq(caller.ofInt8(highest, highest), 4096 * 127 * 127);
    }

    function test_ofInt8AndInt32_isExactAtTheExtremes() public view {
        bytes memory lowest = _filled(DIM, 0x80);
        bytes memory highest = _filled(DIM, 0x7f);
        bytes memory least = _repeated(DIM, 0x80000000);
        bytes memory most = _repeated(DIM, 0x7fffffff);

        assertEq(caller.ofInt8AndInt32(lowest, least), 4096 * 128 * 2 ** 31);
        assertEq(caller.ofInt8AndInt32(highest, least), -4096 * 127 * 2 ** 31);
        assertEq(caller.ofInt8AndInt32(lowest, most), -4096 * 128 * (2 ** 31 - 1));
        assertEq(caller.ofInt8AndInt32(highest, most), 4096 * 127 * (2 ** 31 - 1));
    }

    /// @dev The longest vectors, so that lanes hold as much as they ever may.
    function test_ofInt8_doesNotCarryAtTheLongest() public view {
        bytes memory lowest = _filled(DotProduct.MAX_LENGTH, 0x7f);
        assertEq(caller.ofInt8(lowest, lowest), int256(DotProduct.MAX_LENGTH * 127 * 127));

        bytes memory most = _repeated(DotProduct.MAX_LENGTH, 0x7fffffff);
        assertEq(caller.ofInt8AndInt32(lowest, most), int256(DotProduct.MAX_LENGTH * 127 * (2 ** 31 - 1)));
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_ofInt8_isTheLoop(uint256 length, bytes32 seed) public view {
        length = bound(length, 0, DIM);
        bytes memory a = _random(length, seed);
        bytes memory b = _random(length, ~seed);

        assertEq(caller.ofInt8(a, b), caller.loopOfInt8(a, b));
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_ofInt8AndInt32_isTheLoop(uint256 length, bytes32 seed) public view {
        length = bound(length, 0, DIM);
        bytes memory a = _random(length, seed);
        bytes memory t = _random(4 * length, ~seed);

        assertEq(caller.ofInt8AndInt32(a, t), caller.loopOfInt8AndInt32(a, t));
    }

    /// @dev One number at a time, so that no lane is mistaken for another.
    function testFuzz_everyPlaceMeetsItsOwn(uint256 place, int8 x, int8 y, int32 z) public view {
        place = bound(place, 0, 99);
        bytes memory a = new bytes(100);
        bytes memory b = new bytes(100);
        bytes memory t = new bytes(400);
        a[place] = bytes1(uint8(x));
        b[place] = bytes1(uint8(y));
        for (uint256 k; k < 4; ++k) {
            t[4 * place + k] = bytes4(uint32(z))[k];
        }

        assertEq(caller.ofInt8(a, b), int256(x) * y);
        assertEq(caller.ofInt8AndInt32(a, t), int256(x) * z);
    }

    function test_reverts_whenLengthsDiffer() public {
        vm.expectRevert(abi.encodeWithSelector(DotProduct.LengthMismatch.selector, 2, 3));
        caller.ofInt8(hex"0102", hex"010203");

        vm.expectRevert(abi.encodeWithSelector(DotProduct.LengthMismatch.selector, 2, 1));
        caller.ofInt8AndInt32(hex"0102", hex"01020304");

        vm.expectRevert(abi.encodeWithSelector(DotProduct.NotWhole.selector, 7));
        caller.ofInt8AndInt32(hex"0102", hex"01020304050607");
    }

    function test_reverts_whenVectorsAreTooLong() public {
        uint256 length = DotProduct.MAX_LENGTH + 1;
        bytes memory a = new bytes(length);

        vm.expectRevert(abi.encodeWithSelector(DotProduct.VectorTooLong.selector, length));
        caller.ofInt8(a, a);

        vm.expectRevert(abi.encodeWithSelector(DotProduct.VectorTooLong.selector, length));
        caller.ofInt8AndInt32(a, new bytes(4 * length));
    }

    function test_gas() public {
        bytes memory a = _random(DIM, "a");
        uint256 gasOfInt8 = caller.gasOfInt8(a, _random(DIM, "b"));
        uint256 gasOfInt32 = caller.gasOfInt8AndInt32(a, _random(4 * DIM, "t"));

        vm.snapshotValue("FaultsArithmetic", "dotProductInt8x4096", gasOfInt8);
        vm.snapshotValue("FaultsArithmetic", "dotProductInt8Int32x4096", gasOfInt32);
        assertLt(gasOfInt8, 60_000);
        assertLt(gasOfInt32, 100_000);
    }

    function _random(uint256 length, bytes32 seed) private pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i; i < length; i += 32) {
            bytes32 word = keccak256(abi.encode(seed, i));
            for (uint256 k; k < 32 && i + k < length; ++k) {
                data[i + k] = word[k];
            }
        }
    }

    function _filled(uint256 length, uint8 value) private pure returns (bytes memory data) {
        data = new bytes(length);
        for (uint256 i; i < length; ++i) {
            data[i] = bytes1(value);
        }
    }

    function _repeated(uint256 count, uint32 value) private pure returns (bytes memory data) {
        data = new bytes(4 * count);
        for (uint256 i; i < data.length; ++i) {
            data[i] = bytes4(value)[i % 4];
        }
    }
}
