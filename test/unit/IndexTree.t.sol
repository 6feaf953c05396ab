// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

import {IndexContributor, IndexNode, IndexRow, IndexTree} from "../../contracts/libraries/IndexTree.sol";

/// @notice The trees of index.json, which an independent script wrote and Rust reads.
contract IndexTreeTest is Test {
    using stdJson for string;

    string private json;

    function setUp() public {
        json = vm.readFile("test/vectors/index.json");
    }

    function test_trees_matchVectors() public view {
        uint256 leaves = 0;
        for (uint256 t = 0; vm.keyExistsJson(json, _at(".indexes", t)); t++) {
            string memory index = _at(".indexes", t);
            bytes32 root = json.readBytes32(string.concat(index, ".root"));
            for (uint256 c = 0; vm.keyExistsJson(json, _at(string.concat(index, ".contributors"), c)); c++) {
                // A call of its own frees its memory: every read copies the file.
                leaves += this.checkContributor(_at(string.concat(index, ".contributors"), c), root);
            }
        }
        assertEq(leaves, 35, "rows in the file");
    }

    function checkContributor(string calldata path, bytes32 root) external view returns (uint256) {
        IndexContributor memory contributor = abi.decode(_bytes(path, ".contributor"), (IndexContributor));
        bytes32 leaf = IndexTree.leafOf(contributor);
        bytes32[] memory proof = json.readBytes32Array(string.concat(path, ".proof"));

        assertEq(leaf, json.readBytes32(string.concat(path, ".leaf")), path);
        assertTrue(MerkleProof.verify(proof, root, leaf), path);
        _checkNodes(path, IndexTree.rootOf(contributor));
        return _checkRows(path, IndexTree.rootOf(contributor));
    }

    function testFuzz_leftCount_isTheLargestPowerOfTwoBelow(uint32 count) public pure {
        count = uint32(bound(count, 2, type(uint32).max));
        uint256 left = IndexTree.leftCount(count);

        assertEq(left & (left - 1), 0, "a power of two");
        assertLt(left, count, "below");
        assertGe(left * 2, count, "the largest");
    }

    /// @return rank rows of the contributor
    function _checkRows(string memory path, IndexNode memory root) private view returns (uint256 rank) {
        for (; vm.keyExistsJson(json, _at(string.concat(path, ".rows"), rank)); rank++) {
            string memory at = _at(string.concat(path, ".rows"), rank);
            (IndexNode memory leaf, uint256 found) = _walk(at, root);
            IndexRow memory row = abi.decode(_bytes(at, ".row"), (IndexRow));

            assertEq(found, rank, at);
            assertEq(leaf.count, 1, at);
            assertEq(leaf.left, IndexTree.hashOf(row), at);
            assertEq(leaf.right, 0, at);
            assertEq(leaf.sumsHash, keccak256(_widened(_bytes(at, ".sketch"))), at);
        }
        assertEq(rank, root.count, path);
    }

    function _checkNodes(string memory path, IndexNode memory root) private view {
        for (uint256 i = 0; vm.keyExistsJson(json, _at(string.concat(path, ".nodes"), i)); i++) {
            string memory at = _at(string.concat(path, ".nodes"), i);
            (IndexNode memory node,) = _walk(at, root);
            IndexNode memory left = abi.decode(_bytes(at, ".left"), (IndexNode));
            IndexNode memory right = abi.decode(_bytes(at, ".right"), (IndexNode));
            bytes[] memory sums = json.readBytesArray(string.concat(at, ".sums"));

            assertEq(node.left, IndexTree.hashOf(left), at);
            assertEq(node.right, IndexTree.hashOf(right), at);
            assertEq(left.count, IndexTree.leftCount(node.count), at);
            assertEq(left.count + right.count, node.count, at);
            assertEq(node.sumsHash, keccak256(sums[0]), at);
            assertEq(left.sumsHash, keccak256(sums[1]), at);
            assertEq(right.sumsHash, keccak256(sums[2]), at);
        }
    }

    function _walk(string memory at, IndexNode memory node) private view returns (IndexNode memory, uint256 rank) {
        uint256 turns = json.readUint(string.concat(at, ".turns"));
        bytes memory path = _bytes(at, ".path");
        for (uint256 i = 0; i < path.length / 128; i++) {
            IndexNode memory next = abi.decode(_slice(path, 128 * i), (IndexNode));
            bool isRight = turns >> i & 1 == 1;
            if (isRight) rank += IndexTree.leftCount(node.count);
            assertEq(IndexTree.hashOf(next), isRight ? node.right : node.left, at);
            node = next;
        }
        return (node, rank);
    }

    function _bytes(string memory at, string memory key) private view returns (bytes memory) {
        return json.readBytes(string.concat(at, key));
    }

    function _slice(bytes memory path, uint256 from) private pure returns (bytes memory node) {
        node = new bytes(128);
        for (uint256 k = 0; k < 128; k++) {
            node[k] = path[from + k];
        }
    }

    function _widened(bytes memory sketch) private pure returns (bytes memory wide) {
        for (uint256 k = 0; k < sketch.length; k++) {
            wide = bytes.concat(wide, bytes4(uint32(int32(int8(uint8(sketch[k]))))));
        }
    }

    function _at(string memory array, uint256 i) private pure returns (string memory) {
        return string.concat(array, "[", vm.toString(i), "]");
    }
}
