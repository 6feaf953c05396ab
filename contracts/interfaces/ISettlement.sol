// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "../libraries/Kzg.sol";
import {BatchId, EarnerIndex} from "../types/Ids.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";

/// @notice Batches of paid calls: posted with commitments, final after the dispute window, claimed with openings.
/// @dev Amounts are whole gwei of native OPEN; they become wei (times 1e9) only where coins move.
///
/// Earners are placed on pages of `pageSize` (M): earner i is position k = i mod M of page p = i / M. Payouts of a
/// batch to page p are a polynomial P_p of degree below M with P_p(v^k) = gwei paid to earner pM + k, where v generates
/// the domain of M roots of unity (arkworks' Radix2 domain of BN254). Cumulative earnings T_p are the sum of the P_p of
/// all final batches; commitments add, so the contract keeps one point C(T_p) and a final batch adds its C(P_p) to it.
/// A claim opens T_p at v^k and is paid the difference to what the earner claimed before.
///
/// Earnings only grow, so an old version of C(T_p) can only understate them: a claim may open any of the last
/// `VERSIONS_KEPT` versions, and a batch that becomes final meanwhile does not spoil it.
///
/// Warning: no proof of payouts is checked on chain yet. Until PayoutVerifier is wired in, that the payouts of a batch
/// are the sums of its ledger's rows rests on whoever watches the dispute window. Claims together are never paid more
/// than the totals of final batches, but within that sum a false batch that becomes final takes from other earners.
interface ISettlement {
    enum Status {
        None,
        Posted,
        Final
    }

    /// @param epoch index of the clock epoch (time / epochSeconds) that the batch's calls were signed in
    /// @param rows of the ledger, a power of two from 2 to 65536; the blob has 8 * rows symbols
    /// @param total gwei drawn and paid by the batch
    /// @param ledger commitment to the ledger blob
    /// @param pages strictly increasing numbers of the earner pages paid
    /// @param payouts commitment to P of each page; the identity, which pays nobody, is allowed
    /// @param certificate that the blob is available, for IDaCertVerifier
    struct Submission {
        uint64 epoch;
        uint32 rows;
        uint64 total;
        G1Point ledger;
        uint32[] pages;
        G1Point[] payouts;
        bytes certificate;
    }

    /// @param finalisableAt end of the dispute window (seconds)
    /// @param submissionHash keccak256(abi.encode(pages, payouts)) of the submission
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

    /// @param cumulativeEarnings gwei that the opened version holds for the earner
    /// @param version of the page's commitment that the witness opens
    /// @param witness commitment to (T_p(X) - cumulativeEarnings) / (X - v^k)
    struct Claim {
        EarnerIndex earner;
        uint64 cumulativeEarnings;
        uint64 version;
        G1Point witness;
    }

    /// @dev Thrown when whoever is not an active operator posts a batch.
    error OperatorNotActive(address operator);
    /// @dev Thrown when an epoch is posted before its end (seconds).
    error EpochNotOver(uint64 epoch, uint64 endsAt);
    /// @dev Thrown when an operator posts an epoch twice.
    error BatchExists(BatchId batch);
    /// @dev Thrown for a batch that was never posted.
    error UnknownBatch(BatchId batch);
    /// @dev Thrown when a batch is finalised that is final already.
    error NotPosted(BatchId batch);
    /// @dev Thrown when a batch is finalised before `finalisableAt` (seconds).
    error WindowOpen(BatchId batch, uint64 finalisableAt);
    /// @dev Thrown unless the rows are a power of two from 2 to 65536.
    error RowsOutOfRange(uint32 rows);
    /// @dev Thrown unless the pages paid strictly increase.
    error PagesMisordered();
    /// @dev Thrown when a page beyond that of the last registered earner is paid.
    error PageOutOfRange(uint32 page, uint32 lastPage);
    /// @dev Thrown unless there is one payout commitment per page.
    error LengthMismatch(uint256 pages, uint256 payouts);
    /// @dev Thrown for a commitment that is not a point of G1 with reduced coordinates.
    error InvalidPoint(uint256 x, uint256 y);
    /// @dev Thrown unless the draws come to exactly the total (gwei).
    error TotalMismatch(uint64 total, uint64 drawn);
    /// @dev Thrown when a batch has a total of zero or pays no page.
    error EmptyBatch();
    /// @dev Thrown unless a batch is finalised with the pages and payouts that it was posted with.
    error WrongPayouts(BatchId batch);
    /// @dev Thrown for a version of a page that is not one of the last `VERSIONS_KEPT`.
    error UnknownVersion(uint32 page, uint64 version);
    /// @dev Thrown when a witness does not open its version at the earner to the amount claimed.
    error InvalidOpening();
    /// @dev Thrown when an earner claimed as much before.
    error NothingToClaim(EarnerIndex earner);
    /// @dev Thrown for an empty list of claims.
    error NoClaims();
    /// @dev Thrown when a claim (gwei) is more than final batches funded and earlier claims left.
    error AboveFunding(EarnerIndex earner, uint64 amount, uint256 available);
    /// @dev Thrown when the account, or Staking for stakers, does not accept the payment.
    error PaymentFailed(EarnerIndex earner, address account);
    /// @dev Thrown when anyone but PaymentChannels sends coins here.
    error NotChannels(address sender);
    /// @dev Thrown at construction, when epochs would have no length.
    error ZeroEpochSeconds();
    /// @dev Thrown at construction, unless tau G2 is a point of G2 other than the identity.
    error InvalidSrs();

