// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../../contracts/interfaces/IDaCertVerifier.sol";
import {IEarningsArchive} from "../../contracts/interfaces/IEarningsArchive.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {IStaking} from "../../contracts/interfaces/IStaking.sol";
import {G1Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {EarningsArchive} from "../../contracts/settlement/EarningsArchive.sol";
import {DevCertVerifier} from "../../contracts/verifiers/DevCertVerifier.sol";
import {Test} from "forge-std/Test.sol";

contract EarningsArchiveTest is Test {
    uint32 internal constant PAGE_SIZE = 1 << 10;
    uint32 internal constant PAGE = 3;
    uint64 internal constant VERSION = 5;

    ISettlement internal settlement = ISettlement(makeAddr("settlement"));
    IStaking internal staking = IStaking(makeAddr("staking"));
    DevCertVerifier internal daCerts;
    EarningsArchive internal archive;
    address internal operator = makeAddr("operator");
    uint256 internal attestorKey;

    function setUp() public {
        vm.warp(1_800_000_000);
        address attestor;
        (attestor, attestorKey) = makeAddrAndKey("attestor");
        daCerts = new DevCertVerifier(attestor);
        archive = _archiveOf(PAGE_SIZE);

        vm.mockCall(address(staking), abi.encodeCall(IStaking.isActive, (operator)), abi.encode(true));
        vm.mockCall(
            address(settlement), abi.encodeCall(ISettlement.earningsAt, (PAGE, VERSION)), abi.encode(Kzg.generator())
        );
    }

    function test_archive_tellsWhereTheSnapshotIs() public {
        G1Point memory blob = Kzg.generator();
        bytes memory certificate = _certificate(blob, archive.symbols());

        vm.expectEmit(address(archive));
        emit IEarningsArchive.EarningsArchived(PAGE, VERSION, operator, uint64(block.timestamp), blob, certificate);
        vm.prank(operator);
        archive.archive(PAGE, VERSION, blob, certificate);
    }

    function test_archive_reverts_whenTheCallerIsNoActiveOperator() public {
        address stranger = makeAddr("stranger");
        vm.mockCall(address(staking), abi.encodeCall(IStaking.isActive, (stranger)), abi.encode(false));
        bytes memory certificate = _certificate(Kzg.generator(), archive.symbols());

        vm.expectRevert(abi.encodeWithSelector(IEarningsArchive.OperatorNotActive.selector, stranger));
        vm.prank(stranger);
        archive.archive(PAGE, VERSION, Kzg.generator(), certificate);
    }

    function test_archive_reverts_whenTheVersionIsNotKept() public {
        bytes memory unknown = abi.encodeWithSelector(ISettlement.UnknownVersion.selector, PAGE, VERSION + 1);
        vm.mockCallRevert(address(settlement), abi.encodeCall(ISettlement.earningsAt, (PAGE, VERSION + 1)), unknown);
        bytes memory certificate = _certificate(Kzg.generator(), archive.symbols());

        vm.expectRevert(unknown);
        vm.prank(operator);
        archive.archive(PAGE, VERSION + 1, Kzg.generator(), certificate);
    }

    function test_archive_reverts_whenTheCertificateIsOfAnotherLength() public {
        bytes memory certificate = _certificate(Kzg.generator(), archive.symbols() * 2);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        vm.prank(operator);
        archive.archive(PAGE, VERSION, Kzg.generator(), certificate);
    }

    function test_archive_reverts_whenTheCertificateIsOfAnotherBlob() public {
        bytes memory certificate = _certificate(Kzg.negate(Kzg.generator()), archive.symbols());

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        vm.prank(operator);
        archive.archive(PAGE, VERSION, Kzg.generator(), certificate);
    }

    function test_archive_reverts_whenTheCommitmentIsNoPoint() public {
        G1Point memory blob = G1Point(1, 1);

        vm.expectRevert(abi.encodeWithSelector(IEarningsArchive.InvalidPoint.selector, 1, 1));
        vm.prank(operator);
        archive.archive(PAGE, VERSION, blob, "");
    }

    function test_symbols_holdAPageAndItsHeader() public {
        // 16 amounts are 128 bytes: 5 cells. No blob has fewer symbols.
        assertEq(_archiveOf(1 << 4).symbols(), 16);
        // 8192 bytes: 265 cells.
        assertEq(archive.symbols(), 512);
        // 524,288 bytes: 16,913 cells.
        assertEq(_archiveOf(1 << 16).symbols(), 32_768);
    }

    function test_symbols_areTheFewestThatHoldAPage() public {
        for (uint32 size = 1 << 4; size <= 1 << 16; size *= 2) {
            uint256 symbols = _archiveOf(size).symbols();
            assertGe((symbols - 1) * 31, uint256(size) * 8);
            assertTrue(symbols == 16 || (symbols / 2 - 1) * 31 < uint256(size) * 8);
        }
    }

    function _archiveOf(uint32 pageSize) private returns (EarningsArchive) {
        vm.mockCall(address(settlement), abi.encodeCall(ISettlement.pageSize, ()), abi.encode(pageSize));
        return new EarningsArchive(settlement, staking, daCerts);
    }

    function _certificate(G1Point memory blob, uint32 symbols) private view returns (bytes memory) {
        uint64 storedAt = uint64(block.timestamp);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, daCerts.digestOf(blob, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }
}
