// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IIndexDisputes} from "../../contracts/interfaces/IIndexDisputes.sol";
import {IInfluenceIndexes} from "../../contracts/interfaces/IInfluenceIndexes.sol";
import {ContributorProof, IndexTree, RowProof} from "../../contracts/libraries/IndexTree.sol";
import {ModelId} from "../../contracts/types/Ids.sol";
import {IndexFixture} from "../IndexFixture.sol";

/// @dev Claims and takes no coins.
contract Refuser {
    IIndexDisputes private immutable disputes;

    constructor(IIndexDisputes disputes_) payable {
        disputes = disputes_;
    }

    function claim(ModelId model, uint32 ordinal) external returns (bytes32) {
        return disputes.claimMissingOrdinal{value: disputes.claimBond()}(model, ordinal);
    }
}

/// @notice Claims of ordinals that no leaf has, and what all claims share: whom they put off, for how long, and whose
/// their bonds are.
contract IndexClaimsTest is IndexFixture {
    address private immutable OTHER = makeAddr("another challenger");

    ModelId private model;

    function setUp() public override {
        super.setUp();
        vm.deal(OTHER, 100 ether);
        for (uint256 c = 0; c < CONTRIBUTORS; c++) {
            bytes32 text = keccak256(abi.encode("text", c));
            _addRow(0, contributors[c], text, text);
        }
        bytes32 copied = keccak256(abi.encode("text", 0));
        _addRow(1, contributors[1], copied, copied);
        _publishRows();
    }

    function test_missingOrdinal_strikes_anIndexThatDeclaresTooMany() public {
        Entry[] memory entries = _without(3);
        _publishDeclaring(entries, 4);
        // The last contributor is not in the index, and nobody can show the gap in which that is seen.
        IIndexDisputes.DatanetRow memory row = _datanetRow(0, 3);
        ContributorProof[] memory lower = new ContributorProof[](1);
        lower[0] = _contributor(entries, 2);
        vm.prank(CHALLENGER);
        vm.expectRevert(IIndexDisputes.NotAGap.selector);
        disputes.claimLeftOutContributor{value: CLAIM_BOND}(model, row, lower, new ContributorProof[](0));

        bytes32 claim = _claim(3);
        vm.snapshotGasLastCall("IndexDisputes", "claimMissingOrdinal");
        IIndexDisputes.Claim memory open = disputes.claimOf(claim);
        assertEq(open.deadline, START + ANSWER_PERIOD, "deadline");
        assertEq(uint8(open.fault), uint8(IIndexDisputes.Fault.MissingOrdinal), "fault");
        assertEq(open.ordinal, 3, "ordinal");
        for (uint256 i = 0; i < 3; i++) {
            ContributorProof memory leaf = _contributor(entries, i);
            vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongOrdinal.selector, 3, i));
            disputes.answerOrdinal(claim, leaf);
        }
        _concludes(claim);
    }

    function test_missingOrdinal_strikes_whereverTheGapIs() public {
        for (uint256 missing = 0; missing < CONTRIBUTORS; missing++) {
            Entry[] memory entries = _without(missing);
            model = _register(_root(_leaves(entries)), string.concat("adapter ", vm.toString(missing)));
            _publishModel(model, uint32(CONTRIBUTORS));

            bytes32 claim = _claim(uint32(missing));
            _concludes(claim);
        }
    }

    function test_missingOrdinal_isAnsweredByItsLeaf() public {
        Entry[] memory entries = _publishHonest();
        bytes32 claim = _claim(2);
        ContributorProof memory leaf = _contributor(entries, 2);
        ContributorProof memory forged = _contributor(entries, 1);
        forged.contributor.ordinal = 2;
        uint256 before = OWNER.balance;

        vm.startPrank(OWNER);
        vm.expectRevert(IndexTree.NotAContributor.selector);
        disputes.answerOrdinal(claim, forged);
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.OrdinalAnswered(claim, OWNER);
        disputes.answerOrdinal(claim, leaf);
        vm.snapshotGasLastCall("IndexDisputes", "answerOrdinal");
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.UnknownClaim.selector, claim));
        disputes.answerOrdinal(claim, leaf);
        vm.stopPrank();

        assertEq(OWNER.balance - before, CLAIM_BOND, "the claim's bond");
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.UnknownClaim.selector, claim));
        disputes.conclude(claim);
    }

    function test_claimMissingOrdinal_reverts_unlessALeafShouldHaveIt() public {
        Entry[] memory entries = _honest();
        vm.startPrank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotDisputable.selector, model));
        disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 0);
        vm.stopPrank();
        model = _publish(entries);

        vm.startPrank(CHALLENGER);
        uint32[2] memory beyond = [4, type(uint32).max];
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.OrdinalOutOfRange.selector, beyond[i], 4));
            disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, beyond[i]);
        }
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongClaimBond.selector, CLAIM_BOND - 1, CLAIM_BOND));
        disputes.claimMissingOrdinal{value: CLAIM_BOND - 1}(model, 3);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongClaimBond.selector, CLAIM_BOND + 1, CLAIM_BOND));
        disputes.claimMissingOrdinal{value: CLAIM_BOND + 1}(model, 3);
        bytes32 claim = disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 3);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.ClaimExists.selector, claim));
        disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 3);

        // Held, so that it could be struck, but no new claim may hold it for longer.
        vm.warp(START + WINDOW - 1);
        disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 2);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.WindowOver.selector, model, START + WINDOW));
        disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 1);
        disputes.conclude(claim);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.NotDisputable.selector, model));
        disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, 1);
        vm.stopPrank();
    }

    function test_answers_revert_forAClaimOfAnotherFault() public {
        Entry[] memory entries = _publishHonest();
        bytes32 ordinal = _claim(0);
        bytes32 row = _claimCopy(entries);
        ContributorProof memory leaf = _contributor(entries, 0);
        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 0);

        vm.expectRevert(
            abi.encodeWithSelector(IIndexDisputes.WrongAnswer.selector, IIndexDisputes.Fault.MissingOrdinal)
        );
        disputes.answer(ordinal, earlier);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.WrongAnswer.selector, IIndexDisputes.Fault.LeftOut));
        disputes.answerOrdinal(row, leaf);
    }

    function test_missingOrdinal_isAnsweredBeforeTheDeadlineAndConcludedFromThere() public {
        Entry[] memory entries = _publishHonest();
        bytes32 claim = _claim(1);
        uint64 deadline = START + ANSWER_PERIOD;
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.TooEarly.selector, deadline));
        disputes.conclude(claim);
        vm.warp(deadline);
        ContributorProof memory leaf = _contributor(entries, 1);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.TooLate.selector, deadline));
        disputes.answerOrdinal(claim, leaf);

        // Whoever does not answer is struck, right or not.
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.FaultProven(model, IIndexDisputes.Fault.MissingOrdinal, CHALLENGER);
        disputes.conclude(claim);
        vm.snapshotGasLastCall("IndexDisputes", "conclude");
        assertTrue(indexes.indexOf(model).struck);
    }

    function test_missingOrdinal_givesTheBondBack_whenTheIndexIsStruckOrAccepted() public {
        _publishDeclaring(_without(3), 5);
        bytes32 first = _claim(3);
        bytes32 second = _claim(4);
        skip(ANSWER_PERIOD);
        disputes.conclude(first);
        uint256 before = CHALLENGER.balance;
        disputes.conclude(second);
        assertEq(CHALLENGER.balance - before, CLAIM_BOND, "struck");

        model = _register(_root(_leaves(_without(3))), "another");
        _publishModel(model, 5);
        bytes32 third = _claim(3);
        skip(WINDOW);
        before = CHALLENGER.balance;
        disputes.conclude(third);
        assertEq(CHALLENGER.balance - before, CLAIM_BOND, "accepted");
        assertTrue(indexes.isEarning(model, uint64(block.timestamp)), "nobody concluded in time");
        assertEq(disputes.openClaims(model), 0);
    }

    function test_claims_ofAStruckIndex_areStillAnsweredForTheirBond() public {
        Entry[] memory entries = _publishHonest();
        bytes32 first = _claim(0);
        skip(1);
        bytes32 second = _claim(1);
        vm.warp(START + ANSWER_PERIOD);
        disputes.conclude(first);
        uint256 before = OWNER.balance;
        ContributorProof memory leaf = _contributor(entries, 1);

        vm.prank(OWNER);
        disputes.answerOrdinal(second, leaf);

        assertEq(OWNER.balance - before, CLAIM_BOND);
        assertTrue(indexes.indexOf(model).struck);
    }

    function test_claims_arePutOffNoLongerThanTheLastOneIsOpen() public {
        Entry[] memory entries = _publishHonest();
        uint64 end = START + WINDOW;
        vm.warp(end - 1);
        bytes32 ordinal = _claim(0);
        bytes32 row = _claimCopy(entries);
        assertEq(disputes.openClaims(model), 2);
        assertEq(indexes.indexOf(model).acceptedAt, end - 1 + 2 * ANSWER_PERIOD, "held");

        vm.warp(end + 1 hours);
        ContributorProof memory leaf = _contributor(entries, 0);
        IIndexDisputes.DatanetRow memory earlier = _datanetRow(0, 0);
        vm.startPrank(OWNER);
        disputes.answerOrdinal(ordinal, leaf);
        assertEq(indexes.indexOf(model).acceptedAt, end - 1 + 2 * ANSWER_PERIOD, "one is open");
        disputes.answer(row, earlier);
        vm.stopPrank();

        assertEq(disputes.openClaims(model), 0);
        assertTrue(indexes.isEarning(model, end + 1 hours), "accepted");
        assertFalse(indexes.isEarning(model, end + 1 hours - 1), "what has passed stays");
    }

    function test_claims_thatOneAnswersOneself_putNothingOff() public {
        Entry[] memory entries = _publishHonest();
        vm.warp(START + WINDOW - 1);
        for (uint256 i = 0; i < CONTRIBUTORS; i++) {
            bytes32 claim = _claim(uint32(i));
            ContributorProof memory leaf = _contributor(entries, i);
            vm.prank(OTHER);
            disputes.answerOrdinal(claim, leaf);
        }
        assertTrue(indexes.isEarning(model, START + WINDOW));
    }

    function test_claims_ofSomebodyWhoTakesNoCoins_keepNobodyFromThem() public {
        _publishDeclaring(_without(3), 4);
        Refuser refuser = new Refuser{value: CLAIM_BOND}(disputes);
        bytes32 blocked = refuser.claim(model, 3);
        bytes32 claim = _claim(3);
        skip(ANSWER_PERIOD);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.PaymentFailed.selector, refuser));
        disputes.conclude(blocked);

        uint256 before = CHALLENGER.balance;
        disputes.conclude(claim);

        assertEq(CHALLENGER.balance - before, BOND / 2 + CLAIM_BOND, "paid");
        assertTrue(indexes.indexOf(model).struck);
    }

    function test_answerOrdinal_reverts_whenTheAnswererTakesNoCoins() public {
        Entry[] memory entries = _publishHonest();
        bytes32 claim = _claim(0);
        ContributorProof memory leaf = _contributor(entries, 0);
        vm.expectRevert(abi.encodeWithSelector(IIndexDisputes.PaymentFailed.selector, address(this)));
        disputes.answerOrdinal(claim, leaf);
    }

    /// @dev Whoever claims what, an honest index is accepted when its window ends if each claim is answered, and the
    /// claimants pay for it.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_honestIndex_hasEveryOrdinal(uint256 seed) public {
        Entry[] memory entries = _publishHonest();
        bytes32[] memory claims = new bytes32[](2 * CONTRIBUTORS);
        uint256 paid = OWNER.balance;
        for (uint256 i = 0; i < claims.length; i++) {
            vm.warp(START + bound(uint256(keccak256(abi.encode(seed, i))), 0, WINDOW - ANSWER_PERIOD - 1));
            vm.prank(i % 2 == 0 ? CHALLENGER : OTHER);
            claims[i] = disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, uint32(i / 2));
            assertEq(address(disputes).balance, CLAIM_BOND * disputes.openClaims(model), "bonds of open claims");
            if (seed >> i & 1 == 0) _answer(entries, claims[i], i / 2);
        }
        for (uint256 i = 0; i < claims.length; i++) {
            if (seed >> i & 1 == 0) continue;
            vm.warp(disputes.claimOf(claims[i]).deadline - 1);
            _answer(entries, claims[i], i / 2);
        }
        assertEq(OWNER.balance - paid, claims.length * CLAIM_BOND, "to who answered");
        assertEq(address(disputes).balance, 0, "nothing is stuck");
        assertEq(indexes.indexOf(model).acceptedAt, START + WINDOW, "on time");
    }

    /// @dev Of an index with holes exactly the ordinals that are there are answered.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_ordinal_isAnsweredExactlyWhereThereIsALeaf(uint256 kept, uint32 declared) public {
        kept = bound(kept, 1, (1 << CONTRIBUTORS) - 1);
        declared = uint32(bound(declared, CONTRIBUTORS, CONTRIBUTORS + 3));
        Entry[] memory entries = _kept(kept);
        _publishDeclaring(entries, declared);
        for (uint32 ordinal = 0; ordinal < declared; ordinal++) {
            bytes32 claim = _claim(ordinal);
            bool answered = false;
            for (uint256 i = 0; i < entries.length; i++) {
                ContributorProof memory leaf = _contributor(entries, i);
                vm.prank(OWNER);
                (bool ok,) = address(disputes).call(abi.encodeCall(disputes.answerOrdinal, (claim, leaf)));
                answered = answered || ok;
            }
            assertEq(answered, ordinal < CONTRIBUTORS && kept >> ordinal & 1 == 1, "answered");
        }
    }

    function _publishHonest() private returns (Entry[] memory entries) {
        entries = _honest();
        model = _publish(entries);
    }

    function _publishDeclaring(Entry[] memory entries, uint32 declared) private {
        model = _register(_root(_leaves(entries)), "adapter");
        _publishModel(model, declared);
    }

    /// @dev The honest index without one contributor, whose ordinal nobody else has.
    function _without(uint256 missing) private view returns (Entry[] memory entries) {
        Entry[] memory all = _honest();
        entries = new Entry[](CONTRIBUTORS - 1);
        for (uint256 i = 0; i < entries.length; i++) {
            entries[i] = all[i < missing ? i : i + 1];
        }
    }

    function _kept(uint256 kept) private view returns (Entry[] memory entries) {
        Entry[] memory all = _honest();
        uint256 count = 0;
        for (uint256 i = 0; i < CONTRIBUTORS; i++) {
            if (kept >> i & 1 == 1) all[count++] = all[i];
        }
        entries = new Entry[](count);
        for (uint256 i = 0; i < count; i++) {
            entries[i] = all[i];
        }
    }

    function _claim(uint32 ordinal) private returns (bytes32 claim) {
        claim = keccak256(abi.encode(model, CHALLENGER, ordinal));
        uint64 deadline = uint64(block.timestamp) + ANSWER_PERIOD;
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.OrdinalClaimed(model, claim, CHALLENGER, deadline, ordinal);
        vm.prank(CHALLENGER);
        assertEq(disputes.claimMissingOrdinal{value: CLAIM_BOND}(model, ordinal), claim);
    }

    /// @dev A false claim: the second Datanet's only row is a copy.
    function _claimCopy(Entry[] memory entries) private returns (bytes32) {
        IIndexDisputes.DatanetRow memory copy = _datanetRow(1, 0);
        ContributorProof memory contributor = _contributor(entries, 1);
        IIndexDisputes.Gap memory gap = IIndexDisputes.Gap(new RowProof[](1), new RowProof[](0));
        gap.lower[0] = _row(entries, 1, 0);
        vm.prank(CHALLENGER);
        return disputes.claimLeftOutRow{value: CLAIM_BOND}(model, copy, contributor, gap);
    }

    function _answer(Entry[] memory entries, bytes32 claim, uint256 ordinal) private {
        ContributorProof memory leaf = _contributor(entries, ordinal);
        vm.prank(OWNER);
        disputes.answerOrdinal(claim, leaf);
    }

    function _concludes(bytes32 claim) private {
        skip(ANSWER_PERIOD);
        uint256 before = CHALLENGER.balance;
        vm.expectEmit(address(disputes));
        emit IIndexDisputes.FaultProven(model, IIndexDisputes.Fault.MissingOrdinal, CHALLENGER);
        disputes.conclude(claim);
        assertEq(CHALLENGER.balance - before, BOND / 2 + CLAIM_BOND, "paid");
        assertTrue(indexes.indexOf(model).struck, "struck");
        assertFalse(indexes.isEarning(model, type(uint64).max), "earning");
    }
}
