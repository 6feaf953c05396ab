// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IRecordSamples} from "../interfaces/IRecordSamples.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {BatchId} from "../types/Ids.sol";

/// @title RecordSamples
/// @notice One seed per batch.
contract RecordSamples is IRecordSamples {
    /// @notice Blocks from the scheduling of a sample to the block whose hash it takes.
    uint256 public constant DELAY = 8;

    /// @dev Hashes that the chain keeps.
    uint256 private constant BLOCK_HASHES = 256;

    /// @notice Where the batches are.
    ISettlement public immutable settlement;

    /// @inheritdoc IRecordSamples
    mapping(BatchId batch => bytes32 seed) public seedOf;

    /// @inheritdoc IRecordSamples
    mapping(BatchId batch => uint256 blockNumber) public blockOf;

    constructor(ISettlement settlement_) {
        settlement = settlement_;
    }

    /// @inheritdoc IRecordSamples
    function draw(BatchId batch) external returns (bytes32 seed) {
        require(seedOf[batch] == 0, AlreadyDrawn(batch));
        require(settlement.batchOf(batch).status == ISettlement.Status.Posted, BatchNotPosted(batch));

        uint256 at = blockOf[batch];
        if (at == 0 || block.number > at + BLOCK_HASHES) {
            at = block.number + DELAY;
            blockOf[batch] = at;
            emit Scheduled(batch, at);
        } else {
            require(block.number > at, NotReady(batch, at));
            seed = keccak256(abi.encode(blockhash(at), batch));
            seedOf[batch] = seed;
            emit Drawn(batch, seed);
        }
    }

    /// @inheritdoc IRecordSamples
    function sampleOf(BatchId batch, address auditor, uint32 records, uint32 count)
        external
        view
        returns (uint32[] memory ordinals)
    {
        bytes32 seed = seedOf[batch];
        require(seed != 0, NotDrawn(batch));
        require(records != 0, NoRecords());

        ordinals = new uint32[](count);
        for (uint256 i; i < count; ++i) {
            ordinals[i] = uint32(uint256(keccak256(abi.encode(seed, auditor, i))) % records);
        }
    }
}
