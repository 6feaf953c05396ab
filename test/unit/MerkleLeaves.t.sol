// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

import {IDatanetRegistry} from "../../contracts/interfaces/IDatanetRegistry.sol";
import {MerkleLeaves} from "../../contracts/libraries/MerkleLeaves.sol";
import {DatanetRegistry} from "../../contracts/registry/DatanetRegistry.sol";
import {DatanetId} from "../../contracts/types/Ids.sol";

/// @notice The trees of test/vectors/merkle.json, which a Python script built without this code.
contract MerkleLeavesTest is Test {
    using stdJson for string;

    string internal json;

    function setUp() public {
        json = vm.readFile("test/vectors/merkle.json");
    }

    function test_rowLeaf_matchesVectors() public view {
        uint256 leaves = 0;
        for (uint256 t = 0; vm.keyExistsJson(json, _at(".rowTrees", t)); t++) {
            string memory tree = _at(".rowTrees", t);
            bytes32 root = json.readBytes32(string.concat(tree, ".root"));
            for (uint256 i = 0; vm.keyExistsJson(json, _at(string.concat(tree, ".rows"), i)); i++) {
                string memory path = _at(string.concat(tree, ".rows"), i);
                IDatanetRegistry.Row memory row = _rowAt(path);
                bytes32 leaf = MerkleLeaves.rowLeaf(row.index, row.rowHash, row.contributor, row.clusterHash);

                assertEq(row.rowHash, keccak256(bytes(json.readString(string.concat(path, ".text")))), path);
                assertEq(leaf, json.readBytes32(string.concat(path, ".leaf")), path);
                assertTrue(MerkleProof.verify(_proofAt(path), root, leaf), path);
                leaves++;
            }
        }
        assertEq(leaves, 29, "rows in the file");
    }

    function test_contains_acceptsEveryRowOfTheVectorsAndNoOther() public {
        DatanetRegistry registry = new DatanetRegistry();
        DatanetId datanet = registry.create("vectors", "MIT", 0);

        for (uint256 t = 0; vm.keyExistsJson(json, _at(".rowTrees", t)); t++) {
            string memory tree = _at(".rowTrees", t);
            uint32 rows = 0;
            while (vm.keyExistsJson(json, _at(string.concat(tree, ".rows"), rows))) rows++;
            uint32 version = registry.publish(datanet, json.readBytes32(string.concat(tree, ".root")), rows);

            for (uint256 i = 0; i < rows; i++) {
                string memory path = _at(string.concat(tree, ".rows"), i);
                IDatanetRegistry.Row memory row = _rowAt(path);
                bytes32[] memory proof = _proofAt(path);

                assertTrue(registry.contains(datanet, version, row, proof), path);
                row.contributor = address(uint160(row.contributor) ^ 1);
                assertFalse(registry.contains(datanet, version, row, proof), path);
            }
        }
    }

    function _rowAt(string memory path) private view returns (IDatanetRegistry.Row memory) {
        return IDatanetRegistry.Row({
            index: uint64(json.readUint(string.concat(path, ".index"))),
            rowHash: json.readBytes32(string.concat(path, ".rowHash")),
            contributor: json.readAddress(string.concat(path, ".contributor")),
            clusterHash: json.readBytes32(string.concat(path, ".clusterHash"))
        });
    }

    function _proofAt(string memory path) private view returns (bytes32[] memory) {
        return json.readBytes32Array(string.concat(path, ".proof"));
    }

    function _at(string memory array, uint256 i) private pure returns (string memory) {
        return string.concat(array, "[", vm.toString(i), "]");
    }
}
