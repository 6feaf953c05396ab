// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelMixes} from "../../contracts/interfaces/IModelMixes.sol";
import {BondedFiguresBase} from "../BondedFiguresBase.t.sol";

/// @notice What of a net a report and a reputation withhold, by the mix that the model pays by.
contract BondedFiguresScopeTest is BondedFiguresBase {
    uint64 private constant NOTICE = 1 hours;

    function test_creditShareAt_isTheInfluenceShareWithoutAMix() public {
        assertEq(figures.creditShareAt(model, START), DEFAULT_INFLUENCE);
        _postReport();
        assertEq(figures.creditShareAt(model, START + WINDOW), 7200);
    }

    function test_creditShareAt_ofAModelThatSpansPayIsTheWhole() public {
        _setMix(10_000, 0);

        assertEq(figures.creditShareAt(model, START + NOTICE - 1), DEFAULT_INFLUENCE, "before the mix holds");
        assertEq(figures.creditShareAt(model, START + NOTICE), 10_000);
        assertEq(figures.influenceAt(model, START + NOTICE), DEFAULT_INFLUENCE, "what influence is worth stays");
        assertEq(figures.factorAt(model, earner, START + NOTICE), 10_000);
        assertEq(figures.creditShareAt(base, START + NOTICE), DEFAULT_INFLUENCE, "another model");
    }

    function test_factorAt_countsSpansAndCitationsAlikeAndReputationForAll() public {
        _setMix(2500, 1500);
        _postReport();
        _postConduct(challenger);
        uint64 time = START + WINDOW;

        // floor((7200 * 6000 + 10_000 * 4000) / 10_000), and half of it for a reputation of 5000.
        assertEq(figures.creditShareAt(model, time), 8320);
        assertEq(figures.factorAt(model, earner, time), 4160);
        vm.warp(time);
        _setMix(0, 10_000);
        assertEq(figures.factorAt(model, earner, time + NOTICE - 1), 4160);
        assertEq(figures.factorAt(model, earner, time + NOTICE), 5000, "reputation is on everything");
    }

    function testFuzz_factorAt_neverChangesWhatIsPast(uint16[4] memory spans, uint32[4] memory waits) public {
        uint64[] memory times = new uint64[](4);
        uint16[] memory answers = new uint16[](4);
        for (uint256 i; i < 4; ++i) {
            _setMix(spans[i] % 10_001, 0);
            vm.warp(block.timestamp + waits[i] % (3 * NOTICE));
            (times[i], answers[i]) = (uint64(block.timestamp), figures.factorAt(model, earner, uint64(block.timestamp)));
        }
        for (uint256 i; i < 4; ++i) {
            assertEq(figures.factorAt(model, earner, times[i]), answers[i]);
            assertGe(answers[i], DEFAULT_INFLUENCE);
        }
    }

    function _setMix(uint16 spansBps, uint16 citationsBps) private {
        vm.prank(modelOwner);
        mixes.setMix(model, IModelMixes.Mix({spansBps: spansBps, citationsBps: citationsBps}));
    }
}
