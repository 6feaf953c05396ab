// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ChannelId, EarnerIndex, ModelId} from "../types/Ids.sol";

/// @title LedgerRow
/// @notice Rows of a batch's ledger, read from the eight cells that the batch's blob holds of each.
/// @dev A cell is a big-endian integer below 2^248, the blob polynomial's value at one point: cell j of row i of a
/// ledger of n rows at w^(8i + j), w of order 8n. Cells:
///
/// | cell | content |
/// |---|---|
/// | 0 | earner index, below 2^32; in row 0 read as zero, because `payloadHeader` takes its place in the blob |
/// | 1 | amount paid in gwei, below 2^64 |
/// | 2 | account key: the integer of a kind byte and 30 bytes, see the functions that end in `Account` |
/// | 3 | value posted plus 2^63, below 2^64 |
/// | 4 | kind of the row in the leading byte, then fields without gaps, then zeros |
/// | 5 to 7 | as below, zero where nothing is said |
///
/// | kind | cell 4 after the kind | cell 5 | cell 6 | cell 7 |
/// |---|---|---|---|---|
/// | Padding, Carry, FixedPayout | | | | |
/// | Header | chain id u64, epoch u64, records u32, rows u32 | operator u160 | settlement u160 | total u64 |
/// | Record | tokens in, out, price version u32, time, from u64, ordinal u16 | model | voucher digest | record hash |
/// | Share | share kind u8, weight u32, sum of weights u32, position u8 | | | |
/// | PoolShare | credits u8, magnitude u128, position u8 | | | |
/// | Credit | score plus 2^63, u64, place u8, magnitude through u128 | | | |
/// | PoolClosing | influence u64, flat u64, weight u64 | | | |
/// | Payout | influence u64, flat u64, factor u16, rows u32 | influence, flat, weight through, u64 each | | |
/// | SpanPool, CitationPool | credits u8, magnitude u128, position u16 | | | |
/// | SpanCredit | score u64, place u8, magnitude through u128, position u16 | start, length u16, low u64, count, holders,
/// holder, occurrence u16 | | |
/// | CitationCredit | score u64, place u8, magnitude through u128, position u16 | datanet u8, row u64, relevance u32, uses
/// u16 | | |
///
/// Ids and hashes in cells 5 to 7 are cut to their leading 31 bytes. There is one way to write a row: `decode` refuses
/// cells in which a byte without meaning is not zero. What a row says of the rows before it (ordinal, position, place,
/// sums through) lets a dispute find what it needs in neighbouring rows.
library LedgerRow {
    enum Kind {
        Padding,
        Header,
        Carry,
        Record,
        Share,
        PoolShare,
        Credit,
        PoolClosing,
        Payout,
        FixedPayout,
        SpanPool,
        SpanCredit,
        CitationPool,
        CitationCredit
    }

    enum ShareKind {
        Treasury,
        Owner,
        Stakers
    }

    /// @param earner who is paid, 0 for nobody
    /// @param amount gwei paid
    /// @param account key of the account that the row posts to, 0 for none
    /// @param value gwei posted
    /// @param info cells 4 to 7, for the functions named after the row's kind
    struct Row {
        EarnerIndex earner;
        uint64 amount;
        uint256 account;
        int64 value;
        Kind kind;
        uint256[4] info;
    }

    /// @param total gwei drawn and paid
    struct Header {
        uint64 chainId;
        uint64 epoch;
        uint32 records;
        uint32 rows;
        address operator;
        address settlement;
        uint64 total;
    }

    /// @param time when the payer signed (seconds)
    /// @param from cumulative gwei of the channel before the call
    /// @param ordinal place among the batch's records, from 0
    /// @param model leading 31 bytes of the id
    /// @param voucher leading 31 bytes of the digest
    /// @param record leading 31 bytes of the hash
    struct Record {
        uint32 tokensIn;
        uint32 tokensOut;
        uint32 priceVersion;
        uint64 time;
        uint64 from;
        uint16 ordinal;
        bytes31 model;
        bytes31 voucher;
        bytes31 record;
    }

    /// @param weight the owner's, or 0
    /// @param weights sum of the owners', or 0
    /// @param position rows since the record's first, which is at this row minus `position`
    struct Share {
        ShareKind kind;
        uint32 weight;
        uint32 weights;
        uint8 position;
    }

    /// @param credits number of credit rows that follow
    /// @param magnitude sum of |score| over them
    /// @param position rows since the record's first, which is at this row minus `position`
    struct PoolShare {
        uint8 credits;
        uint128 magnitude;
        uint8 position;
    }

    /// @param place among the record's credits, from 0: its pool row is at this row minus 1 minus `place`
    /// @param magnitudeThrough sum of |score| over the record's credits up to this one
    struct Credit {
        int64 score;
        uint8 place;
        uint128 magnitudeThrough;
    }

    /// @param influence gwei paid by influence
    /// @param flat gwei paid by the flat rule
    /// @param weight accepted rows that share the flat pay
    struct PoolClosing {
        uint64 influence;
        uint64 flat;
        uint64 weight;
    }

    /// @param influence gwei paid by influence
    /// @param flat gwei paid by the flat rule
    /// @param factorBps on its positive net: its reputation times the model's influence share
    /// @param rows the contributor's accepted rows if a pool of the model closes in the batch, else 0
    /// @param influenceThrough sum of `influence` over the model's payout rows up to this one
    /// @param flatThrough sum of `flat` over them
    /// @param weightThrough sum of `rows` over those of them whose net is not negative
    struct Payout {
        uint64 influence;
        uint64 flat;
        uint16 factorBps;
        uint32 rows;
        uint64 influenceThrough;
        uint64 flatThrough;
        uint64 weightThrough;
    }

    /// @dev Thrown when a cell is not below 2^bits.
    error CellOutOfRange(uint256 cell, uint256 bits, uint256 content);
    /// @dev Thrown when no account has the key.
    error UnknownAccount(uint256 key);
    /// @dev Thrown when a row's kind is not from 0 to 13.
    error UnknownKind(uint256 kind);
    /// @dev Thrown when a share's kind is not from 0 to 2.
    error UnknownShareKind(uint256 kind);
    /// @dev Thrown when a factor is above 10_000.
    error FactorTooLarge(uint256 factorBps);
    /// @dev Thrown when bytes without meaning in rows of this kind are not zero.
    error UnusedBytes(Kind kind, uint256 cell, uint256 content);

    uint256 internal constant CELLS = 8;
    uint256 internal constant CELL_BYTES = 31;

    uint256 private constant BPS = 10_000;

    /// @dev Bits below the leading byte of a cell.
    uint256 private constant LEADING = 240;

    uint256 private constant DRAW = 1;
    uint256 private constant FIXED = 2;
    uint256 private constant POOL = 3;
    uint256 private constant BALANCE = 4;

    /// @dev Bytes of the fields behind the kind byte in cell 4, one byte per kind.
    bytes14 private constant FIELD_BYTES = hex"0018001e0a1219181600131b131b";

    /// @notice Reads a row.
    /// @dev Reverts with an error of this library unless the cells are exactly how a row is written. Whether the row
    /// has a place in a ledger is not checked.
    function decode(uint256[CELLS] memory cells) internal pure returns (Row memory row) {
        row.earner = EarnerIndex.wrap(uint32(_integer(cells, 0, 32)));
        row.amount = uint64(_integer(cells, 1, 64));
        row.account = cells[2];
        require(_isAccount(row.account), UnknownAccount(row.account));
        row.value = _signed(uint64(_integer(cells, 3, 64)));
        row.kind = _checkInfo(cells);
        row.info = [cells[4], cells[5], cells[6], cells[7]];
    }

    /// @notice Symbol 0 of the blob of a ledger of `rows` rows, EigenDA's payload header: a zero byte, the codec's
    /// version 0, the payload's length in bytes as u32, zeros.
    function payloadHeader(uint32 rows) internal pure returns (uint256) {
        return (uint256(rows) * CELLS - 1) * CELL_BYTES << 208;
    }

    /// @notice The account that a channel's fees post to: `01`, leading 30 bytes of the id.
    function drawAccount(ChannelId channel) internal pure returns (uint256) {
        return DRAW << LEADING | uint256(ChannelId.unwrap(channel)) >> 16;
    }

    /// @notice The account of an earner's fixed shares: `02`, 26 zeros, index (u32).
    function fixedAccount(EarnerIndex earner) internal pure returns (uint256) {
        return FIXED << LEADING | EarnerIndex.unwrap(earner);
    }

    /// @notice The account of the contributors' shares of a model's calls: `03 00`, leading 25 bytes of the id, 4
    /// zeros.
    function poolAccount(ModelId model) internal pure returns (uint256) {
        return POOL << LEADING | _modelPart(model);
    }

    /// @notice The account of a contributor with a model: `04 00`, leading 25 bytes of the id, index (u32).
    function balanceAccount(ModelId model, EarnerIndex earner) internal pure returns (uint256) {
        return BALANCE << LEADING | _modelPart(model) | EarnerIndex.unwrap(earner);
    }

    /// @notice What a row of kind Header says.
    function header(Row memory row) internal pure returns (Header memory h) {
        uint256 head = row.info[0];
        h.chainId = uint64(_field(head, 1, 8));
        h.epoch = uint64(_field(head, 9, 8));
        h.records = uint32(_field(head, 17, 4));
        h.rows = uint32(_field(head, 21, 4));
        h.operator = address(uint160(row.info[1]));
        h.settlement = address(uint160(row.info[2]));
        h.total = uint64(row.info[3]);
    }

    /// @notice What a row of kind Record says.
    function record(Row memory row) internal pure returns (Record memory r) {
        uint256 head = row.info[0];
        r.tokensIn = uint32(_field(head, 1, 4));
        r.tokensOut = uint32(_field(head, 5, 4));
        r.priceVersion = uint32(_field(head, 9, 4));
        r.time = uint64(_field(head, 13, 8));
        r.from = uint64(_field(head, 21, 8));
        r.ordinal = uint16(_field(head, 29, 2));
        r.model = bytes31(uint248(row.info[1]));
        r.voucher = bytes31(uint248(row.info[2]));
        r.record = bytes31(uint248(row.info[3]));
    }

    /// @notice What a row of kind Share says.
    function share(Row memory row) internal pure returns (Share memory s) {
        uint256 head = row.info[0];
        s.kind = ShareKind(_field(head, 1, 1));
        s.weight = uint32(_field(head, 2, 4));
        s.weights = uint32(_field(head, 6, 4));
        s.position = uint8(_field(head, 10, 1));
    }

    /// @notice What a row of kind PoolShare says.
    function poolShare(Row memory row) internal pure returns (PoolShare memory p) {
        p.credits = uint8(_field(row.info[0], 1, 1));
        p.magnitude = uint128(_field(row.info[0], 2, 16));
        p.position = uint8(_field(row.info[0], 18, 1));
    }

    /// @notice What a row of kind Credit says.
    function credit(Row memory row) internal pure returns (Credit memory c) {
        uint256 head = row.info[0];
        c.score = _signed(uint64(_field(head, 1, 8)));
        c.place = uint8(_field(head, 9, 1));
        c.magnitudeThrough = uint128(_field(head, 10, 16));
    }

    /// @notice What a row of kind PoolClosing says.
    function poolClosing(Row memory row) internal pure returns (PoolClosing memory p) {
        uint256 head = row.info[0];
        p.influence = uint64(_field(head, 1, 8));
        p.flat = uint64(_field(head, 9, 8));
        p.weight = uint64(_field(head, 17, 8));
    }

    /// @notice What a row of kind Payout says.
    function payout(Row memory row) internal pure returns (Payout memory p) {
        uint256 head = row.info[0];
        p.influence = uint64(_field(head, 1, 8));
        p.flat = uint64(_field(head, 9, 8));
        p.factorBps = uint16(_field(head, 17, 2));
        p.rows = uint32(_field(head, 19, 4));
        p.influenceThrough = uint64(row.info[1] >> 128);
        p.flatThrough = uint64(row.info[1] >> 64);
        p.weightThrough = uint64(row.info[1]);
    }

    function _isAccount(uint256 key) private pure returns (bool) {
        uint256 kind = key >> LEADING;
        if (kind == 0) return key == 0;
        if (kind == DRAW) return true;
        if (kind == FIXED) return key == (FIXED << LEADING | uint32(key));
        if (kind > BALANCE || _field(key, 1, 1) != 0) return false;

        return kind == BALANCE || uint32(key) == 0;
    }

    /// @dev The row's kind, once cells 4 to 7 are found to be how a row of it is written.
    function _checkInfo(uint256[CELLS] memory cells) private pure returns (Kind kind) {
        uint256 head = cells[4];
        require(head >> LEADING <= uint256(type(Kind).max), UnknownKind(head >> LEADING));
        kind = Kind(head >> LEADING);

        uint256 unusedBytes = CELL_BYTES - 1 - uint8(FIELD_BYTES[uint256(kind)]);
        require(head & ((1 << 8 * unusedBytes) - 1) == 0, UnusedBytes(kind, 4, head));
        if (kind == Kind.Share) {
            uint256 given = _field(head, 1, 1);
            require(given <= uint256(type(ShareKind).max), UnknownShareKind(given));
        }
        if (kind == Kind.Payout) {
            uint256 given = _field(head, 17, 2);
            require(given <= BPS, FactorTooLarge(given));
        }
        _checkTail(kind, cells);
    }

    /// @dev Checks cells 5 to 7.
    function _checkTail(Kind kind, uint256[CELLS] memory cells) private pure {
        if (kind == Kind.Header) {
            _integer(cells, 5, 160);
            _integer(cells, 6, 160);
            _integer(cells, 7, 64);
            return;
        }
        for (uint256 j = 5; j < CELLS; ++j) {
            if (kind == Kind.Record) _integer(cells, j, 8 * CELL_BYTES);
            else if (kind == Kind.Payout && j == 5) _integer(cells, j, 192);
            else if (kind == Kind.SpanCredit && j == 5) _integer(cells, j, 160);
            else if (kind == Kind.CitationCredit && j == 5) _integer(cells, j, 120);
            else require(cells[j] == 0, UnusedBytes(kind, j, cells[j]));
        }
    }

    function _integer(uint256[CELLS] memory cells, uint256 j, uint256 bits) private pure returns (uint256) {
        require(cells[j] >> bits == 0, CellOutOfRange(j, bits, cells[j]));
        return cells[j];
    }

    /// @dev The integer of `size` bytes of a cell, behind its first `at` bytes.
    function _field(uint256 cell, uint256 at, uint256 size) private pure returns (uint256) {
        return cell >> 8 * (CELL_BYTES - at - size) & ((1 << 8 * size) - 1);
    }

    /// @dev Minus 2^63: in two's complement that flips the leading bit.
    function _signed(uint64 biased) private pure returns (int64) {
        return int64(biased ^ 1 << 63);
    }

    function _modelPart(ModelId model) private pure returns (uint256) {
        return uint256(ModelId.unwrap(model)) >> 56 << 32;
    }
}
