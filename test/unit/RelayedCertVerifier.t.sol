// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../../contracts/interfaces/ICrossDomainMessenger.sol";
import {IDaCertVerifier} from "../../contracts/interfaces/IDaCertVerifier.sol";
import {IRelayedCertVerifier} from "../../contracts/interfaces/IRelayedCertVerifier.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {DaCertRelay} from "../../contracts/verifiers/DaCertRelay.sol";
import {RelayedCertVerifier} from "../../contracts/verifiers/RelayedCertVerifier.sol";
import {TestEigenDACertVerifier, TestMessenger} from "../CrossDomain.sol";
import {Test} from "forge-std/Test.sol";

contract RelayedCertVerifierTest is Test {
    uint64 private constant NOW = 1_800_000_000;
    uint32 private constant SYMBOLS = 4096;
    TestMessenger private constant MESSENGER = TestMessenger(0x4200000000000000000000000000000000000007);

    G1Point private commitment = G1Point(1, 2);
    bytes private certificate = hex"c0ffee";
    address private relay = makeAddr("relay on L1");
    RelayedCertVerifier private verifier;

    function setUp() public {
        vm.warp(NOW);
        vm.etch(address(MESSENGER), type(TestMessenger).runtimeCode);
        verifier = new RelayedCertVerifier(MESSENGER, relay);
    }

    function test_check_acceptsWhatWasRelayed() public {
        vm.prank(relay);
        MESSENGER.sendMessage(address(verifier), _message(NOW - 60), 100_000);

        vm.expectEmit(address(verifier));
        emit IRelayedCertVerifier.CertificateAccepted(keccak256(certificate), commitment, SYMBOLS, NOW - 60);
        MESSENGER.deliver(0);

        verifier.check(commitment, SYMBOLS, certificate);
        assertEq(verifier.storedAtOf(commitment, SYMBOLS, keccak256(certificate)), NOW - 60);
        assertEq(address(verifier.messenger()), address(MESSENGER));
        assertEq(verifier.relay(), relay);
    }

    function test_check_reverts_whenNothingWasRelayed() public {
        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function testFuzz_check_reverts_whenBlobIsAnother(
        G1Point memory other,
        uint32 symbols,
        bytes memory otherCertificate
    ) public {
        vm.assume(
            other.x != commitment.x || other.y != commitment.y || symbols != SYMBOLS
                || keccak256(otherCertificate) != keccak256(certificate)
        );
        _relay(NOW);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(other, symbols, otherCertificate);
    }

    function test_check_reverts_whenOneThingIsAnother() public {
        _relay(NOW);
        bytes4 invalid = IDaCertVerifier.InvalidCertificate.selector;

        vm.expectRevert(invalid);
        verifier.check(G1Point(1, 3), SYMBOLS, certificate);
        vm.expectRevert(invalid);
        verifier.check(commitment, SYMBOLS / 2, certificate);
        vm.expectRevert(invalid);
        verifier.check(commitment, SYMBOLS * 2, certificate);
        vm.expectRevert(invalid);
        verifier.check(commitment, SYMBOLS, bytes.concat(certificate, hex"00"));
    }

    function test_check_reverts_whenOlderThanTwelveHours() public {
        _relay(NOW);
        vm.warp(NOW + 12 hours);
        verifier.check(commitment, SYMBOLS, certificate);

        vm.warp(NOW + 12 hours + 1);
        vm.expectRevert(abi.encodeWithSelector(IDaCertVerifier.CertificateExpired.selector, NOW));
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_accept_whenReplayedMakesNothingYounger() public {
        _relay(NOW);
        vm.recordLogs();
        _relay(NOW + 12);
        MESSENGER.deliver(0);
        assertEq(vm.getRecordedLogs().length, 0);
        assertEq(verifier.storedAtOf(commitment, SYMBOLS, keccak256(certificate)), NOW);

        _relay(NOW - 24);
        assertEq(verifier.storedAtOf(commitment, SYMBOLS, keccak256(certificate)), NOW - 24);
    }

    function testFuzz_accept_reverts_whenCallerIsNotTheMessenger(address caller) public {
        vm.assume(caller != address(MESSENGER));

        vm.expectRevert(abi.encodeWithSelector(IRelayedCertVerifier.NotMessenger.selector, caller));
        vm.prank(caller);
        verifier.accept(commitment, SYMBOLS, keccak256(certificate), NOW);
    }

    function testFuzz_accept_reverts_whenSenderIsNotTheRelay(address sender) public {
        vm.assume(sender != relay && sender != address(0));
        vm.prank(sender);
        MESSENGER.sendMessage(address(verifier), _message(NOW), 100_000);

        vm.expectRevert(abi.encodeWithSelector(IRelayedCertVerifier.NotRelay.selector, sender));
        MESSENGER.deliver(0);
    }

    /// @dev The whole way, on one chain that plays both.
    function test_check_acceptsWhatTheRelayHadVerified() public {
        string memory json = vm.readFile("test/vectors/eigenda_certificate.json");
        bytes memory real = vm.parseJsonBytes(json, ".abi");
        vm.roll(vm.parseJsonUint(json, ".referenceBlock") + 50);
        TestEigenDACertVerifier eigenDA = new TestEigenDACertVerifier();
        eigenDA.set(real, 1);
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        verifier = new RelayedCertVerifier(MESSENGER, predicted);
        DaCertRelay l1 = new DaCertRelay(eigenDA, MESSENGER, verifier);
        assertEq(address(l1), predicted);

        l1.relay(real);
        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, real);

        MESSENGER.deliver(0);
        verifier.check(commitment, SYMBOLS, real);
        vm.warp(NOW + 12 hours - 599);
        vm.expectRevert(abi.encodeWithSelector(IDaCertVerifier.CertificateExpired.selector, NOW - 600));
        verifier.check(commitment, SYMBOLS, real);
    }

    function _message(uint64 storedAt) private view returns (bytes memory) {
        return abi.encodeCall(IRelayedCertVerifier.accept, (commitment, SYMBOLS, keccak256(certificate), storedAt));
    }

    function _relay(uint64 storedAt) private {
        vm.prank(relay);
        MESSENGER.sendMessage(address(verifier), _message(storedAt), 100_000);
        MESSENGER.deliver(MESSENGER.count() - 1);
    }
}
