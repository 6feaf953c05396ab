// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {EarnerIndex, ModelId} from "../types/Ids.sol";
import {IEarnerRegistry} from "./IEarnerRegistry.sol";
import {IModelMixes} from "./IModelMixes.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {ISketchVotes} from "./ISketchVotes.sol";
import {IStaking} from "./IStaking.sol";
import {IValidatorRoll} from "./IValidatorRoll.sol";

/// @notice Numbers that pay depends on and that only recomputation shows: how true a model's influence was measured to
/// be, and how a contributor's data fared.
/// @dev A figure is posted with a bond. For `window` anybody may challenge it with the same bond, which puts it to a
/// vote of the staked validators (`PanelVote`: the whole roll but poster and challenger; its events say the figure). It
/// is in force from the end of its window, or from a later vote for it, until another figure of the same subject is. A
/// subject has one figure at a time that is neither in force nor out.
///
/// | outcome | figure | poster's bond | challenger's bond | slashed |
/// |---|---|---|---|---|
/// | nobody challenges | in force from the window's end | back | | |
/// | Holds | in force | back, and 1/4 of the other | half burned, 1/4 to who voted so | False, silent |
/// | False | never | half burned, 1/4 to who voted so | back, and 1/4 of the other | Holds, silent |
/// | Undecided | never | back | back | silent |
/// | nobody resolves, see `abandon` | never | back | back | nobody |
///
/// Why undecided figures are out, though an undecided record stands in ISketchVotes: a record was bought and served,
/// and striking it takes from who served; a figure that nobody confirms takes nothing from anybody when it is left out,
/// and what was in force before it stays.
///
/// `factorAt` of a time that has passed never changes: a figure's time to be in force is in the future when it is
/// posted, and in the future when a vote gives it one.
///
/// Validators judge the file that hashes to `hash` or `evidence`: a report is False if the lower end of the interval or
/// the ceiling is more than 500 bps, in either direction, from what as many retrainings on halves of the model's rows
/// give, by the seeds of its index, asked about 64 held-out rows or all there are; conduct is False if a count is not what
/// the chain's events give up to the block that the evidence names. Evidence that cannot be had is False; a report can
/// always be measured again.
///
/// Anybody may post a report, because the owner of a model whose influence is worth less than `defaultInfluenceAt` gains
/// nothing by it. So that this keeps no owner from reporting, and undoes no better report: others post from `othersFrom`
/// on, which leaves the owner alone for `OWNER_WINDOWS` windows after every figure, and with no fewer retrainings than
/// what is in force had, and no fewer than `MIN_OTHERS_RETRAININGS`. Few retrainings make wide intervals, and the lower
/// end counts: a report could be true and say less than is known.
/// @dev Amounts are wei of native OPEN, times seconds, figures basis points.
interface IBondedFigures {
    enum Kind {
        Influence,
        Reputation
    }

    /// @dev `Accepted` is in force from `inForceFrom`, which may lie ahead.
    enum Stage {
        None,
        Accepted,
        Voting,
        Struck,
        Undecided,
        Abandoned
    }

    /// @param bond of a figure and of a challenge
    /// @param minPanelStake least stake of a panel
    /// @param penaltyWad share of their whole pool that silent and losing validators lose per vote (1e18 = all)
    /// @param window from posting until a figure that nobody challenges is in force
    /// @param commitPeriod from the challenge
    /// @param revealPeriod from the end of `commitPeriod`
    /// @param defaultInfluenceBps influence share of models without a report in force
    struct Parameters {
        uint256 bond;
        uint256 minPanelStake;
        uint256 penaltyWad;
        uint64 window;
        uint64 commitPeriod;
        uint64 revealPeriod;
        uint16 defaultInfluenceBps;
    }

    /// @dev What a model's quality report says. Correlations in bps; negative ones are written as 0.
    /// @param hash keccak256 of the report file
    /// @param ldsLow lower end of the 95% interval of the linear datamodelling score: what pay goes by
    /// @param lds its mean over queries
    /// @param ldsHigh upper end
    /// @param ceiling score of one retraining as a prediction of another with the same rows and another seed
    /// @param retrainings on half of the rows
    struct Report {
        bytes32 hash;
        uint16 ldsLow;
        uint16 lds;
        uint16 ldsHigh;
        uint16 ceiling;
        uint32 retrainings;
    }

    /// @dev What happened to a contributor's data.
    /// @param accepted files that validators accepted
    /// @param refused files that they refused, copies of others' data among them
    /// @param earningBatches final batches in which its net of some model was not negative
    /// @param harmfulBatches final batches in which its net of some model was negative
    /// @param penalties upheld against it
    struct Conduct {
        uint32 accepted;
        uint32 refused;
        uint32 earningBatches;
        uint32 harmfulBatches;
        uint32 penalties;
    }

