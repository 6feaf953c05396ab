// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {G1Point, G2Point, Kzg, Opening} from "../../contracts/libraries/Kzg.sol";
import {LedgerRow} from "../../contracts/libraries/LedgerRow.sol";
import {LedgerUses} from "../../contracts/libraries/LedgerUses.sol";
import {ChannelId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {DevSrs} from "../DevSrs.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

/// @dev The library's function as an external call, so that its reverts can be expected.
contract LedgerRowCaller {
    function decode(uint256[8] memory cells) external pure returns (LedgerRow.Row memory) {
        return LedgerRow.decode(cells);
    }
}

/// @notice Rows of test/vectors/row_codec.json, which a Python script wrote from the layout's table.
contract LedgerRowTest is Test {
    using stdJson for string;

    LedgerRowCaller private caller;
    string private json;

    function setUp() public {
        caller = new LedgerRowCaller();
        json = vm.readFile("test/vectors/row_codec.json");
    }

    function test_decode_readsTheVectors() public view {
        uint256 cases;
        for (; vm.keyExistsJson(json, _at(".valid", cases)); ++cases) {
            string memory path = _at(".valid", cases);
            string memory name = json.readString(string.concat(path, ".name"));
            LedgerRow.Row memory row = LedgerRow.decode(_cells(path));

            assertEq(EarnerIndex.unwrap(row.earner), json.readUint(string.concat(path, ".earner")), name);
            assertEq(row.amount, json.readUint(string.concat(path, ".amount")), name);
            assertEq(row.value, json.readInt(string.concat(path, ".value")), name);
            assertEq(row.account, _account(string.concat(path, ".account")), name);
        }
        assertEq(cases, 19, "cases in the file");
    }

    function test_decode_reverts_whenTheVectorsSaySo() public {
        bytes[20] memory errors = _expectedErrors();
        for (uint256 i; i < errors.length; ++i) {
            uint256[8] memory cells = _cells(_at(".invalid", i));

            vm.expectRevert(errors[i]);
            caller.decode(cells);
        }
        assertFalse(vm.keyExistsJson(json, _at(".invalid", errors.length)), "cases in the file");
    }

    function test_header_readsTheVector() public view {
        LedgerRow.Header memory h = LedgerRow.header(_row(1, LedgerRow.Kind.Header));

        assertEq(h.chainId, 161_201);
        assertEq(h.epoch, 29_000_000);
        assertEq(h.records, 3);
        assertEq(h.rows, 32);
        assertEq(h.operator, address(0x0102030405060708090a0B0c0d0e0f1011121314));
        assertEq(h.settlement, address(0x292A2B2c2D2e2f303132333435363738393A3b3c));
        assertEq(h.total, uint64(type(int64).max));
    }

    function test_record_readsTheVector() public view {
        LedgerRow.Record memory r = LedgerRow.record(_row(3, LedgerRow.Kind.Record));

        assertEq(r.tokensIn, 1000);
        assertEq(r.tokensOut, type(uint32).max);
        assertEq(r.priceVersion, 7);
        assertEq(r.time, 1_790_000_000);
        assertEq(r.from, type(uint64).max);
        assertEq(r.ordinal, type(uint16).max - 1);
        assertEq(r.model, bytes31(json.readBytes32(".model")));
        assertEq(r.voucher, bytes31(hex"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"));
        assertEq(r.record, bytes31(hex"6465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182"));
    }

    function test_share_readsTheVectors() public view {
        LedgerRow.Share memory treasury = LedgerRow.share(_row(4, LedgerRow.Kind.Share));
        assertTrue(treasury.kind == LedgerRow.ShareKind.Treasury && treasury.weight == 0 && treasury.weights == 0);
        assertEq(treasury.position, 1);

        LedgerRow.Share memory owner = LedgerRow.share(_row(5, LedgerRow.Kind.Share));
        assertTrue(owner.kind == LedgerRow.ShareKind.Owner && owner.weight == 2 && owner.weights == 5);
        assertEq(owner.position, 2);

        LedgerRow.Share memory stakers = LedgerRow.share(_row(6, LedgerRow.Kind.Share));
        assertTrue(stakers.kind == LedgerRow.ShareKind.Stakers && stakers.weight == 0 && stakers.weights == 0);
        assertEq(stakers.position, 255);
    }

    function test_poolShare_readsTheVector() public view {
        LedgerRow.PoolShare memory p = LedgerRow.poolShare(_row(7, LedgerRow.Kind.PoolShare));

        assertEq(p.credits, 32);
        assertEq(p.magnitude, 1 << 68);
        assertEq(p.position, 4);
    }

    function test_credit_readsTheVectors() public view {
        LedgerRow.Credit memory c = LedgerRow.credit(_row(8, LedgerRow.Kind.Credit));
        assertEq(c.score, -12_345);
        assertEq(c.place, 31);
        assertEq(c.magnitudeThrough, (1 << 68) - 1);

        c = LedgerRow.credit(_row(9, LedgerRow.Kind.Credit));
        assertEq(c.score, type(int64).min);
        assertEq(c.place, 0);
        assertEq(c.magnitudeThrough, 1 << 63);
    }

    function test_poolClosing_readsTheVector() public view {
        LedgerRow.PoolClosing memory p = LedgerRow.poolClosing(_row(10, LedgerRow.Kind.PoolClosing));

        assertEq(p.influence, 300);
        assertEq(p.flat, 193);
        assertEq(p.weight, 40);
    }

    function test_uses_readTheVectors() public view {
        LedgerUses.Pool memory p = LedgerUses.pool(_row(15, LedgerRow.Kind.SpanPool));
        assertEq(p.credits, 32);
        assertEq(p.magnitude, 1 << 68);
        assertEq(p.position, 37);

        LedgerRow.Row memory row = _row(16, LedgerRow.Kind.SpanCredit);
        LedgerUses.Credit memory c = LedgerUses.credit(row);
        assertEq(c.score, 1 << 40);
        assertEq(c.place, 31);
        assertEq(c.magnitudeThrough, (1 << 68) - 1);
        assertEq(c.position, 69);
        LedgerUses.Span memory span = LedgerUses.span(row);
        assertEq(span.start, 300);
        assertEq(span.length, 17);
        assertEq(span.low, (1 << 33) + 5);
        assertEq(span.count, 9);
        assertEq(span.holders, 3);
        assertEq(span.holder, 1);
        assertEq(span.occurrence, 4);

        p = LedgerUses.pool(_row(17, LedgerRow.Kind.CitationPool));
        assertEq(p.position, type(uint16).max);
        row = _row(18, LedgerRow.Kind.CitationCredit);
        assertEq(LedgerUses.credit(row).score, 1 << 48);
        LedgerUses.Citation memory cited = LedgerUses.citation(row);
        assertEq(cited.datanet, 15);
        assertEq(cited.row, (1 << 50) + 1);
        assertEq(cited.relevance, (1 << 31) + 3);
        assertEq(cited.uses, 7);
    }

    function test_payout_readsTheVector() public view {
        LedgerRow.Payout memory p = LedgerRow.payout(_row(11, LedgerRow.Kind.Payout));

        assertEq(p.influence, 200);
        assertEq(p.flat, 93);
        assertEq(p.factorBps, 5000);
        assertEq(p.rows, 12);
        assertEq(p.influenceThrough, type(uint64).max);
        assertEq(p.flatThrough, 193);
        assertEq(p.weightThrough, 40);
    }

    function testFuzz_decode_reverts_whenACellHasMoreThan31Bytes(uint256 which, uint256 j, uint256 bit) public {
        uint256[8] memory cells = _cells(_at(".valid", bound(which, 0, 14)));
        cells[bound(j, 0, 7)] |= 1 << bound(bit, 248, 255);

        vm.expectRevert();
        caller.decode(cells);
    }

    function testFuzz_decode_reverts_whenABitWithoutMeaningIsSet(uint256 j, uint256 bit) public {
        (j, bit) = (bound(j, 4, 7), bound(bit, 0, 239));
        uint256[8] memory cells = _cells(_at(".valid", 12));
        cells[j] |= 1 << bit;

        vm.expectRevert(abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.FixedPayout, j, cells[j]));
        caller.decode(cells);
    }

    function testFuzz_decode_reverts_whenABitBehindTheFieldsIsSet(uint256 which, uint256 bit) public {
        uint8[10] memory fieldBytes =
            [0, 8 + 8 + 4 + 4, 0, 30, 1 + 4 + 4 + 1, 1 + 16 + 1, 8 + 1 + 16, 8 + 8 + 8, 8 + 8 + 2 + 4, 0];
        uint256[8] memory cells = _cells(_at(".valid", bound(which, 0, 14)));
        uint256 kind = cells[4] >> 240;
        // A record's fields fill the cell.
        vm.assume(kind != uint256(LedgerRow.Kind.Record));
        cells[4] |= 1 << bound(bit, 0, 8 * (30 - uint256(fieldBytes[kind])) - 1);

        vm.expectRevert(abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, kind, 4, cells[4]));
        caller.decode(cells);
    }

    /// @dev In the order of the file.
    function _expectedErrors() private pure returns (bytes[20] memory e) {
        e[0] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 0, 32, 1 << 32);
        e[1] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 1, 64, 1 << 64);
        e[2] = abi.encodeWithSelector(LedgerRow.UnknownAccount.selector, 5 << 240);
        e[3] = abi.encodeWithSelector(LedgerRow.UnknownAccount.selector, 2 << 240 | 1 << 32);
        e[4] = abi.encodeWithSelector(LedgerRow.UnknownAccount.selector, 3 << 240 | 1);
        e[5] = abi.encodeWithSelector(LedgerRow.UnknownAccount.selector, 1);
        e[6] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 3, 64, 1 << 64);
        e[7] = abi.encodeWithSelector(LedgerRow.UnknownKind.selector, 14);
        e[8] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.Padding, 4, 1 << 232);
        e[9] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.Padding, 7, 1);
        e[10] = abi.encodeWithSelector(LedgerRow.UnknownShareKind.selector, 3);
        e[11] = abi.encodeWithSelector(LedgerRow.FactorTooLarge.selector, 10_001);
        e[12] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 5, 160, 1 << 160);
        uint256 head = 6 << 240 | 1 << 239 | 1 << 32;
        e[13] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.Credit, 4, head);
        e[14] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 5, 192, 1 << 192);
        e[15] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 5, 160, 1 << 160);
        e[16] = abi.encodeWithSelector(LedgerRow.CellOutOfRange.selector, 5, 120, 1 << 120);
        e[17] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.SpanPool, 5, 1);
        head = 12 << 240 | 1 << 80;
        e[18] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.CitationPool, 4, head);
        e[19] = abi.encodeWithSelector(LedgerRow.UnusedBytes.selector, LedgerRow.Kind.CitationCredit, 6, 1);
    }

    function _row(uint256 i, LedgerRow.Kind kind) private view returns (LedgerRow.Row memory row) {
        row = LedgerRow.decode(_cells(_at(".valid", i)));
        assertEq(uint8(row.kind), uint8(kind));
    }

    function _account(string memory path) private view returns (uint256) {
        ModelId model = ModelId.wrap(json.readBytes32(".model"));
        bytes32 kind = keccak256(bytes(json.readString(string.concat(path, ".kind"))));

        if (kind == keccak256("none")) return 0;
        if (kind == keccak256("draw")) return LedgerRow.drawAccount(ChannelId.wrap(json.readBytes32(".channel")));
        if (kind == keccak256("pool")) return LedgerRow.poolAccount(model);

        EarnerIndex earner = EarnerIndex.wrap(uint32(json.readUint(string.concat(path, ".earner"))));
        if (kind == keccak256("fixed")) return LedgerRow.fixedAccount(earner);
        require(kind == keccak256("balance"), "account kind in the file");
        return LedgerRow.balanceAccount(model, earner);
    }

    function _cells(string memory path) private view returns (uint256[8] memory cells) {
        uint256[] memory listed = json.readUintArray(string.concat(path, ".cells"));
        assertEq(listed.length, 8);
        for (uint256 j; j < 8; ++j) {
            cells[j] = listed[j];
        }
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}

