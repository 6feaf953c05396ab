// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {G1Point} from "../libraries/Kzg.sol";
import {ModelId} from "../types/Ids.sol";

/// @notice Influence indexes of models: published with a bond, disputed for a window, earning after it.
/// @dev A model with an index earns for calls signed at or after `acceptedAt`. The root is the one in ModelRegistry;
/// the blobs hold what the tree under it is made from (rows and their sketches), so that anyone can rebuild and check
/// it.
///
/// An index can only be struck before `acceptedAt`. So `isEarning` at a time that has passed never changes, and an
/// operator that served by it cannot be caught out later.
///
/// A struck index never earns and its model cannot publish another: content hash, index root and index hash are one
/// registration. The model must be registered anew, which needs another content hash.
///
/// Warning: nothing on chain shows that the blobs give the root. Whoever reads them compares, and can only stay away
/// from a model whose blobs do not. That the sketches are what the training rows' gradients give is not checked here
/// either: gradients are floats, which validators recompute.
interface IInfluenceIndexes {
    /// @param contributors leaves of the tree under `root`, with ordinals from 0
    /// @param dim numbers per sketch
    /// @param acceptedAt from when calls may earn (seconds); 0 if nothing was published
    /// @param struck whether it was proven wrong: then it never earns
    /// @param root Merkle root of the contributor leaves, as registered
    /// @param publisher who paid the bond and gets it back
    /// @param disputableUntil end of the window for new disputes (seconds); `acceptedAt` is later while one is open
    /// @param symbols field elements of each blob
    /// @param bond wei held; 0 once withdrawn or struck
    /// @param blobsHash keccak256(abi.encode(blobs))
    struct Index {
        uint32 contributors;
        uint32 dim;
        uint64 acceptedAt;
        bool struck;
        bytes32 root;
        address publisher;
        uint64 disputableUntil;
        uint32 symbols;
        uint256 bond;
        bytes32 blobsHash;
    }

    /// @dev Thrown when a base model's index is published: it has none.
    error NoIndex(ModelId model);
    /// @dev Thrown when anyone but the model's owner publishes.
    error NotModelOwner(ModelId model, address caller);
    /// @dev Thrown when an index was published before, also if it was struck.
    error AlreadyPublished(ModelId model);
    /// @dev Thrown for a model whose index was not published.
    error NotPublished(ModelId model);
    /// @dev Thrown when a bond (wei) is below the least one.
    error BondTooLow(uint256 bond, uint256 minBond);
    /// @dev Thrown unless there are 1 to 2^24 contributors.
    error ContributorsOutOfRange(uint32 contributors);
    /// @dev Thrown unless a sketch has 16 to 8192 numbers.
    error DimOutOfRange(uint32 dim);
    /// @dev Thrown unless a blob has a power of two from 2 to 2^19 symbols.
    error SymbolsOutOfRange(uint32 symbols);
    /// @dev Thrown unless there are 1 to 64 blobs.
    error BlobsOutOfRange(uint256 blobs);
    /// @dev Thrown unless there is one certificate per blob.
    error LengthMismatch(uint256 blobs, uint256 certificates);
    /// @dev Thrown for a commitment that is not a point of G1 with reduced coordinates.
    error InvalidPoint(uint256 x, uint256 y);
    /// @dev Thrown when anyone but an arbiter strikes or holds.
    error NotArbiter(address caller);
    /// @dev Thrown when a struck index is struck, held or its bond withdrawn.
    error IndexIsStruck(ModelId model);
    /// @dev Thrown when an index is struck or held after its time for that (seconds) is over.
    error WindowOver(ModelId model, uint64 end);
    /// @dev Thrown when a bond is withdrawn before `acceptedAt` (seconds).
    error WindowOpen(ModelId model, uint64 acceptedAt);
    /// @dev Thrown when a bond was withdrawn before.
    error NoBond(ModelId model);
    /// @dev Thrown when the publisher does not take its bond back.
    error PaymentFailed(address to);
    /// @dev Thrown at construction, when the window would have no length.
    error ZeroWindow();

