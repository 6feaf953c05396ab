// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DatanetId, EarnerIndex, ModelId} from "../types/Ids.sol";

/// @notice Models as ERC-721 assets (token id = uint256 of the ModelId): lineage, influence index and price.
/// @dev Whoever owns the token is paid the model share; it must be registered as `ModelOwner` in EarnerRegistry.
interface IModelRegistry {
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
    struct Model {
        ModelId base;
        bytes32 contentHash;
        bytes32 indexRoot;
        bytes32 indexHash;
        uint32 priceVersion;
        string name;
    }

    error UnknownModel(ModelId model);
    error DuplicateContent(bytes32 contentHash);
    error NotABase(ModelId model);
    error NoDatanets();
    error TooManyDatanets(uint256 count);
    error NoIndex();
    error EmptyContentHash();
    error OwnerNotRegistered(address owner);
    error NotModelOwner(ModelId model, address caller);
    error UnknownPriceVersion(ModelId model, uint32 priceVersion);
    error PriceTooHigh(uint64 value, uint64 max);

    event ModelRegistered(
        ModelId indexed model, ModelId indexed base, address indexed owner, bytes32 contentHash, string name
    );
    event IndexRegistered(ModelId indexed model, bytes32 indexRoot, bytes32 indexHash, DatanetVersion[] datanets);
    event PriceSet(ModelId indexed model, uint32 indexed priceVersion, Price price);

    function modelOf(ModelId model) external view returns (Model memory);

    function datanetsOf(ModelId model) external view returns (DatanetVersion[] memory);

    function priceAt(ModelId model, uint32 priceVersion) external view returns (Price memory);

    /// @notice The earner index that the model share goes to now.
    function ownerEarnerOf(ModelId model) external view returns (EarnerIndex);

    /// @notice Parents up to the root, nearest first.
    function lineageOf(ModelId model) external view returns (ModelId[] memory);

    /// @notice id = keccak256(abi.encode(chainid, this, base, contentHash)); base is zero here.
    function registerBase(bytes32 contentHash, string calldata name, Price calldata price)
        external
        returns (ModelId model);

    function registerAdapter(
        ModelId base,
        bytes32 contentHash,
        bytes32 indexRoot,
        bytes32 indexHash,
        DatanetVersion[] calldata datanets,
        string calldata name,
        Price calldata price
    ) external returns (ModelId model);

    /// @notice Sets the next price version; earlier ones stay readable for calls signed under them.
    function setPrice(ModelId model, Price calldata price) external returns (uint32 priceVersion);
}
