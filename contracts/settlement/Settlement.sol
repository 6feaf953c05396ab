// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../interfaces/IPaymentChannels.sol";
import {IPayoutVerifier} from "../interfaces/IPayoutVerifier.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {G1Point, G2Point, Kzg, Opening} from "../libraries/Kzg.sol";
import {BatchId, EarnerIndex} from "../types/Ids.sol";
import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice Implements ISettlement over the registry of earners, staking, payment channels, data-availability
/// certificates and verifier of payouts that it is deployed with.
contract Settlement is ISettlement, Ownable2Step {
    using Kzg for G1Point;

    /// @notice Versions of a page's commitment that claims may open.
    uint256 public constant VERSIONS_KEPT = 16;

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

    /// @param latest version, 0 if no batch ever paid the page
    /// @param ring commitment of version i at i mod VERSIONS_KEPT
    struct Page {
        uint64 latest;
        G1Point[VERSIONS_KEPT] ring;
    }

    /// @dev In gwei, in one word, because every claim needs both.
    struct Totals {
        uint128 funded;
        uint128 claimed;
    }

    struct Payment {
        EarnerIndex earner;
        address account;
        IEarnerRegistry.Role role;
        uint64 amount;
    }

    uint256 private constant GWEI = 1e9;
    uint256 private constant WAD = 1e18;
    uint256 private constant EARNERS_PER_WORD = 4;
    uint32 private constant MIN_ROWS = 8;
    uint32 private constant MAX_ROWS = 65_536;
    uint32 private constant CELLS_PER_ROW = 8;
    uint32 private constant MIN_SLOT_CELLS = 8;
    uint32 private constant MAX_SYMBOLS = 1 << 19;

    /// @notice Whom earner indices pay.
    IEarnerRegistry public immutable earners;

    /// @notice Where operators are looked up and stakers are paid.
    IStaking public immutable staking;

    /// @notice Where batches draw their totals from.
    IPaymentChannels public immutable channels;

    /// @notice Who tells that a batch's blobs are available.
    IDaCertVerifier public immutable daCerts;

    /// @inheritdoc ISettlement
    IPayoutVerifier public immutable payoutVerifier;

    /// @inheritdoc ISettlement
    uint64 public immutable epochSeconds;

    /// @inheritdoc ISettlement
    uint64 public immutable disputeWindow;

    /// @inheritdoc ISettlement
    uint32 public immutable pageSize;

    /// @dev v, the generator of a page's domain.
    uint256 private immutable _pageRoot;

    uint256 private immutable _tauG2X1;
    uint256 private immutable _tauG2X0;
    uint256 private immutable _tauG2Y1;
    uint256 private immutable _tauG2Y0;

    /// @inheritdoc ISettlement
    uint256 public exposureWad;

    /// @inheritdoc ISettlement
    mapping(address arbiter => bool) public isArbiter;

    Totals private _totals;

    /// @dev Gwei claimed by each earner. Four neighbours share a word, which makes claims of all cheaper in order.
    mapping(uint256 group => uint64[EARNERS_PER_WORD]) private _claimed;
    mapping(BatchId batch => Batch) private _batches;
    mapping(address operator => Standing) private _standings;

    /// @dev The batches of an operator that stand, from height 1; what lies above its height is left over from batches
    /// that were on top of a struck one.
    mapping(address operator => mapping(uint64 height => BatchId)) private _chains;
    mapping(uint32 page => Page) private _pages;

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
    ) Ownable(owner_) {
        require(parameters.epochSeconds > 0, ZeroEpochSeconds());
        uint64 unbondingPeriod = staking_.unbondingPeriod();
        require(
            unbondingPeriod >= parameters.disputeWindow, UnbondingTooShort(unbondingPeriod, parameters.disputeWindow)
        );

        earners = earners_;
        staking = staking_;
        channels = channels_;
        daCerts = daCerts_;
        payoutVerifier = payoutVerifier_;
        epochSeconds = parameters.epochSeconds;
        disputeWindow = parameters.disputeWindow;
        _setExposure(parameters.exposureWad);

        // What the verifier's proofs are about is what claims open.
        pageSize = payoutVerifier_.pageSize();
        _pageRoot = Kzg.rootOfUnity(pageSize);
        G2Point memory tau = payoutVerifier_.tauG2();
        (_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0) = (tau.x1, tau.x0, tau.y1, tau.y0);
    }

    /// @dev Only draws bring coins: anything else would be stuck, as claims are paid from the totals of batches.
    receive() external payable {
        require(msg.sender == address(channels), NotChannels(msg.sender));
    }

    /// @inheritdoc ISettlement
    function tauG2() public view returns (G2Point memory) {
        return G2Point(_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0);
    }

    /// @inheritdoc ISettlement
    function claimed(EarnerIndex earner) external view returns (uint64) {
        uint256 i = EarnerIndex.unwrap(earner);
        return _claimed[i / EARNERS_PER_WORD][i % EARNERS_PER_WORD];
    }

    /// @inheritdoc ISettlement
    function totalFunded() external view returns (uint256) {
        return _totals.funded;
    }

    /// @inheritdoc ISettlement
    function totalClaimed() external view returns (uint256) {
        return _totals.claimed;
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
    function earningsOf(uint32 page) external view returns (uint64 version, G1Point memory commitment) {
        version = _pages[page].latest;
        commitment = _pages[page].ring[version % VERSIONS_KEPT];
    }

    /// @inheritdoc ISettlement
    function earningsAt(uint32 page, uint64 version) public view returns (G1Point memory commitment) {
        uint64 latest = _pages[page].latest;
        require(version != 0 && version <= latest && latest - version < VERSIONS_KEPT, UnknownVersion(page, version));
        commitment = _pages[page].ring[version % VERSIONS_KEPT];
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
        _checkShape(submission);
        _checkWitnesses(submission);
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
        _totals.funded += total;
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

    /// @inheritdoc ISettlement
    function claim(Claim calldata claim_) external returns (uint64 amount) {
        G1Point memory commitment = earningsAt(_pageOf(claim_), claim_.version);
        require(Kzg.opens(_openingOf(claim_, commitment), tauG2()), InvalidOpening());

        Totals memory totals = _totals;
        Payment memory payment = _record(claim_, totals);
        _totals = totals;
        amount = payment.amount;

        _pay(payment);
    }

    /// @inheritdoc ISettlement
    function claimMany(Claim[] calldata claims) external returns (uint64 amount) {
        require(claims.length > 0, NoClaims());
        _checkOpenings(claims);

        Totals memory totals = _totals;
        Payment[] memory payments = _unfilled(claims.length);
        for (uint256 i; i < claims.length; ++i) {
            payments[i] = _record(claims[i], totals);
            amount += payments[i].amount;
        }
        _totals = totals;

        // Only after all effects, so that an account that calls back finds nothing half done.
        for (uint256 i; i < payments.length; ++i) {
            _pay(payments[i]);
        }
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

    function _checkShape(Submission calldata submission) private view {
        uint32 rows = submission.rows;
        require(rows >= MIN_ROWS && rows <= MAX_ROWS && _isPowerOfTwo(rows), RowsOutOfRange(rows));
        require(submission.total > 0 && submission.pages.length > 0, EmptyBatch());
        require(
            submission.pages.length == submission.payouts.length,
            LengthMismatch(submission.pages.length, submission.payouts.length)
        );

        _checkPoint(submission.ledger);
        _checkPages(submission.pages);
        for (uint256 i; i < submission.payouts.length; ++i) {
            _checkPoint(submission.payouts[i]);
        }
    }

    function _checkWitnesses(Submission calldata submission) private pure {
        (uint32 symbols, uint32 cells) = (submission.witnessSymbols, submission.slotCells);
        // Slot 0 holds the payload's header, so a blob of one slot would hold no record.
        require(
            symbols <= MAX_SYMBOLS && _isPowerOfTwo(symbols) && cells >= MIN_SLOT_CELLS && _isPowerOfTwo(cells)
                && cells <= symbols / 2,
            WitnessesOutOfRange(symbols, cells)
        );
        require(submission.witnesses.length > 0, NoWitnesses());

        for (uint256 i; i < submission.witnesses.length; ++i) {
            _checkPoint(submission.witnesses[i]);
        }
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

    function _isPowerOfTwo(uint32 x) private pure returns (bool) {
        return x > 0 && x & (x - 1) == 0;
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

    /// @dev The bound by registered earners keeps finalisation affordable however many pages a submission names.
    function _checkPages(uint32[] calldata pages) private view {
        uint32 lastPage = earners.earnerCount() / pageSize;

        for (uint256 i; i < pages.length; ++i) {
            require(i == 0 || pages[i] > pages[i - 1], PagesMisordered());
            require(pages[i] <= lastPage, PageOutOfRange(pages[i], lastPage));
        }
    }

    function _checkPoint(G1Point calldata p) private pure {
        require(Kzg.isValid(p), InvalidPoint(p.x, p.y));
    }

    function _addEarnings(uint32 page, G1Point calldata payout, BatchId batch) private {
        Page storage stored = _pages[page];
        uint64 version = stored.latest + 1;
        G1Point memory commitment = stored.ring[stored.latest % VERSIONS_KEPT].add(payout);

        stored.latest = version;
        stored.ring[version % VERSIONS_KEPT] = commitment;

        emit EarningsUpdated(page, version, commitment, batch);
    }

    function _checkOpenings(Claim[] calldata claims) private view {
        Opening[] memory openings = Kzg.unfilled(claims.length);
        G1Point memory commitment;
        (uint256 page, uint256 version) = (type(uint256).max, 0);
        for (uint256 i; i < claims.length; ++i) {
            Claim calldata claim_ = claims[i];
            // Neighbours mostly open the same commitment.
            if (_pageOf(claim_) != page || claim_.version != version) {
                (page, version) = (_pageOf(claim_), claim_.version);
                commitment = earningsAt(_pageOf(claim_), claim_.version);
            }
            openings[i] = _openingOf(claim_, commitment);
        }
        require(Kzg.opensAll(openings, tauG2()), InvalidOpening());
    }

    function _pageOf(Claim calldata claim_) private view returns (uint32) {
        return EarnerIndex.unwrap(claim_.earner) / pageSize;
    }

    function _openingOf(Claim calldata claim_, G1Point memory commitment) private view returns (Opening memory) {
        return Opening({
            commitment: commitment,
            point: Kzg.pow(_pageRoot, EarnerIndex.unwrap(claim_.earner) % pageSize),
            value: claim_.cumulativeEarnings,
            witness: claim_.witness
        });
    }

    /// @dev Room for payments that are all set before one is read. Solidity would make an empty one for each first.
    function _unfilled(uint256 count) private pure returns (Payment[] memory payments) {
        assembly ("memory-safe") {
            payments := mload(0x40)
            mstore(payments, count)
            mstore(0x40, add(payments, mul(add(count, 1), 0x20)))
        }
    }

    /// @dev Books a claim whose opening has been checked, and adds it to the totals, which the caller stores.
    function _record(Claim calldata claim_, Totals memory totals) private returns (Payment memory payment) {
        EarnerIndex earner = claim_.earner;
        uint64 cumulative = claim_.cumulativeEarnings;
        uint256 index = EarnerIndex.unwrap(earner);
        uint64[EARNERS_PER_WORD] storage group = _claimed[index / EARNERS_PER_WORD];
        uint64 before = group[index % EARNERS_PER_WORD];

        require(cumulative > before, NothingToClaim(earner));
        uint64 amount = cumulative - before;
        uint256 available = totals.funded - totals.claimed;
        require(amount <= available, AboveFunding(earner, amount, available));
        (address account, IEarnerRegistry.Role role) = earners.accountOf(earner);

        group[index % EARNERS_PER_WORD] = cumulative;
        totals.claimed += amount;
        payment = Payment(earner, account, role, amount);

        emit Claimed(earner, account, amount, cumulative);
    }

    /// @dev Paid to the earner whoever calls, so anyone may relay a claim.
    function _pay(Payment memory payment) private {
        uint256 value = payment.amount * GWEI;

        if (payment.role == IEarnerRegistry.Role.Stakers) {
            try staking.addFees{value: value}(payment.account) {}
            catch {
                revert PaymentFailed(payment.earner, payment.account);
            }
        } else {
            // What the account returns is not copied, so that it cannot make the caller pay for it.
            bool paid = LowLevelCall.callNoReturn(payment.account, value, "");
            require(paid, PaymentFailed(payment.earner, payment.account));
        }
    }
}
