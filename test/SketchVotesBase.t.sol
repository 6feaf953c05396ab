// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../contracts/interfaces/IDisputes.sol";
import {ISketchVotes} from "../contracts/interfaces/ISketchVotes.sol";
import {CellOpening} from "../contracts/libraries/CellOpenings.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {Disputes} from "../contracts/settlement/Disputes.sol";
import {SketchVotes} from "../contracts/settlement/SketchVotes.sol";
import {ValidatorRoll} from "../contracts/settlement/ValidatorRoll.sol";
import {BatchId} from "../contracts/types/Ids.sol";
import {DevSrs} from "./DevSrs.sol";
import {SettlementBase} from "./SettlementBase.t.sol";

/// @notice Strikes as a fault contract that has found another fault does.
contract OtherFaults {}

/// @notice Disputes with SketchVotes among its fault contracts, validators on a roll, and the steps of a vote.
abstract contract SketchVotesBase is SettlementBase {
    uint256 internal constant BOND = 10 ether + 1;
    uint256 internal constant PENALTY = 0.05e18;
    uint64 internal constant ANSWER_PERIOD = 12 hours;
    uint64 internal constant COMMIT_PERIOD = 6 hours;
    uint64 internal constant REVEAL_PERIOD = 3 hours;
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;

    bytes internal constant REQUEST = "write a function that transfers tokens";
    bytes internal constant TEXT = "function transfer(address to, uint256 amount) external {}";
    bytes32 internal constant SALT = keccak256("salt");

    ISketchVotes.Choice internal constant HOLDS = ISketchVotes.Choice.Holds;
    ISketchVotes.Choice internal constant FALSE = ISketchVotes.Choice.False;

    address internal challenger = makeAddr("challenger");
    Disputes internal arbiter;
    ValidatorRoll internal roll;
    SketchVotes internal votes;
    OtherFaults internal others;

    function setUp() public virtual override {
        super.setUp();
        arbiter = new Disputes(owner, settlement, staking, STRIKE_SLASH);
        roll = new ValidatorRoll(staking);
        votes = new SketchVotes(arbiter, roll, _parameters());
        others = new OtherFaults();

        address[] memory faultContracts = new address[](2);
        (faultContracts[0], faultContracts[1]) = (address(votes), address(others));
        vm.startPrank(owner);
        arbiter.setFaultContracts(faultContracts);
        settlement.setArbiter(address(arbiter), true);
        staking.setSlasher(address(arbiter), true);
        staking.setSlasher(address(votes), true);
        vm.stopPrank();

        vm.deal(challenger, 1000 ether);
    }

    function _parameters() internal pure virtual returns (ISketchVotes.Parameters memory) {
        return ISketchVotes.Parameters({
            bond: BOND,
            minPanelStake: MIN_STAKE,
            penaltyWad: PENALTY,
            answerPeriod: ANSWER_PERIOD,
            commitPeriod: COMMIT_PERIOD,
            revealPeriod: REVEAL_PERIOD
        });
    }

    /// @dev An operator with the stake, on the roll.
    function _validator(string memory name, uint256 stake) internal returns (address validator) {
        validator = makeAddr(name);
        vm.deal(validator, stake);
        vm.startPrank(validator);
        staking.registerOperator{value: stake}();
        roll.enrol();
        vm.stopPrank();
    }

    function _post() internal returns (BatchId) {
        return _post(FIRST_EPOCH, _payouts(contributor, 1000));
    }

    /// @dev Of a record that answers REQUEST with TEXT; `seed` tells records apart.
    function _witness(uint64 seed) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(bytes32("channel"), uint64(1000), bytes32("model"), uint32(1));
        bytes memory call = abi.encodePacked(keccak256(REQUEST), seed, uint64(128), uint64(START));
        return bytes.concat(head, call, keccak256(TEXT), new bytes(65), hex"0102ff");
    }

    /// @dev Cells 4 and 7 of the record row of a witness.
    function _cells(bytes memory witness) internal pure returns (uint256[] memory values) {
        values = new uint256[](2);
        values[0] = uint256(3) << 240 | uint256(11) << 208 | uint256(22) << 176;
        values[1] = uint256(keccak256(witness)) >> 8;
    }

    /// @dev Cells 4 and 7 of the row, in the ledger of the epoch.
    function _open(uint64 epoch, uint32 row, uint256[] memory values) internal view returns (CellOpening memory) {
        uint32[] memory indices = new uint32[](2);
        (indices[0], indices[1]) = (8 * row + 4, 8 * row + 7);
        return _open(epoch, indices, values);
    }

    /// @dev With the secret of the reference string any values open; the ledger's value at it is 1 + epoch.
    function _open(uint64 epoch, uint32[] memory indices, uint256[] memory values)
        internal
        view
        returns (CellOpening memory opening)
    {
        (uint256 atTau, uint256 order) = (1 + epoch, 8 * ROWS);
        (uint256 r, uint256 z) = _line(order, indices, values, DevSrs.TAU);
        uint256 quotient = mulmod(addmod(atTau, DevSrs.R - r, DevSrs.R), DevSrs.inverse(z), DevSrs.R);
        G1Point memory w = Kzg.mul(Kzg.generator(), quotient);
        G1Point memory ledger = Kzg.mul(Kzg.generator(), atTau);

        uint256 chi = uint256(keccak256(abi.encode(ledger.x, ledger.y, order, indices, values, w.x, w.y))) % DevSrs.R;
        (r, z) = _line(order, indices, values, chi);
        uint256 value = addmod(r, mulmod(z, quotient, DevSrs.R), DevSrs.R);
        return CellOpening(indices, values, w, DevSrs.witness(atTau, chi, value));
    }

    /// @dev The line through two values and the polynomial that is zero there, at a point.
    function _line(uint256 order, uint32[] memory indices, uint256[] memory values, uint256 point)
        private
        view
        returns (uint256 r, uint256 z)
    {
        uint256 root = Kzg.rootOfUnity(order);
        uint256 first = Kzg.pow(root, indices[0]);
        uint256 step = addmod(Kzg.pow(root, indices[1]), DevSrs.R - first, DevSrs.R);
        uint256 slope = mulmod(addmod(values[1], DevSrs.R - values[0], DevSrs.R), DevSrs.inverse(step), DevSrs.R);
        uint256 distance = addmod(point, DevSrs.R - first, DevSrs.R);

        r = addmod(values[0], mulmod(slope, distance, DevSrs.R), DevSrs.R);
        z = mulmod(distance, addmod(distance, DevSrs.R - step, DevSrs.R), DevSrs.R);
    }

    function _challenge(BatchId batch, uint32 row) internal returns (uint256) {
        bytes memory witness = _witness(row);
        CellOpening memory opening = _open(settlement.batchOf(batch).epoch, row, _cells(witness));

        vm.prank(challenger);
        return votes.challenge{value: BOND}(batch, row, opening, witness);
    }

    function _answer(uint256 vote) internal {
        vm.prank(votes.voteOf(vote).operator);
        votes.answer(vote, REQUEST, TEXT);
    }

    function _commit(uint256 vote, address validator, ISketchVotes.Choice choice) internal {
        bytes32 commitment = votes.commitmentOf(vote, validator, choice, SALT);
        vm.prank(validator);
        votes.commit(vote, commitment);
    }

    function _reveal(uint256 vote, address validator, ISketchVotes.Choice choice) internal {
        vm.prank(validator);
        votes.reveal(vote, choice, SALT);
    }

    /// @dev Whoever has a choice commits and reveals it, and the time to reveal ends.
    function _ballots(uint256 vote, address[] memory voters, ISketchVotes.Choice[] memory choices) internal {
        for (uint256 i; i < voters.length; ++i) {
            if (choices[i] != ISketchVotes.Choice.None) _commit(vote, voters[i], choices[i]);
        }
        _toReveals(vote);
        for (uint256 i; i < voters.length; ++i) {
            if (choices[i] != ISketchVotes.Choice.None) _reveal(vote, voters[i], choices[i]);
        }
        _toEnd(vote);
    }

    function _toReveals(uint256 vote) internal {
        vm.warp(votes.voteOf(vote).endsAt);
    }

    function _toEnd(uint256 vote) internal {
        vm.warp(votes.voteOf(vote).endsAt + REVEAL_PERIOD);
    }

    /// @dev Strikes for another fault.
    function _strikeOtherwise(BatchId batch) internal {
        vm.prank(address(others));
        arbiter.strike(batch, Rule.Fee, address(0xbeef));
    }
}
