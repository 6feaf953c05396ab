// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {ICarryFaults} from "../../../contracts/interfaces/faults/ICarryFaults.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {CellOpening, CellOpenings} from "../../../contracts/libraries/CellOpenings.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {EarnerIndex} from "../../../contracts/types/Ids.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract CarryFaultsTest is FaultsBase {
    function test_proveCarry_refusesHonestCarries() public {
        for (uint256 i; i < book.count(LedgerRow.Kind.Carry); ++i) {
            uint256 carry = _find(LedgerRow.Kind.Carry, i);
            _refuses(address(carryFaults), _carry(carry, _payoutOf(book.cellsAt(carry)[2])));
        }
    }

    function test_proveCarry_strikes_whenTheNetIsAnother() public {
        uint256 carry = _find(LedgerRow.Kind.Carry, 0);
        uint256 payout = _payoutOf(book.cellsAt(carry)[2]);
        int256 net = book.rowAt(carry).value;
        book.setValue(carry, net + 1);
        _repost();
        _strikesFor(address(carryFaults), _carry(carry, payout), Rule.Carry, "proveCarry");
        book.setValue(carry, net - 1);
        _repost();
        _strikes(address(carryFaults), _carry(carry, payout), Rule.Carry);
    }

    function test_proveCarry_strikes_whenTheNetWasNotNegative() public {
        uint256 payout = _paidPayout();
        uint256 carry = _find(LedgerRow.Kind.Carry, 0);
        book.setCell(carry, 2, previousBook.cellsAt(payout)[2]);
        _repost();
        _strikes(address(carryFaults), _carry(carry, payout), Rule.Carry);
    }

    function test_proveCarry_reverts_forThePayoutOfAnotherAccount() public {
        uint256 payout = _paidPayout();
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, payout);
        _refuses(address(carryFaults), _carry(_find(LedgerRow.Kind.Carry, 0), payout), error);
    }

    function test_proveCarry_reverts_whenThePreviousLedgerIsAnother() public {
        uint256 carry = _find(LedgerRow.Kind.Carry, 0);
        bytes memory proof =
            abi.encodeCall(ICarryFaults.proveCarry, (batch, book.openRows(_rows(carry)), book.openRows(_rows(carry))));
        _refuses(address(carryFaults), proof, abi.encodeWithSelector(CellOpenings.FalseOpening.selector));
    }

    function test_proveCarryUnfounded_refusesHonestCarries() public {
        uint256 end = previousBook.rowCount() - 1;
        for (uint256 row; row < end; ++row) {
            _refuses(address(carryFaults), _unfounded(_find(LedgerRow.Kind.Carry, 0), row));
        }
    }

    function test_proveCarryUnfounded_strikes_whenThereWasNoPayout() public {
        uint256 carry = _find(LedgerRow.Kind.Carry, 0);
        uint256 first = previousBook.find(LedgerRow.Kind.Payout, 0);
        uint256 last = previousBook.find(LedgerRow.Kind.FixedPayout, 0) - 1;

        book.setCell(carry, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(lastStranger)));
        _repost();
        _strikesFor(address(carryFaults), _unfounded(carry, last), Rule.Carry, "proveCarryUnfounded");

        book.setCell(carry, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(2)));
        _repost();
        _strikes(address(carryFaults), _unfounded(carry, first - 1), Rule.Carry);

        book.setCell(carry, 2, LedgerRow.balanceAccount(adapter, EarnerIndex.wrap(stranger)));
        _repost();
        _strikes(address(carryFaults), _unfounded(carry, first), Rule.Carry);
        _refuses(address(carryFaults), _unfounded(carry, first + 1));
    }

    function test_proveCarryUnfounded_reverts_whenRowsAreNotNeighbours() public {
        uint256 first = previousBook.find(LedgerRow.Kind.Payout, 0);
        bytes memory proof = abi.encodeCall(
            ICarryFaults.proveCarryUnfounded,
            (
                batch,
                book.openRows(_rows(_find(LedgerRow.Kind.Carry, 0))),
                previousBook.openRows(_rows(first - 1, first + 3))
            )
        );
        _refuses(address(carryFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 1, first + 3));
    }

    function test_firstBatch_hasNothingToCarry() public {
        uint256[8] memory carry = book.cellsAt(_find(LedgerRow.Kind.Carry, 0));
        _batch("first", 3, false);
        CellOpening memory nothing;
        bytes memory proof = abi.encodeCall(ICarryFaults.proveCarryUnfounded, (batch, book.openRows(_rows(1)), nothing));
        _refuses(address(carryFaults), proof, abi.encodeWithSelector(IFaultProofs.WrongRow.selector, 0, 1));

        book.extend();
        book.insertRow(1, carry);
        _repost();
        proof = abi.encodeCall(ICarryFaults.proveCarryUnfounded, (batch, book.openRows(_rows(1)), nothing));
        _strikes(address(carryFaults), proof, Rule.Carry);

        proof = abi.encodeCall(ICarryFaults.proveCarry, (batch, book.openRows(_rows(1)), book.openRows(_rows(1))));
        _refuses(address(carryFaults), proof, abi.encodeWithSelector(ICarryFaults.NoPrevious.selector, batch));
    }

    function test_proveCarryLeftOut_refusesHonestCarries() public {
        for (uint256 i; i < previousBook.count(LedgerRow.Kind.Payout); ++i) {
            uint256 payout = previousBook.find(LedgerRow.Kind.Payout, i);
            for (uint256 row; row < _find(LedgerRow.Kind.Record, 1); ++row) {
                _refuses(address(carryFaults), _leftOut(row, payout));
            }
        }
    }

    function test_proveCarryLeftOut_strikes() public {
        uint256 carry = _find(LedgerRow.Kind.Carry, 0);
        uint256 payout = _payoutOf(book.cellsAt(carry)[2]);
        book.removeRow(carry);
        _repost();
        _strikesFor(address(carryFaults), _leftOut(carry - 1, payout), Rule.Carry, "proveCarryLeftOut");
    }

    function _payoutOf(uint256 account) private view returns (uint256 row) {
        for (row = previousBook.find(LedgerRow.Kind.Payout, 0); previousBook.cellsAt(row)[2] != account; ++row) {}
    }

    /// @dev The previous batch's first payout whose net is not negative.
    function _paidPayout() private view returns (uint256 row) {
        for (row = previousBook.find(LedgerRow.Kind.Payout, 0); previousBook.rowAt(row).value > 0; ++row) {}
    }

    function _carry(uint256 row, uint256 payout) private view returns (bytes memory) {
        return abi.encodeCall(
            ICarryFaults.proveCarry, (batch, book.openRows(_rows(row)), previousBook.openRows(_rows(payout)))
        );
    }

    function _unfounded(uint256 carry, uint256 row) private view returns (bytes memory) {
        return abi.encodeCall(
            ICarryFaults.proveCarryUnfounded,
            (batch, book.openRows(_rows(carry)), previousBook.openRows(_rows(row, row + 1)))
        );
    }

    function _leftOut(uint256 row, uint256 payout) private view returns (bytes memory) {
        return abi.encodeCall(
            ICarryFaults.proveCarryLeftOut,
            (batch, book.openRows(_rows(row, row + 1)), previousBook.openRows(_rows(payout)))
        );
    }
}
