// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IBondedFigures} from "../interfaces/IBondedFigures.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IModelMixes} from "../interfaces/IModelMixes.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ISketchVotes} from "../interfaces/ISketchVotes.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";
import {FigureRules} from "../libraries/FigureRules.sol";
import {PanelVote} from "../libraries/PanelVote.sol";
import {EarnerIndex, ModelId} from "../types/Ids.sol";

/// @title BondedFigures
/// @notice Keeps figures by the time from which they are in force, and the bonds of those that are not yet.
/// @dev The owner sets the default influence share and nothing else.
contract BondedFigures is IBondedFigures, Ownable2Step, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace208;
    using PanelVote for PanelVote.Panel;

    /// @notice Most that a validator may lose by one vote; it can be on many at once.
    uint256 public constant MAX_PENALTY_WAD = 0.1e18;

    /// @notice Seconds after the time to reveal, after which a vote that nobody could resolve may be abandoned.
    uint256 public constant ABANDON_DELAY = 7 days;

    /// @inheritdoc IBondedFigures
    uint64 public constant OWNER_WINDOWS = 2;

    /// @inheritdoc IBondedFigures
    uint32 public constant MIN_OTHERS_RETRAININGS = 16;

    uint16 private constant FULL_BPS = 10_000;

    /// @dev Of what `_inForce` keeps.
    uint256 private constant BPS_BITS = 16;

    address private constant BURN = 0x000000000000000000000000000000000000dEaD;

    /// @inheritdoc IBondedFigures
    IModelRegistry public immutable models;

    /// @inheritdoc IBondedFigures
    IModelMixes public immutable mixes;

    /// @inheritdoc IBondedFigures
    IEarnerRegistry public immutable earners;

    /// @inheritdoc IBondedFigures
    IValidatorRoll public immutable roll;

    /// @inheritdoc IBondedFigures
    IStaking public immutable staking;

    /// @inheritdoc IBondedFigures
    uint256 public immutable bond;

    /// @inheritdoc IBondedFigures
    uint64 public immutable window;

    /// @notice Least stake of a panel.
    uint256 public immutable minPanelStake;

    /// @notice Share of their pool that silent and losing validators lose per vote.
    uint256 public immutable penaltyWad;

    /// @notice Seconds to commit, from a challenge on.
    uint64 public immutable commitPeriod;

    /// @notice Seconds to reveal, from then on.
    uint64 public immutable revealPeriod;

    /// @inheritdoc IBondedFigures
    uint256 public figureCount;

    /// @inheritdoc IBondedFigures
    mapping(Kind kind => mapping(bytes32 subject => uint256 figure)) public lastFigureOf;

    /// @inheritdoc IBondedFigures
    mapping(address account => uint256 amount) public owed;

    mapping(uint256 figure => Figure) private _figures;

    mapping(uint256 figure => PanelVote.Panel) private _panels;

    /// @dev retrainings * 2^16 + bps + 1 by the time from which they are in force; 0 where nothing is.
    mapping(Kind kind => mapping(bytes32 subject => Checkpoints.Trace208)) private _inForce;

    Checkpoints.Trace208 private _defaults;

    constructor(
        address owner_,
        IModelMixes mixes_,
        IEarnerRegistry earners_,
        IValidatorRoll roll_,
        Parameters memory parameters
    ) Ownable(owner_) {
        require(
            parameters.bond != 0 && parameters.bond <= type(uint128).max && parameters.minPanelStake != 0
                && parameters.penaltyWad != 0 && parameters.penaltyWad <= MAX_PENALTY_WAD && parameters.window != 0
                && parameters.window <= type(uint32).max,
            ParameterOutOfRange()
        );
        (uint64 commit_, uint64 reveal_) = (parameters.commitPeriod, parameters.revealPeriod);
        uint256 unbonding = roll_.staking().unbondingPeriod();
        require(
            commit_ != 0 && reveal_ != 0 && uint256(commit_) + reveal_ < unbonding, PeriodOutOfRange(commit_, reveal_)
        );

        (models, mixes) = (mixes_.models(), mixes_);
        (earners, roll, staking) = (earners_, roll_, roll_.staking());
        (bond, minPanelStake, penaltyWad) = (parameters.bond, parameters.minPanelStake, parameters.penaltyWad);
        (window, commitPeriod, revealPeriod) = (parameters.window, commit_, reveal_);
        _setDefaultInfluence(parameters.defaultInfluenceBps, 0);
    }

    /// @dev Only what is slashed comes without a figure or challenge, and is burned at once.
    receive() external payable {
        require(msg.sender == address(staking), NotStaking(msg.sender));
    }

    /// @inheritdoc IBondedFigures
    function figureOf(uint256 figure) external view returns (Figure memory) {
        return _figures[figure];
    }

    /// @inheritdoc IBondedFigures
    function voteOf(uint256 figure) external view returns (Vote memory) {
        PanelVote.Panel storage panel = _panels[figure];
        return Vote({
            panelStake: panel.stake,
            revealedStake: panel.revealedStake,
            falseStake: panel.falseStake,
            commitEndsAt: panel.commitEndsAt,
            revealEndsAt: panel.revealEndsAt
        });
    }

    /// @inheritdoc IBondedFigures
    function ballotOf(uint256 figure, address validator) external view returns (ISketchVotes.Ballot memory) {
        return _panels[figure].ballots[validator];
    }

    /// @inheritdoc IBondedFigures
    function commitmentOf(uint256 figure, address validator, ISketchVotes.Choice choice, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return PanelVote.commitmentOf(figure, validator, choice, salt);
    }

    /// @inheritdoc IBondedFigures
    function defaultInfluenceAt(uint64 time) public view returns (uint16) {
        return uint16(_defaults.upperLookupRecent(_key(time)));
    }

    /// @inheritdoc IBondedFigures
    function influenceAt(ModelId model, uint64 time) public view returns (uint16) {
        uint208 found = _inForce[Kind.Influence][ModelId.unwrap(model)].upperLookupRecent(_key(time));
        return found == 0 ? defaultInfluenceAt(time) : uint16(found) - 1;
    }

    /// @inheritdoc IBondedFigures
    function retrainingsAt(ModelId model, uint64 time) public view returns (uint32) {
        return uint32(_inForce[Kind.Influence][ModelId.unwrap(model)].upperLookupRecent(_key(time)) >> BPS_BITS);
    }

    /// @inheritdoc IBondedFigures
    function othersFrom(ModelId model) public view returns (uint64) {
        uint256 number = lastFigureOf[Kind.Influence][ModelId.unwrap(model)];
        Figure storage last = _figures[number];
        uint64 ownerPeriod = OWNER_WINDOWS * window;
        if (last.stage == Stage.None) return 0;
        if (last.stage == Stage.Accepted) return last.inForceFrom + ownerPeriod;

        // What failed keeps only others out, or an owner could fail for ever.
        if (last.poster == _ownerOf(model)) return 0;
        uint64 endedAt = _panels[number].revealEndsAt;
        return endedAt + ownerPeriod + (last.stage == Stage.Abandoned ? uint64(ABANDON_DELAY) : 0);
    }

    /// @inheritdoc IBondedFigures
    function creditShareAt(ModelId model, uint64 time) public view returns (uint16) {
        IModelMixes.Mix memory mix = mixes.mixAt(bytes31(ModelId.unwrap(model)), time);
        return FigureRules.creditShareBps(influenceAt(model, time), uint256(mix.spansBps) + mix.citationsBps);
    }

    /// @inheritdoc IBondedFigures
    function reputationAt(EarnerIndex earner, uint64 time) public view returns (uint16) {
        uint208 found = _inForce[Kind.Reputation][_subjectOf(earner)].upperLookupRecent(_key(time));
        return found == 0 ? FULL_BPS : uint16(found) - 1;
    }

    /// @inheritdoc IBondedFigures
    function factorAt(ModelId model, EarnerIndex earner, uint64 time) external view returns (uint16) {
        return FigureRules.factorBps(creditShareAt(model, time), reputationAt(earner, time));
    }

    /// @inheritdoc IBondedFigures
    function postReport(ModelId model, Report calldata report) external payable returns (uint256 figure) {
        require(ModelId.unwrap(models.modelOf(model).base) != 0, NoContributors(model));
        if (_ownerOf(model) != msg.sender) _checkOther(model, report.retrainings);
        require(report.ldsLow <= report.lds && report.lds <= report.ldsHigh, InvalidFigure());
        require(report.ldsHigh <= FULL_BPS, BpsTooLarge(report.ldsHigh));
        require(report.ceiling <= FULL_BPS, BpsTooLarge(report.ceiling));

        uint16 bps = FigureRules.influenceBps(report.ldsLow, report.ceiling);
        figure = _post(Kind.Influence, ModelId.unwrap(model), report.hash, bps, report.retrainings);

        emit ReportPosted(figure, model, msg.sender, report, bps, _figures[figure].inForceFrom);
    }

    /// @inheritdoc IBondedFigures
    function postConduct(EarnerIndex earner, Conduct calldata conduct, bytes32 evidence)
        external
        payable
        returns (uint256 figure)
    {
        (, IEarnerRegistry.Role role) = earners.accountOf(earner);
        require(role == IEarnerRegistry.Role.Contributor, NotContributor(earner));

        uint16 bps = FigureRules.reputationBps(
            conduct.accepted, conduct.refused, conduct.earningBatches, conduct.harmfulBatches, conduct.penalties
        );
        figure = _post(Kind.Reputation, _subjectOf(earner), evidence, bps, 0);

        emit ConductPosted(figure, earner, msg.sender, conduct, evidence, bps, _figures[figure].inForceFrom);
    }

    /// @inheritdoc IBondedFigures
    function challenge(uint256 figure) external payable {
        Figure storage entry = _at(figure, Stage.Accepted);
        bool isOpen = entry.challenger == address(0) && block.timestamp < entry.inForceFrom;
        require(isOpen, WindowOver(figure, entry.inForceFrom));
        require(msg.value == bond, WrongBond(msg.value, bond));

        // The figure's checkpoint lies ahead and is the last one: what is before it takes its place.
        Checkpoints.Trace208 storage trace = _inForce[entry.kind][entry.subject];
        uint48 key = uint48(entry.inForceFrom);
        trace.push(key, trace.upperLookupRecent(key - 1));
        (entry.stage, entry.inForceFrom, entry.challenger) = (Stage.Voting, 0, msg.sender);
        PanelVote.Panel storage panel = _panels[figure];
        (address[] memory members, uint256[] memory stakes) = panel.fix(roll, [entry.poster, msg.sender], minPanelStake);
        (uint64 commitEndsAt, uint64 revealEndsAt) = panel.begin(commitPeriod, revealPeriod);

        emit FigureChallenged(figure, msg.sender, commitEndsAt, revealEndsAt, members, stakes);
    }

    /// @inheritdoc IBondedFigures
    function commit(uint256 figure, bytes32 commitment) external {
        _at(figure, Stage.Voting);

        _panels[figure].commit(figure, commitment);
    }

    /// @inheritdoc IBondedFigures
    function reveal(uint256 figure, ISketchVotes.Choice choice, bytes32 salt) external {
        _at(figure, Stage.Voting);

        _panels[figure].reveal(figure, choice, salt);
    }

    /// @inheritdoc IBondedFigures
    function resolve(uint256 figure) external nonReentrant {
        Figure storage entry = _at(figure, Stage.Voting);
        PanelVote.Panel storage panel = _panels[figure];
        PanelVote.Outcome outcome = panel.outcome();

        entry.bondHeld = false;
        uint256 burned = 0;
        if (outcome == PanelVote.Outcome.Undecided) {
            _giveBack(entry, Stage.Undecided);
        } else {
            bool holds = outcome == PanelVote.Outcome.Holds;
            address winner = holds ? entry.poster : entry.challenger;
            // Halves are rounded down, so what is burned is at least half.
            uint256 reward = bond / 4;
            owed[winner] += bond + reward;
            burned = bond - reward - panel.reward(figure, outcome, bond / 2 - reward, owed);
            entry.stage = holds ? Stage.Accepted : Stage.Struck;
            if (holds) _putInForce(entry);
        }
        burned += panel.penalise(figure, outcome, staking, penaltyWad);

        emit FigureResolved(figure, entry.stage, entry.inForceFrom, burned);

        if (burned != 0) Address.sendValue(payable(BURN), burned);
    }

    /// @inheritdoc IBondedFigures
    function abandon(uint256 figure) external {
        Figure storage entry = _at(figure, Stage.Voting);
        uint256 beginsAt = _panels[figure].revealEndsAt + ABANDON_DELAY;
        require(block.timestamp >= beginsAt, AbandonTooEarly(figure, beginsAt));

        entry.bondHeld = false;
        _giveBack(entry, Stage.Abandoned);

        emit FigureResolved(figure, Stage.Abandoned, 0, 0);
    }

    /// @inheritdoc IBondedFigures
    function reclaim(uint256 figure) external nonReentrant {
        Figure storage entry = _at(figure, Stage.Accepted);
        require(block.timestamp >= entry.inForceFrom, WindowOpen(figure, entry.inForceFrom));
        require(entry.bondHeld, NoBond(figure));

        entry.bondHeld = false;

        emit BondReclaimed(figure, entry.poster, bond);

        Address.sendValue(payable(entry.poster), bond);
    }

    /// @inheritdoc IBondedFigures
    function withdraw(address account) external nonReentrant returns (uint256 amount) {
        amount = owed[account];
        require(amount != 0, NothingOwed(account));

        delete owed[account];

        emit Withdrawn(account, amount);

        // Paid to whom it is owed whoever calls, so that a service may withdraw for it.
        Address.sendValue(payable(account), amount);
    }

    /// @inheritdoc IBondedFigures
    function setDefaultInfluence(uint16 influenceBps) external onlyOwner {
        _setDefaultInfluence(influenceBps, uint64(block.timestamp) + window);
    }

    function _setDefaultInfluence(uint16 influenceBps, uint64 from) private {
        require(influenceBps <= FULL_BPS, BpsTooLarge(influenceBps));

        _defaults.push(_key(from), influenceBps);

        emit DefaultInfluenceSet(influenceBps, from);
    }

    /// @dev What an account that does not own the model has to keep to.
    function _checkOther(ModelId model, uint32 retrainings) private view {
        uint64 from = othersFrom(model);
        require(block.timestamp >= from, OwnerFirst(model, from));
        uint256 least = Math.max(MIN_OTHERS_RETRAININGS, retrainingsAt(model, uint64(block.timestamp)));
        require(retrainings >= least, TooFewRetrainings(retrainings, least));
    }

    function _post(Kind kind, bytes32 subject, bytes32 hash, uint16 bps, uint32 retrainings)
        private
        returns (uint256 figure)
    {
        require(hash != 0, InvalidFigure());
        require(msg.value == bond, WrongBond(msg.value, bond));
        Figure storage last = _figures[lastFigureOf[kind][subject]];
        bool isPending =
            last.stage == Stage.Voting || (last.stage == Stage.Accepted && block.timestamp < last.inForceFrom);
        require(!isPending, FigurePending(lastFigureOf[kind][subject]));

        figure = ++figureCount;
        lastFigureOf[kind][subject] = figure;
        uint64 inForceFrom = uint64(block.timestamp) + window;
        _figures[figure] = Figure({
            subject: subject,
            hash: hash,
            poster: msg.sender,
            inForceFrom: inForceFrom,
            challenger: address(0),
            retrainings: retrainings,
            bps: bps,
            kind: kind,
            stage: Stage.Accepted,
            bondHeld: true
        });
        _inForce[kind][subject].push(uint48(inForceFrom), _kept(_figures[figure]));
    }

    /// @dev From the next second on, so that what was said of this one stays, and not before its window ends.
    function _putInForce(Figure storage entry) private {
        Checkpoints.Trace208 storage trace = _inForce[entry.kind][entry.subject];
        (, uint48 windowEndsAt,) = trace.latestCheckpoint();
        uint64 inForceFrom = uint64(Math.max(block.timestamp + 1, windowEndsAt));

        entry.inForceFrom = inForceFrom;
        trace.push(uint48(inForceFrom), _kept(entry));
    }

    /// @dev Both sides get their bond.
    function _giveBack(Figure storage entry, Stage stage) private {
        entry.stage = stage;
        owed[entry.poster] += bond;
        owed[entry.challenger] += bond;
    }

    /// @dev A figure that is at the stage.
    function _at(uint256 figure, Stage stage) private view returns (Figure storage entry) {
        entry = _figures[figure];
        require(entry.stage == stage, WrongStage(figure, entry.stage));
    }

    /// @dev What of a figure is in `_inForce`.
    function _kept(Figure storage entry) private view returns (uint208) {
        return (uint208(entry.retrainings) << uint208(BPS_BITS)) + entry.bps + 1;
    }

    function _ownerOf(ModelId model) private view returns (address) {
        return IERC721(address(models)).ownerOf(uint256(ModelId.unwrap(model)));
    }

    function _subjectOf(EarnerIndex earner) private pure returns (bytes32) {
        return bytes32(uint256(EarnerIndex.unwrap(earner)));
    }

    function _key(uint64 time) private pure returns (uint48) {
        return uint48(Math.min(time, type(uint48).max));
    }
}
