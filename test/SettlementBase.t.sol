// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {BatchId, ChannelId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {Base} from "./Base.t.sol";
import {PayoutBook} from "./PayoutBook.sol";

/// @notice One operator, a payer with a channel to it and some earners, and the steps of a batch.
abstract contract SettlementBase is Base {
    uint32 internal constant ROWS = 64;
    uint64 internal constant FIRST_EPOCH = START / EPOCH_SECONDS;
    uint32 internal constant TREASURY = 1;

    address internal operator;
    address internal payer;
    uint256 internal payerKey;
    ChannelId internal channel;

    uint32 internal stakers;
    uint32 internal contributor;
    uint32 internal modelOwner;
    PayoutBook internal book;

    function setUp() public virtual override {
        super.setUp();
        book = new PayoutBook(settlement.pageSize());

        operator = _operator("operator");
        stakers = EarnerIndex.unwrap(earners.earnerOf(operator, IEarnerRegistry.Role.Stakers));
        contributor = _earner("contributor", IEarnerRegistry.Role.Contributor);
        modelOwner = _earner("model owner", IEarnerRegistry.Role.ModelOwner);

        (payer, payerKey) = makeAddrAndKey("payer");
        vm.deal(payer, 1000 ether);
        vm.prank(payer);
        channel = channels.open{value: 100 ether}(operator, bytes32(0));
    }

    function _earner(string memory name, IEarnerRegistry.Role role) internal returns (uint32) {
        vm.prank(makeAddr(name));
        return EarnerIndex.unwrap(earners.register(role));
    }

    function _voucher(ChannelId channel_, uint64 ceiling) internal view returns (IPaymentChannels.Voucher memory) {
        return IPaymentChannels.Voucher({
            channelId: channel_,
            ceiling: ceiling,
            call: IPaymentChannels.Call({
                modelId: ModelId.wrap("model"),
                priceVersion: 1,
                promptHash: keccak256("prompt"),
                seed: 7,
                maxTokens: 128,
                time: uint64(vm.getBlockTimestamp())
            })
        });
    }

    function _sign(IPaymentChannels.Voucher memory voucher, uint256 key) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.digestOf(voucher));
        return abi.encodePacked(r, s, v);
    }

    /// @dev A draw up to exactly the ceiling.
    function _draw(ChannelId channel_, uint256 key, uint64 drawnTo)
        internal
        view
        returns (IPaymentChannels.Draw memory)
    {
        IPaymentChannels.Voucher memory voucher = _voucher(channel_, drawnTo);
        return IPaymentChannels.Draw(voucher, _sign(voucher, key), drawnTo);
    }

    /// @dev The draw of `amount` more gwei from the payer's channel.
    function _draws(uint64 amount) internal view returns (IPaymentChannels.Draw[] memory draws) {
        draws = new IPaymentChannels.Draw[](1);
        draws[0] = _draw(channel, payerKey, channels.channelOf(channel).drawn + amount);
    }

    function _certificate(G1Point memory commitment, uint32 symbols) internal view returns (bytes memory) {
        uint64 storedAt = uint64(vm.getBlockTimestamp());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, daCerts.digestOf(commitment, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }

    function _submission(uint64 epoch, PayoutBook.Payout[] memory payouts)
        internal
        view
        returns (ISettlement.Submission memory submission)
    {
        submission.epoch = epoch;
        submission.rows = ROWS;
        submission.ledger = Kzg.mul(Kzg.generator(), 1 + epoch);
        (submission.pages, submission.payouts, submission.total) = book.commit(payouts);
        submission.certificate = _certificate(submission.ledger, 8 * ROWS);
    }

    function _payouts(uint32 earner, uint64 amount) internal pure returns (PayoutBook.Payout[] memory payouts) {
        payouts = new PayoutBook.Payout[](1);
        payouts[0] = PayoutBook.Payout(earner, amount);
    }

    /// @dev One payout to everybody: 100 gwei times its index.
    function _payoutsToAll() internal view returns (PayoutBook.Payout[] memory payouts) {
        payouts = new PayoutBook.Payout[](earners.earnerCount());
        for (uint32 i; i < payouts.length; ++i) {
            payouts[i] = PayoutBook.Payout(i + 1, 100 * (i + 1));
        }
    }

    function _endOf(uint64 epoch) internal pure returns (uint64) {
        return (epoch + 1) * EPOCH_SECONDS;
    }

    /// @dev Moves the clock to the end of the epoch if it is not there yet, and posts.
    function _post(uint64 epoch, PayoutBook.Payout[] memory payouts) internal returns (BatchId) {
        if (vm.getBlockTimestamp() < _endOf(epoch)) vm.warp(_endOf(epoch));
        ISettlement.Submission memory submission = _submission(epoch, payouts);
        IPaymentChannels.Draw[] memory draws = _draws(submission.total);

        vm.prank(operator);
        return settlement.submitBatch(submission, draws);
    }

    function _finalise(BatchId batch, PayoutBook.Payout[] memory payouts) internal {
        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(payouts);
        settlement.finaliseBatch(batch, pages, commitments);
        book.finalise(payouts);
    }

    /// @dev Posts, waits for the window and finalises.
    function _settle(uint64 epoch, PayoutBook.Payout[] memory payouts) internal returns (BatchId batch) {
        batch = _post(epoch, payouts);
        vm.warp(vm.getBlockTimestamp() + DISPUTE_WINDOW);
        _finalise(batch, payouts);
    }
}
