// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../interfaces/IPaymentChannels.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {G1Point, G2Point, Kzg, Opening} from "../libraries/Kzg.sol";
import {BatchId, EarnerIndex} from "../types/Ids.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice Implements ISettlement over the registry of earners, staking, payment channels and data-availability
/// certificates that it is deployed with.
contract Settlement is ISettlement {
    using Kzg for G1Point;

    /// @notice Versions of a page's commitment that claims may open.
    uint256 public constant VERSIONS_KEPT = 16;

    /// @param epochSeconds length of an epoch
    /// @param disputeWindow seconds from posting to finality
    /// @param pageSize earners per page, a power of two
    struct Parameters {
        uint64 epochSeconds;
        uint64 disputeWindow;
        uint32 pageSize;
    }

    /// @param latest version, 0 if no batch ever paid the page
    /// @param ring commitment of version i at i mod VERSIONS_KEPT
    struct Page {
        uint64 latest;
        G1Point[VERSIONS_KEPT] ring;
    }

    struct Payment {
        EarnerIndex earner;
        address account;
        IEarnerRegistry.Role role;
        uint64 amount;
    }

    uint256 private constant GWEI = 1e9;
    uint32 private constant MIN_ROWS = 2;
    uint32 private constant MAX_ROWS = 65_536;
    uint32 private constant CELLS_PER_ROW = 8;

    /// @notice Whom earner indices pay.
    IEarnerRegistry public immutable earners;

    /// @notice Where operators are looked up and stakers are paid.
    IStaking public immutable staking;

    /// @notice Where batches draw their totals from.
    IPaymentChannels public immutable channels;

    /// @notice Who tells that a ledger's blob is available.
    IDaCertVerifier public immutable daCerts;

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
    mapping(EarnerIndex earner => uint64 gwei_) public claimed;

    /// @inheritdoc ISettlement
    uint256 public totalFunded;

    /// @inheritdoc ISettlement
    uint256 public totalClaimed;

    mapping(BatchId batch => Batch) private _batches;
    mapping(uint32 page => Page) private _pages;

    constructor(
        IEarnerRegistry earners_,
        IStaking staking_,
        IPaymentChannels channels_,
        IDaCertVerifier daCerts_,
        Parameters memory parameters,
        G2Point memory tauG2_
    ) {
        require(parameters.epochSeconds > 0, ZeroEpochSeconds());
        require(Kzg.isValid(tauG2_), InvalidSrs());

        earners = earners_;
        staking = staking_;
        channels = channels_;
        daCerts = daCerts_;
        epochSeconds = parameters.epochSeconds;
        disputeWindow = parameters.disputeWindow;
        pageSize = parameters.pageSize;
        _pageRoot = Kzg.rootOfUnity(parameters.pageSize);
        (_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0) = (tauG2_.x1, tauG2_.x0, tauG2_.y1, tauG2_.y0);
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
    function batchOf(BatchId batch) external view returns (Batch memory) {
        return _batches[batch];
    }

    /// @inheritdoc ISettlement
    function batchIdOf(address operator, uint64 epoch) public view returns (BatchId) {
        return BatchId.wrap(keccak256(abi.encode(block.chainid, address(this), operator, epoch)));
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
    function submitBatch(Submission calldata submission, IPaymentChannels.Draw[] calldata draws)
        external
        returns (BatchId batch)
    {
        batch = batchIdOf(msg.sender, submission.epoch);

        require(staking.isActive(msg.sender), OperatorNotActive(msg.sender));
        require(_batches[batch].status == Status.None, BatchExists(batch));
        _checkEpoch(submission.epoch);
        _checkShape(submission);
        daCerts.check(submission.ledger, CELLS_PER_ROW * submission.rows, submission.certificate);

        _batches[batch] = Batch({
            operator: msg.sender,
            epoch: submission.epoch,
            total: submission.total,
            finalisableAt: uint64(block.timestamp) + disputeWindow,
            rows: submission.rows,
            status: Status.Posted,
            submissionHash: keccak256(abi.encode(submission.pages, submission.payouts)),
            ledger: submission.ledger
        });

        emit BatchPosted(batch, msg.sender, submission.epoch, submission);

        uint64 drawn = channels.draw(msg.sender, draws);
        require(drawn == submission.total, TotalMismatch(submission.total, drawn));
    }

    /// @inheritdoc ISettlement
    function finaliseBatch(BatchId batch, uint32[] calldata pages, G1Point[] calldata payouts) external {
        Batch storage stored = _batches[batch];

        require(stored.status != Status.None, UnknownBatch(batch));
        require(stored.status == Status.Posted, NotPosted(batch));
        require(block.timestamp >= stored.finalisableAt, WindowOpen(batch, stored.finalisableAt));
        require(stored.submissionHash == keccak256(abi.encode(pages, payouts)), WrongPayouts(batch));

        stored.status = Status.Final;
        totalFunded += stored.total;
        for (uint256 i; i < pages.length; ++i) {
            _addEarnings(pages[i], payouts[i], batch);
        }

        emit BatchFinal(batch, stored.operator, stored.total);
    }

    /// @inheritdoc ISettlement
    function claim(Claim calldata claim_) external returns (uint64 amount) {
        require(Kzg.opens(_openingOf(claim_), tauG2()), InvalidOpening());

        Payment memory payment = _record(claim_);
        amount = payment.amount;

        _pay(payment);
    }

    /// @inheritdoc ISettlement
    function claimMany(Claim[] calldata claims) external returns (uint64 amount) {
        require(claims.length > 0, NoClaims());
        _checkOpenings(claims);

        Payment[] memory payments = new Payment[](claims.length);
        for (uint256 i; i < claims.length; ++i) {
            payments[i] = _record(claims[i]);
            amount += payments[i].amount;
        }

        // Only after all effects, so that an account that calls back finds nothing half done.
        for (uint256 i; i < payments.length; ++i) {
            _pay(payments[i]);
        }
    }

    /// @dev In 256 bits, because the end of a far epoch does not fit 64.
    function _checkEpoch(uint64 epoch) private view {
        uint256 endsAt = (uint256(epoch) + 1) * epochSeconds;
        require(block.timestamp >= endsAt, EpochNotOver(epoch, uint64(Math.min(endsAt, type(uint64).max))));
    }

    function _checkShape(Submission calldata submission) private view {
        uint32 rows = submission.rows;
        require(rows >= MIN_ROWS && rows <= MAX_ROWS && rows & (rows - 1) == 0, RowsOutOfRange(rows));
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
        Opening[] memory openings = new Opening[](claims.length);
        for (uint256 i; i < claims.length; ++i) {
            openings[i] = _openingOf(claims[i]);
        }
        require(Kzg.opensAll(openings, tauG2()), InvalidOpening());
    }

    function _openingOf(Claim calldata claim_) private view returns (Opening memory) {
        uint32 earner = EarnerIndex.unwrap(claim_.earner);

        return Opening({
            commitment: earningsAt(earner / pageSize, claim_.version),
            point: Kzg.pow(_pageRoot, earner % pageSize),
            value: claim_.cumulativeEarnings,
            witness: claim_.witness
        });
    }

    /// @dev Books a claim whose opening has been checked.
    function _record(Claim calldata claim_) private returns (Payment memory payment) {
        EarnerIndex earner = claim_.earner;
        uint64 before = claimed[earner];

        require(claim_.cumulativeEarnings > before, NothingToClaim(earner));
        uint64 amount = claim_.cumulativeEarnings - before;
        uint256 available = totalFunded - totalClaimed;
        require(amount <= available, AboveFunding(earner, amount, available));
        (address account, IEarnerRegistry.Role role) = earners.accountOf(earner);

        claimed[earner] = claim_.cumulativeEarnings;
        totalClaimed += amount;
        payment = Payment(earner, account, role, amount);

        emit Claimed(earner, account, amount, claim_.cumulativeEarnings);
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