    /// @param subject the model's id, or the contributor's index
    /// @param retrainings of a report; 0 for conduct
    /// @param bps influence share or reputation
    /// @param inForceFrom 0 while it is voted on, and if it is out
    /// @param bondHeld whether the poster's bond is still here
    struct Figure {
        bytes32 subject;
        bytes32 hash;
        address poster;
        uint64 inForceFrom;
        address challenger;
        uint32 retrainings;
        uint16 bps;
        Kind kind;
        Stage stage;
        bool bondHeld;
    }

    /// @param panelStake of all who may vote (wei)
    /// @param revealedStake of which revealed
    /// @param falseStake of which for False
    /// @param commitEndsAt end of the time to commit, when that to reveal begins
    struct Vote {
        uint128 panelStake;
        uint128 revealedStake;
        uint128 falseStake;
        uint64 commitEndsAt;
        uint64 revealEndsAt;
    }

    /// @dev Thrown at construction, when a parameter is zero or above its most.
    error ParameterOutOfRange();
    /// @dev Thrown at construction, when stake that leaves while a vote is open could be gone at its end.
    error PeriodOutOfRange(uint64 commitPeriod, uint64 revealPeriod);
    /// @dev Thrown when a share is above 10_000 bps.
    error BpsTooLarge(uint256 bps);
    /// @dev Thrown unless a figure or challenge brings exactly the bond.
    error WrongBond(uint256 given, uint256 bond);
    /// @dev Thrown when anyone but the model token's owner posts its report before `othersFrom`.
    error OwnerFirst(ModelId model, uint64 from);
    /// @dev Thrown when anyone but the owner posts a report of fewer retrainings than others need.
    error TooFewRetrainings(uint256 given, uint256 least);
    /// @dev Thrown for a base model, which has no contributors.
    error NoContributors(ModelId model);
    /// @dev Thrown for an earner who is no contributor.
    error NotContributor(EarnerIndex earner);
    /// @dev Thrown when a report's interval does not hold its mean, or a figure names no file.
    error InvalidFigure();
    /// @dev Thrown while another figure of the subject is in its window or voted on.
    error FigurePending(uint256 figure);
    /// @dev Thrown for an action that the figure's stage does not have.
    error WrongStage(uint256 figure, Stage stage);
    /// @dev Thrown when a figure is challenged that is in force, or was confirmed by a vote.
    error WindowOver(uint256 figure, uint64 inForceFrom);
    /// @dev Thrown when a bond is taken back before its figure is in force.
    error WindowOpen(uint256 figure, uint64 inForceFrom);
    /// @dev Thrown when the bond is not here any more.
    error NoBond(uint256 figure);
    /// @dev Thrown when a vote is abandoned before it may be.
    error AbandonTooEarly(uint256 figure, uint256 beginsAt);
    /// @dev Thrown when nothing is owed to the account.
    error NothingOwed(address account);
    /// @dev Thrown when anyone but Staking sends coins here.
    error NotStaking(address sender);

