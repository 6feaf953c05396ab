// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FeeSchedule} from "../contracts/governance/FeeSchedule.sol";
import {IBondedFigures} from "../contracts/interfaces/IBondedFigures.sol";
import {ICrossDomainMessenger} from "../contracts/interfaces/ICrossDomainMessenger.sol";
import {IDaCertVerifier} from "../contracts/interfaces/IDaCertVerifier.sol";
import {IFeeSchedule} from "../contracts/interfaces/IFeeSchedule.sol";
import {IPayoutVerifier} from "../contracts/interfaces/IPayoutVerifier.sol";
import {ISketchVotes} from "../contracts/interfaces/ISketchVotes.sol";
import {G1Point, G2Point} from "../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../contracts/payments/PaymentChannels.sol";
import {BondedFigures} from "../contracts/registry/BondedFigures.sol";
import {DatanetRegistry} from "../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../contracts/registry/EarnerRegistry.sol";
import {InfluenceIndexes} from "../contracts/registry/InfluenceIndexes.sol";
import {ModelMixes} from "../contracts/registry/ModelMixes.sol";
import {ModelRegistry} from "../contracts/registry/ModelRegistry.sol";
import {SpanIndexes} from "../contracts/registry/SpanIndexes.sol";
import {Disputes} from "../contracts/settlement/Disputes.sol";
import {EarningsArchive} from "../contracts/settlement/EarningsArchive.sol";
import {IndexDisputes} from "../contracts/settlement/IndexDisputes.sol";
import {RecordSamples} from "../contracts/settlement/RecordSamples.sol";
import {Settlement} from "../contracts/settlement/Settlement.sol";
import {SketchVotes} from "../contracts/settlement/SketchVotes.sol";
import {ValidatorRoll} from "../contracts/settlement/ValidatorRoll.sol";
import {AmountFaults} from "../contracts/settlement/faults/AmountFaults.sol";
import {CarryFaults} from "../contracts/settlement/faults/CarryFaults.sol";
import {CreditFaults} from "../contracts/settlement/faults/CreditFaults.sol";
import {FactorFaults} from "../contracts/settlement/faults/FactorFaults.sol";
import {ReceiptFaults} from "../contracts/settlement/faults/ReceiptFaults.sol";
import {RecordFaults} from "../contracts/settlement/faults/RecordFaults.sol";
import {RowFaults} from "../contracts/settlement/faults/RowFaults.sol";
import {UseFaults} from "../contracts/settlement/faults/UseFaults.sol";
import {Staking} from "../contracts/staking/Staking.sol";
import {DevCertVerifier} from "../contracts/verifiers/DevCertVerifier.sol";
import {PayoutVerifier} from "../contracts/verifiers/PayoutVerifier.sol";
import {RelayedCertVerifier} from "../contracts/verifiers/RelayedCertVerifier.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Script} from "forge-std/Script.sol";
import {VmSafe} from "forge-std/Vm.sol";

