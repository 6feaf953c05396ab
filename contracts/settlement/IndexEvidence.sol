// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatanetRegistry} from "../interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IIndexDisputes} from "../interfaces/IIndexDisputes.sol";
import {IInfluenceIndexes} from "../interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {IndexRow, IndexTree} from "../libraries/IndexTree.sol";
import {EarnerIndex, ModelId} from "../types/Ids.sol";

/// @title IndexEvidence
/// @notice What the chain knows of an influence index and of the rows that it stands for.
abstract contract IndexEvidence is IIndexDisputes {
    using IndexTree for IndexRow;

    /// @notice What is judged. This contract is one of its arbiters.
    IInfluenceIndexes public immutable indexes;

    /// @notice Which Datanet versions a model was trained on.
    IModelRegistry public immutable models;

    /// @notice The rows of Datanet versions.
    IDatanetRegistry public immutable datanets;

    /// @notice The indexes under which contributors earn.
    IEarnerRegistry public immutable earners;

    constructor(
        IInfluenceIndexes indexes_,
        IModelRegistry models_,
        IDatanetRegistry datanets_,
        IEarnerRegistry earners_
    ) {
        indexes = indexes_;
        models = models_;
        datanets = datanets_;
        earners = earners_;
    }

    function _disputable(ModelId model) internal view returns (IInfluenceIndexes.Index memory index) {
        index = indexes.indexOf(model);
        require(!index.struck && block.timestamp < index.acceptedAt, NotDisputable(model));
    }

    function _place(DatanetRow calldata row) internal pure returns (IndexRow memory) {
        return IndexRow(row.datanet, row.row.index, row.row.rowHash, row.row.clusterHash);
    }

    /// @dev Whether `earlier` is of the same cluster as `row` and before it.
    function _isEarlier(DatanetRow calldata earlier, IndexRow memory row) internal pure returns (bool) {
        IndexRow memory place = _place(earlier);
        return place.clusterHash == row.clusterHash && place.isBefore(row);
    }

    function _checkDatanetRow(ModelId model, DatanetRow calldata row) internal view {
        IModelRegistry.DatanetVersion[] memory versions = models.datanetsOf(model);
        bool known = row.datanet < versions.length;
        if (known) {
            IModelRegistry.DatanetVersion memory at = versions[row.datanet];
            known = datanets.contains(at.datanet, at.version, row.row, row.proof);
        }
        require(known, NotInDatanet(row.datanet, row.row.index));
    }

    function _earnerOf(address contributor) internal view returns (uint32) {
        return EarnerIndex.unwrap(earners.earnerOf(contributor, IEarnerRegistry.Role.Contributor));
    }
}
