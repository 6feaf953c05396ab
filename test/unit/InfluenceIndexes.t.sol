// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IDaCertVerifier} from "../../contracts/interfaces/IDaCertVerifier.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IInfluenceIndexes} from "../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {InfluenceIndexes} from "../../contracts/registry/InfluenceIndexes.sol";
import {ModelId} from "../../contracts/types/Ids.sol";
import {IndexFixture} from "../IndexFixture.sol";

contract InfluenceIndexesTest is IndexFixture {
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;

    address private immutable ARBITER = makeAddr("arbiter");
    ModelId private model;

    receive() external payable {
        revert("not taken");
    }

    function setUp() public override {
        super.setUp();
        _drawRows(1, 6, 3);
        model = _register(keccak256("root"), "adapter");
        vm.prank(GOVERNOR);
        indexes.setArbiter(ARBITER, true);
    }

    function test_publish_keepsWhatDisputesNeed() public {
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(2, 64);
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.IndexPublished(model, OWNER, 4, dim, 64, START + WINDOW, blobs, certificates);
        vm.prank(OWNER);
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);
        vm.snapshotGasLastCall("InfluenceIndexes", "publish two blobs");

        IInfluenceIndexes.Index memory index = indexes.indexOf(model);
        assertEq(index.contributors, 4, "contributors");
        assertEq(index.dim, dim, "dim");
        assertEq(index.acceptedAt, START + WINDOW, "accepted at");
        assertEq(index.disputableUntil, START + WINDOW, "disputable until");
        assertFalse(index.struck, "struck");
        assertEq(index.root, keccak256("root"), "root");
        assertEq(index.publisher, OWNER, "publisher");
        assertEq(index.symbols, 64, "symbols");
        assertEq(index.bond, BOND, "bond");
        assertEq(index.blobsHash, keccak256(abi.encode(blobs)), "blobs");
        assertEq(address(indexes).balance, BOND, "balance");
    }

    function test_isEarning_fromTheEndOfTheWindow() public {
        assertFalse(indexes.isEarning(model, type(uint64).max), "not published");
        _publishModel(model, 4);

        assertFalse(indexes.isEarning(model, START + WINDOW - 1), "before");
        assertTrue(indexes.isEarning(model, START + WINDOW), "from");
    }

    function test_isEarning_isTrueForBaseModelsAndFalseForUnknownOnes() public view {
        assertTrue(indexes.isEarning(base, 0), "base");
        assertFalse(indexes.isEarning(ModelId.wrap(keccak256("nothing")), type(uint64).max), "unknown");
    }

    function testFuzz_isEarning_neverDeniesABaseModelForLackOfGas(uint256 gas) public view {
        gas = bound(gas, 1000, 60_000);
        (bool ok, bytes memory answer) =
            address(indexes).staticcall{gas: gas}(abi.encodeCall(IInfluenceIndexes.isEarning, (base, 0)));
        if (ok) assertTrue(abi.decode(answer, (bool)));
    }

    function test_publish_reverts_withoutAnIndexToPublish() public {
        _expectRevert(base, 4, dim, 64, 2, BOND, abi.encodeWithSelector(IInfluenceIndexes.NoIndex.selector, base));
        ModelId unknown = ModelId.wrap(keccak256("nothing"));
        bytes memory error = abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, unknown);
        _expectRevert(unknown, 4, dim, 64, 2, BOND, error);
    }

    function test_publish_reverts_unlessTheCallerOwnsTheModel() public {
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(1, 64);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotModelOwner.selector, model, CHALLENGER));
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);

        vm.prank(CHALLENGER);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        vm.prank(OWNER);
        models.transferFrom(OWNER, CHALLENGER, uint256(ModelId.unwrap(model)));
        vm.prank(CHALLENGER);
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);
        assertEq(indexes.indexOf(model).publisher, CHALLENGER);
    }

    function test_publish_reverts_whenSomethingIsOutOfRange() public {
        bytes memory error = abi.encodeWithSelector(IInfluenceIndexes.BondTooLow.selector, BOND - 1, BOND);
        _expectRevert(model, 4, dim, 64, 2, BOND - 1, error);
        error = abi.encodeWithSelector(IInfluenceIndexes.ContributorsOutOfRange.selector, 0);
        _expectRevert(model, 0, dim, 64, 2, BOND, error);
        error = abi.encodeWithSelector(IInfluenceIndexes.ContributorsOutOfRange.selector, (1 << 24) + 1);
        _expectRevert(model, (1 << 24) + 1, dim, 64, 2, BOND, error);
        error = abi.encodeWithSelector(IInfluenceIndexes.DimOutOfRange.selector, 15);
        _expectRevert(model, 4, 15, 64, 2, BOND, error);
        error = abi.encodeWithSelector(IInfluenceIndexes.DimOutOfRange.selector, 8193);
        _expectRevert(model, 4, 8193, 64, 2, BOND, error);
        uint32[4] memory symbols = [uint32(0), 1, 96, 1 << 20];
        for (uint256 i = 0; i < symbols.length; i++) {
            error = abi.encodeWithSelector(IInfluenceIndexes.SymbolsOutOfRange.selector, symbols[i]);
            _expectRevert(model, 4, dim, symbols[i], 2, BOND, error);
        }
        error = abi.encodeWithSelector(IInfluenceIndexes.BlobsOutOfRange.selector, 0);
        _expectRevert(model, 4, dim, 64, 0, BOND, error);
        error = abi.encodeWithSelector(IInfluenceIndexes.BlobsOutOfRange.selector, 65);
        _expectRevert(model, 4, dim, 64, 65, BOND, error);
    }

    function test_publish_reverts_withoutACertificateForEachBlob() public {
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(2, 64);
        (, bytes[] memory one) = _blobs(1, 64);
        vm.startPrank(OWNER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.LengthMismatch.selector, 2, 1));
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, one);

        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        indexes.publish{value: BOND}(model, 4, dim, blobs, 128, certificates);

        certificates[1] = certificates[0];
        vm.expectRevert(IDaCertVerifier.InvalidCertificate.selector);
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);

        blobs[1] = G1Point(1, 3);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.InvalidPoint.selector, 1, 3));
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);
        vm.stopPrank();
    }

    function test_publish_reverts_theSecondTime_alsoOnceStruck() public {
        _publishModel(model, 4);
        bytes memory error = abi.encodeWithSelector(IInfluenceIndexes.AlreadyPublished.selector, model);
        _expectRevert(model, 4, dim, 64, 2, BOND, error);

        vm.prank(ARBITER);
        indexes.strike(model, CHALLENGER);
        _expectRevert(model, 4, dim, 64, 2, BOND, error);
    }

    function test_withdrawBond_paysThePublisherOnceTheIndexIsAccepted() public {
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotPublished.selector, model));
        indexes.withdrawBond(model);
        _publishModel(model, 4);
        uint256 before = OWNER.balance;
        vm.warp(START + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.WindowOpen.selector, model, START + WINDOW));
        indexes.withdrawBond(model);

        vm.warp(START + WINDOW);
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.BondWithdrawn(model, OWNER, BOND);
        indexes.withdrawBond(model);
        assertEq(OWNER.balance - before, BOND);
        assertTrue(indexes.isEarning(model, START + WINDOW), "earns without its bond");

        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NoBond.selector, model));
        indexes.withdrawBond(model);
    }

    function test_withdrawBond_reverts_whenThePublisherDoesNotTakeIt() public {
        earners.register(IEarnerRegistry.Role.ModelOwner);
        vm.prank(OWNER);
        models.transferFrom(OWNER, address(this), uint256(ModelId.unwrap(model)));
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(1, 64);
        vm.deal(address(this), BOND);
        indexes.publish{value: BOND}(model, 4, dim, blobs, 64, certificates);
        vm.warp(START + WINDOW);

        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.PaymentFailed.selector, address(this)));
        indexes.withdrawBond(model);
    }

    function test_strike_burnsHalfRoundedUpAndPaysTheRest() public {
        _publishModel(model, 4);
        uint256 before = CHALLENGER.balance;
        uint256 burned = BURNED.balance;

        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.IndexStruck(model, CHALLENGER, BOND / 2 + 1, BOND / 2);
        vm.prank(ARBITER);
        indexes.strike(model, CHALLENGER);

        assertEq(CHALLENGER.balance - before, BOND / 2, "paid");
        assertEq(BURNED.balance - burned, BOND / 2 + 1, "burned");
        assertEq(address(indexes).balance, 0, "left");
        assertTrue(indexes.indexOf(model).struck, "struck");
        assertFalse(indexes.isEarning(model, type(uint64).max), "earning");
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.IndexIsStruck.selector, model));
        indexes.withdrawBond(model);
    }

    function test_strike_burnsAllWhenTheChallengerDoesNotTakeIt() public {
        _publishModel(model, 4);
        uint256 burned = BURNED.balance;

        vm.prank(ARBITER);
        indexes.strike(model, address(this));

        assertEq(BURNED.balance - burned, BOND, "burned");
    }

    function test_strike_reverts_onceAcceptedOrStruckOrByOthers() public {
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotArbiter.selector, address(this)));
        indexes.strike(model, CHALLENGER);
        vm.startPrank(ARBITER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotPublished.selector, model));
        indexes.strike(model, CHALLENGER);
        vm.stopPrank();
        _publishModel(model, 4);
        vm.startPrank(ARBITER);
        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.WindowOver.selector, model, START + WINDOW));
        indexes.strike(model, CHALLENGER);

        vm.warp(START + WINDOW - 1);
        indexes.strike(model, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.IndexIsStruck.selector, model));
        indexes.strike(model, CHALLENGER);
    }

    function test_hold_putsOffAcceptanceAndNothingElse() public {
        _publishModel(model, 4);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotArbiter.selector, address(this)));
        indexes.hold(model, START + WINDOW + 5);

        vm.startPrank(ARBITER);
        indexes.hold(model, START + 1);
        assertEq(indexes.indexOf(model).acceptedAt, START + WINDOW, "not earlier");
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.IndexHeld(model, START + WINDOW + 5);
        indexes.hold(model, START + WINDOW + 5);
        assertFalse(indexes.isEarning(model, START + WINDOW), "held");
        assertTrue(indexes.isEarning(model, START + WINDOW + 5), "accepted");

        vm.warp(START + WINDOW);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.WindowOver.selector, model, START + WINDOW));
        indexes.hold(model, START + 2 * WINDOW);
        indexes.strike(model, CHALLENGER);
        vm.stopPrank();
    }

    function test_release_bringsAcceptanceBackToTheWindowsEndOrNow() public {
        vm.prank(ARBITER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotPublished.selector, model));
        indexes.release(model);
        _publishModel(model, 4);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.NotArbiter.selector, address(this)));
        indexes.release(model);

        vm.startPrank(ARBITER);
        indexes.hold(model, START + WINDOW + 50);
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.IndexHeld(model, START + WINDOW);
        indexes.release(model);
        assertEq(indexes.indexOf(model).acceptedAt, START + WINDOW, "within the window");

        indexes.hold(model, START + WINDOW + 50);
        vm.warp(START + WINDOW + 20);
        assertFalse(indexes.isEarning(model, START + WINDOW + 20), "held");
        indexes.release(model);
        assertEq(indexes.indexOf(model).acceptedAt, START + WINDOW + 20, "after it");
        assertFalse(indexes.isEarning(model, START + WINDOW + 19), "what has passed stays");

        vm.warp(START + WINDOW + 30);
        indexes.release(model);
        assertEq(indexes.indexOf(model).acceptedAt, START + WINDOW + 20, "accepted");
        vm.stopPrank();
    }

    function test_release_reverts_onceStruck() public {
        _publishModel(model, 4);
        vm.startPrank(ARBITER);
        indexes.strike(model, CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInfluenceIndexes.IndexIsStruck.selector, model));
        indexes.release(model);
        vm.stopPrank();
    }

    function test_parameters_areTheOwners() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        indexes.setMinBond(1);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        indexes.setArbiter(address(this), true);

        vm.startPrank(GOVERNOR);
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.MinBondSet(1);
        indexes.setMinBond(1);
        assertEq(indexes.minBond(), 1);
        vm.expectEmit(address(indexes));
        emit IInfluenceIndexes.ArbiterSet(ARBITER, false);
        indexes.setArbiter(ARBITER, false);
        assertFalse(indexes.isArbiter(ARBITER));
        vm.stopPrank();

        vm.expectRevert(IInfluenceIndexes.ZeroWindow.selector);
        new InfluenceIndexes(GOVERNOR, models, daCerts, 0, BOND);
    }

    function _expectRevert(
        ModelId of_,
        uint32 count,
        uint32 dim_,
        uint32 symbols,
        uint256 blobCount,
        uint256 bond,
        bytes memory error
    ) private {
        (G1Point[] memory blobs, bytes[] memory certificates) = _blobs(blobCount, symbols);
        vm.prank(OWNER);
        vm.expectRevert(error);
        indexes.publish{value: bond}(of_, count, dim_, blobs, symbols, certificates);
    }
}
