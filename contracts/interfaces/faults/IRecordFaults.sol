// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening, SlotOpening} from "../../libraries/CellOpenings.sol";
import {G1Point} from "../../libraries/Kzg.sol";
import {BatchId, ModelId} from "../../types/Ids.sol";
import {IPaymentChannels} from "../IPaymentChannels.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of a record against registries, its channel and its witness.
/// @dev `witness` are the bytes of `RecordWitness`, whose hash's leading 31 bytes are in the record's row. `model` is
/// the full id of a registered model whose leading 31 bytes are; a model that is not registered is a matter of
/// `proveFee`.
interface IRecordFaults is IFaultProofs {
    /// @dev Thrown when the commitments are not those that the batch was posted with.
    error WrongWitnesses();
    /// @dev Thrown when the batch has no blob for the record's witness; see `proveWitnessMissing`.
    error NoWitnessBlob(uint256 blob);
    /// @dev Thrown when the intervals are not those that the batch drew.
    error WrongDraws();

    /// @notice Rule `Fee`: the fee is not what tokens and price give, or model or price version do not exist.
    /// @dev Rows: a Record.
    function proveFee(BatchId batch, CellOpening calldata ledger, bytes calldata witness) external;

    /// @notice Rule `Payee`: a share goes to somebody else, or has other weights: Treasury earner 1 and none; Owner
    /// `ownerEarnerAt` the call's time and 1 of 1; Stakers those of the operator and none.
    /// @dev Rows: a Record, one of its Shares. `model` is only read for an Owner.
    function provePayee(BatchId batch, CellOpening calldata ledger, ModelId model) external;

    /// @notice Rule `Overlap`: two records charge the same part of a channel.
    /// @dev Rows: the Records.
    function proveOverlap(BatchId batch, CellOpening calldata ledger) external;

    /// @notice Rule `Outside`: a record with a fee charges a part of its channel that the batch did not draw.
    /// @dev Rows: a Record.
    /// @param draws all that the batch drew
    function proveOutside(BatchId batch, CellOpening calldata ledger, IPaymentChannels.Interval[] calldata draws)
        external;

    /// @notice Rule `Voucher`: the witness is not of the row's voucher digest, channel, model, price version or time;
    /// or the call has more tokens than `maxTokens` or ends above the ceiling; or the payer did not sign.
    /// @dev Rows: a Record.
    /// Warning: a payer with code (EIP-1271) that refuses its signature now gets the batch struck: operators that serve
    /// such payers answer for them.
    function proveVoucher(BatchId batch, CellOpening calldata ledger, bytes calldata witness) external;

    /// @notice Rule `Witness`: the slot of the record's ordinal does not hold its witness, as long as the sketch of the
    /// model that it names has dimensions.
    /// @dev Rows: a Record.
    /// @param witnesses commitments of all witness blobs of the batch
    /// @param slot of the blob and slot that `RecordWitness.placeOf` gives
    function proveWitness(
        BatchId batch,
        CellOpening calldata ledger,
        G1Point[] calldata witnesses,
        SlotOpening calldata slot
    ) external;

    /// @notice Rule `Witness`: the batch has no blob for the record's ordinal.
    /// @dev Rows: a Record.
    function proveWitnessMissing(BatchId batch, CellOpening calldata ledger, G1Point[] calldata witnesses) external;

    /// @notice Rule `NotEarning`: the model's influence index was not accepted when the call was signed.
    /// @dev Rows: a Record.
    function proveNotEarning(BatchId batch, CellOpening calldata ledger, ModelId model) external;
}
