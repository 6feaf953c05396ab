// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title FeeSplit
/// @notice What a call costs and how its fee is shared, in whole gwei.
library FeeSplit {
    /// @param treasury the platform's share and what the other shares' floors leave
    struct Shares {
        uint64 treasury;
        uint64 model;
        uint64 stakers;
        uint64 contributors;
    }

    /// @dev Thrown when a fee does not fit 64 bits.
    error FeeTooLarge(uint256 fee);
    /// @dev Thrown when the shares do not sum to 10_000.
    error BpsNotWhole(uint256 sumBps);

    uint256 internal constant BPS = 10_000;

    /// @dev Rates are per this many tokens.
    uint256 internal constant RATE_TOKENS = 1000;

    /// @notice F = ceil(Tin * Rin / 1000) + ceil(Tout * Rout / 1000) + Fplatform.
    /// @dev Reverts with `FeeTooLarge` at 2^64 gwei and above.
    /// @param inputTokens Tin, prompt tokens
    /// @param outputTokens Tout, generated tokens
    /// @param inputRate Rin, gwei per 1000 tokens
    /// @param outputRate Rout, gwei per 1000 tokens
    /// @param platformFee Fplatform, gwei
    function feeOf(uint64 inputTokens, uint64 outputTokens, uint64 inputRate, uint64 outputRate, uint64 platformFee)
        internal
        pure
        returns (uint64)
    {
        uint256 fee = exactFeeOf(inputTokens, outputTokens, inputRate, outputRate, platformFee);
        require(fee <= type(uint64).max, FeeTooLarge(fee));

        return uint64(fee);
    }

    /// @notice The same F, however large: no call can be charged 2^64 gwei, and a dispute must be able to say so.
    function exactFeeOf(
        uint64 inputTokens,
        uint64 outputTokens,
        uint64 inputRate,
        uint64 outputRate,
        uint64 platformFee
    ) internal pure returns (uint256) {
        return Math.ceilDiv(uint256(inputTokens) * inputRate, RATE_TOKENS)
            + Math.ceilDiv(uint256(outputTokens) * outputRate, RATE_TOKENS) + platformFee;
    }

    /// @notice Shares of a fee (gwei): floor(fee * bps / 10_000) each, the remainder to the treasury.
    /// @dev The shares sum to the fee. Reverts with `BpsNotWhole` unless the basis points sum to 10_000.
    function split(uint64 fee, uint16 platformBps, uint16 modelBps, uint16 stakersBps, uint16 contributorsBps)
        internal
        pure
        returns (Shares memory shares)
    {
        uint256 sumBps = uint256(platformBps) + modelBps + stakersBps + contributorsBps;
        require(sumBps == BPS, BpsNotWhole(sumBps));

        shares.model = _shareDown(fee, modelBps);
        shares.stakers = _shareDown(fee, stakersBps);
        shares.contributors = _shareDown(fee, contributorsBps);
        // The platform's floor plus the remainder is whatever the others leave.
        shares.treasury = fee - shares.model - shares.stakers - shares.contributors;
    }

    function _shareDown(uint64 fee, uint16 bps) private pure returns (uint64) {
        // At most `fee`, because bps <= 10_000.
        return uint64(uint256(fee) * bps / BPS);
    }
}
