// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../libraries/CellOpenings.sol";
import {BatchId} from "../types/Ids.sol";
import {IValidatorRoll} from "./IValidatorRoll.sol";

/// @notice Votes of staked validators on what only re-execution shows: that a record's answer, token counts, query
/// sketch and credits for spans and citations are what its model gives for the payer's request.
/// @dev A vote goes: challenge with a bond, answer by the accused operator, commitments, reveals, resolution. The bond
/// leaves in exactly one way, and the batch is held, so that it cannot become final, from challenge to resolution.
///
/// What validators judge: they run the model's numeric profile on the revealed request with the witness's seed and
/// bound on tokens. A record is False if the answer is another, if the record's row counts other tokens, or if more
/// than 1% of the sketch's coordinates differ from theirs, or one by more than 1. If the model's published span index
/// pays for the call, a record that has a section for spans is False too if it credits other spans of the answer than
/// that index gives; it may credit none for an hour after the index was accepted. So is one that has a section for
/// citations and credits others than the answer has. Else it Holds. Everything else that a witness or row says has a
/// proof of its own in Disputes and is no reason for False.
///
/// Who votes: a challenge fixes its panel at once, the whole roll of IValidatorRoll but the accused and the challenger,
/// each with its stake of that moment. Nothing is drawn, so there is nothing to bias. Whoever leaves the roll, or
/// unbonds its stake, stays bound to the votes that it is on until they are closed.
///
/// Rule of decision, by stake of the panel (P), of what was revealed (R), and of either choice:
///
/// | condition | outcome | batch | bond | slashed |
/// |---|---|---|---|---|
/// | no answer in time | Struck | struck | back | nobody here |
/// | R >= 2/3 P, False > 2/3 R | Struck | struck | back, beside the challenger's part of the strike | Holds, silent |
/// | R >= 2/3 P, Holds > 2/3 R | Upheld | released | half to who voted Holds, by stake; rest burned | False, silent |
/// | otherwise | Undecided | released | back | silent |
/// | batch struck for another reason meanwhile | Void | | back | who committed and did not reveal |
/// | never resolved, see `abandon` | Abandoned | released | back | nobody |
///
/// Why: nothing is taken from an operator, a challenger or a validator unless more than two thirds of a quorum of two
/// thirds, so more than 4/9 of the panel's stake, says so; the same share is asked of both sides, so neither is the
/// safe bet; between the two a payment stands, because a batch counts as right until shown wrong, and nobody loses
/// for having voted. Whoever has more than a third of the stake can prevent a decision, though only by voting
/// or by being slashed for silence, and whoever has two thirds decides: that validators' stake is honest is the
/// assumption here, and `minPanelStake` is what must be behind a vote at least.
/// @dev Ballots, rewards and penalties are events of PanelVote, which refuses ballots with errors of its own; times that
/// are not kept are refused with its `TooLate` and `TooEarly`.
/// @dev Amounts are wei of native OPEN, times seconds.
/// @dev Warning: request and answer become public when a record is challenged, and together must fit
/// `MAX_ANSWER_BYTES`: an operator must not serve a call beyond that, because it could not answer for it.
/// @dev Warning: all that is slashed here is burned, lest anyone gains by another's silence or minority.
/// @dev Warning: this contract must be a fault contract of Disputes and a slasher of Staking. Votes that are resolved
/// while it is no slasher take nothing from who owes a penalty; while Disputes can neither strike nor release, votes can
/// only be closed by `abandon`.
/// @dev Warning: voters are paid only when a record is upheld; for False they keep their stake and no more.
interface ISketchVotes {
    enum Stage {
        None,
        Answering,
        Voting,
        Struck,
        Upheld,
        Undecided,
        Void,
        Abandoned
    }

    enum Choice {
        None,
        Holds,
        False
    }

    /// @param bond of a challenge; it prices what a wrong one costs the panel and the operator
    /// @param minPanelStake least stake of a panel
    /// @param penaltyWad share of their whole pool that silent and losing validators lose per vote (1e18 = all)
    /// @param answerPeriod from the challenge until the batch can be struck for silence
    /// @param commitPeriod from the answer
    /// @param revealPeriod from the end of `commitPeriod`
    struct Parameters {
        uint256 bond;
        uint256 minPanelStake;
        uint256 penaltyWad;
        uint64 answerPeriod;
        uint64 commitPeriod;
        uint64 revealPeriod;
    }

