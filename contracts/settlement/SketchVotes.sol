// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDisputes, Rule} from "../interfaces/IDisputes.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {ISketchVotes} from "../interfaces/ISketchVotes.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";
import {CellOpening, CellOpenings} from "../libraries/CellOpenings.sol";
import {LedgerRow} from "../libraries/LedgerRow.sol";
import {PanelVote} from "../libraries/PanelVote.sol";
import {RecordWitness} from "../libraries/RecordWitness.sol";
import {BatchId} from "../types/Ids.sol";

/// @title SketchVotes
/// @notice One open vote per challenged record, each with its own panel and bond.
contract SketchVotes is ISketchVotes, ReentrancyGuardTransient {
    using PanelVote for PanelVote.Panel;

    /// @dev What `Vote` tells, as it is kept.
    /// @param answerEndsAt end of the time to answer, from which on its silence can be struck
    struct Case {
        BatchId batch;
        address operator;
        uint64 answerEndsAt;
        Stage stage;
        bool held;
        address challenger;
        uint32 row;
        bytes32 answerHash;
        PanelVote.Panel panel;
    }

    /// @notice Most bytes of request and answer together.
    /// @dev Ethereum's nodes pass no transaction on that is larger than 128 KiB; the rest is for all that is around it.
    uint256 public constant MAX_ANSWER_BYTES = 120 * 1024;

    /// @notice Most that a validator may lose by one vote; it can be on many at once.
    uint256 public constant MAX_PENALTY_WAD = 0.1e18;

    /// @notice Seconds after which a vote that nobody could resolve may be abandoned.
    uint256 public constant ABANDON_DELAY = 7 days;

    /// @dev Blobs live about 14 days, and a batch may be posted with a certificate that is 12 hours old.
    uint256 private constant MAX_SECONDS_FROM_POSTING = 14 days - 12 hours;

    address private constant BURN = 0x000000000000000000000000000000000000dEaD;

    /// @notice Strikes, holds and releases batches for this contract.
    IDisputes public immutable disputes;

    /// @notice Where the batches are.
    ISettlement public immutable settlement;

    /// @notice Where validators have their stake.
    IStaking public immutable staking;

    /// @notice Who is on the panels.
    IValidatorRoll public immutable roll;

    /// @inheritdoc ISketchVotes
    uint256 public immutable bond;

    /// @inheritdoc ISketchVotes
    uint256 public immutable minPanelStake;

    /// @inheritdoc ISketchVotes
    uint256 public immutable penaltyWad;

    /// @inheritdoc ISketchVotes
    uint64 public immutable answerPeriod;

    /// @inheritdoc ISketchVotes
    uint64 public immutable commitPeriod;

    /// @inheritdoc ISketchVotes
    uint64 public immutable revealPeriod;

    /// @inheritdoc ISketchVotes
    uint256 public voteCount;

    /// @inheritdoc ISketchVotes
    uint256 public openVotes;

    /// @inheritdoc ISketchVotes
    mapping(BatchId batch => mapping(uint32 row => uint256 vote)) public openVoteOn;

    /// @inheritdoc ISketchVotes
    mapping(address account => uint256 amount) public owed;

    mapping(uint256 vote => Case) private _cases;

    constructor(IDisputes disputes_, IValidatorRoll roll_, Parameters memory parameters) {
        disputes = disputes_;
        settlement = disputes_.settlement();
        staking = disputes_.staking();
        roll = roll_;

        require(roll_.staking() == staking, WrongRoll(roll_));
        require(
            parameters.bond != 0 && parameters.bond <= type(uint128).max && parameters.minPanelStake != 0
                && parameters.penaltyWad != 0 && parameters.penaltyWad <= MAX_PENALTY_WAD,
            ParameterOutOfRange()
        );
        _checkPeriods(parameters.answerPeriod, parameters.commitPeriod, parameters.revealPeriod);

        bond = parameters.bond;
        minPanelStake = parameters.minPanelStake;
        penaltyWad = parameters.penaltyWad;
        answerPeriod = parameters.answerPeriod;
        commitPeriod = parameters.commitPeriod;
        revealPeriod = parameters.revealPeriod;
    }

    /// @dev Only what is slashed comes without a challenge, and is burned at once.
    receive() external payable {
        require(msg.sender == address(staking), NotStaking(msg.sender));
    }

    /// @inheritdoc ISketchVotes
    function voteOf(uint256 vote) external view returns (Vote memory) {
        Case storage entry = _cases[vote];
        PanelVote.Panel storage panel = entry.panel;
        return Vote({
            batch: entry.batch,
            operator: entry.operator,
            endsAt: panel.commitEndsAt == 0 ? entry.answerEndsAt : panel.commitEndsAt,
            stage: entry.stage,
            held: entry.held,
            challenger: entry.challenger,
            row: entry.row,
            panelStake: panel.stake,
            revealedStake: panel.revealedStake,
            falseStake: panel.falseStake,
            answerHash: entry.answerHash
        });
    }

    /// @inheritdoc ISketchVotes
    function panelOf(uint256 vote) external view returns (address[] memory) {
        return _cases[vote].panel.members;
    }

    /// @inheritdoc ISketchVotes
    function ballotOf(uint256 vote, address validator) external view returns (Ballot memory) {
        return _cases[vote].panel.ballots[validator];
    }

    /// @inheritdoc ISketchVotes
    function commitmentOf(uint256 vote, address validator, Choice choice, bytes32 salt)
        external
        view
        returns (bytes32)
    {
        return PanelVote.commitmentOf(vote, validator, choice, salt);
    }

    /// @inheritdoc ISketchVotes
    function challenge(BatchId batch, uint32 row, CellOpening calldata ledger, bytes calldata witness)
        external
        payable
        returns (uint256 vote)
    {
        ISettlement.Batch memory posted = settlement.batchOf(batch);

        require(posted.status == ISettlement.Status.Posted, BatchNotPosted(batch));
        require(block.timestamp < posted.finalisableAt, WindowOver(batch, posted.finalisableAt));
        require(msg.value == bond, WrongBond(msg.value, bond));
        require(openVoteOn[batch][row] == 0, VoteOpen(openVoteOn[batch][row]));
        LedgerRow.Record memory record = _recordIn(posted, row, ledger, keccak256(witness));

        vote = ++voteCount;
        ++openVotes;
        openVoteOn[batch][row] = vote;
        Case storage entry = _cases[vote];
        entry.batch = batch;
        entry.operator = posted.operator;
        entry.answerEndsAt = uint64(block.timestamp) + answerPeriod;
        entry.stage = Stage.Answering;
        entry.held = true;
        entry.challenger = msg.sender;
        entry.row = row;
        entry.answerHash = _answerHashIn(witness);

        emit Challenged(
            vote,
            batch,
            posted.operator,
            msg.sender,
            row,
            record.tokensIn,
            record.tokensOut,
            witness,
            entry.answerEndsAt
        );
        // Neither side is judge in its own case.
        (address[] memory members, uint256[] memory stakes) =
            entry.panel.fix(roll, [entry.operator, msg.sender], minPanelStake);
        emit PanelFixed(vote, members, stakes);

        disputes.hold(batch);
    }

    /// @inheritdoc ISketchVotes
    function answer(uint256 vote, bytes calldata request, bytes calldata text) external {
        Case storage entry = _at(vote, Stage.Answering);

        require(msg.sender == entry.operator, NotAccused(vote, msg.sender));
        require(block.timestamp < entry.answerEndsAt, PanelVote.TooLate(entry.answerEndsAt));
        _checkPosted(entry.batch);
        require(request.length + text.length <= MAX_ANSWER_BYTES, AnswerTooLong(request.length + text.length));
        require(keccak256(abi.encode(keccak256(request), keccak256(text))) == entry.answerHash, WrongAnswer(vote));

        entry.stage = Stage.Voting;
        (uint64 commitEndsAt, uint64 revealEndsAt) = entry.panel.begin(commitPeriod, revealPeriod);

        emit Answered(vote, entry.batch, request, text, commitEndsAt, revealEndsAt);
    }

    /// @inheritdoc ISketchVotes
    function strikeSilent(uint256 vote) external nonReentrant {
        Case storage entry = _at(vote, Stage.Answering);

        require(block.timestamp >= entry.answerEndsAt, PanelVote.TooEarly(entry.answerEndsAt));
        _checkPosted(entry.batch);

        _close(vote, entry, Stage.Struck);
        owed[entry.challenger] += bond;

        _release(entry);
        disputes.strike(entry.batch, Rule.Sketch, entry.challenger);
    }

    /// @inheritdoc ISketchVotes
    function commit(uint256 vote, bytes32 commitment) external {
        Case storage entry = _at(vote, Stage.Voting);
        _checkPosted(entry.batch);

        entry.panel.commit(vote, commitment);
    }

    /// @inheritdoc ISketchVotes
    function reveal(uint256 vote, Choice choice, bytes32 salt) external {
        _at(vote, Stage.Voting).panel.reveal(vote, choice, salt);
    }

    /// @inheritdoc ISketchVotes
    function resolve(uint256 vote) external nonReentrant {
        Case storage entry = _cases[vote];
        bool isPosted = _isPosted(entry.batch);

        require(
            entry.stage == Stage.Voting || (entry.stage == Stage.Answering && !isPosted), WrongStage(vote, entry.stage)
        );
        // Nobody has voted on a challenge without an answer, so there is nothing to wait for.
        PanelVote.Outcome outcome = PanelVote.Outcome.Void;
        if (entry.stage == Stage.Voting) outcome = entry.panel.outcome();
        if (!isPosted) outcome = PanelVote.Outcome.Void;

        _close(vote, entry, _stageOf(outcome));
        uint256 burned = 0;
        if (outcome == PanelVote.Outcome.Holds) burned = bond - entry.panel.reward(vote, outcome, bond / 2, owed);
        else owed[entry.challenger] += bond;

        _release(entry);
        if (outcome == PanelVote.Outcome.False) disputes.strike(entry.batch, Rule.Sketch, entry.challenger);
        burned += entry.panel.penalise(vote, outcome, staking, penaltyWad);
        if (burned != 0) Address.sendValue(payable(BURN), burned);
    }

    /// @inheritdoc ISketchVotes
    function abandon(uint256 vote) external nonReentrant {
        Case storage entry = _cases[vote];
        require(entry.stage == Stage.Answering || entry.stage == Stage.Voting, WrongStage(vote, entry.stage));
        uint256 stuckSince = entry.stage == Stage.Voting ? entry.panel.revealEndsAt : entry.answerEndsAt;
        uint256 beginsAt = stuckSince + ABANDON_DELAY;
        require(block.timestamp >= beginsAt, PanelVote.TooEarly(beginsAt));

        _close(vote, entry, Stage.Abandoned);
        owed[entry.challenger] += bond;

        // Whoever makes this fail with too little gas only makes `releaseHold` necessary.
        try disputes.release(entry.batch) {
            entry.held = false;
        } catch {}
    }

    /// @inheritdoc ISketchVotes
    function releaseHold(uint256 vote) external nonReentrant {
        Case storage entry = _at(vote, Stage.Abandoned);
        require(entry.held, NotHeld(vote));

        emit HoldReleased(vote, entry.batch);

        _release(entry);
    }

    /// @inheritdoc ISketchVotes
    function withdraw(address account) external nonReentrant returns (uint256 amount) {
        amount = owed[account];
        require(amount != 0, NothingOwed(account));

        delete owed[account];

        emit Withdrawn(account, amount);

        // Paid to whom it is owed whoever calls, so that a service may withdraw for it.
        Address.sendValue(payable(account), amount);
    }

    /* CHECKS */

    function _checkPeriods(uint64 answer_, uint64 commit_, uint64 reveal_) private view {
        uint256 duration = uint256(answer_) + commit_ + reveal_;

        require(
            answer_ != 0 && commit_ != 0 && reveal_ != 0
                && settlement.disputeWindow() + duration < MAX_SECONDS_FROM_POSTING
                && duration < staking.unbondingPeriod(),
            PeriodOutOfRange(answer_, commit_, reveal_)
        );
    }

    function _checkPosted(BatchId batch) private view {
        require(_isPosted(batch), BatchNotPosted(batch));
    }

    function _isPosted(BatchId batch) private view returns (bool) {
        return settlement.batchOf(batch).status == ISettlement.Status.Posted;
    }

    /// @dev A vote that is at the stage.
    function _at(uint256 vote, Stage stage) private view returns (Case storage entry) {
        entry = _cases[vote];
        require(entry.stage == stage, WrongStage(vote, entry.stage));
    }

    /// @dev What a row says of its record, once its cells open and name the witness.
    function _recordIn(ISettlement.Batch memory posted, uint32 row, CellOpening calldata ledger, bytes32 recordHash)
        private
        view
        returns (LedgerRow.Record memory record)
    {
        uint256 first = uint256(row) * LedgerRow.CELLS;
        require(
            ledger.indices.length == 2 && ledger.indices[0] == first + 4 && ledger.indices[1] == first + 7,
            WrongCells(row)
        );
        CellOpenings.Equation memory equation =
            CellOpenings.ofCells(posted.ledger, uint256(posted.rows) * LedgerRow.CELLS, ledger);
        CellOpenings.check(equation, settlement.tauG2());

        LedgerRow.Row memory opened;
        opened.info[0] = ledger.values[0];
        require(opened.info[0] >> 240 == uint256(LedgerRow.Kind.Record), NotRecord(row));
        require(ledger.values[1] == uint256(recordHash) >> 8, WrongWitness(row, recordHash));
        record = LedgerRow.record(opened);
    }

    function _answerHashIn(bytes calldata witness) private pure returns (bytes32) {
        RecordWitness.Witness memory decoded = RecordWitness.decode(witness);
        return keccak256(abi.encode(decoded.voucher.call.promptHash, decoded.outputHash));
    }

    /* OUTCOMES */

    function _stageOf(PanelVote.Outcome outcome) private pure returns (Stage) {
        if (outcome == PanelVote.Outcome.Holds) return Stage.Upheld;
        if (outcome == PanelVote.Outcome.False) return Stage.Struck;
        return outcome == PanelVote.Outcome.Void ? Stage.Void : Stage.Undecided;
    }

    function _close(uint256 vote, Case storage entry, Stage outcome) private {
        entry.stage = outcome;
        --openVotes;
        delete openVoteOn[entry.batch][entry.row];

        PanelVote.Panel storage panel = entry.panel;
        emit Resolved(vote, entry.batch, outcome, panel.stake, panel.revealedStake, panel.falseStake);
    }

    function _release(Case storage entry) private {
        entry.held = false;
        disputes.release(entry.batch);
    }
}
