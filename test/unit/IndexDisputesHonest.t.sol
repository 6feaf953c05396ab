// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IIndexDisputes} from "../../contracts/interfaces/IIndexDisputes.sol";
import {NodeProof, RowProof} from "../../contracts/libraries/IndexTree.sol";
import {ModelId} from "../../contracts/types/Ids.sol";
import {IndexFixture} from "../IndexFixture.sol";

/// @notice An honest index is never struck, whatever true evidence is brought against it.
contract IndexDisputesHonestTest is IndexFixture {
    ModelId private model;

    /// forge-config: default.fuzz.runs = 32
    /// forge-config: ci.fuzz.runs = 500
    function testFuzz_honestIndex_isNeverStruckByItsNodes(uint256 seed) public {
        Entry[] memory entries = _drawn(seed);
        for (uint256 c = 0; c < CONTRIBUTORS; c++) {
            uint256 other = (seed >> 16) % CONTRIBUTORS;
            _refused(
                abi.encodeCall(
                    disputes.proveContributors, (model, _contributor(entries, c), _contributor(entries, other))
                )
            );
            _refused(abi.encodeCall(disputes.proveOrdinal, (model, _contributor(entries, c))));
            _checkNodes(entries, c, entries[c].tree, 0, 0);
        }
        assertFalse(indexes.indexOf(model).struck);
    }

    /// forge-config: default.fuzz.runs = 32
    /// forge-config: ci.fuzz.runs = 500
    function testFuzz_honestIndex_isNeverStruckByItsRows(uint256 seed) public {
        Entry[] memory entries = _drawn(seed);
        for (uint256 c = 0; c < CONTRIBUTORS; c++) {
            for (uint256 rank = 0; rank < entries[c].tree.node.count; rank++) {
                RowProof memory row = _row(entries, c, rank);
                _refused(abi.encodeCall(disputes.proveRange, (model, row)));
                _refused(abi.encodeCall(disputes.proveNotCanonical, (model, row)));
                uint8 d = uint8(seed % 2);
                uint64 i = uint64((seed >> 8) % rows[d].length);
                _refused(abi.encodeCall(disputes.proveEarlier, (model, row, _datanetRow(d, i))));
                _refused(abi.encodeCall(disputes.proveRow, (model, row, _datanetRow(d, i))));
                (d, i) = (row.row.datanet, row.row.rowIndex);
                _refused(abi.encodeCall(disputes.proveEarlier, (model, row, _datanetRow(d, i))));
                _refused(abi.encodeCall(disputes.proveRow, (model, row, _datanetRow(d, i))));
                _checkPairs(entries, row, seed);
            }
        }
        assertFalse(indexes.indexOf(model).struck);
    }

    /// @dev Every row of the Datanets is claimed to be left out. No claim but one of an exact copy can be made, and
    /// that one has an answer.
    /// forge-config: default.fuzz.runs = 32
    /// forge-config: ci.fuzz.runs = 500
    function testFuzz_honestIndex_leavesNothingOut(uint256 seed) public {
        Entry[] memory entries = _drawn(seed);
        for (uint8 d = 0; d < 2; d++) {
            for (uint64 i = 0; i < rows[d].length; i++) {
                _checkClaims(entries, d, i);
            }
        }
        vm.warp(START + WINDOW);
        assertTrue(indexes.isEarning(model, START + WINDOW), "answered claims put nothing off");
    }

    /// @dev Any change to evidence makes it no evidence.
    function testFuzz_honestIndex_isNeverStruckByForgedEvidence(uint256 seed, uint256 at, bytes32 word) public {
        Entry[] memory entries = _drawn(seed);
        uint256 c = _busiest(entries);
        RowProof memory row = _row(entries, c, seed % entries[c].tree.node.count);
        bytes[3] memory calls = [
            abi.encodeCall(disputes.proveRow, (model, row, _datanetRow(row.row.datanet, row.row.rowIndex))),
            abi.encodeCall(disputes.proveNode, (model, row.node)),
            abi.encodeCall(disputes.proveRange, (model, row))
        ];
        bytes memory call_ = calls[seed % 3];
        // A whole word, not the model's.
        at = 36 + 32 * (at % ((call_.length - 36) / 32));
        assembly {
            mstore(add(add(call_, 32), at), word)
        }
        (bool ok,) = address(disputes).call(call_);
        assertFalse(ok);
    }

    function _drawn(uint256 seed) private returns (Entry[] memory entries) {
        uint256 draw = uint256(keccak256(abi.encode(seed)));
        _drawRows(draw, 1 + draw % 14, 1 + (draw >> 8) % 9);
        entries = _honest();
        model = _publish(entries);
    }

    function _checkNodes(Entry[] memory entries, uint256 c, Tree memory tree, uint256 turns, uint256 depth) private {
        (NodeProof memory proof,) = _node(entries, c, turns, depth);
        _refused(abi.encodeCall(disputes.proveNode, (model, proof)));
        _refused(abi.encodeCall(disputes.proveLeafCount, (model, proof, false, tree.row)));
        if (tree.children.length == 0) {
            if (tree.node.count == 0) return;
            uint256 coordinate = uint256(tree.node.sumsHash) % dim;
            _refused(abi.encodeCall(disputes.proveSketch, (model, proof, _packed(tree.sums), coordinate)));
            return;
        }
        Tree memory left = tree.children[0];
        Tree memory right = tree.children[1];
        _refused(abi.encodeCall(disputes.proveCount, (model, proof, left.node, right.node)));
        IIndexDisputes.Sums memory sums =
            IIndexDisputes.Sums(_packed(tree.sums), _packed(left.sums), _packed(right.sums));
        for (uint256 k = 0; k < dim; k++) {
            _refused(abi.encodeCall(disputes.proveSums, (model, proof, left.node, right.node, sums, k)));
        }
        _checkNodes(entries, c, left, turns, depth + 1);
        _checkNodes(entries, c, right, turns | 1 << depth, depth + 1);
    }

    function _checkPairs(Entry[] memory entries, RowProof memory row, uint256 seed) private {
        uint256 c = (seed >> 24) % CONTRIBUTORS;
        uint256 count = entries[c].tree.node.count;
        if (count == 0) return;
        RowProof memory other = _row(entries, c, (seed >> 32) % count);
        _refused(abi.encodeCall(disputes.proveCluster, (model, row, other)));
        _refused(abi.encodeCall(disputes.proveOrder, (model, row, other)));
        _refused(abi.encodeCall(disputes.proveOrder, (model, other, row)));
    }

    function _checkClaims(Entry[] memory entries, uint8 d, uint64 i) private {
        IIndexDisputes.DatanetRow memory row = _datanetRow(d, i);
        uint256 c = 0;
        while (contributors[c] != row.row.contributor) c++;
        uint256 count = entries[c].tree.node.count;
        uint256 made = 0;
        // All gaps, also those that are none.
        for (uint256 lower = 0; lower <= count; lower++) {
            for (uint256 upper = 0; upper <= count; upper++) {
                if (_claims(entries, c, row, lower, upper)) made++;
            }
        }
        bool isCopy = row.row.rowHash == row.row.clusterHash && !_isCanonical(d, i);
        assertEq(made, isCopy ? 1 : 0, "claims");
        if (isCopy) _answer(d, i);
    }

    /// @param lower rank of the leaf before, plus one; 0 for none
    /// @param upper rank of the leaf after; the number of leaves for none
    function _claims(
        Entry[] memory entries,
        uint256 c,
        IIndexDisputes.DatanetRow memory row,
        uint256 lower,
        uint256 upper
    ) private returns (bool ok) {
        bool hasUpper = upper != entries[c].tree.node.count;
        IIndexDisputes.Gap memory gap =
            IIndexDisputes.Gap(new RowProof[](lower == 0 ? 0 : 1), new RowProof[](hasUpper ? 1 : 0));
        if (lower != 0) gap.lower[0] = _row(entries, c, lower - 1);
        if (hasUpper) gap.upper[0] = _row(entries, c, upper);
        bytes memory call_ = abi.encodeCall(disputes.claimLeftOutRow, (model, row, _contributor(entries, c), gap));
        vm.prank(CHALLENGER);
        (ok,) = address(disputes).call{value: CLAIM_BOND}(call_);
    }

    function _answer(uint8 datanet, uint64 index) private {
        bytes32 cluster = rows[datanet][index].clusterHash;
        for (uint8 d = 0; d <= datanet; d++) {
            for (uint64 i = 0; i < rows[d].length; i++) {
                if (rows[d][i].clusterHash != cluster) continue;
                bytes32 claim = keccak256(abi.encode(model, CHALLENGER, _placeOf(datanet, index)));
                disputes.answer(claim, _datanetRow(d, i));
                return;
            }
        }
    }

    function _busiest(Entry[] memory entries) private pure returns (uint256 best) {
        for (uint256 c = 1; c < CONTRIBUTORS; c++) {
            if (entries[c].tree.node.count > entries[best].tree.node.count) best = c;
        }
    }

    function _refused(bytes memory call_) private {
        (bool ok, bytes memory reason) = address(disputes).call(call_);
        assertFalse(ok, "struck");
        assertEq(bytes32(reason), bytes32(IIndexDisputes.NoFault.selector), "the evidence is sound");
    }

    receive() external payable {}
}
