// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IFeeSchedule} from "../../contracts/interfaces/IFeeSchedule.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {FeeSplit} from "../../contracts/libraries/FeeSplit.sol";
import {MerkleLeaves} from "../../contracts/libraries/MerkleLeaves.sol";
import {DatanetId, EarnerIndex, ModelId} from "../../contracts/types/Ids.sol";
import {Base} from "../Base.t.sol";

/// @notice From a data set to the stakers' fees, over the registries, the schedule and Staking.
contract FeeFlowTest is Base {
    address internal immutable CONTRIBUTOR = makeAddr("contributor");
    address internal immutable MODEL_OWNER = makeAddr("model owner");
    address internal immutable DELEGATOR = makeAddr("delegator");

    function test_flow_everyPartyHasAnEarnerAndItsShare() public {
        ModelId model = _registerModel();
        address operator = _operator("operator");

        IModelRegistry.Price memory price = models.priceAt(model, models.modelOf(model).priceVersion);
        uint64 fee = FeeSplit.feeOf(1200, 800, price.inputRate, price.outputRate, price.platformFee);
        FeeSplit.Shares memory shares = _split(fee);

        assertEq(fee, 0.8e9, "fee");
        assertEq(shares.treasury, 0.08e9, "treasury");
        assertEq(shares.model, 0.16e9, "model");
        assertEq(shares.stakers, 0.16e9, "stakers");
        assertEq(shares.contributors, 0.4e9, "contributors");
        _assertPays(EarnerIndex.wrap(1), treasury, IEarnerRegistry.Role.Treasury);
        _assertPays(
            earners.earnerOf(CONTRIBUTOR, IEarnerRegistry.Role.Contributor),
            CONTRIBUTOR,
            IEarnerRegistry.Role.Contributor
        );
        _assertPays(models.ownerEarnerOf(model), MODEL_OWNER, IEarnerRegistry.Role.ModelOwner);
        _assertPays(earners.earnerOf(operator, IEarnerRegistry.Role.Stakers), operator, IEarnerRegistry.Role.Stakers);
    }

    function test_flow_stakersShareReachesOperatorAndDelegators() public {
        address operator = _operator("operator");
        vm.deal(DELEGATOR, 3 * MIN_STAKE);
        vm.prank(DELEGATOR);
        staking.stake{value: 3 * MIN_STAKE}(operator);

        uint256 amount = _split(0.8e9).stakers * GWEI;
        vm.deal(address(this), amount);
        staking.addFees{value: amount}(operator);
        skip(UNBONDING_PERIOD);

        vm.prank(operator);
        assertApproxEqAbs(staking.claimFees(operator), 0.04 ether, 1, "operator");
        vm.prank(DELEGATOR);
        assertApproxEqAbs(staking.claimFees(operator), 0.12 ether, 1, "delegator");
    }

    function test_flow_aGovernedChangeLeavesEarlierCallsAlone() public {
        uint64 signedAt = uint64(block.timestamp);
        vm.prank(owner);
        fees.schedule(_rules(0, 6000), signedAt + FEE_NOTICE);
        skip(FEE_NOTICE);

        assertEq(fees.rulesAt(signedAt).split.contributorsBps, 5000, "a call signed before");
        assertEq(fees.rulesAt(uint64(block.timestamp)).split.contributorsBps, 6000, "a call signed now");
    }

    function _registerModel() private returns (ModelId) {
        vm.startPrank(CONTRIBUTOR);
        earners.register(IEarnerRegistry.Role.Contributor);
        DatanetId datanet = datanets.create("law", "MIT", 0);
        bytes32 rowHash = keccak256("a row");
        datanets.publish(datanet, MerkleLeaves.rowLeaf(0, rowHash, CONTRIBUTOR, rowHash), 1);
        vm.stopPrank();

        vm.startPrank(MODEL_OWNER);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        IModelRegistry.Price memory price =
            IModelRegistry.Price({inputRate: 0.2e9, outputRate: 0.6e9, platformFee: 0.08e9});
        ModelId base = models.registerBase(keccak256("weights"), "tiny", price);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion({datanet: datanet, version: 1});
        bytes32 root = MerkleLeaves.contributorLeaf(
            0,
            EarnerIndex.unwrap(earners.earnerOf(CONTRIBUTOR, IEarnerRegistry.Role.Contributor)),
            1,
            keccak256(abi.encodePacked(int32(3), int32(-4))),
            keccak256(abi.encode(uint8(0), uint64(0), rowHash, rowHash)),
            0
        );
        ModelId adapter =
            models.registerAdapter(base, keccak256("adapter"), root, keccak256("index"), versions, "lawyer", price);
        vm.stopPrank();

        return adapter;
    }

    function _split(uint64 fee) private view returns (FeeSplit.Shares memory) {
        IFeeSchedule.Split memory split = fees.rulesAt(uint64(block.timestamp)).split;
        return FeeSplit.split(fee, split.platformBps, split.modelBps, split.stakersBps, split.contributorsBps);
    }

    function _assertPays(EarnerIndex earner, address account, IEarnerRegistry.Role role) private view {
        (address paid, IEarnerRegistry.Role as_) = earners.accountOf(earner);
        assertEq(paid, account, "account");
        assertEq(uint8(as_), uint8(role), "role");
    }

    function _rules(uint16 platformBps, uint16 contributorsBps) private pure returns (IFeeSchedule.Rules memory) {
        return IFeeSchedule.Rules({
            split: IFeeSchedule.Split({
                platformBps: platformBps, modelBps: 2000, stakersBps: 2000, contributorsBps: contributorsBps
            }),
            maxCredits: 32
        });
    }
}
