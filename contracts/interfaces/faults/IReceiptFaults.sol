// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {CellOpening} from "../../libraries/CellOpenings.sol";
import {BatchId} from "../../types/Ids.sol";
import {IPaymentChannels} from "../IPaymentChannels.sol";
import {IFaultProofs} from "./IFaultProofs.sol";

/// @notice Faults of a batch against what its operator signed for the payer.
/// @dev Receipts are signed under PaymentChannels' EIP-712 domain by the operator's own key.
interface IReceiptFaults is IFaultProofs {
    /// @dev EIP-712 type: Receipt(bytes32 voucherDigest,uint64 fee,uint64 charged,uint64 tokensIn,uint64
    /// tokensOut,bytes32 outputHash,bytes32 sketchHash).
    /// @param fee gwei
    /// @param charged cumulative gwei that the operator counted on the channel when it served the call
    /// @param sketchHash keccak256 of the sketch's bytes
    struct Receipt {
        bytes32 voucherDigest;
        uint64 fee;
        uint64 charged;
        uint64 tokensIn;
        uint64 tokensOut;
        bytes32 outputHash;
        bytes32 sketchHash;
    }

    /// @dev Thrown when the receipt is of another call than the record or voucher.
    error WrongReceipt(bytes32 voucherDigest);
    /// @dev Thrown when the batch's operator did not sign the receipt.
    error WrongSigner(address signer);
    /// @dev Thrown when the call belongs to another epoch than the batch.
    error WrongEpoch(uint64 time);

    /// @notice EIP-712 digest that the operator signs.
    function digestOf(Receipt calldata receipt) external view returns (bytes32);

    /// @notice Rule `Receipt`: a record has another fee, number of tokens, answer or sketch than its receipt.
    /// @dev Rows: a Record. `charged` is not compared: records are put in their order when the batch is made.
    function proveReceipt(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        Receipt calldata receipt,
        bytes calldata signature
    ) external;

    /// @notice Rule `Omitted`: a call with a receipt, signed for in the batch's epoch, has no record in it.
    /// @dev Rows: the Record with ordinal 0, which comes after the call by (time, voucher); or 0 and the last Record,
    /// which comes before it; or two Records with consecutive ordinals, one before and one after.
    function proveOmitted(
        BatchId batch,
        CellOpening calldata ledger,
        IPaymentChannels.Voucher calldata voucher,
        Receipt calldata receipt,
        bytes calldata signature
    ) external;
}
