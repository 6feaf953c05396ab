// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISpanVerifier} from "../../contracts/interfaces/ISpanVerifier.sol";
import {
    CountProof,
    LongestProof,
    MissingProof,
    OrderProof,
    RowOpening,
    SpanCommitment,
    SpanProofs,
    SpanRow,
    SuffixOpening
} from "../../contracts/libraries/SpanProofs.sol";
import {SpanVerifier} from "../../contracts/verifiers/SpanVerifier.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Every claim of spans.json, which the verifier in Rust wrote, is answered as there.
contract SpanVerifierTest is Test {
    struct Index {
        uint64 tokens;
        uint64 positions;
        uint32 rows;
        bytes32 textRoot;
        bytes32 suffixRoot;
        bytes32 rowRoot;
        bytes32 hash;
    }

    struct CountCase {
        string name;
        uint256 index;
        bool holds;
        uint64[] shown;
        uint8 rule;
        uint32[] ngram;
        CountProof proof;
    }

    struct LongestCase {
        string name;
        uint256 index;
        bool holds;
        uint64[] shown;
        uint8 rule;
        uint32[] ngram;
        LongestProof proof;
    }

    struct OrderCase {
        string name;
        uint256 index;
        bool holds;
        uint8 rule;
        OrderProof proof;
    }

    struct MissingCase {
        string name;
        uint256 index;
        bool holds;
        uint8 rule;
        MissingProof proof;
    }

    struct RowCase {
        string name;
        uint256 index;
        bool holds;
        uint64[] shown;
        uint8 rule;
        uint64 position;
        RowOpening proof;
    }

    struct AgreeCase {
        string name;
        uint256 index;
        bool holds;
        uint64[] shown;
        uint8 rule;
        uint64 tokens;
        uint64 rank;
        SuffixOpening opening;
        uint64 otherRank;
        SuffixOpening other;
    }

    string private constant LEAF = "LeafOpening(bytes leaf,bytes32[] siblings)";
    string private constant SUFFIX = "SuffixOpening(LeafOpening pointer,LeafOpening[] text)";
    string private constant COUNT =
        "CountProof(uint64 low,uint64 high,SuffixOpening[] before,SuffixOpening[] ends,SuffixOpening[] afterwards)";

    ISpanVerifier private verifier;
    string private json;
    SpanCommitment[] private indexes;

    function setUp() public {
        verifier = new SpanVerifier();
        json = vm.readFile("test/vectors/spans.json");
        string memory index =
            "SpanVectorIndex(uint64 tokens,uint64 positions,uint32 rows,bytes32 textRoot,bytes32 suffixRoot,bytes32 rowRoot,bytes32 hash)";
        Index[] memory given = abi.decode(vm.parseJsonTypeArray(json, ".indexes", index), (Index[]));
        for (uint256 i; i < given.length; ++i) {
            Index memory g = given[i];
            indexes.push(SpanCommitment(g.tokens, g.positions, g.rows, g.textRoot, g.suffixRoot, g.rowRoot));
            assertEq(verifier.hashOf(indexes[i]), g.hash);
        }
    }

    function test_count_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint64[] shown,uint8 rule,uint32[] ngram,CountProof proof)",
            COUNT,
            LEAF,
            SUFFIX
        );
        CountCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".counts", kind), (CountCase[]));
        for (uint256 i; i < cases.length; ++i) {
            CountCase memory c = cases[i];
            _expect(c.holds, c.rule);
            uint256 count = verifier.count(indexes[c.index], c.ngram, c.proof);
            if (c.holds) assertEq(count, c.shown[0], c.name);
        }

        verifier.count(indexes[cases[0].index], cases[0].ngram, cases[0].proof);
        vm.snapshotGasLastCall("Spans", "count of an n-gram");
    }

    function test_longest_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint64[] shown,uint8 rule,uint32[] ngram,LongestProof proof)",
            COUNT,
            LEAF,
            "LongestProof(uint64 tokens,CountProof found,CountProof[] longer)",
            SUFFIX
        );
        LongestCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".longest", kind), (LongestCase[]));
        for (uint256 i; i < cases.length; ++i) {
            LongestCase memory c = cases[i];
            _expect(c.holds, c.rule);
            (uint256 tokens, uint256 count) = verifier.longest(indexes[c.index], c.ngram, c.proof);
            if (!c.holds) continue;
            assertEq(tokens, c.shown[0], c.name);
            assertEq(count, c.shown[1], c.name);
        }

        verifier.longest(indexes[cases[0].index], cases[0].ngram, cases[0].proof);
        vm.snapshotGasLastCall("Spans", "longest match");
    }

    function test_checkDisorder_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint8 rule,OrderProof proof)",
            LEAF,
            "OrderProof(uint64 rank,SuffixOpening first,SuffixOpening[] second)",
            SUFFIX
        );
        OrderCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".disorders", kind), (OrderCase[]));
        uint256 held;
        for (uint256 i; i < cases.length; ++i) {
            OrderCase memory c = cases[i];
            _expect(c.holds, c.rule);
            verifier.checkDisorder(indexes[c.index], c.proof);
            if (!c.holds) continue;
            if (held++ == 0) vm.snapshotGasLastCall("Spans", "neighbours out of order");
        }
        assertGt(held, 3);
    }

    function test_checkMissing_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint8 rule,MissingProof proof)",
            LEAF,
            "MissingProof(uint64 position,LeafOpening[] text,uint64 rank,SuffixOpening[] before,SuffixOpening[] afterwards)",
            SUFFIX
        );
        MissingCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".missing", kind), (MissingCase[]));
        uint256 held;
        for (uint256 i; i < cases.length; ++i) {
            MissingCase memory c = cases[i];
            _expect(c.holds, c.rule);
            verifier.checkMissing(indexes[c.index], c.proof);
            if (!c.holds) continue;
            // The first lacks the first suffix, which has none before it.
            if (++held == 2) vm.snapshotGasLastCall("Spans", "missing suffix");
        }
        assertGt(held, 2);
    }

    function test_rowAt_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint64[] shown,uint8 rule,uint64 position,RowOpening proof)",
            LEAF,
            "RowOpening(uint32 row,LeafOpening entry,LeafOpening[] next)"
        );
        RowCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".rows", kind), (RowCase[]));
        for (uint256 i; i < cases.length; ++i) {
            RowCase memory c = cases[i];
            _expect(c.holds, c.rule);
            SpanRow memory row = verifier.rowAt(indexes[c.index], c.position, c.proof);
            if (!c.holds) continue;
            assertEq(row.rowIndex, c.shown[0], c.name);
            assertEq(uint256(row.earner) << 32 | row.cluster, c.shown[1], c.name);
            SpanRow memory same = verifier.rowOf(indexes[c.index], c.proof.row, c.proof.entry);
            assertEq(keccak256(abi.encode(same)), keccak256(abi.encode(row)), c.name);
            if (i == 0) {
                verifier.rowAt(indexes[c.index], c.position, c.proof);
                vm.snapshotGasLastCall("Spans", "row of a position");
            }
        }
    }

    function test_agree_isWhatRustSays() public {
        string memory kind = string.concat(
            "SpanVectorCase(string name,uint256 index,bool holds,uint64[] shown,uint8 rule,uint64 tokens,uint64 rank,SuffixOpening opening,uint64 otherRank,SuffixOpening other)",
            LEAF,
            SUFFIX
        );
        AgreeCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".agreements", kind), (AgreeCase[]));
        for (uint256 i; i < cases.length; ++i) {
            AgreeCase memory c = cases[i];
            _expect(c.holds, c.rule);
            bool agrees = verifier.agree(indexes[c.index], c.tokens, c.rank, c.opening, c.otherRank, c.other);
            if (!c.holds) continue;
            assertEq(agrees, c.shown[0] == 1, c.name);
            if (i == 0) vm.snapshotGasLastCall("Spans", "agreement of two suffixes");
            verifier.positionAt(indexes[c.index], c.rank, c.opening);
        }
    }

    function _expect(bool holds, uint8 rule) private {
        if (holds) return;
        vm.expectRevert(abi.encodeWithSelector(SpanProofs.InvalidSpanProof.selector, SpanProofs.Rule(rule)));
    }
}
