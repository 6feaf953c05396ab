// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point, G2Point} from "../../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {EarnerRegistry} from "../../contracts/registry/EarnerRegistry.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {Staking} from "../../contracts/staking/Staking.sol";
import {BatchId, ChannelId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {DevCertVerifier} from "../../contracts/verifiers/DevCertVerifier.sol";
import {PayoutVerifier} from "../../contracts/verifiers/PayoutVerifier.sol";
import {Test} from "forge-std/Test.sol";

/// @notice A batch of the prover, with its proof and openings, through the contracts of a real network's page size.
/// @dev A proof is for one chain, contract and operator, so the contracts are put where prover/examples/
/// settlement_vector.rs expects them.
contract ProvenBatchTest is Test {
    uint256 private constant GWEI = 1e9;
    uint64 private constant EPOCH_SECONDS = 1 hours;
    uint64 private constant DISPUTE_WINDOW = 7 days;
    uint32 private constant WITNESS_SYMBOLS = 256;
    uint32 private constant SLOT_CELLS = 16;
    address private constant CERTIFICATES = 0xCeCecececECecEcEcececECECeCECeCEcECececE;

    address private immutable TREASURY = makeAddr("treasury");
    address private immutable ARBITER = makeAddr("arbiter");

    string private json;
    uint256 private attestorKey;
    address private operator;
    uint64 private epoch;
    uint64[2] private amounts;

    EarnerRegistry private earners;
    Staking private staking;
    PaymentChannels private channels;
    Settlement private settlement;
    DevCertVerifier private daCerts;

    function setUp() public {
        json = vm.readFile("test/vectors/settlement_proof.json");
        operator = vm.parseJsonAddress(json, ".operator");
        epoch = uint64(vm.parseJsonUint(json, ".epoch"));
        vm.chainId(vm.parseJsonUint(json, ".chain_id"));
        vm.warp(epoch * EPOCH_SECONDS);
        _deploy();
        _register();

        uint256[] memory drawn = vm.parseJsonUintArray(json, ".amounts");
        amounts = [uint64(drawn[0]), uint64(drawn[1])];
        vm.warp((epoch + 1) * EPOCH_SECONDS);
    }

    function test_batch_isAcceptedFinalAndClaimed() public {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");

        vm.prank(operator);
        BatchId batch = settlement.submitBatch(submission, draws, proof);
        vm.snapshotGasLastCall("Settlement", "submitBatch, one page of 65536 and two draws");
        assertEq(BatchId.unwrap(batch), vm.parseJsonBytes32(json, ".batch"));
        assertEq(address(settlement).balance, submission.total * GWEI);

        vm.warp(settlement.batchOf(batch).finalisableAt);
        settlement.finaliseBatch(batch, submission.pages, submission.payouts);
        ISettlement.Claim[] memory claims = _claims();
        assertEq(settlement.claimMany(claims), submission.total);

        for (uint256 i; i < claims.length; ++i) {
            (address account, IEarnerRegistry.Role role) = earners.accountOf(claims[i].earner);
            uint256 paid =
                role == IEarnerRegistry.Role.Stakers ? address(staking).balance - 1000 ether : account.balance;
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
        assertEq(address(channels).balance, 20 ether);
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

    function _deploy() private {
        address attestor;
        (attestor, attestorKey) = makeAddrAndKey("attestor");
        earners = new EarnerRegistry(address(this), TREASURY);
        staking = new Staking(address(this), earners, 1000 ether, 14 days);
        earners.setStaking(address(staking));
        uint32 pageSize = uint32(vm.parseJsonUint(json, ".page_size"));
        PayoutVerifier verifier = new PayoutVerifier(pageSize, _g1(".identity"), _tauG2());

        deployCodeTo("DevCertVerifier.sol:DevCertVerifier", abi.encode(attestor), CERTIFICATES);
        daCerts = DevCertVerifier(CERTIFICATES);
        address payments = vm.parseJsonAddress(json, ".payment_channels");
        address payable settles = payable(vm.parseJsonAddress(json, ".settlement"));
        deployCodeTo("PaymentChannels.sol:PaymentChannels", abi.encode(staking, settles, 1 days), payments);
        channels = PaymentChannels(payments);
        deployCodeTo(
            "Settlement.sol:Settlement",
            abi.encode(
                address(this),
                earners,
                staking,
                channels,
                daCerts,
                verifier,
                Settlement.Parameters(EPOCH_SECONDS, DISPUTE_WINDOW, 0.25e18)
            ),
            settles
        );
        settlement = Settlement(settles);
        settlement.setArbiter(ARBITER, true);
    }

    /// @dev In the order of the prover's earner indices: stakers, the model's owner, contributors.
    function _register() private {
        vm.deal(operator, 1000 ether);
        vm.prank(operator);
        staking.registerOperator{value: 1000 ether}();
        vm.prank(makeAddr("model owner"));
        earners.register(IEarnerRegistry.Role.ModelOwner);
        for (uint256 i; i < 4; ++i) {
            vm.prank(makeAddr(string.concat("contributor ", vm.toString(i))));
            earners.register(IEarnerRegistry.Role.Contributor);
        }
        address[] memory payers = vm.parseJsonAddressArray(json, ".payers");
        for (uint256 i; i < 2; ++i) {
            vm.deal(payers[i], 10 ether);
            vm.prank(payers[i]);
            channels.open{value: 10 ether}(operator, bytes32(0));
        }
    }

    function _submission() private view returns (ISettlement.Submission memory submission) {
        submission.epoch = epoch;
        submission.rows = uint32(vm.parseJsonUint(json, ".rows"));
        submission.total = uint64(vm.parseJsonUint(json, ".total"));
        submission.witnessSymbols = WITNESS_SYMBOLS;
        submission.slotCells = SLOT_CELLS;
        submission.ledger = _g1(".ledger");
        submission.witnesses = _points(".witnesses");
        submission.pages = new uint32[](1);
        assertEq(vm.parseJsonUintArray(json, ".pages").length, 1);
        submission.payouts = _points(".payouts");
        submission.certificates = vm.parseJsonBytesArray(json, ".certificates");
    }

    function _certify(ISettlement.Submission memory submission) private view {
        submission.certificates = new bytes[](2);
        submission.certificates[0] = _certificate(submission.ledger, 8 * submission.rows);
        submission.certificates[1] = _certificate(submission.witnesses[0], submission.witnessSymbols);
    }

    function _certificate(G1Point memory commitment, uint32 symbols) private view returns (bytes memory) {
        uint64 storedAt = uint64(vm.getBlockTimestamp());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, daCerts.digestOf(commitment, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }

    function _draws() private returns (IPaymentChannels.Draw[] memory draws) {
        draws = new IPaymentChannels.Draw[](2);
        draws = _draw(0, amounts[0], draws);
        draws = _draw(1, amounts[1], draws);
    }

    /// @dev The draws with another one at `place`.
    function _draw(uint256 place, uint64 drawnTo, IPaymentChannels.Draw[] memory draws)
        private
        returns (IPaymentChannels.Draw[] memory changed)
    {
        ChannelId id = ChannelId.wrap(vm.parseJsonBytes32Array(json, ".channels")[place]);
        (address payer, uint256 key) = makeAddrAndKey("payer");
        if (channels.channelOf(id).payer != payer) (payer, key) = makeAddrAndKey("second payer");
        assertEq(channels.channelOf(id).payer, payer, "the prover's channel");

        IPaymentChannels.Voucher memory voucher;
        (voucher.channelId, voucher.ceiling) = (id, drawnTo);
        (voucher.call.modelId, voucher.call.time) = (ModelId.wrap("model"), epoch * EPOCH_SECONDS);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.digestOf(voucher));
        changed = new IPaymentChannels.Draw[](2);
        (changed[0], changed[1]) = (draws[0], draws[1]);
        changed[place] = IPaymentChannels.Draw(voucher, abi.encodePacked(r, s, v), drawnTo);
    }

    function _claims() private view returns (ISettlement.Claim[] memory claims) {
        uint256 count;
        while (vm.keyExistsJson(json, _claimPath(count))) ++count;
        claims = new ISettlement.Claim[](count);
        for (uint256 i; i < count; ++i) {
            string memory path = _claimPath(i);
            claims[i] = ISettlement.Claim({
                earner: EarnerIndex.wrap(uint32(vm.parseJsonUint(json, string.concat(path, ".earner")))),
                cumulativeEarnings: uint64(vm.parseJsonUint(json, string.concat(path, ".gwei"))),
                version: 1,
                witness: _g1(string.concat(path, ".witness"))
            });
        }
    }

    function _claimPath(uint256 i) private pure returns (string memory) {
        return string.concat(".claims[", vm.toString(i), "]");
    }

    function _expectRefused(
        ISettlement.Submission memory submission,
        IPaymentChannels.Draw[] memory draws,
        uint256[] memory proof
    ) private {
        vm.expectRevert(ISettlement.InvalidProof.selector);
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    function _tauG2() private view returns (G2Point memory) {
        return G2Point({
            x1: vm.parseJsonUint(json, ".tau_g2.x1"),
            x0: vm.parseJsonUint(json, ".tau_g2.x0"),
            y1: vm.parseJsonUint(json, ".tau_g2.y1"),
            y0: vm.parseJsonUint(json, ".tau_g2.y0")
        });
    }

    function _g1(string memory path) private view returns (G1Point memory point) {
        point.x = vm.parseJsonUint(json, string.concat(path, ".x"));
        point.y = vm.parseJsonUint(json, string.concat(path, ".y"));
    }

    function _points(string memory path) private view returns (G1Point[] memory points) {
        uint256[] memory words = vm.parseJsonUintArray(json, path);
        points = new G1Point[](words.length / 2);
        for (uint256 i; i < points.length; ++i) {
            points[i] = G1Point(words[2 * i], words[2 * i + 1]);
        }
    }
}
