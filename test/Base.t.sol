// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FeeSchedule} from "../contracts/governance/FeeSchedule.sol";
import {PaymentChannels} from "../contracts/payments/PaymentChannels.sol";
import {DatanetRegistry} from "../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../contracts/registry/EarnerRegistry.sol";
import {ModelRegistry} from "../contracts/registry/ModelRegistry.sol";
import {Settlement} from "../contracts/settlement/Settlement.sol";
import {Staking} from "../contracts/staking/Staking.sol";
import {DevCertVerifier} from "../contracts/verifiers/DevCertVerifier.sol";
import {Deploy} from "../script/Deploy.s.sol";
import {DevSrs} from "./DevSrs.sol";
import {Test} from "forge-std/Test.sol";

/// @notice All contracts, deployed by the script that deploys them on a chain.
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

    address internal owner = makeAddr("owner");
    address internal treasury = makeAddr("treasury");
    address internal attestor;
    uint256 internal attestorKey;

    EarnerRegistry internal earners;
    FeeSchedule internal fees;
    DatanetRegistry internal datanets;
    ModelRegistry internal models;
    Staking internal staking;
    PaymentChannels internal channels;
    Settlement internal settlement;
    DevCertVerifier internal daCerts;

    function setUp() public virtual {
        vm.warp(START);
        (attestor, attestorKey) = makeAddrAndKey("attestor");

        Deploy script = new Deploy();
        Deploy.Deployment memory deployed = script.deploy(_config(), address(script));

        earners = deployed.earners;
        fees = deployed.fees;
        datanets = deployed.datanets;
        models = deployed.models;
        staking = deployed.staking;
        channels = deployed.channels;
        settlement = deployed.settlement;
        daCerts = deployed.daCerts;
    }

    function _config() internal view virtual returns (Deploy.Config memory) {
        return Deploy.Config({
            owner: owner,
            treasury: treasury,
            slashedTo: treasury,
            attestor: attestor,
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
            tauG2: DevSrs.tauG2()
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
