// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EarnerIndex} from "../types/Ids.sol";
import {LedgerRow} from "./LedgerRow.sol";
import {LedgerUses} from "./LedgerUses.sol";

/// @title LedgerGrammar
/// @notice Which rows a ledger may hold, one by one and one after another.
/// @dev Rows given here decoded; numbers are widened before they are added, so that nothing wraps or reverts.
library LedgerGrammar {
    using LedgerRow for LedgerRow.Row;

    /// @param rows of the ledger
    /// @param earners highest valid earner index
    /// @param from first second of the batch's epoch
    /// @param to first second after it
    struct Bounds {
        uint256 rows;
        uint256 earners;
        uint256 from;
        uint256 to;
    }

    /// @dev The leading byte of an account's key.
    enum AccountKind {
        None,
        Draw,
        Fixed,
        Pool,
        Balance
    }

    /// @notice Rows from a record's first to its pool row: its three shares are in between.
    uint256 internal constant POOL_POSITION = 4;

    uint256 internal constant FULL_BPS = 10_000;

    uint256 private constant NOBODY = 0;
    uint256 private constant TREASURY = 1;
    uint256 private constant SECTION = 248;

    /// @notice What kind of account a key is of.
    function kindOf(uint256 account) internal pure returns (AccountKind) {
        return AccountKind(account >> 240);
    }

    /// @notice The earner of a fixed account or balance.
    function earnerOf(uint256 account) internal pure returns (uint32) {
        return uint32(account);
    }

    /// @notice The model of a pool or balance: the leading 25 bytes of its id.
    function modelOf(uint256 account) internal pure returns (bytes25) {
        return bytes25(uint200(account >> 32));
    }

    /// @notice |x|, also of the lowest.
    function magnitude(int64 x) internal pure returns (uint256) {
        return x < 0 ? uint256(-int256(x)) : uint256(int256(x));
    }

    /// @notice Whether a credit of `score` and `earner` comes before one of `otherScore` and `other`.
    function isBefore(int64 score, uint32 earner, int64 otherScore, uint32 other) internal pure returns (bool) {
        (uint256 a, uint256 b) = (magnitude(score), magnitude(otherScore));
        return a != b ? a > b : earner < other;
    }

    /// @notice Where a row is among closing rows: what comes before them, pool closings, payouts, fixed payouts and
    /// padding, each by account.
    function closingPlace(LedgerRow.Row memory row) internal pure returns (uint256) {
        if (row.kind == LedgerRow.Kind.PoolClosing) return 1 << SECTION | row.account;
        if (row.kind == LedgerRow.Kind.Payout) return payoutPlace(row.account);
        if (row.kind == LedgerRow.Kind.FixedPayout) return 3 << SECTION | row.account;
        if (row.kind == LedgerRow.Kind.Padding) return 4 << SECTION;
        return 0;
    }

    /// @notice Where the payout row of a balance is among closing rows.
    function payoutPlace(uint256 account) internal pure returns (uint256) {
        return 2 << SECTION | account;
    }

    /// @notice Where a row is among carries: the header, carries by account, all others.
    function carryPlace(LedgerRow.Row memory row) internal pure returns (uint256) {
        if (row.kind == LedgerRow.Kind.Header) return 0;
        if (row.kind == LedgerRow.Kind.Carry) return carryPlace(row.account);
        return 2 << SECTION;
    }

    /// @notice Where the carry of a balance is among carries.
    function carryPlace(uint256 account) internal pure returns (uint256) {
        return 1 << SECTION | account;
    }

    /// @notice Whether a row other than row 0 may be in the ledger, whatever the others are.
    function isSound(LedgerRow.Row memory row, uint256 at, Bounds memory bounds) internal pure returns (bool) {
        LedgerRow.Kind kind = row.kind;

        bool isEnd = kind == LedgerRow.Kind.FixedPayout || kind == LedgerRow.Kind.Padding;
        if (at + 1 == bounds.rows && !isEnd) return false;
        if (kind == LedgerRow.Kind.Padding) return _isSilent(row) && row.account == 0 && row.value == 0;
        if (kind == LedgerRow.Kind.Header) return false;
        if (kind == LedgerRow.Kind.PoolClosing) return _isPoolClosing(row);
        if (kind == LedgerRow.Kind.Payout) return _isPayout(row, bounds);
        if (kind == LedgerRow.Kind.FixedPayout) return _isFixedPayout(row, bounds);
        return _isSilent(row) && _isPosting(row, bounds);
    }

    /// @notice Whether row `b` may come directly after row `a`.
    function mayFollow(LedgerRow.Row memory a, LedgerRow.Row memory b) internal pure returns (bool) {
        LedgerRow.Kind kind = a.kind;

        if (kind == LedgerRow.Kind.Header) return b.kind == LedgerRow.Kind.Carry || _isFirstRecord(b);
        if (kind == LedgerRow.Kind.Carry) return _isLater(a, b) || _isFirstRecord(b);
        if (kind == LedgerRow.Kind.Record) return _isShareAt(b, LedgerRow.ShareKind.Treasury, 1);
        if (kind == LedgerRow.Kind.Share) return _mayFollowShare(a, b);
        if (kind == LedgerRow.Kind.PoolShare) return _mayFollowPool(a, b);
        if (kind == LedgerRow.Kind.Credit) return _mayFollowCredit(a, b);
        if (LedgerUses.isUsePool(a)) return _mayFollowUsePool(a, b);
        if (LedgerUses.isUse(a)) return _mayFollowUse(a, b);
        if (kind == LedgerRow.Kind.PoolClosing) {
            return _isLater(a, b) || _isFirstOfModel(b) || b.kind == LedgerRow.Kind.FixedPayout;
        }
        if (kind == LedgerRow.Kind.Payout) return _mayFollowPayout(a, b);
        if (kind == LedgerRow.Kind.FixedPayout) return _isLater(a, b) || b.kind == LedgerRow.Kind.Padding;
        return b.kind == LedgerRow.Kind.Padding;
    }

    /// @dev Names nobody and pays nothing.
    function _isSilent(LedgerRow.Row memory row) private pure returns (bool) {
        return EarnerIndex.unwrap(row.earner) == NOBODY && row.amount == 0;
    }

    /// @dev Of the kinds that only post.
    function _isPosting(LedgerRow.Row memory row, Bounds memory bounds) private pure returns (bool) {
        LedgerRow.Kind kind = row.kind;
        AccountKind account = kindOf(row.account);

        if (kind == LedgerRow.Kind.Carry) return _isEarners(row, AccountKind.Balance, bounds) && row.value < 0;
        if (kind == LedgerRow.Kind.Credit) {
            return _isEarners(row, AccountKind.Balance, bounds) && row.credit().score != 0;
        }
        if (LedgerUses.isUse(row)) return _isEarners(row, AccountKind.Balance, bounds) && LedgerUses.isSound(row);
        if (row.value < 0) return false;
        if (kind == LedgerRow.Kind.Record) return account == AccountKind.Draw && _isRecord(row, bounds);
        if (kind == LedgerRow.Kind.Share) return _isEarners(row, AccountKind.Fixed, bounds);

        LedgerUses.Pool memory pool = LedgerUses.pool(row);
        return account == AccountKind.Pool && (pool.credits != 0 || pool.magnitude == 0);
    }

    function _isRecord(LedgerRow.Row memory row, Bounds memory bounds) private pure returns (bool) {
        LedgerRow.Record memory record = row.record();
        bool inEpoch = record.time >= bounds.from && record.time < bounds.to;
        return inEpoch && uint256(record.from) + magnitude(row.value) <= type(uint64).max;
    }

    function _isPoolClosing(LedgerRow.Row memory row) private pure returns (bool) {
        LedgerRow.PoolClosing memory closing = row.poolClosing();
        uint256 paid = uint256(row.amount) + closing.influence + closing.flat;
        return kindOf(row.account) == AccountKind.Pool && EarnerIndex.unwrap(row.earner) == TREASURY && row.value <= 0
            && paid == magnitude(row.value);
    }

    function _isPayout(LedgerRow.Row memory row, Bounds memory bounds) private pure returns (bool) {
        LedgerRow.Payout memory payout = row.payout();
        // The net is -value.
        uint256 net = row.value < 0 ? magnitude(row.value) : 0;
        uint256 influence = net * payout.factorBps / FULL_BPS;
        return _isEarners(row, AccountKind.Balance, bounds) && EarnerIndex.unwrap(row.earner) == earnerOf(row.account)
            && payout.influence == influence && (row.value <= 0 || payout.flat == 0)
            && row.amount == uint256(payout.influence) + payout.flat;
    }

    function _isFixedPayout(LedgerRow.Row memory row, Bounds memory bounds) private pure returns (bool) {
        return _isEarners(row, AccountKind.Fixed, bounds) && EarnerIndex.unwrap(row.earner) == earnerOf(row.account)
            && row.value <= 0 && row.amount == magnitude(row.value);
    }

    /// @dev Posts to an account of the kind, of somebody who is registered.
    function _isEarners(LedgerRow.Row memory row, AccountKind kind, Bounds memory bounds) private pure returns (bool) {
        uint32 earner = earnerOf(row.account);
        return kindOf(row.account) == kind && earner != NOBODY && earner <= bounds.earners;
    }

    /// @dev Of the same kind and a greater account.
    function _isLater(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        return a.kind == b.kind && a.account < b.account;
    }

    function _isFirstRecord(LedgerRow.Row memory row) private pure returns (bool) {
        return row.kind == LedgerRow.Kind.Record && row.record().ordinal == 0;
    }

    function _isShareAt(LedgerRow.Row memory row, LedgerRow.ShareKind kind, uint256 position)
        private
        pure
        returns (bool)
    {
        if (row.kind != LedgerRow.Kind.Share) return false;
        LedgerRow.Share memory share = row.share();
        return share.kind == kind && share.position == position;
    }

    function _mayFollowShare(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        LedgerRow.Share memory share = a.share();
        uint256 next = uint256(share.position) + 1;

        if (share.kind == LedgerRow.ShareKind.Treasury) return _isShareAt(b, LedgerRow.ShareKind.Owner, next);
        if (share.kind == LedgerRow.ShareKind.Owner) return _isShareAt(b, LedgerRow.ShareKind.Stakers, next);
        return b.kind == LedgerRow.Kind.PoolShare && b.poolShare().position == next;
    }

    function _mayFollowPool(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        LedgerRow.PoolShare memory pool = a.poolShare();
        if (pool.credits == 0) return _isAfter(a, b, uint256(pool.position) + 1);
        return _isCreditOf(b, modelOf(a.account), 0, 0);
    }

    function _mayFollowCredit(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        LedgerRow.Credit memory credit = a.credit();
        if (b.kind != LedgerRow.Kind.Credit) return _isAfter(a, b, POOL_POSITION + 2 + credit.place);

        return _isCreditOf(b, modelOf(a.account), uint256(credit.place) + 1, credit.magnitudeThrough)
            && isBefore(credit.score, earnerOf(a.account), b.credit().score, earnerOf(b.account));
    }

    function _mayFollowUsePool(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        LedgerUses.Pool memory pool = LedgerUses.pool(a);
        if (pool.credits == 0) return _isAfter(a, b, pool.position + 1);
        return b.kind == LedgerUses.creditKind(a) && _isUseOf(a, b, 0, 0, pool.position + 1) && LedgerUses.isFirst(b);
    }

    function _mayFollowUse(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        LedgerUses.Credit memory credit = LedgerUses.credit(a);
        uint256 position = credit.position + 1;
        bool isCredit = b.kind == LedgerRow.Kind.Credit || LedgerUses.isUse(b);
        if (!isCredit) return LedgerUses.isLastHolder(a) && _isAfter(a, b, position);

        return b.kind == a.kind && _isUseOf(a, b, credit.place + 1, credit.magnitudeThrough, position)
            && LedgerUses.follows(a, b);
    }

    /// @dev Whether a record may end with row `a`, or go on with `b` at the position as the pool of another kind of use.
    function _isAfter(LedgerRow.Row memory a, LedgerRow.Row memory b, uint256 position) private pure returns (bool) {
        if (b.kind == LedgerRow.Kind.Record || b.kind == LedgerRow.Kind.PoolClosing) return true;
        // Kinds of uses are numbered in the order of their sections, behind those of influence.
        bool isLater = a.kind < LedgerRow.Kind.SpanPool || b.kind > LedgerRow.Kind.SpanCredit && a.kind < b.kind;
        return LedgerUses.isUsePool(b) && isLater && kindOf(b.account) == AccountKind.Pool
            && modelOf(a.account) == modelOf(b.account) && LedgerUses.pool(b).position == position;
    }

    /// @dev Whether row `b` is the credit at a place and position of the section of row `a`.
    /// @param before sum of the scores of the section's credits before it
    function _isUseOf(LedgerRow.Row memory a, LedgerRow.Row memory b, uint256 place, uint256 before, uint256 position)
        private
        pure
        returns (bool)
    {
        LedgerUses.Credit memory credit = LedgerUses.credit(b);
        return kindOf(b.account) == AccountKind.Balance && modelOf(a.account) == modelOf(b.account)
            && credit.place == place && credit.position == position
            && credit.magnitudeThrough == before + uint256(credit.score);
    }

    /// @param before sum of |score| over the record's credits before it
    function _isCreditOf(LedgerRow.Row memory row, bytes25 model, uint256 place, uint256 before)
        private
        pure
        returns (bool)
    {
        if (row.kind != LedgerRow.Kind.Credit || modelOf(row.account) != model) return false;
        LedgerRow.Credit memory credit = row.credit();
        return credit.place == place && credit.magnitudeThrough == before + magnitude(credit.score);
    }

    function _mayFollowPayout(LedgerRow.Row memory a, LedgerRow.Row memory b) private pure returns (bool) {
        if (b.kind != LedgerRow.Kind.Payout) return b.kind == LedgerRow.Kind.FixedPayout;
        if (a.account >= b.account) return false;
        if (modelOf(a.account) != modelOf(b.account)) return _isFirstOfModel(b);

        LedgerRow.Payout memory before = a.payout();
        return _hasThrough(b, before.influenceThrough, before.flatThrough, before.weightThrough);
    }

    function _isFirstOfModel(LedgerRow.Row memory row) private pure returns (bool) {
        return row.kind == LedgerRow.Kind.Payout && _hasThrough(row, 0, 0, 0);
    }

    /// @dev Whether a payout row's sums through are its own added to those before it.
    function _hasThrough(LedgerRow.Row memory row, uint256 influence, uint256 flat, uint256 weight)
        private
        pure
        returns (bool)
    {
        LedgerRow.Payout memory payout = row.payout();
        uint256 counted = row.value <= 0 ? payout.rows : 0;
        return payout.influenceThrough == influence + payout.influence && payout.flatThrough == flat + payout.flat
            && payout.weightThrough == weight + counted;
    }
}