    /// @param row of the ledger that holds the record
    /// @param endsAt when the time to answer ends (Answering) or the time to commit (later stages); votes are revealed
    /// from then on for `revealPeriod`
    /// @param held whether the batch is held for this vote
    /// @param panelStake sum over the panel
    /// @param revealedStake of which revealed
    /// @param falseStake of which for False
    /// @param answerHash keccak256(abi.encode(promptHash, outputHash)) of the witness
    struct Vote {
        BatchId batch;
        address operator;
        uint64 endsAt;
        Stage stage;
        bool held;
        address challenger;
        uint32 row;
        uint128 panelStake;
        uint128 revealedStake;
        uint128 falseStake;
        bytes32 answerHash;
    }

    /// @param commitment zero until committed
    /// @param stake when the panel was fixed; zero for whoever is not on it
    /// @param choice None until revealed
    struct Ballot {
        bytes32 commitment;
        uint128 stake;
        Choice choice;
    }

    /// @dev Thrown at construction, when there is no bond, penalty above `MAX_PENALTY_WAD` or none, or no panel stake.
    error ParameterOutOfRange();
    /// @dev Thrown at construction, when the roll is of another Staking than Disputes slashes in.
    error WrongRoll(IValidatorRoll roll);
    /// @dev Thrown at construction, when a period is zero, or dispute window and vote outlast the blobs, or stake that
    /// leaves while a vote is open could be gone at its end.
    error PeriodOutOfRange(uint64 answerPeriod, uint64 commitPeriod, uint64 revealPeriod);
    /// @dev Thrown for a batch that is not Posted: never was, is final, or is struck.
    error BatchNotPosted(BatchId batch);
    /// @dev Thrown when a batch is challenged after its window.
    error WindowOver(BatchId batch, uint64 finalisableAt);
    /// @dev Thrown unless a challenge brings exactly the bond.
    error WrongBond(uint256 given, uint256 bond);
    /// @dev Thrown while another vote on the record is open.
    error VoteOpen(uint256 vote);
    /// @dev Thrown when the opening is not of cells 4 and 7 of the row.
    error WrongCells(uint32 row);
    /// @dev Thrown when the row is no record.
    error NotRecord(uint32 row);
    /// @dev Thrown when the witness does not hash to what the row says.
    error WrongWitness(uint32 row, bytes32 recordHash);
    /// @dev Thrown for an action that the vote's stage does not have.
    error WrongStage(uint256 vote, Stage stage);
    /// @dev Thrown when anyone but the accused operator answers.
    error NotAccused(uint256 vote, address caller);
    /// @dev Thrown when request and answer together exceed `MAX_ANSWER_BYTES`.
    error AnswerTooLong(uint256 length);
    /// @dev Thrown unless request and answer hash to what the witness says.
    error WrongAnswer(uint256 vote);
    /// @dev Thrown when there is no hold left of a vote.
    error NotHeld(uint256 vote);
    /// @dev Thrown when nothing is owed to the account.
    error NothingOwed(address account);
    /// @dev Thrown when anyone but Staking sends coins here.
    error NotStaking(address sender);

    /// @dev `witness` and the token counts of the row are what validators judge, with the answer.
    event Challenged(
        uint256 indexed vote,
        BatchId indexed batch,
        address indexed operator,
        address challenger,
        uint32 row,
        uint32 tokensIn,
        uint32 tokensOut,
        bytes witness,
        uint64 answerEndsAt
    );
    /// @dev Emitted with `Challenged`: who may vote, each with the stake that its vote weighs.
    event PanelFixed(uint256 indexed vote, address[] validators, uint256[] stakes);
    event Answered(
        uint256 indexed vote,
        BatchId indexed batch,
        bytes request,
        bytes answer,
        uint64 commitEndsAt,
        uint64 revealEndsAt
    );
    /// @param stage that the vote ended in
    event Resolved(
        uint256 indexed vote,
        BatchId indexed batch,
        Stage indexed stage,
        uint256 panelStake,
        uint256 revealedStake,
        uint256 falseStake
    );
    /// @dev Emitted when a closed vote's hold is given back later than the vote was closed.
    event HoldReleased(uint256 indexed vote, BatchId indexed batch);
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice What a challenge must bring.
    function bond() external view returns (uint256);

