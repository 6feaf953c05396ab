// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IModelMixes} from "../interfaces/IModelMixes.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ModelId} from "../types/Ids.sol";

/// @notice Keeps models' mixes by the time from which they hold.
contract ModelMixes is IModelMixes {
    using Checkpoints for Checkpoints.Trace208;

    /// @notice Seconds until a new mix holds.
    uint64 public constant MIX_NOTICE = 1 hours;

    uint256 private constant FULL_BPS = 10_000;

    /// @inheritdoc IModelMixes
    IModelRegistry public immutable models;

    /// @dev spansBps * 2^16 + citationsBps by the time from which it holds.
    mapping(bytes31 model => Checkpoints.Trace208) private _mixes;

    constructor(IModelRegistry models_) {
        models = models_;
    }

    /// @inheritdoc IModelMixes
    function mixAt(bytes31 model, uint64 time) external view returns (Mix memory) {
        uint48 key = uint48(Math.min(time, type(uint48).max));
        uint208 packed = _mixes[model].upperLookupRecent(key);
        return Mix({spansBps: uint16(packed >> 16), citationsBps: uint16(packed)});
    }

    /// @inheritdoc IModelMixes
    function setMix(ModelId model, Mix calldata mix) external {
        bool isBase = ModelId.unwrap(models.modelOf(model).base) == 0;
        address owner = IERC721(address(models)).ownerOf(uint256(ModelId.unwrap(model)));
        require(owner == msg.sender, NotModelOwner(model, msg.sender));
        require(!isBase, NoContributors(model));
        uint256 bps = uint256(mix.spansBps) + mix.citationsBps;
        require(bps <= FULL_BPS, MixTooLarge(bps));

        uint64 time = uint64(block.timestamp) + MIX_NOTICE;
        uint208 packed = uint208(mix.spansBps) << 16 | mix.citationsBps;
        _mixes[bytes31(ModelId.unwrap(model))].push(uint48(time), packed);

        emit MixSet(model, mix.spansBps, mix.citationsBps, time);
    }
}