    /// @dev Carries the whole submission: finalising, watching and proving need nothing else from the chain.
    event BatchPosted(BatchId indexed batch, address indexed operator, uint64 indexed epoch, Submission submission);
    event BatchFinal(BatchId indexed batch, address indexed operator, uint64 total);
    /// @dev Emitted once per page of a batch that becomes final, before its `BatchFinal`.
    event EarningsUpdated(uint32 indexed page, uint64 indexed version, G1Point commitment, BatchId batch);
    event Claimed(EarnerIndex indexed earner, address indexed account, uint64 amount, uint64 cumulativeEarnings);

    /// @notice Length of an epoch; epoch e is [e * epochSeconds, (e + 1) * epochSeconds) of Unix time.
    function epochSeconds() external view returns (uint64);

    /// @notice Seconds from the posting of a batch until it may become final.
    function disputeWindow() external view returns (uint64);

    /// @notice Earners per page (M), a power of two.
    function pageSize() external view returns (uint32);

    /// @notice tau G2 of the structured reference string that all commitments use.
    function tauG2() external view returns (G2Point memory);

    /// @notice A batch; all fields are zero for an id that was not posted.
    function batchOf(BatchId batch) external view returns (Batch memory);

    /// @notice keccak256(abi.encode(chainid, this, operator, epoch)).
    function batchIdOf(address operator, uint64 epoch) external view returns (BatchId);

    /// @notice Latest version and commitment of a page; version 0 and the identity before its first final batch.
    function earningsOf(uint32 page) external view returns (uint64 version, G1Point memory commitment);

    /// @notice One of the last `VERSIONS_KEPT` versions. Reverts for any other.
    function earningsAt(uint32 page, uint64 version) external view returns (G1Point memory commitment);

    /// @notice Cumulative gwei claimed by an earner.
    function claimed(EarnerIndex earner) external view returns (uint64);

    /// @notice Sum of the totals of final batches (gwei): what claims may be paid from.
    function totalFunded() external view returns (uint256);

    /// @notice Sum of all claims paid (gwei); never above `totalFunded`.
    function totalClaimed() external view returns (uint256);

    /// @notice Posts the batch of the caller's epoch and draws its total from the payers' channels.
    /// @dev The caller is an operator that is active in Staking. There is one batch per operator and epoch, and only
    /// once the epoch is over by the block's clock; epochs need not be posted in order, but a channel's draws must
    /// grow. The draws must come to exactly `total`, else the whole submission reverts. A page may only be paid if one
    /// of its earners is registered.
    ///
    /// The voucher of a draw authorises the amount only; which calls belong to the epoch is a matter of the ledger's
    /// rows.
    function submitBatch(Submission calldata submission, IPaymentChannels.Draw[] calldata draws)
        external
        returns (BatchId batch);

    /// @notice Adds the payouts of a batch whose window is over to the earnings. Anyone may call it.
    /// @dev `pages` and `payouts` are those of the submission; the contract keeps only their hash.
    function finaliseBatch(BatchId batch, uint32[] calldata pages, G1Point[] calldata payouts) external;

    /// @notice Pays an earner what it earned and did not claim yet. Anyone may call it for anyone.
    /// @dev Stakers of an operator are paid into Staking's fee stream, everyone else by a plain transfer to the
    /// account. @return amount gwei paid
    function claim(Claim calldata claim_) external returns (uint64 amount);

    /// @notice Pays many earners; all openings share one pairing check, and one bad opening reverts all.
    /// @dev So does one account that refuses its payment: leave it out. Cheapest when sorted by page and version.
    /// @return amount gwei paid in all
    function claimMany(Claim[] calldata claims) external returns (uint64 amount);
}
