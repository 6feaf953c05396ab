// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDisputes, Rule} from "../interfaces/IDisputes.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {ISketchVotes} from "../interfaces/ISketchVotes.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {IValidatorRoll} from "../interfaces/IValidatorRoll.sol";
import {CellOpening, CellOpenings} from "../libraries/CellOpenings.sol";
import {LedgerRow} from "../libraries/LedgerRow.sol";
import {RecordWitness} from "../libraries/RecordWitness.sol";
import {BatchId} from "../types/Ids.sol";

/// @title SketchVotes
/// @notice One open vote per challenged record, each with its own panel and bond.
contract SketchVotes is ISketchVotes, ReentrancyGuardTransient {
    using SafeCast for uint256;

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

    mapping(uint256 vote => Vote) private _votes;

    mapping(uint256 vote => address[]) private _panels;

    mapping(uint256 vote => mapping(address validator => Ballot)) private _ballots;

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
        return _votes[vote];
    }

    /// @inheritdoc ISketchVotes
    function panelOf(uint256 vote) external view returns (address[] memory) {
        return _panels[vote];
    }

    /// @inheritdoc ISketchVotes
    function ballotOf(uint256 vote, address validator) external view returns (Ballot memory) {
        return _ballots[vote][validator];
    }

    /// @inheritdoc ISketchVotes
    function commitmentOf(uint256 vote, address validator, Choice choice, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), vote, validator, choice, salt));
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
        Vote storage entry = _votes[vote];
        entry.batch = batch;
        entry.operator = posted.operator;
        entry.endsAt = uint64(block.timestamp) + answerPeriod;
        entry.stage = Stage.Answering;
        entry.held = true;
        entry.challenger = msg.sender;
        entry.row = row;
        entry.answerHash = _answerHashIn(witness);

        emit Challenged(
            vote, batch, posted.operator, msg.sender, row, record.tokensIn, record.tokensOut, witness, entry.endsAt
        );
        _fixPanel(vote, entry);

        disputes.hold(batch);
    }

    /// @inheritdoc ISketchVotes
    function answer(uint256 vote, bytes calldata request, bytes calldata text) external {
        Vote storage entry = _at(vote, Stage.Answering);

        require(msg.sender == entry.operator, NotAccused(vote, msg.sender));
        require(block.timestamp < entry.endsAt, TooLate(vote, entry.endsAt));
        _checkPosted(entry.batch);
        require(request.length + text.length <= MAX_ANSWER_BYTES, AnswerTooLong(request.length + text.length));
        require(keccak256(abi.encode(keccak256(request), keccak256(text))) == entry.answerHash, WrongAnswer(vote));

        entry.stage = Stage.Voting;
        entry.endsAt = uint64(block.timestamp) + commitPeriod;

        emit Answered(vote, entry.batch, request, text, entry.endsAt, entry.endsAt + revealPeriod);
    }

    /// @inheritdoc ISketchVotes
    function strikeSilent(uint256 vote) external nonReentrant {
        Vote storage entry = _at(vote, Stage.Answering);

        require(block.timestamp >= entry.endsAt, TooEarly(vote, entry.endsAt));
        _checkPosted(entry.batch);

        _close(vote, entry, Stage.Struck);
        owed[entry.challenger] += bond;

        _release(entry);
        disputes.strike(entry.batch, Rule.Sketch, entry.challenger);
    }

    /// @inheritdoc ISketchVotes
    function commit(uint256 vote, bytes32 commitment) external {
        Vote storage entry = _at(vote, Stage.Voting);
        Ballot storage ballot = _ballots[vote][msg.sender];

        require(ballot.stake != 0, NotOnPanel(vote, msg.sender));
        require(block.timestamp < entry.endsAt, TooLate(vote, entry.endsAt));
        require(commitment != 0, ZeroCommitment());
        require(ballot.commitment == 0, AlreadyCommitted(vote, msg.sender));
        _checkPosted(entry.batch);

        ballot.commitment = commitment;

        emit Committed(vote, msg.sender, commitment);
    }

    /// @inheritdoc ISketchVotes
    function reveal(uint256 vote, Choice choice, bytes32 salt) external {
        Vote storage entry = _at(vote, Stage.Voting);
        Ballot storage ballot = _ballots[vote][msg.sender];
        uint256 endsAt = _revealEndsAt(entry);

        require(block.timestamp >= entry.endsAt, TooEarly(vote, entry.endsAt));
        require(block.timestamp < endsAt, TooLate(vote, endsAt));
        require(choice != Choice.None, NoChoice());
        require(ballot.choice == Choice.None, AlreadyRevealed(vote, msg.sender));
        require(ballot.commitment == commitmentOf(vote, msg.sender, choice, salt), WrongReveal(vote, msg.sender));

        ballot.choice = choice;
        entry.revealedStake += ballot.stake;
        if (choice == Choice.False) entry.falseStake += ballot.stake;

        emit Revealed(vote, msg.sender, choice, ballot.stake);
    }

    /// @inheritdoc ISketchVotes
    function resolve(uint256 vote) external nonReentrant {
        Vote storage entry = _votes[vote];
        bool isPosted = _isPosted(entry.batch);

        require(
            entry.stage == Stage.Voting || (entry.stage == Stage.Answering && !isPosted), WrongStage(vote, entry.stage)
        );
        // Nobody has voted on a challenge without an answer, so there is nothing to wait for.
        if (entry.stage == Stage.Voting) {
            require(block.timestamp >= _revealEndsAt(entry), TooEarly(vote, _revealEndsAt(entry)));
        }

        Stage outcome = isPosted ? _outcomeOf(entry) : Stage.Void;
        _close(vote, entry, outcome);
        uint256 burned = 0;
        if (outcome == Stage.Upheld) burned = bond - _reward(vote, entry);
        else owed[entry.challenger] += bond;

        _release(entry);
        if (outcome == Stage.Struck) disputes.strike(entry.batch, Rule.Sketch, entry.challenger);
        burned += _penalise(vote, outcome);
        if (burned != 0) Address.sendValue(payable(BURN), burned);
    }

    /// @inheritdoc ISketchVotes
    function abandon(uint256 vote) external nonReentrant {
        Vote storage entry = _votes[vote];
        require(entry.stage == Stage.Answering || entry.stage == Stage.Voting, WrongStage(vote, entry.stage));
        uint256 beginsAt = ABANDON_DELAY + (entry.stage == Stage.Voting ? _revealEndsAt(entry) : entry.endsAt);
        require(block.timestamp >= beginsAt, TooEarly(vote, beginsAt));

        _close(vote, entry, Stage.Abandoned);
        owed[entry.challenger] += bond;

        // Whoever makes this fail with too little gas only makes `releaseHold` necessary.
        try disputes.release(entry.batch) {
            entry.held = false;
        } catch {}
    }

    /// @inheritdoc ISketchVotes
    function releaseHold(uint256 vote) external nonReentrant {
        Vote storage entry = _at(vote, Stage.Abandoned);
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
    function _at(uint256 vote, Stage stage) private view returns (Vote storage entry) {
        entry = _votes[vote];
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

    function _revealEndsAt(Vote storage entry) private view returns (uint256) {
        return uint256(entry.endsAt) + revealPeriod;
    }

    /// @dev Neither side is judge in its own case.
    function _fixPanel(uint256 vote, Vote storage entry) private {
        (address[] memory panel, uint256[] memory stakes) = roll.panelWithout(entry.operator, entry.challenger);

        uint256 panelStake = 0;
        for (uint256 i; i < panel.length; ++i) {
            panelStake += stakes[i];
            _ballots[vote][panel[i]].stake = stakes[i].toUint128();
        }
        require(panelStake >= minPanelStake, PanelTooSmall(panelStake, minPanelStake));

        _panels[vote] = panel;
        entry.panelStake = panelStake.toUint128();

        emit PanelFixed(vote, panel, stakes);
    }

    /* OUTCOMES */

    /// @dev The rule of decision, for a batch that stands.
    function _outcomeOf(Vote storage entry) private view returns (Stage) {
        uint256 revealed = entry.revealedStake;
        uint256 isFalse = entry.falseStake;

        if (3 * revealed < 2 * uint256(entry.panelStake)) return Stage.Undecided;
        if (3 * isFalse > 2 * revealed) return Stage.Struck;
        if (3 * (revealed - isFalse) > 2 * revealed) return Stage.Upheld;
        return Stage.Undecided;
    }

    function _close(uint256 vote, Vote storage entry, Stage outcome) private {
        entry.stage = outcome;
        --openVotes;
        delete openVoteOn[entry.batch][entry.row];

        emit Resolved(vote, entry.batch, outcome, entry.panelStake, entry.revealedStake, entry.falseStake);
    }

    function _release(Vote storage entry) private {
        entry.held = false;
        disputes.release(entry.batch);
    }

    /// @dev Credits half of the bond to who voted that the record holds; floors, so the sum is never above that half.
    function _reward(uint256 vote, Vote storage entry) private returns (uint256 rewarded) {
        address[] memory panel = _panels[vote];
        uint256 holdsStake = entry.revealedStake - entry.falseStake;

        for (uint256 i; i < panel.length; ++i) {
            Ballot storage ballot = _ballots[vote][panel[i]];
            if (ballot.choice != Choice.Holds) continue;

            uint256 amount = bond / 2 * ballot.stake / holdsStake;
            owed[panel[i]] += amount;
            rewarded += amount;
            emit Rewarded(vote, panel[i], amount);
        }
    }

    /// @dev Whether this contract is a slasher is asked beforehand: a slash that may fail could be made to fail by
    /// whoever owes it, with too little gas.
    function _penalise(uint256 vote, Stage outcome) private returns (uint256 slashed) {
        if (!staking.isSlasher(address(this))) return 0;
        address[] memory panel = _panels[vote];

        for (uint256 i; i < panel.length; ++i) {
            if (!_owesPenalty(_ballots[vote][panel[i]], outcome)) continue;

            uint256 amount = staking.slash(panel[i], penaltyWad);
            slashed += amount;
            emit Penalised(vote, panel[i], amount);
        }
    }

    function _owesPenalty(Ballot storage ballot, Stage outcome) private view returns (bool) {
        Choice choice = ballot.choice;

        if (choice == Choice.None) return outcome != Stage.Void || ballot.commitment != 0;
        if (outcome == Stage.Struck) return choice == Choice.Holds;
        if (outcome == Stage.Upheld) return choice == Choice.False;
        return false;
    }
}
