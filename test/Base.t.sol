// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FeeSchedule} from "../contracts/governance/FeeSchedule.sol";
import {ICrossDomainMessenger} from "../contracts/interfaces/ICrossDomainMessenger.sol";
import {IPayoutVerifier} from "../contracts/interfaces/IPayoutVerifier.sol";
import {G1Point} from "../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../contracts/payments/PaymentChannels.sol";
import {DatanetRegistry} from "../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../contracts/registry/EarnerRegistry.sol";
import {InfluenceIndexes} from "../contracts/registry/InfluenceIndexes.sol";
import {ModelRegistry} from "../contracts/registry/ModelRegistry.sol";
import {Disputes} from "../contracts/settlement/Disputes.sol";
import {IndexDisputes} from "../contracts/settlement/IndexDisputes.sol";
import {Settlement} from "../contracts/settlement/Settlement.sol";
import {Staking} from "../contracts/staking/Staking.sol";
import {DevCertVerifier} from "../contracts/verifiers/DevCertVerifier.sol";
import {Deploy} from "../script/Deploy.s.sol";
import {DevSrs} from "./DevSrs.sol";
import {StandInVerifier} from "./StandInVerifier.sol";
import {Test} from "forge-std/Test.sol";

/// @notice The script that deploys on a chain, but for the verifier of proofs.
contract StandInDeploy is Deploy {
    function _deployPayoutVerifier(Config memory config) internal virtual override returns (IPayoutVerifier) {
        return new StandInVerifier(config.pageSize, config.tauG2);
    }

    /// @dev Tests say themselves what may strike.
    function _deployFaultContracts(Config memory, Deployment memory)
        internal
        virtual
        override
        returns (address[] memory)
    {
        return new address[](0);
    }
}

/// @notice All contracts, deployed by the script that deploys them on a chain, with a stand-in for PayoutVerifier.
abstract contract Base is Test {
    uint256 internal constant GWEI = 1e9;

    /// @dev Begins an epoch.
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant EPOCH_SECONDS = 1 hours;
    uint64 internal constant DISPUTE_WINDOW = 7 days;
    uint32 internal constant PAGE_SIZE = 1 << 10;
    uint64 internal constant UNBONDING_PERIOD = 14 days;
    uint256 internal constant MIN_STAKE = 1000 ether;
    uint64 internal constant WITHDRAW_DELAY = 1 days;
    uint64 internal constant FEE_NOTICE = 7 days;
    uint256 internal constant EXPOSURE = 0.25e18;
    uint256 internal constant STRIKE_SLASH = 0.25e18;

    address internal owner = makeAddr("owner");
    address internal treasury = makeAddr("treasury");
    address internal attestor;
    uint256 internal attestorKey;

    EarnerRegistry internal earners;
    FeeSchedule internal fees;
    DatanetRegistry internal datanets;
    ModelRegistry internal models;
    InfluenceIndexes internal indexes;
    IndexDisputes internal indexDisputes;
    Staking internal staking;
    PaymentChannels internal channels;
    Settlement internal settlement;
    Disputes internal disputes;
    DevCertVerifier internal daCerts;
    IPayoutVerifier internal payoutVerifier;

    function setUp() public virtual {
        vm.warp(START);
        (attestor, attestorKey) = makeAddrAndKey("attestor");

        Deploy script = _script();
        Deploy.Deployment memory deployed = script.deploy(_config(), address(script));

        earners = deployed.earners;
        fees = deployed.fees;
        datanets = deployed.datanets;
        models = deployed.models;
        indexes = deployed.indexes;
        indexDisputes = deployed.indexDisputes;
        staking = deployed.staking;
        channels = deployed.channels;
        settlement = deployed.settlement;
        disputes = deployed.disputes;
        daCerts = DevCertVerifier(address(deployed.daCerts));
        payoutVerifier = deployed.payoutVerifier;

        vm.startPrank(owner);
        staking.acceptOwnership();
        settlement.acceptOwnership();
        disputes.acceptOwnership();
        vm.stopPrank();
    }

    function _script() internal virtual returns (Deploy) {
        return new StandInDeploy();
    }

    function _config() internal view virtual returns (Deploy.Config memory) {
        return Deploy.Config({
            owner: owner,
            treasury: treasury,
            daVerifier: Deploy.DaVerifier.Dev,
            attestor: attestor,
            messenger: ICrossDomainMessenger(address(0)),
            daRelay: address(0),
            epochSeconds: EPOCH_SECONDS,
            disputeWindow: DISPUTE_WINDOW,
            pageSize: PAGE_SIZE,
            unbondingPeriod: UNBONDING_PERIOD,
            minStake: MIN_STAKE,
            withdrawDelay: WITHDRAW_DELAY,
            feeNotice: FEE_NOTICE,
            indexWindow: 7 days,
            minIndexBond: 100 ether,
            claimBond: 1 ether,
            answerPeriod: 1 days,
            voteBond: 10 ether,
            minPanelStake: 3000 ether,
            votePenaltyWad: 0.01e18,
            votePeriod: 1 days,
            figureBond: 100 ether,
            figureWindow: 7 days,
            figurePeriod: 1 days,
            // What is not about figures pays by influence alone.
            defaultInfluenceBps: 10_000,
            exposureWad: EXPOSURE,
            strikeSlashWad: STRIKE_SLASH,
            tauG2: DevSrs.tauG2(),
            identity: G1Point(1, 2)
        });
    }

    /// @dev An operator with the minimum stake.
    function _operator(string memory name) internal returns (address operator) {
        operator = makeAddr(name);
        vm.deal(operator, MIN_STAKE);
        vm.prank(operator);
        staking.registerOperator{value: MIN_STAKE}();
    }
}
