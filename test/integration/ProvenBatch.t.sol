// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {BatchId} from "../../contracts/types/Ids.sol";
import {ProvenBatchBase} from "../ProvenBatchBase.sol";

/// @notice A batch of the prover through the contracts.
contract ProvenBatchTest is ProvenBatchBase {
    function test_batch_isAcceptedFinalAndClaimed() public {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");

        vm.prank(operator);
        BatchId batch = settlement.submitBatch(submission, draws, proof);
        vm.snapshotGasLastCall("ProvenBatch", "submitBatch, one page of 65536 and two draws");
        assertEq(BatchId.unwrap(batch), vm.parseJsonBytes32(json, ".batch"));
        assertEq(address(settlement).balance, submission.total * GWEI);

        vm.warp(settlement.batchOf(batch).finalisableAt);
        settlement.finaliseBatch(batch, submission.pages, submission.payouts);
        ISettlement.Claim[] memory claims = _claims(1, 1, 6);
        assertEq(settlement.claimMany(claims), submission.total);

        for (uint256 i; i < claims.length; ++i) {
            (address account, IEarnerRegistry.Role role) = earners.accountOf(claims[i].earner);
            uint256 paid = role == IEarnerRegistry.Role.Stakers ? address(staking).balance - STAKE : account.balance;
            assertEq(paid, claims[i].cumulativeEarnings * GWEI);
        }
        assertEq(address(settlement).balance, 0);
    }

    function test_batch_isRefundedWhenStruck() public {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");
        vm.prank(operator);
        BatchId batch = settlement.submitBatch(submission, draws, proof);

        vm.prank(ARBITER);
        settlement.strike(batch);
        IPaymentChannels.Interval[] memory intervals = new IPaymentChannels.Interval[](2);
        for (uint256 i; i < 2; ++i) {
            intervals[i] = IPaymentChannels.Interval(draws[i].voucher.channelId, 0, amounts[i]);
        }
        settlement.refund(batch, intervals);

        assertEq(address(settlement).balance, 0);
        assertEq(address(channels).balance, 2 * DEPOSIT);
    }

    /// @dev What the proof is of, changed in one place each.
    function test_batch_isRefusedWhenTheProofIsOfAnother() public {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");

        uint64 total = submission.total;
        submission.total = total - 1;
        _expectRefused(submission, _draw(1, amounts[1] - 1, draws), proof);
        submission.total = total;
        (submission.payouts[0], submission.ledger) = (submission.ledger, submission.payouts[0]);
        _certify(submission);
        _expectRefused(submission, draws, proof);
        (submission.payouts[0], submission.ledger) = (submission.ledger, submission.payouts[0]);
        submission.witnesses[0] = submission.ledger;
        _certify(submission);
        _expectRefused(submission, draws, proof);
        submission = _submission();
        vm.warp(block.timestamp + 1);
        _certify(submission);
        _expectRefused(submission, draws, proof);
        submission = _submission();
        proof[7] ^= 1;
        _expectRefused(submission, draws, proof);

        proof[7] ^= 1;
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    /// @dev The prover's certificates are the attestor's: so it made the proof for the hash that Settlement computes.
    function test_certificates_areTheAttestors() public view {
        ISettlement.Submission memory submission = _submission();
        bytes[] memory given = submission.certificates;
        _certify(submission);
        assertEq(given.length, 2);
        assertEq(given[0], submission.certificates[0]);
        assertEq(given[1], submission.certificates[1]);
        assertEq(keccak256(abi.encode(given)), vm.parseJsonBytes32(json, ".certificate_hash"));
    }
}
