// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

import {FeeSplit} from "../../contracts/libraries/FeeSplit.sol";

/// @notice Known answers come from test/vectors/fee_split.json, which a Python script computed without this code.
contract FeeSplitTest is Test {
    using stdJson for string;

    string internal json;

    function setUp() public {
        json = vm.readFile("test/vectors/fee_split.json");
    }

    function test_feeOf_costsWhatTheProtocolsExampleSays() public pure {
        uint64 fee = FeeSplit.feeOf(1200, 800, 0.2e9, 0.6e9, 0.08e9);

        assertEq(fee, 800_000_000, "0.8 OPEN in gwei");
    }

    function test_split_paysAQuarterOfTheContributorsHalfForAQuarterOfInfluence() public pure {
        FeeSplit.Shares memory shares = FeeSplit.split(1e9, 1000, 2000, 2000, 5000);

        assertEq(uint256(shares.contributors) * 2500 / 10_000, 0.125e9, "0.125 OPEN in gwei");
    }

    function test_feeOf_matchesVectors() public view {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".fees", cases)); cases++) {
            string memory path = _at(".fees", cases);
            uint64 fee = FeeSplit.feeOf(
                _uint64(path, ".inputTokens"),
                _uint64(path, ".outputTokens"),
                _uint64(path, ".inputRate"),
                _uint64(path, ".outputRate"),
                _uint64(path, ".platformFee")
            );

            assertEq(fee, _uint64(path, ".fee"), json.readString(string.concat(path, ".name")));
        }
        assertEq(cases, 35, "cases in the file");
    }

    function test_split_matchesVectors() public view {
        for (uint256 i = 0; vm.keyExistsJson(json, _at(".fees", i)); i++) {
            string memory path = _at(".fees", i);
            string memory name = json.readString(string.concat(path, ".name"));
            FeeSplit.Shares memory shares = FeeSplit.split(
                _uint64(path, ".fee"),
                _bps(path, ".platformBps"),
                _bps(path, ".modelBps"),
                _bps(path, ".stakersBps"),
                _bps(path, ".contributorsBps")
            );

            assertEq(shares.treasury, _uint64(path, ".treasury"), name);
            assertEq(shares.model, _uint64(path, ".model"), name);
            assertEq(shares.stakers, _uint64(path, ".stakers"), name);
            assertEq(shares.contributors, _uint64(path, ".contributors"), name);
        }
    }

    function test_split_influenceMatchesVectors() public view {
        uint256 cases = 0;
        for (; vm.keyExistsJson(json, _at(".influence", cases)); cases++) {
            string memory path = _at(".influence", cases);
            uint16 contributorsBps = _bps(path, ".contributorsBps");
            FeeSplit.Shares memory shares =
                FeeSplit.split(_uint64(path, ".fee"), 10_000 - contributorsBps, 0, 0, contributorsBps);
            uint256 pay = shares.contributors * uint256(_bps(path, ".influenceBps")) / 10_000;

            assertEq(pay, _uint64(path, ".pay"), json.readString(string.concat(path, ".name")));
        }
        assertEq(cases, 3, "cases in the file");
    }

    function test_feeOf_fitsAtTheHighestPriceAnd2To23TokensEachWay() public pure {
        uint64 fee = FeeSplit.feeOf(2 ** 23, 2 ** 23, 1e15, 1e15, 1e15);

        assertEq(fee, 16_778_216_000_000_000_000, "fee");
    }

    function test_feeOf_reverts_whenFeeIsTooLarge() public {
        uint256 fee = uint256(2 ** 24) * 1e12 + 2 ** 24 * 1e12;
        vm.expectRevert(abi.encodeWithSelector(FeeSplit.FeeTooLarge.selector, fee));
        this.feeOf(2 ** 24, 2 ** 24, 1e15, 1e15, 0);

        fee = uint256(type(uint64).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(FeeSplit.FeeTooLarge.selector, fee));
        this.feeOf(1, 0, 1, 0, type(uint64).max);
    }

    function test_split_reverts_whenBpsAreNotWhole() public {
        vm.expectRevert(abi.encodeWithSelector(FeeSplit.BpsNotWhole.selector, 9999));
        this.split(1, 1000, 2000, 2000, 4999);
        vm.expectRevert(abi.encodeWithSelector(FeeSplit.BpsNotWhole.selector, 4 * 65_535));
        this.split(1, 65_535, 65_535, 65_535, 65_535);
    }

    function testFuzz_feeOf_isTheLeastThatCoversThePrice(
        uint32 inputTokens,
        uint32 outputTokens,
        uint64 inputRate,
        uint64 outputRate,
        uint64 platformFee
    ) public pure {
        inputTokens = uint32(bound(inputTokens, 0, 2 ** 23));
        outputTokens = uint32(bound(outputTokens, 0, 2 ** 23));
        inputRate = uint64(bound(inputRate, 0, 1e15));
        outputRate = uint64(bound(outputRate, 0, 1e15));
        platformFee = uint64(bound(platformFee, 0, 1e15));

        uint256 fee = FeeSplit.feeOf(inputTokens, outputTokens, inputRate, outputRate, platformFee);

        uint256 exact1000 =
            uint256(inputTokens) * inputRate + uint256(outputTokens) * outputRate + uint256(platformFee) * 1000;
        assertGe(fee * 1000, exact1000, "covers");
        assertLt(fee * 1000, exact1000 + 2000, "two roundings at most");
    }

    function testFuzz_split_conservesTheFee(uint64 fee, uint16 cutA, uint16 cutB, uint16 cutC) public pure {
        uint16[4] memory bps = _partition(cutA, cutB, cutC);

        FeeSplit.Shares memory shares = FeeSplit.split(fee, bps[0], bps[1], bps[2], bps[3]);

        uint256 sum = uint256(shares.treasury) + shares.model + shares.stakers + shares.contributors;
        assertEq(sum, fee, "sum of shares");
        assertEq(shares.model, uint256(fee) * bps[1] / 10_000, "model");
        assertEq(shares.stakers, uint256(fee) * bps[2] / 10_000, "stakers");
        assertEq(shares.contributors, uint256(fee) * bps[3] / 10_000, "contributors");
        uint256 platform = uint256(fee) * bps[0] / 10_000;
        assertGe(shares.treasury, platform, "treasury has its floor");
        assertLe(shares.treasury, platform + 3, "and at most what three floors leave");
    }

    function feeOf(uint64 inputTokens, uint64 outputTokens, uint64 inputRate, uint64 outputRate, uint64 platformFee)
        external
        pure
        returns (uint64)
    {
        return FeeSplit.feeOf(inputTokens, outputTokens, inputRate, outputRate, platformFee);
    }

    function split(uint64 fee, uint16 platformBps, uint16 modelBps, uint16 stakersBps, uint16 contributorsBps)
        external
        pure
        returns (FeeSplit.Shares memory)
    {
        return FeeSplit.split(fee, platformBps, modelBps, stakersBps, contributorsBps);
    }

    /// @dev Four parts of 10_000, each of which may be 0 or all.
    function _partition(uint16 cutA, uint16 cutB, uint16 cutC) private pure returns (uint16[4] memory parts) {
        parts[0] = uint16(bound(cutA, 0, 10_000));
        parts[1] = uint16(bound(cutB, 0, 10_000 - parts[0]));
        parts[2] = uint16(bound(cutC, 0, 10_000 - parts[0] - parts[1]));
        parts[3] = 10_000 - parts[0] - parts[1] - parts[2];
    }

    function _uint64(string memory path, string memory key) private view returns (uint64) {
        return uint64(json.readUint(string.concat(path, key)));
    }

    function _bps(string memory path, string memory key) private view returns (uint16) {
        return uint16(json.readUint(string.concat(path, key)));
    }

    function _at(string memory array, uint256 i) private pure returns (string memory) {
        return string.concat(array, "[", vm.toString(i), "]");
    }
}
