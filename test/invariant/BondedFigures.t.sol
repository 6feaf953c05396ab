// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../contracts/interfaces/IBondedFigures.sol";
import {BondedFiguresBase} from "../BondedFiguresBase.t.sol";
import {BondedFiguresHandler} from "./BondedFiguresHandler.sol";

contract BondedFiguresInvariant is BondedFiguresBase {
    BondedFiguresHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new BondedFiguresHandler(figures, model, earner, modelOwner, validators);
        targetContract(address(handler));
    }

    /// @dev No wei is stuck, and none is promised twice: what the contract has is the bonds of figures that are pending,
    /// voted on or not taken back yet, and what is owed.
    function invariant_balanceIsBondsHeldAndWhatIsOwed() public view {
        uint256 expected;
        for (uint256 figure = 1; figure <= figures.figureCount(); ++figure) {
            IBondedFigures.Figure memory entry = figures.figureOf(figure);
            if (entry.bondHeld) expected += BOND;
            if (entry.stage == IBondedFigures.Stage.Voting) expected += BOND;
        }
        address[] memory accounts = handler.accounts();
        for (uint256 i; i < accounts.length; ++i) {
            expected += figures.owed(accounts[i]);
        }
        assertEq(address(figures).balance, expected);
    }

    /// @dev Batches of past epochs are never judged by other factors than they were built with.
    function invariant_whatWasInForceStays() public view {
        for (uint256 i; i < handler.noted(); ++i) {
            assertEq(figures.influenceAt(model, handler.times(i)), handler.influences(i));
            assertEq(figures.reputationAt(earner, handler.times(i)), handler.reputations(i));
            assertEq(figures.factorAt(model, earner, handler.times(i)), handler.factors(i));
        }
    }
}
