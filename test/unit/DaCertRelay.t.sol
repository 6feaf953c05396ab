// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../../contracts/interfaces/ICrossDomainMessenger.sol";
import {IDaCertRelay} from "../../contracts/interfaces/IDaCertRelay.sol";
import {IRelayedCertVerifier} from "../../contracts/interfaces/IRelayedCertVerifier.sol";
import {EigenDACertificate} from "../../contracts/libraries/EigenDACertificate.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {DaCertRelay} from "../../contracts/verifiers/DaCertRelay.sol";
import {TestEigenDACertVerifier, TestMessenger} from "../CrossDomain.sol";
import {Test} from "forge-std/Test.sol";

contract DaCertRelayTest is Test {
    uint256 private constant NOW = 1_800_000_000;

    IRelayedCertVerifier private verifier = IRelayedCertVerifier(makeAddr("verifier on L2"));
    TestEigenDACertVerifier private eigenDA;
    TestMessenger private messenger;
    DaCertRelay private relay;

    bytes private certificate;
    G1Point private commitment;
    uint32 private symbols;
    uint32 private referenceBlock;

    /// @dev The certificate is in the encoding of EigenDA's own library.
    function setUp() public {
        string memory json = vm.readFile("test/vectors/eigenda_certificate.json");
        certificate = vm.parseJsonBytes(json, ".abi");
        commitment = G1Point(vm.parseJsonUint(json, ".x"), vm.parseJsonUint(json, ".y"));
        symbols = uint32(vm.parseJsonUint(json, ".symbols"));
        referenceBlock = uint32(vm.parseJsonUint(json, ".referenceBlock"));

        vm.warp(NOW);
        vm.roll(referenceBlock + 100);
        eigenDA = new TestEigenDACertVerifier();
        messenger = new TestMessenger();
        relay = new DaCertRelay(eigenDA, messenger, verifier);
        eigenDA.set(certificate, 1);
    }

    function test_relay_sendsWhatTheCertificateSays() public {
        bytes32 hash = keccak256(certificate);
        uint64 storedAt = uint64(NOW - 1200);

        vm.expectEmit(address(relay));
        emit IDaCertRelay.CertificateRelayed(hash, commitment, symbols, storedAt);
        vm.prank(makeAddr("anybody"));
        relay.relay(certificate);

        assertEq(messenger.count(), 1);
        TestMessenger.Message memory message = messenger.messageAt(0);
        assertEq(message.sender, address(relay));
        assertEq(message.target, address(verifier));
        assertEq(message.gasLimit, relay.MESSAGE_GAS());
        assertEq(message.data, abi.encodeCall(IRelayedCertVerifier.accept, (commitment, symbols, hash, storedAt)));
    }

    function test_constructor_setsTheParties() public view {
        assertEq(address(relay.eigenDA()), address(eigenDA));
        assertEq(address(relay.messenger()), address(messenger));
        assertEq(address(relay.verifier()), address(verifier));
    }

    /// @dev Version 4 has one more member after those of version 3.
    function test_relay_readsVersionFour() public {
        bytes memory fourth = _fourth(certificate);
        eigenDA.set(fourth, 1);

        relay.relay(fourth);

        assertEq(
            messenger.messageAt(0).data,
            abi.encodeCall(IRelayedCertVerifier.accept, (commitment, symbols, keccak256(fourth), uint64(NOW - 1200)))
        );
    }

    function testFuzz_relay_readsAnyHead(EigenDACertificate.Head memory head) public {
        head.batch.referenceBlock = uint32(block.number - 1);
        bytes memory other = abi.encode(head);
        eigenDA.set(other, 1);

        relay.relay(other);

        EigenDACertificate.Commitment memory blob = head.inclusion.blob.header.commitment;
        assertEq(
            messenger.messageAt(0).data,
            abi.encodeCall(
                IRelayedCertVerifier.accept,
                (blob.commitment, blob.symbols, keccak256(other), uint64(NOW - relay.SECONDS_PER_BLOCK()))
            )
        );
    }

    function testFuzz_relay_reverts_unlessEigenDAAnswersOne(uint8 status) public {
        vm.assume(status > 1);
        eigenDA.set(certificate, status);

        vm.expectRevert(abi.encodeWithSelector(IDaCertRelay.RefusedByEigenDA.selector, status));
        relay.relay(certificate);
    }

    function testFuzz_relay_reverts_whenAByteIsAltered(uint256 at, uint8 change) public {
        vm.assume(change != 0);
        at = bound(at, 32, certificate.length - 1);
        certificate[at] = bytes1(uint8(certificate[at]) ^ change);

        vm.expectRevert(abi.encodeWithSelector(IDaCertRelay.RefusedByEigenDA.selector, 6));
        relay.relay(certificate);
    }

    function test_relay_reverts_whenTooLong() public {
        uint256 longest = relay.MAX_CERTIFICATE_LENGTH();
        bytes memory padded = bytes.concat(certificate, new bytes(longest - certificate.length));
        eigenDA.set(padded, 1);
        relay.relay(padded);

        vm.expectRevert(abi.encodeWithSelector(IDaCertRelay.CertificateTooLong.selector, longest + 1));
        relay.relay(bytes.concat(padded, hex"00"));
    }

    function test_relay_reverts_whenContentIsElsewhere() public {
        bytes memory shifted = bytes.concat(bytes32(uint256(64)), bytes32(0), certificate);
        eigenDA.set(shifted, 1);
        vm.expectRevert(IDaCertRelay.MalformedCertificate.selector);
        relay.relay(shifted);

        vm.expectRevert(IDaCertRelay.MalformedCertificate.selector);
        relay.relay("");
    }

    /// @dev EigenDA's verifier would have refused it: a bug there must not become a message of made-up values.
    function test_relay_reverts_whenCertificateIsCutShort() public {
        bytes memory cut = certificate;
        assembly ("memory-safe") {
            mstore(cut, 320)
        }
        eigenDA.set(cut, 1);

        vm.expectRevert();
        relay.relay(cut);
    }

    function test_relay_reverts_whenOlderThanTwelveHours() public {
        uint256 longest = uint256(relay.MAX_AGE()) / relay.SECONDS_PER_BLOCK();
        vm.roll(referenceBlock + longest);
        relay.relay(certificate);

        vm.roll(referenceBlock + longest + 1);
        vm.expectRevert(abi.encodeWithSelector(IDaCertRelay.CertificateTooOld.selector, longest + 1));
        relay.relay(certificate);
    }

    function test_relay_reverts_whenReferenceBlockIsNotPast() public {
        vm.roll(referenceBlock);
        vm.expectRevert(abi.encodeWithSelector(IDaCertRelay.ReferenceBlockNotPast.selector, referenceBlock));
        relay.relay(certificate);

        vm.roll(referenceBlock + 1);
        relay.relay(certificate);
    }

    /// @dev The content of version 3 is four words (two of the batch, three offsets: five) of head, then tails. One
    /// more member makes the head a word longer, so every offset of it grows by a word.
    function _fourth(bytes memory third) private pure returns (bytes memory fourth) {
        uint256 headWords = 5;
        fourth = new bytes(third.length + 32);
        for (uint256 i; i < third.length / 32; ++i) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(add(third, 32), mul(i, 32)))
            }
            bool isOffset = i >= 3 && i <= headWords;
            uint256 value = isOffset ? word + 32 : word;
            uint256 place = i <= headWords ? i : i + 1;
            assembly ("memory-safe") {
                mstore(add(add(fourth, 32), mul(place, 32)), value)
            }
        }
    }
}
