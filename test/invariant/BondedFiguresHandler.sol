// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../../contracts/interfaces/IBondedFigures.sol";
import {IModelMixes} from "../../contracts/interfaces/IModelMixes.sol";
import {ISketchVotes} from "../../contracts/interfaces/ISketchVotes.sol";
import {BondedFigures} from "../../contracts/registry/BondedFigures.sol";
import {EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Posts, challenges, votes, resolves, abandons and takes back, whatever is possible at the time.
contract BondedFiguresHandler is Test {
    BondedFigures public immutable figures;
    ModelId private immutable _model;
    EarnerIndex private immutable _earner;
    address private immutable _modelOwner;
    address[] private _validators;
    address[3] private _parties = [makeAddr("one"), makeAddr("two"), makeAddr("three")];

    /// @notice What was said of times that had passed.
    uint64[] public times;
    uint16[] public influences;
    uint16[] public reputations;
    uint16[] public factors;

    constructor(
        BondedFigures figures_,
        ModelId model,
        EarnerIndex earner,
        address modelOwner,
        address[] memory validators
    ) {
        (figures, _model, _earner, _modelOwner) = (figures_, model, earner, modelOwner);
        _validators = validators;
    }

    /// @notice Everybody who may be owed something.
    function accounts() external view returns (address[] memory all) {
        all = new address[](4 + _validators.length);
        (all[0], all[1], all[2], all[3]) = (_modelOwner, _parties[0], _parties[1], _parties[2]);
        for (uint256 i; i < _validators.length; ++i) {
            all[4 + i] = _validators[i];
        }
    }

    function noted() external view returns (uint256) {
        return times.length;
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + time % 3 days);
        times.push(uint64(block.timestamp));
        influences.push(figures.influenceAt(_model, uint64(block.timestamp)));
        reputations.push(figures.reputationAt(_earner, uint64(block.timestamp)));
        factors.push(figures.factorAt(_model, _earner, uint64(block.timestamp)));
    }

    function setMix(uint16 spans) external {
        IModelMixes mixes = figures.mixes();
        vm.prank(_modelOwner);
        mixes.setMix(_model, IModelMixes.Mix({spansBps: spans % 10_001, citationsBps: 0}));
    }

    function postReportAsAnother(uint8 party, uint16 low, uint16 ceiling) external {
        (low, ceiling) = (low % 10_001, ceiling % 10_001);
        if (_isPending(IBondedFigures.Kind.Influence, ModelId.unwrap(_model))) return;
        if (block.timestamp < figures.othersFrom(_model)) vm.warp(figures.othersFrom(_model));
        address poster = _party(party);
        uint256 bond = figures.bond();
        vm.prank(poster);
        figures.postReport{value: bond}(_model, IBondedFigures.Report("file", low, low, 10_000, ceiling, 16));
    }

    function postReport(uint16 low, uint16 ceiling) external {
        (low, ceiling) = (low % 10_001, ceiling % 10_001);
        if (_isPending(IBondedFigures.Kind.Influence, ModelId.unwrap(_model))) return;
        _fund(_modelOwner);
        uint256 bond = figures.bond();
        vm.prank(_modelOwner);
        figures.postReport{value: bond}(_model, IBondedFigures.Report("file", low, low, 10_000, ceiling, 8));
    }

    function postConduct(uint8 party, uint32 refused, uint8 penalties) external {
        if (_isPending(IBondedFigures.Kind.Reputation, bytes32(uint256(EarnerIndex.unwrap(_earner))))) return;
        address poster = _party(party);
        uint256 bond = figures.bond();
        vm.prank(poster);
        figures.postConduct{value: bond}(_earner, IBondedFigures.Conduct(1, refused, 0, 0, penalties % 4), "file");
    }

    function challenge(uint8 party, uint256 figure) external {
        figure = _some(figure);
        IBondedFigures.Figure memory entry = figures.figureOf(figure);
        bool isOpen = entry.stage == IBondedFigures.Stage.Accepted && entry.challenger == address(0)
            && block.timestamp < entry.inForceFrom;
        if (!isOpen) return;
        address challenger = _party(party);
        uint256 bond = figures.bond();
        vm.prank(challenger);
        figures.challenge{value: bond}(figure);
    }

    /// @dev All that want to vote commit, reveal and resolve, and time passes.
    function vote(uint256 figure, uint8[3] calldata choices) external {
        figure = _some(figure);
        if (figures.figureOf(figure).stage != IBondedFigures.Stage.Voting) return;
        bool[] memory voted = new bool[](_validators.length);
        for (uint256 i; i < _validators.length; ++i) {
            ISketchVotes.Choice choice = ISketchVotes.Choice(choices[i] % 3);
            if (choice == ISketchVotes.Choice.None) continue;
            bytes32 commitment = figures.commitmentOf(figure, _validators[i], choice, "salt");
            vm.prank(_validators[i]);
            // Who is a party is on no panel, and whoever committed before stays with that.
            try figures.commit(figure, commitment) {
                voted[i] = true;
            } catch {}
        }
        IBondedFigures.Vote memory ends = figures.voteOf(figure);
        if (block.timestamp < ends.commitEndsAt) vm.warp(ends.commitEndsAt);
        for (uint256 i; i < _validators.length; ++i) {
            if (!voted[i]) continue;
            vm.prank(_validators[i]);
            figures.reveal(figure, ISketchVotes.Choice(choices[i] % 3), "salt");
        }
        if (block.timestamp < ends.revealEndsAt) vm.warp(ends.revealEndsAt);
        figures.resolve(figure);
    }

    function abandon(uint256 figure) external {
        figure = _some(figure);
        if (figures.figureOf(figure).stage != IBondedFigures.Stage.Voting) return;
        uint256 from = figures.voteOf(figure).revealEndsAt + figures.ABANDON_DELAY();
        if (block.timestamp < from) vm.warp(from);
        figures.abandon(figure);
    }

    function reclaim(uint256 figure) external {
        figure = _some(figure);
        IBondedFigures.Figure memory entry = figures.figureOf(figure);
        bool isDue =
            entry.stage == IBondedFigures.Stage.Accepted && entry.bondHeld && block.timestamp >= entry.inForceFrom;
        if (isDue) figures.reclaim(figure);
    }

    function withdraw(uint8 party) external {
        address account = party % 4 == 3 ? _modelOwner : _parties[party % 4];
        if (figures.owed(account) != 0) figures.withdraw(account);
    }

    function _isPending(IBondedFigures.Kind kind, bytes32 subject) private view returns (bool) {
        IBondedFigures.Figure memory last = figures.figureOf(figures.lastFigureOf(kind, subject));
        return last.stage == IBondedFigures.Stage.Voting
            || (last.stage == IBondedFigures.Stage.Accepted && block.timestamp < last.inForceFrom);
    }

    /// @dev The last figures are those that something can happen to.
    function _some(uint256 seed) private view returns (uint256) {
        uint256 count = figures.figureCount();
        return count <= 2 ? count : count - seed % 3;
    }

    function _party(uint8 party) private returns (address account) {
        account = _parties[party % 3];
        _fund(account);
    }

    function _fund(address account) private {
        vm.deal(account, account.balance + figures.bond());
    }
}
