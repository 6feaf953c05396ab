// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../contracts/libraries/CellOpenings.sol";
import {FeeSplit} from "../contracts/libraries/FeeSplit.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {LedgerRow} from "../contracts/libraries/LedgerRow.sol";
import {ChannelId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {BlobBook} from "./BlobBook.sol";

/// @notice Rows of ledgers, written cell by cell from the table in LedgerRow.
library RowBook {
    uint256 private constant HALF = 1 << 63;

    /// @param account key of the account that the row posts to
    /// @param cell4 behind the kind byte
    struct Row {
        uint32 earner;
        uint64 amount;
        uint256 account;
        int256 value;
        LedgerRow.Kind kind;
        bytes cell4;
        uint256[3] tail;
    }

    function cellsOf(Row memory row) internal pure returns (uint256[8] memory cells) {
        cells[0] = row.earner;
        cells[1] = row.amount;
        cells[2] = row.account;
        cells[3] = uint256(row.value + int256(HALF));
        cells[4] = uint256(row.kind) << 240 | uint256(bytes32(row.cell4)) >> 16;
        (cells[5], cells[6], cells[7]) = (row.tail[0], row.tail[1], row.tail[2]);
    }

    function padding() internal pure returns (uint256[8] memory) {
        return posting(LedgerRow.Kind.Padding, 0, 0, "");
    }

    function posting(LedgerRow.Kind kind, uint256 account, int256 value, bytes memory cell4)
        internal
        pure
        returns (uint256[8] memory)
    {
        uint256[3] memory tail;
        return cellsOf(Row(0, 0, account, value, kind, cell4, tail));
    }

    function paying(
        LedgerRow.Kind kind,
        uint256 account,
        int256 value,
        uint32 earner,
        uint256 amount,
        bytes memory cell4
    ) internal pure returns (uint256[8] memory) {
        uint256[3] memory tail;
        return cellsOf(Row(earner, uint64(amount), account, value, kind, cell4, tail));
    }
}

/// @notice Builds an honest ledger from its records, as section 1 of the protocol says, and keeps it for tests to open
/// and to spoil.
contract LedgerBook {
    /// @param score of the query and the contributor, not 0
    struct Credit {
        uint32 earner;
        int64 score;
    }

    /// @param credits by |score| descending, earner ascending
    struct Record {
        ChannelId channel;
        ModelId model;
        uint32 tokensIn;
        uint32 tokensOut;
        uint32 priceVersion;
        uint64 time;
        uint64 from;
        uint64 fee;
        bytes32 voucher;
        bytes32 hash;
        FeeSplit.Shares shares;
        uint32 owner;
        uint32 stakers;
        Credit[] credits;
    }

    struct Carry {
        uint256 account;
        int64 net;
    }

    /// @dev A contributor of a called model.
    struct Weight {
        ModelId model;
        uint32 earner;
        uint32 rows;
    }

    struct Header {
        address operator;
        address settlement;
        uint64 epoch;
        uint64 total;
    }

    struct Through {
        uint256 pool;
        uint256 influence;
        uint256 flat;
        uint256 weight;
    }

    uint256 private constant MIN_ROWS = 8;

    uint256[8][] private _rows;
    uint256[] private _accounts;
    mapping(uint256 account => int256) public sumOf;
    mapping(uint256 account => bool) private _isPosted;
    mapping(uint256 account => uint32) private _weightOf;
    mapping(uint256 pool => Through) private _closing;
    uint256 private _atTau;

    function build(
        Header calldata header,
        Carry[] calldata carries,
        Record[] calldata records,
        Weight[] calldata weights
    ) external {
        _rows.push();
        for (uint256 i; i < carries.length; ++i) {
            _post(RowBook.posting(LedgerRow.Kind.Carry, carries[i].account, carries[i].net, ""));
        }
        for (uint256 i; i < records.length; ++i) {
            _record(records[i], uint16(i));
        }
        _close(weights);
        uint256 size = MIN_ROWS;
        while (size < _rows.length) size *= 2;
        while (_rows.length < size) _rows.push(RowBook.padding());
        _rows[0] = _headerOf(header, records.length);
        commit();
    }

    function rowCount() external view returns (uint32) {
        return uint32(_rows.length);
    }

    function cellsAt(uint256 row) external view returns (uint256[8] memory) {
        return _rows[row];
    }

    function rowAt(uint256 row) public view returns (LedgerRow.Row memory) {
        return LedgerRow.decode(_rows[row]);
    }

    /// @notice The n-th row of the kind, from 0.
    function find(LedgerRow.Kind kind, uint256 n) external view returns (uint256 row) {
        for (; row < _rows.length; ++row) {
            if (_rows[row][4] >> 240 != uint256(kind)) continue;
            if (n == 0) return row;
            --n;
        }
        revert("no such row");
    }

    /// @notice Rows of the kind.
    function count(LedgerRow.Kind kind) external view returns (uint256 rows) {
        for (uint256 i; i < _rows.length; ++i) {
            if (_rows[i][4] >> 240 == uint256(kind)) ++rows;
        }
    }

    /// @notice Spoils a cell; `commit` follows.
    function setCell(uint256 row, uint256 cell, uint256 content) external {
        _rows[row][cell] = content;
    }

    function setCells(uint256 row, uint256[8] calldata cells) external {
        _rows[row] = cells;
    }

    function setValue(uint256 row, int256 value) external {
        _rows[row][3] = uint256(value + (1 << 63));
    }

    /// @notice Writes `size` bytes of cell 4 behind its first `at`.
    function setField(uint256 row, uint256 at, uint256 size, uint256 content) external {
        uint256 shift = 8 * (31 - at - size);
        _rows[row][4] = _rows[row][4] & ~(((1 << 8 * size) - 1) << shift) | content << shift;
    }

    /// @notice Doubles the rows, as padding.
    function extend() external {
        uint256 size = 2 * _rows.length;
        while (_rows.length < size) _rows.push(RowBook.padding());
    }

    function removeRow(uint256 row) external {
        for (uint256 i = row; i + 1 < _rows.length; ++i) {
            _rows[i] = _rows[i + 1];
        }
        _rows[_rows.length - 1] = RowBook.padding();
    }

    function insertRow(uint256 row, uint256[8] calldata cells) external {
        for (uint256 i = _rows.length - 1; i > row; --i) {
            _rows[i] = _rows[i - 1];
        }
        _rows[row] = cells;
    }

    /// @notice To be called when rows were changed.
    function commit() public {
        _atTau = BlobBook.atTau(symbols());
    }

    function commitment() external view returns (G1Point memory) {
        return Kzg.mul(Kzg.generator(), _atTau);
    }

    /// @notice The blob's symbols: the cells, but for the first.
    function symbols() public view returns (uint256[] memory all) {
        all = new uint256[](8 * _rows.length);
        for (uint256 i; i < all.length; ++i) {
            all[i] = _rows[i / 8][i % 8];
        }
        all[0] |= LedgerRow.payloadHeader(uint32(_rows.length));
    }

    function openRows(uint256[] memory rows) public view returns (CellOpening memory) {
        uint32[] memory indices = new uint32[](8 * rows.length);
        for (uint256 i; i < indices.length; ++i) {
            indices[i] = uint32(8 * rows[i / 8] + i % 8);
        }
        return openCells(indices);
    }

    function openCells(uint32[] memory indices) public view returns (CellOpening memory) {
        return BlobBook.openCells(BlobBook.Blob(symbols(), _atTau), indices);
    }

    function _record(Record calldata r, uint16 ordinal) private {
        uint256[8] memory row = RowBook.posting(
            LedgerRow.Kind.Record,
            LedgerRow.drawAccount(r.channel),
            int256(uint256(r.fee)),
            abi.encodePacked(r.tokensIn, r.tokensOut, r.priceVersion, r.time, r.from, ordinal)
        );
        row[5] = uint256(ModelId.unwrap(r.model)) >> 8;
        row[6] = uint256(r.voucher) >> 8;
        row[7] = uint256(r.hash) >> 8;
        _post(row);

        _share(1, r.shares.treasury, 0, 0, 1);
        _share(r.owner, r.shares.model, 1, 1, 2);
        _share(r.stakers, r.shares.stakers, 2, 0, 3);
        _credits(r);
    }

    function _share(uint32 earner, uint64 value, uint8 kind, uint32 weight, uint8 position) private {
        _post(
            RowBook.posting(
                LedgerRow.Kind.Share,
                LedgerRow.fixedAccount(EarnerIndex.wrap(earner)),
                int256(uint256(value)),
                abi.encodePacked(kind, weight, weight, position)
            )
        );
    }

    function _credits(Record calldata r) private {
        uint256 magnitude;
        for (uint256 i; i < r.credits.length; ++i) {
            magnitude += _magnitude(r.credits[i].score);
        }
        int256 pool = int256(uint256(r.shares.contributors));
        bytes memory cell4 = abi.encodePacked(uint8(r.credits.length), uint128(magnitude), uint8(4));
        _post(RowBook.posting(LedgerRow.Kind.PoolShare, LedgerRow.poolAccount(r.model), pool, cell4));

        uint256 through;
        for (uint256 i; i < r.credits.length; ++i) {
            int64 score = r.credits[i].score;
            through += _magnitude(score);
            _post(
                RowBook.posting(
                    LedgerRow.Kind.Credit,
                    LedgerRow.balanceAccount(r.model, EarnerIndex.wrap(r.credits[i].earner)),
                    pool * score / int256(magnitude),
                    abi.encodePacked(uint64(score) ^ 1 << 63, uint8(i), uint128(through))
                )
            );
        }
    }

    function _close(Weight[] calldata weights) private {
        for (uint256 i; i < weights.length; ++i) {
            uint256 account = LedgerRow.balanceAccount(weights[i].model, EarnerIndex.wrap(weights[i].earner));
            if (!_isPosted[LedgerRow.poolAccount(weights[i].model)]) continue;
            _weightOf[account] = weights[i].rows;
            if (weights[i].rows != 0) _account(account);
        }
        _sort();
        _sumPools();
        for (uint256 i; i < _accounts.length; ++i) {
            if (_accounts[i] >> 240 == 3) _closePool(_accounts[i]);
        }
        for (uint256 i; i < _accounts.length; ++i) {
            if (_accounts[i] >> 240 == 4) _payOut(_accounts[i]);
        }
        for (uint256 i; i < _accounts.length; ++i) {
            if (_accounts[i] >> 240 == 2) _payFixed(_accounts[i]);
        }
    }

    /// @dev Influence and weight of each model's balances, then what flat pay comes to.
    function _sumPools() private {
        for (uint256 i; i < _accounts.length; ++i) {
            uint256 account = _accounts[i];
            if (account >> 240 == 3) _closing[account].pool = uint256(sumOf[account]);
            if (account >> 240 != 4) continue;
            Through storage sums = _closing[_poolOf(account)];
            sums.influence += _influence(account);
            if (sumOf[account] >= 0) sums.weight += _weightOf[account];
        }
        for (uint256 i; i < _accounts.length; ++i) {
            if (_accounts[i] >> 240 == 4) _closing[_poolOf(_accounts[i])].flat += _flat(_accounts[i]);
        }
    }

    function _closePool(uint256 account) private {
        Through memory sums = _closing[account];
        _rows.push(
            RowBook.paying(
                LedgerRow.Kind.PoolClosing,
                account,
                -sumOf[account],
                1,
                sums.pool - sums.influence - sums.flat,
                abi.encodePacked(uint64(sums.influence), uint64(sums.flat), uint64(sums.weight))
            )
        );
    }

    mapping(uint256 pool => Through) private _through;

    function _payOut(uint256 account) private {
        uint256 influence = _influence(account);
        uint256 flat = _flat(account);
        Through storage through = _through[_poolOf(account)];
        through.influence += influence;
        through.flat += flat;
        if (sumOf[account] >= 0) through.weight += _weightOf[account];

        uint256[8] memory row = RowBook.paying(
            LedgerRow.Kind.Payout,
            account,
            -sumOf[account],
            uint32(account),
            influence + flat,
            abi.encodePacked(uint64(influence), uint64(flat), uint16(10_000), _weightOf[account])
        );
        row[5] = through.influence << 128 | through.flat << 64 | through.weight;
        _rows.push(row);
    }

    function _payFixed(uint256 account) private {
        uint256 sum = uint256(sumOf[account]);
        _rows.push(RowBook.paying(LedgerRow.Kind.FixedPayout, account, -int256(sum), uint32(account), sum, ""));
    }

    function _influence(uint256 account) private view returns (uint256) {
        return sumOf[account] > 0 ? uint256(sumOf[account]) : 0;
    }

    function _flat(uint256 account) private view returns (uint256) {
        Through memory sums = _closing[_poolOf(account)];
        if (sumOf[account] < 0 || sums.weight == 0) return 0;
        return (sums.pool - sums.influence) * _weightOf[account] / sums.weight;
    }

    /// @dev The pool that a balance's model has.
    function _poolOf(uint256 account) private pure returns (uint256) {
        return 3 << 240 | account & (type(uint240).max - type(uint32).max);
    }

    function _headerOf(Header calldata h, uint256 records) private view returns (uint256[8] memory cells) {
        cells = RowBook.posting(
            LedgerRow.Kind.Header,
            0,
            0,
            abi.encodePacked(uint64(block.chainid), h.epoch, uint32(records), uint32(_rows.length))
        );
        (cells[5], cells[6], cells[7]) = (uint160(h.operator), uint160(h.settlement), h.total);
    }

    function _post(uint256[8] memory cells) private {
        _rows.push(cells);
        _account(cells[2]);
        sumOf[cells[2]] += int256(cells[3]) - (1 << 63);
    }

    function _account(uint256 account) private {
        if (_isPosted[account]) return;
        _isPosted[account] = true;
        _accounts.push(account);
    }

    function _sort() private {
        uint256[] memory sorted = _accounts;
        for (uint256 i = 1; i < sorted.length; ++i) {
            uint256 account = sorted[i];
            uint256 j = i;
            for (; j > 0 && sorted[j - 1] > account; --j) {
                sorted[j] = sorted[j - 1];
            }
            sorted[j] = account;
        }
        _accounts = sorted;
    }

    function _magnitude(int64 x) private pure returns (uint256) {
        return x < 0 ? uint256(-int256(x)) : uint256(int256(x));
    }
}
