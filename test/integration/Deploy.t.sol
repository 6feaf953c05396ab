// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPayoutVerifier} from "../../contracts/interfaces/IPayoutVerifier.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point, G2Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {BondedFigures} from "../../contracts/registry/BondedFigures.sol";
import {EarnerIndex} from "../../contracts/types/Ids.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {Base} from "../Base.t.sol";

contract DeployTest is Base {
    /// @dev The deployment of a chain: no stand-in.
    function _script() internal override returns (Deploy) {
        return new Deploy();
    }

    function test_deploy_wiresTheContracts() public view {
        assertEq(earners.staking(), address(staking));
        assertEq(address(staking.earners()), address(earners));
        assertEq(address(models.earners()), address(earners));
        assertEq(address(models.datanets()), address(datanets));
        assertEq(address(channels.staking()), address(staking));
        assertEq(channels.settlement(), address(settlement));
        assertEq(address(settlement.channels()), address(channels));
        assertEq(address(settlement.daCerts()), address(daCerts));
        assertEq(address(settlement.payoutVerifier()), address(payoutVerifier));
        assertEq(address(disputes.settlement()), address(settlement));
        assertEq(address(disputes.staking()), address(staking));
        assertTrue(settlement.isArbiter(address(disputes)));
        assertTrue(staking.isSlasher(address(disputes)));
    }

    function test_deploy_usesTheVerifierOfProofs() public view {
        assertEq(payoutVerifier.pageSize(), PAGE_SIZE);
        assertEq(keccak256(abi.encode(payoutVerifier.identity())), keccak256(abi.encode(_config().identity)));
        assertEq(keccak256(abi.encode(payoutVerifier.tauG2())), keccak256(abi.encode(_config().tauG2)));
        assertEq(keccak256(abi.encode(settlement.tauG2())), keccak256(abi.encode(_config().tauG2)));
        assertGt(address(payoutVerifier).code.length, 5000, "no stand-in");
    }

    function test_deploy_setsTheParameters() public view {
        assertEq(staking.minStake(), MIN_STAKE);
        assertEq(staking.unbondingPeriod(), UNBONDING_PERIOD);
        assertEq(channels.withdrawDelay(), WITHDRAW_DELAY);
        assertEq(settlement.epochSeconds(), EPOCH_SECONDS);
        assertEq(settlement.disputeWindow(), DISPUTE_WINDOW);
        assertEq(settlement.pageSize(), PAGE_SIZE);
        assertEq(settlement.exposureWad(), EXPOSURE);
        assertEq(disputes.strikeSlashWad(), STRIKE_SLASH);
        assertEq(daCerts.attestor(), attestor);
        assertEq(fees.minNotice(), FEE_NOTICE);
        assertEq(fees.rulesAt(START).split.contributorsBps, 5000);
        assertEq(fees.rulesAt(START).maxCredits, 32);
    }

    function test_deploy_leavesOnlyTheOwnerInCharge() public view {
        assertEq(earners.owner(), address(0));
        assertEq(staking.owner(), owner);
        assertEq(settlement.owner(), owner);
        assertEq(disputes.owner(), owner);
        assertEq(fees.owner(), owner);
    }

    function test_deploy_wiresFigures() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        config.defaultInfluenceBps = 5000;
        Deploy.Deployment memory deployed = script.deploy(config, address(script));
        BondedFigures figures = deployed.figures;

        assertEq(address(figures.models()), address(deployed.models));
        assertEq(address(figures.mixes()), address(deployed.mixes));
        assertEq(address(figures.earners()), address(deployed.earners));
        assertEq(address(figures.roll()), address(deployed.roll));
        assertEq(figures.owner(), owner);
        assertEq(figures.bond(), config.figureBond);
        assertEq(figures.window(), config.figureWindow);
        assertEq(figures.defaultInfluenceAt(0), 5000);
        assertTrue(deployed.staking.isSlasher(address(figures)));
        assertEq(address(deployed.faults.factors.figures()), address(figures));
        assertTrue(deployed.disputes.isFaultContract(address(deployed.faults.factors)));

        string memory json = script.describe(config, deployed);
        assertEq(vm.parseJsonAddress(json, ".contracts.BondedFigures"), address(figures));
        assertEq(vm.parseJsonAddress(json, ".contracts.FactorFaults"), address(deployed.faults.factors));
        assertEq(vm.parseJsonUint(json, ".parameters.defaultInfluenceBps"), 5000);
    }

    function test_deploy_belongsToADeployerThatIsTheOwnerAtOnce() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        config.owner = address(script);
        Deploy.Deployment memory deployed = script.deploy(config, address(script));

        assertEq(deployed.settlement.owner(), address(script));
        assertEq(deployed.settlement.pendingOwner(), address(0));
    }

    function test_deploy_reverts_whenAStrikeCostsLessThanTheExposure() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        config.strikeSlashWad = config.exposureWad - 1;

        vm.expectRevert(
            abi.encodeWithSelector(Deploy.SlashBelowExposure.selector, config.strikeSlashWad, config.exposureWad)
        );
        script.deploy(config, address(script));
    }

    function test_deploy_reverts_whenUnbondingIsShorterThanTheWindow() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        config.unbondingPeriod = config.disputeWindow - 1;

        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.UnbondingTooShort.selector, config.unbondingPeriod, config.disputeWindow)
        );
        script.deploy(config, address(script));
    }

    function test_deploy_reverts_whenIdentityIsNoPoint() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = _config();
        config.identity = G1Point(0, 0);

        vm.expectRevert(IPayoutVerifier.InvalidKey.selector);
        script.deploy(config, address(script));
    }

    function test_deploy_registersTheTreasuryFirst() public view {
        (address account, IEarnerRegistry.Role role) = earners.accountOf(EarnerIndex.wrap(1));
        assertEq(account, treasury);
        assertEq(uint8(role), uint8(IEarnerRegistry.Role.Treasury));
        assertEq(earners.earnerCount(), 1);
    }

    function test_load_reverts_whenIdentityIsMissing() public {
        Deploy script = new Deploy();
        vm.expectRevert(Deploy.MissingIdentity.selector);
        script.load(address(this));
    }

    function test_parse_hasDefaults() public {
        Deploy script = new Deploy();
        Deploy.Config memory config = script.parse('{"identity": {"x": 1, "y": "0x02"}}', address(this));

        assertEq(config.treasury, address(this));
        assertEq(config.pageSize, 65_536);
        assertEq(config.minStake, 1000 ether);
        assertGt(config.unbondingPeriod, config.disputeWindow);
        assertEq(config.exposureWad, 0.25e18);
        assertEq(config.strikeSlashWad, 0.25e18);
        assertEq(config.identity.x, 1);
        assertEq(config.identity.y, 2);
        assertGt(config.withdrawDelay, config.epochSeconds);
        assertEq(config.defaultInfluenceBps, 5000);
        assertEq(config.figurePeriod, config.votePeriod);
        assertTrue(Kzg.isValid(config.tauG2), "EigenDA's tau");
    }

    function test_parse_takesAFile() public {
        Deploy script = new Deploy();
        string memory json = string.concat(
            '{"treasury": "0x00000000000000000000000000000000000000aa", "epochSeconds": 60, "pageSize": 1024,',
            ' "minStake": "5000000000000000000", "exposureWad": "7", "strikeSlashWad": 8, "identity": {"x": 5, "y": 6}, "tauG2": {"x1": "0x01", "x0": "2", "y1": 3, "y0": "0x04"}}'
        );
        Deploy.Config memory config = script.parse(json, address(this));

        assertEq(config.treasury, address(0xaa));
        assertEq(config.attestor, address(this));
        assertEq(config.epochSeconds, 60);
        assertEq(config.pageSize, 1024);
        assertEq(config.minStake, 5 ether);
        assertEq(config.disputeWindow, 7 days);
        assertEq(config.exposureWad, 7);
        assertEq(config.strikeSlashWad, 8);
        assertEq(keccak256(abi.encode(config.identity)), keccak256(abi.encode(G1Point(5, 6))));
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
        assertEq(vm.parseJsonAddress(json, ".contracts.Disputes"), address(deployed.disputes));
        assertEq(vm.parseJsonAddress(json, ".contracts.PayoutVerifier"), address(deployed.payoutVerifier));
        assertEq(vm.parseJsonUint(json, ".parameters.exposureWad"), EXPOSURE);
        assertEq(vm.parseJsonUint(json, ".parameters.identity.y"), config.identity.y);
        assertEq(vm.parseJsonUint(json, ".parameters.minStake"), MIN_STAKE);
        assertEq(vm.parseJsonUint(json, ".parameters.tauG2.x1"), config.tauG2.x1);
        assertEq(vm.parseJsonAddress(json, ".parameters.treasury"), treasury);
    }
}