/// @notice The batch of test/vectors/ledger.json, which a Python script built, and its commitments in commitment.json,
/// which rust-kzg-bn254 made.
contract LedgerVectorsTest is Test {
    using stdJson for string;

    uint256 private constant R = Kzg.SCALAR_MODULUS;

    string private json;
    string private committed;
    uint256[8][] private rows;
    mapping(EarnerIndex earner => uint256 gwei_) private paid;
    mapping(uint256 account => int256 gwei_) private posted;
    mapping(uint256 account => int256 gwei_) private expectedDraw;

    function setUp() public {
        json = vm.readFile("test/vectors/ledger.json");
        committed = vm.readFile("test/vectors/commitment.json");
        uint256 count = committed.readUint(".rows");
        for (uint256 i; i < count; ++i) {
            uint256[] memory listed = json.readUintArray(_at(".ledger.rows", i));
            assertEq(listed.length, 8);
            uint256[8] memory cells;
            for (uint256 j; j < 8; ++j) {
                cells[j] = listed[j];
            }
            rows.push(cells);
        }
        assertFalse(vm.keyExistsJson(json, _at(".ledger.rows", count)), "rows in the file");
    }

    function test_header_saysWhichBatchTheLedgerIs() public view {
        LedgerRow.Row memory row = LedgerRow.decode(rows[0]);
        assertEq(uint8(row.kind), uint8(LedgerRow.Kind.Header));

        LedgerRow.Header memory h = LedgerRow.header(row);
        bytes32 id = keccak256(abi.encode(uint256(h.chainId), h.settlement, h.operator, h.epoch));
        assertEq(id, json.readBytes32(".ledger.batchId"));
        assertEq(h.rows, rows.length);
        assertEq(h.records, 4);
        assertEq(h.total, json.readUint(".ledger.total"));
    }

    function test_rows_payWhatThePayoutsList() public {
        uint256 total;
        for (uint256 i; i < rows.length; ++i) {
            LedgerRow.Row memory row = LedgerRow.decode(rows[i]);
            paid[row.earner] += row.amount;
            total += row.amount;
        }
        assertEq(total, json.readUint(".ledger.total"));

        uint256 listed;
        for (uint256 i; vm.keyExistsJson(json, _at(".ledger.payouts", i)); ++i) {
            uint256[] memory payout = json.readUintArray(_at(".ledger.payouts", i));
            assertEq(paid[EarnerIndex.wrap(uint32(payout[0]))], payout[1]);
            listed += payout[1];
        }
        assertEq(listed, total);
    }

    /// @dev Every account closes at zero, but those of draws, which the channels' public draws close.
    function test_rows_closeEveryAccount() public {
        for (uint256 i; vm.keyExistsJson(json, _at(".ledger.draws", i)); ++i) {
            string memory path = _at(".ledger.draws", i);
            bytes32 channel = json.readBytes32(string.concat(path, "[0]"));
            expectedDraw[LedgerRow.drawAccount(ChannelId.wrap(channel))] =
                json.readInt(string.concat(path, "[2]")) - json.readInt(string.concat(path, "[1]"));
        }
        for (uint256 i; i < rows.length; ++i) {
            LedgerRow.Row memory row = LedgerRow.decode(rows[i]);
            posted[row.account] += row.value;
        }
        uint256 draws;
        for (uint256 i; i < rows.length; ++i) {
            uint256 account = LedgerRow.decode(rows[i]).account;
            assertEq(posted[account], expectedDraw[account], vm.toString(bytes32(account)));
            if (expectedDraw[account] != 0) ++draws;
        }
        assertEq(draws, 4, "one per record");
    }

    function test_secret_isThatOfTheSetup() public view {
        G2Point memory tauG2 = G2Point({
            x1: committed.readUint(".tau_g2.x1"),
            x0: committed.readUint(".tau_g2.x0"),
            y1: committed.readUint(".tau_g2.y1"),
            y0: committed.readUint(".tau_g2.y0")
        });

        // The polynomial X is tau at tau and 0 at 0, and X / X is 1.
        assertTrue(Kzg.opens(Opening(Kzg.mul(Kzg.generator(), _tau()), 0, 0, Kzg.generator()), tauG2));
    }

    function test_payloadHeader_makesTheBlobOfTheVector() public view {
        bytes memory blob = abi.encodePacked(_symbols());

        assertEq(blob.length, committed.readUint(".blob_bytes"));
        assertEq(keccak256(blob), committed.readBytes32(".blob_keccak"));
    }

    function test_commitment_isThatOfTheBlobsPolynomial() public view {
        _assertCommitted(_symbols(), ".commitment");
    }

    function test_commitment_ofPayoutsIsThatOfEachPage() public view {
        uint256 size = committed.readUint(".page_size");
        uint256 pages;
        uint256 committedPayouts;
        for (; vm.keyExistsJson(committed, _at(".payouts", pages)); ++pages) {
            string memory path = _at(".payouts", pages);
            (uint256[] memory values, uint256 count) = _page(committed.readUint(string.concat(path, ".page")), size);

            _assertCommitted(values, string.concat(path, ".commitment"));
            committedPayouts += count;
        }
        assertEq(pages, 1);
        assertFalse(vm.keyExistsJson(json, _at(".ledger.payouts", committedPayouts)), "payouts outside of the pages");
    }

    function _assertCommitted(uint256[] memory values, string memory path) private view {
        G1Point memory commitment = Kzg.mul(Kzg.generator(), _evaluate(values, _tau()));

        assertEq(commitment.x, committed.readUint(string.concat(path, ".x")));
        assertEq(commitment.y, committed.readUint(string.concat(path, ".y")));
    }

    /// @dev Gwei by place in the page, and how many payouts are in it.
    function _page(uint256 page, uint256 size) private view returns (uint256[] memory values, uint256 count) {
        values = new uint256[](size);
        for (uint256 i; vm.keyExistsJson(json, _at(".ledger.payouts", i)); ++i) {
            uint256[] memory payout = json.readUintArray(_at(".ledger.payouts", i));
            if (payout[0] / size == page) {
                values[payout[0] % size] = payout[1];
                ++count;
            }
        }
    }

    /// @dev The blob's symbols: the cells, but for the first.
    function _symbols() private view returns (uint256[] memory symbols) {
        symbols = new uint256[](rows.length * 8);
        for (uint256 i; i < symbols.length; ++i) {
            symbols[i] = rows[i / 8][i % 8];
        }
        symbols[0] = LedgerRow.payloadHeader(uint32(rows.length));
    }

    /// @dev 64 bytes of hash of the seed, reduced.
    function _tau() private view returns (uint256) {
        bytes memory seed = bytes(committed.readString(".seed"));
        uint256 high = uint256(keccak256(abi.encodePacked("OpenLedger development setup v1", uint8(0), seed)));
        uint256 low = uint256(keccak256(abi.encodePacked("OpenLedger development setup v1", uint8(1), seed)));
        uint256 shift = addmod(type(uint256).max, 1, R);
        return addmod(mulmod(high, shift, R), low, R);
    }

    /// @dev The polynomial with values y_i at w^i, w of order n = `values.length`, by the barycentric formula:
    /// (x^n - 1) / n times the sum of y_i w^i / (x - w^i).
    function _evaluate(uint256[] memory values, uint256 x) private view returns (uint256) {
        uint256 root = Kzg.rootOfUnity(values.length);
        uint256 point = 1;
        uint256 sum;
        for (uint256 i; i < values.length; ++i) {
            if (values[i] != 0) {
                uint256 term = mulmod(point, DevSrs.inverse(addmod(x, R - point, R)), R);
                sum = addmod(sum, mulmod(values[i], term, R), R);
            }
            point = mulmod(point, root, R);
        }
        uint256 vanishing = addmod(Kzg.pow(x, values.length), R - 1, R);
        return mulmod(mulmod(vanishing, DevSrs.inverse(values.length), R), sum, R);
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}
