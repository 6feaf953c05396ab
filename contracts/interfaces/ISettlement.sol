// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";
import {BatchId, EarnerIndex} from "../types/Ids.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";

/// @notice Batches of paid calls: posted with commitments, final after the dispute window, claimed with openings.
/// @dev Earnings of page p are the G1 point C(T_p); T_p(v^k) is the cumulative gwei of earner p * pageSize + k. A final
/// batch adds its C(P_p) to it, so earnings only grow and a claim against any of the last stored versions is safe.
interface ISettlement {
    enum Status {
        None,
        Posted,
        Final
    }

    /// @param epoch index of the clock epoch that the batch's calls were signed in
    /// @param rows of the ledger, a power of two; the blob has 8 * rows symbols
    /// @param total gwei drawn and paid by the batch
    /// @param ledger commitment to the ledger blob
    /// @param pages strictly increasing numbers of the earner pages paid
    /// @param payouts commitment to P of each page
    /// @param certificate that the blob is available
    struct Submission {
        uint64 epoch;
        uint32 rows;
        uint64 total;
        G1Point ledger;
        uint32[] pages;
        G1Point[] payouts;
        bytes certificate;
    }

    struct Batch {
        address operator;
        uint64 epoch;
        uint64 total;
        uint64 finalisableAt;
        uint32 rows;
        Status status;
        bytes32 submissionHash;
        G1Point ledger;
    }

    /// @param version of the page's commitment that the witness opens
    struct Claim {
        EarnerIndex earner;
        uint64 cumulativeEarnings;
        uint64 version;
        G1Point witness;
    }

    error OperatorNotActive(address operator);
    error EpochNotOver(uint64 epoch, uint64 endsAt);
    error BatchExists(BatchId batch);
    error UnknownBatch(BatchId batch);
    error NotPosted(BatchId batch);
    error WindowOpen(BatchId batch, uint64 finalisableAt);
    error RowsOutOfRange(uint32 rows);
    error PagesMisordered();
    error LengthMismatch(uint256 pages, uint256 payouts);
    error InvalidPoint(uint256 x, uint256 y);
    error TotalMismatch(uint64 total, uint64 drawn);
    error EmptyBatch();
    error WrongPayouts(BatchId batch);
    error UnknownVersion(uint32 page, uint64 version);
    error InvalidOpening();
    error NothingToClaim(EarnerIndex earner);
    error NoClaims();
    error PaymentFailed(EarnerIndex earner, address account);

    event BatchPosted(BatchId indexed batch, address indexed operator, uint64 indexed epoch, Submission submission);
    event BatchFinal(BatchId indexed batch, address indexed operator, uint64 total);
    event EarningsUpdated(uint32 indexed page, uint64 indexed version, G1Point commitment, BatchId batch);
    event Claimed(EarnerIndex indexed earner, address indexed account, uint64 amount, uint64 cumulativeEarnings);

    function batchOf(BatchId batch) external view returns (Batch memory);

    /// @notice keccak256(abi.encode(chainid, this, operator, epoch)).
    function batchIdOf(address operator, uint64 epoch) external view returns (BatchId);

    /// @notice Latest version and commitment of a page.
    function earningsOf(uint32 page) external view returns (uint64 version, G1Point memory commitment);

    /// @notice One of the last `VERSIONS_KEPT` versions.
    function earningsAt(uint32 page, uint64 version) external view returns (G1Point memory commitment);

    /// @notice Cumulative gwei claimed by an earner.
    function claimed(EarnerIndex earner) external view returns (uint64);

    /// @notice Posts the batch of the caller's epoch and draws its total from the payers' channels.
    function submitBatch(Submission calldata submission, IPaymentChannels.Draw[] calldata draws)
        external
        returns (BatchId batch);

    /// @notice Adds the payouts of a batch whose window is over to the earnings. Anyone may call it.
    /// @dev `pages` and `payouts` are those of the submission; the contract keeps only their hash.
    function finaliseBatch(BatchId batch, uint32[] calldata pages, G1Point[] calldata payouts) external;

    /// @notice Pays an earner what it earned and did not claim yet. Anyone may call it for anyone.
    function claim(Claim calldata claim_) external returns (uint64 amount);

    /// @notice Pays many earners; all openings share one pairing check, and one bad opening reverts all.
    function claimMany(Claim[] calldata claims) external returns (uint64 amount);
}
