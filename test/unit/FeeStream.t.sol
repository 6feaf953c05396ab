// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {FeeStream} from "../../contracts/libraries/FeeStream.sol";

contract FeeStreamTest is Test {
    using FeeStream for FeeStream.State;

    uint64 internal constant PERIOD = 1000;
    uint64 internal constant START = 1_800_000_000;

    function test_advance_streamsLinearly() public pure {
        FeeStream.State memory state = _started(10_000);

        state = state.advance(10, START + 250);
        assertEq(_perShare(state), 250, "a quarter");
        assertEq(state.remaining, 7500, "left after a quarter");
        state = state.advance(10, START + 999);
        assertEq(_perShare(state), 999, "all but a second");
        state = state.advance(10, START + 1000);
        assertEq(_perShare(state), 1000, "all");
        assertEq(state.remaining, 0, "left at the end");
        state = state.advance(10, START + 5000);
        assertEq(_perShare(state), 1000, "no more than all");
    }

    function test_advance_streamsAllWhenFirstSeenAfterTheEnd() public pure {
        FeeStream.State memory state = _started(5000).advance(10, START + 77_777);

        assertEq(_perShare(state), 500, "all");
    }

    function test_advance_standsStillWithoutShares() public pure {
        FeeStream.State memory state = _started(5000).advance(10, START + 400);
        state = state.advance(0, START + 10_400);

        assertEq(state.remaining, 3000, "left");
        assertEq(state.endsAt, START + 11_000, "the end moved by the pause");
        state = state.advance(10, START + 10_700);
        assertEq(_perShare(state), 350, "goes on at the same rate");
    }

    function test_advance_keepsDustForTheNextStep() public pure {
        FeeStream.State memory state = _started(2).advance(3, START + PERIOD);

        assertEq(state.perShareX128 * 3 + state.dustX128, uint256(2) << 128, "nothing lost");
        assertEq(state.dustX128, (uint256(2) << 128) % 3, "dust");
    }

    function test_add_streamsOverThePeriodWhenNothingRemains() public pure {
        FeeStream.State memory state = _started(5000).advance(10, START + 3000).add(700, PERIOD);

        assertEq(state.endsAt, START + 4000, "end");
        assertEq(state.remaining, 700, "remaining");
    }

    function test_add_weightsTheTimeLeftByAmount() public pure {
        // 4000 with 800 s left and 4000 over 1000 s: 8000 over 900 s.
        FeeStream.State memory state = _started(5000).advance(10, START + 200).add(4000, PERIOD);

        assertEq(state.endsAt, START + 1100, "end");
        assertEq(state.remaining, 8000, "remaining");
    }

    function test_add_dustDoesNotStallAStream() public pure {
        FeeStream.State memory state = _started(1e18);
        for (uint64 second = 1; second < PERIOD; second++) {
            state = state.advance(10, START + second).add(1, PERIOD);
        }
        state = state.advance(10, START + PERIOD);

        assertEq(state.remaining, 0, "all has streamed in its time");
    }

    function testFuzz_add_neverPaysFasterThanTwoStreams(uint96 amount, uint96 added, uint64 elapsed) public pure {
        uint256 first = bound(amount, PERIOD, type(uint96).max);
        uint256 second = bound(added, 1, type(uint96).max);
        elapsed = uint64(bound(elapsed, 0, PERIOD - 1));
        FeeStream.State memory state = _started(first).advance(1, START + elapsed);
        uint256 remaining = state.remaining;
        uint256 left = PERIOD - elapsed;

        state = state.add(second, PERIOD);

        uint256 time = state.endsAt - state.updatedAt;
        assertGe(time, 1, "it takes time");
        assertGe(time, left, "no sooner than the stream would have ended");
        assertLe(time, PERIOD, "no later than the new one would");
        // Total over (time + 1) is at most the sum of the two rates; the second added covers the floor of `time`.
        assertLe((remaining + second) * left * PERIOD, (remaining * PERIOD + second * left) * (time + 1), "rate");
    }

    function testFuzz_advance_losesNothing(uint96[6] memory amounts, uint128[6] memory shares, uint16[6] memory waits)
        public
        pure
    {
        FeeStream.State memory state;
        state = state.advance(0, START);
        uint256 added = 0;
        uint256 accruedX128 = 0;
        uint64 time = START;
        for (uint256 i = 0; i < amounts.length; i++) {
            if (amounts[i] != 0) state = state.add(amounts[i], PERIOD);
            added += amounts[i];
            time += uint64(waits[i]) % 700;

            uint256 before = state.perShareX128;
            state = state.advance(shares[i], time);
            accruedX128 += (state.perShareX128 - before) * shares[i];

            assertEq(accruedX128 + state.dustX128 + (uint256(state.remaining) << 128), added << 128, "conserved");
        }
    }

    function _started(uint256 amount) private pure returns (FeeStream.State memory state) {
        return state.advance(0, START).add(amount, PERIOD);
    }

    /// @dev Whole wei per share.
    function _perShare(FeeStream.State memory state) private pure returns (uint256) {
        // Rounded to the nearest, because 2^128 / 10 is not whole.
        return (state.perShareX128 + (1 << 127)) >> 128;
    }
}
