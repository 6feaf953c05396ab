// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IIndexDisputes} from "../../contracts/interfaces/IIndexDisputes.sol";
import {
    ContributorProof,
    IndexNode,
    IndexRow,
    IndexTree,
    NodeProof,
    RowProof
} from "../../contracts/libraries/IndexTree.sol";
import {IndexDisputes} from "../../contracts/settlement/IndexDisputes.sol";
import {ModelId} from "../../contracts/types/Ids.sol";
import {IndexFixture} from "../IndexFixture.sol";

/// @notice One planted fault per rule. `testFuzz_honest...` in IndexDisputesHonest.t.sol is the other half.
contract IndexDisputesTest is IndexFixture {
    bytes32 private constant A = keccak256("A");
    bytes32 private constant B = keccak256("B");
    bytes32 private constant C = keccak256("C");

    ModelId private model;

    /// @dev Contributor 0 has five rows, 1 has two, and 2 and 3 have none that count.
    function setUp() public override {
        super.setUp();
        _addRow(0, contributors[0], A, A);
        _addRow(0, contributors[0], B, B);
        _addRow(0, contributors[1], C, C);
        _addRow(0, contributors[0], keccak256("D"), keccak256("D"));
        _addRow(0, contributors[2], B, B);
        _addRow(0, contributors[0], keccak256("E"), C);
        _addRow(0, contributors[0], keccak256("F"), keccak256("F"));
        _addRow(1, contributors[0], keccak256("G"), keccak256("G"));
        _addRow(1, contributors[1], A, A);
        _addRow(1, contributors[1], keccak256("H"), keccak256("H"));
        _publishRows();
    }

    function test_proveContributors_strikes_whenEarnersDescend() public {
        Entry[] memory entries = _honest();
        (entries[0].ordinal, entries[1].ordinal) = (1, 0);
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Contributors);
        disputes.proveContributors(model, _contributor(entries, 0), _contributor(entries, 1));
        vm.snapshotGasLastCall("IndexDisputes", "proveContributors");
        _assertStruck();
    }

    function test_proveContributors_strikes_whenAnEarnerRepeats() public {
        Entry[] memory entries = _honest();
        entries[3].earner = entries[2].earner;
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Contributors);
        disputes.proveContributors(model, _contributor(entries, 3), _contributor(entries, 2));
        _assertStruck();
    }

    function test_proveContributors_strikes_whenAnOrdinalRepeats() public {
        Entry[] memory entries = _honest();
        entries[3].ordinal = 2;
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Contributors);
        disputes.proveContributors(model, _contributor(entries, 2), _contributor(entries, 3));
        _assertStruck();
    }

    function test_proveOrdinal_strikes_pastTheLastContributor() public {
        Entry[] memory entries = _honest();
        entries[3].ordinal = 4;
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Ordinal);
        disputes.proveOrdinal(model, _contributor(entries, 3));
        _assertStruck();
    }

    function test_proveNode_strikes_whenAChildIsMissing() public {
        Entry[] memory entries = _honest();
        entries[1].tree.node.right = 0;
        _strikesNode(entries, 1, 0, 0);
    }

    function test_proveNode_strikes_whenALeafHasARightChild() public {
        Entry[] memory entries = _honest();
        entries[0].tree.children[1].node.right = keccak256("a child");
        _seal(entries[0].tree);
        _strikesNode(entries, 0, 1, 1);
    }

    function test_proveNode_strikes_whenALeafHasNoRow() public {
        Entry[] memory entries = _honest();
        entries[1].tree.children[1].node.left = 0;
        entries[1].tree.node.right = IndexTree.hashOf(entries[1].tree.children[1].node);
        _strikesNode(entries, 1, 1, 1);
    }

    function test_proveNode_strikes_whenNoRowsHaveSums() public {
        Entry[] memory entries = _honest();
        entries[2].tree.sums[0] = 1;
        _seal(entries[2].tree);
        _strikesNode(entries, 2, 0, 0);
    }

    function test_proveNode_strikes_whenNoRowsHaveChildren() public {
        Entry[] memory entries = _honest();
        entries[2].tree.node.left = keccak256("a child");
        _strikesNode(entries, 2, 0, 0);
    }

    function test_proveNode_strikes_whenANodeBelowTheRootHasNoRows() public {
        Entry[] memory entries = _honest();
        entries[1].tree.children[0] = entries[2].tree;
        _seal(entries[1].tree);
        _strikesNode(entries, 1, 0, 1);
    }

    function test_proveCount_strikes_whenRowsAreOvercounted() public {
        Entry[] memory entries = _honest();
        entries[0].tree.node.count = 6;
        model = _publish(entries);

        (NodeProof memory proof, Tree memory tree) = _node(entries, 0, 0, 0);
        _expectStrike(IIndexDisputes.Fault.Count);
        disputes.proveCount(model, proof, tree.children[0].node, tree.children[1].node);
        vm.snapshotGasLastCall("IndexDisputes", "proveCount");
        _assertStruck();
    }

    function test_proveCount_strikes_whenTheTreeLeansTheOtherWay() public {
        Entry[] memory entries = _honest();
        Tree[] memory children = entries[0].tree.children;
        (children[0], children[1]) = (children[1], children[0]);
        _seal(entries[0].tree);
        model = _publish(entries);

        (NodeProof memory proof, Tree memory tree) = _node(entries, 0, 0, 0);
        _expectStrike(IIndexDisputes.Fault.Count);
        disputes.proveCount(model, proof, tree.children[0].node, tree.children[1].node);
        _assertStruck();
    }

    function test_proveLeafCount_strikes_whenALeafHasTwoRows() public {
        Entry[] memory entries = _honest();
        entries[1].tree.children[0].node.count = 2;
        _seal(entries[1].tree);
        model = _publish(entries);

        (NodeProof memory proof, Tree memory tree) = _node(entries, 1, 0, 1);
        _expectStrike(IIndexDisputes.Fault.LeafCount);
        disputes.proveLeafCount(model, proof, false, tree.row);
        _assertStruck();
    }

    function test_proveSums_strikes_whenOneNumberIsOff() public {
        Entry[] memory entries = _honest();
        Tree memory inner = entries[0].tree.children[0];
        inner.sums[5] += 1;
        _seal(entries[0].tree);
        model = _publish(entries);

        (NodeProof memory proof,) = _node(entries, 0, 0, 1);
        IIndexDisputes.Sums memory sums = _sums(inner);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.proveSums(model, proof, inner.children[0].node, inner.children[1].node, sums, 4);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.CoordinateOutOfRange.selector, 16));
        disputes.proveSums(model, proof, inner.children[0].node, inner.children[1].node, sums, 16);

        _expectStrike(IIndexDisputes.Fault.Sums);
        disputes.proveSums(model, proof, inner.children[0].node, inner.children[1].node, sums, 5);
        _assertStruck();
    }

    function test_proveSums_strikes_whenASumWrapsAround() public {
        Entry[] memory entries = _honest();
        Tree memory tree = entries[1].tree;
        tree.children[0].sums[0] = type(int32).max;
        tree.children[1].sums[0] = 1;
        tree.sums[0] = type(int32).min;
        _seal(tree);
        model = _publish(entries);

        (NodeProof memory proof,) = _node(entries, 1, 0, 0);
        _expectStrike(IIndexDisputes.Fault.Sums);
        disputes.proveSums(model, proof, tree.children[0].node, tree.children[1].node, _sums(tree), 0);
        _assertStruck();
    }

    function test_proveSums_strikes_whenThereAreTooManyNumbers() public {
        Entry[] memory entries = _honest();
        Tree memory tree = entries[1].tree;
        tree.sums = new int32[](dim + 1);
        _seal(tree);
        model = _publish(entries);

        (NodeProof memory proof,) = _node(entries, 1, 0, 0);
        _expectStrike(IIndexDisputes.Fault.Sums);
        disputes.proveSums(model, proof, tree.children[0].node, tree.children[1].node, _sums(tree), 0);
        _assertStruck();
    }

    /// @dev What a proof over several rows costs at the sizes that models use, without its calldata.
    function test_proveSums_costsLittleAtLargeDimensions() public {
        uint32[2] memory dims = [uint32(1024), 4096];
        for (uint256 i = 0; i < dims.length; i++) {
            dim = dims[i];
            Entry[] memory entries = _honest();
            entries[0].tree.sums[dim - 1] += 1;
            _seal(entries[0].tree);
            model = _register(_root(_leaves(entries)), string.concat("adapter ", vm.toString(dim)));
            _publishModel(model, 4);
            Tree memory tree = entries[0].tree;
            (NodeProof memory proof,) = _node(entries, 0, 0, 0);
            IIndexDisputes.Sums memory sums = _sums(tree);

            vm.prank(CHALLENGER);
            disputes.proveSums(model, proof, tree.children[0].node, tree.children[1].node, sums, dim - 1);
            vm.snapshotGasLastCall("IndexDisputes", string.concat("proveSums at d = ", vm.toString(dim)));
            _assertStruck();
        }
    }

    function test_proveSketch_strikes_whenANumberIsBeyond127() public {
        int32[2] memory values = [int32(128), -128];
        for (uint256 i = 0; i < 2; i++) {
            Entry[] memory entries = _honest();
            entries[1].tree.children[0].sums[3] = values[i];
            _seal(entries[1].tree);
            model = _register(_root(_leaves(entries)), string.concat("adapter ", vm.toString(i)));
            _publishModel(model, 4);

            (NodeProof memory proof, Tree memory leaf) = _node(entries, 1, 0, 1);
            vm.expectRevert(IIndexDisputes.NoFault.selector);
            disputes.proveSketch(model, proof, _packed(leaf.sums), 2);
            _expectStrike(IIndexDisputes.Fault.Sketch);
            disputes.proveSketch(model, proof, _packed(leaf.sums), 3);
            _assertStruck();
        }
    }

    function test_proveSketch_strikes_whenThereAreTooFewNumbers() public {
        Entry[] memory entries = _honest();
        entries[1].tree.children[0].sums = new int32[](dim - 1);
        _seal(entries[1].tree);
        model = _publish(entries);

        (NodeProof memory proof, Tree memory leaf) = _node(entries, 1, 0, 1);
        _expectStrike(IIndexDisputes.Fault.Sketch);
        disputes.proveSketch(model, proof, _packed(leaf.sums), 0);
        _assertStruck();
    }

    function test_proveRange_strikes_whenTheModelHasNoSuchDatanet() public {
        IndexRow memory row = _placeOf(1, 2);
        row.datanet = 2;
        Entry[] memory entries = _with(1, _pair(_placeOf(0, 2), row));
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Range);
        disputes.proveRange(model, _row(entries, 1, 1));
        _assertStruck();
    }

    function test_proveRange_strikes_whenTheVersionHasNoSuchRow() public {
        IndexRow memory row = _placeOf(1, 2);
        row.rowIndex = 3;
        Entry[] memory entries = _with(1, _pair(_placeOf(0, 2), row));
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Range);
        disputes.proveRange(model, _row(entries, 1, 1));
        _assertStruck();
    }

    function test_proveRow_strikes_whenTheRowIsAnother() public {
        IndexRow memory row = _placeOf(1, 2);
        row.rowHash = keccak256("invented");
        row.clusterHash = row.rowHash;
        Entry[] memory entries = _with(1, _pair(_placeOf(0, 2), row));
        model = _publish(entries);

        RowProof memory proof = _row(entries, 1, 1);
        IIndexDisputes.DatanetRow memory other = _datanetRow(1, 1);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.proveRow(model, proof, other);

        IIndexDisputes.DatanetRow memory actual = _datanetRow(1, 2);
        _expectStrike(IIndexDisputes.Fault.Row);
        disputes.proveRow(model, proof, actual);
        vm.snapshotGasLastCall("IndexDisputes", "proveRow");
        _assertStruck();
    }

    function test_proveRow_strikes_whenTheClusterIsAnother() public {
        IndexRow memory row = _placeOf(0, 2);
        row.clusterHash = keccak256("invented");
        Entry[] memory entries = _with(1, _pair(row, _placeOf(1, 2)));
        model = _publish(entries);

        RowProof memory proof = _row(entries, 1, 0);
        IIndexDisputes.DatanetRow memory actual = _datanetRow(0, 2);
        _expectStrike(IIndexDisputes.Fault.Row);
        disputes.proveRow(model, proof, actual);
        _assertStruck();
    }

    function test_proveRow_strikes_whenSomebodyElseGetsTheRow() public {
        Entry[] memory entries = _with(3, _pair(_placeOf(0, 2), _placeOf(1, 2)));
        model = _publish(entries);

        RowProof memory proof = _row(entries, 3, 0);
        IIndexDisputes.DatanetRow memory actual = _datanetRow(0, 2);
        _expectStrike(IIndexDisputes.Fault.Row);
        disputes.proveRow(model, proof, actual);
        _assertStruck();
    }

    function test_proveRow_reverts_withoutTheDatanetsWord() public {
        Entry[] memory entries = _honest();
        model = _publish(entries);
        RowProof memory proof = _row(entries, 1, 0);
        IIndexDisputes.DatanetRow memory actual = _datanetRow(0, 2);
        actual.row.contributor = contributors[0];
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotInDatanet.selector, 0, 2));
        disputes.proveRow(model, proof, actual);
        actual.datanet = 2;
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotInDatanet.selector, 2, 2));
        disputes.proveRow(model, proof, actual);
    }

    function test_proveNotCanonical_strikes_aNearCopy() public {
        Entry[] memory entries = _with(3, _one(_placeOf(0, 5)));
        model = _publish(entries);

        _expectStrike(IIndexDisputes.Fault.Canonical);
        disputes.proveNotCanonical(model, _row(entries, 3, 0));
        _assertStruck();
    }

    function test_proveEarlier_strikes_anExactCopy() public {
        Entry[] memory entries = _with(2, _one(_placeOf(0, 4)));
        model = _publish(entries);

        RowProof memory proof = _row(entries, 2, 0);
        IIndexDisputes.DatanetRow memory later = _datanetRow(0, 4);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.proveEarlier(model, proof, later);

        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 1);
        _expectStrike(IIndexDisputes.Fault.Canonical);
        disputes.proveEarlier(model, proof, earlier);
        _assertStruck();
    }

    function test_proveEarlier_strikes_aCopyOfAnotherDatanet() public {
        Entry[] memory entries = _with(1, _pair(_placeOf(0, 2), _placeOf(1, 1)));
        model = _publish(entries);

        RowProof memory proof = _row(entries, 1, 1);
        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 0);
        _expectStrike(IIndexDisputes.Fault.Canonical);
        disputes.proveEarlier(model, proof, earlier);
        _assertStruck();
    }

    function test_proveCluster_strikes_twoRowsOfOne() public {
        Entry[] memory entries = _with(2, _one(_placeOf(0, 4)));
        model = _publish(entries);

        RowProof memory copy = _row(entries, 2, 0);
        RowProof memory original = _row(entries, 0, 1);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.proveCluster(model, original, original);
        _expectStrike(IIndexDisputes.Fault.Cluster);
        disputes.proveCluster(model, copy, original);
        _assertStruck();
    }

    function test_proveCluster_strikes_oneRowTwiceInATree() public {
        Entry[] memory entries = _with(2, _pair(_placeOf(0, 4), _placeOf(0, 4)));
        model = _publish(entries);

        RowProof memory first = _row(entries, 2, 0);
        RowProof memory second = _row(entries, 2, 1);
        _expectStrike(IIndexDisputes.Fault.Cluster);
        disputes.proveCluster(model, first, second);
        _assertStruck();
    }

    function test_proveOrder_strikes_whenRowsDescend() public {
        Entry[] memory entries = _with(1, _pair(_placeOf(1, 2), _placeOf(0, 2)));
        model = _publish(entries);

        RowProof memory first = _row(entries, 1, 0);
        RowProof memory second = _row(entries, 1, 1);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.proveOrder(model, second, first);
        _expectStrike(IIndexDisputes.Fault.Order);
        disputes.proveOrder(model, first, second);
        _assertStruck();
    }

    function test_leftOutRow_strikes_wherever() public {
        uint8[5] memory places = [0, 1, 3, 6, 10];
        for (uint256 missing = 0; missing < 5; missing++) {
            IndexRow[] memory kept = new IndexRow[](4);
            uint256 count = 0;
            for (uint256 i = 0; i < 5; i++) {
                if (i != missing) kept[count++] = _flat(places[i]);
            }
            Entry[] memory entries = _with(0, kept);
            model = _register(_root(_leaves(entries)), string.concat("adapter ", vm.toString(missing)));
            _publishModel(model, 4);
            IIndexDisputes.Gap memory gap = _gap(
                missing == 0 ? new RowProof[](0) : _list(_row(entries, 0, missing - 1)),
                missing == 4 ? new RowProof[](0) : _list(_row(entries, 0, missing))
            );
            IndexRow memory row = _flat(places[missing]);

            bytes32 claim = _claim(row, _contributor(entries, 0), gap);
            _concludes(claim);
        }
    }

    function test_leftOutRow_strikes_whenAllAreLeftOut() public {
        Entry[] memory entries = _with(1, new IndexRow[](0));
        model = _publish(entries);

        IIndexDisputes.Gap memory gap = _gap(new RowProof[](0), new RowProof[](0));
        _concludes(_claim(_placeOf(1, 2), _contributor(entries, 1), gap));
    }

    function test_leftOutRow_isAnsweredByAnEarlierRowOfTheCluster() public {
        Entry[] memory entries = _honest();
        model = _publish(entries);
        IIndexDisputes.Gap memory gap = _gap(new RowProof[](0), new RowProof[](0));
        bytes32 claim = _claim(_placeOf(0, 4), _contributor(entries, 2), gap);
        IIndexDisputes.DatanetRow memory later = _datanetRow(0, 4);
        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 1);
        uint256 before = OWNER.balance;

        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotInDatanet.selector, 0, 4));
        disputes.answer(claim, later);
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.LeftOutAnswered(claim, OWNER, _placeOf(0, 1));
        disputes.answer(claim, earlier);
        vm.stopPrank();

        assertEq(OWNER.balance - before, CLAIM_BOND, "the claim's bond");
        vm.warp(START + WINDOW + 2 * ANSWER_PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.UnknownClaim.selector, claim));
        disputes.conclude(claim);
        assertTrue(indexes.isEarning(model, uint64(block.timestamp)));
    }

    function test_leftOut_keepsTheIndexFromBeingAccepted() public {
        Entry[] memory entries = _with(1, new IndexRow[](0));
        model = _publish(entries);
        vm.warp(START + WINDOW - 1);
        bytes32 claim = _claim(_placeOf(1, 2), _contributor(entries, 1), _gap(new RowProof[](0), new RowProof[](0)));
        uint64 deadline = START + WINDOW - 1 + ANSWER_PERIOD;
        assertEq(disputes.claimOf(claim).deadline, deadline);

        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.TooEarly.selector, deadline));
        disputes.conclude(claim);
        vm.warp(deadline);
        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 1);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.TooLate.selector, deadline));
        disputes.answer(claim, earlier);
        assertFalse(indexes.isEarning(model, deadline), "held");
        disputes.conclude(claim);
        _assertStruck();
    }

    function test_conclude_givesTheBondBack_whenTheIndexIsAcceptedOrStruck() public {
        Entry[] memory entries = _with(1, new IndexRow[](0));
        model = _publish(entries);
        ContributorProof memory contributor = _contributor(entries, 1);
        IIndexDisputes.Gap memory gap = _gap(new RowProof[](0), new RowProof[](0));
        bytes32 first = _claim(_placeOf(1, 2), contributor, gap);
        bytes32 second = _claim(_placeOf(0, 2), contributor, gap);
        vm.warp(START + ANSWER_PERIOD);
        disputes.conclude(first);
        uint256 before = CHALLENGER.balance;
        disputes.conclude(second);
        assertEq(CHALLENGER.balance - before, CLAIM_BOND, "struck");

        model = _register(_root(_leaves(entries)), "another");
        _publishModel(model, 4);
        bytes32 third = _claim(_placeOf(1, 2), contributor, gap);
        vm.warp(START + ANSWER_PERIOD + WINDOW + 2 * ANSWER_PERIOD);
        before = CHALLENGER.balance;
        disputes.conclude(third);
        assertEq(CHALLENGER.balance - before, CLAIM_BOND, "accepted");
        assertTrue(indexes.isEarning(model, uint64(block.timestamp)), "nobody concluded in time");
    }

    function test_claimLeftOutRow_reverts_whenTheClaimIsNotOne() public {
        Entry[] memory entries = _honest();
        model = _publish(entries);
        ContributorProof memory c0 = _contributor(entries, 0);
        IIndexDisputes.Gap memory gap = _gap(_list(_row(entries, 0, 0)), _list(_row(entries, 0, 2)));
        IIndexDisputes.DatanetRow memory present = _datanetRow(0, 1);
        IIndexDisputes.DatanetRow memory nearCopy = _datanetRow(0, 5);
        vm.startPrank(CHALLENGER);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutRow{value: CLAIM_BOND}(model, present, c0, gap);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.claimLeftOutRow{value: CLAIM_BOND}(model, nearCopy, c0, gap);

        IIndexDisputes.DatanetRow memory copy = _datanetRow(0, 4);
        vm.expectRevert(IIndexDisputes.NoFault.selector);
        disputes.claimLeftOutRow{value: CLAIM_BOND}(model, copy, c0, gap);
        ContributorProof memory c2 = _contributor(entries, 2);
        gap = _gap(new RowProof[](0), new RowProof[](0));
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongClaimBond.selector, 1, CLAIM_BOND));
        disputes.claimLeftOutRow{value: 1}(model, copy, c2, gap);
        disputes.claimLeftOutRow{value: CLAIM_BOND}(model, copy, c2, gap);
        bytes32 claim = keccak256(abi.encode(model, CHALLENGER, _placeOf(0, 4)));
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.ClaimExists.selector, claim));
        disputes.claimLeftOutRow{value: CLAIM_BOND}(model, copy, c2, gap);
        vm.stopPrank();
    }

    function test_leftOutContributor_strikes_firstMiddleAndLast() public {
        Entry[] memory all = _honest();
        for (uint256 missing = 0; missing < 2; missing++) {
            Entry[] memory entries = new Entry[](3);
            for (uint256 i = 0; i < 3; i++) {
                entries[i] = all[i < missing ? i : i + 1];
                entries[i].ordinal = uint32(i);
            }
            model = _register(_root(_leaves(entries)), string.concat("adapter ", vm.toString(missing)));
            _publishModel(model, 3);
            ContributorProof[] memory lower =
                missing == 0 ? new ContributorProof[](0) : _list(_contributor(entries, missing - 1));
            ContributorProof[] memory upper = _list(_contributor(entries, missing));
            _concludes(_claimContributor(missing == 0 ? _placeOf(0, 0) : _placeOf(0, 2), lower, upper));
        }

        Entry[] memory one = new Entry[](1);
        one[0] = _honest()[0];
        model = _register(_root(_leaves(one)), "adapter of one");
        _publishModel(model, 1);
        _concludes(_claimContributor(_placeOf(0, 2), _list(_contributor(one, 0)), new ContributorProof[](0)));
    }

    function test_claimLeftOutContributor_reverts_whenItIsThereOrNobody() public {
        Entry[] memory entries = _honest();
        model = _publish(entries);
        ContributorProof[] memory lower = _list(_contributor(entries, 0));
        ContributorProof[] memory upper = _list(_contributor(entries, 2));
        ContributorProof[] memory none = new ContributorProof[](0);
        IIndexDisputes.DatanetRow memory row = _datanetRow(0, 2);
        vm.startPrank(CHALLENGER);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, row, lower, upper);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, row, none, none);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, row, lower, none);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, row, none, upper);
        vm.stopPrank();
    }

    function test_disputes_revert_onceTheIndexIsAcceptedOrUnpublished() public {
        Entry[] memory entries = _honest();
        entries[3].ordinal = 4;
        ContributorProof memory last = _contributor(entries, 3);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotDisputable.selector, model));
        disputes.proveOrdinal(model, last);
        model = _publish(entries);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotDisputable.selector, model));
        disputes.proveOrdinal(model, last);
        vm.warp(START + WINDOW - 1);
        disputes.proveOrdinal(model, last);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotDisputable.selector, model));
        disputes.proveOrdinal(model, last);
    }

    function test_paths_revert_belowLeavesAndOffTheTree() public {
        Entry[] memory entries = _honest();
        model = _publish(entries);
        (NodeProof memory proof, Tree memory leaf) = _node(entries, 1, 0, 1);
        // The row's hash, read as a node: 128 bytes as well.
        IndexRow memory row = leaf.row;
        NodeProof memory below = NodeProof(proof.contributor, 0, new IndexNode[](2));
        below.path[0] = leaf.node;
        below.path[1] = IndexNode(row.datanet, bytes32(uint256(row.rowIndex)), row.rowHash, row.clusterHash);
        assertEq(IndexTree.hashOf(below.path[1]), leaf.node.left, "the same hash");
        vm.expectRevert(abi.encodeWithSelector(IndexTree.NotANode.selector, 1));
        disputes.proveNode(model, below);
        vm.expectRevert(abi.encodeWithSelector(IndexTree.NotANode.selector, 1));
        disputes.proveCount(model, proof, below.path[1], below.path[1]);

        proof.turns = 1;
        vm.expectRevert(abi.encodeWithSelector(IndexTree.NotANode.selector, 0));
        disputes.proveNode(model, proof);
        proof.contributor.contributor.earner++;
        vm.expectRevert(IndexTree.NotAContributor.selector);
        disputes.proveNode(model, proof);
    }

    function test_constructor_reverts_withoutTimeToAnswer() public {
        vm.expectRevert(IIndexDisputes.ZeroAnswerPeriod.selector);
        new IndexDisputes(indexes, models, datanets, earners, CLAIM_BOND, 0);
    }

    function _strikesNode(Entry[] memory entries, uint256 c, uint256 turns, uint256 depth) private {
        model = _publish(entries);
        (NodeProof memory proof,) = _node(entries, c, turns, depth);
        _expectStrike(IIndexDisputes.Fault.Node);
        disputes.proveNode(model, proof);
        _assertStruck();
    }

    function _claim(IndexRow memory row, ContributorProof memory contributor, IIndexDisputes.Gap memory gap)
        private
        returns (bytes32)
    {
        IIndexDisputes.DatanetRow memory proven = _datanetRow(row.datanet, row.rowIndex);
        vm.prank(CHALLENGER);
        return disputes.claimLeftOutRow{value: CLAIM_BOND}(model, proven, contributor, gap);
    }

    function _claimContributor(IndexRow memory row, ContributorProof[] memory lower, ContributorProof[] memory upper)
        private
        returns (bytes32)
    {
        IIndexDisputes.DatanetRow memory proven = _datanetRow(row.datanet, row.rowIndex);
        vm.prank(CHALLENGER);
        return disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, proven, lower, upper);
    }

    function _concludes(bytes32 claim) private {
        skip(ANSWER_PERIOD);
        uint256 before = CHALLENGER.balance;
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.FaultProven(model, IIndexDisputes.Fault.LeftOut, CHALLENGER);
        disputes.conclude(claim);
        assertEq(CHALLENGER.balance - before, BOND / 2 + CLAIM_BOND, "paid");
        _assertStruck();
    }

    function _expectStrike(IIndexDisputes.Fault fault) private {
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.FaultProven(model, fault, CHALLENGER);
        vm.prank(CHALLENGER);
    }

    function _assertStruck() private view {
        assertTrue(indexes.indexOf(model).struck, "struck");
        assertFalse(indexes.isEarning(model, type(uint64).max), "earning");
    }

    /// @dev The honest index, but with these rows for contributor `c`.
    function _with(uint256 c, IndexRow[] memory accepted) private view returns (Entry[] memory entries) {
        entries = _honest();
        entries[c].tree = _tree(accepted, 0, accepted.length);
    }

    /// @dev Row `i` of the two Datanets one after the other, the second from 10.
    function _flat(uint8 i) private view returns (IndexRow memory) {
        return i < 10 ? _placeOf(0, i) : _placeOf(1, i - 10);
    }

    function _sums(Tree memory tree) private pure returns (IIndexDisputes.Sums memory) {
        return IIndexDisputes.Sums(_packed(tree.sums), _packed(tree.children[0].sums), _packed(tree.children[1].sums));
    }

    function _gap(RowProof[] memory lower, RowProof[] memory upper) private pure returns (IIndexDisputes.Gap memory) {
        return IIndexDisputes.Gap(lower, upper);
    }

    function _list(RowProof memory proof) private pure returns (RowProof[] memory proofs) {
        proofs = new RowProof[](1);
        proofs[0] = proof;
    }

    function _list(ContributorProof memory proof) private pure returns (ContributorProof[] memory proofs) {
        proofs = new ContributorProof[](1);
        proofs[0] = proof;
    }

    function _one(IndexRow memory row) private pure returns (IndexRow[] memory accepted) {
        accepted = new IndexRow[](1);
        accepted[0] = row;
    }

    function _pair(IndexRow memory a, IndexRow memory b) private pure returns (IndexRow[] memory accepted) {
        accepted = new IndexRow[](2);
        (accepted[0], accepted[1]) = (a, b);
    }
}
