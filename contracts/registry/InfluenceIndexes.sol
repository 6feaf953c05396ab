// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IInfluenceIndexes} from "../interfaces/IInfluenceIndexes.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {G1Point, Kzg} from "../libraries/Kzg.sol";
import {ModelId} from "../types/Ids.sol";

/// @title InfluenceIndexes
/// @notice Keeps which models' indexes are published, accepted or struck, and their bonds.
contract InfluenceIndexes is IInfluenceIndexes, Ownable2Step, ReentrancyGuardTransient {
    /// @notice Most contributors of an index.
    uint32 public constant MAX_CONTRIBUTORS = 1 << 24;

    /// @notice Fewest and most numbers of a sketch.
    uint32 public constant MIN_DIM = 16;
    uint32 public constant MAX_DIM = 8192;

    /// @notice Most symbols of a blob: EigenDA's 16 MiB.
    uint32 public constant MAX_SYMBOLS = 1 << 19;

    /// @notice Most blobs of an index.
    uint256 public constant MAX_BLOBS = 64;

    /// @dev Nobody has its key.
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @notice Models, their owners and roots; an ERC-721.
    IModelRegistry public immutable models;

    /// @notice Whose word is taken that a blob is available.
    IDaCertVerifier public immutable daCerts;

    /// @inheritdoc IInfluenceIndexes
    uint64 public immutable disputeWindow;

    /// @inheritdoc IInfluenceIndexes
    uint256 public minBond;

    /// @inheritdoc IInfluenceIndexes
    mapping(address account => bool) public isArbiter;

    mapping(ModelId model => Index) private _indexes;

    constructor(
        address owner_,
        IModelRegistry models_,
        IDaCertVerifier daCerts_,
        uint64 disputeWindow_,
        uint256 minBond_
    ) Ownable(owner_) {
        require(disputeWindow_ != 0, ZeroWindow());

        models = models_;
        daCerts = daCerts_;
        disputeWindow = disputeWindow_;
        minBond = minBond_;
        emit MinBondSet(minBond_);
    }

    /// @inheritdoc IInfluenceIndexes
    function indexOf(ModelId model) external view returns (Index memory) {
        return _indexes[model];
    }

    /// @inheritdoc IInfluenceIndexes
    function isEarning(ModelId model, uint64 time) external view returns (bool) {
        Index storage index = _indexes[model];
        if (index.acceptedAt != 0) return !index.struck && index.acceptedAt <= time;

        try models.modelOf(model) returns (IModelRegistry.Model memory registered) {
            return ModelId.unwrap(registered.base) == 0;
        } catch (bytes memory reason) {
            // Without this, a caller could make a base model look unregistered by giving the call too little gas.
            require(bytes4(reason) == IModelRegistry.UnknownModel.selector);
            return false;
        }
    }

    /// @inheritdoc IInfluenceIndexes
    function publish(
        ModelId model,
        uint32 contributors,
        uint32 dim,
        G1Point[] calldata blobs,
        uint32 symbols,
        bytes[] calldata certificates
    ) external payable {
        IModelRegistry.Model memory registered = models.modelOf(model);
        require(ModelId.unwrap(registered.base) != 0, NoIndex(model));
        require(
            IERC721(address(models)).ownerOf(uint256(ModelId.unwrap(model))) == msg.sender,
            NotModelOwner(model, msg.sender)
        );
        require(_indexes[model].acceptedAt == 0, AlreadyPublished(model));
        require(msg.value >= minBond, BondTooLow(msg.value, minBond));
        require(contributors != 0 && contributors <= MAX_CONTRIBUTORS, ContributorsOutOfRange(contributors));
        require(dim >= MIN_DIM && dim <= MAX_DIM, DimOutOfRange(dim));
        _checkBlobs(blobs, symbols, certificates);

        uint64 acceptedAt = uint64(block.timestamp) + disputeWindow;
        _indexes[model] = Index({
            contributors: contributors,
            dim: dim,
            acceptedAt: acceptedAt,
            struck: false,
            root: registered.indexRoot,
            publisher: msg.sender,
            disputableUntil: acceptedAt,
            symbols: symbols,
            bond: msg.value,
            blobsHash: keccak256(abi.encode(blobs))
        });

        emit IndexPublished(model, msg.sender, contributors, dim, symbols, acceptedAt, blobs, certificates);
    }

    /// @inheritdoc IInfluenceIndexes
    function withdrawBond(ModelId model) external nonReentrant {
        Index storage index = _published(model);
        require(block.timestamp >= index.acceptedAt, WindowOpen(model, index.acceptedAt));
        uint256 bond = index.bond;
        require(bond != 0, NoBond(model));

        index.bond = 0;
        address publisher = index.publisher;

        emit BondWithdrawn(model, publisher, bond);

        (bool ok,) = publisher.call{value: bond}("");
        require(ok, PaymentFailed(publisher));
    }

    /// @inheritdoc IInfluenceIndexes
    function strike(ModelId model, address challenger) external nonReentrant {
        require(isArbiter[msg.sender], NotArbiter(msg.sender));
        Index storage index = _published(model);
        require(block.timestamp < index.acceptedAt, WindowOver(model, index.acceptedAt));

        uint256 bond = index.bond;
        index.struck = true;
        index.bond = 0;
        // Rounded against the challenger, who may be the publisher: striking oneself must cost.
        uint256 paid = bond / 2;

        // A payment that is refused is burned: it must not keep a wrong index alive.
        (bool ok,) = challenger.call{value: paid}("");
        if (!ok) paid = 0;
        (bool burned,) = BURNED.call{value: bond - paid}("");
        assert(burned);

        emit IndexStruck(model, challenger, bond - paid, paid);
    }

    /// @inheritdoc IInfluenceIndexes
    function hold(ModelId model, uint64 until) external {
        require(isArbiter[msg.sender], NotArbiter(msg.sender));
        Index storage index = _published(model);
        require(block.timestamp < index.disputableUntil, WindowOver(model, index.disputableUntil));
        if (until <= index.acceptedAt) return;

        index.acceptedAt = until;

        emit IndexHeld(model, until);
    }

    /// @inheritdoc IInfluenceIndexes
    function release(ModelId model) external {
        require(isArbiter[msg.sender], NotArbiter(msg.sender));
        Index storage index = _published(model);
        // Not before now, so that what `isEarning` said of times that have passed stays.
        uint64 acceptedAt = uint64(Math.max(index.disputableUntil, block.timestamp));
        if (acceptedAt >= index.acceptedAt) return;

        index.acceptedAt = acceptedAt;

        emit IndexHeld(model, acceptedAt);
    }

    /// @inheritdoc IInfluenceIndexes
    function setMinBond(uint256 minBond_) external onlyOwner {
        minBond = minBond_;

        emit MinBondSet(minBond_);
    }

    /// @inheritdoc IInfluenceIndexes
    function setArbiter(address account, bool isArbiter_) external onlyOwner {
        isArbiter[account] = isArbiter_;

        emit ArbiterSet(account, isArbiter_);
    }

    function _checkBlobs(G1Point[] calldata blobs, uint32 symbols, bytes[] calldata certificates) private view {
        require(symbols >= 2 && symbols <= MAX_SYMBOLS && symbols & (symbols - 1) == 0, SymbolsOutOfRange(symbols));
        require(blobs.length != 0 && blobs.length <= MAX_BLOBS, BlobsOutOfRange(blobs.length));
        require(blobs.length == certificates.length, LengthMismatch(blobs.length, certificates.length));

        for (uint256 i = 0; i < blobs.length; i++) {
            require(Kzg.isValid(blobs[i]), InvalidPoint(blobs[i].x, blobs[i].y));
            daCerts.check(blobs[i], symbols, certificates[i]);
        }
    }

    function _published(ModelId model) private view returns (Index storage index) {
        index = _indexes[model];
        require(index.acceptedAt != 0, NotPublished(model));
        require(!index.struck, IndexIsStruck(model));
    }
}
