// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../../contracts/interfaces/IDaCertVerifier.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point, G2Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {BatchId, ChannelId, EarnerIndex} from "../../contracts/types/Ids.sol";
import {DevSrs} from "../DevSrs.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @dev An earner with code that refuses payments, or claims again while it is paid.
contract ContractEarner {
    Settlement private immutable _settlement;
    bool private _accepts = true;
    ISettlement.Claim private _again;

    constructor(Settlement settlement) {
        _settlement = settlement;
    }

    receive() external payable {
        require(_accepts);
        if (EarnerIndex.unwrap(_again.earner) != 0) {
            try _settlement.claim(_again) {} catch {}
        }
    }

    function register(IEarnerRegistry earners) external returns (uint32) {
        return EarnerIndex.unwrap(earners.register(IEarnerRegistry.Role.Contributor));
    }

    function refuse() external {
        _accepts = false;
    }

    function claimAgain(ISettlement.Claim calldata claim) external {
        _again = claim;
    }
}

contract SettlementTest is SettlementBase {
    address private stranger = makeAddr("stranger");

    function test_submitBatch_storesAndDraws() public {
        vm.warp(_endOf(FIRST_EPOCH));
        PayoutBook.Payout[] memory payouts = _payoutsToAll();
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, payouts);
        IPaymentChannels.Draw[] memory draws = _draws(1000, FIRST_EPOCH);
        BatchId id = settlement.batchIdOf(operator, FIRST_EPOCH);
        IPaymentChannels.Interval[] memory intervals = _intervalsOf(draws);
        uint256[] memory proof = _proof(submission, draws);

        vm.expectEmit(address(settlement));
        emit ISettlement.BatchPosted(id, operator, FIRST_EPOCH, submission, intervals);
        vm.prank(operator);
        BatchId batch = settlement.submitBatch(submission, draws, proof);
        vm.snapshotGasLastCall("Settlement", "submitBatch without the proof, one page, witness blob and draw");

        assertEq(BatchId.unwrap(batch), BatchId.unwrap(id));
        ISettlement.Batch memory stored = settlement.batchOf(batch);
        assertEq(stored.operator, operator);
        assertEq(stored.epoch, FIRST_EPOCH);
        assertEq(stored.total, 1000);
        assertEq(stored.finalisableAt, _endOf(FIRST_EPOCH) + DISPUTE_WINDOW);
        assertEq(stored.rows, ROWS);
        assertEq(stored.witnessSymbols, WITNESS_SYMBOLS);
        assertEq(stored.slotCells, SLOT_CELLS);
        assertEq(stored.holds, 0);
        assertEq(uint8(stored.status), uint8(ISettlement.Status.Posted));
        assertEq(stored.height, 1);
        assertEq(BatchId.unwrap(stored.previous), 0);
        assertEq(stored.payoutsHash, keccak256(abi.encode(submission.pages, submission.payouts)));
        assertEq(stored.witnessesHash, keccak256(abi.encode(submission.witnesses)));
        assertEq(stored.drawsHash, keccak256(abi.encode(intervals)));
        assertEq(stored.ledger.x, submission.ledger.x);
        assertEq(address(settlement).balance, 1000 * GWEI);
        assertEq(channels.channelOf(channel).drawn, 1000);
        assertEq(settlement.totalFunded(), 0, "funds claims only when final");
        assertEq(settlement.unfinalOf(operator), 1000);
        assertEq(BatchId.unwrap(settlement.headOf(operator)), BatchId.unwrap(id));
    }

    function test_batchIdOf_bindsChainAndContract() public view {
        assertEq(
            BatchId.unwrap(settlement.batchIdOf(operator, 9)),
            keccak256(abi.encode(block.chainid, address(settlement), operator, uint64(9)))
        );
    }

    function test_submitBatch_buildsOnTheHead() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 5, _payouts(contributor, 20));

        ISettlement.Batch memory stored = settlement.batchOf(second);
        assertEq(BatchId.unwrap(stored.previous), BatchId.unwrap(first));
        assertEq(stored.height, 2);
        assertEq(BatchId.unwrap(settlement.headOf(operator)), BatchId.unwrap(second));
        assertEq(settlement.unfinalOf(operator), 30);
    }

    function test_submitBatch_keepsTheChainsOfOperatorsApart() public {
        _post(FIRST_EPOCH, _payouts(contributor, 10));
        operator = _operator("operator two");
        vm.prank(payer);
        channel = channels.open{value: 10 ether}(operator, bytes32(0));
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));

        assertEq(BatchId.unwrap(settlement.batchOf(batch).previous), 0);
        assertEq(settlement.unfinalOf(operator), 10);
    }

    function test_submitBatch_takesSeveralWitnessBlobsAndDraws() public {
        vm.prank(payer);
        ChannelId second = channels.open{value: 10 ether}(operator, "second");
        IPaymentChannels.Draw[] memory draws = new IPaymentChannels.Draw[](2);
        uint256 place = ChannelId.unwrap(channel) < ChannelId.unwrap(second) ? 0 : 1;
        draws[place] = _draw(channel, payerKey, 4, FIRST_EPOCH);
        draws[1 - place] = _draw(second, payerKey, 6, FIRST_EPOCH);
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.witnesses = new G1Point[](3);
        for (uint256 i; i < 3; ++i) {
            submission.witnesses[i] = Kzg.mul(Kzg.generator(), 50 + i);
        }
        _certify(submission);
        IPaymentChannels.Interval[] memory intervals = _intervalsOf(draws);

        BatchId batch = _submit(submission, draws);

        assertEq(settlement.batchOf(batch).witnessesHash, keccak256(abi.encode(submission.witnesses)));
        assertEq(settlement.batchOf(batch).drawsHash, keccak256(abi.encode(intervals)));
    }

    function test_submitBatch_takesTheLargestAndTheSmallestWitnessBlobs() public {
        vm.warp(_endOf(FIRST_EPOCH + 1));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        (submission.witnessSymbols, submission.slotCells) = (1 << 19, 1 << 18);
        _certify(submission);
        _submit(submission);
        submission = _submission(FIRST_EPOCH + 1, _payouts(contributor, 10));
        (submission.witnessSymbols, submission.slotCells) = (16, 8);
        _certify(submission);
        _submit(submission);
    }

    /// @dev Each change gives another statement than the one that the proof is of.
    function test_submitBatch_reverts_whenProofIsOfAnotherBatch() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        IPaymentChannels.Draw[] memory draws = _draws(10, FIRST_EPOCH);
        uint256[] memory proof = _proof(submission, draws);

        for (uint256 field; field < 5; ++field) {
            ISettlement.Submission memory changed = _submission(FIRST_EPOCH, _payouts(contributor, 10));
            if (field == 0) changed.ledger = Kzg.mul(Kzg.generator(), 77);
            if (field == 1) changed.payouts[0] = Kzg.mul(Kzg.generator(), 77);
            if (field == 2) changed.witnesses[0] = Kzg.mul(Kzg.generator(), 77);
            if (field == 3) changed.rows = 32;
            if (field == 4) {
                changed.witnesses = new G1Point[](2);
                changed.witnesses[0] = submission.witnesses[0];
            }
            _certify(changed);
            vm.expectRevert(ISettlement.InvalidProof.selector);
            vm.prank(operator);
            settlement.submitBatch(changed, draws, proof);
        }
        // Only the certificates: they were issued a second later.
        vm.warp(_endOf(FIRST_EPOCH) + 1);
        _certify(submission);
        vm.expectRevert(ISettlement.InvalidProof.selector);
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    function test_submitBatch_reverts_whenThereIsNoProof() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        IPaymentChannels.Draw[] memory draws = _draws(10, FIRST_EPOCH);

        vm.expectRevert(ISettlement.InvalidProof.selector);
        vm.prank(operator);
        settlement.submitBatch(submission, draws, new uint256[](0));
    }

    function test_submitBatch_reverts_whenPreviousIsNotTheHead() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        vm.warp(_endOf(FIRST_EPOCH + 2));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH + 2, _payouts(contributor, 10));
        BatchId[3] memory wrong = [BatchId.wrap(0), first, BatchId.wrap("unknown")];
        for (uint256 i; i < wrong.length; ++i) {
            submission.previous = wrong[i];
            _expectSubmitReverts(
                abi.encodeWithSelector(ISettlement.WrongPrevious.selector, wrong[i], second), submission
            );
        }
    }

    function test_submitBatch_reverts_whenFirstNamesAPrevious() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.previous = BatchId.wrap("unknown");
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.WrongPrevious.selector, submission.previous, bytes32(0)), submission
        );
    }

    function test_submitBatch_reverts_whenEpochIsBeforeThePrevious() public {
        _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.EpochMisordered.selector, FIRST_EPOCH, FIRST_EPOCH + 1),
            _submission(FIRST_EPOCH, _payouts(contributor, 10))
        );
    }

    function test_submitBatch_reverts_whenVoucherIsOfAnotherEpoch() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        uint64[2] memory wrong = [FIRST_EPOCH * EPOCH_SECONDS - 1, (FIRST_EPOCH + 1) * EPOCH_SECONDS];
        for (uint256 i; i < wrong.length; ++i) {
            IPaymentChannels.Draw[] memory draws = _draws(10, FIRST_EPOCH);
            draws[0].voucher.call.time = wrong[i];
            draws[0].signature = _sign(draws[0].voucher, payerKey);
            _expectSubmitReverts(
                abi.encodeWithSelector(ISettlement.VoucherOutsideEpoch.selector, channel, wrong[i]), submission, draws
            );
        }
    }

    function test_submitBatch_takesAVoucherOfTheLastSecond() public {
        vm.warp(_endOf(FIRST_EPOCH));
        IPaymentChannels.Draw[] memory draws = _draws(10, FIRST_EPOCH);
        draws[0].voucher.call.time = _endOf(FIRST_EPOCH) - 1;
        draws[0].signature = _sign(draws[0].voucher, payerKey);
        _submit(_submission(FIRST_EPOCH, _payouts(contributor, 10)), draws);
    }

    function test_submitBatch_reverts_whenAboveExposure() public {
        uint64 cap = uint64(MIN_STAKE * EXPOSURE / 1e18 / GWEI);
        assertEq(settlement.exposureCapOf(operator), cap);
        channels.deposit{value: 200 ether}(channel);
        _post(FIRST_EPOCH, _payouts(contributor, cap - 10));
        vm.warp(_endOf(FIRST_EPOCH + 1));

        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.AboveExposure.selector, operator, cap + 1, cap),
            _submission(FIRST_EPOCH + 1, _payouts(contributor, 11))
        );
        _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        assertEq(settlement.unfinalOf(operator), cap);
    }

    function test_submitBatch_countsDelegatedStakeAndNotWhatIsUnbonding() public {
        address delegator = makeAddr("delegator");
        vm.deal(delegator, 3 * MIN_STAKE);
        vm.startPrank(delegator);
        staking.stake{value: 3 * MIN_STAKE}(operator);
        assertEq(settlement.exposureCapOf(operator), 1000e9);
        staking.unbond(operator, staking.sharesOf(operator, delegator));
        vm.stopPrank();
        assertApproxEqAbs(settlement.exposureCapOf(operator), 250e9, 1);
    }

    function test_submitBatch_isFreeAgainWhenABatchIsFinal() public {
        uint64 cap = uint64(settlement.exposureCapOf(operator));
        channels.deposit{value: 500 ether}(channel);
        _settle(FIRST_EPOCH, _payouts(contributor, cap));
        assertEq(settlement.unfinalOf(operator), 0);
        _post(FIRST_EPOCH + 1, _payouts(contributor, cap));
    }

    function test_submitBatch_reverts_whenWitnessesAreOutOfRange() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        uint32[2][9] memory wrong = [
            [uint32(0), 8],
            [uint32(16), 0],
            [uint32(16), 4],
            [uint32(16), 16],
            [uint32(16), 32],
            [uint32(24), 8],
            [uint32(64), 12],
            [uint32(1 << 20), 8],
            [type(uint32).max, type(uint32).max]
        ];
        for (uint256 i; i < wrong.length; ++i) {
            (submission.witnessSymbols, submission.slotCells) = (wrong[i][0], wrong[i][1]);
            _expectSubmitReverts(
                abi.encodeWithSelector(ISettlement.WitnessesOutOfRange.selector, wrong[i][0], wrong[i][1]), submission
            );
        }
    }

    function test_submitBatch_reverts_whenThereIsNoWitnessBlob() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.witnesses = new G1Point[](0);
        _certify(submission);
        _expectSubmitReverts(abi.encodePacked(ISettlement.NoWitnesses.selector), submission);
    }

    function test_submitBatch_reverts_whenWitnessIsNoPoint() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.witnesses[0] = G1Point(1, 3);
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.InvalidPoint.selector, uint256(1), uint256(3)), submission
        );
    }

    function test_submitBatch_reverts_whenACertificateIsMissing() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        bytes[] memory one = new bytes[](1);
        one[0] = submission.certificates[0];
        submission.certificates = one;
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.CertificatesMismatch.selector, uint256(2), uint256(1)), submission
        );
    }

    function test_submitBatch_reverts_whenWitnessCertificateIsOfAnotherBlob() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        bytes[3] memory wrong = [
            submission.certificates[0],
            _certificate(submission.witnesses[0], 2 * WITNESS_SYMBOLS),
            _certificate(submission.ledger, WITNESS_SYMBOLS)
        ];
        for (uint256 i; i < wrong.length; ++i) {
            submission.certificates[1] = wrong[i];
            _expectSubmitReverts(abi.encodePacked(IDaCertVerifier.InvalidCertificate.selector), submission);
        }
    }

    function test_submitBatch_takesAnIdentityPayout() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.payouts[0] = G1Point(0, 0);
        _submit(submission);
    }

    function test_submitBatch_takesTheLargestLedger() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.rows = 65_536;
        _certify(submission);
        _submit(submission);
    }

    function test_submitBatch_reverts_whenOperatorIsNotActive() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.OperatorNotActive.selector, stranger));
        vm.prank(stranger);
        settlement.submitBatch(submission, _noDraws(), new uint256[](0));
    }

    function test_submitBatch_reverts_whenOperatorUnbonded() public {
        uint256 shares = staking.sharesOf(operator, operator);
        vm.prank(operator);
        staking.unbond(operator, shares);
        vm.warp(_endOf(FIRST_EPOCH));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.OperatorNotActive.selector, operator),
            _submission(FIRST_EPOCH, _payouts(contributor, 10))
        );
    }

    function test_submitBatch_reverts_whenEpochIsNotOver() public {
        vm.warp(_endOf(FIRST_EPOCH) - 1);
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.EpochNotOver.selector, FIRST_EPOCH, _endOf(FIRST_EPOCH)),
            _submission(FIRST_EPOCH, _payouts(contributor, 10))
        );
    }

    function test_submitBatch_reverts_whenEpochIsTheLargest() public {
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.epoch = type(uint64).max;
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.EpochNotOver.selector, type(uint64).max, type(uint64).max),
            submission,
            _draws(10, FIRST_EPOCH)
        );
    }

    function test_submitBatch_reverts_whenBatchExists() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.BatchExists.selector, batch),
            _submission(FIRST_EPOCH, _payouts(contributor, 20))
        );
    }

    function test_submitBatch_reverts_whenBatchIsFinal() public {
        BatchId batch = _settle(FIRST_EPOCH, _payouts(contributor, 10));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.BatchExists.selector, batch),
            _submission(FIRST_EPOCH, _payouts(contributor, 20))
        );
    }

    function test_submitBatch_reverts_whenRowsAreOutOfRange() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        uint32[8] memory wrong = [uint32(0), 1, 3, 4, 48, 65_535, 131_072, type(uint32).max];
        for (uint256 i; i < wrong.length; ++i) {
            submission.rows = wrong[i];
            _expectSubmitReverts(abi.encodeWithSelector(ISettlement.RowsOutOfRange.selector, wrong[i]), submission);
        }
    }

    function test_submitBatch_reverts_whenTotalIsZero() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 0));
        _expectSubmitReverts(abi.encodePacked(ISettlement.EmptyBatch.selector), submission);
    }

    function test_submitBatch_reverts_whenNoPageIsPaid() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.pages = new uint32[](0);
        submission.payouts = new G1Point[](0);
        _expectSubmitReverts(abi.encodePacked(ISettlement.EmptyBatch.selector), submission);
    }

    function test_submitBatch_reverts_whenPagesAndPayoutsDiffer() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.payouts = new G1Point[](2);
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.LengthMismatch.selector, uint256(1), uint256(2)), submission
        );
    }

    function test_submitBatch_reverts_whenPagesRepeat() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.pages = new uint32[](2);
        submission.payouts = new G1Point[](2);
        _expectSubmitReverts(abi.encodePacked(ISettlement.PagesMisordered.selector), submission);
    }

    function test_submitBatch_reverts_whenPagesFall() public {
        _fillFirstPage();
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.pages = new uint32[](2);
        submission.pages[0] = 1;
        submission.payouts = new G1Point[](2);
        _expectSubmitReverts(abi.encodePacked(ISettlement.PagesMisordered.selector), submission);
    }

    function test_submitBatch_reverts_whenPageHasNoEarner() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(PAGE_SIZE, 10));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.PageOutOfRange.selector, uint32(1), uint32(0)), submission
        );
    }

    function test_submitBatch_reverts_whenLedgerIsNoPoint() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.ledger = G1Point(1, 3);
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.InvalidPoint.selector, uint256(1), uint256(3)), submission
        );
    }

    function test_submitBatch_reverts_whenPayoutIsNoPoint() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.payouts[0] = G1Point(Kzg.BASE_MODULUS + 1, 2);
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.InvalidPoint.selector, Kzg.BASE_MODULUS + 1, uint256(2)), submission
        );
    }

    function test_submitBatch_reverts_whenCertificateIsForAnotherLength() public {
        vm.warp(_endOf(FIRST_EPOCH));
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, _payouts(contributor, 10));
        submission.certificates[0] = _certificate(submission.ledger, 4 * ROWS);
        _expectSubmitReverts(abi.encodePacked(IDaCertVerifier.InvalidCertificate.selector), submission);
    }

    function test_submitBatch_reverts_whenDrawsAreLess() public {
        vm.warp(_endOf(FIRST_EPOCH));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.TotalMismatch.selector, uint64(10), uint64(9)),
            _submission(FIRST_EPOCH, _payouts(contributor, 10)),
            _draws(9, FIRST_EPOCH)
        );
    }

    function test_submitBatch_reverts_whenDrawsAreMore() public {
        vm.warp(_endOf(FIRST_EPOCH));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.TotalMismatch.selector, uint64(10), uint64(11)),
            _submission(FIRST_EPOCH, _payouts(contributor, 10)),
            _draws(11, FIRST_EPOCH)
        );
    }

    function test_submitBatch_reverts_whenThereAreNoDraws() public {
        vm.warp(_endOf(FIRST_EPOCH));
        _expectSubmitReverts(
            abi.encodeWithSelector(ISettlement.TotalMismatch.selector, uint64(10), uint64(0)),
            _submission(FIRST_EPOCH, _payouts(contributor, 10)),
            _noDraws()
        );
    }

    function test_finaliseBatch_addsThePayouts() public {
        PayoutBook.Payout[] memory payouts = _payoutsToAll();
        BatchId batch = _post(FIRST_EPOCH, payouts);
        vm.warp(settlement.batchOf(batch).finalisableAt);
        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(payouts);

        vm.expectEmit(address(settlement));
        emit ISettlement.EarningsUpdated(0, 1, commitments[0], batch);
        vm.expectEmit(address(settlement));
        emit ISettlement.BatchFinal(batch, operator, 1000);
        vm.prank(stranger);
        settlement.finaliseBatch(batch, pages, commitments);
        vm.snapshotGasLastCall("Settlement", "finaliseBatch, one new page");

        _assertEarnings(0, 1, commitments[0]);
        assertEq(uint8(settlement.batchOf(batch).status), uint8(ISettlement.Status.Final));
        assertEq(settlement.totalFunded(), 1000);
    }

    function test_finaliseBatch_addsToWhatIsThere() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        _settle(FIRST_EPOCH + 1, _payouts(contributor, 7));
        _assertEarnings(0, 2, book.commitmentOf(0));
        assertEq(settlement.totalFunded(), 1007);
    }

    function test_finaliseBatch_addsToSeveralPages() public {
        _fillFirstPage();
        PayoutBook.Payout[] memory payouts = new PayoutBook.Payout[](2);
        payouts[0] = PayoutBook.Payout(contributor, 5);
        payouts[1] = PayoutBook.Payout(PAGE_SIZE, 6);
        _settle(FIRST_EPOCH, payouts);

        _assertEarnings(0, 1, book.commitmentOf(0));
        _assertEarnings(1, 1, book.commitmentOf(1));
        assertEq(settlement.claim(book.claimOf(PAGE_SIZE)), 6);
        assertEq(settlement.claim(book.claimOf(contributor)), 5);
    }

    function test_finaliseBatch_reverts_whenBatchIsUnknown() public {
        BatchId none = BatchId.wrap("none");
        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownBatch.selector, none));
        settlement.finaliseBatch(none, new uint32[](0), new G1Point[](0));
    }

    function test_finaliseBatch_reverts_whenWindowIsOpen() public {
        PayoutBook.Payout[] memory payouts = _payouts(contributor, 10);
        BatchId batch = _post(FIRST_EPOCH, payouts);
        uint64 end = settlement.batchOf(batch).finalisableAt;
        vm.warp(end - 1);
        _expectFinaliseReverts(abi.encodeWithSelector(ISettlement.WindowOpen.selector, batch, end), batch, payouts);
    }

    function test_finaliseBatch_reverts_whenFinalAlready() public {
        PayoutBook.Payout[] memory payouts = _payouts(contributor, 10);
        BatchId batch = _settle(FIRST_EPOCH, payouts);
        _expectFinaliseReverts(abi.encodeWithSelector(ISettlement.NotPosted.selector, batch), batch, payouts);
    }

    function test_finaliseBatch_reverts_whenPayoutsAreOthers() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _expectFinaliseReverts(
            abi.encodeWithSelector(ISettlement.WrongPayouts.selector, batch), batch, _payouts(modelOwner, 10)
        );
    }

    function test_finaliseBatch_reverts_whenPayoutsAreLeftOut() public {
        BatchId batch = _post(FIRST_EPOCH, _payouts(contributor, 10));
        vm.warp(settlement.batchOf(batch).finalisableAt);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongPayouts.selector, batch));
        settlement.finaliseBatch(batch, new uint32[](0), new G1Point[](0));
    }

    function test_finaliseBatch_reverts_beforeThePreviousIsFinal() public {
        BatchId first = _post(FIRST_EPOCH, _payouts(contributor, 10));
        BatchId second = _post(FIRST_EPOCH + 1, _payouts(contributor, 10));
        vm.warp(settlement.batchOf(second).finalisableAt);

        _expectFinaliseReverts(
            abi.encodeWithSelector(ISettlement.PreviousNotFinal.selector, second, first),
            second,
            _payouts(contributor, 10)
        );
        _finalise(first, _payouts(contributor, 10));
        _finalise(second, _payouts(contributor, 10));
        assertEq(settlement.unfinalOf(operator), 0);
    }

    function test_earningsOf_isTheIdentityBeforeAnyBatch() public view {
        (uint64 version, G1Point memory commitment) = settlement.earningsOf(3);
        assertEq(version, 0);
        assertEq(commitment.x | commitment.y, 0);
    }

    function test_claim_paysTheDifference() public {
        _settle(FIRST_EPOCH, _payouts(contributor, 10));
        address account = makeAddr("contributor");
        settlement.claim(book.claimOf(contributor));

        _settle(FIRST_EPOCH + 1, _payouts(contributor, 7));
        ISettlement.Claim memory claim = book.claimOf(contributor);
        vm.expectEmit(address(settlement));
        emit ISettlement.Claimed(EarnerIndex.wrap(contributor), account, 7, 17);
        vm.prank(stranger);
        assertEq(settlement.claim(claim), 7);
        vm.snapshotGasLastCall("Settlement", "claim");

        assertEq(account.balance, 17 * GWEI);
        assertEq(settlement.claimed(EarnerIndex.wrap(contributor)), 17);
        assertEq(settlement.totalClaimed(), 17);
    }

    function test_claim_ofStakersStreamsThroughStaking() public {
        _settle(FIRST_EPOCH, _payouts(stakers, 1e9));
        uint256 before = address(staking).balance;

        settlement.claim(book.claimOf(stakers));

        assertEq(address(staking).balance - before, 1 ether);
        assertEq(operator.balance, 0);
        vm.warp(vm.getBlockTimestamp() + UNBONDING_PERIOD);
        assertApproxEqAbs(staking.feesOf(operator, operator), 1 ether, 1);
    }

    function test_claim_opensAnOlderVersion() public {
        _settle(FIRST_EPOCH, _payouts(contributor, 10));
        ISettlement.Claim memory old = book.claimOf(contributor);
        _settle(FIRST_EPOCH + 1, _payouts(contributor, 7));

        assertEq(settlement.claim(old), 10);
        assertEq(settlement.claim(book.claimOf(contributor)), 7);
    }

    function test_claim_opensTheLastSixteenVersions() public {
        for (uint64 i; i < 17; ++i) {
            _settle(FIRST_EPOCH + i, _payouts(contributor, 1));
        }
        ISettlement.Claim memory oldest = book.claimAt(contributor, 2);
        ISettlement.Claim memory expired = book.claimAt(contributor, 1);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownVersion.selector, uint32(0), uint64(1)));
        settlement.claim(expired);
        assertEq(settlement.claim(oldest), 2);
        assertEq(settlement.claim(book.claimOf(contributor)), 15);
    }

    function testFuzz_claim_paysWhatWasEarned(uint64[4] memory amounts) public {
        PayoutBook.Payout[] memory payouts = new PayoutBook.Payout[](4);
        for (uint32 i; i < 4; ++i) {
            payouts[i] = PayoutBook.Payout(i + 1, uint64(bound(amounts[i], 1, 20e9)));
        }
        _settle(FIRST_EPOCH, payouts);

        for (uint32 i; i < 4; ++i) {
            assertEq(settlement.claim(book.claimOf(i + 1)), payouts[i].amount);
        }
        assertEq(address(settlement).balance, 0);
        assertEq(settlement.totalClaimed(), settlement.totalFunded());
    }

    function test_claim_reverts_whenVersionIsUnknown() public {
        _settle(FIRST_EPOCH, _payouts(contributor, 10));
        ISettlement.Claim memory claim = book.claimOf(contributor);
        uint64[3] memory wrong = [uint64(0), 2, type(uint64).max];
        for (uint256 i; i < wrong.length; ++i) {
            claim.version = wrong[i];
            vm.expectRevert(abi.encodeWithSelector(ISettlement.UnknownVersion.selector, uint32(0), wrong[i]));
            settlement.claim(claim);
        }
    }

    function test_claim_reverts_whenOpeningIsForAnotherEarner() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim memory claim = book.claimOf(contributor);
        claim.earner = EarnerIndex.wrap(modelOwner);

        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claim(claim);
    }

    function testFuzz_claim_reverts_whenAmountIsWrong(uint64 amount) public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim memory claim = book.claimOf(contributor);
        vm.assume(amount != claim.cumulativeEarnings);
        claim.cumulativeEarnings = amount;

        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claim(claim);
    }

    function test_claim_reverts_whenWitnessIsNoPoint() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim memory claim = book.claimOf(contributor);
        claim.witness.y ^= 1;

        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claim(claim);
    }

    function test_claim_reverts_whenClaimedAlready() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim memory claim = book.claimOf(contributor);
        settlement.claim(claim);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToClaim.selector, EarnerIndex.wrap(contributor)));
        settlement.claim(claim);
    }

    function test_claim_reverts_whenNewerVersionWasClaimed() public {
        _settle(FIRST_EPOCH, _payouts(contributor, 10));
        ISettlement.Claim memory old = book.claimOf(contributor);
        _settle(FIRST_EPOCH + 1, _payouts(contributor, 7));
        settlement.claim(book.claimOf(contributor));

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToClaim.selector, EarnerIndex.wrap(contributor)));
        settlement.claim(old);
    }

    function test_claim_reverts_whenEarnerIsNotRegistered() public {
        _settle(FIRST_EPOCH, _payouts(PAGE_SIZE - 1, 10));
        ISettlement.Claim memory claim = book.claimOf(PAGE_SIZE - 1);

        vm.expectRevert(abi.encodeWithSelector(IEarnerRegistry.UnknownEarner.selector, EarnerIndex.wrap(PAGE_SIZE - 1)));
        settlement.claim(claim);
    }

    /// @dev A batch whose payouts are more than its total, which nobody disputed.
    function test_claim_reverts_whenAboveFunding() public {
        vm.warp(_endOf(FIRST_EPOCH));
        PayoutBook.Payout[] memory payouts = _payouts(contributor, 11);
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, payouts);
        submission.total = 10;
        BatchId batch = _submit(submission);
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _finalise(batch, payouts);

        ISettlement.Claim memory claim = book.claimOf(contributor);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlement.AboveFunding.selector, EarnerIndex.wrap(contributor), uint64(11), uint256(10)
            )
        );
        settlement.claim(claim);
    }

    /// @dev Coins of batches that are still in their window pay no claim.
    function test_claim_reverts_whenFundedOnlyByPostedBatches() public {
        vm.warp(_endOf(FIRST_EPOCH));
        PayoutBook.Payout[] memory payouts = _payouts(contributor, 11);
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, payouts);
        submission.total = 10;
        BatchId batch = _submit(submission);
        vm.warp(settlement.batchOf(batch).finalisableAt);
        _finalise(batch, payouts);
        _post(FIRST_EPOCH + 1, _payouts(contributor, 50));
        assertEq(address(settlement).balance, 60 * GWEI);

        ISettlement.Claim memory claim = book.claimOf(contributor);
        vm.expectPartialRevert(ISettlement.AboveFunding.selector);
        settlement.claim(claim);
    }

    function test_claim_reverts_whenAccountRefuses() public {
        (ContractEarner account, uint32 earner) = _contractEarner();
        _settle(FIRST_EPOCH, _payouts(earner, 10));
        ISettlement.Claim memory claim = book.claimOf(earner);
        account.refuse();

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.PaymentFailed.selector, EarnerIndex.wrap(earner), address(account))
        );
        settlement.claim(claim);
    }

    function test_claim_reverts_whenStakingRefuses() public {
        _settle(FIRST_EPOCH, _payouts(stakers, 10));
        ISettlement.Claim memory claim = book.claimOf(stakers);
        vm.mockCallRevert(address(staking), abi.encodeCall(staking.addFees, (operator)), "refused");

        vm.expectRevert(abi.encodeWithSelector(ISettlement.PaymentFailed.selector, EarnerIndex.wrap(stakers), operator));
        settlement.claim(claim);
    }

    function test_claim_paysOnceWhenAccountClaimsAgain() public {
        (ContractEarner account, uint32 earner) = _contractEarner();
        _settle(FIRST_EPOCH, _payouts(earner, 10));
        _settle(FIRST_EPOCH + 1, _payouts(contributor, 10));
        ISettlement.Claim memory claim = book.claimOf(earner);
        account.claimAgain(claim);

        settlement.claim(claim);

        assertEq(address(account).balance, 10 * GWEI);
        assertEq(settlement.totalClaimed(), 10);
    }

    function test_claimMany_paysEverybody() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        uint256 staked = address(staking).balance;

        assertEq(settlement.claimMany(_claimsOfAll()), 1000);

        assertEq(treasury.balance, 100 * GWEI);
        assertEq(address(staking).balance - staked, 200 * GWEI);
        assertEq(makeAddr("contributor").balance, 300 * GWEI);
        assertEq(makeAddr("model owner").balance, 400 * GWEI);
        assertEq(address(settlement).balance, 0);
        assertEq(settlement.totalClaimed(), 1000);
    }

    /// @dev Earners whose sums share a word, and those on both sides of them.
    function test_claim_leavesNeighboursAlone() public {
        for (uint256 i = earners.earnerCount(); i < 10; ++i) {
            _earner(vm.toString(i), IEarnerRegistry.Role.Contributor);
        }
        _settle(FIRST_EPOCH, _payoutsToAll());
        uint32[4] memory order = [uint32(5), 7, 4, 6];
        for (uint256 i; i < 4; ++i) {
            settlement.claim(book.claimOf(order[i]));
        }

        for (uint32 earner = 1; earner <= 10; ++earner) {
            uint64 expected = earner >= 4 && earner < 8 ? earner * 100 : 0;
            assertEq(settlement.claimed(EarnerIndex.wrap(earner)), expected);
        }
    }

    function test_claimMany_ofTenCosts() public {
        for (uint256 i = earners.earnerCount(); i < 10; ++i) {
            _earner(vm.toString(i), IEarnerRegistry.Role.Contributor);
        }
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim[] memory claims = _claimsOfAll();

        assertEq(settlement.claimMany(claims), 5500);
        vm.snapshotGasLastCall("Settlement", "claimMany, ten new earners of one page");
    }

    function test_claimMany_opensSeveralVersionsAndPages() public {
        _fillFirstPage();
        PayoutBook.Payout[] memory payouts = new PayoutBook.Payout[](2);
        payouts[0] = PayoutBook.Payout(contributor, 5);
        payouts[1] = PayoutBook.Payout(PAGE_SIZE, 6);
        _settle(FIRST_EPOCH, payouts);
        _settle(FIRST_EPOCH + 1, payouts);

        ISettlement.Claim[] memory claims = new ISettlement.Claim[](3);
        claims[0] = book.claimAt(contributor, 1);
        claims[1] = book.claimAt(contributor, 2);
        claims[2] = book.claimAt(PAGE_SIZE, 1);
        assertEq(settlement.claimMany(claims), 16);
    }

    function testFuzz_claimMany_reverts_whenOneOpeningIsBad(uint256 which, uint64 amount) public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim[] memory claims = _claimsOfAll();
        which = bound(which, 0, claims.length - 1);
        vm.assume(amount != claims[which].cumulativeEarnings);
        claims[which].cumulativeEarnings = amount;

        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claimMany(claims);
    }

    /// @dev Their errors cancel unless the openings are weighted.
    function test_claimMany_reverts_whenAmountIsMovedBetweenEarners() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim[] memory claims = _claimsOfAll();
        claims[0].cumulativeEarnings -= 1;
        claims[1].cumulativeEarnings += 1;

        vm.expectRevert(ISettlement.InvalidOpening.selector);
        settlement.claimMany(claims);
    }

    function test_claimMany_reverts_whenEmpty() public {
        vm.expectRevert(ISettlement.NoClaims.selector);
        settlement.claimMany(new ISettlement.Claim[](0));
    }

    function test_claimMany_reverts_whenAClaimRepeats() public {
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim[] memory claims = new ISettlement.Claim[](2);
        claims[0] = claims[1] = book.claimOf(contributor);

        vm.expectRevert(abi.encodeWithSelector(ISettlement.NothingToClaim.selector, EarnerIndex.wrap(contributor)));
        settlement.claimMany(claims);
    }

    function test_claimMany_reverts_whenOneAccountRefuses() public {
        (ContractEarner account, uint32 earner) = _contractEarner();
        _settle(FIRST_EPOCH, _payoutsToAll());
        ISettlement.Claim[] memory claims = _claimsOfAll();
        account.refuse();

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.PaymentFailed.selector, EarnerIndex.wrap(earner), address(account))
        );
        settlement.claimMany(claims);
    }

    /// @dev All effects come before the first payment, so there is nothing left for the account to claim.
    function test_claimMany_paysOnceWhenAccountClaimsForAnother() public {
        (ContractEarner account, uint32 earner) = _contractEarner();
        uint32 last = _earner("last", IEarnerRegistry.Role.Contributor);
        _settle(FIRST_EPOCH, _payoutsToAll());
        account.claimAgain(book.claimOf(last));

        assertEq(settlement.claimMany(_claimsOfAll()), 2100);
        assertEq(address(account).balance, 100 * earner * GWEI);
        assertEq(makeAddr("last").balance, 100 * last * GWEI);
    }

    function test_receive_reverts_whenSenderIsNotChannels() public {
        vm.deal(address(this), 1 ether);
        (bool sent, bytes memory reason) = address(settlement).call{value: 1 ether}("");
        assertFalse(sent);
        assertEq(reason, abi.encodeWithSelector(ISettlement.NotChannels.selector, address(this)));
    }

    function test_constructor_publishesItsParameters() public view {
        G2Point memory tauG2 = settlement.tauG2();
        assertEq(keccak256(abi.encode(tauG2)), keccak256(abi.encode(DevSrs.tauG2())));
        assertEq(settlement.epochSeconds(), EPOCH_SECONDS);
        assertEq(settlement.disputeWindow(), DISPUTE_WINDOW);
        assertEq(settlement.pageSize(), PAGE_SIZE);
        assertEq(address(settlement.earners()), address(earners));
        assertEq(address(settlement.staking()), address(staking));
        assertEq(address(settlement.channels()), address(channels));
        assertEq(address(settlement.daCerts()), address(daCerts));
        assertEq(address(settlement.payoutVerifier()), address(payoutVerifier));
        assertEq(settlement.exposureWad(), EXPOSURE);
        assertEq(settlement.owner(), owner);
        assertEq(channels.settlement(), address(settlement));
    }

    function test_constructor_reverts_whenEpochsAreEmpty() public {
        vm.expectRevert(ISettlement.ZeroEpochSeconds.selector);
        _deploy(Settlement.Parameters(0, DISPUTE_WINDOW, EXPOSURE));
    }

    function test_constructor_reverts_whenUnbondingIsShorterThanTheWindow() public {
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.UnbondingTooShort.selector, UNBONDING_PERIOD, UNBONDING_PERIOD + 1)
        );
        _deploy(Settlement.Parameters(EPOCH_SECONDS, UNBONDING_PERIOD + 1, EXPOSURE));
        _deploy(Settlement.Parameters(EPOCH_SECONDS, UNBONDING_PERIOD, EXPOSURE));
    }

    function test_constructor_reverts_whenExposureIsOutOfRange() public {
        uint256[2] memory wrong = [uint256(0), 1e18 + 1];
        for (uint256 i; i < wrong.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISettlement.ExposureOutOfRange.selector, wrong[i]));
            _deploy(Settlement.Parameters(EPOCH_SECONDS, DISPUTE_WINDOW, wrong[i]));
        }
    }

    function _deploy(Settlement.Parameters memory parameters) private {
        new Settlement(owner, earners, staking, channels, daCerts, payoutVerifier, parameters);
    }

    function _contractEarner() private returns (ContractEarner account, uint32 earner) {
        account = new ContractEarner(settlement);
        earner = account.register(earners);
    }

    /// @dev Registers earners until the first one of page 1 is there.
    function _fillFirstPage() private {
        for (uint256 i = earners.earnerCount(); i < PAGE_SIZE; ++i) {
            _earner(vm.toString(i), IEarnerRegistry.Role.Contributor);
        }
    }

    function _claimsOfAll() private view returns (ISettlement.Claim[] memory claims) {
        claims = new ISettlement.Claim[](earners.earnerCount());
        for (uint32 i; i < claims.length; ++i) {
            claims[i] = book.claimOf(i + 1);
        }
    }

    function _noDraws() private pure returns (IPaymentChannels.Draw[] memory) {
        return new IPaymentChannels.Draw[](0);
    }

    function _expectSubmitReverts(bytes memory error, ISettlement.Submission memory submission) private {
        _expectSubmitReverts(error, submission, _draws(submission.total, submission.epoch));
    }

    function _expectSubmitReverts(
        bytes memory error,
        ISettlement.Submission memory submission,
        IPaymentChannels.Draw[] memory draws
    ) private {
        uint256[] memory proof = _proof(submission, draws);
        vm.expectRevert(error);
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    function _expectFinaliseReverts(bytes memory error, BatchId batch, PayoutBook.Payout[] memory payouts) private {
        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(payouts);
        vm.expectRevert(error);
        settlement.finaliseBatch(batch, pages, commitments);
    }

    function _assertEarnings(uint32 page, uint64 version, G1Point memory expected) private view {
        (uint64 latest, G1Point memory commitment) = settlement.earningsOf(page);
        G1Point memory stored = settlement.earningsAt(page, version);
        assertEq(latest, version);
        assertEq(commitment.x, expected.x);
        assertEq(commitment.y, expected.y);
        assertEq(stored.x, expected.x);
        assertEq(stored.y, expected.y);
    }
}
