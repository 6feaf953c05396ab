// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point, G2Point} from "../libraries/Kzg.sol";
import {BatchId, ChannelId, EarnerIndex} from "../types/Ids.sol";
import {IPaymentChannels} from "./IPaymentChannels.sol";
import {IPayoutVerifier} from "./IPayoutVerifier.sol";

/// @notice Batches of paid calls: posted with a proof, disputed or final after the dispute window, claimed with
/// openings.
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
/// A batch's draws arrive here when it is posted. IPayoutVerifier shows that its payouts are the sums of its ledger's
/// rows and come to the draws; whether the rows are true is for disputes. Until a batch is final an arbiter may strike
/// it: nothing was added to any earnings, and `refund` sends its draws back to the channels. So this contract always
/// holds exactly the totals of posted and struck batches that were not refunded, and what final ones funded and nobody
/// claimed yet.
///
/// Batches of an operator form a chain: each names the one before it, because penalties carry over from one to the
/// next. A batch on top of a struck one can never become final; anyone may strike it too (`strikeOrphan`), without a
/// slash, and the operator goes on from the last batch that stands (`headOf`). An epoch that was struck is lost.
///
/// What an operator may have in batches that are not final is bounded by its stake (`exposureWad`), so that a slash
/// outweighs what false batches could take. Stake that is unbonding does not count for it but can still be slashed; the
/// unbonding period is at least the dispute window, so stake that a posted batch rests on cannot leave before the batch
/// is final, unless it is held beyond its window.
/// Warning: an operator must serve no more in an epoch than it can post; calls above the cap wait for earlier batches
/// to become final, while payers may withdraw and certificates expire.
///
/// Warning: the owner appoints arbiters, and an arbiter can strike or hold any batch that is not final. It can neither
/// make one final nor take its coins: those only go back to where they were drawn.
interface ISettlement {
    enum Status {
        None,
        Posted,
        Final,
        Struck
    }

    /// @dev All witness blobs have the same layout: slots of `slotCells` cells, one for each record.
    /// @param epoch index of the clock epoch (time / epochSeconds) that the batch's calls were signed in
    /// @param previous the operator's `headOf`
    /// @param rows of the ledger, a power of two from 8 to 65536; the blob has 8 * rows symbols
    /// @param total gwei drawn and paid by the batch
    /// @param witnessSymbols symbols of each witness blob, a power of two up to 2^19
    /// @param slotCells cells of a slot, a power of two from 8 to half of `witnessSymbols`
    /// @param ledger commitment to the ledger blob
    /// @param witnesses commitments to the witness blobs, at least one
    /// @param pages strictly increasing numbers of the earner pages paid
    /// @param payouts commitment to P of each page; the identity, which pays nobody, is allowed
    /// @param certificates that the blobs are available, for IDaCertVerifier: the ledger's, then one per witness blob
    struct Submission {
        uint64 epoch;
        BatchId previous;
        uint32 rows;
        uint64 total;
        uint32 witnessSymbols;
        uint32 slotCells;
        G1Point ledger;
        G1Point[] witnesses;
        uint32[] pages;
        G1Point[] payouts;
        bytes[] certificates;
    }

    /// @param finalisableAt end of the dispute window (seconds)
    /// @param holds of arbiters that are not released; the batch cannot become final while there are any
    /// @param height place in the operator's chain, from 1
    /// @param previous the batch that it was posted on, zero for an operator's first
    /// @param payoutsHash keccak256(abi.encode(pages, payouts))
    /// @param witnessesHash keccak256(abi.encode(witnesses))
    /// @param drawsHash keccak256(abi.encode(intervals)), zero once refunded
    struct Batch {
        address operator;
        uint64 epoch;
        uint64 total;
        uint64 finalisableAt;
        uint32 rows;
        uint32 witnessSymbols;
        uint32 slotCells;
        uint32 holds;
        Status status;
        uint64 height;
        BatchId previous;
        bytes32 payoutsHash;
        bytes32 witnessesHash;
        bytes32 drawsHash;
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
    /// @dev Thrown when a batch is finalised, struck or held that is final or struck already.
    error NotPosted(BatchId batch);
    /// @dev Thrown when a batch is posted on another than the operator's head.
    error WrongPrevious(BatchId previous, BatchId head);
    /// @dev Thrown unless the epoch of a batch is greater than that of the one before it.
    error EpochMisordered(uint64 epoch, uint64 previous);
    /// @dev Thrown when a voucher that is drawn was signed in another epoch (time in seconds).
    error VoucherOutsideEpoch(ChannelId channel, uint64 time);
    /// @dev Thrown unless the proof shows the payouts of the batch.
    error InvalidProof();
    /// @dev Thrown when an operator's batches that are not final would come to more than its stake covers (gwei).
    error AboveExposure(address operator, uint256 unfinal, uint256 cap);
    /// @dev Thrown when a held batch is finalised.
    error BatchHeld(BatchId batch, uint32 holds);
    /// @dev Thrown when a batch is released that is not held.
    error NotHeld(BatchId batch);
    /// @dev Thrown when a batch is finalised before the one that it was posted on.
    error PreviousNotFinal(BatchId batch, BatchId previous);
    /// @dev Thrown when anyone but an arbiter strikes, holds or releases.
    error NotArbiter(address caller);
    /// @dev Thrown when a batch is struck as an orphan whose previous one is not struck.
    error NotOrphan(BatchId batch);
    /// @dev Thrown when a batch is refunded that is not struck.
    error NotStruck(BatchId batch);
    /// @dev Thrown when a batch is refunded twice.
    error AlreadyRefunded(BatchId batch);
    /// @dev Thrown unless a batch is refunded with the intervals that it drew.
    error WrongDraws(BatchId batch);
    /// @dev Thrown unless the exposure is from 1 to 1e18.
    error ExposureOutOfRange(uint256 wad);
    /// @dev Thrown when a batch is finalised before `finalisableAt` (seconds).
    error WindowOpen(BatchId batch, uint64 finalisableAt);
    /// @dev Thrown unless the rows are a power of two from 8 to 65536.
    error RowsOutOfRange(uint32 rows);
    /// @dev Thrown unless the symbols of a witness blob are a power of two up to 2^19, and the cells of a slot one from
    /// 8 to half of them.
    error WitnessesOutOfRange(uint32 symbols, uint32 slotCells);
    /// @dev Thrown when a batch has no witness blob.
    error NoWitnesses();
    /// @dev Thrown unless there is one certificate per blob.
    error CertificatesMismatch(uint256 blobs, uint256 certificates);
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
    /// @dev Thrown at construction, when stake could leave before a batch that rests on it is final (seconds).
    error UnbondingTooShort(uint64 unbondingPeriod, uint64 disputeWindow);

