// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";

/// @notice Where operators say that they have published a page of cumulative earnings again.
/// @dev Blobs live about 14 days, so that the ledgers of old batches go. Whoever makes openings keeps earnings by
/// reading each batch once; whoever starts afresh takes the latest snapshot of each page from here, and the batches
/// since.
///
/// A snapshot of page p at version t is a blob of `symbols()` symbols in EigenDA's payload encoding, filled exactly.
/// Its payload is the cumulative gwei of earners pM .. pM + M - 1, 8 bytes each, big-endian, then zeros.
///
/// Warning: what a blob says is not checked here, and need not be trusted. A reader commits to the amounts and compares
/// with what Settlement has emitted for this page and version: a false snapshot differs, and the one before it is
/// taken.
interface IEarningsArchive {
    /// @dev Thrown when whoever is not an active operator archives: anyone could make readers look at false snapshots.
    error OperatorNotActive(address operator);
    /// @dev Thrown for a commitment that is not a point of G1 with reduced coordinates.
    error InvalidPoint(uint256 x, uint256 y);

    /// @param archivedAt time of the block (seconds)
    /// @param blob commitment to the snapshot's blob, under which data availability has it
    event EarningsArchived(
        uint32 indexed page,
        uint64 indexed version,
        address indexed operator,
        uint64 archivedAt,
        G1Point blob,
        bytes certificate
    );

    /// @notice Symbols of a snapshot's blob: the smallest power of two, at least 16, that holds a page.
    function symbols() external view returns (uint32);

    /// @notice Tells everybody where a snapshot is. Only active operators may.
    /// @dev Reverts with Settlement's UnknownVersion unless `version` is one of those that it keeps, and with the
    /// certificate verifier's errors unless the blob is available.
    function archive(uint32 page, uint64 version, G1Point calldata blob, bytes calldata certificate) external;
}
