// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title FeeStream
/// @notice Streams fees linearly to the holders of shares, without losing a wei.
/// @dev Time enters as `timestamp` (seconds), which never falls. With `r` the wei left to stream, `t` the seconds left
/// and `S` the shares, a second streams `r / t`, and each share accrues `1 / S` of it. Per-share amounts are X128: wei
/// times 2^128. `S` stays below 2^128, so what the division by it leaves is below a wei, and it is kept in `dustX128`
/// for the next step: streamed wei, times 2^128, always equal accrued amounts plus dust exactly.
library FeeStream {
    using SafeCast for uint256;

    /// @param remaining wei not streamed yet
    /// @param dustX128 streamed, but less than shares could divide
    /// @param perShareX128 streamed so far to one share that was there from the start
    /// @param updatedAt seconds
    /// @param endsAt when `remaining` will have streamed (seconds); without meaning when nothing remains
    struct State {
        uint128 remaining;
        uint128 dustX128;
        uint256 perShareX128;
        uint64 updatedAt;
        uint64 endsAt;
    }

    /// @notice Streams what is due up to `timestamp` to `shares`. With no shares the stream stands still.
    function advance(State memory state, uint256 shares, uint64 timestamp) internal pure returns (State memory) {
        uint64 elapsed = timestamp - state.updatedAt;
        if (elapsed == 0) return state;

        if (state.remaining != 0) {
            if (shares == 0) {
                state.endsAt += elapsed;
            } else {
                _accrue(state, shares, elapsed, timestamp);
            }
        }
        state.updatedAt = timestamp;

        return state;
    }

    /// @notice Adds `amount` wei to stream over `period` seconds to a state advanced to now.
    /// @dev What remains is merged with it: t' = floor((r t + amount period) / (r + amount)). Then
    /// (r + amount) / t' <= r / t + amount / period up to that floor (Cauchy-Schwarz): merging never pays faster than
    /// two streams would. Dust added to a stream moves its end by nothing.
    /// @param amount more than 0
    /// @param period more than 0
    function add(State memory state, uint256 amount, uint64 period) internal pure returns (State memory) {
        // Something remains only before the end, so this cannot underflow.
        uint256 left = state.remaining == 0 ? 0 : state.endsAt - state.updatedAt;
        uint256 total = state.remaining + amount;

        // A mean of times of at least a second each, so it is at least a second.
        uint256 time = (state.remaining * left + amount * period) / total;
        state.endsAt = (state.updatedAt + time).toUint64();
        state.remaining = total.toUint128();

        return state;
    }

    function _accrue(State memory state, uint256 shares, uint64 elapsed, uint64 timestamp) private pure {
        uint256 streamed = timestamp < state.endsAt
            ? uint256(state.remaining) * elapsed / (state.endsAt - state.updatedAt)
            : state.remaining;
        uint256 dueX128 = (streamed << 128) + state.dustX128;

        state.remaining -= uint128(streamed);
        state.perShareX128 += dueX128 / shares;
        // Below `shares`, hence below 2^128.
        state.dustX128 = uint128(dueX128 % shares);
    }
}
