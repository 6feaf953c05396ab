// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Rule} from "../../contracts/interfaces/IDisputes.sol";
import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {Disputes} from "../../contracts/settlement/Disputes.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {BatchId, ChannelId} from "../../contracts/types/Ids.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @notice Payers, operators, earners, arbiters and bystanders doing what the contracts allow, in any order. Its actions
/// never revert: what the contracts would refuse is left out beforehand.
/// @dev Pages hold four earners, so that batches pay several. The handler is a fault contract, an arbiter and a slasher.
contract SettlementHandler is SettlementBase {
    struct OpenChannel {
        ChannelId id;
        address payer;
        uint256 payerKey;
        address operator;
        uint64 highestDrawn;
    }

    struct Posted {
        BatchId id;
        uint64 total;
        bool refunded;
        PayoutBook.Payout[] payouts;
        IPaymentChannels.Interval[] intervals;
    }

    /// @dev What may be done to a batch.
    enum Step {
        Finalise,
        Strike,
        StrikeOrphan,
        Refund,
        Release
    }

    uint32 private constant SMALL_PAGE = 4;
    uint32 private constant MAX_EARNERS = 11;
    uint256 private constant MAX_CHANNELS = 12;

    OpenChannel[] private _open;
    Posted[] private _posted;
    Disputes private _disputes;
    address[2] private _operators;
    mapping(address operator => uint64) private _nextEpoch;

    /// @notice Wei of all deposits.
    uint256 public totalDeposited;

    /// @notice Wei of all withdrawals from channels.
    uint256 public totalWithdrawn;

    /// @notice Gwei of all batches, whatever became of them.
    uint256 public totalPosted;

    /// @notice Gwei of struck batches that were refunded.
    uint256 public totalRefunded;

    /// @notice Gwei of final batches.
    uint256 public totalFinal;

    /// @notice How many false claims were paid.
    uint256 public falselyPaid;

    /// @dev Apart from the constructor, because a fault contract must have code.
    function begin() external {
        setUp();
        _operators = [operator, _operator("operator two")];
        _nextEpoch[_operators[0]] = _nextEpoch[_operators[1]] = FIRST_EPOCH;
        _disputes = new Disputes(owner, settlement, staking, STRIKE_SLASH);
        address[] memory faultContracts = new address[](1);
        faultContracts[0] = address(this);
        vm.startPrank(owner);
        _disputes.setFaultContracts(faultContracts);
        settlement.setArbiter(address(_disputes), true);
        settlement.setArbiter(address(this), true);
        staking.setSlasher(address(_disputes), true);
        staking.setSlasher(address(this), true);
        vm.stopPrank();
        _open.push(OpenChannel(channel, payer, payerKey, operator, 0));
        totalDeposited = 100 ether;
        _openChannel(0, 1, 50 ether);
        _openChannel(1, 1, 1 gwei);
    }

    /// @dev Slashed stake.
    receive() external payable {}

    function openChannel(uint256 who, uint256 which, uint256 amount) external {
        if (_open.length < MAX_CHANNELS) _openChannel(who % 3, which % 2, bound(amount, 1, 10 ether));
    }

    function deposit(uint256 which, uint256 amount) external {
        amount = bound(amount, 1, 10 ether);
        vm.deal(address(this), amount);
        channels.deposit{value: amount}(_open[which % _open.length].id);
        totalDeposited += amount;
    }

    function requestWithdrawal(uint256 which, uint256 amount) external {
        OpenChannel storage chosen = _open[which % _open.length];
        IPaymentChannels.Channel memory state = channels.channelOf(chosen.id);

        vm.prank(chosen.payer);
        channels.requestWithdrawal(chosen.id, bound(amount, 0, state.deposit - state.drawn * GWEI));
    }

    function withdraw(uint256 which) external {
        OpenChannel storage chosen = _open[which % _open.length];
        uint64 withdrawableAt = channels.channelOf(chosen.id).withdrawableAt;
        if (withdrawableAt == 0) return;

        _waitUntil(withdrawableAt);
        vm.prank(chosen.payer);
        totalWithdrawn += channels.withdraw(chosen.id);
    }

    function registerEarner(uint256 salt) external {
        if (earners.earnerCount() == MAX_EARNERS) return;
        address account = makeAddr(string.concat("earner ", vm.toString(salt)));
        if (_isRegistered(account)) return;

        vm.prank(account);
        earners.register(IEarnerRegistry.Role.Contributor);
    }

    function post(uint256 who, uint256 earnerMask, uint256[3] calldata amounts) external {
        operator = _operators[who % 2];
        uint64 epoch = _nextEpoch[operator] + uint64(earnerMask >> 254);
        _waitUntil(_endOf(epoch));
        _topUp();
        uint256 cap = settlement.exposureCapOf(operator);
        uint256 unfinal = settlement.unfinalOf(operator);
        if (unfinal >= cap) return;
        (IPaymentChannels.Draw[] memory draws, uint64 total) = _drawsFor(epoch, amounts, cap - unfinal);
        if (total == 0) return;

        PayoutBook.Payout[] memory payouts = _share(total, earnerMask);
        Posted storage stored = _posted.push();
        IPaymentChannels.Interval[] memory intervals = _intervalsOf(draws);
        for (uint256 i; i < intervals.length; ++i) {
            stored.intervals.push(intervals[i]);
        }
        for (uint256 i; i < payouts.length; ++i) {
            stored.payouts.push(payouts[i]);
        }
        stored.total = total;
        stored.id = _submit(_submission(epoch, payouts), draws);

        _nextEpoch[operator] = epoch + 1;
        totalPosted += total;
    }

    function finalise(uint256 which) external {
        (bool found, uint256 i) = _next(which, Step.Finalise);
        if (found) _finaliseNth(i);
    }

    /// @notice A fault is proven, or governance strikes.
    function strike(uint256 which, bool proven) external {
        (bool found, uint256 i) = _next(which, Step.Strike);
        if (!found) return;
        if (proven) _disputes.strike(_posted[i].id, Rule.Row, makeAddr("challenger"));
        else settlement.strike(_posted[i].id);
    }

    function strikeOrphan(uint256 which) external {
        (bool found, uint256 i) = _next(which, Step.StrikeOrphan);
        if (found) settlement.strikeOrphan(_posted[i].id);
    }

    function refund(uint256 which) external {
        (bool found, uint256 i) = _next(which, Step.Refund);
        if (found) _refundNth(i);
    }

    /// @notice Refunds again, or before the batch is struck, or with a gwei more.
    function refundFalsely(uint256 which, bool more) external {
        if (_posted.length == 0) return;
        Posted memory chosen = _posted[which % _posted.length];
        if (more) chosen.intervals[0].to += 1;
        else if (_may(chosen, Step.Refund)) return;

        try settlement.refund(chosen.id, chosen.intervals) {
            ++falselyPaid;
        } catch {}
    }

    function hold(uint256 which) external {
        (bool found, uint256 i) = _next(which, Step.Strike);
        if (found) settlement.hold(_posted[i].id);
    }

    function release(uint256 which) external {
        (bool found, uint256 i) = _next(which, Step.Release);
        if (found) settlement.release(_posted[i].id);
    }

    function slash(uint256 who, uint256 slashWad) external {
        staking.slash(_operators[who % 2], bound(slashWad, 1, 0.3e18));
    }

    function claim(uint256 who, uint64 age) external {
        (bool due, ISettlement.Claim memory chosen) = _dueClaim(1 + uint32(who % earners.earnerCount()), age % 16);
        if (due) settlement.claim(chosen);
    }

    function claimMany(uint256 mask) external {
        uint32 count = earners.earnerCount();
        ISettlement.Claim[] memory claims = new ISettlement.Claim[](count);
        uint256 found;
        for (uint32 i; i < count; ++i) {
            (bool due, ISettlement.Claim memory one) = _dueClaim(i + 1, 0);
            if (due && mask >> i & 1 == 1) claims[found++] = one;
        }
        if (found == 0) return;

        ISettlement.Claim[] memory chosen = new ISettlement.Claim[](found);
        for (uint256 i; i < found; ++i) {
            chosen[i] = claims[i];
        }
        settlement.claimMany(chosen);
    }

    /// @notice Claims one gwei too much, or with another earner's witness.
    function claimFalsely(uint256 who, bool another) external {
        uint32 count = earners.earnerCount();
        uint32 earner = 1 + uint32(who % count);
        (bool due, ISettlement.Claim memory chosen) = _dueClaim(earner, 0);
        if (!due) return;
        if (another) chosen.witness = book.claimOf(1 + earner % count).witness;
        else chosen.cumulativeEarnings += 1;

        try settlement.claim(chosen) {
            ++falselyPaid;
        } catch {}
    }

    /// @notice Drives everything to its end by what anybody may do, and arbiters' releases: nobody else has to agree.
    function settleAll() external {
        _doAll(Step.Release);
        _doAll(Step.StrikeOrphan);
        _doAll(Step.Refund);
        _doAll(Step.Finalise);
        uint32 count = earners.earnerCount();
        for (uint32 earner = 1; earner <= count; ++earner) {
            (bool due, ISettlement.Claim memory chosen) = _dueClaim(earner, 0);
            if (due) settlement.claim(chosen);
        }
        for (uint256 i; i < _open.length; ++i) {
            _empty(_open[i]);
        }
    }

    function contracts() external view returns (Settlement, PaymentChannels, PayoutBook) {
        return (settlement, channels, book);
    }

    function earnerCount() external view returns (uint32) {
        return earners.earnerCount();
    }

    function pageCount() external view returns (uint32) {
        return earners.earnerCount() / SMALL_PAGE + 1;
    }

    /// @notice Gwei of an operator's batches that are neither final nor struck.
    function postedOf(address poster) public view returns (uint256 sum) {
        for (uint256 i; i < _posted.length; ++i) {
            ISettlement.Batch memory batch = settlement.batchOf(_posted[i].id);
            if (batch.operator == poster && batch.status == ISettlement.Status.Posted) sum += _posted[i].total;
        }
    }

    /// @notice Gwei of struck batches that nobody refunded.
    function toRefund() public view returns (uint256 sum) {
        for (uint256 i; i < _posted.length; ++i) {
            if (_may(_posted[i], Step.Refund)) sum += _posted[i].total;
        }
    }

    function operators() external view returns (address[2] memory) {
        return _operators;
    }

    function batchCount() external view returns (uint256) {
        return _posted.length;
    }

    function batchAt(uint256 i) external view returns (BatchId) {
        return _posted[i].id;
    }

    /// @notice Wei that the channels should hold together.
    function undrawn() external view returns (uint256 sum) {
        for (uint256 i; i < _open.length; ++i) {
            IPaymentChannels.Channel memory state = channels.channelOf(_open[i].id);
            sum += state.deposit - state.drawn * GWEI;
        }
    }

    /// @notice Whether some channel's `drawn` differs from what the batches drew from it.
    function someDrawnDiffers() external view returns (bool) {
        for (uint256 i; i < _open.length; ++i) {
            if (channels.channelOf(_open[i].id).drawn != _open[i].highestDrawn) return true;
        }
        return false;
    }

    function _config() internal view override returns (Deploy.Config memory config) {
        config = super._config();
        config.pageSize = SMALL_PAGE;
    }

    function _openChannel(uint256 who, uint256 which, uint256 amount) private {
        (address opener, uint256 key) = makeAddrAndKey(string.concat("payer ", vm.toString(who)));
        address chosen = operator = _operators[which];
        _topUp();
        vm.deal(opener, amount);

        vm.prank(opener);
        ChannelId id = channels.open{value: amount}(chosen, bytes32(_open.length));
        _open.push(OpenChannel(id, opener, key, chosen, 0));
        totalDeposited += amount;
    }

    /// @dev Slashed operators stake again, as far as their shares can be sold.
    function _topUp() private {
        if (staking.isActive(operator)) return;
        vm.deal(operator, MIN_STAKE + 1);
        vm.prank(operator);
        staking.stake{value: MIN_STAKE + 1}(operator);
    }

    /// @dev Draws of up to three channels, in order, of at most `most` gwei together.
    function _drawsFor(uint64 epoch, uint256[3] calldata amounts, uint256 most)
        private
        returns (IPaymentChannels.Draw[] memory draws, uint64 total)
    {
        draws = new IPaymentChannels.Draw[](3);
        uint256 count;
        for (uint256 i; i < 3; ++i) {
            OpenChannel storage chosen = _open[(amounts[i] >> 128) % _open.length];
            uint256 left = channels.channelOf(chosen.id).deposit / GWEI - chosen.highestDrawn;
            if (left > most - total) left = most - total;
            // A channel that was chosen before has a higher mark than the contract knows of.
            bool again = chosen.highestDrawn != channels.channelOf(chosen.id).drawn;
            if (chosen.operator != operator || left == 0 || again) continue;

            uint64 amount = uint64(bound(amounts[i], 1, left));
            chosen.highestDrawn += amount;
            total += amount;
            draws[count++] = _draw(chosen.id, chosen.payerKey, chosen.highestDrawn, epoch);
        }
        assembly ("memory-safe") {
            mstore(draws, count)
        }
        _sort(draws);
    }

    function _sort(IPaymentChannels.Draw[] memory draws) private pure {
        for (uint256 i = 1; i < draws.length; ++i) {
            for (uint256 j = i; j > 0 && _idOf(draws[j]) < _idOf(draws[j - 1]); --j) {
                (draws[j], draws[j - 1]) = (draws[j - 1], draws[j]);
            }
        }
    }

    function _idOf(IPaymentChannels.Draw memory draw) private pure returns (bytes32) {
        return ChannelId.unwrap(draw.voucher.channelId);
    }

    /// @dev Equal shares for the earners in the mask, with what is left over for the last; earner 1 if there are none.
    function _share(uint64 total, uint256 mask) private view returns (PayoutBook.Payout[] memory payouts) {
        uint32 count = earners.earnerCount();
        mask &= (1 << count) - 1;
        if (mask == 0) mask = 1;

        uint256 members;
        for (uint32 i; i < count; ++i) {
            members += mask >> i & 1;
        }
        payouts = new PayoutBook.Payout[](members);
        uint256 next;
        for (uint32 i; i < count; ++i) {
            if (mask >> i & 1 == 1) payouts[next++] = PayoutBook.Payout(i + 1, total / uint64(members));
        }
        payouts[members - 1].amount += total % uint64(members);
    }

    /// @dev The first batch from `which` on, around the end, that the step may be done to.
    function _next(uint256 which, Step step) private view returns (bool found, uint256 i) {
        uint256 count = _posted.length;
        for (uint256 k; k < count; ++k) {
            i = (which % count + k) % count;
            if (_may(_posted[i], step)) return (true, i);
        }
    }

    function _may(Posted memory posted, Step step) private view returns (bool) {
        ISettlement.Batch memory batch = settlement.batchOf(posted.id);
        ISettlement.Status previous = settlement.batchOf(batch.previous).status;

        if (step == Step.Release) return batch.holds > 0;
        if (step == Step.Refund) return batch.status == ISettlement.Status.Struck && !posted.refunded;
        if (batch.status != ISettlement.Status.Posted) return false;
        if (step == Step.Strike) return true;
        if (step == Step.StrikeOrphan) return previous == ISettlement.Status.Struck;
        bool isFirst = BatchId.unwrap(batch.previous) == 0;
        return batch.holds == 0 && (isFirst || previous == ISettlement.Status.Final);
    }

    function _doAll(Step step) private {
        while (true) {
            (bool found, uint256 i) = _next(0, step);
            if (!found) return;
            if (step == Step.Finalise) _finaliseNth(i);
            if (step == Step.StrikeOrphan) settlement.strikeOrphan(_posted[i].id);
            if (step == Step.Refund) _refundNth(i);
            if (step == Step.Release) settlement.release(_posted[i].id);
        }
    }

    function _finaliseNth(uint256 i) private {
        Posted memory chosen = _posted[i];
        _waitUntil(settlement.batchOf(chosen.id).finalisableAt);
        (uint32[] memory pages, G1Point[] memory commitments,) = book.commit(chosen.payouts);

        settlement.finaliseBatch(chosen.id, pages, commitments);

        book.finalise(chosen.payouts);
        totalFinal += chosen.total;
    }

    function _refundNth(uint256 i) private {
        settlement.refund(_posted[i].id, _posted[i].intervals);
        _posted[i].refunded = true;
        totalRefunded += _posted[i].total;
    }

    function _empty(OpenChannel memory chosen) private {
        IPaymentChannels.Channel memory state = channels.channelOf(chosen.id);
        uint256 left = state.deposit - state.drawn * GWEI;
        if (left == 0) return;

        vm.startPrank(chosen.payer);
        channels.requestWithdrawal(chosen.id, left);
        vm.warp(vm.getBlockTimestamp() + WITHDRAW_DELAY);
        totalWithdrawn += channels.withdraw(chosen.id);
        vm.stopPrank();
    }

    /// @dev The claim against the version `age` before the latest, and whether it would pay.
    function _dueClaim(uint32 earner, uint64 age) private view returns (bool due, ISettlement.Claim memory chosen) {
        uint64 latest = book.latest(earner / SMALL_PAGE);
        if (latest <= age) return (false, chosen);

        chosen = book.claimAt(earner, latest - age);
        due = chosen.cumulativeEarnings > settlement.claimed(chosen.earner);
    }

    function _isRegistered(address account) private view returns (bool) {
        try earners.accountOf(earners.earnerOf(account, IEarnerRegistry.Role.Contributor)) {
            return true;
        } catch {
            return false;
        }
    }

    function _waitUntil(uint64 time) private {
        if (vm.getBlockTimestamp() < time) vm.warp(time);
    }
}
