// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../../contracts/interfaces/ICrossDomainMessenger.sol";
import {IRelayedCertVerifier} from "../../contracts/interfaces/IRelayedCertVerifier.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {DaCertRelay} from "../../contracts/verifiers/DaCertRelay.sol";
import {DevCertVerifier} from "../../contracts/verifiers/DevCertVerifier.sol";
import {RelayedCertVerifier} from "../../contracts/verifiers/RelayedCertVerifier.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {DeployRelay} from "../../script/DeployRelay.s.sol";
import {Base} from "../Base.t.sol";
import {TestEigenDACertVerifier, TestMessenger} from "../CrossDomain.sol";

/// @notice A deployment that takes EigenDA's certificates, on both chains.
contract DeployRelayedTest is Base {
    uint256 private constant MAIN_CHAIN = 1612;
    address private constant L2_MESSENGER = 0x4200000000000000000000000000000000000007;

    DeployRelay private relayScript;
    TestEigenDACertVerifier private eigenDA;
    TestMessenger private messenger;
    Deploy private script;

    function setUp() public override {
        vm.warp(START);
        vm.roll(20_000_000);
        vm.chainId(MAIN_CHAIN);
        script = new Deploy();
        relayScript = new DeployRelay();
        eigenDA = new TestEigenDACertVerifier();
        messenger = new TestMessenger();
        vm.etch(L2_MESSENGER, address(messenger).code);
        attestor = makeAddr("attestor");
    }

    function _relayedConfig() private view returns (Deploy.Config memory config) {
        config = _config();
        config.daVerifier = Deploy.DaVerifier.Relayed;
        config.messenger = ICrossDomainMessenger(L2_MESSENGER);
        config.daRelay = vm.computeCreateAddress(address(relayScript), vm.getNonce(address(relayScript)));
    }

    function test_deploy_settlesWithTheRelayedVerifier() public {
        Deploy.Config memory config = _relayedConfig();
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        RelayedCertVerifier verifier = RelayedCertVerifier(address(deployed.daCerts));

        assertEq(address(deployed.settlement.daCerts()), address(verifier));
        assertEq(address(deployed.archive.daCerts()), address(verifier));
        assertEq(address(deployed.indexes.daCerts()), address(verifier));
        assertEq(address(verifier.messenger()), L2_MESSENGER);
        assertEq(verifier.relay(), config.daRelay);
    }

    /// @dev From the certificate on L1 to what Settlement asks on L2, through what the two scripts deployed.
    function test_deploy_bothSidesFindEachOther() public {
        Deploy.Config memory config = _relayedConfig();
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        DaCertRelay relay = relayScript.deploy(_relayConfig(address(deployed.daCerts), config.daRelay));
        string memory json = vm.readFile("test/vectors/eigenda_certificate.json");
        bytes memory certificate = vm.parseJsonBytes(json, ".abi");
        vm.roll(vm.parseJsonUint(json, ".referenceBlock") + 10);
        eigenDA.set(certificate, 1);

        relay.relay(certificate);
        TestMessenger.Message memory message = messenger.messageAt(0);
        assertEq(message.target, address(deployed.daCerts));
        vm.prank(message.sender);
        TestMessenger(L2_MESSENGER).sendMessage(message.target, message.data, message.gasLimit);
        TestMessenger(L2_MESSENGER).deliver(0);

        G1Point memory commitment = G1Point(vm.parseJsonUint(json, ".x"), vm.parseJsonUint(json, ".y"));
        deployed.daCerts.check(commitment, uint32(vm.parseJsonUint(json, ".symbols")), certificate);
    }

    function test_deploy_reverts_withoutTheRelay() public {
        Deploy.Config memory config = _relayedConfig();
        config.daRelay = address(0);

        vm.expectRevert(Deploy.MissingDaRelay.selector);
        script.deploy(config, address(script));
    }

    function test_deploy_reverts_whenAMainChainWouldTakeAnAttestorsWord() public {
        Deploy.Config memory config = _config();
        uint256[2] memory chains = [uint256(1), MAIN_CHAIN];
        for (uint256 i; i < 2; ++i) {
            vm.chainId(chains[i]);
            vm.expectRevert(abi.encodeWithSelector(DevCertVerifier.MainChain.selector, chains[i]));
            script.deploy(config, address(script));
        }
    }

    function test_parse_takesTheVerifierByName() public {
        Deploy.Config memory config = script.parse('{"identity": {"x": 1, "y": 2}}', address(this));
        assertEq(uint8(config.daVerifier), uint8(Deploy.DaVerifier.Dev));
        assertEq(address(config.messenger), L2_MESSENGER);

        config = script.parse(
            '{"daVerifier": "relayed", "daRelay": "0x00000000000000000000000000000000000000aa", "messenger": "0x00000000000000000000000000000000000000bb", "identity": {"x": 1, "y": 2}}',
            address(this)
        );
        assertEq(uint8(config.daVerifier), uint8(Deploy.DaVerifier.Relayed));
        assertEq(config.daRelay, address(0xaa));
        assertEq(address(config.messenger), address(0xbb));
    }

    function test_parse_reverts_whenTheVerifierIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(Deploy.UnknownDaVerifier.selector, "eigenda"));
        script.parse('{"daVerifier": "eigenda"}', address(this));
    }

    function test_describe_namesTheVerifier() public {
        Deploy.Config memory config = _relayedConfig();
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        string memory json = script.describe(config, deployed);

        assertEq(vm.parseJsonAddress(json, ".contracts.DaCertVerifier"), address(deployed.daCerts));
        assertEq(vm.parseJsonAddress(json, ".contracts.RelayedCertVerifier"), address(deployed.daCerts));
        assertFalse(vm.keyExistsJson(json, ".contracts.DevCertVerifier"));
        assertEq(vm.parseJsonString(json, ".parameters.daVerifier"), "relayed");
        assertEq(vm.parseJsonAddress(json, ".parameters.daRelay"), config.daRelay);
    }

    function test_describe_keepsTheNameOfTheAttestors() public {
        vm.chainId(31_337);
        Deploy.Config memory config = _config();
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        string memory json = script.describe(config, deployed);

        assertEq(vm.parseJsonAddress(json, ".contracts.DevCertVerifier"), address(deployed.daCerts));
        assertEq(vm.parseJsonAddress(json, ".contracts.DaCertVerifier"), address(deployed.daCerts));
        assertEq(vm.parseJsonString(json, ".parameters.daVerifier"), "dev");
    }

    function test_relay_reverts_whenItsAddressIsNotTheOneNamed() public {
        DeployRelay.Config memory config = _relayConfig(makeAddr("verifier"), makeAddr("elsewhere"));
        address next = vm.computeCreateAddress(address(relayScript), vm.getNonce(address(relayScript)));

        vm.expectRevert(abi.encodeWithSelector(DeployRelay.AddressMispredicted.selector, next, config.relay));
        relayScript.deploy(config);
    }

    function test_relay_reverts_whenEigenDAOrTheMessengerIsNoContract() public {
        address next = vm.computeCreateAddress(address(relayScript), vm.getNonce(address(relayScript)));
        DeployRelay.Config memory config = _relayConfig(makeAddr("verifier"), next);
        config.eigenDA = TestEigenDACertVerifier(makeAddr("nobody"));
        vm.expectRevert(abi.encodeWithSelector(DeployRelay.NoContract.selector, config.eigenDA));
        relayScript.deploy(config);

        config.eigenDA = eigenDA;
        config.messenger = TestMessenger(makeAddr("nobody"));
        vm.expectRevert(abi.encodeWithSelector(DeployRelay.NoContract.selector, config.messenger));
        relayScript.deploy(config);
    }

    function test_relay_isDescribed() public {
        address next = vm.computeCreateAddress(address(relayScript), vm.getNonce(address(relayScript)));
        DeployRelay.Config memory config = _relayConfig(makeAddr("verifier"), next);
        string memory json = relayScript.describe(config, relayScript.deploy(config));

        assertEq(vm.parseJsonUint(json, ".chainId"), block.chainid);
        assertEq(vm.parseJsonAddress(json, ".contracts.DaCertRelay"), next);
        assertEq(vm.parseJsonAddress(json, ".parameters.verifier"), makeAddr("verifier"));
        assertEq(vm.parseJsonAddress(json, ".parameters.eigenDA"), address(eigenDA));
    }

    function _relayConfig(address verifier, address relay) private view returns (DeployRelay.Config memory) {
        return DeployRelay.Config({
            eigenDA: eigenDA, messenger: messenger, verifier: IRelayedCertVerifier(verifier), relay: relay
        });
    }
}
