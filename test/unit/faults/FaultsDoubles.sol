// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IInfluenceIndexes} from "../../../contracts/interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../../../contracts/interfaces/IModelRegistry.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {G2Point} from "../../../contracts/libraries/Kzg.sol";
import {BatchId, EarnerIndex, ModelId} from "../../../contracts/types/Ids.sol";
import {DevSrs} from "../../DevSrs.sol";

/// @dev Batches as Settlement would keep them, set by the test.
contract SettlementDouble {
    uint64 public constant epochSeconds = 1 hours;

    mapping(BatchId batch => ISettlement.Batch) private _batches;

    function set(BatchId id, ISettlement.Batch calldata batch) external {
        _batches[id] = batch;
    }

    function batchOf(BatchId id) external view returns (ISettlement.Batch memory) {
        return _batches[id];
    }

    function tauG2() external pure returns (G2Point memory) {
        return DevSrs.tauG2();
    }
}

/// @dev Remembers the last strike.
contract DisputesDouble {
    address public settlement;
    uint256 public strikes;
    BatchId public batch;
    Rule public rule;
    address public challenger;

    constructor(address settlement_) {
        settlement = settlement_;
    }

    function strike(BatchId batch_, Rule rule_, address challenger_) external {
        (batch, rule, challenger) = (batch_, rule_, challenger_);
        ++strikes;
    }
}

/// @dev Indexes as InfluenceIndexes would keep them, set by the test; models without one are bases.
contract IndexesDouble {
    mapping(ModelId model => IInfluenceIndexes.Index) private _indexes;

    function set(ModelId model, IInfluenceIndexes.Index calldata index) external {
        _indexes[model] = index;
    }

    function indexOf(ModelId model) external view returns (IInfluenceIndexes.Index memory) {
        return _indexes[model];
    }

    function isEarning(ModelId model, uint64 time) external view returns (bool) {
        return _indexes[model].acceptedAt <= time;
    }
}

/// @dev Factors as BondedFigures would keep them, set by the test: the whole until then.
contract FiguresDouble {
    IModelRegistry public models;

    mapping(ModelId model => mapping(EarnerIndex earner => mapping(uint64 from => uint16))) private _withheld;

    constructor(IModelRegistry models_) {
        models = models_;
    }

    function set(ModelId model, EarnerIndex earner, uint64 time, uint16 factor) external {
        _withheld[model][earner][time] = 10_000 - factor;
    }

    function factorAt(ModelId model, EarnerIndex earner, uint64 time) external view returns (uint16) {
        return 10_000 - _withheld[model][earner][time];
    }
}
