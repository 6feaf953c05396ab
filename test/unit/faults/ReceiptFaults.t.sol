// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../../contracts/interfaces/IDisputes.sol";
import {IPaymentChannels} from "../../../contracts/interfaces/IPaymentChannels.sol";
import {IFaultProofs} from "../../../contracts/interfaces/faults/IFaultProofs.sol";
import {IReceiptFaults} from "../../../contracts/interfaces/faults/IReceiptFaults.sol";
import {LedgerRow} from "../../../contracts/libraries/LedgerRow.sol";
import {FaultsBase} from "./FaultsBase.t.sol";

contract ReceiptFaultsTest is FaultsBase {
    /// @dev The domain as PaymentChannels itself says it (EIP-5267).
    function test_digestOf_isUnderTheChannelsDomain() public view {
        IReceiptFaults.Receipt memory r = _receipt(0);
        (, string memory name, string memory version, uint256 chainId, address verifying,,) = channels.eip712Domain();
        bytes32 separator = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256(bytes(version)),
                chainId,
                verifying
            )
        );
        bytes32 typeHash = keccak256(
            "Receipt(bytes32 voucherDigest,uint64 fee,uint64 charged,uint64 tokensIn,uint64 tokensOut,bytes32 outputHash,bytes32 sketchHash)"
        );
        bytes memory numbers = abi.encode(r.fee, r.charged, r.tokensIn, r.tokensOut, r.outputHash, r.sketchHash);
        bytes32 message = keccak256(bytes.concat(abi.encode(typeHash, r.voucherDigest), numbers));

        assertEq(receiptFaults.digestOf(r), keccak256(abi.encodePacked(hex"1901", separator, message)));
    }

    function test_proveReceipt_refusesHonestReceipts() public {
        for (uint256 i; i < witnesses.length; ++i) {
            IReceiptFaults.Receipt memory r = _receipt(i);
            _refuses(address(receiptFaults), _contradicts(i, r, operatorKey));
            // Records are put in their order when the batch is made.
            ++r.charged;
            _refuses(address(receiptFaults), _contradicts(i, r, operatorKey));
        }
    }

    function test_proveReceipt_strikes_whenTheRecordSaysSomethingElse() public {
        for (uint256 field; field < 5; ++field) {
            IReceiptFaults.Receipt memory r = _receipt(0);
            if (field == 0) ++r.fee;
            if (field == 1) ++r.tokensIn;
            if (field == 2) --r.tokensOut;
            if (field == 3) r.outputHash = keccak256("other");
            if (field == 4) r.sketchHash = keccak256("other");
            _strikesFor(address(receiptFaults), _contradicts(0, r, operatorKey), Rule.Receipt, "proveReceipt");
        }
    }

    function test_proveReceipt_reverts_whenSomebodyElseSigned() public {
        IReceiptFaults.Receipt memory r = _receipt(0);
        ++r.fee;
        bytes memory error = abi.encodeWithSelector(IReceiptFaults.WrongSigner.selector, vm.addr(payerKeys[0]));
        _refuses(address(receiptFaults), _contradicts(0, r, payerKeys[0]), error);
    }

    function test_proveReceipt_reverts_forAnotherCall() public {
        IReceiptFaults.Receipt memory r = _receipt(1);
        bytes memory error = abi.encodeWithSelector(IReceiptFaults.WrongReceipt.selector, r.voucherDigest);
        _refuses(address(receiptFaults), _contradicts(0, r, operatorKey), error);
    }

    function test_proveReceipt_reverts_forAnotherWitness() public {
        IReceiptFaults.Receipt memory r = _receipt(0);
        bytes memory proof = abi.encodeCall(
            IReceiptFaults.proveReceipt,
            (
                batch,
                book.openRows(_rows(_find(LedgerRow.Kind.Record, 0))),
                witnesses[1],
                r,
                _sign(operatorKey, receiptFaults.digestOf(r))
            )
        );
        bytes memory error = abi.encodeWithSelector(IFaultProofs.WrongWitness.selector, keccak256(witnesses[1]));
        _refuses(address(receiptFaults), proof, error);
    }

    // Omitted.

    function test_proveOmitted_refusesCallsThatAreRecorded() public {
        uint256 count = witnesses.length;
        for (uint256 i; i < count; ++i) {
            IPaymentChannels.Voucher memory v = vouchers[i];
            _refuses(address(receiptFaults), _omitted(v, _rows(_record(0))));
            _refuses(address(receiptFaults), _omitted(v, _rows(0, _record(count - 1))));
            for (uint256 j; j + 1 < count; ++j) {
                _refuses(address(receiptFaults), _omitted(v, _rows(_record(j), _record(j + 1))));
                if (j + 2 < count) {
                    _refuses(address(receiptFaults), _omitted(v, _rows(_record(j), _record(j + 2))));
                }
            }
        }
    }

    function test_proveOmitted_strikes_betweenTwoRecords() public {
        bytes memory proof = _omitted(_unrecorded(vouchers[1].call.time + 1), _rows(_record(1), _record(2)));
        _strikesFor(address(receiptFaults), proof, Rule.Omitted, "proveOmitted");
    }

    /// @dev Of one time, the voucher's digest decides on which side the call would be.
    function test_proveOmitted_strikes_atTheTimeOfARecord() public {
        IPaymentChannels.Voucher memory v = _unrecorded(vouchers[1].call.time);
        bool isBefore = channels.digestOf(v) < channels.digestOf(vouchers[1]);
        bytes memory before = _omitted(v, _rows(_record(0), _record(1)));
        bytes memory behind = _omitted(v, _rows(_record(1), _record(2)));

        _strikes(address(receiptFaults), isBefore ? before : behind, Rule.Omitted);
        _refuses(address(receiptFaults), isBefore ? behind : before);
    }

    function test_proveOmitted_strikes_atTheEnds() public {
        uint256 last = witnesses.length - 1;
        IPaymentChannels.Voucher memory early = _unrecorded(vouchers[0].call.time - 1);
        IPaymentChannels.Voucher memory late = _unrecorded(vouchers[last].call.time + 1);

        _strikes(address(receiptFaults), _omitted(early, _rows(_record(0))), Rule.Omitted);
        _strikes(address(receiptFaults), _omitted(late, _rows(0, _record(last))), Rule.Omitted);
        _refuses(address(receiptFaults), _omitted(late, _rows(_record(0))));
        _refuses(address(receiptFaults), _omitted(early, _rows(0, _record(last))));
        // Only the first and the last record are ends.
        _refuses(address(receiptFaults), _omitted(early, _rows(_record(1))));
        _refuses(address(receiptFaults), _omitted(late, _rows(0, _record(last - 1))));
    }

    function test_proveOmitted_reverts_whenTheCallIsOfAnotherEpoch() public {
        uint64 time = (EPOCH + 1) * 1 hours;
        bytes memory proof = _omitted(_unrecorded(time), _rows(0, _record(witnesses.length - 1)));
        _refuses(address(receiptFaults), proof, abi.encodeWithSelector(IReceiptFaults.WrongEpoch.selector, time));
    }

    function test_proveOmitted_reverts_forAnotherVoucher() public {
        IPaymentChannels.Voucher memory v = _unrecorded(vouchers[1].call.time + 1);
        IReceiptFaults.Receipt memory r = _receipt(1);
        bytes memory proof = abi.encodeCall(
            IReceiptFaults.proveOmitted,
            (batch, book.openRows(_rows(_record(1), _record(2))), v, r, _sign(operatorKey, receiptFaults.digestOf(r)))
        );
        bytes memory error = abi.encodeWithSelector(IReceiptFaults.WrongReceipt.selector, r.voucherDigest);
        _refuses(address(receiptFaults), proof, error);
    }

    function test_proveOmitted_reverts_whenSomebodyElseSigned() public {
        uint256 key = operatorKey;
        operatorKey = payerKeys[0];
        bytes memory proof = _omitted(_unrecorded(vouchers[1].call.time + 1), _rows(_record(1), _record(2)));
        operatorKey = key;
        bytes memory error = abi.encodeWithSelector(IReceiptFaults.WrongSigner.selector, vm.addr(payerKeys[0]));
        _refuses(address(receiptFaults), proof, error);
    }

    function _record(uint256 i) private view returns (uint256) {
        return _find(LedgerRow.Kind.Record, i);
    }

    function _receipt(uint256 i) private view returns (IReceiptFaults.Receipt memory r) {
        LedgerRow.Row memory row = book.rowAt(_record(i));
        LedgerRow.Record memory record = LedgerRow.record(row);
        bytes memory sketch = new bytes(witnesses[i].length - 229);
        for (uint256 k; k < sketch.length; ++k) {
            sketch[k] = witnesses[i][229 + k];
        }
        r.voucherDigest = channels.digestOf(vouchers[i]);
        r.fee = uint64(row.value);
        r.charged = record.from + r.fee;
        (r.tokensIn, r.tokensOut) = (record.tokensIn, record.tokensOut);
        r.outputHash = keccak256("output");
        r.sketchHash = keccak256(sketch);
    }

    function _unrecorded(uint64 time) private view returns (IPaymentChannels.Voucher memory voucher) {
        voucher = vouchers[1];
        voucher.call.time = time;
        voucher.call.promptHash = keccak256("another prompt");
    }

    function _contradicts(uint256 i, IReceiptFaults.Receipt memory r, uint256 key) private view returns (bytes memory) {
        return abi.encodeCall(
            IReceiptFaults.proveReceipt,
            (batch, book.openRows(_rows(_record(i))), witnesses[i], r, _sign(key, receiptFaults.digestOf(r)))
        );
    }

    function _omitted(IPaymentChannels.Voucher memory voucher, uint256[] memory rows)
        private
        view
        returns (bytes memory)
    {
        IReceiptFaults.Receipt memory r;
        r.voucherDigest = channels.digestOf(voucher);
        bytes memory signature = _sign(operatorKey, receiptFaults.digestOf(r));
        return abi.encodeCall(IReceiptFaults.proveOmitted, (batch, book.openRows(rows), voucher, r, signature));
    }
}
