// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../../../contracts/interfaces/IDatanetRegistry.sol";
import {IDisputes, Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IModelMixes} from "../../../contracts/interfaces/IModelMixes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IAmountFaults} from "../../../contracts/interfaces/faults/IAmountFaults.sol";
import {ICreditFaults} from "../../../contracts/interfaces/faults/ICreditFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IUseFaults} from "../../../contracts/interfaces/faults/IUseFaults.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {MerkleLeaves} from "../../../contracts/libraries/MerkleLeaves.sol";
import {LeafOpening, RowOpening, SpanCommitment, SuffixOpening} from "../../../contracts/libraries/SpanProofs.sol";
import {DatanetRegistry} from "../../../contracts/registry/DatanetRegistry.sol";
import {SpanIndexes} from "../../../contracts/registry/SpanIndexes.sol";
import {UseFaults} from "../../../contracts/settlement/faults/UseFaults.sol";
import {DatanetId, EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @notice Credits for uses put in the place of an honest batch's credits: proofs read no other rows.
contract UseFaultsTest is FaultsBase {
    struct RangeCase {
        string name;
        bytes32[] cells;
        bool strikes;
        uint64 rank;
        SuffixOpening first;
        SuffixOpening other;
    }

    struct HolderCase {
        string name;
        bytes32[] cells;
        bool strikes;
        SuffixOpening suffix;
        RowOpening row;
        LeafOpening canonical;
    }

    struct RepeatCase {
        string name;
        bytes32[] cells;
        bool strikes;
        uint16 earlier;
        SuffixOpening[] suffixes;
        RowOpening[] rows;
    }

    struct CountCase {
        string name;
        bytes32[] cells;
        bool strikes;
        SuffixOpening[] suffixes;
        RowOpening[] rows;
    }

    struct ScoreCase {
        string name;
        bytes32[] cells;
        bool strikes;
    }

    string private constant LEAF = "LeafOpening(bytes leaf,bytes32[] siblings)";
    string private constant SUFFIX = "SuffixOpening(LeafOpening pointer,LeafOpening[] text)";
    string private constant ROW = "RowOpening(uint32 row,LeafOpening entry,LeafOpening[] next)";

    SpanIndexes private spanIndexes;
    UseFaults private useFaults;
    string private json;
    IUseFaults.Corpus private corpus;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("test/vectors/uses.json");
        string memory kind =
            "SpanCommitment(uint64 tokens,uint64 positions,uint32 rows,bytes32 textRoot,bytes32 suffixRoot,bytes32 rowRoot)";
        corpus.model = adapter;
        corpus.commitment = abi.decode(vm.parseJsonType(json, ".commitment", kind), (SpanCommitment));
        spanIndexes = new SpanIndexes(models, models.datanets(), earners, 1 ether, 0.1 ether, 7 days, 1 days);
        useFaults = new UseFaults(IDisputes(address(disputes)), spanIndexes);
        _publish(START - 8 days);
    }

    // Spans.

    function test_proveSpanRange_isWhatTheAuditSays() public {
        string memory kind = string.concat(
            "UseFaultsRange(string name,bytes32[] cells,bool strikes,uint64 rank,SuffixOpening first,SuffixOpening other)",
            LEAF,
            SUFFIX
        );
        RangeCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".ranges", kind), (RangeCase[]));
        for (uint256 i; i < cases.length; ++i) {
            RangeCase memory c = cases[i];
            uint256 at = _put(c.cells);
            bytes memory proof = abi.encodeCall(
                IUseFaults.proveSpanRange, (batch, book.openRows(_rows(at)), corpus, c.rank, c.first, c.other)
            );
            _expect(proof, Rule.Span, c.strikes, "proveSpanRange");
        }
    }

    function test_proveSpanHolder_isWhatTheAuditSays() public {
        string memory kind = string.concat(
            "UseFaultsHolder(string name,bytes32[] cells,bool strikes,SuffixOpening suffix,RowOpening row,LeafOpening canonical)",
            LEAF,
            ROW,
            SUFFIX
        );
        HolderCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".holders", kind), (HolderCase[]));
        for (uint256 i; i < cases.length; ++i) {
            HolderCase memory c = cases[i];
            uint256 at = _put(c.cells);
            bytes memory proof = abi.encodeCall(
                IUseFaults.proveSpanHolder, (batch, book.openRows(_rows(at)), corpus, c.suffix, c.row, c.canonical)
            );
            _expect(proof, Rule.Span, c.strikes, "proveSpanHolder");
        }
    }

    function test_proveSpanRepeat_isWhatTheAuditSays() public {
        string memory kind = string.concat(
            "UseFaultsRepeat(string name,bytes32[] cells,bool strikes,uint16 earlier,SuffixOpening[] suffixes,RowOpening[] rows)",
            LEAF,
            ROW,
            SUFFIX
        );
        RepeatCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".repeats", kind), (RepeatCase[]));
        for (uint256 i; i < cases.length; ++i) {
            RepeatCase memory c = cases[i];
            uint256 at = _put(c.cells);
            SuffixOpening[2] memory suffixes = [c.suffixes[0], c.suffixes[1]];
            RowOpening[2] memory rows = [c.rows[0], c.rows[1]];
            bytes memory proof = abi.encodeCall(
                IUseFaults.proveSpanRepeat, (batch, book.openRows(_rows(at)), corpus, c.earlier, suffixes, rows)
            );
            _expect(proof, Rule.Span, c.strikes, "proveSpanRepeat");
        }
    }

    function test_proveSpanHolders_isWhatTheAuditSays() public {
        string memory kind = string.concat(
            "UseFaultsCount(string name,bytes32[] cells,bool strikes,SuffixOpening[] suffixes,RowOpening[] rows)",
            LEAF,
            ROW,
            SUFFIX
        );
        CountCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".counts", kind), (CountCase[]));
        for (uint256 i; i < cases.length; ++i) {
            CountCase memory c = cases[i];
            uint256 at = _put(c.cells);
            bytes memory proof = abi.encodeCall(
                IUseFaults.proveSpanHolders, (batch, book.openRows(_rows(at)), corpus, c.suffixes, c.rows)
            );
            _expect(proof, Rule.Span, c.strikes, "proveSpanHolders");
            SuffixOpening[] memory none = new SuffixOpening[](0);
            proof = abi.encodeCall(IUseFaults.proveSpanHolders, (batch, book.openRows(_rows(at)), corpus, none, c.rows));
            _refuses(address(useFaults), proof, abi.encodeWithSelector(IUseFaults.WrongOccurrences.selector, 0));
        }
    }

    function test_proveSpanScore_isWhatTheAuditSays() public {
        ScoreCase[] memory cases = _scores();
        for (uint256 i; i < cases.length; ++i) {
            uint256 at = _put(cases[i].cells);
            bytes memory proof = abi.encodeCall(IUseFaults.proveSpanScore, (batch, book.openRows(_rows(at)), corpus));
            _expect(proof, Rule.Span, cases[i].strikes, "proveSpanScore");
        }
    }

    function test_proveSpanScore_reverts_forACommitmentOfAnotherIndex() public {
        uint256 at = _put(_scores()[0].cells);
        corpus.commitment.tokens += 1;
        bytes memory proof = abi.encodeCall(IUseFaults.proveSpanScore, (batch, book.openRows(_rows(at)), corpus));
        bytes32 hash = keccak256(abi.encode(corpus.commitment));
        _refuses(address(useFaults), proof, abi.encodeWithSelector(IUseFaults.WrongCommitment.selector, hash));
    }

    function test_proveSpanScore_reverts_forAnotherModelOrRow() public {
        uint256 at = _put(_scores()[0].cells);
        corpus.model = base;
        bytes memory proof = abi.encodeCall(IUseFaults.proveSpanScore, (batch, book.openRows(_rows(at)), corpus));
        _refuses(address(useFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongModel.selector, base));
        corpus.model = adapter;
        proof = abi.encodeCall(IUseFaults.proveSpanScore, (batch, book.openRows(_rows(at - 1)), corpus));
        _refuses(address(useFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, at - 1));
    }

    function test_proveSpanBeyond_strikes_onlyBeyondTheIndex() public {
        uint64 tokens = corpus.commitment.tokens;
        for (uint64 low = tokens - 2; low <= tokens; ++low) {
            uint256 at = _putSpan(5, 300, low, 2, 1, 0, 0);
            bytes memory proof = abi.encodeCall(IUseFaults.proveSpanBeyond, (batch, book.openRows(_rows(at)), corpus));
            _expect(proof, Rule.Span, low + 2 > tokens, "proveSpanBeyond");
        }
    }

    function test_proveSpanNested_strikes_whenOneIsWithinTheOther() public {
        uint256 record = _recordWith(2);
        _putSpanAt(record + 5, 5, 10, 6, 1);
        for (uint16 start = 9; start <= 13; ++start) {
            for (uint16 length = 4; length <= 8; ++length) {
                _putSpanAt(record + 6, 6, start, length, 2);
                _repost();
                bytes memory proof =
                    abi.encodeCall(IUseFaults.proveSpanNested, (batch, book.openRows(_rows(record + 5, record + 6))));
                bool within = start >= 10 && start + length <= 16;
                bool around = start <= 10 && start + length >= 16;
                _expect(proof, Rule.Span, within || around, "proveSpanNested");
            }
        }
    }

    function test_proveSpanNested_refusesTwoHoldersOfASpan() public {
        uint256 record = _recordWith(2);
        _putSpanAt(record + 5, 5, 10, 6, 1);
        _putSpanAt(record + 6, 6, 10, 6, 1);
        _repost();
        bytes memory proof =
            abi.encodeCall(IUseFaults.proveSpanNested, (batch, book.openRows(_rows(record + 5, record + 6))));
        _refuses(address(useFaults), proof);
    }

    function test_proveSpanNested_reverts_forSpansOfTwoRecords() public {
        uint256 record = _recordWith(2);
        _putSpanAt(record + 5, 5, 10, 6, 1);
        _putSpanAt(record + 6, 5, 11, 4, 2);
        _repost();
        bytes memory proof =
            abi.encodeCall(IUseFaults.proveSpanNested, (batch, book.openRows(_rows(record + 5, record + 6))));
        _refuses(address(useFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, record + 6));
    }

    function test_proveSpanOutside_strikes_whenASpanEndsAfterTheAnswer() public {
        uint256 record = _recordWith(2);
        book.setField(record, 5, 4, 20);
        for (uint16 start = 13; start <= 16; ++start) {
            _putSpanAt(record + 5, 5, start, 5, 1);
            _repost();
            bytes memory proof =
                abi.encodeCall(IUseFaults.proveSpanOutside, (batch, book.openRows(_rows(record, record + 5))));
            _expect(proof, Rule.Span, start + 5 > 20, "proveSpanOutside");
        }
        _putSpanAt(record + 5, 6, 100, 5, 1);
        _repost();
        bytes memory other =
            abi.encodeCall(IUseFaults.proveSpanOutside, (batch, book.openRows(_rows(record, record + 5))));
        _refuses(address(useFaults), other, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, record + 5));
    }

    function test_proveSpanUnfounded_strikes_unlessAnIndexPaysForTheCall() public {
        uint256 record = _recordWith(2);
        _putSpanAt(record + 5, 5, 10, 6, 1);
        _repost();
        bytes memory proof =
            abi.encodeCall(IUseFaults.proveSpanUnfounded, (batch, book.openRows(_rows(record, record + 5)), adapter));
        _refuses(address(useFaults), proof);

        spanIndexes = new SpanIndexes(models, models.datanets(), earners, 1 ether, 0.1 ether, 7 days, 1 days);
        useFaults = new UseFaults(IDisputes(address(disputes)), spanIndexes);
        _strikesFor(address(useFaults), proof, Rule.Span, "proveSpanUnfounded");
        _publish(START);
        _strikes(address(useFaults), proof, Rule.Span);
    }

    // Citations.

    function test_proveCitationUnfounded_strikes_whenTheVersionsHaveNoSuchRow() public {
        for (uint8 datanet; datanet < 2; ++datanet) {
            for (uint64 row = 98; row < 102; ++row) {
                uint256 at = _putCitation(adapter, 77, datanet, row);
                bytes memory proof =
                    abi.encodeCall(IUseFaults.proveCitationUnfounded, (batch, book.openRows(_rows(at)), adapter));
                _expect(proof, Rule.Citation, datanet > 0 || row >= 100, "proveCitationUnfounded");
            }
        }
    }

    function test_proveCitation_strikes_whenTheRowIsSomebodyElsesOrACopy() public {
        (ModelId model, IDatanetRegistry.Row[2] memory rows) = _citedModel();
        uint32 earner = contributors[0].earner;
        for (uint64 i; i < 2; ++i) {
            bytes32[] memory proof = new bytes32[](1);
            IDatanetRegistry.Row memory other = rows[1 - i];
            proof[0] = MerkleLeaves.rowLeaf(other.index, other.rowHash, other.contributor, other.clusterHash);
            for (uint32 who; who < 2; ++who) {
                uint256 at = _putCitation(model, earner + who, 0, i);
                bytes memory call =
                    abi.encodeCall(IUseFaults.proveCitation, (batch, book.openRows(_rows(at)), model, rows[i], proof));
                _expect(call, Rule.Citation, i == 1 || who == 1, "proveCitation");
                call = abi.encodeCall(IUseFaults.proveCitation, (batch, book.openRows(_rows(at)), model, other, proof));
                _refuses(address(useFaults), call, abi.encodeWithSelector(IUseFaults.NotTheRow.selector));
            }
        }
    }

    // Rules that all credits share.

    function test_proveSplit_goesByTheModelsMix() public {
        uint256 record = _recordWith(2);
        int256 share = book.rowAt(record + 4).value;
        bytes memory split = abi.encodeCall(IAmountFaults.proveSplit, (batch, book.openRows(_rows(record, record + 4))));
        _refuses(address(amountFaults), split);
        vm.warp(START - 1 hours);
        vm.prank(makeAddr("model owner"));
        mixes.setMix(adapter, IModelMixes.Mix(3000, 2001));
        vm.warp(START);
        _strikes(address(amountFaults), split, Rule.Split);

        int256[3] memory parts = [int256(0), share * 3000 / 10_000, share * 2001 / 10_000];
        parts[0] = share - parts[1] - parts[2];
        LedgerRow.Kind[3] memory kinds =
            [LedgerRow.Kind.PoolShare, LedgerRow.Kind.SpanPool, LedgerRow.Kind.CitationPool];
        for (uint256 i; i < 3; ++i) {
            for (int256 more = -1; more <= 1; ++more) {
                uint256 at = record + 4 + i;
                book.setCell(at, 2, LedgerRow.poolAccount(adapter));
                uint256 position = i == 0 ? 4 << 96 : (4 + i) << 88;
                book.setCell(at, 4, uint256(kinds[i]) << 240 | position);
                book.setValue(at, parts[i] + more);
                _repost();
                bytes memory proof = abi.encodeCall(IAmountFaults.proveSplit, (batch, book.openRows(_rows(record, at))));
                if (more == 0) _refuses(address(amountFaults), proof);
                else _strikes(address(amountFaults), proof, Rule.Split);
            }
        }
    }

    function test_proveCredit_goesForUsesToo() public {
        uint256 pool = _recordWith(2) + 4;
        book.setCell(pool, 4, uint256(LedgerRow.Kind.SpanPool) << 240 | 1 << 232 | 30 << 104 | 4 << 88);
        book.setValue(pool, 1000);
        _putSpanAt(pool + 1, 5, 10, 6, 1);
        for (int256 value = 32; value <= 34; ++value) {
            book.setValue(pool + 1, value);
            _repost();
            bytes memory proof =
                abi.encodeCall(IAmountFaults.proveCredit, (batch, book.openRows(_rows(pool, pool + 1))));
            if (value == 33) _refuses(address(amountFaults), proof);
            else _strikes(address(amountFaults), proof, Rule.Credit);
        }
        // A credit by influence is none of a pool of spans.
        bytes memory count =
            abi.encodeCall(IAmountFaults.proveCreditCount, (batch, book.openRows(_rows(pool, pool + 2))));
        _refuses(address(amountFaults), count);
    }

    function test_proveStranger_andTooMany_goForUsesToo() public {
        uint256 record = _recordWith(2);
        book.setCell(record + 4, 4, uint256(LedgerRow.Kind.CitationPool) << 240 | 3 << 232 | 4 << 88);
        _putCitation(adapter, stranger, 0, 7);
        bytes memory many =
            abi.encodeCall(ICreditFaults.proveTooMany, (batch, book.openRows(_rows(record, record + 4))));
        _strikes(address(creditFaults), many, Rule.TooMany);
    }

    // Rows.

    function _publish(uint64 time) private {
        address modelOwner_ = makeAddr("model owner");
        vm.deal(modelOwner_, 1 ether);
        vm.warp(time);
        vm.prank(modelOwner_);
        spanIndexes.publish{value: 1 ether}(adapter, corpus.commitment);
        vm.warp(START);
    }

    function _scores() private view returns (ScoreCase[] memory) {
        string memory kind = "UseFaultsScore(string name,bytes32[] cells,bool strikes)";
        return abi.decode(vm.parseJsonTypeArray(json, ".scores", kind), (ScoreCase[]));
    }

    /// @dev Puts a row of another ledger in the place of a credit, with a balance of this world's adapter.
    function _put(bytes32[] memory cells) private returns (uint256 at) {
        at = _recordWith(2) + 5;
        book.setCell(at, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(uint32(uint256(cells[2])))));
        book.setCell(at, 4, uint256(cells[4]));
        book.setCell(at, 5, uint256(cells[5]));
        _repost();
    }

    function _putSpan(
        uint16 start,
        uint16 length,
        uint64 low,
        uint16 count,
        uint16 holders,
        uint16 holder,
        uint16 occurrence
    ) private returns (uint256 at) {
        bytes32[] memory cells = new bytes32[](8);
        cells[2] = bytes32(uint256(11));
        cells[4] = bytes32(uint256(LedgerRow.Kind.SpanCredit) << 240 | 1 << 176 | 1 << 40 | 5 << 24);
        cells[5] =
            bytes32(uint256(bytes32(abi.encodePacked(start, length, low, count, holders, holder, occurrence))) >> 96);
        return _put(cells);
    }

    /// @dev A credit of score 1 for a span that occurs once.
    function _putSpanAt(uint256 at, uint256 position, uint16 start, uint16 length, uint64 low) private {
        book.setCell(at, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(contributors[0].earner)));
        book.setCell(at, 4, uint256(LedgerRow.Kind.SpanCredit) << 240 | 1 << 176 | 1 << 40 | position << 24);
        bytes memory span = abi.encodePacked(start, length, low, uint16(1), uint16(1), uint16(0), uint16(0));
        book.setCell(at, 5, uint256(bytes32(span)) >> 96);
    }

    function _putCitation(ModelId model, uint32 earner, uint8 datanet, uint64 row) private returns (uint256 at) {
        at = _recordWith(2) + 5;
        book.setCell(at, 2, LedgerRow.balanceAccount(model, EarnerIndex.wrap(earner)));
        book.setCell(at, 4, uint256(LedgerRow.Kind.CitationCredit) << 240 | 6 << 176 | 6 << 40 | 5 << 24);
        book.setCell(at, 5, uint256(bytes32(abi.encodePacked(datanet, row, uint32(3), uint16(2)))) >> 136);
        _repost();
    }

    /// @dev A model with two rows of the first contributor, of which the second is a copy of the first.
    function _citedModel() private returns (ModelId model, IDatanetRegistry.Row[2] memory rows) {
        address contributor = makeAddr("contributor 0");
        rows[0] = IDatanetRegistry.Row(0, "first", contributor, "first");
        rows[1] = IDatanetRegistry.Row(1, "second", contributor, "first");
        bytes32 root = Hashes.commutativeKeccak256(
            MerkleLeaves.rowLeaf(0, "first", contributor, "first"),
            MerkleLeaves.rowLeaf(1, "second", contributor, "first")
        );
        DatanetRegistry datanets = DatanetRegistry(address(models.datanets()));
        DatanetId datanet = datanets.create("cited", "licence", 0);
        datanets.publish(datanet, root, 2);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        vm.prank(makeAddr("model owner"));
        model = models.registerAdapter(base, "cited", "root", "index", versions, "cited", IModelRegistry.Price(1, 1, 1));
    }

    function _expect(bytes memory proof, Rule rule, bool strikes, string memory name) private {
        if (strikes) _strikesFor(address(useFaults), proof, rule, name);
        else _refuses(address(useFaults), proof);
    }
}
