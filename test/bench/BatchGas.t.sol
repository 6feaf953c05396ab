// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {BatchId, ChannelId} from "../../contracts/types/Ids.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {PayoutBook} from "../PayoutBook.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @notice What a further channel and page cost a batch besides its proof, as whole transactions: in an isolated test
/// each call is one. Written to bench/results/batch_gas.json.
/// @dev Pages are small, so that there are several; nothing here depends on their size.
/// forge-config: default.isolate = true
contract BatchGasTest is SettlementBase {
    string private constant FILE = "bench/results/batch_gas.json";
    uint32 private constant SMALL_PAGE = 8;
    uint64 private constant PAID = 1e9;
    uint256 private constant CHANNELS = 9;

    uint256[] private keys;
    ChannelId[] private ids;
    string private written;

    function _config() internal view override returns (Deploy.Config memory config) {
        config = super._config();
        config.pageSize = SMALL_PAGE;
    }

    function setUp() public override {
        super.setUp();
        while (earners.earnerCount() < 3 * SMALL_PAGE) {
            _earner(vm.toString(earners.earnerCount()), IEarnerRegistry.Role.Contributor);
        }
        for (uint256 i; i < CHANNELS; ++i) {
            _open(string.concat("payer ", vm.toString(i)));
        }
        vm.warp(_endOf(FIRST_EPOCH));
    }

    function test_gas_isWritten() public {
        (uint256 posting, uint256 finalising) = _gas(1, 1);
        (uint256 postingDraws,) = _gas(CHANNELS, 1);
        (uint256 postingPages, uint256 finalisingPages) = _gas(1, 3);

        _write("submitBatch without its proof: whole transaction", posting);
        _write("submitBatch without its proof: a further channel drawn", (postingDraws - posting) / (CHANNELS - 1));
        _write("submitBatch without its proof: a further page", (postingPages - posting) / 2);
        _write("finaliseBatch, a new page: whole transaction", finalising);
        _write("finaliseBatch: a further new page", (finalisingPages - finalising) / 2);
        if (vm.exists("bench/results")) vm.writeJson(written, FILE);
    }

    /// @dev Gas to post and to finalise a batch that draws `channels_` channels and pays one earner on each page.
    function _gas(uint256 channels_, uint32 pages) private returns (uint256 posting, uint256 finalising) {
        uint256 state = vm.snapshotState();
        PayoutBook.Payout[] memory payouts = new PayoutBook.Payout[](pages);
        for (uint32 i; i < pages; ++i) {
            payouts[i] = PayoutBook.Payout(3 + SMALL_PAGE * i, PAID * uint64(channels_) / pages);
        }
        payouts[0].amount += PAID * uint64(channels_) % pages;
        ISettlement.Submission memory submission = _submission(FIRST_EPOCH, payouts);
        IPaymentChannels.Draw[] memory draws = new IPaymentChannels.Draw[](channels_);
        for (uint256 i; i < channels_; ++i) {
            draws[i] = _draw(ids[i], keys[i], PAID, FIRST_EPOCH);
        }

        BatchId batch = _submit(submission, draws);
        posting = vm.lastCallGas().gasTotalUsed;
        vm.warp(settlement.batchOf(batch).finalisableAt);
        settlement.finaliseBatch(batch, submission.pages, submission.payouts);
        finalising = vm.lastCallGas().gasTotalUsed;
        vm.revertToState(state);
    }

    /// @dev Kept by ascending channel, as draws must be.
    function _open(string memory name) private {
        (address account, uint256 key) = makeAddrAndKey(name);
        vm.deal(account, 10 ether);
        vm.prank(account);
        ids.push(channels.open{value: 10 ether}(operator, bytes32(0)));
        keys.push(key);
        for (uint256 i = ids.length - 1; i > 0 && ChannelId.unwrap(ids[i]) < ChannelId.unwrap(ids[i - 1]); --i) {
            (ids[i], ids[i - 1]) = (ids[i - 1], ids[i]);
            (keys[i], keys[i - 1]) = (keys[i - 1], keys[i]);
        }
    }

    function _write(string memory name, uint256 gas) private {
        written = vm.serializeUint("batch gas", name, gas);
    }
}
