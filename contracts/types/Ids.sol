// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @dev A registered model: its base, optional adapter, lineage and price.
type ModelId is bytes32;

/// @dev A curated set of rows with an owner and versions.
type DatanetId is bytes32;

/// @dev A payment channel from one payer to one operator.
type ChannelId is bytes32;

/// @dev The batch of one operator and one epoch.
type BatchId is bytes32;

/// @dev Position of an earner (an account in one role) in the earnings polynomials. 0 is nobody, 1 the treasury.
type EarnerIndex is uint32;

using {modelIdEquals as ==} for ModelId global;
using {datanetIdEquals as ==} for DatanetId global;
using {earnerIndexEquals as ==} for EarnerIndex global;

function modelIdEquals(ModelId a, ModelId b) pure returns (bool) {
    return ModelId.unwrap(a) == ModelId.unwrap(b);
}

function datanetIdEquals(DatanetId a, DatanetId b) pure returns (bool) {
    return DatanetId.unwrap(a) == DatanetId.unwrap(b);
}

function earnerIndexEquals(EarnerIndex a, EarnerIndex b) pure returns (bool) {
    return EarnerIndex.unwrap(a) == EarnerIndex.unwrap(b);
}
