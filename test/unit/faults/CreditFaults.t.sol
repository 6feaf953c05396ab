// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IFeeSchedule} from "../../../contracts/interfaces/IFeeSchedule.sol";
import {IInfluenceIndexes} from "../../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {ICreditFaults} from "../../../contracts/interfaces/faults/ICreditFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {ContributorProof} from "../../../contracts/libraries/IndexTree.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract CreditFaultsTest is FaultsBase {
    /// @dev A record with two credits, which are all that the rules allow; `ranked` are the contributors by |score|.
    uint256 private record;
    uint256 private ordinal;
    uint256[] private ranked;

    function setUp() public override {
        super.setUp();
        record = _recordWith(2);
        ordinal = LedgerRow.record(book.rowAt(record)).ordinal;
        ranked = _ranking();
    }

    // Score.

    function test_proveScore_refusesHonestScores() public {
        _refuses(address(creditFaults), _score(record + 5, ranked[0]));
        _refuses(address(creditFaults), _score(record + 6, ranked[1]));
    }

    function test_proveScore_strikes_whenAScoreIsAnother() public {
        uint256 score = book.cellsAt(record + 5)[4] >> 176 & type(uint64).max;
        book.setField(record + 5, 1, 8, score + 1);
        _repost();
        _strikesFor(address(creditFaults), _score(record + 5, ranked[0]), Rule.Score, "proveScore");
        // Of the same magnitude, but the other sign.
        book.setField(record + 5, 1, 8, (1 << 64) - score);
        _repost();
        _strikes(address(creditFaults), _score(record + 5, ranked[0]), Rule.Score);
    }

    function test_proveScore_reverts_forAnotherContributor() public {
        bytes memory error = abi.encodeWithSelector(ICreditFaults.WrongEarner.selector, contributors[ranked[1]].earner);
        _refuses(address(creditFaults), _score(record + 5, ranked[1]), error);
    }

    function test_proveScore_reverts_forAContributorThatIsMadeUp() public {
        ContributorProof memory contributor = _proofOf(ranked[0]);
        contributor.contributor.sumsHash = keccak256(new bytes(4 * dim));
        bytes memory error =
            abi.encodeWithSelector(ICreditFaults.NotAContributor.selector, contributor.contributor.earner);
        _refuses(address(creditFaults), _score(record + 5, contributor, new bytes(4 * dim)), error);
    }

    function test_proveScore_reverts_forOtherSums() public {
        bytes memory other = new bytes(4 * dim);
        bytes memory error = abi.encodeWithSelector(ICreditFaults.WrongSums.selector, keccak256(other));
        _refuses(address(creditFaults), _score(record + 5, _proofOf(ranked[0]), other), error);
    }

    function test_proveScore_reverts_forTheWitnessOfAnotherRecord() public {
        uint256 credit = record + 5;
        bytes memory other = witnesses[ordinal == 0 ? 1 : 0];
        bytes memory proof = abi.encodeCall(
            ICreditFaults.proveScore,
            (batch, book.openRows(_rows(record, credit)), other, _proofOf(ranked[0]), sums[ranked[0]])
        );
        _refuses(
            address(creditFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongWitness.selector, keccak256(other))
        );
    }

    function test_proveScore_reverts_forTheCreditOfAnotherRecord() public {
        uint256 other = _find(LedgerRow.Kind.Record, ordinal == 0 ? 1 : 0);
        (uint256 a, uint256 b) = other < record + 5 ? (other, record + 5) : (record, other);
        bytes memory proof = abi.encodeCall(
            ICreditFaults.proveScore,
            (batch, book.openRows(_rows(a, b)), witnesses[0], _proofOf(ranked[0]), sums[ranked[0]])
        );
        _refuses(address(creditFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, b));
    }

    // Stranger.

    function test_proveStranger_refusesContributors() public {
        uint256[2] memory rows = [record + 5, _find(LedgerRow.Kind.Payout, 0)];
        for (uint256 i; i < 2; ++i) {
            for (uint256 lower; lower <= CONTRIBUTORS; ++lower) {
                for (uint256 upper; upper <= CONTRIBUTORS; ++upper) {
                    bytes memory proof = _stranger(rows[i], adapter, lower, upper);
                    _refuses(address(creditFaults), proof, abi.encodeWithSelector(ICreditFaults.NotAGap.selector));
                }
            }
        }
    }

    function test_proveStranger_strikes_forACredit() public {
        book.setCell(record + 5, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(stranger)));
        _repost();
        _strikesFor(address(creditFaults), _stranger(record + 5, adapter, 1, 1), Rule.Stranger, "proveStranger");

        book.setCell(record + 5, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(TREASURY)));
        _repost();
        _strikes(address(creditFaults), _stranger(record + 5, adapter, 0, 0), Rule.Stranger);

        book.setCell(record + 5, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(lastStranger)));
        _repost();
        _strikes(address(creditFaults), _stranger(record + 5, adapter, CONTRIBUTORS, CONTRIBUTORS), Rule.Stranger);
        // With a gap that it is not in, and one that is none.
        bytes memory error = abi.encodeWithSelector(ICreditFaults.NotAGap.selector);
        _refuses(address(creditFaults), _stranger(record + 5, adapter, 1, 1), error);
        _refuses(address(creditFaults), _stranger(record + 5, adapter, 2, CONTRIBUTORS), error);
    }

    function test_proveStranger_strikes_forAPayout() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        book.setCell(row, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(stranger)));
        _repost();
        _strikes(address(creditFaults), _stranger(row, adapter, 1, 1), Rule.Stranger);
    }

    function test_proveStranger_strikes_forAModelWithoutIndex() public {
        book.setCell(record + 5, 2, LedgerRow.balanceAccount(base, EarnerIndex.wrap(contributors[0].earner)));
        _repost();
        _strikes(address(creditFaults), _stranger(record + 5, base, 0, CONTRIBUTORS), Rule.Stranger);
    }

    function test_proveStranger_reverts_forAModelThatIsNotRegistered() public {
        // The row's account holds 25 bytes of the id: whoever changes the rest gets an id without index.
        ModelId guess = ModelId.wrap(ModelId.unwrap(adapter) ^ bytes32(uint256(1)));
        bytes memory error = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, guess);
        _refuses(address(creditFaults), _stranger(record + 5, guess, 0, CONTRIBUTORS), error);

        error = abi.encodeWithSelector(IFaultProofs.WrongModel.selector, base);
        _refuses(address(creditFaults), _stranger(record + 5, base, 0, CONTRIBUTORS), error);
    }

    function test_proveStranger_reverts_forRowsWithoutContributor() public {
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, record + 4);
        _refuses(address(creditFaults), _stranger(record + 4, adapter, 1, 1), error);
    }

    function test_proveWrongRows_refusesHonestPayouts() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Payout); ++i) {
            uint256 row = _find(LedgerRow.Kind.Payout, i);
            _refuses(address(creditFaults), _wrongRows(row, _ordinalOf(row)));
        }
    }

    function test_proveWrongRows_strikes() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        book.setField(row, 19, 4, 100);
        _repost();
        _strikesFor(address(creditFaults), _wrongRows(row, _ordinalOf(row)), Rule.Stranger, "proveWrongRows");
    }

    function test_proveWrongRows_reverts_forAnotherContributor() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        uint256 other = (_ordinalOf(row) + 1) % CONTRIBUTORS;
        bytes memory error = abi.encodeWithSelector(ICreditFaults.WrongEarner.selector, contributors[other].earner);
        _refuses(address(creditFaults), _wrongRows(row, other), error);
    }

    // LeftOut.

    function test_proveLeftOut_refusesWhoeverIsInOrRanksBelow() public {
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 5), i));
            _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 6), i));
            _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 5, record + 6), i));
            _refuses(address(creditFaults), _leftOut(_rows(record, record + 4), i));
        }
    }

    function test_proveLeftOut_strikes_whenTheFirstIsMissing() public {
        _setCredit(record + 5, ranked[1], 0);
        book.setField(record + 4, 1, 1, 1);
        _repost();
        _strikesFor(
            address(creditFaults),
            _leftOut(_rows(record, record + 4, record + 5), ranked[0]),
            Rule.LeftOut,
            "proveLeftOut"
        );
        _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 5), ranked[1]));
    }

    function test_proveLeftOut_strikes_whenTheSecondIsMissing() public {
        _setCredit(record + 6, ranked[2], 1);
        _repost();
        _strikes(
            address(creditFaults), _leftOut(_rows(record, record + 4, record + 5, record + 6), ranked[1]), Rule.LeftOut
        );
    }

    function test_proveLeftOut_strikes_whenThereIsRoom() public {
        book.setField(record + 4, 1, 1, 1);
        _repost();
        _strikes(address(creditFaults), _leftOut(_rows(record, record + 4, record + 5), ranked[1]), Rule.LeftOut);
        // Nobody must be credited for a score of 0.
        _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 5), CONTRIBUTORS - 1));

        book.setField(record + 4, 1, 1, 0);
        _repost();
        for (uint256 i; i < 3; ++i) {
            _strikes(address(creditFaults), _leftOut(_rows(record, record + 4), ranked[i]), Rule.LeftOut);
        }
    }

    /// @dev Rules that allow more credits from a later time on do not count before it.
    function test_proveLeftOut_goesByTheRulesOfTheCallsTime() public {
        fees.schedule(IFeeSchedule.Rules(IFeeSchedule.Split(1000, 2000, 2000, 5000), 3), START + 7 days);
        vm.warp(START + 8 days);
        uint256[] memory rows = _rows(record, record + 4, record + 6);
        _refuses(address(creditFaults), _leftOut(rows, ranked[2]));

        book.setField(record, 13, 8, START + 7 days);
        _repost();
        _strikes(address(creditFaults), _leftOut(rows, ranked[2]), Rule.LeftOut);
    }

    function test_proveLeftOut_reverts_whenRowsAreNotNeighbours() public {
        book.setField(record + 6, 9, 1, 3);
        _repost();
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 2, record + 6);
        _refuses(address(creditFaults), _leftOut(_rows(record, record + 4, record + 6), ranked[2]), error);
    }

    // TooMany.

    function test_proveTooMany_strikes() public {
        book.setField(record + 4, 1, 1, 3);
        _repost();
        _strikesFor(address(creditFaults), _tooMany(record), Rule.TooMany, "proveTooMany");
    }

    function test_proveTooMany_refusesHonestRecords() public {
        for (uint256 i; i < witnesses.length; ++i) {
            _refuses(address(creditFaults), _tooMany(_find(LedgerRow.Kind.Record, i)));
        }
    }

    // Unpaid.

    function test_proveUnpaid_refusesHonestBatches() public {
        uint256 closing = _adapterClosing();
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            for (uint256 row = closing; row < _find(LedgerRow.Kind.FixedPayout, 1); ++row) {
                _refuses(address(creditFaults), _unpaid(closing, row, i));
            }
        }
    }

    function test_proveUnpaid_strikes_whereverThePayoutWouldBe() public {
        uint256 first = _find(LedgerRow.Kind.Payout, 0);
        for (uint256 i; i < 3; ++i) {
            uint256[8] memory removed = book.cellsAt(first + i);
            book.removeRow(first + i);
            _repost();
            _strikesFor(address(creditFaults), _unpaid(_adapterClosing(), first + i - 1, i), Rule.Unpaid, "proveUnpaid");
            book.insertRow(first + i, removed);
        }
    }

    function test_proveUnpaid_reverts_forAnotherModelsPool() public {
        uint256 closing = _find(LedgerRow.Kind.PoolClosing, 0);
        if (closing == _adapterClosing()) ++closing;
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongModel.selector, adapter);
        _refuses(address(creditFaults), _unpaid(closing, closing, 0), error);
    }

    /// @dev Contributors by |score| descending, earner ascending.
    function _ranking() private view returns (uint256[] memory order) {
        bytes memory sketch = _sketchOf();
        order = new uint256[](CONTRIBUTORS);
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            uint256 j = i;
            for (; j > 0; --j) {
                uint256 other = _magnitude(_scoreOf(sketch, order[j - 1]));
                if (_magnitude(_scoreOf(sketch, i)) <= other) break;
                order[j] = order[j - 1];
            }
            order[j] = i;
        }
    }

    function _sketchOf() private view returns (bytes memory sketch) {
        bytes memory witness = witnesses[ordinal];
        sketch = new bytes(dim);
        for (uint256 k; k < dim; ++k) {
            sketch[k] = witness[229 + k];
        }
    }

    function _setCredit(uint256 row, uint256 contributor, uint8 place) private {
        book.setCell(row, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(contributors[contributor].earner)));
        book.setField(row, 1, 8, uint64(_scoreOf(_sketchOf(), contributor)) ^ 1 << 63);
        book.setField(row, 9, 1, place);
    }

    function _ordinalOf(uint256 payout) private view returns (uint256 i) {
        for (; contributors[i].earner != uint32(book.cellsAt(payout)[2]); ++i) {}
    }

    function _adapterClosing() private view returns (uint256 row) {
        row = _find(LedgerRow.Kind.PoolClosing, 0);
        if (book.cellsAt(row)[2] == LedgerRow.poolAccount(base)) ++row;
    }

    function _score(uint256 credit, uint256 contributor) private view returns (bytes memory) {
        return _score(credit, _proofOf(contributor), sums[contributor]);
    }

    function _score(uint256 credit, ContributorProof memory contributor, bytes memory sum)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            ICreditFaults.proveScore,
            (batch, book.openRows(_rows(record, credit)), witnesses[ordinal], contributor, sum)
        );
    }

    /// @param lower how many contributors are said to be below; 0 for none shown
    /// @param upper ordinal of the one above; CONTRIBUTORS for none shown
    function _stranger(uint256 row, ModelId model, uint256 lower, uint256 upper) private view returns (bytes memory) {
        ContributorProof[] memory below = new ContributorProof[](lower == 0 ? 0 : 1);
        ContributorProof[] memory above = new ContributorProof[](upper == CONTRIBUTORS ? 0 : 1);
        if (lower != 0) below[0] = _proofOf(lower - 1);
        if (upper != CONTRIBUTORS) above[0] = _proofOf(upper);
        return abi.encodeCall(ICreditFaults.proveStranger, (batch, book.openRows(_rows(row)), model, below, above));
    }

    function _wrongRows(uint256 payout, uint256 contributor) private view returns (bytes memory) {
        return abi.encodeCall(
            ICreditFaults.proveWrongRows,
            (batch, book.openRows(_rows(_adapterClosing(), payout)), adapter, _proofOf(contributor))
        );
    }

    function _leftOut(uint256[] memory rows, uint256 contributor) private view returns (bytes memory) {
        return abi.encodeCall(
            ICreditFaults.proveLeftOut,
            (batch, book.openRows(rows), witnesses[ordinal], _proofOf(contributor), sums[contributor])
        );
    }

    function _tooMany(uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(ICreditFaults.proveTooMany, (batch, book.openRows(_rows(row, row + 4))));
    }

    function _unpaid(uint256 closing, uint256 row, uint256 contributor) private view returns (bytes memory) {
        uint256[] memory rows = row == closing ? _rows(row, row + 1) : _rows(closing, row, row + 1);
        return abi.encodeCall(ICreditFaults.proveUnpaid, (batch, book.openRows(rows), adapter, _proofOf(contributor)));
    }
}
