// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../../contracts/interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {ISpanIndexes} from "../../contracts/interfaces/ISpanIndexes.sol";
import {MerkleLeaves} from "../../contracts/libraries/MerkleLeaves.sol";
import {
    LeafOpening,
    MissingProof,
    OrderProof,
    SpanCommitment,
    SpanProofs
} from "../../contracts/libraries/SpanProofs.sol";
import {DatanetRegistry} from "../../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {ModelRegistry} from "../../contracts/registry/ModelRegistry.sol";
import {SpanIndexes} from "../../contracts/registry/SpanIndexes.sol";
import {DatanetId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Test} from "forge-std/Test.sol";

contract SpanIndexesTest is Test {
    struct OrderCase {
        uint256 index;
        bool holds;
        OrderProof proof;
    }

    struct MissingCase {
        uint256 index;
        bool holds;
        MissingProof proof;
    }

    uint64 private constant START = 1_800_000_000;
    uint64 private constant WINDOW = 7 days;
    uint64 private constant ANSWER = 1 days;
    uint256 private constant BOND = 100 ether;
    uint256 private constant DEPOSIT = 1 ether;
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;
    string private constant LEAF = "LeafOpening(bytes leaf,bytes32[] siblings)";
    string private constant SUFFIX = "SuffixOpening(LeafOpening pointer,LeafOpening[] text)";

    address private owner = makeAddr("owner");
    address private challenger = makeAddr("challenger");
    address private contributor = makeAddr("contributor");
    EarnerRegistry private earners;
    DatanetRegistry private datanets;
    ModelRegistry private models;
    SpanIndexes private indexes;
    ModelId private model;
    uint32 private earner;
    IDatanetRegistry.Row[2] private rows;

    function setUp() public {
        vm.warp(START);
        earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        datanets = new DatanetRegistry();
        models = new ModelRegistry(earners, datanets);
        vm.prank(contributor);
        earner = EarnerIndex.unwrap(earners.register(IEarnerRegistry.Role.Contributor));
        rows[0] = IDatanetRegistry.Row(0, "first", contributor, "first");
        rows[1] = IDatanetRegistry.Row(1, "second", contributor, "first");

        vm.startPrank(owner);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        DatanetId datanet = datanets.create("datanet", "licence", 0);
        datanets.publish(datanet, Hashes.commutativeKeccak256(_leafOf(0), _leafOf(1)), 2);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        IModelRegistry.Price memory price = IModelRegistry.Price(1, 1, 1);
        ModelId base = models.registerBase("base", "base", price);
        model = models.registerAdapter(base, "adapter", "root", "index", versions, "adapter", price);
        vm.stopPrank();
        indexes = new SpanIndexes(models, datanets, earners, BOND, DEPOSIT, WINDOW, ANSWER);
        vm.deal(owner, 1000 ether);
        vm.deal(challenger, 1000 ether);
    }

    // Publishing.

    function test_publish_paysFromTheEndOfTheWindow() public {
        (SpanCommitment memory commitment,) = _honest();
        assertFalse(indexes.isPaying(model, type(uint64).max));
        vm.expectEmit(address(indexes));
        emit ISpanIndexes.SpanIndexPublished(model, owner, commitment, START + WINDOW);
        _publish(commitment);
        assertFalse(indexes.isPaying(model, START + WINDOW - 1));
        assertTrue(indexes.isPaying(model, START + WINDOW));
        assertEq(indexes.indexOf(model).commitmentHash, keccak256(abi.encode(commitment)));
    }

    function test_publish_reverts_forWhatIsNotRight() public {
        (SpanCommitment memory commitment,) = _honest();
        vm.deal(address(this), 1000 ether);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.NotModelOwner.selector, model, address(this)));
        indexes.publish{value: BOND}(model, commitment);

        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongBond.selector, BOND - 1, BOND));
        indexes.publish{value: BOND - 1}(model, commitment);
        commitment.tokens = commitment.positions;
        vm.expectRevert(ISpanIndexes.InvalidCommitment.selector);
        indexes.publish{value: BOND}(model, commitment);
        commitment.tokens = 1;
        indexes.publish{value: BOND}(model, commitment);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.AlreadyPublished.selector, model));
        indexes.publish{value: BOND}(model, commitment);
        vm.stopPrank();
    }

    function test_withdrawBond_paysThePublisherOnce() public {
        (SpanCommitment memory commitment,) = _honest();
        _publish(commitment);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTime.selector, START + WINDOW));
        indexes.withdrawBond(model);
        vm.warp(START + WINDOW);
        indexes.withdrawBond(model);
        assertEq(owner.balance, 1000 ether);
        vm.expectRevert(ISpanIndexes.NoBond.selector);
        indexes.withdrawBond(model);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.NotPublished.selector, ModelId.wrap("other")));
        indexes.withdrawBond(ModelId.wrap("other"));
    }

    // Faults of the array.

    function test_proveDisorder_strikes() public {
        string memory json = vm.readFile("test/vectors/spans.json");
        string memory kind = string.concat(
            "SpanIndexesOrder(uint256 index,bool holds,OrderProof proof)",
            LEAF,
            "OrderProof(uint64 rank,SuffixOpening first,SuffixOpening[] second)",
            SUFFIX
        );
        OrderCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".disorders", kind), (OrderCase[]));
        SpanCommitment[] memory all = _commitments(json);
        for (uint256 i; i < cases.length; ++i) {
            uint256 state = vm.snapshotState();
            SpanCommitment memory commitment = all[cases[i].index];
            _publish(commitment);
            vm.prank(challenger);
            if (!cases[i].holds) vm.expectPartialRevert(SpanProofs.InvalidSpanProof.selector);
            indexes.proveDisorder(model, commitment, cases[i].proof);
            if (cases[i].holds) _expectStruck();
            vm.revertToState(state);
        }
    }

    function test_proveMissing_strikes() public {
        string memory json = vm.readFile("test/vectors/spans.json");
        string memory kind = string.concat(
            "SpanIndexesMissing(uint256 index,bool holds,MissingProof proof)",
            LEAF,
            "MissingProof(uint64 position,LeafOpening[] text,uint64 rank,SuffixOpening[] before,SuffixOpening[] afterwards)",
            SUFFIX
        );
        MissingCase[] memory cases = abi.decode(vm.parseJsonTypeArray(json, ".missing", kind), (MissingCase[]));
        SpanCommitment[] memory all = _commitments(json);
        for (uint256 i; i < cases.length; ++i) {
            uint256 state = vm.snapshotState();
            SpanCommitment memory commitment = all[cases[i].index];
            _publish(commitment);
            vm.prank(challenger);
            if (!cases[i].holds) vm.expectPartialRevert(SpanProofs.InvalidSpanProof.selector);
            indexes.proveMissing(model, commitment, cases[i].proof);
            if (cases[i].holds) _expectStruck();
            vm.revertToState(state);
        }
    }

    function test_proofs_revert_forAnotherCommitmentOrAfterTheWindow() public {
        (SpanCommitment memory commitment,) = _honest();
        _publish(commitment);
        OrderProof memory proof;
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTime.selector, START + WINDOW));
        indexes.proveDisorder(model, commitment, proof);
        commitment.rowRoot = 0;
        bytes32 hash = keccak256(abi.encode(commitment));
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongCommitment.selector, hash));
        indexes.proveDisorder(model, commitment, proof);
    }

    // Rows.

    function test_proveRow_refusesWhatTheVersionHas() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) = _honest();
        _publish(commitment);
        for (uint32 i; i < 2; ++i) {
            _proveRow(commitment, openings, i, i, abi.encodeWithSelector(ISpanIndexes.NoFault.selector));
        }
        // The Datanet's other row says nothing of this one.
        _proveRow(commitment, openings, 0, 1, abi.encodeWithSelector(ISpanIndexes.WrongRow.selector));
    }

    function test_proveRow_strikes_whenARowIsAnother() public {
        bytes[7] memory wrong = [
            _row(0, 0, 1, "other", earner, 0),
            _row(0, 0, 1, "second", earner + 1, 0),
            _row(0, 0, 1, "second", earner, 1),
            _row(0, 0, 1, "second", earner, 2),
            _row(0, 0, 2, "second", earner, 0),
            _row(0, 1, 1, "second", earner, 0),
            _row(0, 0, 0, "second", earner, 0)
        ];
        for (uint256 i; i < wrong.length; ++i) {
            uint256 state = vm.snapshotState();
            (SpanCommitment memory commitment, LeafOpening[] memory openings) =
                _indexOf(_row(0, 0, 0, "first", earner, 0), wrong[i]);
            _publish(commitment);
            _proveRow(commitment, openings, 1, i == 6 ? 0 : 1, "");
            _expectStruck();
            vm.revertToState(state);
        }
    }

    function test_proveLaterCopy_strikes_whenACopyIsItsOwnCluster() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) =
            _indexOf(_row(0, 0, 0, "first", earner, 0), _row(0, 0, 1, "first", earner, 1));
        _publish(commitment);
        vm.prank(challenger);
        indexes.proveLaterCopy(model, commitment, 1, openings[1], openings[1], 0, openings[0]);
        _expectStruck();
    }

    function test_proveLaterCopy_reverts_forTheFirstOfATextAndForOtherTexts() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) =
            _indexOf(_row(0, 0, 0, "first", earner, 0), _row(0, 0, 1, "first", earner, 0));
        _publish(commitment);
        bytes memory noFault = abi.encodeWithSelector(ISpanIndexes.NoFault.selector);
        for (uint32 i; i < 2; ++i) {
            vm.expectRevert(noFault);
            indexes.proveLaterCopy(model, commitment, 1, openings[1], openings[0], i, openings[i]);
        }
        // Another row than the one that is named.
        vm.expectRevert(abi.encodeWithSelector(SpanProofs.InvalidSpanProof.selector, SpanProofs.Rule.Committed));
        indexes.proveLaterCopy(model, commitment, 1, openings[1], openings[1], 0, openings[0]);
    }

    function test_proveLaterCopy_reverts_whenTextsDiffer() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) =
            _indexOf(_row(0, 0, 0, "first", earner, 0), _row(0, 0, 1, "second", earner, 1));
        _publish(commitment);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.NoFault.selector));
        indexes.proveLaterCopy(model, commitment, 1, openings[1], openings[1], 0, openings[0]);
    }

    // Demands.

    function test_answer_showsALeafAndEarnsTheDeposit() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) = _honest();
        _publish(commitment);
        _demand(commitment, 1);
        vm.warp(START + WINDOW);
        assertFalse(indexes.isPaying(model, START + WINDOW), "a leaf is to be shown");
        vm.warp(START + ANSWER - 1);
        vm.expectRevert(abi.encodeWithSelector(SpanProofs.InvalidSpanProof.selector, SpanProofs.Rule.Committed));
        indexes.answer(model, commitment, ISpanIndexes.Tree.Rows, 1, openings[0]);
        indexes.answer(model, commitment, ISpanIndexes.Tree.Rows, 1, openings[1]);
        assertEq(owner.balance, 1000 ether - BOND + DEPOSIT);
        assertTrue(indexes.isPaying(model, START + WINDOW));

        bytes memory again = abi.encodeWithSelector(ISpanIndexes.WrongDemand.selector, model, ISpanIndexes.Tree.Rows, 1);
        vm.expectRevert(again);
        indexes.answer(model, commitment, ISpanIndexes.Tree.Rows, 1, openings[1]);
        vm.prank(challenger);
        vm.expectRevert(again);
        indexes.demand{value: DEPOSIT}(model, commitment, ISpanIndexes.Tree.Rows, 1);
    }

    function test_proveUnanswered_strikes_afterTheTimeToAnswer() public {
        (SpanCommitment memory commitment, LeafOpening[] memory openings) = _honest();
        _publish(commitment);
        vm.warp(START + WINDOW - 1);
        _demand(commitment, 0);
        uint64 until = START + WINDOW - 1 + ANSWER;
        assertEq(indexes.indexOf(model).acceptedAt, until);
        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTimeOfDemand.selector, until));
        indexes.proveUnanswered(model, ISpanIndexes.Tree.Rows, 0);
        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTimeOfDemand.selector, until));
        indexes.answer(model, commitment, ISpanIndexes.Tree.Rows, 0, openings[0]);
        assertFalse(indexes.isPaying(model, until));
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTimeOfDemand.selector, until));
        indexes.withdrawBond(model);

        vm.prank(challenger);
        indexes.proveUnanswered(model, ISpanIndexes.Tree.Rows, 0);
        assertEq(challenger.balance, 1000 ether + BOND / 2, "the deposit is back");
        assertFalse(indexes.isPaying(model, type(uint64).max));
    }

    function test_proveUnanswered_paysDepositsBack_ofAStruckIndex() public {
        (SpanCommitment memory commitment,) = _honest();
        _publish(commitment);
        _demand(commitment, 0);
        _demand(commitment, 1);
        vm.warp(START + ANSWER);
        vm.startPrank(challenger);
        indexes.proveUnanswered(model, ISpanIndexes.Tree.Rows, 0);
        assertEq(challenger.balance, 1000 ether + BOND / 2 - DEPOSIT, "one leaf is still to be shown");
        indexes.proveUnanswered(model, ISpanIndexes.Tree.Rows, 1);
        assertEq(challenger.balance, 1000 ether + BOND / 2, "both deposits are back");
        assertEq(address(indexes).balance, 0);
        bytes memory again = abi.encodeWithSelector(ISpanIndexes.WrongDemand.selector, model, ISpanIndexes.Tree.Rows, 1);
        vm.expectRevert(again);
        indexes.proveUnanswered(model, ISpanIndexes.Tree.Rows, 1);
        vm.stopPrank();
    }

    function test_demand_reverts_forWhatCannotBeDemanded() public {
        (SpanCommitment memory commitment,) = _honest();
        _publish(commitment);
        vm.startPrank(challenger);
        ISpanIndexes.Tree[3] memory trees = [ISpanIndexes.Tree.Text, ISpanIndexes.Tree.Suffixes, ISpanIndexes.Tree.Rows];
        uint64[3] memory leaves = [uint64(2), 3, 2];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.NoSuchLeaf.selector, trees[i], leaves[i]));
            indexes.demand{value: DEPOSIT}(model, commitment, trees[i], leaves[i]);
            indexes.demand{value: DEPOSIT}(model, commitment, trees[i], leaves[i] - 1);
        }
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongBond.selector, 1, DEPOSIT));
        indexes.demand{value: 1}(model, commitment, ISpanIndexes.Tree.Rows, 0);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ISpanIndexes.WrongTime.selector, START + WINDOW));
        indexes.demand{value: DEPOSIT}(model, commitment, ISpanIndexes.Tree.Rows, 0);
    }

    function _publish(SpanCommitment memory commitment) private {
        vm.prank(owner);
        indexes.publish{value: BOND}(model, commitment);
    }

    function _demand(SpanCommitment memory commitment, uint64 row) private {
        vm.prank(challenger);
        indexes.demand{value: DEPOSIT}(model, commitment, ISpanIndexes.Tree.Rows, row);
    }

    function _expectStruck() private view {
        assertTrue(indexes.indexOf(model).struck);
        assertFalse(indexes.isPaying(model, type(uint64).max));
        assertEq(challenger.balance, 1000 ether + BOND / 2);
        assertEq(BURNED.balance, BOND / 2);
    }

    function _proveRow(
        SpanCommitment memory commitment,
        LeafOpening[] memory openings,
        uint32 row,
        uint256 other,
        bytes memory error
    ) private {
        uint256 cluster = uint8(openings[row].leaf[56]);
        LeafOpening[] memory canonical = new LeafOpening[](cluster < 2 ? 1 : 0);
        if (cluster < 2) canonical[0] = openings[cluster];
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = _leafOf(1 - other);
        vm.prank(challenger);
        if (error.length != 0) vm.expectRevert(error);
        indexes.proveRow(model, commitment, row, openings[row], canonical, rows[other], proof);
    }

    function _honest() private view returns (SpanCommitment memory, LeafOpening[] memory) {
        return _indexOf(_row(0, 0, 0, "first", earner, 0), _row(0, 0, 1, "second", earner, 0));
    }

    /// @dev An index of two rows; what its text is does not matter here.
    function _indexOf(bytes memory first, bytes memory second)
        private
        pure
        returns (SpanCommitment memory commitment, LeafOpening[] memory openings)
    {
        bytes32 left = keccak256(bytes.concat(keccak256(first)));
        bytes32 right = keccak256(bytes.concat(keccak256(second)));
        openings = new LeafOpening[](2);
        openings[0] = LeafOpening(first, new bytes32[](1));
        openings[1] = LeafOpening(second, new bytes32[](1));
        (openings[0].siblings[0], openings[1].siblings[0]) = (right, left);
        commitment = SpanCommitment(90, 92, 2, "text", "suffixes", keccak256(bytes.concat(left, right)));
    }

    function _row(uint64 start, uint8 datanet, uint64 index, bytes32 rowHash, uint32 by, uint32 cluster)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(start, datanet, index, rowHash, by, cluster);
    }

    function _leafOf(uint256 i) private view returns (bytes32) {
        IDatanetRegistry.Row memory row = rows[i];
        return MerkleLeaves.rowLeaf(row.index, row.rowHash, row.contributor, row.clusterHash);
    }

    function _commitments(string memory json) private pure returns (SpanCommitment[] memory) {
        string memory kind =
            "SpanCommitment(uint64 tokens,uint64 positions,uint32 rows,bytes32 textRoot,bytes32 suffixRoot,bytes32 rowRoot)";
        return abi.decode(vm.parseJsonTypeArray(json, ".indexes", kind), (SpanCommitment[]));
    }
}
