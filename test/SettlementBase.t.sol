// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../contracts/interfaces/IPaymentChannels.sol";
import {IPayoutVerifier} from "../contracts/interfaces/IPayoutVerifier.sol";
import {ISettlement} from "../contracts/interfaces/ISettlement.sol";
import {G1Point, Kzg} from "../contracts/libraries/Kzg.sol";
import {BatchId, ChannelId, EarnerIndex, ModelId} from "../contracts/types/Ids.sol";
import {Base} from "./Base.t.sol";
import {PayoutBook} from "./PayoutBook.sol";
import {StandInVerifier} from "./StandInVerifier.sol";

/// @notice One operator, a payer with a channel to it and some earners, and the steps of a batch.
abstract contract SettlementBase is Base {
    uint32 internal constant ROWS = 64;
    uint32 internal constant WITNESS_SYMBOLS = 32;
    uint32 internal constant SLOT_CELLS = 16;
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

    /// @param time when the payer signs
    function _voucher(ChannelId channel_, uint64 ceiling, uint64 time)
        internal
        pure
        returns (IPaymentChannels.Voucher memory)
    {
        return IPaymentChannels.Voucher({
            channelId: channel_,
            ceiling: ceiling,
            call: IPaymentChannels.Call({
                modelId: ModelId.wrap("model"),
                priceVersion: 1,
                promptHash: keccak256("prompt"),
                seed: 7,
                maxTokens: 128,
                time: time
            })
        });
    }

    function _sign(IPaymentChannels.Voucher memory voucher, uint256 key) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, channels.digestOf(voucher));
        return abi.encodePacked(r, s, v);
    }

    /// @dev A draw up to exactly the ceiling, signed in the epoch.
    function _draw(ChannelId channel_, uint256 key, uint64 drawnTo, uint64 epoch)
        internal
        view
        returns (IPaymentChannels.Draw memory)
    {
        IPaymentChannels.Voucher memory voucher = _voucher(channel_, drawnTo, epoch * EPOCH_SECONDS);
        return IPaymentChannels.Draw(voucher, _sign(voucher, key), drawnTo);
    }

    /// @dev The draw of `amount` more gwei from the payer's channel.
    function _draws(uint64 amount, uint64 epoch) internal view returns (IPaymentChannels.Draw[] memory draws) {
        draws = new IPaymentChannels.Draw[](1);
        draws[0] = _draw(channel, payerKey, channels.channelOf(channel).drawn + amount, epoch);
    }

    /// @dev What the draws would take now.
    function _intervalsOf(IPaymentChannels.Draw[] memory draws)
        internal
        view
        returns (IPaymentChannels.Interval[] memory intervals)
    {
        intervals = new IPaymentChannels.Interval[](draws.length);
        for (uint256 i; i < draws.length; ++i) {
            ChannelId id = draws[i].voucher.channelId;
            intervals[i] = IPaymentChannels.Interval(id, channels.channelOf(id).drawn, draws[i].drawnTo);
        }
    }

    function _certificate(G1Point memory commitment, uint32 symbols) internal view returns (bytes memory) {
        uint64 storedAt = uint64(vm.getBlockTimestamp());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(attestorKey, daCerts.digestOf(commitment, symbols, storedAt));
        return abi.encodePacked(r, s, v, storedAt);
    }

    /// @dev The operator's next batch, with one witness blob.
    function _submission(uint64 epoch, PayoutBook.Payout[] memory payouts)
        internal
        view
        returns (ISettlement.Submission memory submission)
    {
        submission.epoch = epoch;
        submission.previous = settlement.headOf(operator);
        submission.rows = ROWS;
        submission.witnessSymbols = WITNESS_SYMBOLS;
        submission.slotCells = SLOT_CELLS;
        submission.ledger = Kzg.mul(Kzg.generator(), 1 + epoch);
        submission.witnesses = new G1Point[](1);
        submission.witnesses[0] = Kzg.mul(Kzg.generator(), 1_000_000 + epoch);
        (submission.pages, submission.payouts, submission.total) = book.commit(payouts);
        _certify(submission);
    }

    function _certify(ISettlement.Submission memory submission) internal view {
        submission.certificates = new bytes[](1 + submission.witnesses.length);
        submission.certificates[0] = _certificate(submission.ledger, 8 * submission.rows);
        for (uint256 i; i < submission.witnesses.length; ++i) {
            submission.certificates[i + 1] = _certificate(submission.witnesses[i], submission.witnessSymbols);
        }
    }

    /// @dev What the verifier is asked.
    function _statement(ISettlement.Submission memory submission, IPaymentChannels.Draw[] memory draws)
        internal
        view
        returns (IPayoutVerifier.Statement memory statement)
    {
        IPaymentChannels.Interval[] memory intervals = _intervalsOf(draws);
        statement.draws = new IPayoutVerifier.ChannelDraw[](draws.length);
        for (uint256 i; i < draws.length; ++i) {
            IPaymentChannels.Interval memory interval = intervals[i];
            uint64 amount = interval.to > interval.from ? interval.to - interval.from : 0;
            statement.draws[i] = IPayoutVerifier.ChannelDraw(interval.channel, amount);
        }
        statement.settlement = address(settlement);
        statement.operator = operator;
        statement.batch = settlement.batchIdOf(operator, submission.epoch);
        statement.certificateHash = keccak256(abi.encode(submission.certificates));
        statement.rows = submission.rows;
        statement.total = submission.total;
        statement.ledger = submission.ledger;
        statement.witnesses = submission.witnesses;
        statement.pages = submission.pages;
        statement.payouts = submission.payouts;
    }

    /// @dev What `StandInVerifier` takes for a proof.
    function _proof(ISettlement.Submission memory submission, IPaymentChannels.Draw[] memory draws)
        internal
        view
        returns (uint256[] memory)
    {
        return StandInVerifier(address(payoutVerifier)).prove(_statement(submission, draws));
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
        return _submit(_submission(epoch, payouts));
    }

    /// @dev Posts as the operator, drawing the total from the payer's channel.
    function _submit(ISettlement.Submission memory submission) internal returns (BatchId) {
        return _submit(submission, _draws(submission.total, submission.epoch));
    }

    function _submit(ISettlement.Submission memory submission, IPaymentChannels.Draw[] memory draws)
        internal
        returns (BatchId)
    {
        uint256[] memory proof = _proof(submission, draws);

        vm.prank(operator);
        return settlement.submitBatch(submission, draws, proof);
    }

    /// @dev Strikes as a fault contract would have it done.
    function _strike(BatchId batch) internal {
        vm.prank(address(disputes));
        settlement.strike(batch);
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
