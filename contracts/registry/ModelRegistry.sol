// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDatanetRegistry} from "../interfaces/IDatanetRegistry.sol";
import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {EarnerIndex, ModelId} from "../types/Ids.sol";

/// @title ModelRegistry
/// @notice Keeps base models and adapters as tokens, with their indexes and prices.
contract ModelRegistry is IModelRegistry, ERC721 {
    using Checkpoints for Checkpoints.Trace208;

    /// @notice Seconds from a transfer of a model until calls signed then pay its new owner.
    uint64 public constant OWNER_NOTICE = 1 hours;

    /// @notice Highest rate (gwei per 1000 tokens) and platform fee (gwei).
    uint64 public constant MAX_PRICE = 1e15;

    /// @notice Most Datanet versions of one adapter.
    uint256 public constant MAX_DATANETS = 16;

    /// @notice Longest name, in bytes.
    uint256 public constant MAX_NAME_BYTES = 256;

    /// @notice Who may own models.
    IEarnerRegistry public immutable earners;

    /// @notice Where an adapter's Datanet versions must exist.
    IDatanetRegistry public immutable datanets;

    /// @notice The model with this content, zero if there is none.
    mapping(bytes32 contentHash => ModelId model) public modelOfContent;

    mapping(ModelId model => Model) private _models;

    mapping(ModelId model => DatanetVersion[]) private _datanetsOf;

    mapping(ModelId model => mapping(uint32 priceVersion => Price)) private _prices;

    /// @dev Earner index of the owner by the time from which it is paid.
    mapping(ModelId model => Checkpoints.Trace208) private _ownerEarners;

    constructor(IEarnerRegistry earners_, IDatanetRegistry datanets_) ERC721("OpenLedger Model", "OLM") {
        earners = earners_;
        datanets = datanets_;
    }

    /// @inheritdoc IModelRegistry
    function modelIdOf(ModelId base, bytes32 contentHash) public view returns (ModelId model) {
        return ModelId.wrap(keccak256(abi.encode(block.chainid, address(this), base, contentHash)));
    }

    /// @inheritdoc IModelRegistry
    function modelOf(ModelId model) external view returns (Model memory) {
        return _known(model);
    }

    /// @inheritdoc IModelRegistry
    function datanetsOf(ModelId model) external view returns (DatanetVersion[] memory) {
        _known(model);

        return _datanetsOf[model];
    }

    /// @inheritdoc IModelRegistry
    function priceAt(ModelId model, uint32 priceVersion) external view returns (Price memory) {
        Model storage stored = _known(model);
        require(priceVersion != 0 && priceVersion <= stored.priceVersion, UnknownPriceVersion(model, priceVersion));

        return _prices[model][priceVersion];
    }

    /// @inheritdoc IModelRegistry
    function ownerEarnerOf(ModelId model) external view returns (EarnerIndex) {
        _known(model);

        return earners.earnerOf(_ownerOf(_tokenOf(model)), IEarnerRegistry.Role.ModelOwner);
    }

    /// @inheritdoc IModelRegistry
    function ownerEarnerAt(ModelId model, uint64 time) external view returns (EarnerIndex) {
        _known(model);

        uint48 key = uint48(Math.min(time, type(uint48).max));
        return EarnerIndex.wrap(uint32(_ownerEarners[model].upperLookupRecent(key)));
    }

    /// @inheritdoc IModelRegistry
    function lineageOf(ModelId model) external view returns (ModelId[] memory lineage) {
        ModelId base = _known(model).base;

        // An adapter's base is always a root, so nothing lies further up.
        if (_isZero(base)) return lineage;
        lineage = new ModelId[](1);
        lineage[0] = base;
    }

    /// @inheritdoc IModelRegistry
    function registerBase(bytes32 contentHash, string calldata name, Price calldata price)
        external
        returns (ModelId model)
    {
        return _register(
            Model({
                base: ModelId.wrap(0), contentHash: contentHash, indexRoot: 0, indexHash: 0, priceVersion: 0, name: name
            }),
            price
        );
    }

    /// @inheritdoc IModelRegistry
    function registerAdapter(
        ModelId base,
        bytes32 contentHash,
        bytes32 indexRoot,
        bytes32 indexHash,
        DatanetVersion[] calldata datanets_,
        string calldata name,
        Price calldata price
    ) external returns (ModelId model) {
        require(_isZero(_known(base).base), NotABase(base));
        require(indexRoot != 0 && indexHash != 0, NoIndex());

        model = _register(
            Model({
                base: base,
                contentHash: contentHash,
                indexRoot: indexRoot,
                indexHash: indexHash,
                priceVersion: 0,
                name: name
            }),
            price
        );
        _setDatanets(model, datanets_);

        emit IndexRegistered(model, indexRoot, indexHash, datanets_);
    }

    /// @inheritdoc IModelRegistry
    function setPrice(ModelId model, Price calldata price) external returns (uint32 priceVersion) {
        _known(model);
        require(_ownerOf(_tokenOf(model)) == msg.sender, NotModelOwner(model, msg.sender));

        return _setPrice(model, price);
    }

    function _register(Model memory entry, Price calldata price) private returns (ModelId model) {
        model = modelIdOf(entry.base, entry.contentHash);

        require(entry.contentHash != 0, EmptyContentHash());
        require(_isZero(modelOfContent[entry.contentHash]), DuplicateContent(entry.contentHash));
        require(bytes(entry.name).length <= MAX_NAME_BYTES, NameTooLong(bytes(entry.name).length, MAX_NAME_BYTES));

        modelOfContent[entry.contentHash] = model;
        _models[model] = entry;
        // Not `_safeMint`: the caller registered as an owner itself, and a callback would only open reentrancy.
        _mint(msg.sender, _tokenOf(model));

        emit ModelRegistered(model, entry.base, msg.sender, entry.contentHash, entry.name);
        _setPrice(model, price);
    }

    function _setDatanets(ModelId model, DatanetVersion[] calldata datanets_) private {
        require(datanets_.length != 0, NoDatanets());
        require(datanets_.length <= MAX_DATANETS, TooManyDatanets(datanets_.length));

        for (uint256 i = 0; i < datanets_.length; i++) {
            // Reverts unless the version exists.
            datanets.versionOf(datanets_[i].datanet, datanets_[i].version);
            _datanetsOf[model].push(datanets_[i]);
        }
    }

    function _setPrice(ModelId model, Price calldata price) private returns (uint32 priceVersion) {
        require(price.inputRate <= MAX_PRICE, PriceTooHigh(price.inputRate, MAX_PRICE));
        require(price.outputRate <= MAX_PRICE, PriceTooHigh(price.outputRate, MAX_PRICE));
        require(price.platformFee <= MAX_PRICE, PriceTooHigh(price.platformFee, MAX_PRICE));

        priceVersion = ++_models[model].priceVersion;
        _prices[model][priceVersion] = price;

        emit PriceSet(model, priceVersion, price);
    }

    /// @dev Every mint and transfer passes here, so the owner always has an earner index.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        EarnerIndex earner = earners.earnerOf(to, IEarnerRegistry.Role.ModelOwner);
        require(EarnerIndex.unwrap(earner) != 0, OwnerNotRegistered(to));

        from = super._update(to, tokenId, auth);
        uint48 paidFrom = from == address(0) ? 0 : uint48(block.timestamp + OWNER_NOTICE);
        _ownerEarners[ModelId.wrap(bytes32(tokenId))].push(paidFrom, EarnerIndex.unwrap(earner));
    }

    function _known(ModelId model) private view returns (Model storage stored) {
        stored = _models[model];
        require(stored.contentHash != 0, UnknownModel(model));
    }

    function _tokenOf(ModelId model) private pure returns (uint256) {
        return uint256(ModelId.unwrap(model));
    }

    function _isZero(ModelId model) private pure returns (bool) {
        return ModelId.unwrap(model) == 0;
    }
}