/// @notice Deploys all contracts. Tests call `deploy`; on a chain, run
///
///     forge script script/Deploy.s.sol --rpc-url <url> --private-key <key> --broadcast
///
/// which writes deployments/<chainId>.json. A parameter is taken from its environment variable, else from the JSON file
/// that DEPLOY_CONFIG names (keys as in `Config`, points as objects of their coordinates), else it has its default:
///
/// | Config          | variable                | default                                                     |
/// | owner           | DEPLOY_OWNER            | the deployer; governs fees, exposure, slashing and arbiters |
/// | treasury        | DEPLOY_TREASURY         | the deployer; earner 1, which nobody can change later       |
/// | daVerifier      | DEPLOY_DA_VERIFIER      | dev; or relayed, the only one that main chains take         |
/// | attestor        | DEPLOY_ATTESTOR         | dev: the deployer; signs data-availability certificates     |
/// | messenger       | DEPLOY_MESSENGER        | relayed: OP Stack's on L2, 0x42...07                        |
/// | daRelay         | DEPLOY_DA_RELAY         | relayed: none, it must be given; DaCertRelay's address on L1 |
/// | epochSeconds    | DEPLOY_EPOCH_SECONDS    | 3600                                                        |
/// | disputeWindow   | DEPLOY_DISPUTE_WINDOW   | 604800 (7 days)                                             |
/// | pageSize        | DEPLOY_PAGE_SIZE        | 65536 earners, a power of two                               |
/// | unbondingPeriod | DEPLOY_UNBONDING_PERIOD | 1209600 (14 days); at least the dispute window              |
/// | minStake        | DEPLOY_MIN_STAKE        | 1000 OPEN, in wei                                           |
/// | exposureWad     | DEPLOY_EXPOSURE         | 0.25e18 of an operator's stake may be in unfinal batches    |
/// | strikeSlashWad  | DEPLOY_STRIKE_SLASH     | 0.25e18 of the stake is slashed; at least the exposure      |
/// | withdrawDelay   | DEPLOY_WITHDRAW_DELAY   | 86400 (1 day); longer than an epoch and the time to post it |
/// | feeNotice       | DEPLOY_FEE_NOTICE       | 604800 (7 days) between a change of fees and its effect     |
/// | indexWindow     | DEPLOY_INDEX_WINDOW     | 604800 (7 days) until a published index may earn            |
/// | minIndexBond    | DEPLOY_MIN_INDEX_BOND   | 100 OPEN, in wei, to publish an index                       |
/// | claimBond       | DEPLOY_CLAIM_BOND       | 1 OPEN, in wei, to claim a row or leaf of an index missing  |
/// | answerPeriod    | DEPLOY_ANSWER_PERIOD    | 86400 (1 day) to answer such a claim                        |
/// | voteBond        | DEPLOY_VOTE_BOND        | 10 OPEN, in wei, to challenge a record's sketch             |
/// | minPanelStake   | DEPLOY_MIN_PANEL_STAKE  | 3000 OPEN, in wei, behind a vote at least                   |
/// | votePenaltyWad  | DEPLOY_VOTE_PENALTY     | 0.01e18 of a silent or losing validator's stake             |
/// | votePeriod      | DEPLOY_VOTE_PERIOD      | 86400 (1 day) each to answer, to commit and to reveal       |
/// | figureBond      | DEPLOY_FIGURE_BOND      | 100 OPEN, in wei, to post a figure, and to challenge it     |
/// | figureWindow    | DEPLOY_FIGURE_WINDOW    | 604800 (7 days) until a figure is in force                  |
/// | figurePeriod    | DEPLOY_FIGURE_PERIOD    | votePeriod; each to commit and to reveal votes on a figure  |
/// | defaultInfluenceBps | DEPLOY_DEFAULT_INFLUENCE | 5000: influence pays half where nobody measured it     |
/// | tauG2           | DEPLOY_TAU_G2           | EigenDA's; as x1,x0,y1,y0 (imaginary part first)            |
/// | identity        | DEPLOY_IDENTITY         | none, it must be given; as x,y                              |
///
/// `identity` is the commitment to the polynomial of degree below the page size with value k at v^k, and only follows
/// from the whole reference string: the prover computes it (`VerifierKey::identity`).
///
/// RelayedCertVerifier and DaCertRelay name each other for ever, so `daRelay` is where script/DeployRelay.s.sol will put
/// the relay: `cast compute-address <deployer on L1> --nonce <its next nonce>`.
///
/// Contracts with an owner that are wired to each other belong to the deployer until the owner has accepted them
/// (`acceptOwnership` of Staking, Settlement and Disputes), unless it is the deployer itself.
contract Deploy is Script {
    /// @dev Dev takes an attestor's word, Relayed takes EigenDA's certificates from L1.
    enum DaVerifier {
        Dev,
        Relayed
    }

    struct Config {
        address owner;
        address treasury;
        DaVerifier daVerifier;
        address attestor;
        ICrossDomainMessenger messenger;
        address daRelay;
        uint64 epochSeconds;
        uint64 disputeWindow;
        uint32 pageSize;
        uint64 unbondingPeriod;
        uint256 minStake;
        uint64 withdrawDelay;
        uint64 feeNotice;
        uint256 exposureWad;
        uint256 strikeSlashWad;
        uint64 indexWindow;
        uint256 minIndexBond;
        uint256 claimBond;
        uint64 answerPeriod;
        uint256 voteBond;
        uint256 minPanelStake;
        uint256 votePenaltyWad;
        uint64 votePeriod;
        uint256 figureBond;
        uint64 figureWindow;
        uint64 figurePeriod;
        uint16 defaultInfluenceBps;
        G2Point tauG2;
        G1Point identity;
    }

    /// @dev What may strike batches.
    struct Faults {
        RowFaults rows;
        AmountFaults amounts;
        RecordFaults records;
        ReceiptFaults receipts;
        CarryFaults carries;
        CreditFaults credits;
        UseFaults uses;
        FactorFaults factors;
        SketchVotes votes;
    }

    struct Deployment {
        EarnerRegistry earners;
        FeeSchedule fees;
        DatanetRegistry datanets;
        ModelRegistry models;
        InfluenceIndexes indexes;
        IndexDisputes indexDisputes;
        ModelMixes mixes;
        SpanIndexes spanIndexes;
        Staking staking;
        PaymentChannels channels;
        Settlement settlement;
        Disputes disputes;
        IDaCertVerifier daCerts;
        IPayoutVerifier payoutVerifier;
        EarningsArchive archive;
        Faults faults;
        ValidatorRoll roll;
        RecordSamples samples;
        BondedFigures figures;
    }

    error AddressMispredicted(address settlement, address predicted);
    error ParameterTooLarge(string name, uint256 value);
    error MissingIdentity();
    /// @dev Neither dev nor relayed.
    error UnknownDaVerifier(string given);
    error MissingDaRelay();
    /// @dev One strike must outweigh what an operator has in batches that are not final.
    error SlashBelowExposure(uint256 strikeSlashWad, uint256 exposureWad);

    /// @dev Of every OP Stack chain.
    address private constant L2_MESSENGER = 0x4200000000000000000000000000000000000007;

    string private _json;

    function run() external returns (Deployment memory deployed) {
        vm.startBroadcast();
        (, address deployer,) = vm.readCallers();
        Config memory config = load(deployer);
        deployed = deploy(config, deployer);
        vm.stopBroadcast();

        // A dry run deploys nothing, so it must not leave addresses behind.
        if (vm.isContext(VmSafe.ForgeContext.ScriptBroadcast)) {
            vm.writeJson(describe(config, deployed), string.concat("deployments/", vm.toString(block.chainid), ".json"));
        }
    }

    /// @param deployer whose calls and creations these are: the broadcaster, or this contract in tests
    function deploy(Config memory config, address deployer) public returns (Deployment memory deployed) {
        require(
            config.strikeSlashWad >= config.exposureWad, SlashBelowExposure(config.strikeSlashWad, config.exposureWad)
        );

        deployed.earners = new EarnerRegistry(deployer, config.treasury);
        deployed.staking = new Staking(deployer, deployed.earners, config.minStake, config.unbondingPeriod);
        deployed.earners.setStaking(address(deployed.staking));
        // Setting Staking once was all that an owner could do.
        deployed.earners.renounceOwnership();

        deployed.fees = new FeeSchedule(config.owner, defaultRules(), config.feeNotice);
        deployed.datanets = new DatanetRegistry();
        deployed.models = new ModelRegistry(deployed.earners, deployed.datanets);
        deployed.daCerts = _deployDaVerifier(config);
        deployed.payoutVerifier = _deployPayoutVerifier(config);
        _deployIndexes(config, deployer, deployed);
        _deployPayments(config, deployer, deployed);
        _deployDisputes(config, deployer, deployed);
        deployed.archive = new EarningsArchive(deployed.settlement, deployed.staking, deployed.daCerts);

        _handOver(deployed.staking, config.owner);
        _handOver(deployed.settlement, config.owner);
        _handOver(deployed.disputes, config.owner);
    }

    /// @notice The configuration of the environment, with the defaults above.
    function load(address deployer) public returns (Config memory) {
        string memory path = vm.envOr("DEPLOY_CONFIG", string(""));
        return parse(bytes(path).length == 0 ? "{}" : vm.readFile(path), deployer);
    }

    /// @notice The same, with `json` as the text of the configuration file.
    function parse(string memory json, address deployer) public returns (Config memory config) {
        _json = json;

        config.owner = _address("owner", "DEPLOY_OWNER", deployer);
        config.treasury = _address("treasury", "DEPLOY_TREASURY", deployer);
        config.daVerifier = _daVerifier();
        config.attestor = _address("attestor", "DEPLOY_ATTESTOR", deployer);
        config.messenger = ICrossDomainMessenger(_address("messenger", "DEPLOY_MESSENGER", L2_MESSENGER));
        config.daRelay = _address("daRelay", "DEPLOY_DA_RELAY", address(0));
        config.epochSeconds = _uint64("epochSeconds", "DEPLOY_EPOCH_SECONDS", 1 hours);
        config.disputeWindow = _uint64("disputeWindow", "DEPLOY_DISPUTE_WINDOW", 7 days);
        config.pageSize = uint32(_uint("pageSize", "DEPLOY_PAGE_SIZE", 65_536, type(uint32).max));
        config.unbondingPeriod = _uint64("unbondingPeriod", "DEPLOY_UNBONDING_PERIOD", 14 days);
        config.minStake = _uint("minStake", "DEPLOY_MIN_STAKE", 1000 ether, type(uint256).max);
        config.withdrawDelay = _uint64("withdrawDelay", "DEPLOY_WITHDRAW_DELAY", 1 days);
        config.feeNotice = _uint64("feeNotice", "DEPLOY_FEE_NOTICE", 7 days);
        config.exposureWad = _uint("exposureWad", "DEPLOY_EXPOSURE", 0.25e18, 1e18);
        config.strikeSlashWad = _uint("strikeSlashWad", "DEPLOY_STRIKE_SLASH", 0.25e18, 1e18);
        config.indexWindow = _uint64("indexWindow", "DEPLOY_INDEX_WINDOW", 7 days);
        config.minIndexBond = _uint("minIndexBond", "DEPLOY_MIN_INDEX_BOND", 100 ether, type(uint256).max);
        config.claimBond = _uint("claimBond", "DEPLOY_CLAIM_BOND", 1 ether, type(uint256).max);
        config.answerPeriod = _uint64("answerPeriod", "DEPLOY_ANSWER_PERIOD", 1 days);
        config.voteBond = _uint("voteBond", "DEPLOY_VOTE_BOND", 10 ether, type(uint128).max);
        config.minPanelStake = _uint("minPanelStake", "DEPLOY_MIN_PANEL_STAKE", 3000 ether, type(uint128).max);
        config.votePenaltyWad = _uint("votePenaltyWad", "DEPLOY_VOTE_PENALTY", 0.01e18, 1e18);
        config.votePeriod = _uint64("votePeriod", "DEPLOY_VOTE_PERIOD", 1 days);
        _parseFigures(config);
        config.tauG2 = _tauG2();
        config.identity = _identity();
    }

    /// @dev Half by default: measured influence of models is worth from nothing to the whole, and between what is
    /// known of contributors and what is not, unmeasured influence favours neither.
    function _parseFigures(Config memory config) private view {
        config.figureBond = _uint("figureBond", "DEPLOY_FIGURE_BOND", 100 ether, type(uint128).max);
        config.figureWindow = _uint64("figureWindow", "DEPLOY_FIGURE_WINDOW", 7 days);
        config.figurePeriod = _uint64("figurePeriod", "DEPLOY_FIGURE_PERIOD", config.votePeriod);
        config.defaultInfluenceBps = uint16(_uint("defaultInfluenceBps", "DEPLOY_DEFAULT_INFLUENCE", 5000, 10_000));
    }

    /// @notice The split of fees that the protocol starts with.
    function defaultRules() public pure returns (IFeeSchedule.Rules memory) {
        return IFeeSchedule.Rules({
            split: IFeeSchedule.Split({platformBps: 1000, modelBps: 2000, stakersBps: 2000, contributorsBps: 5000}),
            maxCredits: 32
        });
    }

    /// @notice tau G2 of the reference string that EigenDA uses on its main network.
    function eigenDaTauG2() public pure returns (G2Point memory) {
        return G2Point({
            x1: 10_478_571_113_809_844_268_398_751_534_081_669_357_808_742_555_529_167_819_607_714_577_862_447_855_483,
            x0: 19_394_299_006_376_106_554_626_551_996_044_114_846_855_237_028_623_244_664_226_757_033_024_550_999_552,
            y1: 10_552_783_866_161_062_341_197_740_743_287_753_408_530_108_186_218_052_255_509_661_543_860_392_060_676,
            y0: 9_205_262_336_805_673_656_533_560_220_225_620_941_045_451_042_642_528_799_409_071_118_332_922_267_006
        });
    }

    /// @notice The text of deployments/<chainId>.json.
    function describe(Config memory config, Deployment memory deployed) public returns (string memory) {
        vm.serializeUint("deployment", "chainId", block.chainid);
        vm.serializeUint("deployment", "fromBlock", block.number);
        vm.serializeString("deployment", "contracts", _describeContracts(config, deployed));
        return vm.serializeString("deployment", "parameters", _describeParameters(config));
    }

    function _deployIndexes(Config memory config, address deployer, Deployment memory deployed) private {
        deployed.indexes =
            new InfluenceIndexes(deployer, deployed.models, deployed.daCerts, config.indexWindow, config.minIndexBond);
        deployed.indexDisputes = new IndexDisputes(
            deployed.indexes,
            deployed.models,
            deployed.datanets,
            deployed.earners,
            config.claimBond,
            config.answerPeriod
        );
        deployed.mixes = new ModelMixes(deployed.models);
        deployed.spanIndexes = new SpanIndexes(
            deployed.models,
            deployed.datanets,
            deployed.earners,
            config.minIndexBond,
            config.claimBond,
            config.indexWindow,
            config.answerPeriod
        );
        deployed.indexes.setArbiter(address(deployed.indexDisputes), true);
        if (config.owner != deployer) deployed.indexes.transferOwnership(config.owner);
    }

    function _deployDaVerifier(Config memory config) private returns (IDaCertVerifier) {
        if (config.daVerifier == DaVerifier.Dev) return new DevCertVerifier(config.attestor);

        require(config.daRelay != address(0), MissingDaRelay());
        return new RelayedCertVerifier(config.messenger, config.daRelay);
    }

    /// @dev Tests of what does not depend on proofs put another one in its place.
    function _deployPayoutVerifier(Config memory config) internal virtual returns (IPayoutVerifier) {
        return new PayoutVerifier(config.pageSize, config.identity, config.tauG2);
    }

    /// @dev The contracts that may strike batches, for ever. What they need is in `deployed`, Disputes too.
    function _deployFaultContracts(Config memory config, Deployment memory deployed)
        internal
        virtual
        returns (address[] memory contracts)
    {
        Faults memory f = deployed.faults;
        f.rows = new RowFaults(deployed.disputes, deployed.earners);
        f.amounts = new AmountFaults(deployed.disputes, deployed.fees, deployed.mixes);
        f.records =
            new RecordFaults(deployed.disputes, deployed.models, deployed.indexes, deployed.earners, deployed.channels);
        f.receipts = new ReceiptFaults(deployed.disputes, deployed.channels);
        f.carries = new CarryFaults(deployed.disputes);
        f.credits = new CreditFaults(deployed.disputes, deployed.models, deployed.indexes, deployed.fees);
        f.uses = new UseFaults(deployed.disputes, deployed.spanIndexes);
        f.votes = _deployVotes(config, deployed);
        f.factors = new FactorFaults(deployed.disputes, _deployFigures(config, deployed));

        contracts = new address[](9);
        (contracts[0], contracts[1], contracts[2]) = (address(f.rows), address(f.amounts), address(f.records));
        (contracts[3], contracts[4], contracts[5]) = (address(f.receipts), address(f.carries), address(f.credits));
        (contracts[6], contracts[7], contracts[8]) = (address(f.votes), address(f.uses), address(f.factors));
    }

    function _deployFigures(Config memory config, Deployment memory deployed) private returns (BondedFigures figures) {
        figures = new BondedFigures(
            config.owner,
            deployed.mixes,
            deployed.earners,
            deployed.roll,
            IBondedFigures.Parameters(
                config.figureBond,
                config.minPanelStake,
                config.votePenaltyWad,
                config.figureWindow,
                config.figurePeriod,
                config.figurePeriod,
                config.defaultInfluenceBps
            )
        );
        deployed.figures = figures;
        deployed.staking.setSlasher(address(figures), true);
    }

    function _deployVotes(Config memory config, Deployment memory deployed) private returns (SketchVotes votes) {
        uint64 period = config.votePeriod;
        deployed.roll = new ValidatorRoll(deployed.staking);
        deployed.samples = new RecordSamples(deployed.settlement);
        votes = new SketchVotes(
            deployed.disputes,
            deployed.roll,
            ISketchVotes.Parameters(
                config.voteBond, config.minPanelStake, config.votePenaltyWad, period, period, period
            )
        );
        deployed.staking.setSlasher(address(votes), true);
    }

    function _deployDisputes(Config memory config, address deployer, Deployment memory deployed) private {
        deployed.disputes = new Disputes(deployer, deployed.settlement, deployed.staking, config.strikeSlashWad);
        deployed.settlement.setArbiter(address(deployed.disputes), true);
        deployed.staking.setSlasher(address(deployed.disputes), true);

        address[] memory faultContracts = _deployFaultContracts(config, deployed);
        if (faultContracts.length > 0) deployed.disputes.setFaultContracts(faultContracts);
    }

    function _handOver(Ownable2Step owned, address owner) private {
        if (owned.owner() != owner) owned.transferOwnership(owner);
    }

    /// @dev Each of the two knows the other for ever, so the first is told where the second will be.
    function _deployPayments(Config memory config, address deployer, Deployment memory deployed) private {
        address predicted = vm.computeCreateAddress(deployer, vm.getNonce(deployer) + 1);

        deployed.channels = new PaymentChannels(deployed.staking, predicted, config.withdrawDelay);
        deployed.settlement = new Settlement(
            deployer,
            deployed.earners,
            deployed.staking,
            deployed.channels,
            deployed.daCerts,
            deployed.payoutVerifier,
            Settlement.Parameters(config.epochSeconds, config.disputeWindow, config.exposureWad)
        );

        require(address(deployed.settlement) == predicted, AddressMispredicted(address(deployed.settlement), predicted));
    }

    function _describeContracts(Config memory config, Deployment memory deployed) private returns (string memory) {
        vm.serializeAddress("contracts", "EarnerRegistry", address(deployed.earners));
        vm.serializeAddress("contracts", "FeeSchedule", address(deployed.fees));
        vm.serializeAddress("contracts", "DatanetRegistry", address(deployed.datanets));
        vm.serializeAddress("contracts", "ModelRegistry", address(deployed.models));
        vm.serializeAddress("contracts", "InfluenceIndexes", address(deployed.indexes));
        vm.serializeAddress("contracts", "IndexDisputes", address(deployed.indexDisputes));
        vm.serializeAddress("contracts", "ModelMixes", address(deployed.mixes));
        vm.serializeAddress("contracts", "SpanIndexes", address(deployed.spanIndexes));
        vm.serializeAddress("contracts", "Staking", address(deployed.staking));
        vm.serializeAddress("contracts", "PaymentChannels", address(deployed.channels));
        vm.serializeAddress("contracts", "Settlement", address(deployed.settlement));
        vm.serializeAddress("contracts", "Disputes", address(deployed.disputes));
        vm.serializeAddress("contracts", "EarningsArchive", address(deployed.archive));
        vm.serializeAddress("contracts", "PayoutVerifier", address(deployed.payoutVerifier));
        vm.serializeAddress("contracts", "RowFaults", address(deployed.faults.rows));
        vm.serializeAddress("contracts", "AmountFaults", address(deployed.faults.amounts));
        vm.serializeAddress("contracts", "RecordFaults", address(deployed.faults.records));
        vm.serializeAddress("contracts", "ReceiptFaults", address(deployed.faults.receipts));
        vm.serializeAddress("contracts", "CarryFaults", address(deployed.faults.carries));
        vm.serializeAddress("contracts", "CreditFaults", address(deployed.faults.credits));
        vm.serializeAddress("contracts", "UseFaults", address(deployed.faults.uses));
        vm.serializeAddress("contracts", "FactorFaults", address(deployed.faults.factors));
        vm.serializeAddress("contracts", "BondedFigures", address(deployed.figures));
        vm.serializeAddress("contracts", "SketchVotes", address(deployed.faults.votes));
        vm.serializeAddress("contracts", "ValidatorRoll", address(deployed.roll));
        vm.serializeAddress("contracts", "RecordSamples", address(deployed.samples));
        vm.serializeAddress("contracts", "DaCertVerifier", address(deployed.daCerts));
        string memory kind = config.daVerifier == DaVerifier.Dev ? "DevCertVerifier" : "RelayedCertVerifier";
        return vm.serializeAddress("contracts", kind, address(deployed.daCerts));
    }

    function _describeParameters(Config memory config) private returns (string memory) {
        vm.serializeAddress("parameters", "owner", config.owner);
        vm.serializeAddress("parameters", "treasury", config.treasury);
        vm.serializeString("parameters", "daVerifier", config.daVerifier == DaVerifier.Dev ? "dev" : "relayed");
        vm.serializeAddress("parameters", "attestor", config.attestor);
        vm.serializeAddress("parameters", "messenger", address(config.messenger));
        vm.serializeAddress("parameters", "daRelay", config.daRelay);
        vm.serializeUint("parameters", "epochSeconds", config.epochSeconds);
        vm.serializeUint("parameters", "disputeWindow", config.disputeWindow);
        vm.serializeUint("parameters", "pageSize", config.pageSize);
        vm.serializeUint("parameters", "unbondingPeriod", config.unbondingPeriod);
        // As text: JSON readers lose precision above 2^53.
        vm.serializeString("parameters", "minStake", vm.toString(config.minStake));
        vm.serializeUint("parameters", "withdrawDelay", config.withdrawDelay);
        vm.serializeUint("parameters", "feeNotice", config.feeNotice);
        vm.serializeString("parameters", "exposureWad", vm.toString(config.exposureWad));
        vm.serializeString("parameters", "strikeSlashWad", vm.toString(config.strikeSlashWad));

        vm.serializeString("parameters", "voteBond", vm.toString(config.voteBond));
        vm.serializeString("parameters", "minPanelStake", vm.toString(config.minPanelStake));
        vm.serializeString("parameters", "votePenaltyWad", vm.toString(config.votePenaltyWad));
        vm.serializeUint("parameters", "votePeriod", config.votePeriod);
        vm.serializeString("parameters", "figureBond", vm.toString(config.figureBond));
        vm.serializeUint("parameters", "figureWindow", config.figureWindow);
        vm.serializeUint("parameters", "figurePeriod", config.figurePeriod);
        vm.serializeUint("parameters", "defaultInfluenceBps", config.defaultInfluenceBps);

        vm.serializeBytes32("identity", "x", bytes32(config.identity.x));
        string memory identity = vm.serializeBytes32("identity", "y", bytes32(config.identity.y));
        vm.serializeString("parameters", "identity", identity);
        vm.serializeUint("parameters", "indexWindow", config.indexWindow);
        vm.serializeString("parameters", "minIndexBond", vm.toString(config.minIndexBond));
        vm.serializeString("parameters", "claimBond", vm.toString(config.claimBond));
        vm.serializeUint("parameters", "answerPeriod", config.answerPeriod);

        vm.serializeBytes32("tauG2", "x1", bytes32(config.tauG2.x1));
        vm.serializeBytes32("tauG2", "x0", bytes32(config.tauG2.x0));
        vm.serializeBytes32("tauG2", "y1", bytes32(config.tauG2.y1));
        string memory tauG2 = vm.serializeBytes32("tauG2", "y0", bytes32(config.tauG2.y0));
        return vm.serializeString("parameters", "tauG2", tauG2);
    }

    function _address(string memory key, string memory variable, address fallback_) private view returns (address) {
        string memory path = string.concat(".", key);
        address value = vm.keyExistsJson(_json, path) ? vm.parseJsonAddress(_json, path) : fallback_;
        return vm.envOr(variable, value);
    }

    function _daVerifier() private view returns (DaVerifier) {
        string memory given = vm.keyExistsJson(_json, ".daVerifier") ? vm.parseJsonString(_json, ".daVerifier") : "dev";
        given = vm.envOr("DEPLOY_DA_VERIFIER", given);
        bytes32 name = keccak256(bytes(given));
        if (name == keccak256("dev")) return DaVerifier.Dev;
        require(name == keccak256("relayed"), UnknownDaVerifier(given));
        return DaVerifier.Relayed;
    }

    function _uint64(string memory key, string memory variable, uint64 fallback_) private view returns (uint64) {
        return uint64(_uint(key, variable, fallback_, type(uint64).max));
    }

    function _uint(string memory key, string memory variable, uint256 fallback_, uint256 max)
        private
        view
        returns (uint256 value)
    {
        string memory path = string.concat(".", key);
        value = vm.keyExistsJson(_json, path) ? vm.parseJsonUint(_json, path) : fallback_;
        value = vm.envOr(variable, value);
        require(value <= max, ParameterTooLarge(key, value));
    }

    function _identity() private view returns (G1Point memory) {
        uint256[] memory c = new uint256[](0);
        if (vm.keyExistsJson(_json, ".identity")) {
            c = new uint256[](2);
            (c[0], c[1]) = (vm.parseJsonUint(_json, ".identity.x"), vm.parseJsonUint(_json, ".identity.y"));
        }

        c = vm.envOr("DEPLOY_IDENTITY", ",", c);
        require(c.length == 2, MissingIdentity());
        return G1Point(c[0], c[1]);
    }

    function _tauG2() private view returns (G2Point memory point) {
        point = eigenDaTauG2();
        if (vm.keyExistsJson(_json, ".tauG2")) {
            point.x1 = vm.parseJsonUint(_json, ".tauG2.x1");
            point.x0 = vm.parseJsonUint(_json, ".tauG2.x0");
            point.y1 = vm.parseJsonUint(_json, ".tauG2.y1");
            point.y0 = vm.parseJsonUint(_json, ".tauG2.y0");
        }

        uint256[] memory c = new uint256[](4);
        (c[0], c[1], c[2], c[3]) = (point.x1, point.x0, point.y1, point.y0);
        c = vm.envOr("DEPLOY_TAU_G2", ",", c);
        point = G2Point(c[0], c[1], c[2], c[3]);
    }
}
