// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IPaymentChannels} from "../interfaces/IPaymentChannels.sol";
import {ChannelId, ModelId} from "../types/Ids.sol";

/// @title RecordWitness
/// @notice What a record's hash binds, keccak256 of the witness's bytes: the payer's signed voucher, the answer's hash
/// and the query's sketch.
/// @dev Bytes, integers big-endian: channel id 32 | ceiling u64 | model id 32 | price version u32 | prompt hash 32 |
/// seed u64 | max tokens u64 | time u64 | output hash 32 | signature 65 (r, s, v) | sketch, an int8 for each dimension
/// of the model's influence index, none for a model without one.
///
/// Blobs beside the ledger's make the witnesses available. Each has N symbols, a power of two, in slots of c, another:
/// slot s holds the symbols s + j * N/c, j below c, which are the witness in pieces of 31 bytes, then zeros. Slot 0 is
/// unused, because symbol 0 is the blob's payload header.
library RecordWitness {
    /// @param sketch int8 in two's complement
    struct Witness {
        IPaymentChannels.Voucher voucher;
        bytes32 outputHash;
        bytes signature;
        bytes sketch;
    }

    /// @dev Thrown when the bytes end before the sketch begins.
    error WitnessTooShort(uint256 length);
    /// @dev Thrown when a slot has not as many cells as `length` bytes need.
    error SlotTooShort(uint256 cells, uint256 length);

    /// @notice Bytes before the sketch.
    uint256 internal constant SKETCH_AT = 229;
    uint256 internal constant CELL_BYTES = 31;

    uint256 private constant SIGNATURE_AT = 164;

    /// @notice Reads a witness; all bytes behind the signature are its sketch.
    function decode(bytes calldata witness) internal pure returns (Witness memory w) {
        require(witness.length >= SKETCH_AT, WitnessTooShort(witness.length));

        w.voucher.channelId = ChannelId.wrap(bytes32(witness[0:32]));
        w.voucher.ceiling = uint64(bytes8(witness[32:40]));
        w.voucher.call = IPaymentChannels.Call({
            modelId: ModelId.wrap(bytes32(witness[40:72])),
            priceVersion: uint32(bytes4(witness[72:76])),
            promptHash: bytes32(witness[76:108]),
            seed: uint64(bytes8(witness[108:116])),
            maxTokens: uint64(bytes8(witness[116:124])),
            time: uint64(bytes8(witness[124:132]))
        });
        w.outputHash = bytes32(witness[132:164]);
        w.signature = witness[SIGNATURE_AT:SKETCH_AT];
        w.sketch = witness[SKETCH_AT:];
    }

    /// @notice Where the witness of the record with the ordinal is, in blobs of `symbols` in slots of `slotCells`.
    /// @dev The caller holds that slots fit the blob twice, as `Settlement` requires.
    function placeOf(uint256 ordinal, uint256 symbols, uint256 slotCells)
        internal
        pure
        returns (uint256 blob, uint256 slot)
    {
        uint256 perBlob = symbols / slotCells - 1;
        return (ordinal / perBlob, 1 + ordinal % perBlob);
    }

    /// @notice The first `length` bytes of a slot's cells, each below 2^248, and whether zeros fill the rest.
    function ofSlot(uint256[] memory cells, uint256 length) internal pure returns (bytes memory witness, bool padded) {
        require(length <= cells.length * CELL_BYTES, SlotTooShort(cells.length, length));

        // Whole cells are written, so the buffer has room for the last one's end.
        witness = new bytes(cells.length * CELL_BYTES + 1);
        for (uint256 j; j < cells.length; ++j) {
            uint256 cell = cells[j] << 8;
            assembly ("memory-safe") {
                mstore(add(add(witness, 32), mul(j, CELL_BYTES)), cell)
            }
        }
        padded = _isZero(witness, length);
        assembly ("memory-safe") {
            mstore(witness, length)
        }
    }

    function _isZero(bytes memory data, uint256 from) private pure returns (bool) {
        for (uint256 i = from; i < data.length; ++i) {
            if (data[i] != 0) return false;
        }
        return true;
    }
}
