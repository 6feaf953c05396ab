// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../contracts/interfaces/IBondedFigures.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {BondedFiguresBase} from "../BondedFiguresBase.t.sol";

/// @notice Reports by accounts that do not own the model: what they may do, and what they cannot keep an owner from.
contract BondedFiguresOthersTest is BondedFiguresBase {
    uint64 private constant ALONE = 2 * WINDOW;
    uint32 private constant LEAST = 16;

    address private stranger = makeAddr("stranger");

    function setUp() public override {
        super.setUp();
        vm.deal(stranger, 10_000 ether);
    }

    function test_postReport_byAnotherIsInForceLikeTheOwners() public {
        vm.expectEmit(address(figures));
        emit IBondedFigures.ReportPosted(1, model, stranger, _of(1000, LEAST), 200, START + WINDOW);
        _postAs(stranger, 1000, LEAST);

        assertEq(figures.influenceAt(model, START + WINDOW - 1), DEFAULT_INFLUENCE);
        assertEq(figures.influenceAt(model, START + WINDOW), 200, "less than what nobody measured");
        assertEq(figures.retrainingsAt(model, START + WINDOW - 1), 0);
        assertEq(figures.retrainingsAt(model, START + WINDOW), LEAST);
    }

    function test_postReport_byAnotherReverts_withFewRetrainings() public {
        _expectTooFew(LEAST - 1, LEAST);

        _postAs(modelOwner, 6000, 40);
        vm.warp(START + WINDOW + ALONE);
        _expectTooFew(39, 40);
        _postAs(stranger, 1000, 40);
    }

    function test_postReport_byAnotherReverts_untilTheOwnerHadItsTurn() public {
        _postAs(stranger, 1000, LEAST);
        uint64 from = START + WINDOW + ALONE;
        assertEq(figures.othersFrom(model), from);
        vm.warp(from - 1);
        _expectOwnerFirst(from);

        vm.warp(from);
        _postAs(stranger, 1100, LEAST);
    }

    /// @dev Whatever strangers post and however votes end, the owner can post as soon as no figure is pending, and then
    /// its report stands for as long as it takes to get in force and longer.
    function testFuzz_postReport_ownerIsNeverKeptOut(uint8[4] memory fates, uint32[4] memory waits) public {
        for (uint256 i; i < 4; ++i) {
            if (block.timestamp < figures.othersFrom(model)) vm.warp(figures.othersFrom(model));
            uint256 figure = _postAs(stranger, 100, type(uint32).max);
            _end(figure, fates[i]);

            uint64 open = figures.othersFrom(model);
            assertGe(open, uint64(block.timestamp) + WINDOW, "a window of the owner's own");
            vm.warp(block.timestamp + waits[i] % WINDOW);
            _expectOwnerFirst(open);
            figure = _postAs(modelOwner, 6000, 4);
            vm.warp(block.timestamp + WINDOW);
            assertEq(figures.influenceAt(model, uint64(block.timestamp)), 7200);
            assertEq(figures.othersFrom(model), uint64(block.timestamp) + ALONE);
        }
    }

    function test_othersFrom_isAtOnceAfterAFigureOfTheOwnersThatIsOut() public {
        assertEq(figures.othersFrom(model), 0);
        uint256 figure = _postReport();
        assertEq(figures.othersFrom(model), START + WINDOW + ALONE);
        _vote(figure, [FALSE, FALSE, FALSE]);
        figures.resolve(figure);

        assertEq(figures.othersFrom(model), 0);
        _postAs(stranger, 1000, LEAST);
    }

    function test_retrainingsAt_staysWhenAFigureIsOut() public {
        _postAs(modelOwner, 6000, 40);
        vm.warp(START + WINDOW);
        uint256 figure = _postAs(modelOwner, 7000, 80);
        uint64 start = START + 2 * WINDOW;
        assertEq(figures.retrainingsAt(model, start), 80);
        _vote(figure, [FALSE, FALSE, FALSE]);
        figures.resolve(figure);

        assertEq(figures.retrainingsAt(model, start), 40);
        assertEq(figures.influenceAt(model, start), 7200);
        vm.warp(start);
        _expectTooFew(39, 40);
    }

    function test_challenge_byTheOwnerWinsAgainstALie() public {
        vm.deal(modelOwner, BOND);
        uint256 figure = _postAs(stranger, 0, LEAST);
        vm.prank(modelOwner);
        figures.challenge{value: BOND}(figure);
        for (uint256 i; i < 3; ++i) {
            _commit(figure, validators[i], FALSE);
        }
        vm.warp(block.timestamp + COMMIT_PERIOD);
        for (uint256 i; i < 3; ++i) {
            _reveal(figure, validators[i], FALSE);
        }
        vm.warp(block.timestamp + REVEAL_PERIOD);
        figures.resolve(figure);

        assertEq(figures.owed(modelOwner), BOND + BOND / 4);
        assertEq(figures.influenceAt(model, type(uint64).max), DEFAULT_INFLUENCE);
        _expectOwnerFirst(uint64(block.timestamp) + ALONE);
    }

    /// @dev Left alone, voted on with every outcome, or abandoned.
    function _end(uint256 figure, uint8 fate) private {
        if (fate % 5 == 0) {
            vm.warp(block.timestamp + WINDOW);
        } else if (fate % 5 == 1) {
            _challenge(figure);
            vm.warp(figures.voteOf(figure).revealEndsAt + figures.ABANDON_DELAY());
            figures.abandon(figure);
        } else {
            ISketchVotes.Choice choice = ISketchVotes.Choice(fate % 5 - 2);
            _vote(figure, [choice, choice, choice]);
            figures.resolve(figure);
            uint64 from = figures.figureOf(figure).inForceFrom;
            if (block.timestamp < from) vm.warp(from);
        }
    }

    function _expectOwnerFirst(uint64 from) private {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.OwnerFirst.selector, model, from));
        figures.postReport{value: BOND}(model, _of(1000, type(uint32).max));
    }

    function _expectTooFew(uint32 given, uint256 least) private {
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.TooFewRetrainings.selector, given, least));
        figures.postReport{value: BOND}(model, _of(1000, given));
    }

    function _postAs(address poster, uint16 low, uint32 retrainings) private returns (uint256) {
        vm.prank(poster);
        return figures.postReport{value: BOND}(model, _of(low, retrainings));
    }

    function _of(uint16 low, uint32 retrainings) private pure returns (IBondedFigures.Report memory report) {
        report = _report();
        (report.ldsLow, report.retrainings) = (low, retrainings);
        (report.lds, report.ldsHigh) = (low + 500, low + 1000);
    }
}
