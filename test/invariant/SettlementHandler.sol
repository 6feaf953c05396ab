// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {G1Point} from "../../contracts/libraries/Kzg.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {Settlement} from "../../contracts/settlement/Settlement.sol";
import {BatchId, ChannelId} from "../../contracts/types/Ids.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @notice Payers, operators and earners doing what the contracts allow, in any order. Its actions never revert.
/// @dev Pages hold four earners, so that batches pay several.
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
        PayoutBook.Payout[] payouts;
    }

    uint32 private constant SMALL_PAGE = 4;
    uint32 private constant MAX_EARNERS = 11;
    uint256 private constant MAX_CHANNELS = 12;

    OpenChannel[] private _open;
    Posted[] private _posted;
    address[2] private _operators;
    mapping(address operator => uint64) private _nextEpoch;

    /// @notice Gwei of all batches, final or not.
    uint256 public totalPosted;

    /// @notice Gwei of final batches.
    uint256 public totalFinal;

    /// @notice How many false claims were paid.
    uint256 public falselyPaid;

    constructor() {
        setUp();
        _operators = [operator, _operator("operator two")];
        _nextEpoch[_operators[0]] = _nextEpoch[_operators[1]] = FIRST_EPOCH;
        _open.push(OpenChannel(channel, payer, payerKey, operator, 0));
        _openChannel(0, 1, 50 ether);
        _openChannel(1, 1, 1 gwei);
    }

    function openChannel(uint256 who, uint256 which, uint256 amount) external {
        if (_open.length < MAX_CHANNELS) _openChannel(who % 3, which % 2, bound(amount, 1, 10 ether));
    }

    function deposit(uint256 which, uint256 amount) external {
        amount = bound(amount, 1, 10 ether);
        vm.deal(address(this), amount);
        channels.deposit{value: amount}(_open[which % _open.length].id);
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
        channels.withdraw(chosen.id);
    }

    function registerEarner(uint256 salt) external {
        if (earners.earnerCount() == MAX_EARNERS) return;
        address account = makeAddr(string.concat("earner ", vm.toString(salt)));
        if (_isRegistered(account)) return;

        vm.prank(account);
        earners.register(IEarnerRegistry.Role.Contributor);
    }

    function post(uint256 who, uint256 earnerMask, uint256[3] calldata amounts) external {
        address poster = _operators[who % 2];
        uint64 epoch = _nextEpoch[poster];
        _waitUntil(_endOf(epoch));
        (IPaymentChannels.Draw[] memory draws, uint64 total) = _drawsFor(poster, amounts);
        if (total == 0) return;

        PayoutBook.Payout[] memory payouts = _share(total, earnerMask);
        ISettlement.Submission memory submission = _submission(epoch, payouts);
        vm.prank(poster);
        BatchId batch = settlement.submitBatch(submission, draws);

        _nextEpoch[poster] = epoch + 1;
        totalPosted += total;
        Posted storage stored = _posted.push();
        stored.id = batch;
        for (uint256 i; i < payouts.length; ++i) {
            stored.payouts.push(payouts[i]);
        }
    }

    function finalise(uint256 which) external {
        if (_posted.length > 0) _finaliseNth(which % _posted.length);
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

    /// @notice Finalises and claims everything: what anybody may do at any time.
    function settleAll() external {
        while (_posted.length > 0) {
            _finaliseNth(0);
        }
        uint32 count = earners.earnerCount();
        for (uint32 earner = 1; earner <= count; ++earner) {
            (bool due, ISettlement.Claim memory chosen) = _dueClaim(earner, 0);
            if (due) settlement.claim(chosen);
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
        address chosen = _operators[which];
        vm.deal(opener, amount);

        vm.prank(opener);
        ChannelId id = channels.open{value: amount}(chosen, bytes32(_open.length));
        _open.push(OpenChannel(id, opener, key, chosen, 0));
    }

    /// @dev Up to three draws, some of which may be of one channel.
    function _drawsFor(address poster, uint256[3] calldata amounts)
        private
        returns (IPaymentChannels.Draw[] memory draws, uint64 total)
    {
        IPaymentChannels.Draw[] memory found = new IPaymentChannels.Draw[](3);
        uint256 count;
        for (uint256 i; i < 3; ++i) {
            OpenChannel storage chosen = _open[(amounts[i] >> 128) % _open.length];
            uint256 left = channels.channelOf(chosen.id).deposit / GWEI - chosen.highestDrawn;
            if (chosen.operator != poster || left == 0) continue;

            uint64 amount = uint64(bound(amounts[i], 1, left));
            chosen.highestDrawn += amount;
            total += amount;
            found[count++] = _draw(chosen.id, chosen.payerKey, chosen.highestDrawn);
        }

        draws = new IPaymentChannels.Draw[](count);
        for (uint256 i; i < count; ++i) {
            draws[i] = found[i];
        }
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

    function _finaliseNth(uint256 i) private {
        Posted memory chosen = _posted[i];
        _waitUntil(settlement.batchOf(chosen.id).finalisableAt);
        (uint32[] memory pages, G1Point[] memory commitments, uint64 total) = book.commit(chosen.payouts);

        settlement.finaliseBatch(chosen.id, pages, commitments);

        book.finalise(chosen.payouts);
        totalFinal += total;
        _posted[i] = _posted[_posted.length - 1];
        _posted.pop();
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
