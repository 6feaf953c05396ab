// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICrossDomainMessenger} from "../contracts/interfaces/ICrossDomainMessenger.sol";
import {IEigenDACertVerifier} from "../contracts/interfaces/IEigenDACertVerifier.sol";
import {IRelayedCertVerifier} from "../contracts/interfaces/IRelayedCertVerifier.sol";
import {DaCertRelay} from "../contracts/verifiers/DaCertRelay.sol";
import {Script} from "forge-std/Script.sol";
import {VmSafe} from "forge-std/Vm.sol";

/// @notice Deploys DaCertRelay on L1, after script/Deploy.s.sol deployed RelayedCertVerifier on L2 for its address:
///
///     forge script script/DeployRelay.s.sol --rpc-url <L1's url> --private-key <key> --broadcast
///
/// which writes deployments/<L1's chainId>.json. All variables must be given:
///
/// | Config    | variable        |                                                                       |
/// | eigenDA   | RELAY_EIGENDA   | EigenDA's certificate verifier on L1, or its router                   |
/// | messenger | RELAY_MESSENGER | L1CrossDomainMessenger of the L2                                      |
/// | verifier  | RELAY_VERIFIER  | RelayedCertVerifier on L2                                             |
/// | relay     | RELAY_ADDRESS   | the relay that it names: this deployer's next contract, else it fails |
contract DeployRelay is Script {
    struct Config {
        IEigenDACertVerifier eigenDA;
        ICrossDomainMessenger messenger;
        IRelayedCertVerifier verifier;
        address relay;
    }

    /// @dev The verifier on L2 would take nothing from a relay at another address.
    error AddressMispredicted(address relay, address named);
    /// @dev EigenDA's verifier and the messenger are contracts on this chain.
    error NoContract(address account);

    function run() external returns (DaCertRelay relay) {
        Config memory config = load();
        vm.startBroadcast();
        relay = deploy(config);
        vm.stopBroadcast();

        // A dry run deploys nothing, so it must not leave addresses behind.
        if (vm.isContext(VmSafe.ForgeContext.ScriptBroadcast)) {
            vm.writeJson(describe(config, relay), string.concat("deployments/", vm.toString(block.chainid), ".json"));
        }
    }

    function deploy(Config memory config) public returns (DaCertRelay relay) {
        require(address(config.eigenDA).code.length > 0, NoContract(address(config.eigenDA)));
        require(address(config.messenger).code.length > 0, NoContract(address(config.messenger)));

        relay = new DaCertRelay(config.eigenDA, config.messenger, config.verifier);

        require(address(relay) == config.relay, AddressMispredicted(address(relay), config.relay));
    }

    function load() public view returns (Config memory) {
        return Config({
            eigenDA: IEigenDACertVerifier(vm.envAddress("RELAY_EIGENDA")),
            messenger: ICrossDomainMessenger(vm.envAddress("RELAY_MESSENGER")),
            verifier: IRelayedCertVerifier(vm.envAddress("RELAY_VERIFIER")),
            relay: vm.envAddress("RELAY_ADDRESS")
        });
    }

    /// @notice The text of deployments/<L1's chainId>.json.
    function describe(Config memory config, DaCertRelay relay) public returns (string memory) {
        vm.serializeUint("relay", "chainId", block.chainid);
        vm.serializeUint("relay", "fromBlock", block.number);
        vm.serializeString("relay", "contracts", vm.serializeAddress("relay contracts", "DaCertRelay", address(relay)));
        vm.serializeAddress("relay parameters", "eigenDA", address(config.eigenDA));
        vm.serializeAddress("relay parameters", "messenger", address(config.messenger));
        string memory parameters = vm.serializeAddress("relay parameters", "verifier", address(config.verifier));
        return vm.serializeString("relay", "parameters", parameters);
    }
}