    /// @dev Carries the whole submission: finalising, refunding, watching and disputing need nothing else from the
    /// chain.
    event BatchPosted(
        BatchId indexed batch,
        address indexed operator,
        uint64 indexed epoch,
        Submission submission,
        IPaymentChannels.Interval[] draws
    );
    event BatchFinal(BatchId indexed batch, address indexed operator, uint64 total);
    event BatchStruck(BatchId indexed batch, address indexed operator);
    event BatchRefunded(BatchId indexed batch, uint64 total);
    /// @param holds how many there are now
    event BatchHoldsChanged(BatchId indexed batch, uint32 holds);
    event ArbiterSet(address indexed arbiter, bool allowed);
    event ExposureSet(uint256 wad);
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

    /// @notice Checks that payouts are the sums of a ledger's rows.
    function payoutVerifier() external view returns (IPayoutVerifier);

    /// @notice Part of an operator's bonded stake, own and delegated, that its batches may come to before they are
    /// final (1e18 = all).
    function exposureWad() external view returns (uint256);

    /// @notice Gwei of an operator's posted batches: neither final nor struck.
    function unfinalOf(address operator) external view returns (uint256);

    /// @notice Most gwei that an operator's posted batches may come to, rounded down.
    function exposureCapOf(address operator) external view returns (uint256);

    /// @notice Latest batch of an operator that is not struck nor on top of a struck one; zero if there is none.
    function headOf(address operator) external view returns (BatchId);

    /// @notice Whether an address may strike and hold batches.
    function isArbiter(address arbiter) external view returns (bool);

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
    /// @dev The caller is an operator that is active in Staking. There is one batch per operator and epoch, only once
    /// the epoch is over by the block's clock, and epochs grow along the chain of batches; those without a paid call
    /// are left out. The draws must come to exactly `total`, else the whole submission reverts. A page may only be paid
    /// if
    /// one of its earners is registered.
    ///
    /// The voucher of a draw authorises the amount, and was signed in the epoch; which calls the ledger's rows are for
    /// is a matter of disputes.
    /// @param proof for `payoutVerifier`, of the statement with this contract as `settlement`,
    /// keccak256(abi.encode(certificates)) as `certificateHash` and the draws' intervals, in their order, as amounts
    function submitBatch(
        Submission calldata submission,
        IPaymentChannels.Draw[] calldata draws,
        uint256[] calldata proof
    ) external returns (BatchId batch);

    /// @notice Adds the payouts of a batch whose window is over to the earnings. Anyone may call it.
    /// @dev Needs that nobody holds the batch, and that the one before it is final. `pages` and `payouts` are those of
    /// the submission; the contract keeps only their hash.
    function finaliseBatch(BatchId batch, uint32[] calldata pages, G1Point[] calldata payouts) external;

    /// @notice Takes a posted batch out for ever. Arbiters only; also after the window, as long as the batch is not
    /// final.
    /// @dev A batch that stays on top of it becomes an orphan. Slashing is the arbiter's business.
    function strike(BatchId batch) external;

    /// @notice Takes out a posted batch whose previous one was struck. Anyone may call it; nobody is slashed.
    function strikeOrphan(BatchId batch) external;

    /// @notice Sends what a struck batch drew back to the channels. Anyone may call it, once for each batch.
    /// @param intervals the draws of `BatchPosted`; the contract keeps only their hash
    function refund(BatchId batch, IPaymentChannels.Interval[] calldata intervals) external;

    /// @notice Keeps a posted batch from becoming final until it is released. Arbiters only; holds add up.
    function hold(BatchId batch) external;

    /// @notice Takes one hold back, of a struck batch too. Arbiters only.
    function release(BatchId batch) external;

    /// @notice Sets whether an address may strike and hold. Owner only.
    /// @dev Warning: holds of an arbiter that is removed stay until another one releases them or strikes the batch.
    function setArbiter(address arbiter, bool allowed) external;

    /// @notice Sets the exposure that batches are accepted under from now on. Owner only.
    function setExposure(uint256 wad) external;

    /// @notice Pays an earner what it earned and did not claim yet. Anyone may call it for anyone.
    /// @dev Stakers of an operator are paid into Staking's fee stream, everyone else by a plain transfer to the
    /// account.
    /// @return amount gwei paid
    function claim(Claim calldata claim_) external returns (uint64 amount);

    /// @notice Pays many earners; all openings share one pairing check, and one bad opening reverts all.
    /// @dev So does one account that refuses its payment: leave it out. Cheapest when sorted by page and version.
    /// @return amount gwei paid in all
    function claimMany(Claim[] calldata claims) external returns (uint64 amount);
}
