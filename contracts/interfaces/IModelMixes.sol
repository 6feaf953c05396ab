// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ModelId} from "../types/Ids.sol";
import {IModelRegistry} from "./IModelRegistry.sol";

/// @notice How models divide their contributors' share among the ways to credit them.
/// @dev Influence has what spans and citations leave; a model without a mix pays by influence alone. A call goes by the
/// mix of the time when its payer signed it.
interface IModelMixes {
    /// @param spansBps of the contributors' share, for spans of answers that rows hold word for word
    /// @param citationsBps of it, for rows that answers cite
    struct Mix {
        uint16 spansBps;
        uint16 citationsBps;
    }

    /// @dev Thrown when anyone but the model token's owner sets a mix.
    error NotModelOwner(ModelId model, address caller);
    /// @dev Thrown when a mix has more than 10_000 bps.
    error MixTooLarge(uint256 bps);
    /// @dev Thrown for a base model, which has no contributors.
    error NoContributors(ModelId model);

    /// @param time from which calls signed go by it (seconds)
    event MixSet(ModelId indexed model, uint16 spansBps, uint16 citationsBps, uint64 time);

    /// @notice Which models there are.
    function models() external view returns (IModelRegistry);

    /// @notice The mix of calls signed at `time` (seconds). Never reverts; zeros for a model without a mix.
    /// @dev The answer for a time that is past never changes.
    /// @param model leading 31 bytes of the id, as ledger rows have it
    function mixAt(bytes31 model, uint64 time) external view returns (Mix memory);

    /// @notice Sets the mix of calls signed `MIX_NOTICE` from now on. Token owner only.
    /// @dev Reverts with `UnknownModel`, `NotModelOwner`, `NoContributors` or `MixTooLarge`.
    function setMix(ModelId model, Mix calldata mix) external;
}