    event ReportPosted(
        uint256 indexed figure,
        ModelId indexed model,
        address indexed poster,
        Report report,
        uint16 influenceBps,
        uint64 inForceFrom
    );
    event ConductPosted(
        uint256 indexed figure,
        EarnerIndex indexed earner,
        address indexed poster,
        Conduct conduct,
        bytes32 evidence,
        uint16 reputationBps,
        uint64 inForceFrom
    );
    /// @dev The figure is not in force until `FigureResolved` says so.
    event FigureChallenged(
        uint256 indexed figure,
        address indexed challenger,
        uint64 commitEndsAt,
        uint64 revealEndsAt,
        address[] panel,
        uint256[] stakes
    );
    /// @param inForceFrom 0 unless the figure was confirmed
    /// @param burned wei of the loser's bond and of slashed stake
    event FigureResolved(uint256 indexed figure, Stage stage, uint64 inForceFrom, uint256 burned);
    event BondReclaimed(uint256 indexed figure, address indexed poster, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event DefaultInfluenceSet(uint16 influenceBps, uint64 from);

    /// @notice Which models there are.
    function models() external view returns (IModelRegistry);

    /// @notice How models divide what they pay among influence, spans and citations.
    function mixes() external view returns (IModelMixes);

    /// @notice Which contributors there are.
    function earners() external view returns (IEarnerRegistry);

    /// @notice Who judges.
    function roll() external view returns (IValidatorRoll);

    /// @notice Where judges have their stake.
    function staking() external view returns (IStaking);

    /// @notice Bond of a figure and of a challenge.
    function bond() external view returns (uint256);

    /// @notice Seconds from posting until a figure that nobody challenges is in force.
    function window() external view returns (uint64);

    /// @notice Figures ever posted; they are numbered from 1.
    function figureCount() external view returns (uint256);

    /// @notice A figure; all zero if there is none.
    function figureOf(uint256 figure) external view returns (Figure memory);

    /// @notice How the vote on a challenged figure is; all zero if nobody challenged it.
    function voteOf(uint256 figure) external view returns (Vote memory);

    /// @notice A validator's ballot on a challenged figure.
    function ballotOf(uint256 figure, address validator) external view returns (ISketchVotes.Ballot memory);

    /// @notice The last figure of a subject, 0 if there is none.
    function lastFigureOf(Kind kind, bytes32 subject) external view returns (uint256 figure);

    /// @notice What may be withdrawn.
    function owed(address account) external view returns (uint256);

    /// @notice What a validator commits to.
    function commitmentOf(uint256 figure, address validator, ISketchVotes.Choice choice, bytes32 salt)
        external
        view
        returns (bytes32);

    /// @notice Influence share of models without a report in force at a time.
    function defaultInfluenceAt(uint64 time) external view returns (uint16);

    /// @notice Share that the model's influence is paid by, at a time. Never reverts.
    /// @dev Of a time ahead, the answer may still change.
    function influenceAt(ModelId model, uint64 time) external view returns (uint16);

    /// @notice Retrainings of the model's report in force at a time; 0 without one. Never reverts.
    function retrainingsAt(ModelId model, uint64 time) external view returns (uint32);

    /// @notice Windows after a figure in which only the model's owner may post the next.
    function OWNER_WINDOWS() external view returns (uint64);

    /// @notice Fewest retrainings of a report that is not the owner's.
    function MIN_OTHERS_RETRAININGS() external view returns (uint32);

    /// @notice From when accounts that do not own the model may post its report (seconds).
    /// @dev `OWNER_WINDOWS` windows after the last figure came into force; if it was another's and is out, after the time
    /// to reveal ended (and `ABANDON_DELAY`, if it was abandoned); 0 if it was the owner's and is out, or there is none.
    /// While a figure is pending nobody may post.
    function othersFrom(ModelId model) external view returns (uint64);

    /// @notice Share of positive nets with the model that its credits pay, at a time: `influenceAt` as far as the mix of
    /// that time pays by influence, the whole for spans and citations. Never reverts.
    /// @dev floor((influence (10_000 - uses) + 10_000 uses) / 10_000), uses = spansBps + citationsBps.
    function creditShareAt(ModelId model, uint64 time) external view returns (uint16);

    /// @notice A contributor's reputation at a time; 10_000 without a figure. Never reverts.
    function reputationAt(EarnerIndex earner, uint64 time) external view returns (uint16);

    /// @notice floor(creditShareAt * reputationAt / 10_000) of a contributor with a model at a time. Never reverts.
    function factorAt(ModelId model, EarnerIndex earner, uint64 time) external view returns (uint16);

    /// @notice Posts a model's quality report with the bond. Anybody may; who does not own the model, from `othersFrom` on
    /// and with enough retrainings.
    /// @dev Reverts with `UnknownModel`, `NoContributors`, `OwnerFirst`, `TooFewRetrainings`, `InvalidFigure`,
    /// `BpsTooLarge`, `FigurePending` or `WrongBond`.
    function postReport(ModelId model, Report calldata report) external payable returns (uint256 figure);

    /// @notice Posts a contributor's conduct with the bond. Anybody may.
    /// @param evidence keccak256 of the file that names the events counted
    /// @dev Reverts with `UnknownEarner`, `NotContributor`, `InvalidFigure`, `FigurePending` or `WrongBond`.
    function postConduct(EarnerIndex earner, Conduct calldata conduct, bytes32 evidence)
        external
        payable
        returns (uint256 figure);

    /// @notice Puts a figure in its window to a vote, with the bond. Each figure once.
    /// @dev Reverts with `WrongStage`, `WindowOver`, `WrongBond` or `PanelTooSmall`.
    function challenge(uint256 figure) external payable;

    /// @notice Commits a ballot. Members of the panel only, once.
    /// @dev Reverts with `WrongStage` or as `PanelVote.commit` does.
    function commit(uint256 figure, bytes32 commitment) external;

    /// @notice Reveals a ballot.
    /// @dev Reverts with `WrongStage` or as `PanelVote.reveal` does.
    function reveal(uint256 figure, ISketchVotes.Choice choice, bytes32 salt) external;

    /// @notice Ends a vote and settles its bonds. Anybody may.
    /// @dev Reverts with `WrongStage`, or with `TooEarly` before the time to reveal is over.
    function resolve(uint256 figure) external;

    /// @notice Gives both bonds back where `resolve` kept failing for `ABANDON_DELAY`; the figure is out.
    /// @dev Reverts with `WrongStage` or `AbandonTooEarly`.
    function abandon(uint256 figure) external;

    /// @notice Pays a bond back to the poster of a figure that is in force and was not challenged. Anybody may.
    /// @dev Reverts with `WrongStage`, `WindowOpen` or `NoBond`.
    function reclaim(uint256 figure) external;

    /// @notice Pays an account what it is owed. Anybody may.
    /// @dev Reverts with `NothingOwed`.
    function withdraw(address account) external returns (uint256 amount);

    /// @notice Sets the influence share of models without a report, `window` from now on. Owner only.
    /// @dev Reverts with `BpsTooLarge`.
    function setDefaultInfluence(uint16 influenceBps) external;
}