    /// @notice Least stake of a panel.
    function minPanelStake() external view returns (uint256);

    /// @notice Share of their pool that silent and losing validators lose per vote (1e18 = all).
    function penaltyWad() external view returns (uint256);

    /// @notice Seconds in which an operator must answer.
    function answerPeriod() external view returns (uint64);

    /// @notice Seconds in which validators commit, from the answer.
    function commitPeriod() external view returns (uint64);

    /// @notice Seconds in which validators reveal, once no more may commit.
    function revealPeriod() external view returns (uint64);

    /// @notice Votes ever opened; their numbers count from 1.
    function voteCount() external view returns (uint256);

    /// @notice Votes not closed; the contract holds a bond for each.
    function openVotes() external view returns (uint256);

    /// @notice The open vote on the record in a row, or 0.
    function openVoteOn(BatchId batch, uint32 row) external view returns (uint256 vote);

    /// @notice A vote; all fields are zero for a number that was not given out.
    function voteOf(uint256 vote) external view returns (Vote memory);

    /// @notice Who may vote.
    function panelOf(uint256 vote) external view returns (address[] memory);

    /// @notice A validator's ballot; all fields are zero for whoever is not on the panel.
    function ballotOf(uint256 vote, address validator) external view returns (Ballot memory);

    /// @notice What a validator commits to: keccak256(abi.encode(chainid, this, vote, validator, choice, salt)).
    /// @dev The salt must be secret and random, as there are two choices to try; a validator that is told apart from
    /// others by its address cannot copy a commitment.
    function commitmentOf(uint256 vote, address validator, Choice choice, bytes32 salt) external view returns (bytes32);

    /// @notice What `withdraw` pays the account.
    function owed(address account) external view returns (uint256);

    /// @notice Challenges the record in a row of a posted batch and holds the batch.
    /// @dev While the batch's window is open. Brings the bond. One vote per record is open at a time; a closed one does
    /// not prevent the next, so that a panel that was bought once must be bought each time.
    /// @param ledger opening of cells 4 and 7 of the row; CellOpenings refuses a wrong one with errors of its own
    /// @param witness of the record, whose hash is in the row
    /// @return vote number of the vote
    function challenge(BatchId batch, uint32 row, CellOpening calldata ledger, bytes calldata witness)
        external
        payable
        returns (uint256 vote);

    /// @notice Reveals what the accused record's payer asked and was answered, and opens the vote. The operator only.
    /// @param request bytes whose keccak256 is the witness's prompt hash
    /// @param text bytes whose keccak256 is the witness's output hash
    function answer(uint256 vote, bytes calldata request, bytes calldata text) external;

    /// @notice Strikes the batch of an operator that did not answer in time. Anyone may call it.
    /// @dev If the batch is struck already, `resolve` closes the vote.
    function strikeSilent(uint256 vote) external;

    /// @notice Commits the calling validator to a choice, once, see `commitmentOf`.
    /// @dev Not while the batch is struck: who commits to nothing that is decided has no duty to reveal it.
    function commit(uint256 vote, bytes32 commitment) external;

    /// @notice Reveals what the calling validator committed to.
    function reveal(uint256 vote, Choice choice, bytes32 salt) external;

    /// @notice Closes a vote by the rule of decision, once the time to reveal is over. Anyone may call it.
    /// @dev If the batch was struck for another reason, an unanswered challenge is closed at any time.
    function resolve(uint256 vote) external;

    /// @notice Closes a vote that could not be resolved for `ABANDON_DELAY`, because Disputes refused. Anyone may call
    /// it.
    /// @dev Gives the bond back even if the hold cannot be released; `releaseHold` tries again.
    function abandon(uint256 vote) external;

    /// @notice Gives back the hold of an abandoned vote. Anyone may call it.
    function releaseHold(uint256 vote) external;

    /// @notice Pays an account what it is owed. Anyone may call it for anyone.
    /// @dev Reverts if the account does not accept it; then it stays owed.
    /// @return amount paid
    function withdraw(address account) external returns (uint256 amount);
}
