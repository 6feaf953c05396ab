// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FigureRules} from "../../contracts/libraries/FigureRules.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The rules against test/vectors/figures.json, which a Python script wrote in fractions.
contract FigureRulesTest is Test {
    using stdJson for string;

    string private json;

    function setUp() public {
        json = vm.readFile("test/vectors/figures.json");
    }

    function test_influenceBps_isTheVectors() public view {
        uint256[] memory lds = _column(".reports.lds");
        uint256[] memory ceiling = _column(".reports.ceiling");
        uint256[] memory influence = _column(".reports.influence");
        for (uint256 i; i < influence.length; ++i) {
            assertEq(FigureRules.influenceBps(lds[i], ceiling[i]), influence[i], vm.toString(i));
        }
    }

    function test_reputationBps_isTheVectors() public view {
        uint256[] memory a = _column(".conducts.accepted");
        uint256[] memory r = _column(".conducts.refused");
        uint256[] memory e = _column(".conducts.earning");
        uint256[] memory h = _column(".conducts.harmful");
        uint256[] memory p = _column(".conducts.penalties");
        uint256[] memory expected = _column(".conducts.reputation");
        for (uint256 i; i < expected.length; ++i) {
            uint16 bps = FigureRules.reputationBps(uint32(a[i]), uint32(r[i]), uint32(e[i]), uint32(h[i]), uint32(p[i]));
            assertEq(bps, expected[i], vm.toString(i));
        }
    }

    function test_creditShareBps_isTheVectors() public view {
        uint256[] memory influence = _column(".shares.influence");
        uint256[] memory spans = _column(".shares.spans");
        uint256[] memory citations = _column(".shares.citations");
        uint256[] memory share = _column(".shares.share");
        for (uint256 i; i < share.length; ++i) {
            uint256 uses = spans[i] + citations[i];
            assertEq(FigureRules.creditShareBps(uint16(influence[i]), uses), share[i], vm.toString(i));
        }
    }

    function test_factorBps_isTheVectors() public view {
        uint256[] memory share = _column(".factors.share");
        uint256[] memory reputation = _column(".factors.reputation");
        uint256[] memory factor = _column(".factors.factor");
        for (uint256 i; i < factor.length; ++i) {
            assertEq(FigureRules.factorBps(uint16(share[i]), uint16(reputation[i])), factor[i], vm.toString(i));
        }
    }

    function testFuzz_influenceBps_growsWithTheScoreAndFallsWithTheCeiling(uint256 lds, uint256 ceiling, uint16 by)
        public
        pure
    {
        (lds, ceiling) = (lds / 2, ceiling / 2);
        uint16 bps = FigureRules.influenceBps(lds, ceiling);
        assertLe(bps, 10_000);
        assertGe(FigureRules.influenceBps(lds + by, ceiling), bps);
        assertLe(FigureRules.influenceBps(lds, ceiling + by), bps);
    }

    function testFuzz_creditShareBps_isBetweenInfluenceAndTheWhole(uint16 influence, uint256 uses, uint16 by)
        public
        pure
    {
        (influence, uses) = (influence % 10_001, uses / 2);
        uint16 bps = FigureRules.creditShareBps(influence, uses);
        assertGe(bps, influence);
        assertLe(bps, 10_000);
        assertGe(FigureRules.creditShareBps(influence, uses + by), bps);
    }

    function testFuzz_reputationBps_isWithinItsBounds(uint32[5] memory c) public pure {
        uint16 bps = FigureRules.reputationBps(c[0], c[1], c[2], c[3], c[4]);
        assertGe(bps, 2500);
        assertLe(bps, 10_000);
        if (c[4] != type(uint32).max) {
            assertLe(FigureRules.reputationBps(c[0], c[1], c[2], c[3], c[4] + 1), bps);
        }
    }

    function _column(string memory path) private view returns (uint256[] memory numbers) {
        numbers = json.readUintArray(path);
        assertGe(numbers.length, 36, path);
    }
}
