// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../contracts/interfaces/IBondedFigures.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {PanelVote} from "../../contracts/libraries/PanelVote.sol";
import {BondedFigures} from "../../contracts/registry/BondedFigures.sol";
import {EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {BondedFiguresBase} from "../BondedFiguresBase.t.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

contract BondedFiguresTest is BondedFiguresBase {
    ISketchVotes.Choice private constant SILENT = ISketchVotes.Choice.None;

    // What is in force.

    function test_factorAt_isTheDefaultWithoutFigures() public view {
        assertEq(figures.influenceAt(model, START), DEFAULT_INFLUENCE);
        assertEq(figures.reputationAt(earner, START), 10_000);
        assertEq(figures.factorAt(model, earner, START), DEFAULT_INFLUENCE);
        assertEq(figures.factorAt(model, earner, 0), DEFAULT_INFLUENCE);
        assertEq(figures.factorAt(model, earner, type(uint64).max), DEFAULT_INFLUENCE);
    }

    function test_postReport_isInForceAfterItsWindow() public {
        vm.expectEmit(address(figures));
        emit IBondedFigures.ReportPosted(1, model, modelOwner, _report(), 7200, START + WINDOW);
        _postReport();
        vm.snapshotGasLastCall("BondedFigures", "postReport");

        assertEq(figures.influenceAt(model, START + WINDOW - 1), DEFAULT_INFLUENCE);
        assertEq(figures.influenceAt(model, START + WINDOW), 7200);
        assertEq(figures.influenceAt(model, type(uint64).max), 7200);
        assertEq(figures.influenceAt(base, type(uint64).max), DEFAULT_INFLUENCE, "another model");
    }

    function test_postConduct_isInForceAfterItsWindow() public {
        vm.expectEmit(address(figures));
        IBondedFigures.Conduct memory conduct = IBondedFigures.Conduct(9, 0, 3, 0, 1);
        emit IBondedFigures.ConductPosted(1, earner, challenger, conduct, FILE, 5000, START + WINDOW);
        _postConduct(challenger);
        vm.snapshotGasLastCall("BondedFigures", "postConduct");

        assertEq(figures.reputationAt(earner, START + WINDOW - 1), 10_000);
        assertEq(figures.reputationAt(earner, START + WINDOW), 5000);
        // floor(5000 * 5000 / 10 000).
        assertEq(figures.factorAt(model, earner, START + WINDOW), 2500);
    }

    function test_setDefaultInfluence_holdsAWindowLater() public {
        vm.expectEmit(address(figures));
        emit IBondedFigures.DefaultInfluenceSet(1234, START + WINDOW);
        vm.prank(owner);
        figures.setDefaultInfluence(1234);

        assertEq(figures.influenceAt(model, START + WINDOW - 1), DEFAULT_INFLUENCE);
        assertEq(figures.influenceAt(model, START + WINDOW), 1234);
    }

    function test_setDefaultInfluence_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        figures.setDefaultInfluence(1);

        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.BpsTooLarge.selector, 10_001));
        figures.setDefaultInfluence(10_001);
    }

    /// @dev Whatever is posted, challenged and decided, the answer for a time that has passed stays.
    function testFuzz_influenceAt_neverChangesWhatIsPast(
        uint16[5] memory lds,
        uint8[5] memory fates,
        uint32[5] memory waits
    ) public {
        uint64[] memory times = new uint64[](20);
        uint16[] memory answers = new uint16[](20);
        for (uint256 i; i < 5; ++i) {
            IBondedFigures.Report memory report = _report();
            (report.ldsLow, report.lds, report.ldsHigh) = (0, lds[i] % 10_001, 10_000);
            report.ldsLow = report.lds;
            uint256 figure = _postReport(report);
            _note(times, answers, 4 * i);
            vm.warp(block.timestamp + waits[i] % (WINDOW - 1));
            _note(times, answers, 4 * i + 1);
            ISketchVotes.Choice fate = ISketchVotes.Choice(fates[i] % 3);
            if (fates[i] % 4 != 0) {
                _vote(figure, [fate, fate, fate]);
                _note(times, answers, 4 * i + 2);
                figures.resolve(figure);
            }
            _note(times, answers, 4 * i + 3);
            vm.warp(block.timestamp + WINDOW + 1);
        }
        for (uint256 i; i < times.length; ++i) {
            if (times[i] != 0) assertEq(figures.influenceAt(model, times[i]), answers[i]);
        }
    }

    /// @dev What is said of now, which no later block may change.
    function _note(uint64[] memory times, uint16[] memory answers, uint256 i) private view {
        (times[i], answers[i]) = (uint64(block.timestamp), figures.influenceAt(model, uint64(block.timestamp)));
    }

    // Posting.

    function test_postReport_reverts() public {
        IBondedFigures.Report memory report = _report();

        vm.startPrank(modelOwner);
        ModelId unknown = ModelId.wrap("unknown");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, unknown));
        figures.postReport{value: BOND}(unknown, report);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NoContributors.selector, base));
        figures.postReport{value: BOND}(base, report);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WrongBond.selector, BOND - 1, BOND));
        figures.postReport{value: BOND - 1}(model, report);

        report.hash = 0;
        vm.expectRevert(IBondedFigures.InvalidFigure.selector);
        figures.postReport{value: BOND}(model, report);
        report = _report();
        report.ldsLow = report.lds + 1;
        vm.expectRevert(IBondedFigures.InvalidFigure.selector);
        figures.postReport{value: BOND}(model, report);
        report = _report();
        report.ldsHigh = report.lds - 1;
        vm.expectRevert(IBondedFigures.InvalidFigure.selector);
        figures.postReport{value: BOND}(model, report);
        report = _report();
        report.ldsHigh = 10_001;
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.BpsTooLarge.selector, 10_001));
        figures.postReport{value: BOND}(model, report);
        report = _report();
        report.ceiling = 10_001;
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.BpsTooLarge.selector, 10_001));
        figures.postReport{value: BOND}(model, report);
        vm.stopPrank();
    }

    function test_postConduct_reverts() public {
        IBondedFigures.Conduct memory conduct;
        vm.startPrank(challenger);

        EarnerIndex nobody = EarnerIndex.wrap(99);
        vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.UnknownEarner.selector, nobody));
        figures.postConduct{value: BOND}(nobody, conduct, FILE);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NotContributor.selector, EarnerIndex.wrap(1)));
        figures.postConduct{value: BOND}(EarnerIndex.wrap(1), conduct, FILE);
        vm.expectRevert(IBondedFigures.InvalidFigure.selector);
        figures.postConduct{value: BOND}(earner, conduct, 0);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WrongBond.selector, 0, BOND));
        figures.postConduct(earner, conduct, FILE);
    }

    function test_post_reverts_whileAFigureOfTheSubjectIsPending() public {
        uint256 figure = _postReport();
        _postConduct(modelOwner);
        IBondedFigures.Report memory report = _report();

        vm.warp(START + WINDOW - 1);
        vm.prank(modelOwner);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.FigurePending.selector, figure));
        figures.postReport{value: BOND}(model, report);
        _challenge(figure);
        vm.warp(START + WINDOW + 1);
        vm.prank(modelOwner);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.FigurePending.selector, figure));
        figures.postReport{value: BOND}(model, report);
        _postConduct(modelOwner);
    }

    // Votes.

    function test_resolve_putsAFigureInForceThatHolds() public {
        uint256 figure = _postReport();
        _vote(figure, [HOLDS, HOLDS, HOLDS]);
        assertEq(figures.influenceAt(model, type(uint64).max), DEFAULT_INFLUENCE, "while voted on");
        IBondedFigures.Vote memory vote = figures.voteOf(figure);
        assertEq(vote.panelStake, 9000 ether);
        assertEq(vote.revealedStake, 9000 ether);
        assertEq(vote.falseStake, 0);
        assertEq(vote.commitEndsAt, START + COMMIT_PERIOD);
        assertEq(vote.revealEndsAt, START + COMMIT_PERIOD + REVEAL_PERIOD);

        figures.resolve(figure);
        vm.snapshotGasLastCall("BondedFigures", "resolve");

        assertEq(uint8(figures.figureOf(figure).stage), uint8(IBondedFigures.Stage.Accepted));
        assertEq(figures.figureOf(figure).inForceFrom, START + WINDOW, "not before its window ends");
        assertEq(figures.influenceAt(model, START + WINDOW), 7200);
        // The poster: its bond and a quarter of the other; voters by stake 2, 3, 4 of 9; the rest is burned.
        uint256 quarter = BOND / 4;
        uint256 voters = BOND / 2 - quarter;
        assertEq(figures.owed(modelOwner), BOND + quarter);
        assertEq(figures.owed(challenger), 0);
        uint256 paid;
        for (uint256 i; i < 3; ++i) {
            assertEq(figures.owed(validators[i]), voters * (i + 2) / 9);
            paid += figures.owed(validators[i]);
        }
        assertEq(BURN.balance, BOND - quarter - paid);
        assertGe(BURN.balance, BOND / 2);
    }

    function test_resolve_putsAFigureInForceLaterWhereTheVoteIs() public {
        uint256 figure = _postReport();
        vm.warp(START + WINDOW - 1);
        _vote(figure, [HOLDS, HOLDS, HOLDS]);
        figures.resolve(figure);

        assertEq(figures.influenceAt(model, uint64(block.timestamp)), DEFAULT_INFLUENCE);
        assertEq(figures.influenceAt(model, uint64(block.timestamp) + 1), 7200);
    }

    function test_resolve_strikesAFigureThatIsFalse() public {
        uint256 first = _postReport();
        vm.warp(START + WINDOW);
        figures.reclaim(first);
        IBondedFigures.Report memory report = _report();
        report.ceiling = 2500;
        uint256 figure = _postReport(report);
        // 7 of 9 against 2: more than two thirds. The minority and nobody else is slashed.
        _vote(figure, [HOLDS, FALSE, FALSE]);
        uint256 stake = staking.stakeOf(validators[0]);
        figures.resolve(figure);

        assertEq(uint8(figures.figureOf(figure).stage), uint8(IBondedFigures.Stage.Struck));
        assertEq(figures.influenceAt(model, type(uint64).max), 7200, "what was in force stays");
        assertEq(figures.owed(modelOwner), 0);
        assertEq(figures.owed(challenger), BOND + BOND / 4);
        assertEq(figures.owed(validators[0]), 0);
        assertEq(staking.stakeOf(validators[0]), stake - stake * PENALTY / 1e18);
        assertEq(staking.stakeOf(validators[1]), 3000 ether);
        assertGe(BURN.balance, BOND / 2 + stake * PENALTY / 1e18);
    }

    function test_resolve_leavesAnUndecidedFigureOutAndGivesBothBondsBack() public {
        uint256 figure = _postReport();
        // 5 of 9 are revealed: less than two thirds.
        _vote(figure, [FALSE, FALSE, SILENT]);
        figures.resolve(figure);

        assertEq(uint8(figures.figureOf(figure).stage), uint8(IBondedFigures.Stage.Undecided));
        assertEq(figures.influenceAt(model, type(uint64).max), DEFAULT_INFLUENCE);
        assertEq(figures.owed(modelOwner), BOND);
        assertEq(figures.owed(challenger), BOND);
        assertEq(staking.stakeOf(validators[1]), 3000 ether, "who voted keeps its stake");
        assertEq(staking.stakeOf(validators[2]), 4000 ether - 4000 ether * PENALTY / 1e18);
        _postReport();
    }

    function test_resolve_isUndecidedWithoutTwoThirdsForEither() public {
        uint256 figure = _postReport();
        // 4 of 9 against 5.
        _vote(figure, [HOLDS, HOLDS, FALSE]);
        figures.resolve(figure);
        assertEq(uint8(figures.figureOf(figure).stage), uint8(IBondedFigures.Stage.Undecided));
    }

    function test_resolve_takesNothingFromValidatorsWhereItIsNoSlasher() public {
        vm.prank(owner);
        staking.setSlasher(address(figures), false);
        uint256 figure = _postReport();
        _vote(figure, [SILENT, SILENT, SILENT]);
        figures.resolve(figure);
        assertEq(staking.stakeOf(validators[0]), 2000 ether);
    }

    function test_resolve_reverts() public {
        uint256 figure = _postReport();
        vm.expectRevert(
            abi.encodeWithSelector(IBondedFigures.WrongStage.selector, figure, IBondedFigures.Stage.Accepted)
        );
        figures.resolve(figure);

        _challenge(figure);
        uint256 end = block.timestamp + COMMIT_PERIOD + REVEAL_PERIOD;
        vm.warp(end - 1);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooEarly.selector, end));
        figures.resolve(figure);
    }

    function test_challenge_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WrongStage.selector, 1, IBondedFigures.Stage.None));
        figures.challenge{value: 0}(1);

        uint256 figure = _postReport();
        vm.startPrank(challenger);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WrongBond.selector, BOND + 1, BOND));
        figures.challenge{value: BOND + 1}(figure);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WindowOver.selector, figure, START + WINDOW));
        figures.challenge{value: BOND}(figure);
    }

    function test_challenge_reverts_onceAVoteConfirmedTheFigure() public {
        uint256 figure = _postReport();
        _vote(figure, [HOLDS, HOLDS, HOLDS]);
        figures.resolve(figure);
        vm.prank(challenger);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WindowOver.selector, figure, START + WINDOW));
        figures.challenge{value: BOND}(figure);
    }

    function test_challenge_keepsBothSidesOffThePanel() public {
        vm.deal(validators[0], BOND);
        vm.deal(validators[1], BOND);
        uint256 figure = _postConduct(validators[0]);
        vm.prank(validators[1]);
        figures.challenge{value: BOND}(figure);

        assertEq(figures.ballotOf(figure, validators[0]).stake, 0);
        assertEq(figures.ballotOf(figure, validators[1]).stake, 0);
        assertEq(figures.ballotOf(figure, validators[2]).stake, 4000 ether);
    }

    function test_challenge_reverts_whenThePanelIsTooSmall() public {
        uint256 figure = _postReport();
        for (uint256 i; i < 3; ++i) {
            vm.prank(validators[i]);
            roll.leave();
        }
        vm.prank(challenger);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.PanelTooSmall.selector, 0, MIN_STAKE));
        figures.challenge{value: BOND}(figure);
    }

    function test_commitAndReveal_revert() public {
        uint256 figure = _postReport();
        _challenge(figure);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.NotOnPanel.selector, address(this)));
        figures.commit(figure, FILE);
        vm.startPrank(validators[0]);
        vm.expectRevert(PanelVote.ZeroCommitment.selector);
        figures.commit(figure, 0);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooEarly.selector, START + COMMIT_PERIOD));
        figures.reveal(figure, HOLDS, SALT);
        figures.commit(figure, figures.commitmentOf(figure, validators[0], HOLDS, SALT));
        vm.expectRevert(abi.encodeWithSelector(PanelVote.AlreadyCommitted.selector, validators[0]));
        figures.commit(figure, FILE);

        vm.warp(START + COMMIT_PERIOD);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.NoChoice.selector));
        figures.reveal(figure, SILENT, SALT);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.WrongReveal.selector, validators[0]));
        figures.reveal(figure, FALSE, SALT);
        figures.reveal(figure, HOLDS, SALT);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.AlreadyRevealed.selector, validators[0]));
        figures.reveal(figure, HOLDS, SALT);
        vm.stopPrank();

        vm.startPrank(validators[1]);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooLate.selector, START + COMMIT_PERIOD));
        figures.commit(figure, FILE);
        vm.warp(START + COMMIT_PERIOD + REVEAL_PERIOD);
        vm.expectRevert(abi.encodeWithSelector(PanelVote.TooLate.selector, START + COMMIT_PERIOD + REVEAL_PERIOD));
        figures.reveal(figure, HOLDS, SALT);
    }

    // Bonds.

    function test_reclaim_paysTheBondBackOnceTheFigureIsInForce() public {
        uint256 figure = _postReport();
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.WindowOpen.selector, figure, START + WINDOW));
        figures.reclaim(figure);

        vm.warp(START + WINDOW);
        uint256 before = modelOwner.balance;
        figures.reclaim(figure);
        assertEq(modelOwner.balance, before + BOND);

        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NoBond.selector, figure));
        figures.reclaim(figure);
    }

    function test_reclaim_reverts_whereAVoteSettledTheBond() public {
        uint256 figure = _postReport();
        _vote(figure, [HOLDS, HOLDS, HOLDS]);
        figures.resolve(figure);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NoBond.selector, figure));
        figures.reclaim(figure);
    }

    function test_abandon_givesBothBondsBack() public {
        uint256 figure = _postReport();
        _challenge(figure);
        uint256 from = block.timestamp + COMMIT_PERIOD + REVEAL_PERIOD + figures.ABANDON_DELAY();
        vm.warp(from - 1);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.AbandonTooEarly.selector, figure, from));
        figures.abandon(figure);

        vm.warp(from);
        figures.abandon(figure);
        assertEq(figures.owed(modelOwner), BOND);
        assertEq(figures.owed(challenger), BOND);
        assertEq(figures.influenceAt(model, type(uint64).max), DEFAULT_INFLUENCE);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NothingOwed.selector, address(this)));
        figures.withdraw(address(this));
    }

    /// @dev Whatever the votes, every wei that came is paid out or burned, and nothing stays behind.
    function testFuzz_bonds_areConservedAndNoneIsStuck(uint8[3] memory votes, uint64[3] memory stakes, bool challenged)
        public
    {
        for (uint256 i; i < 3; ++i) {
            vm.deal(address(this), uint256(stakes[i]) + 1);
            staking.stake{value: uint256(stakes[i]) + 1}(validators[i]);
        }
        (uint256 poster, uint256 other) = (modelOwner.balance, challenger.balance);
        uint256 figure = _postReport();
        if (challenged) {
            _vote(
                figure,
                [
                    ISketchVotes.Choice(votes[0] % 3),
                    ISketchVotes.Choice(votes[1] % 3),
                    ISketchVotes.Choice(votes[2] % 3)
                ]
            );
            uint256 staked = address(staking).balance;
            figures.resolve(figure);
            uint256 slashed = staked - address(staking).balance;
            uint256 owed = figures.owed(modelOwner) + figures.owed(challenger);
            for (uint256 i; i < 3; ++i) {
                owed += figures.owed(validators[i]);
            }
            assertEq(owed + BURN.balance, 2 * BOND + slashed);
            _withdrawAll();
            IBondedFigures.Stage stage = figures.figureOf(figure).stage;
            if (stage == IBondedFigures.Stage.Undecided) assertEq(BURN.balance, slashed);
            else assertGe(BURN.balance, slashed + BOND / 2);
            // No side gains more than the other loses, and burning costs both together.
            assertLe(modelOwner.balance + challenger.balance, poster + other);
        } else {
            vm.warp(block.timestamp + WINDOW);
            figures.reclaim(figure);
            assertEq(modelOwner.balance, poster);
        }
        assertEq(address(figures).balance, 0, "stuck");
    }

    function _withdrawAll() private {
        address[5] memory all = [modelOwner, challenger, validators[0], validators[1], validators[2]];
        for (uint256 i; i < 5; ++i) {
            if (figures.owed(all[i]) != 0) figures.withdraw(all[i]);
        }
    }

    function test_receive_takesCoinsOfStakingOnly() public {
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(IBondedFigures.NotStaking.selector, address(this)));
        payable(address(figures)).transfer(1);
    }

    // Construction.

    function test_constructor_reverts() public {
        IBondedFigures.Parameters memory parameters = _parameters();
        parameters.window = 0;
        _refused(parameters, abi.encodeWithSelector(IBondedFigures.ParameterOutOfRange.selector));
        parameters = _parameters();
        parameters.bond = 0;
        _refused(parameters, abi.encodeWithSelector(IBondedFigures.ParameterOutOfRange.selector));
        parameters = _parameters();
        parameters.penaltyWad = 0.1e18 + 1;
        _refused(parameters, abi.encodeWithSelector(IBondedFigures.ParameterOutOfRange.selector));
        parameters = _parameters();
        parameters.defaultInfluenceBps = 10_001;
        _refused(parameters, abi.encodeWithSelector(IBondedFigures.BpsTooLarge.selector, 10_001));
        parameters = _parameters();
        parameters.revealPeriod = UNBONDING_PERIOD - parameters.commitPeriod;
        _refused(
            parameters,
            abi.encodeWithSelector(
                IBondedFigures.PeriodOutOfRange.selector, parameters.commitPeriod, parameters.revealPeriod
            )
        );
    }

    function _refused(IBondedFigures.Parameters memory parameters, bytes memory error) private {
        vm.expectRevert(error);
        new BondedFigures(owner, mixes, earners, roll, parameters);
    }
}
