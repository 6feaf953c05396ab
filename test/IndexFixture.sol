// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Test} from "forge-std/Test.sol";

import {IDatanetRegistry} from "../contracts/interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {IIndexDisputes} from "../contracts/interfaces/IIndexDisputes.sol";
import {IModelRegistry} from "../contracts/interfaces/IModelRegistry.sol";
import {
    ContributorProof,
    IndexContributor,
    IndexNode,
    IndexRow,
    IndexTree,
    NodeProof,
    RowProof
} from "../contracts/libraries/IndexTree.sol";
import {G1Point} from "../contracts/libraries/Kzg.sol";
import {MerkleLeaves} from "../contracts/libraries/MerkleLeaves.sol";
import {DatanetRegistry} from "../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../contracts/registry/EarnerRegistry.sol";
import {InfluenceIndexes} from "../contracts/registry/InfluenceIndexes.sol";
import {ModelRegistry} from "../contracts/registry/ModelRegistry.sol";
import {IndexDisputes} from "../contracts/settlement/IndexDisputes.sol";
import {DatanetId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {DevCertVerifier} from "../contracts/verifiers/DevCertVerifier.sol";

/// @notice Two Datanets with copies, four contributors, and indexes over them, honest or with planted faults.
abstract contract IndexFixture is Test {
    /// @dev A tree of partial sums. `node` holds what is committed, which `_seal` brings up to date with `sums`.
    struct Tree {
        IndexNode node;
        int32[] sums;
        Tree[] children;
        IndexRow row;
    }

    struct Entry {
        uint32 ordinal;
        uint32 earner;
        Tree tree;
    }

    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant WINDOW = 7 days;
    uint64 internal constant ANSWER_PERIOD = 1 days;
    uint256 internal constant BOND = 10 ether + 1;
    uint256 internal constant CLAIM_BOND = 1 ether;
    uint256 internal constant CONTRIBUTORS = 4;

    address internal immutable OWNER = makeAddr("model owner");
    address internal immutable CHALLENGER = makeAddr("challenger");
    address internal immutable GOVERNOR = makeAddr("governor");

    EarnerRegistry internal earners;
    DatanetRegistry internal datanets;
    ModelRegistry internal models;
    DevCertVerifier internal daCerts;
    InfluenceIndexes internal indexes;
    IndexDisputes internal disputes;
    ModelId internal base;

    /// @dev Numbers per sketch.
    uint32 internal dim = 16;

    uint256 private _attestorKey;
    DatanetId[2] private _datanets;
    IDatanetRegistry.Row[][2] internal rows;
    address[CONTRIBUTORS] internal contributors;

    function setUp() public virtual {
        vm.warp(START);
        address attestor;
        (attestor, _attestorKey) = makeAddrAndKey("attestor");
        earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        datanets = new DatanetRegistry();
        models = new ModelRegistry(earners, datanets);
        daCerts = new DevCertVerifier(attestor);
        indexes = new InfluenceIndexes(GOVERNOR, models, daCerts, WINDOW, BOND);
        disputes = new IndexDisputes(indexes, models, datanets, earners, CLAIM_BOND, ANSWER_PERIOD);
        vm.prank(GOVERNOR);
        indexes.setArbiter(address(disputes), true);

        for (uint256 i = 0; i < CONTRIBUTORS; i++) {
            contributors[i] = makeAddr(string.concat("contributor ", vm.toString(i)));
            vm.prank(contributors[i]);
            earners.register(IEarnerRegistry.Role.Contributor);
        }
        vm.startPrank(OWNER);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        base = models.registerBase(keccak256("weights"), "tiny", IModelRegistry.Price(1, 1, 1));
        vm.stopPrank();
        vm.deal(OWNER, 1000 ether);
        vm.deal(CHALLENGER, 1000 ether);
    }

    /// @dev Draws two Datanets: of every five rows about one copies an earlier one of its Datanet exactly and one
    /// nearly; the second Datanet also repeats texts of the first.
    function _drawRows(uint256 seed, uint256 first, uint256 second) internal {
        uint256[2] memory counts = [first, second];
        for (uint8 d = 0; d < 2; d++) {
            for (uint64 i = 0; i < counts[d]; i++) {
                uint256 drawn = uint256(keccak256(abi.encode(seed, d, i)));
                bytes32 rowHash = keccak256(abi.encode("text", seed, d, i));
                bytes32 cluster = rowHash;
                if (drawn % 5 < 2 && i != 0) {
                    cluster = rows[d][(drawn >> 32) % i].clusterHash;
                    if (drawn % 5 == 0) rowHash = cluster;
                } else if (drawn % 5 == 2 && d == 1) {
                    rowHash = rows[0][(drawn >> 32) % counts[0]].clusterHash;
                    cluster = rowHash;
                }
                _addRow(d, contributors[(drawn >> 64) % CONTRIBUTORS], rowHash, cluster);
            }
        }
        _publishRows();
    }

    function _addRow(uint8 datanet, address contributor, bytes32 rowHash, bytes32 cluster) internal {
        rows[datanet].push(IDatanetRegistry.Row(uint64(rows[datanet].length), rowHash, contributor, cluster));
    }

    function _publishRows() internal {
        for (uint8 d = 0; d < 2; d++) {
            _datanets[d] = datanets.create(d == 0 ? "law" : "medicine", "MIT", 0);
            datanets.publish(_datanets[d], _root(_rowLeaves(d)), uint32(rows[d].length));
        }
    }

    /// @dev The index that these rows have: contributors by earner, the first row of each cluster, in order.
    function _honest() internal view returns (Entry[] memory entries) {
        entries = new Entry[](CONTRIBUTORS);
        for (uint256 c = 0; c < CONTRIBUTORS; c++) {
            IndexRow[] memory accepted = new IndexRow[](rows[0].length + rows[1].length);
            uint256 count = 0;
            for (uint8 d = 0; d < 2; d++) {
                for (uint64 i = 0; i < rows[d].length; i++) {
                    if (rows[d][i].contributor == contributors[c] && _isCanonical(d, i)) {
                        accepted[count++] = _placeOf(d, i);
                    }
                }
            }
            entries[c] = Entry(uint32(c), _earnerOf(contributors[c]), _tree(accepted, 0, count));
        }
    }

    function _isCanonical(uint8 datanet, uint64 index) internal view returns (bool) {
        bytes32 cluster = rows[datanet][index].clusterHash;
        for (uint8 d = 0; d <= datanet; d++) {
            uint64 end = d == datanet ? index : uint64(rows[d].length);
            for (uint64 i = 0; i < end; i++) {
                if (rows[d][i].clusterHash == cluster) return false;
            }
        }
        return true;
    }

    function _placeOf(uint8 datanet, uint64 index) internal view returns (IndexRow memory) {
        IDatanetRegistry.Row storage row = rows[datanet][index];
        return IndexRow(datanet, row.index, row.rowHash, row.clusterHash);
    }

    function _earnerOf(address account) internal view returns (uint32) {
        return EarnerIndex.unwrap(earners.earnerOf(account, IEarnerRegistry.Role.Contributor));
    }

    /// @dev The tree over accepted[from..to].
    function _tree(IndexRow[] memory accepted, uint256 from, uint256 to) internal view returns (Tree memory tree) {
        uint256 count = to - from;
        if (count > 1) {
            uint256 middle = from + IndexTree.leftCount(uint32(count));
            tree.children = new Tree[](2);
            tree.children[0] = _tree(accepted, from, middle);
            tree.children[1] = _tree(accepted, middle, to);
            tree.sums = new int32[](dim);
            for (uint256 k = 0; k < dim; k++) {
                tree.sums[k] = tree.children[0].sums[k] + tree.children[1].sums[k];
            }
        } else if (count == 1) {
            tree.row = accepted[from];
            tree.sums = _sketch(tree.row);
        } else {
            tree.sums = new int32[](dim);
        }
        tree.node.count = uint32(count);
        _seal(tree);
    }

    function _sketch(IndexRow memory row) internal view returns (int32[] memory sketch) {
        sketch = new int32[](dim);
        for (uint256 k = 0; k < dim; k++) {
            sketch[k] = int32(int256(uint256(keccak256(abi.encode(row, k))) % 255) - 127);
        }
    }

    /// @dev Commits to what a tree's sums, rows and children are now, also where they are not what they should be.
    function _seal(Tree memory tree) internal pure {
        tree.node.sumsHash = keccak256(_packed(tree.sums));
        if (tree.children.length == 2) {
            _seal(tree.children[0]);
            _seal(tree.children[1]);
            tree.node.left = IndexTree.hashOf(tree.children[0].node);
            tree.node.right = IndexTree.hashOf(tree.children[1].node);
        } else if (tree.node.count != 0) {
            tree.node.left = IndexTree.hashOf(tree.row);
        }
    }

    function _packed(int32[] memory sums) internal pure returns (bytes memory packed) {
        packed = new bytes(4 * sums.length);
        for (uint256 k = 0; k < sums.length; k++) {
            bytes4 word = bytes4(uint32(sums[k]));
            for (uint256 b = 0; b < 4; b++) {
                packed[4 * k + b] = word[b];
            }
        }
    }

    /// @dev Registers a model with this index and publishes it.
    function _publish(Entry[] memory entries) internal returns (ModelId model) {
        model = _register(_root(_leaves(entries)), "adapter");
        _publishModel(model, uint32(entries.length));
    }

    function _register(bytes32 root, string memory name) internal returns (ModelId) {
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](2);
        versions[0] = IModelRegistry.DatanetVersion(_datanets[0], 1);
        versions[1] = IModelRegistry.DatanetVersion(_datanets[1], 1);
        vm.prank(OWNER);
        return models.registerAdapter(
            base, keccak256(bytes(name)), root, keccak256("file"), versions, name, IModelRegistry.Price(1, 1, 1)
        );
    }

    function _publishModel(ModelId model, uint32 count) internal {
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(2, 64);
        vm.prank(OWNER);
        indexes.publish{value: BOND}(model, count, dim, blobs, 64, certificates);
    }

    /// @dev Multiples of the generator with the attestor's certificates.
    function _blobs(uint256 count, uint32 symbols)
        internal
        view
        returns (G1Point[] memory blobs, bytes[] memory certificates)
    {
        G1Point[2] memory points = [
            G1Point(1, 2),
            G1Point(
                0x030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3,
                0x15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4
            )
        ];
        blobs = new G1Point[](count);
        certificates = new bytes[](count);
        for (uint256 i = 0; i < count; i++) {
            blobs[i] = points[i % 2];
            bytes32 digest = daCerts.digestOf(blobs[i], symbols, uint64(block.timestamp));
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(_attestorKey, digest);
            certificates[i] = abi.encodePacked(r, s, v, uint64(block.timestamp));
        }
    }

    function _leaves(Entry[] memory entries) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](entries.length);
        for (uint256 i = 0; i < entries.length; i++) {
            leaves[i] = IndexTree.leafOf(_leafOf(entries[i]));
        }
    }

    function _leafOf(Entry memory entry) internal pure returns (IndexContributor memory) {
        IndexNode memory root = entry.tree.node;
        return IndexContributor(entry.ordinal, entry.earner, root.count, root.sumsHash, root.left, root.right);
    }

    function _contributor(Entry[] memory entries, uint256 c) internal pure returns (ContributorProof memory) {
        return ContributorProof(_leafOf(entries[c]), _proof(_leaves(entries), c));
    }

    /// @dev The node that `depth` turns lead to, with its way.
    function _node(Entry[] memory entries, uint256 c, uint256 turns, uint256 depth)
        internal
        pure
        returns (NodeProof memory proof, Tree memory tree)
    {
        proof = NodeProof(_contributor(entries, c), turns, new IndexNode[](depth));
        tree = entries[c].tree;
        for (uint256 i = 0; i < depth; i++) {
            tree = tree.children[turns >> i & 1];
            proof.path[i] = tree.node;
        }
    }

    /// @dev The leaf with this rank, counted in the tree as it is.
    function _row(Entry[] memory entries, uint256 c, uint256 rank) internal pure returns (RowProof memory) {
        Tree memory tree = entries[c].tree;
        uint256 turns = 0;
        uint256 depth = 0;
        while (tree.children.length == 2) {
            uint256 left = _leafCount(tree.children[0]);
            if (rank >= left) {
                rank -= left;
                turns |= 1 << depth;
                tree = tree.children[1];
            } else {
                tree = tree.children[0];
            }
            depth++;
        }
        (NodeProof memory proof,) = _node(entries, c, turns, depth);
        return RowProof(proof, tree.row);
    }

    function _leafCount(Tree memory tree) internal pure returns (uint256) {
        if (tree.children.length == 2) return _leafCount(tree.children[0]) + _leafCount(tree.children[1]);
        return tree.node.count == 0 ? 0 : 1;
    }

    function _datanetRow(uint8 datanet, uint64 index) internal view returns (IIndexDisputes.DatanetRow memory) {
        return IIndexDisputes.DatanetRow(datanet, rows[datanet][index], _proof(_rowLeaves(datanet), index));
    }

    function _rowLeaves(uint8 datanet) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](rows[datanet].length);
        for (uint256 i = 0; i < leaves.length; i++) {
            IDatanetRegistry.Row storage row = rows[datanet][i];
            leaves[i] = MerkleLeaves.rowLeaf(row.index, row.rowHash, row.contributor, row.clusterHash);
        }
    }

    function _root(bytes32[] memory level) internal pure returns (bytes32) {
        while (level.length > 1) level = _above(level);
        return level[0];
    }

    function _proof(bytes32[] memory level, uint256 i) internal pure returns (bytes32[] memory proof) {
        bytes32[] memory found = new bytes32[](32);
        uint256 count = 0;
        while (level.length > 1) {
            if (i ^ 1 < level.length) found[count++] = level[i ^ 1];
            level = _above(level);
            i /= 2;
        }
        proof = new bytes32[](count);
        for (uint256 k = 0; k < count; k++) {
            proof[k] = found[k];
        }
    }

    function _above(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; i++) {
            bytes32 a = level[2 * i];
            above[i] = a;
            if (2 * i + 1 < level.length) {
                bytes32 b = level[2 * i + 1];
                above[i] = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
            }
        }
    }
}
