// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../../contracts/interfaces/IDaCertVerifier.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {DevCertVerifier} from "../../contracts/verifiers/DevCertVerifier.sol";
import {Test} from "forge-std/Test.sol";

contract DevCertVerifierTest is Test {
    uint64 private constant NOW = 1_800_000_000;
    uint32 private constant SYMBOLS = 128;

    G1Point private commitment = G1Point(1, 2);
    uint256 private attestorKey;
    DevCertVerifier private verifier;

    function setUp() public {
        vm.warp(NOW);
        address attestor;
        (attestor, attestorKey) = makeAddrAndKey("attestor");
        verifier = new DevCertVerifier(attestor);
    }

    function test_check_acceptsTheAttestorsSignature() public view {
        verifier.check(commitment, SYMBOLS, _certificate(attestorKey, SYMBOLS, NOW));
    }

    function testFuzz_check_acceptsAnyBlob(uint256 x, uint256 y, uint32 symbols, uint64 age) public {
        commitment = G1Point(x, y);
        uint64 storedAt = NOW - uint64(bound(age, 0, verifier.MAX_AGE()));
        verifier.check(commitment, symbols, _certificate(attestorKey, symbols, storedAt));
    }

    function test_digestOf_isTheEip712Digest() public view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("OpenLedger DevCertVerifier"),
                keccak256("1"),
                block.chainid,
                address(verifier)
            )
        );
        bytes32 blob = keccak256(
            abi.encode(
                keccak256("Blob(uint256 x,uint256 y,uint32 symbols,uint64 storedAt)"),
                commitment.x,
                commitment.y,
                SYMBOLS,
                NOW
            )
        );

        assertEq(verifier.digestOf(commitment, SYMBOLS, NOW), keccak256(abi.encodePacked(hex"1901", domain, blob)));
    }

    function test_check_reverts_whenAnotherKeySigned() public {
        (, uint256 otherKey) = makeAddrAndKey("other");
        bytes memory certificate = _certificate(otherKey, SYMBOLS, NOW);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_check_reverts_whenCommitmentIsAnother() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(G1Point(1, 3), SYMBOLS, certificate);
    }

    function test_check_reverts_whenSymbolsAreNotExact() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS / 2, certificate);
    }

    function test_check_reverts_whenTimeWasMovedAfterSigning() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW - 13 hours);
        certificate[72] = certificate[72] ^ 0x01;

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function testFuzz_check_reverts_whenNotSigned(bytes calldata certificate) public {
        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_check_reverts_whenAttestationIsCutShort() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW);
        assembly ("memory-safe") {
            mstore(certificate, 72)
        }

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_check_acceptsTheLayersCertificateBehind() public {
        bytes memory attestation = _certificate(attestorKey, SYMBOLS, NOW);
        uint256 longest = 16_384;
        verifier.check(commitment, SYMBOLS, bytes.concat(attestation, hex"01f9"));
        verifier.check(commitment, SYMBOLS, bytes.concat(attestation, new bytes(longest)));

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, bytes.concat(attestation, new bytes(longest + 1)));
    }

    function test_check_reverts_whenOlderThanTwelveHours() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW);
        vm.warp(NOW + 12 hours);
        verifier.check(commitment, SYMBOLS, certificate);

        vm.warp(NOW + 12 hours + 1);
        vm.expectRevert(abi.encodeWithSelector(IDaCertVerifier.CertificateExpired.selector, NOW));
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_check_reverts_whenFromTheFuture() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, NOW + 61);
        verifier.check(commitment, SYMBOLS, _certificate(attestorKey, SYMBOLS, NOW + 60));

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_check_reverts_whenFarInTheFuture() public {
        bytes memory certificate = _certificate(attestorKey, SYMBOLS, type(uint64).max);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        verifier.check(commitment, SYMBOLS, certificate);
    }

    function test_constructor_reverts_onMainChains() public {
        uint256[2] memory chains = [uint256(1), 1612];
        for (uint256 i; i < chains.length; ++i) {
            vm.chainId(chains[i]);
            vm.expectRevert(abi.encodeWithSelector(DevCertVerifier.MainChain.selector, chains[i]));
            new DevCertVerifier(address(this));
        }
    }

    function test_constructor_reverts_whenAttestorIsZero() public {
        vm.expectRevert(DevCertVerifier.ZeroAttestor.selector);
        new DevCertVerifier(address(0));
    }

    function _certificate(uint256 key, uint32 symbols, uint64 storedAt) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, verifier.digestOf(commitment, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }
}
