// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {BatchId} from "../types/Ids.sol";

/// @notice Which records of a batch auditors run again, drawn after the batch was posted.
/// @dev The seed is the hash of a block that is fixed before it exists. Anyone calls `draw` twice: once to schedule a
/// block `DELAY` ahead, and once, in the 256 blocks after it, to take its hash; later it schedules again. The operator
/// knows no hash in advance, so it cannot make a batch to fit one.
/// @dev Warning: whoever orders the transactions of that block can try several hashes: with k tries a sample that
/// catches a false record with chance q catches it with chance q^k. So could whoever keeps everybody from calling for
/// 256 blocks. Auditors that choose further records in secret are not affected.
interface IRecordSamples {
    /// @dev Thrown for a batch that is not Posted: never was, is final, or is struck.
    error BatchNotPosted(BatchId batch);
    /// @dev Thrown when a batch's sample is drawn again.
    error AlreadyDrawn(BatchId batch);
    /// @dev Thrown when a sample is drawn before its block is over.
    error NotReady(BatchId batch, uint256 blockNumber);
    /// @dev Thrown when a batch's sample has not been drawn.
    error NotDrawn(BatchId batch);
    /// @dev Thrown when a sample is asked of no records.
    error NoRecords();

    event Scheduled(BatchId indexed batch, uint256 blockNumber);
    event Drawn(BatchId indexed batch, bytes32 seed);

    /// @notice Seed of a batch's sample, 0 until drawn.
    function seedOf(BatchId batch) external view returns (bytes32);

    /// @notice Block whose hash the batch's sample takes, 0 until scheduled.
    function blockOf(BatchId batch) external view returns (uint256);

    /// @notice Ordinals of the records that an auditor is to run again: keccak256(abi.encode(seed, auditor, i)) mod
    /// `records` for i below `count`. An ordinal may be there twice.
    /// @dev Every auditor has its own, so that many of them cover many records.
    /// @param records of the batch, as its ledger's header says
    function sampleOf(BatchId batch, address auditor, uint32 records, uint32 count)
        external
        view
        returns (uint32[] memory ordinals);

    /// @notice Schedules the block of a posted batch's sample, or fixes its seed. Anyone may call it.
    /// @return seed zero if a block was scheduled
    function draw(BatchId batch) external returns (bytes32 seed);
}
