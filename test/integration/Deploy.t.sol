// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {G2Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {EarnerIndex} from "../../contracts/types/Ids.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {Base} from "../Base.t.sol";

contract DeployTest is Base {
    function test_deploy_wiresTheContracts() public view {
        assertEq(earners.staking(), address(staking));
        assertEq(address(staking.earners()), address(earners));
        assertEq(address(models.earners()), address(earners));
        assertEq(address(models.datanets()), address(datanets));
        assertEq(address(channels.staking()), address(staking));
        assertEq(channels.settlement(), address(settlement));
        assertEq(address(settlement.channels()), address(channels));
        assertEq(address(settlement.daCerts()), address(daCerts));
    }

    function test_deploy_setsTheParameters() public view {
        assertEq(staking.minStake(), MIN_STAKE);
        assertEq(staking.unbondingPeriod(), UNBONDING_PERIOD);
        assertEq(channels.withdrawDelay(), WITHDRAW_DELAY);
        assertEq(settlement.epochSeconds(), EPOCH_SECONDS);
        assertEq(settlement.disputeWindow(), DISPUTE_WINDOW);
        assertEq(settlement.pageSize(), PAGE_SIZE);
        assertEq(daCerts.attestor(), attestor);
        assertEq(fees.minNotice(), FEE_NOTICE);
        assertEq(fees.rulesAt(START).split.contributorsBps, 5000);
        assertEq(fees.rulesAt(START).maxCredits, 32);
    }

    function test_deploy_leavesOnlyTheOwnerInCharge() public view {
        assertEq(earners.owner(), address(0));
        assertEq(staking.owner(), owner);
        assertEq(fees.owner(), owner);
    }

    function test_deploy_registersTheTreasuryFirst() public view {
        (address account, IEarnerRegistry.Role role) = earners.accountOf(EarnerIndex.wrap(1));
        assertEq(account, treasury);
        assertEq(uint8(role), uint8(IEarnerRegistry.Role.Treasury));
        assertEq(earners.earnerCount(), 1);
    }

    function test_load_hasDefaults() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = script.load(address(this));

        assertEq(config.treasury, address(this));
        assertEq(config.slashedTo, address(this));
        assertEq(config.pageSize, 65_536);
        assertEq(config.minStake, 1000 ether);
        assertGt(config.unbondingPeriod, config.disputeWindow);
        assertGt(config.withdrawDelay, config.epochSeconds);
        assertTrue(Kzg.isValid(config.tauG2), "EigenDA's tau");
    }

    function test_parse_takesAFile() public {
        Deploy script = new Deploy();
        string memory json = string.concat(
            '{"treasury": "0x00000000000000000000000000000000000000aa", "epochSeconds": 60, "pageSize": 1024,',
            ' "minStake": "5000000000000000000", "tauG2": {"x1": "0x01", "x0": "2", "y1": 3, "y0": "0x04"}}'
        );
        Deploy.Config memory config = script.parse(json, address(this));

        assertEq(config.treasury, address(0xaa));
        assertEq(config.slashedTo, address(0xaa), "follows the treasury");
        assertEq(config.attestor, address(this));
        assertEq(config.epochSeconds, 60);
        assertEq(config.pageSize, 1024);
        assertEq(config.minStake, 5 ether);
        assertEq(config.disputeWindow, 7 days);
        assertEq(keccak256(abi.encode(config.tauG2)), keccak256(abi.encode(G2Point(1, 2, 3, 4))));
    }

    function test_parse_reverts_whenParameterIsTooLarge() public {
        Deploy script = new Deploy();
        vm.expectRevert(abi.encodeWithSelector(Deploy.ParameterTooLarge.selector, "pageSize", uint256(1 << 32)));
        script.parse('{"pageSize": 4294967296}', address(this));
    }

    function test_describe_isReadable() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        string memory json = script.describe(config, deployed);

        assertEq(vm.parseJsonUint(json, ".chainId"), block.chainid);
        assertEq(vm.parseJsonAddress(json, ".contracts.Settlement"), address(deployed.settlement));
        assertEq(vm.parseJsonAddress(json, ".contracts.Staking"), address(deployed.staking));
        assertEq(vm.parseJsonUint(json, ".parameters.minStake"), MIN_STAKE);
        assertEq(vm.parseJsonUint(json, ".parameters.tauG2.x1"), config.tauG2.x1);
        assertEq(vm.parseJsonAddress(json, ".parameters.treasury"), treasury);
    }
}
