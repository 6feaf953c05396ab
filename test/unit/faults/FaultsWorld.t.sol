// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FeeSchedule} from "../../../contracts/governance/FeeSchedule.sol";
import {IDisputes} from "../../../contracts/interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../../contracts/interfaces/IEarnerRegistry.sol";
import {IFeeSchedule} from "../../../contracts/interfaces/IFeeSchedule.sol";
import {IInfluenceIndexes} from "../../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {IStaking} from "../../../contracts/interfaces/IStaking.sol";
import {ContributorProof, IndexContributor, IndexTree} from "../../../contracts/libraries/IndexTree.sol";
import {PaymentChannels} from "../../../contracts/payments/PaymentChannels.sol";
import {DatanetRegistry} from "../../../contracts/registry/DatanetRegistry.sol";
import {EarnerRegistry} from "../../../contracts/registry/EarnerRegistry.sol";
import {ModelMixes} from "../../../contracts/registry/ModelMixes.sol";
import {ModelRegistry} from "../../../contracts/registry/ModelRegistry.sol";
import {AmountFaults} from "../../../contracts/settlement/faults/AmountFaults.sol";
import {CarryFaults} from "../../../contracts/settlement/faults/CarryFaults.sol";
import {CreditFaults} from "../../../contracts/settlement/faults/CreditFaults.sol";
import {ReceiptFaults} from "../../../contracts/settlement/faults/ReceiptFaults.sol";
import {RecordFaults} from "../../../contracts/settlement/faults/RecordFaults.sol";
import {RowFaults} from "../../../contracts/settlement/faults/RowFaults.sol";
import {ChannelId, DatanetId, EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {DisputesDouble, IndexesDouble, SettlementDouble} from "./FaultsDoubles.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Test} from "forge-std/Test.sol";

/// @notice An operator with two payers, a base model and an adapter with an influence index, and the contracts that
/// prove faults.
abstract contract FaultsWorld is Test {
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant EPOCH = START / 1 hours;
    uint32 internal constant TREASURY = 1;
    uint256 internal constant CONTRIBUTORS = 4;

    SettlementDouble internal settlement;
    DisputesDouble internal disputes;
    IndexesDouble internal indexes;
    EarnerRegistry internal earners;
    FeeSchedule internal fees;
    ModelRegistry internal models;
    PaymentChannels internal channels;

    RowFaults internal rowFaults;
    ModelMixes internal mixes;
    AmountFaults internal amountFaults;
    RecordFaults internal recordFaults;
    ReceiptFaults internal receiptFaults;
    CarryFaults internal carryFaults;
    CreditFaults internal creditFaults;

    address internal operator;
    uint256 internal operatorKey;
    uint32 internal stakers;
    uint32 internal modelOwner;
    /// @dev Registered as contributor between the first and second of the index, and after the last.
    uint32 internal stranger;
    uint32 internal lastStranger;

    ModelId internal base;
    ModelId internal adapter;
    uint256 internal dim = 64;
    IndexContributor[] internal contributors;
    bytes[] internal sums;

    ChannelId[2] internal channelIds;
    uint256[2] internal payerKeys;

    function setUp() public virtual {
        vm.warp(START);
        (operator, operatorKey) = makeAddrAndKey("operator");
        settlement = new SettlementDouble();
        disputes = new DisputesDouble(address(settlement));
        indexes = new IndexesDouble();
        fees = new FeeSchedule(address(this), IFeeSchedule.Rules(IFeeSchedule.Split(1000, 2000, 2000, 5000), 2), 7 days);

        _registerEarners();
        _registerModels();
        _openChannels();
        _deployFaults();
    }

    function isActive(address) external pure returns (bool) {
        return true;
    }

    function _registerEarners() private {
        earners = new EarnerRegistry(address(this), makeAddr("treasury"));
        earners.setStaking(address(this));
        stakers = EarnerIndex.unwrap(earners.registerStakers(operator));
        modelOwner = _earner("model owner", IEarnerRegistry.Role.ModelOwner);
        for (uint256 i; i < CONTRIBUTORS; ++i) {
            uint32 earner = _earner(string.concat("contributor ", vm.toString(i)), IEarnerRegistry.Role.Contributor);
            if (i == 0) stranger = _earner("stranger", IEarnerRegistry.Role.Contributor);
            _contributor(uint32(i), earner);
        }
        lastStranger = _earner("last stranger", IEarnerRegistry.Role.Contributor);
    }

    function _earner(string memory name, IEarnerRegistry.Role role) private returns (uint32) {
        vm.prank(makeAddr(name));
        return EarnerIndex.unwrap(earners.register(role));
    }

    /// @dev The last contributor has no accepted row.
    function _contributor(uint32 ordinal, uint32 earner) private {
        bool isEmpty = ordinal + 1 == CONTRIBUTORS;
        bytes memory sum = new bytes(4 * dim);
        for (uint256 i; i < dim && !isEmpty; ++i) {
            int32 number = int32(int256(uint256(keccak256(abi.encode(ordinal, i))) % 2_000_001) - 1_000_000);
            for (uint256 k; k < 4; ++k) {
                sum[4 * i + k] = bytes4(uint32(number))[k];
            }
        }
        sums.push(sum);
        contributors.push(
            IndexContributor(
                ordinal,
                earner,
                isEmpty ? 0 : 3 + ordinal,
                keccak256(sum),
                keccak256(abi.encode("left", ordinal)),
                keccak256(abi.encode("right", ordinal))
            )
        );
    }

    function _registerModels() private {
        DatanetRegistry datanets = new DatanetRegistry();
        DatanetId datanet = datanets.create("datanet", "licence", 0);
        datanets.publish(datanet, keccak256("rows"), 100);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        models = new ModelRegistry(earners, datanets);

        vm.startPrank(makeAddr("model owner"));
        base = models.registerBase("base", "base", IModelRegistry.Price(1000, 2000, 30));
        adapter = models.registerAdapter(
            base, "adapter", _root(), "index", versions, "adapter", IModelRegistry.Price(50_000, 90_001, 77)
        );
        vm.stopPrank();

        IInfluenceIndexes.Index memory index;
        index.contributors = uint32(CONTRIBUTORS);
        index.dim = uint32(dim);
        index.acceptedAt = START - 1 hours;
        index.root = _root();
        indexes.set(adapter, index);
    }

    function _openChannels() private {
        channels = new PaymentChannels(IStaking(address(this)), address(settlement), 2 hours);
        for (uint256 i; i < 2; ++i) {
            address payer;
            (payer, payerKeys[i]) = makeAddrAndKey(string.concat("payer ", vm.toString(i)));
            vm.deal(payer, 100 ether);
            vm.prank(payer);
            channelIds[i] = channels.open{value: 100 ether}(operator, 0);
        }
        // Draws come in the order of their channels.
        if (ChannelId.unwrap(channelIds[0]) > ChannelId.unwrap(channelIds[1])) {
            (channelIds[0], channelIds[1]) = (channelIds[1], channelIds[0]);
            (payerKeys[0], payerKeys[1]) = (payerKeys[1], payerKeys[0]);
        }
    }

    function _deployFaults() private {
        IDisputes disputes_ = IDisputes(address(disputes));
        IInfluenceIndexes indexes_ = IInfluenceIndexes(address(indexes));
        rowFaults = new RowFaults(disputes_, earners);
        mixes = new ModelMixes(models);
        amountFaults = new AmountFaults(disputes_, fees, mixes);
        recordFaults = new RecordFaults(disputes_, models, indexes_, earners, channels);
        receiptFaults = new ReceiptFaults(disputes_, channels);
        carryFaults = new CarryFaults(disputes_);
        creditFaults = new CreditFaults(disputes_, models, indexes_, fees);
    }

    // The index.

    function _leaf(uint256 ordinal) private view returns (bytes32) {
        return IndexTree.leafOf(contributors[ordinal]);
    }

    function _root() internal view returns (bytes32) {
        return Hashes.commutativeKeccak256(
            Hashes.commutativeKeccak256(_leaf(0), _leaf(1)), Hashes.commutativeKeccak256(_leaf(2), _leaf(3))
        );
    }

    function _proofOf(uint256 ordinal) internal view returns (ContributorProof memory proof) {
        proof.contributor = contributors[ordinal];
        proof.proof = new bytes32[](2);
        proof.proof[0] = _leaf(ordinal ^ 1);
        uint256 other = ordinal < 2 ? 2 : 0;
        proof.proof[1] = Hashes.commutativeKeccak256(_leaf(other), _leaf(other + 1));
    }

    /// @dev By the definition, number by number.
    function _scoreOf(bytes memory sketch, uint256 ordinal) internal view returns (int64 score) {
        bytes memory sum = sums[ordinal];
        for (uint256 i; i < dim; ++i) {
            bytes4 number;
            for (uint256 k; k < 4; ++k) {
                number |= bytes4(sum[4 * i + k]) >> 8 * k;
            }
            score += int64(int8(uint8(sketch[i]))) * int32(uint32(number));
        }
    }
}
