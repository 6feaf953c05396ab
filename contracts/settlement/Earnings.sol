// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IPayoutVerifier} from "../interfaces/IPayoutVerifier.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {G1Point, G2Point, Kzg, Opening} from "../libraries/Kzg.sol";
import {BatchId, EarnerIndex} from "../types/Ids.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";

/// @title Earnings
/// @notice Commitments to what every earner got from final batches, and the claims that open them.
abstract contract Earnings is ISettlement {
    using Kzg for G1Point;

    /// @notice Versions of a page's commitment that claims may open.
    uint256 public constant VERSIONS_KEPT = 16;

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

    uint256 internal constant GWEI = 1e9;
    uint256 private constant EARNERS_PER_WORD = 4;

    /// @notice Whom earner indices pay.
    IEarnerRegistry public immutable earners;

    /// @notice Where operators are looked up and stakers are paid.
    IStaking public immutable staking;

    /// @inheritdoc ISettlement
    IPayoutVerifier public immutable payoutVerifier;

    /// @inheritdoc ISettlement
    uint32 public immutable pageSize;

    /// @dev v, the generator of a page's domain.
    uint256 private immutable _pageRoot;

    uint256 private immutable _tauG2X1;
    uint256 private immutable _tauG2X0;
    uint256 private immutable _tauG2Y1;
    uint256 private immutable _tauG2Y0;

    Totals private _totals;

    /// @dev Gwei claimed by each earner. Four neighbours share a word, which makes claims of all cheaper in order.
    mapping(uint256 group => uint64[EARNERS_PER_WORD]) private _claimed;
    mapping(uint32 page => Page) private _pages;

    constructor(IEarnerRegistry earners_, IStaking staking_, IPayoutVerifier payoutVerifier_) {
        earners = earners_;
        staking = staking_;
        payoutVerifier = payoutVerifier_;

        // What the verifier's proofs are about is what claims open.
        pageSize = payoutVerifier_.pageSize();
        _pageRoot = Kzg.rootOfUnity(pageSize);
        G2Point memory tau = payoutVerifier_.tauG2();
        (_tauG2X1, _tauG2X0, _tauG2Y1, _tauG2Y0) = (tau.x1, tau.x0, tau.y1, tau.y0);
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

    /// @dev Makes a final batch's total (gwei) available to claims.
    function _fund(uint64 total) internal {
        _totals.funded += total;
    }

    /// @dev Adds a final batch's payouts to what a page's earners got.
    function _addEarnings(uint32 page, G1Point calldata payout, BatchId batch) internal {
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
