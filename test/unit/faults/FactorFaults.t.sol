// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../../contracts/interfaces/IBondedFigures.sol";
import {IDisputes, Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IFactorFaults} from "../../../contracts/interfaces/faults/IFactorFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {LedgerGrammar} from "../../../contracts/libraries/LedgerGrammar.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {FactorFaults} from "../../../contracts/settlement/faults/FactorFaults.sol";
import {EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";
import {FiguresDouble} from "./FaultsDoubles.sol";

contract FactorFaultsTest is FaultsBase {
    uint64 private constant EPOCH_START = EPOCH * 1 hours;

    FiguresDouble private figures;
    FactorFaults private faults;

    function setUp() public override {
        super.setUp();
        figures = new FiguresDouble(models);
        faults = new FactorFaults(IDisputes(address(disputes)), IBondedFigures(address(figures)));
    }

    function test_proveFactor_refusesFactorsInForce() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Payout); ++i) {
            _refuses(address(faults), _proof(_find(LedgerRow.Kind.Payout, i)));
        }
    }

    function test_proveFactor_strikes_whenAnotherIsInForce() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Payout); ++i) {
            uint256 row = _find(LedgerRow.Kind.Payout, i);
            figures.set(adapter, _earnerOf(row), EPOCH_START, 9999);
            _strikesFor(address(faults), _proof(row), Rule.Factor, "proveFactor");
        }
    }

    function test_proveFactor_strikes_whenTheRowHasLessThanIsInForce() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        book.setField(row, 17, 2, 9999);
        _repost();
        _strikes(address(faults), _proof(row), Rule.Factor);

        figures.set(adapter, _earnerOf(row), EPOCH_START, 9999);
        _refuses(address(faults), _proof(row));
    }

    /// @dev Neither figures of the time when it is disputed count, nor those that came during the epoch.
    function test_proveFactor_goesByTheEpochsFirstSecond() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        figures.set(adapter, _earnerOf(row), EPOCH_START - 1, 1);
        figures.set(adapter, _earnerOf(row), EPOCH_START + 1, 2);
        figures.set(adapter, _earnerOf(row), uint64(block.timestamp) + 1 hours, 3);
        _refuses(address(faults), _proof(row));
    }

    function test_proveFactor_reverts_forOtherRowsAndModels() public {
        uint256 row = _find(LedgerRow.Kind.Payout, 0);
        uint256 closing = _find(LedgerRow.Kind.PoolClosing, 0);
        _refuses(address(faults), _proof(closing), abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, closing));
        _refuses(address(faults), _proof(row, base), abi.encodeWithSelector(IFaultProofs.WrongModel.selector, base));
        // The same 25 bytes, and a tail that nobody registered.
        ModelId twin = ModelId.wrap(ModelId.unwrap(adapter) ^ bytes32(uint256(1)));
        _refuses(address(faults), _proof(row, twin), abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, twin));
    }

    /// @dev Rows are sound whose influence pay is what their factor leaves of the net, and no others.
    function testFuzz_isSound_takesWhatTheFactorLeaves(uint16 factor, uint16 other) public {
        factor = uint16(bound(factor, 0, 10_000));
        other = uint16(bound(other, 0, 10_000));
        uint256 row = _paid();
        uint256 net = uint256(-int256(book.rowAt(row).value));
        uint64 flat = LedgerRow.payout(book.rowAt(row)).flat;
        uint256 influence = net * factor / 10_000;
        book.setField(row, 1, 8, influence);
        book.setField(row, 17, 2, factor);
        book.setCell(row, 1, influence + flat);
        assertTrue(_isSound(row));

        book.setField(row, 17, 2, other);
        assertEq(_isSound(row), net * other / 10_000 == influence);
    }

    function _isSound(uint256 row) private view returns (bool) {
        LedgerGrammar.Bounds memory bounds =
            LedgerGrammar.Bounds(book.rowCount(), earners.earnerCount(), EPOCH_START, EPOCH_START + 1 hours);
        return LedgerGrammar.isSound(book.rowAt(row), row, bounds);
    }

    /// @dev The first payout of a positive net.
    function _paid() private view returns (uint256 row) {
        for (uint256 i; i < book.count(LedgerRow.Kind.Payout); ++i) {
            row = _find(LedgerRow.Kind.Payout, i);
            if (book.rowAt(row).value < 0) return row;
        }
        revert("nobody is paid");
    }

    function _earnerOf(uint256 row) private view returns (EarnerIndex) {
        return EarnerIndex.wrap(LedgerGrammar.earnerOf(book.rowAt(row).account));
    }

    function _proof(uint256 row) private view returns (bytes memory) {
        return _proof(row, adapter);
    }

    function _proof(uint256 row, ModelId model) private view returns (bytes memory) {
        return abi.encodeCall(IFactorFaults.proveFactor, (batch, book.openRows(_rows(row)), model));
    }
}