    /// @dev Carries what a reader needs to fetch and check the index.
    event IndexPublished(
        ModelId indexed model,
        address indexed publisher,
        uint32 contributors,
        uint32 dim,
        uint32 symbols,
        uint64 acceptedAt,
        G1Point[] blobs,
        bytes[] certificates
    );
    /// @dev A dispute that needs an answer puts off `acceptedAt`; its answer brings it back.
    event IndexHeld(ModelId indexed model, uint64 acceptedAt);
    /// @param burned wei
    /// @param paid wei to the challenger
    event IndexStruck(ModelId indexed model, address indexed challenger, uint256 burned, uint256 paid);
    event BondWithdrawn(ModelId indexed model, address indexed publisher, uint256 amount);
    event MinBondSet(uint256 minBond);
    event ArbiterSet(address indexed arbiter, bool isArbiter);

    /// @notice Seconds from publication until an index that nobody disputes may earn.
    function disputeWindow() external view returns (uint64);

    /// @notice Least bond of an index published now (wei).
    function minBond() external view returns (uint256);

    /// @notice Whether the address may strike and hold indexes.
    function isArbiter(address account) external view returns (bool);

    /// @notice A model's index; all fields are zero if none was published. Never reverts.
    function indexOf(ModelId model) external view returns (Index memory);

    /// @notice Whether a call of the model signed at `time` (seconds) may be charged and credited.
    /// @dev True for a base model, which has no index, and for a model whose index was published, is not struck and was
    /// accepted by then. False for a model that is not registered. Reverts only when it runs out of gas.
    /// @dev Warning: for a time later than the block's the answer may still become false.
    function isEarning(ModelId model, uint64 time) external view returns (bool);

    /// @notice Publishes the index of the caller's model with a bond. Owner of the model's token only, once.
    /// @dev Reverts with ModelRegistry's `UnknownModel`, with `NoIndex`, `NotModelOwner`, `AlreadyPublished`,
    /// `BondTooLow`, `ContributorsOutOfRange`, `DimOutOfRange`, `SymbolsOutOfRange`, `BlobsOutOfRange`,
    /// `LengthMismatch`, `InvalidPoint`, or as IDaCertVerifier does for a certificate.
    /// @param contributors leaves of the tree; a leaf with a higher ordinal is a fault
    /// @param dim numbers per sketch
    /// @param blobs commitments to the blobs in order
    /// @param symbols of each blob
    /// @param certificates one per blob, for IDaCertVerifier
    function publish(
        ModelId model,
        uint32 contributors,
        uint32 dim,
        G1Point[] calldata blobs,
        uint32 symbols,
        bytes[] calldata certificates
    ) external payable;

    /// @notice Gives the bond back to the publisher once the index is accepted. Anyone may call it.
    /// @dev Reverts with `NotPublished`, `IndexIsStruck`, `WindowOpen`, `NoBond` or `PaymentFailed`.
    function withdrawBond(ModelId model) external;

    /// @notice Strikes an index that is not accepted yet; half of the bond (rounded up) is burned, the challenger gets
    /// the rest. Arbiters only.
    /// @dev A payment that the challenger does not take is burned too. Reverts with `NotArbiter`, `NotPublished`,
    /// `IndexIsStruck` or `WindowOver`.
    function strike(ModelId model, address challenger) external;

    /// @notice Puts off `acceptedAt` to `until` (seconds) if that is later. Arbiters only, within the window.
    /// @dev Reverts with `NotArbiter`, `NotPublished`, `IndexIsStruck`, or `WindowOver` from `disputableUntil` on.
    function hold(ModelId model, uint64 until) external;

    /// @notice Ends what `hold` put off: `acceptedAt` is the end of the window again, or now if that is over. Arbiters
    /// only.
    /// @dev Changes nothing for an index that is accepted. Reverts with `NotArbiter`, `NotPublished` or `IndexIsStruck`.
    /// @dev Warning: it also ends what another arbiter put off, so there should be one that holds.
    function release(ModelId model) external;

    /// @notice Sets the least bond (wei) of indexes published from now on. Owner only.
    function setMinBond(uint256 minBond_) external;

    /// @notice Says whether an address may strike and hold. Owner only.
    function setArbiter(address account, bool isArbiter_) external;
}
