// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../interfaces/IPaymentChannels.sol";
import {IPayoutVerifier} from "../interfaces/IPayoutVerifier.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {G1Point} from "../libraries/Kzg.sol";
import {SubmissionRules} from "../libraries/SubmissionRules.sol";
import {BatchId} from "../types/Ids.sol";
import {Earnings} from "./Earnings.sol";
import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Settlement
/// @notice Batches over the registry of earners, staking, payment channels, data-availability
/// certificates and verifier of payouts that it is deployed with.
contract Settlement is Earnings, Ownable2Step {
    /// @param epochSeconds length of an epoch
    /// @param disputeWindow seconds from posting to finality
    /// @param exposureWad part of its stake that an operator's batches may come to before they are final
    struct Parameters {
        uint64 epochSeconds;
        uint64 disputeWindow;
        uint256 exposureWad;
    }

    /// @param unfinal gwei of posted batches
    /// @param height of the chain of batches that stand
    struct Standing {
        uint128 unfinal;
        uint64 height;
    }

    uint256 private constant WAD = 1e18;
    uint32 private constant CELLS_PER_ROW = 8;

    /// @notice Where batches draw their totals from.
    IPaymentChannels public immutable channels;

    /// @notice Who tells that a batch's blobs are available.
    IDaCertVerifier public immutable daCerts;

    /// @inheritdoc ISettlement
    uint64 public immutable epochSeconds;

    /// @inheritdoc ISettlement
    uint64 public immutable disputeWindow;

    /// @inheritdoc ISettlement
    uint256 public exposureWad;

    /// @inheritdoc ISettlement
    mapping(address arbiter => bool) public isArbiter;

    mapping(BatchId batch => Batch) private _batches;
    mapping(address operator => Standing) private _standings;

    /// @dev The batches of an operator that stand, from height 1; what lies above its height is left over from batches
    /// that were on top of a struck one.
    mapping(address operator => mapping(uint64 height => BatchId)) private _chains;

    modifier onlyArbiter() {
        require(isArbiter[msg.sender], NotArbiter(msg.sender));
        _;
    }

    constructor(
        address owner_,
        IEarnerRegistry earners_,
        IStaking staking_,
        IPaymentChannels channels_,
        IDaCertVerifier daCerts_,
        IPayoutVerifier payoutVerifier_,
        Parameters memory parameters
    ) Ownable(owner_) Earnings(earners_, staking_, payoutVerifier_) {
        require(parameters.epochSeconds > 0, ZeroEpochSeconds());
        uint64 unbondingPeriod = staking_.unbondingPeriod();
        require(
            unbondingPeriod >= parameters.disputeWindow, UnbondingTooShort(unbondingPeriod, parameters.disputeWindow)
        );

        channels = channels_;
        daCerts = daCerts_;
        epochSeconds = parameters.epochSeconds;
        disputeWindow = parameters.disputeWindow;
        _setExposure(parameters.exposureWad);
    }

    /// @dev Only draws bring coins: anything else would be stuck, as claims are paid from the totals of batches.
    receive() external payable {
        require(msg.sender == address(channels), NotChannels(msg.sender));
    }

    /// @inheritdoc ISettlement
    function batchOf(BatchId batch) external view returns (Batch memory) {
        return _batches[batch];
    }

    /// @inheritdoc ISettlement
    function batchIdOf(address operator, uint64 epoch) public view returns (BatchId) {
        return BatchId.wrap(keccak256(abi.encode(block.chainid, address(this), operator, epoch)));
    }

    /// @inheritdoc ISettlement
    function unfinalOf(address operator) external view returns (uint256) {
        return _standings[operator].unfinal;
    }

    /// @inheritdoc ISettlement
    function exposureCapOf(address operator) public view returns (uint256) {
        return exposureWad * staking.stakeOf(operator) / WAD / GWEI;
    }

    /// @inheritdoc ISettlement
    function headOf(address operator) public view returns (BatchId) {
        return _chains[operator][_standings[operator].height];
    }

    /// @inheritdoc ISettlement
    function submitBatch(
        Submission calldata submission,
        IPaymentChannels.Draw[] calldata draws,
        uint256[] calldata proof
    ) external returns (BatchId batch) {
        batch = batchIdOf(msg.sender, submission.epoch);

        require(staking.isActive(msg.sender), OperatorNotActive(msg.sender));
        require(_batches[batch].status == Status.None, BatchExists(batch));
        _checkEpoch(submission.epoch, draws);
        _checkPrevious(submission);
        // The bound by registered earners keeps finalisation affordable however many pages a submission names.
        SubmissionRules.checkShape(submission, earners.earnerCount() / pageSize);
        SubmissionRules.checkWitnesses(submission);
        _checkCertificates(submission);
        _checkExposure(submission.total);

        // Before the batch is stored, because the proof is about what is drawn. Nobody can call back meanwhile: payers
        // with code are only asked for signatures, by static calls.
        (uint64 drawn, IPaymentChannels.Interval[] memory intervals) = channels.draw(msg.sender, draws);
        require(drawn == submission.total, TotalMismatch(submission.total, drawn));
        require(payoutVerifier.verify(_statementOf(batch, submission, intervals), proof), InvalidProof());

        _append(batch, submission, keccak256(abi.encode(intervals)));

        emit BatchPosted(batch, msg.sender, submission.epoch, submission, intervals);
    }

    /// @inheritdoc ISettlement
    function finaliseBatch(BatchId batch, uint32[] calldata pages, G1Point[] calldata payouts) external {
        Batch storage stored = _posted(batch);
        (uint64 total, BatchId previous) = (stored.total, stored.previous);

        require(block.timestamp >= stored.finalisableAt, WindowOpen(batch, stored.finalisableAt));
        require(stored.holds == 0, BatchHeld(batch, stored.holds));
        require(_isZero(previous) || _batches[previous].status == Status.Final, PreviousNotFinal(batch, previous));
        require(stored.payoutsHash == keccak256(abi.encode(pages, payouts)), WrongPayouts(batch));

        stored.status = Status.Final;
        _standings[stored.operator].unfinal -= total;
        _fund(total);
        for (uint256 i; i < pages.length; ++i) {
            _addEarnings(pages[i], payouts[i], batch);
        }

        emit BatchFinal(batch, stored.operator, total);
    }

    /// @inheritdoc ISettlement
    function strike(BatchId batch) external onlyArbiter {
        _strike(batch, _posted(batch));
    }

    /// @inheritdoc ISettlement
    function strikeOrphan(BatchId batch) external {
        Batch storage stored = _posted(batch);
        require(_batches[stored.previous].status == Status.Struck, NotOrphan(batch));

        _strike(batch, stored);
    }

    /// @inheritdoc ISettlement
    function refund(BatchId batch, IPaymentChannels.Interval[] calldata intervals) external {
        Batch storage stored = _known(batch);
        bytes32 drawsHash = stored.drawsHash;
        uint64 total = stored.total;

        require(stored.status == Status.Struck, NotStruck(batch));
        require(drawsHash != 0, AlreadyRefunded(batch));
        require(drawsHash == keccak256(abi.encode(intervals)), WrongDraws(batch));

        stored.drawsHash = 0;

        emit BatchRefunded(batch, total);

        channels.refund{value: total * GWEI}(intervals);
    }

    /// @inheritdoc ISettlement
    function hold(BatchId batch) external onlyArbiter {
        uint32 holds = ++_posted(batch).holds;

        emit BatchHoldsChanged(batch, holds);
    }

    /// @inheritdoc ISettlement
    function release(BatchId batch) external onlyArbiter {
        Batch storage stored = _known(batch);
        require(stored.holds > 0, NotHeld(batch));

        uint32 holds = --stored.holds;

        emit BatchHoldsChanged(batch, holds);
    }

    /// @inheritdoc ISettlement
    function setArbiter(address arbiter, bool allowed) external onlyOwner {
        isArbiter[arbiter] = allowed;

        emit ArbiterSet(arbiter, allowed);
    }

    /// @inheritdoc ISettlement
    function setExposure(uint256 wad) external onlyOwner {
        _setExposure(wad);
    }

    function _known(BatchId batch) private view returns (Batch storage stored) {
        stored = _batches[batch];
        require(stored.status != Status.None, UnknownBatch(batch));
    }

    function _posted(BatchId batch) private view returns (Batch storage stored) {
        stored = _known(batch);
        require(stored.status == Status.Posted, NotPosted(batch));
    }

    function _isZero(BatchId batch) private pure returns (bool) {
        return BatchId.unwrap(batch) == 0;
    }

    /// @dev In 256 bits, because the end of a far epoch does not fit 64.
    function _checkEpoch(uint64 epoch, IPaymentChannels.Draw[] calldata draws) private view {
        uint256 endsAt = (uint256(epoch) + 1) * epochSeconds;
        require(block.timestamp >= endsAt, EpochNotOver(epoch, uint64(Math.min(endsAt, type(uint64).max))));

        for (uint256 i; i < draws.length; ++i) {
            uint64 time = draws[i].voucher.call.time;
            require(time / epochSeconds == epoch, VoucherOutsideEpoch(draws[i].voucher.channelId, time));
        }
    }

    function _checkPrevious(Submission calldata submission) private view {
        BatchId head = headOf(msg.sender);
        require(BatchId.unwrap(submission.previous) == BatchId.unwrap(head), WrongPrevious(submission.previous, head));

        uint64 before = _batches[head].epoch;
        require(_isZero(head) || submission.epoch > before, EpochMisordered(submission.epoch, before));
    }

    function _checkCertificates(Submission calldata submission) private view {
        bytes[] calldata certificates = submission.certificates;
        uint256 blobs = 1 + submission.witnesses.length;
        require(certificates.length == blobs, CertificatesMismatch(blobs, certificates.length));

        daCerts.check(submission.ledger, CELLS_PER_ROW * submission.rows, certificates[0]);
        for (uint256 i = 1; i < blobs; ++i) {
            daCerts.check(submission.witnesses[i - 1], submission.witnessSymbols, certificates[i]);
        }
    }

    function _checkExposure(uint64 total) private view {
        uint256 unfinal = uint256(_standings[msg.sender].unfinal) + total;
        uint256 cap = exposureCapOf(msg.sender);
        require(unfinal <= cap, AboveExposure(msg.sender, unfinal, cap));
    }

    function _statementOf(BatchId batch, Submission calldata submission, IPaymentChannels.Interval[] memory intervals)
        private
        view
        returns (IPayoutVerifier.Statement memory)
    {
        IPayoutVerifier.ChannelDraw[] memory draws = new IPayoutVerifier.ChannelDraw[](intervals.length);
        for (uint256 i; i < draws.length; ++i) {
            draws[i] = IPayoutVerifier.ChannelDraw(intervals[i].channel, intervals[i].to - intervals[i].from);
        }

        return IPayoutVerifier.Statement({
            settlement: address(this),
            operator: msg.sender,
            batch: batch,
            certificateHash: keccak256(abi.encode(submission.certificates)),
            rows: submission.rows,
            total: submission.total,
            draws: draws,
            ledger: submission.ledger,
            witnesses: submission.witnesses,
            pages: submission.pages,
            payouts: submission.payouts
        });
    }

    /// @dev Stores the caller's batch as the head of its chain.
    function _append(BatchId batch, Submission calldata submission, bytes32 drawsHash) private {
        Standing storage standing = _standings[msg.sender];
        uint64 height = ++standing.height;
        standing.unfinal += submission.total;
        _chains[msg.sender][height] = batch;

        Batch storage stored = _batches[batch];
        stored.operator = msg.sender;
        stored.epoch = submission.epoch;
        stored.total = submission.total;
        stored.finalisableAt = uint64(block.timestamp) + disputeWindow;
        stored.rows = submission.rows;
        stored.witnessSymbols = submission.witnessSymbols;
        stored.slotCells = submission.slotCells;
        stored.status = Status.Posted;
        stored.height = height;
        stored.previous = submission.previous;
        stored.payoutsHash = keccak256(abi.encode(submission.pages, submission.payouts));
        stored.witnessesHash = keccak256(abi.encode(submission.witnesses));
        stored.drawsHash = drawsHash;
        stored.ledger = submission.ledger;
    }

    function _strike(BatchId batch, Batch storage stored) private {
        address operator = stored.operator;
        uint64 height = stored.height;
        Standing storage standing = _standings[operator];

        stored.status = Status.Struck;
        standing.unfinal -= stored.total;
        // All above it in the chain rests on it. A batch that was cut off before is not in the chain any more.
        if (height <= standing.height && BatchId.unwrap(_chains[operator][height]) == BatchId.unwrap(batch)) {
            standing.height = height - 1;
        }

        emit BatchStruck(batch, operator);
    }

    function _setExposure(uint256 wad) private {
        require(wad > 0 && wad <= WAD, ExposureOutOfRange(wad));

        exposureWad = wad;

        emit ExposureSet(wad);
    }
}
