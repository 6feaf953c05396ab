// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {G1Point, G2Point} from "../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../contracts/payments/PaymentChannels.sol";
import {EarnerRegistry} from "../contracts/registry/EarnerRegistry.sol";
import {Settlement} from "../contracts/settlement/Settlement.sol";
import {Staking} from "../contracts/staking/Staking.sol";
import {BatchId, ChannelId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {DevCertVerifier} from "../contracts/verifiers/DevCertVerifier.sol";
import {PayoutVerifier} from "../contracts/verifiers/PayoutVerifier.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Batches of the prover, with proofs and openings, for the contracts of a real network's page size.
/// @dev A proof is for one chain, contract and operator, so the contracts are put where prover/examples/
/// settlement_vector expects them.
abstract contract ProvenBatchBase is Test {
    uint256 internal constant GWEI = 1e9;
    uint64 internal constant EPOCH_SECONDS = 1 hours;
    uint64 internal constant DISPUTE_WINDOW = 7 days;
    uint32 internal constant WITNESS_SYMBOLS = 256;
    uint32 internal constant SLOT_CELLS = 16;
    uint256 internal constant STAKE = 1000 ether;
    uint256 internal constant DEPOSIT = 10 ether;
    address internal constant CERTIFICATES = 0xCeCecececECecEcEcececECECeCECeCEcECececE;

    address internal immutable TREASURY = makeAddr("treasury");
    address internal immutable ARBITER = makeAddr("arbiter");

    /// @dev Of the vector in use.
    string internal json;
    address internal operator;
    uint64 internal epoch;
    uint64[] internal amounts;

    uint256 private attestorKey;

    EarnerRegistry internal earners;
    Staking internal staking;
    PaymentChannels internal channels;
    Settlement internal settlement;
    DevCertVerifier internal daCerts;

    function setUp() public virtual {
        _use("settlement_proof.json");
        vm.chainId(vm.parseJsonUint(json, ".chain_id"));
        vm.warp(epoch * EPOCH_SECONDS);
        _deploy();
        _register();
        vm.warp((epoch + 1) * EPOCH_SECONDS);
    }

    /// @dev Goes on with the batch of another vector.
    function _use(string memory file) internal {
        json = vm.readFile(string.concat("test/vectors/", file));
        operator = vm.parseJsonAddress(json, ".operator");
        epoch = uint64(vm.parseJsonUint(json, ".epoch"));
        delete amounts;
        uint256[] memory drawn = vm.parseJsonUintArray(json, ".amounts");
        for (uint256 i; i < drawn.length; ++i) {
            amounts.push(uint64(drawn[i]));
        }
    }

    /// @dev Posts the batch of the vector as its operator.
    function _submit() internal returns (BatchId) {
        ISettlement.Submission memory submission = _submission();
        IPaymentChannels.Draw[] memory draws = _draws();
        uint256[] memory proof = vm.parseJsonUintArray(json, ".proof");

        vm.prank(operator);
        return settlement.submitBatch(submission, draws, proof);
    }

    function _deploy() internal {
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
    function _register() internal {
        vm.deal(operator, 1000 ether);
        vm.prank(operator);
        staking.registerOperator{value: 1000 ether}();
        vm.prank(makeAddr("model owner"));
        earners.register(IEarnerRegistry.Role.ModelOwner);
        for (uint256 i; i < 4; ++i) {
            vm.prank(makeAddr(string.concat("contributor ", vm.toString(i))));
            earners.register(IEarnerRegistry.Role.Contributor);
        }
        _openChannels();
    }

    /// @dev One of each payer of the vector to its operator.
    function _openChannels() internal {
        address[] memory payers = vm.parseJsonAddressArray(json, ".payers");
        for (uint256 i; i < payers.length; ++i) {
            vm.deal(payers[i], DEPOSIT);
            vm.prank(payers[i]);
            channels.open{value: DEPOSIT}(operator, bytes32(0));
        }
    }

    function _submission() internal view returns (ISettlement.Submission memory submission) {
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

    function _certify(ISettlement.Submission memory submission) internal view {
        submission.certificates = new bytes[](2);
        submission.certificates[0] = _certificate(submission.ledger, 8 * submission.rows);
        submission.certificates[1] = _certificate(submission.witnesses[0], submission.witnessSymbols);
    }

    function _certificate(G1Point memory commitment, uint32 symbols) internal view returns (bytes memory) {
        uint64 storedAt = uint64(vm.getBlockTimestamp());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, daCerts.digestOf(commitment, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }

    function _draws() internal returns (IPaymentChannels.Draw[] memory draws) {
        draws = new IPaymentChannels.Draw[](amounts.length);
        for (uint256 i; i < draws.length; ++i) {
            draws = _draw(i, amounts[i], draws);
        }
    }

    /// @dev The draws with another one at `place`.
    function _draw(uint256 place, uint64 drawnTo, IPaymentChannels.Draw[] memory draws)
        internal
        returns (IPaymentChannels.Draw[] memory changed)
    {
        ChannelId id = ChannelId.wrap(vm.parseJsonBytes32Array(json, ".channels")[place]);
        uint256 key = _keyOf(channels.channelOf(id).payer);

        IPaymentChannels.Voucher memory voucher;
        (voucher.channelId, voucher.ceiling) = (id, drawnTo);
        (voucher.call.modelId, voucher.call.time) = (ModelId.wrap("model"), epoch * EPOCH_SECONDS);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.digestOf(voucher));
        changed = new IPaymentChannels.Draw[](draws.length);
        for (uint256 i; i < draws.length; ++i) {
            changed[i] = draws[i];
        }
        changed[place] = IPaymentChannels.Draw(voucher, abi.encodePacked(r, s, v), drawnTo);
    }

    function _keyOf(address payer) private returns (uint256 key) {
        string[3] memory names = ["payer", "second payer", "third payer"];
        address account;
        for (uint256 i; account != payer; ++i) {
            (account, key) = makeAddrAndKey(names[i]);
        }
    }

    /// @dev The vector's claims of earners from `first` to `last`.
    function _claims(uint64 version, uint32 first, uint32 last)
        internal
        view
        returns (ISettlement.Claim[] memory claims)
    {
        claims = new ISettlement.Claim[](last + 1 - first);
        uint256 place;
        for (uint256 i; place < claims.length; ++i) {
            string memory path = string.concat(".claims[", vm.toString(i), "]");
            uint32 earner = uint32(vm.parseJsonUint(json, string.concat(path, ".earner")));
            if (earner < first) continue;
            assertEq(earner, first + place, "every earner is paid");
            claims[place++] = ISettlement.Claim({
                earner: EarnerIndex.wrap(earner),
                cumulativeEarnings: uint64(vm.parseJsonUint(json, string.concat(path, ".gwei"))),
                version: version,
                witness: _g1(string.concat(path, ".witness"))
            });
        }
    }

    function _expectRefused(
        ISettlement.Submission memory submission,
        IPaymentChannels.Draw[] memory draws,
        uint256[] memory proof
    ) internal {
        vm.expectRevert(ISettlement.InvalidProof.selector);
        vm.prank(operator);
        settlement.submitBatch(submission, draws, proof);
    }

    function _tauG2() internal view returns (G2Point memory) {
        return G2Point({
            x1: vm.parseJsonUint(json, ".tau_g2.x1"),
            x0: vm.parseJsonUint(json, ".tau_g2.x0"),
            y1: vm.parseJsonUint(json, ".tau_g2.y1"),
            y0: vm.parseJsonUint(json, ".tau_g2.y0")
        });
    }

    function _g1(string memory path) internal view returns (G1Point memory point) {
        point.x = vm.parseJsonUint(json, string.concat(path, ".x"));
        point.y = vm.parseJsonUint(json, string.concat(path, ".y"));
    }

    function _points(string memory path) internal view returns (G1Point[] memory points) {
        uint256[] memory words = vm.parseJsonUintArray(json, path);
        points = new G1Point[](words.length / 2);
        for (uint256 i; i < points.length; ++i) {
            points[i] = G1Point(words[2 * i], words[2 * i + 1]);
        }
    }
}
