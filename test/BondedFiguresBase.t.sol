// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBondedFigures} from "../contracts/interfaces/IBondedFigures.sol";
import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../contracts/interfaces/IModelRegistry.sol";
import {ISketchVotes} from "../contracts/interfaces/ISketchVotes.sol";
import {BondedFigures} from "../contracts/registry/BondedFigures.sol";
import {ModelMixes} from "../contracts/registry/ModelMixes.sol";
import {ValidatorRoll} from "../contracts/settlement/ValidatorRoll.sol";
import {DatanetId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {Base} from "./Base.t.sol";

/// @notice A model with its owner, a contributor, validators on a roll, and the steps of a figure's life.
abstract contract BondedFiguresBase is Base {
    uint256 internal constant BOND = 100 ether + 7;
    uint256 internal constant PENALTY = 0.05e18;
    uint64 internal constant WINDOW = 5 days;
    uint64 internal constant COMMIT_PERIOD = 6 hours;
    uint64 internal constant REVEAL_PERIOD = 3 hours;
    uint16 internal constant DEFAULT_INFLUENCE = 5000;
    address internal constant BURN = 0x000000000000000000000000000000000000dEaD;
    bytes32 internal constant SALT = keccak256("salt");
    bytes32 internal constant FILE = keccak256("file");

    ISketchVotes.Choice internal constant HOLDS = ISketchVotes.Choice.Holds;
    ISketchVotes.Choice internal constant FALSE = ISketchVotes.Choice.False;

    address internal modelOwner = makeAddr("model owner");
    address internal challenger = makeAddr("challenger");
    ValidatorRoll internal roll;
    ModelMixes internal mixes;
    BondedFigures internal figures;
    ModelId internal base;
    ModelId internal model;
    EarnerIndex internal earner;
    address[] internal validators;

    function setUp() public virtual override {
        super.setUp();
        roll = new ValidatorRoll(staking);
        mixes = new ModelMixes(models);
        figures = new BondedFigures(owner, mixes, earners, roll, _parameters());
        vm.prank(owner);
        staking.setSlasher(address(figures), true);

        vm.prank(makeAddr("contributor"));
        earner = earners.register(IEarnerRegistry.Role.Contributor);
        _registerModel();
        for (uint256 i; i < 3; ++i) {
            validators.push(_validator(string.concat("validator ", vm.toString(i)), (i + 2) * 1000 ether));
        }
        vm.deal(modelOwner, 10_000 ether);
        vm.deal(challenger, 10_000 ether);
    }

    function _parameters() internal pure returns (IBondedFigures.Parameters memory) {
        return IBondedFigures.Parameters({
            bond: BOND,
            minPanelStake: MIN_STAKE,
            penaltyWad: PENALTY,
            window: WINDOW,
            commitPeriod: COMMIT_PERIOD,
            revealPeriod: REVEAL_PERIOD,
            defaultInfluenceBps: DEFAULT_INFLUENCE
        });
    }

    function _registerModel() private {
        DatanetId datanet = datanets.create("datanet", "licence", 0);
        datanets.publish(datanet, keccak256("rows"), 100);
        IModelRegistry.DatanetVersion[] memory versions = new IModelRegistry.DatanetVersion[](1);
        versions[0] = IModelRegistry.DatanetVersion(datanet, 1);
        IModelRegistry.Price memory price = IModelRegistry.Price(1, 1, 1);
        vm.startPrank(modelOwner);
        earners.register(IEarnerRegistry.Role.ModelOwner);
        base = models.registerBase("base", "base", price);
        model = models.registerAdapter(base, "adapter", "root", "index", versions, "adapter", price);
        vm.stopPrank();
    }

    function _validator(string memory name, uint256 stake) internal returns (address validator) {
        validator = makeAddr(name);
        vm.deal(validator, stake);
        vm.startPrank(validator);
        staking.registerOperator{value: stake}();
        roll.enrol();
        vm.stopPrank();
    }

    /// @dev Explains (0.6^2 / 0.5) = 0.72 of the differences.
    function _report() internal pure returns (IBondedFigures.Report memory) {
        return
            IBondedFigures.Report({hash: FILE, ldsLow: 6000, lds: 6500, ldsHigh: 7100, ceiling: 5000, retrainings: 8});
    }

    function _postReport() internal returns (uint256) {
        return _postReport(_report());
    }

    function _postReport(IBondedFigures.Report memory report) internal returns (uint256) {
        vm.prank(modelOwner);
        return figures.postReport{value: BOND}(model, report);
    }

    /// @dev One penalty: 5000.
    function _postConduct(address poster) internal returns (uint256) {
        vm.prank(poster);
        return figures.postConduct{value: BOND}(earner, IBondedFigures.Conduct(9, 0, 3, 0, 1), FILE);
    }

    function _challenge(uint256 figure) internal {
        vm.prank(challenger);
        figures.challenge{value: BOND}(figure);
    }

    function _commit(uint256 figure, address validator, ISketchVotes.Choice choice) internal {
        bytes32 commitment = figures.commitmentOf(figure, validator, choice, SALT);
        vm.prank(validator);
        figures.commit(figure, commitment);
    }

    function _reveal(uint256 figure, address validator, ISketchVotes.Choice choice) internal {
        vm.prank(validator);
        figures.reveal(figure, choice, SALT);
    }

    /// @dev Challenges; whoever has a choice commits and reveals it, and the time to reveal ends.
    function _vote(uint256 figure, ISketchVotes.Choice[3] memory choices) internal {
        _challenge(figure);
        for (uint256 i; i < 3; ++i) {
            if (choices[i] != ISketchVotes.Choice.None) _commit(figure, validators[i], choices[i]);
        }
        vm.warp(block.timestamp + COMMIT_PERIOD);
        for (uint256 i; i < 3; ++i) {
            if (choices[i] != ISketchVotes.Choice.None) _reveal(figure, validators[i], choices[i]);
        }
        vm.warp(block.timestamp + REVEAL_PERIOD);
    }
}
