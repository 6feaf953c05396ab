// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DatanetId, EarnerIndex, ModelId} from "../types/Ids.sol";

/// @notice Models as ERC-721 assets (token id = uint256 of the ModelId): lineage, influence index and price.
/// @dev Whoever owns the token is paid the model share, so a token can only be minted or transferred to an account that
/// is registered as `ModelOwner` in EarnerRegistry. Tokens are never burned.
/// @dev Warning: the registry holds hashes. That the index was computed from those Datanet versions, or that the
/// weights with this hash can be had, is checked elsewhere. Whoever registers a content hash first owns it: publish
/// weights
/// after registering them.
interface IModelRegistry {
    /// @dev Each is at most 1e15, so that a fee of up to 2^23 prompt tokens and 2^23 generated tokens stays below 2^64.
    /// @param inputRate gwei per 1000 prompt tokens
    /// @param outputRate gwei per 1000 generated tokens
    /// @param platformFee gwei per call
    struct Price {
        uint64 inputRate;
        uint64 outputRate;
        uint64 platformFee;
    }

    struct DatanetVersion {
        DatanetId datanet;
        uint32 version;
    }

    /// @param base ModelId of the base, zero for a base model
    /// @param contentHash of the adapter (or of the base's weights)
    /// @param indexRoot Merkle root of the influence index's contributor leaves, zero for a base model
    /// @param indexHash keccak256 of the index file
    /// @param priceVersion newest price; prices count from 1
    struct Model {
        ModelId base;
        bytes32 contentHash;
        bytes32 indexRoot;
        bytes32 indexHash;
        uint32 priceVersion;
        string name;
    }

    /// @dev Thrown when no model has this id.
    error UnknownModel(ModelId model);
    /// @dev Thrown when a model with this content exists, under whatever base.
    error DuplicateContent(bytes32 contentHash);
    /// @dev Thrown when an adapter is registered on an adapter.
    error NotABase(ModelId model);
    /// @dev Thrown when an adapter names no Datanet version.
    error NoDatanets();
    /// @dev Thrown when an adapter names more than 16 Datanet versions.
    error TooManyDatanets(uint256 count);
    /// @dev Thrown when an adapter lacks the root or the hash of its influence index.
    error NoIndex();
    /// @dev Thrown when the content hash is zero.
    error EmptyContentHash();
    /// @dev Thrown when a token would belong to an account that is not a `ModelOwner` in EarnerRegistry.
    error OwnerNotRegistered(address owner);
    /// @dev Thrown when anyone but the token's owner sets the price. Approvals do not count.
    error NotModelOwner(ModelId model, address caller);
    /// @dev Thrown for price version 0 and for one above the newest.
    error UnknownPriceVersion(ModelId model, uint32 priceVersion);
    /// @dev Thrown when a rate or the platform fee is above `max`.
    error PriceTooHigh(uint64 value, uint64 max);
    /// @dev Thrown when a name is longer than `max` bytes.
    error NameTooLong(uint256 length, uint256 max);

    event ModelRegistered(
        ModelId indexed model, ModelId indexed base, address indexed owner, bytes32 contentHash, string name
    );
    event IndexRegistered(ModelId indexed model, bytes32 indexRoot, bytes32 indexHash, DatanetVersion[] datanets);
    event PriceSet(ModelId indexed model, uint32 indexed priceVersion, Price price);

    /// @notice The id of a model: keccak256(abi.encode(chainid, this, base, contentHash)); `base` is zero for a base.
    /// Never reverts.
    function modelIdOf(ModelId base, bytes32 contentHash) external view returns (ModelId model);

    /// @notice A model. Reverts with `UnknownModel`.
    function modelOf(ModelId model) external view returns (Model memory);

    /// @notice Datanet versions that an adapter was trained on, in the order given; none for a base. Reverts with
    /// `UnknownModel`.
    function datanetsOf(ModelId model) external view returns (DatanetVersion[] memory);

    /// @notice One price of a model, from version 1. Reverts with `UnknownModel` or `UnknownPriceVersion`.
    /// @dev A price never changes: calls are charged by the version that the payer signed.
    function priceAt(ModelId model, uint32 priceVersion) external view returns (Price memory);

    /// @notice The earner index of whoever owns the token now. Reverts with `UnknownModel`; never 0.
    /// @dev Warning: not always whom a call pays; see `ownerEarnerAt`.
    function ownerEarnerOf(ModelId model) external view returns (EarnerIndex);

    /// @notice The earner index that the model share of a call signed at `time` (seconds) goes to. Reverts with
    /// `UnknownModel`; never 0.
    /// @dev The first owner's from time 0 on. A transfer takes effect for calls signed `OWNER_NOTICE` later, so the
    /// answer for a time that is past never changes, and an operator knows it while it serves the call.
    function ownerEarnerAt(ModelId model, uint64 time) external view returns (EarnerIndex);

    /// @notice Parents up to the root, nearest first: the base of an adapter, nothing for a base. Reverts with
    /// `UnknownModel`.
    function lineageOf(ModelId model) external view returns (ModelId[] memory);

    /// @notice Registers a base model to the caller under price version 1; its id is `modelIdOf(0, contentHash)`.
    /// @dev Reverts with `EmptyContentHash`, `DuplicateContent`, `NameTooLong` (256 bytes), `PriceTooHigh` or
    /// `OwnerNotRegistered`.
    function registerBase(bytes32 contentHash, string calldata name, Price calldata price)
        external
        returns (ModelId model);

    /// @notice Registers an adapter to the caller under price version 1; its id is `modelIdOf(base, contentHash)`.
    /// @dev Reverts as `registerBase` does, and with `UnknownModel` or `NotABase` for its base, `NoIndex`,
    /// `NoDatanets`, `TooManyDatanets`, or DatanetRegistry's `UnknownDatanet` or `UnknownVersion`.
    /// @param datanets 1 to 16 published versions; repeating one has no effect on pay
    function registerAdapter(
        ModelId base,
        bytes32 contentHash,
        bytes32 indexRoot,
        bytes32 indexHash,
        DatanetVersion[] calldata datanets,
        string calldata name,
        Price calldata price
    ) external returns (ModelId model);

    /// @notice Sets the next price version; earlier ones stay readable for calls signed under them. Token owner only.
    /// @dev Reverts with `UnknownModel`, `NotModelOwner` or `PriceTooHigh`.
    function setPrice(ModelId model, Price calldata price) external returns (uint32 priceVersion);
}
