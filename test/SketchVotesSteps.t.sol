// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {ISketchVotes} from "../contracts/interfaces/ISketchVotes.sol";
import {BatchId} from "../contracts/types/Ids.sol";
import {SketchVotesBase} from "./SketchVotesBase.t.sol";

/// @notice Votes on a record of a posted batch, with three validators.
abstract contract SketchVotesSteps is SketchVotesBase {
    ISketchVotes.Choice internal constant SILENT = ISketchVotes.Choice.None;
    uint32 internal constant ROW = 5;

    address internal large;
    address internal middle;
    address internal small;
    BatchId internal batch;

    function setUp() public virtual override {
        super.setUp();
        large = _validator("large", 3000 ether);
        middle = _validator("middle", 2000 ether);
        small = _validator("small", 1000 ether);
        batch = _post();
    }

    /* STEPS */

    /// @dev A vote that is open for commitments.
    function _opened() internal returns (uint256 vote) {
        vote = _challenge(batch, ROW);
        _answer(vote);
    }

    /// @dev A vote with the ballots of the three, whose time is over.
    function _voted(ISketchVotes.Choice a, ISketchVotes.Choice b, ISketchVotes.Choice c)
        internal
        returns (uint256 vote)
    {
        vote = _opened();
        address[] memory voters = new address[](3);
        (voters[0], voters[1], voters[2]) = (large, middle, small);
        ISketchVotes.Choice[] memory choices = new ISketchVotes.Choice[](3);
        (choices[0], choices[1], choices[2]) = (a, b, c);
        _ballots(vote, voters, choices);
    }

    function _stageOf(uint256 vote) internal view returns (ISketchVotes.Stage) {
        return votes.voteOf(vote).stage;
    }

    function _assertStage(uint256 vote, ISketchVotes.Stage stage) internal view {
        assertEq(uint8(_stageOf(vote)), uint8(stage), "stage");
    }

    function _statusOf(BatchId batch_) internal view returns (ISettlement.Status) {
        return settlement.batchOf(batch_).status;
    }

    function _assertSlashed(address validator, uint256 stake, bool slashed) internal view {
        assertEq(staking.stakeOf(validator), slashed ? stake - stake * PENALTY / 1e18 : stake, "stake");
    }

    function _assertClosed(uint256 vote, ISketchVotes.Stage stage) internal view {
        _assertStage(vote, stage);
        assertFalse(votes.voteOf(vote).held, "held");
        assertEq(votes.openVotes(), 0, "open votes");
        assertEq(votes.openVoteOn(batch, ROW), 0, "open vote on the record");
        assertEq(settlement.batchOf(batch).holds, 0, "holds");
    }

    function _revert(bytes4 selector, uint256 what) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, what));
    }

    function _revert(bytes4 selector, address who) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, who));
    }

    function _revertStage(uint256 vote, ISketchVotes.Stage stage) internal {
        vm.expectRevert(abi.encodeWithSelector(ISketchVotes.WrongStage.selector, vote, stage));
    }

    /// @dev As in a transaction of its own.
    function _cool() internal {
        vm.cool(address(votes));
        vm.cool(address(roll));
        vm.cool(address(staking));
        vm.cool(address(arbiter));
        vm.cool(address(settlement));
    }
}
