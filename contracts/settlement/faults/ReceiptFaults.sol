// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../../interfaces/IDisputes.sol";
import {IPaymentChannels} from "../../interfaces/IPaymentChannels.sol";
import {IReceiptFaults} from "../../interfaces/faults/IReceiptFaults.sol";
import {CellOpening} from "../../libraries/CellOpenings.sol";
import {LedgerRow} from "../../libraries/LedgerRow.sol";
import {RecordWitness} from "../../libraries/RecordWitness.sol";
import {BatchId} from "../../types/Ids.sol";
import {FaultProofs} from "./FaultProofs.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice Implements IReceiptFaults over the channels that it is deployed with.
contract ReceiptFaults is IReceiptFaults, FaultProofs {
    using LedgerRow for LedgerRow.Row;

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 voucherDigest,uint64 fee,uint64 charged,uint64 tokensIn,uint64 tokensOut,bytes32 outputHash,bytes32 sketchHash)"
    );

    /// @notice Whose domain receipts are signed under.
    IPaymentChannels public immutable channels;

    constructor(IDisputes disputes_, IPaymentChannels channels_) FaultProofs(disputes_) {
        channels = channels_;
    }

    /// @inheritdoc IReceiptFaults
    function digestOf(Receipt calldata receipt) public view returns (bytes32) {
        bytes32 separator = keccak256(
            abi.encode(
                DOMAIN_TYPEHASH,
                keccak256("OpenLedger PaymentChannels"),
                keccak256("1"),
                block.chainid,
                address(channels)
            )
        );
        return MessageHashUtils.toTypedDataHash(separator, keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    /// @inheritdoc IReceiptFaults
    function proveReceipt(
        BatchId batch,
        CellOpening calldata ledger,
        bytes calldata witness,
        Receipt calldata receipt,
        bytes calldata signature
    ) external {
        Evidence memory e = _open(batch, ledger, 1);
        LedgerRow.Record memory record = _recordOf(e, 0);
        _checkWitness(record, witness);
        _checkReceipt(receipt, signature, e.batch.operator);
        require(record.voucher == bytes31(receipt.voucherDigest), WrongReceipt(receipt.voucherDigest));

        RecordWitness.Witness memory served = RecordWitness.decode(witness);
        bool holds = e.rows[0].value == int256(uint256(receipt.fee)) && record.tokensIn == receipt.tokensIn
            && record.tokensOut == receipt.tokensOut && served.outputHash == receipt.outputHash
            && keccak256(served.sketch) == receipt.sketchHash;
        _strike(batch, Rule.Receipt, !holds);
    }

    /// @inheritdoc IReceiptFaults
    function proveOmitted(
        BatchId batch,
        CellOpening calldata ledger,
        IPaymentChannels.Voucher calldata voucher,
        Receipt calldata receipt,
        bytes calldata signature
    ) external {
        Evidence memory e = _open(batch, ledger);
        bytes32 digest = channels.digestOf(voucher);
        require(receipt.voucherDigest == digest, WrongReceipt(receipt.voucherDigest));
        _checkReceipt(receipt, signature, e.batch.operator);
        uint64 time = voucher.call.time;
        require(time / settlement.epochSeconds() == e.batch.epoch, WrongEpoch(time));

        _strike(batch, Rule.Omitted, _isBetween(e, time, bytes31(digest)));
    }

    function _checkReceipt(Receipt calldata receipt, bytes calldata signature, address operator) private view {
        (address signer,,) = ECDSA.tryRecoverCalldata(digestOf(receipt), signature);
        require(signer == operator, WrongSigner(signer));
    }

    /// @dev Whether the rows are neighbours in the order of records, or an end of it, and the call would be between.
    function _isBetween(Evidence memory e, uint64 time, bytes31 voucher) private pure returns (bool) {
        if (e.rows.length == 1) {
            LedgerRow.Record memory first = _recordOf(e, 0);
            return first.ordinal == 0 && _isBefore(time, voucher, first.time, first.voucher);
        }

        require(e.rows.length == 2, WrongRowCount(e.rows.length * LedgerRow.CELLS));
        LedgerRow.Record memory upper = _recordOf(e, 1);
        if (e.rows[0].kind == LedgerRow.Kind.Header && e.at[0] == 0) {
            bool isLast = e.rows[0].header().records == uint256(upper.ordinal) + 1;
            return isLast && _isBefore(upper.time, upper.voucher, time, voucher);
        }
        LedgerRow.Record memory lower = _recordOf(e, 0);
        return upper.ordinal == uint256(lower.ordinal) + 1 && _isBefore(lower.time, lower.voucher, time, voucher)
            && _isBefore(time, voucher, upper.time, upper.voucher);
    }

    function _isBefore(uint64 time, bytes31 voucher, uint64 otherTime, bytes31 other) private pure returns (bool) {
        return time != otherTime ? time < otherTime : voucher < other;
    }
}
