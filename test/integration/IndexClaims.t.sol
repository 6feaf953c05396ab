// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IIndexDisputes} from "../../contracts/interfaces/IIndexDisputes.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {ContributorProof, IndexContributor, IndexRow, IndexTree} from "../../contracts/libraries/IndexTree.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {MerkleLeaves} from "../../contracts/libraries/MerkleLeaves.sol";
import {DatanetId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {Base} from "../Base.t.sol";

/// @notice Indexes over what the script deploys: one that hides a contributor behind a number that is too large is
/// struck, and one that holds what it says earns when its window ends, whoever claims otherwise.
contract IndexClaimsTest is Base {
    uint32 private constant DIM = 16;
    uint32 private constant SYMBOLS = 64;

    address internal immutable MODEL_OWNER = makeAddr("model owner");
    address internal immutable CHALLENGER = makeAddr("challenger");

    address[2] private contributors;
    DatanetId private datanet;
    ModelId private base;

    function setUp() public override {
        super.setUp();
        vm.deal(MODEL_OWNER, 1000 ether);
        vm.deal(CHALLENGER, 10 ether);
        bytes32[2] memory rows;
        for (uint256 i = 0; i < 2; i++) {
            contributors[i] = makeAddr(string.concat("contributor ", vm.toString(i)));
            vm.prank(contributors[i]);
            earners.register(IEarnerRegistry.Role.Contributor);
            rows[i] = MerkleLeaves.rowLeaf(uint64(i), _text(i), contributors[i], _text(i));
        }
        datanet = datanets.create("law", "MIT", 0);
        datanets.publish(datanet, _pair(rows[0], rows[1]), 2);
        vm.startPrank(MODEL_OWNER);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        base = models.registerBase(keccak256("weights"), "tiny", IModelRegistry.Price(1, 1, 1));
        vm.stopPrank();
    }

    function test_flow_aContributorWhoIsHidden_isFoundByTheMissingOrdinal() public {
        ContributorProof memory shown = ContributorProof(_leaf(0), new bytes32[](0));
        ModelId model = _publish(IndexTree.leafOf(shown.contributor), 2);
        uint256 before = CHALLENGER.balance;

        vm.prank(CHALLENGER);
        bytes32 claim = indexDisputes.claimMissingOrdinal{value: 1 ether}(model, 1);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongOrdinal.selector, 1, 0));
        indexDisputes.answerOrdinal(claim, shown);
        skip(1 days);
        indexDisputes.conclude(claim);

        assertEq(CHALLENGER.balance - before, 50 ether, "half of the index's bond");
        assertEq(address(indexes).balance, 0, "the other half is burned");
        skip(30 days);
        assertFalse(indexes.isEarning(model, uint64(block.timestamp)));
    }

    function test_flow_anIndexThatHoldsWhatItSays_earnsOnTimeAndIsPaidForFalseClaims() public {
        bytes32[2] memory leaves = [IndexTree.leafOf(_leaf(0)), IndexTree.leafOf(_leaf(1))];
        ModelId model = _publish(_pair(leaves[0], leaves[1]), 2);
        uint64 end = START + 7 days;
        uint256 before = MODEL_OWNER.balance;

        vm.warp(end - 1);
        for (uint32 i = 0; i < 2; i++) {
            vm.prank(CHALLENGER);
            bytes32 claim = indexDisputes.claimMissingOrdinal{value: 1 ether}(model, i);
            ContributorProof memory shown = ContributorProof(_leaf(i), new bytes32[](1));
            shown.proof[0] = leaves[1 - i];
            vm.prank(MODEL_OWNER);
            indexDisputes.answerOrdinal(claim, shown);
        }
        vm.warp(end);
        indexes.withdrawBond(model);

        assertTrue(indexes.isEarning(model, end));
        assertEq(MODEL_OWNER.balance - before, 102 ether, "its bond and those of the claims");
    }

    function _publish(bytes32 root, uint32 declared) private returns (ModelId model) {
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        G1Point[] memory blobs = new G1Point[](1);
        blobs[0] = G1Point(1, 2);
        bytes[] memory certificates = new bytes[](1);
        bytes32 digest = daCerts.digestOf(blobs[0], SYMBOLS, uint64(block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, digest);
        certificates[0] = abi.encodePacked(r, s, v, uint64(block.timestamp));

        vm.startPrank(MODEL_OWNER);
        IModelRegistry.Price memory price = IModelRegistry.Price(1, 1, 1);
        model = models.registerAdapter(base, keccak256("adapter"), root, keccak256("index"), versions, "lawyer", price);
        indexes.publish{value: 100 ether}(model, declared, DIM, blobs, SYMBOLS, certificates);
        vm.stopPrank();
    }

    /// @dev Each contributor has one row.
    function _leaf(uint32 i) private view returns (IndexContributor memory) {
        EarnerIndex earner = earners.earnerOf(contributors[i], IEarnerRegistry.Role.Contributor);
        bytes32 row = IndexTree.hashOf(IndexRow(0, i, _text(i), _text(i)));
        return IndexContributor(i, EarnerIndex.unwrap(earner), 1, keccak256(new bytes(4 * DIM)), row, 0);
    }

    function _text(uint256 i) private pure returns (bytes32) {
        return keccak256(abi.encode("text", i));
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}
