// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../../contracts/interfaces/IPaymentChannels.sol";
import {IStaking} from "../../contracts/interfaces/IStaking.sol";
import {PaymentChannels} from "../../contracts/payments/PaymentChannels.sol";
import {ChannelId, ModelId} from "../../contracts/types/Ids.sol";
import {SettlementBase} from "../SettlementBase.t.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A payer with code, whose signatures are its owner's while it is willing.
contract ContractPayer is IERC1271 {
    address public immutable owner;
    bool public willing = true;

    constructor(address owner_) payable {
        owner = owner_;
    }

    receive() external payable {}

    function open(IPaymentChannels channels, address operator, uint256 amount) external returns (ChannelId) {
        return channels.open{value: amount}(operator, bytes32(0));
    }

    function refuse() external {
        willing = false;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer,,) = ECDSA.tryRecoverCalldata(hash, signature);
        return willing && signer == owner ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

contract PaymentChannelsTest is SettlementBase {
    address private stranger = makeAddr("stranger");

    function test_open_storesTheDeposit() public {
        ChannelId id = channels.channelIdOf(payer, operator, "salt");
        vm.expectEmit(address(channels));
        emit IPaymentChannels.ChannelOpened(id, payer, operator, 3 ether);

        vm.prank(payer);
        ChannelId opened = channels.open{value: 3 ether}(operator, "salt");
        vm.snapshotGasLastCall("PaymentChannels", "open");

        assertEq(ChannelId.unwrap(opened), ChannelId.unwrap(id));
        _assertChannel(opened, 3 ether, 0);
        assertEq(channels.channelOf(opened).payer, payer);
        assertEq(channels.channelOf(opened).operator, operator);
    }

    function test_open_reverts_whenDepositIsZero() public {
        vm.expectRevert(IPaymentChannels.NoDeposit.selector);
        channels.open(operator, "salt");
    }

    function test_open_reverts_whenChannelExists() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.ChannelExists.selector, channel));
        vm.prank(payer);
        channels.open{value: 1}(operator, bytes32(0));
    }

    function test_open_reverts_whenOperatorIsNotActive() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.OperatorNotActive.selector, stranger));
        vm.prank(payer);
        channels.open{value: 1}(stranger, bytes32(0));
    }

    function test_deposit_addsFromAnyone() public {
        vm.deal(stranger, 5 ether);
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Deposited(channel, 5 ether, 105 ether);

        vm.prank(stranger);
        channels.deposit{value: 5 ether}(channel);

        _assertChannel(channel, 105 ether, 0);
    }

    function test_deposit_reverts_whenZero() public {
        vm.expectRevert(IPaymentChannels.NoDeposit.selector);
        channels.deposit(channel);
    }

    function test_deposit_reverts_whenChannelIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.UnknownChannel.selector, bytes32("none")));
        channels.deposit{value: 1}(ChannelId.wrap("none"));
    }

    function test_draw_sendsTheDifferenceToSettlement() public {
        assertEq(_drawFrom(_list(_draw(channel, payerKey, 50))), 50);

        vm.expectEmit(address(channels));
        emit IPaymentChannels.Drawn(channel, 30, 80);
        assertEq(_drawFrom(_list(_draw(channel, payerKey, 80))), 30);

        assertEq(address(settlement).balance, 80 * GWEI);
        assertEq(address(channels).balance, 100 ether - 80 * GWEI);
        _assertChannel(channel, 100 ether, 80);
    }

    function test_draw_takesLessThanTheCeiling() public {
        IPaymentChannels.Voucher memory voucher = _voucher(channel, 100, START);
        assertEq(_drawFrom(_list(IPaymentChannels.Draw(voucher, _sign(voucher, payerKey), 60))), 60);
        assertEq(_drawFrom(_list(IPaymentChannels.Draw(voucher, _sign(voucher, payerKey), 100))), 40);
    }

    function test_draw_returnsTheIntervals() public {
        ChannelId second = _second();
        _drawFrom(_list(_draw(channel, payerKey, 10)));
        IPaymentChannels.Draw[] memory draws = _sorted(_draw(channel, payerKey, 25), _draw(second, payerKey, 7));

        vm.prank(address(settlement));
        (uint64 total, IPaymentChannels.Interval[] memory intervals) = channels.draw(operator, draws);

        assertEq(total, 22);
        assertEq(intervals.length, 2);
        for (uint256 i; i < 2; ++i) {
            bool first = ChannelId.unwrap(intervals[i].channel) == ChannelId.unwrap(channel);
            assertEq(ChannelId.unwrap(intervals[i].channel), ChannelId.unwrap(draws[i].voucher.channelId));
            assertEq(intervals[i].from, first ? 10 : 0);
            assertEq(intervals[i].to, first ? 25 : 7);
        }
    }

    function test_draw_ofNothingSendsNothing() public {
        assertEq(_drawFrom(new IPaymentChannels.Draw[](0)), 0);
        assertEq(address(settlement).balance, 0);
    }

    function test_draw_reverts_whenChannelsFall() public {
        IPaymentChannels.Draw[] memory draws = _sorted(_draw(channel, payerKey, 25), _draw(_second(), payerKey, 7));
        (draws[0], draws[1]) = (draws[1], draws[0]);
        _expectDrawReverts(abi.encodePacked(IPaymentChannels.DrawsMisordered.selector), draws);
    }

    function test_draw_reverts_whenOneChannelOccursTwice() public {
        IPaymentChannels.Draw[] memory draws = new IPaymentChannels.Draw[](2);
        draws[0] = _draw(channel, payerKey, 10);
        draws[1] = _draw(channel, payerKey, 25);
        _expectDrawReverts(abi.encodePacked(IPaymentChannels.DrawsMisordered.selector), draws);
    }

    function test_draw_takesTheWholeDeposit() public {
        uint64 all = uint64(100 ether / GWEI);
        assertEq(_drawFrom(_list(_draw(channel, payerKey, all))), all);
        assertEq(address(channels).balance, 0);
    }

    function test_draw_reverts_whenReplayed() public {
        IPaymentChannels.Draw[] memory draws = _list(_draw(channel, payerKey, 50));
        _drawFrom(draws);
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.NothingToDraw.selector, channel, uint64(50), uint64(50)), draws
        );
    }

    function test_draw_reverts_whenCallerIsNotSettlement() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NotSettlement.selector, operator));
        vm.prank(operator);
        channels.draw(operator, new IPaymentChannels.Draw[](0));
    }

    function test_draw_reverts_whenChannelIsUnknown() public {
        ChannelId none = ChannelId.wrap("none");
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.UnknownChannel.selector, none), _list(_draw(none, payerKey, 1))
        );
    }

    function test_draw_reverts_whenChannelIsOfAnotherOperator() public {
        IPaymentChannels.Draw[] memory draws = _list(_draw(channel, payerKey, 1));

        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.WrongOperator.selector, channel, stranger));
        vm.prank(address(settlement));
        channels.draw(stranger, draws);
    }

    function test_draw_reverts_whenAboveCeiling() public {
        IPaymentChannels.Voucher memory voucher = _voucher(channel, 100, START);
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.AboveCeiling.selector, channel, uint64(101), uint64(100)),
            _list(IPaymentChannels.Draw(voucher, _sign(voucher, payerKey), 101))
        );
    }

    function test_draw_reverts_whenAboveDeposit() public {
        uint64 tooMuch = uint64(100 ether / GWEI) + 1;
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.AboveDeposit.selector, channel, tooMuch, 100 ether),
            _list(_draw(channel, payerKey, tooMuch))
        );
    }

    function test_draw_reverts_whenAboveDepositByTheLargestAmount() public {
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.AboveDeposit.selector, channel, type(uint64).max, 100 ether),
            _list(_draw(channel, payerKey, type(uint64).max))
        );
    }

    function test_draw_reverts_whenAnotherKeySigned() public {
        (address other, uint256 otherKey) = makeAddrAndKey("other");
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.WrongSigner.selector, channel, other),
            _list(_draw(channel, otherKey, 1))
        );
    }

    function test_draw_reverts_whenSignatureIsMalformed() public {
        IPaymentChannels.Draw memory draw = _draw(channel, payerKey, 1);
        draw.signature = hex"00";
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.WrongSigner.selector, channel, address(0)), _list(draw)
        );
    }

    /// @dev Every field of the voucher is signed.
    function testFuzz_draw_reverts_whenVoucherWasChanged(uint256 field) public {
        IPaymentChannels.Draw memory draw = _draw(channel, payerKey, 1);
        field = bound(field, 0, 6);
        if (field == 0) draw.voucher.ceiling += 1;
        if (field == 1) draw.voucher.call.modelId = ModelId.wrap("another");
        if (field == 2) draw.voucher.call.priceVersion += 1;
        if (field == 3) draw.voucher.call.promptHash = keccak256("another");
        if (field == 4) draw.voucher.call.seed += 1;
        if (field == 5) draw.voucher.call.maxTokens += 1;
        if (field == 6) draw.voucher.call.time += 1;

        vm.expectPartialRevert(IPaymentChannels.WrongSigner.selector);
        vm.prank(address(settlement));
        channels.draw(operator, _list(draw));
    }

    function test_draw_reverts_whenVoucherIsOfAnotherChain() public {
        IPaymentChannels.Draw[] memory draws = _list(_draw(channel, payerKey, 1));
        vm.chainId(5);

        vm.expectPartialRevert(IPaymentChannels.WrongSigner.selector);
        vm.prank(address(settlement));
        channels.draw(operator, draws);
    }

    function test_draw_acceptsAContractsSignature() public {
        (ContractPayer contractPayer, ChannelId opened) = _contractPayer();
        assertEq(_drawFrom(_list(_draw(opened, payerKey, 40))), 40);
        assertEq(channels.channelOf(opened).payer, address(contractPayer));
    }

    function test_draw_reverts_whenContractRefusesTheSignature() public {
        (ContractPayer contractPayer, ChannelId opened) = _contractPayer();
        contractPayer.refuse();
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.WrongSigner.selector, opened, payer),
            _list(_draw(opened, payerKey, 40))
        );
    }

    /// @dev Else a payer could take back what it signed by delegating its account (EIP-7702).
    function test_draw_acceptsTheKeyOfAnAccountThatGotCode() public {
        ContractPayer refusing = new ContractPayer(stranger);
        vm.etch(payer, abi.encodePacked(hex"ef0100", address(refusing)));
        assertGt(payer.code.length, 0);

        assertEq(_drawFrom(_list(_draw(channel, payerKey, 40))), 40);
    }

    function test_refund_addsToTheDepositAndKeepsWhatWasDrawn() public {
        _drawFrom(_list(_draw(channel, payerKey, 50)));
        _drawFrom(_list(_draw(channel, payerKey, 80)));

        vm.expectEmit(address(channels));
        emit IPaymentChannels.Refunded(channel, 30, 100 ether + 30 * GWEI);
        _refund(_interval(50, 80), 30 * GWEI);
        vm.snapshotGasLastCall("PaymentChannels", "refund, one channel");

        _assertChannel(channel, 100 ether + 30 * GWEI, 80);
        assertEq(address(channels).balance, 100 ether - 50 * GWEI);
    }

    /// @dev The interval is void, but the coins are worth as much as any deposit.
    function test_refund_canBeDrawnAgainAboveTheInterval() public {
        uint64 all = uint64(100 ether / GWEI);
        _drawFrom(_list(_draw(channel, payerKey, all)));
        _refund(_interval(0, all), 100 ether);

        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.NothingToDraw.selector, channel, all, all),
            _list(_draw(channel, payerKey, all))
        );
        assertEq(_drawFrom(_list(_draw(channel, payerKey, 2 * all))), all);
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.AboveDeposit.selector, channel, 2 * all + 1, 200 ether),
            _list(_draw(channel, payerKey, 2 * all + 1))
        );
    }

    function test_refund_reachesAChannelInWithdrawal() public {
        uint64 all = uint64(100 ether / GWEI);
        vm.prank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        _drawFrom(_list(_draw(channel, payerKey, all)));
        _refund(_interval(0, all), 100 ether);

        vm.warp(START + WITHDRAW_DELAY);
        vm.prank(payer);
        assertEq(channels.withdraw(channel), 60 ether, "as asked for before the draw");
        _assertChannel(channel, 140 ether, all);
        assertEq(address(channels).balance, 40 ether);
    }

    function test_refund_reachesAChannelThatWasEmptied() public {
        _drawFrom(_list(_draw(channel, payerKey, 50)));
        _withdrawAll();
        assertEq(address(channels).balance, 0);

        _refund(_interval(0, 50), 50 * GWEI);
        _withdrawAll();

        _assertChannel(channel, 50 * GWEI, 50);
        assertEq(address(channels).balance, 0);
        assertEq(payer.balance, 1000 ether);
    }

    function test_refund_reverts_whenCallerIsNotSettlement() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NotSettlement.selector, operator));
        vm.prank(operator);
        channels.refund(new IPaymentChannels.Interval[](0));
    }

    function test_refund_reverts_whenChannelIsUnknown() public {
        IPaymentChannels.Interval[] memory intervals = _interval(0, 50);
        intervals[0].channel = ChannelId.wrap("none");
        vm.deal(address(settlement), 50 * GWEI);

        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.UnknownChannel.selector, bytes32("none")));
        vm.prank(address(settlement));
        channels.refund{value: 50 * GWEI}(intervals);
    }

    function testFuzz_refund_reverts_whenValueDiffers(uint256 value) public {
        _drawFrom(_list(_draw(channel, payerKey, 50)));
        value = bound(value, 0, 100 * GWEI);
        vm.assume(value != 50 * GWEI);
        vm.deal(address(settlement), value);

        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.RefundMismatch.selector, value, 50 * GWEI));
        vm.prank(address(settlement));
        channels.refund{value: value}(_interval(0, 50));
    }

    function test_isSigned_answersAsDrawDoes() public {
        IPaymentChannels.Voucher memory voucher = _voucher(channel, 100, START);
        (, uint256 otherKey) = makeAddrAndKey("other");
        assertTrue(channels.isSigned(voucher, _sign(voucher, payerKey)));
        assertFalse(channels.isSigned(voucher, _sign(voucher, otherKey)), "another's");
        assertFalse(channels.isSigned(voucher, ""), "empty");
        assertFalse(channels.isSigned(_voucher(channel, 101, START), _sign(voucher, payerKey)), "another ceiling");

        (ContractPayer contractPayer, ChannelId opened) = _contractPayer();
        voucher = _voucher(opened, 100, START);
        assertTrue(channels.isSigned(voucher, _sign(voucher, payerKey)), "of a contract");
        contractPayer.refuse();
        assertFalse(channels.isSigned(voucher, _sign(voucher, payerKey)), "refused by it");
    }

    /// @dev A signature of nonsense recovers to the zero address, which is also the payer of no channel.
    function test_isSigned_isFalseForAnUnknownChannel() public view {
        IPaymentChannels.Voucher memory voucher = _voucher(ChannelId.wrap("none"), 100, START);
        assertFalse(channels.isSigned(voucher, ""));
        assertFalse(channels.isSigned(voucher, abi.encodePacked(bytes32(0), bytes32(0), uint8(27))));
        assertFalse(channels.isSigned(voucher, _sign(voucher, payerKey)));
    }

    function test_withdraw_paysAfterTheDelay() public {
        vm.expectEmit(address(channels));
        emit IPaymentChannels.WithdrawalRequested(channel, 60 ether, START + WITHDRAW_DELAY);
        vm.prank(payer);
        channels.requestWithdrawal(channel, 60 ether);

        vm.warp(START + WITHDRAW_DELAY);
        uint256 before = payer.balance;
        vm.expectEmit(address(channels));
        emit IPaymentChannels.Withdrawn(channel, 60 ether);
        vm.prank(payer);
        assertEq(channels.withdraw(channel), 60 ether);

        assertEq(payer.balance - before, 60 ether);
        _assertChannel(channel, 40 ether, 0);
        assertEq(channels.channelOf(channel).withdrawableAt, 0);
        assertEq(channels.channelOf(channel).withdrawal, 0);
    }

    function test_withdraw_paysWhatDrawsLeft() public {
        vm.prank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        _drawFrom(_list(_draw(channel, payerKey, uint64(70 ether / GWEI))));

        vm.warp(START + WITHDRAW_DELAY);
        vm.prank(payer);
        assertEq(channels.withdraw(channel), 30 ether);
        _assertChannel(channel, 70 ether, uint64(70 ether / GWEI));
        assertEq(address(channels).balance, 0);
    }

    function test_withdraw_paysNothingWhenDrawsTookAll() public {
        vm.prank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        _drawFrom(_list(_draw(channel, payerKey, uint64(100 ether / GWEI))));

        vm.warp(START + WITHDRAW_DELAY);
        vm.prank(payer);
        assertEq(channels.withdraw(channel), 0);
    }

    function test_withdraw_leavesTheRestDrawable() public {
        vm.startPrank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        vm.warp(START + WITHDRAW_DELAY);
        channels.withdraw(channel);
        vm.stopPrank();

        uint64 rest = uint64(40 ether / GWEI);
        _expectDrawReverts(
            abi.encodeWithSelector(IPaymentChannels.AboveDeposit.selector, channel, rest + 1, 40 ether),
            _list(_draw(channel, payerKey, rest + 1))
        );
        assertEq(_drawFrom(_list(_draw(channel, payerKey, rest))), rest);
    }

    function test_requestWithdrawal_replacesThePendingOne() public {
        vm.startPrank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        vm.warp(START + WITHDRAW_DELAY);
        channels.requestWithdrawal(channel, 10 ether);

        vm.expectRevert(
            abi.encodeWithSelector(IPaymentChannels.WithdrawalTooEarly.selector, channel, START + 2 * WITHDRAW_DELAY)
        );
        channels.withdraw(channel);
    }

    function test_requestWithdrawal_ofZeroCancels() public {
        vm.startPrank(payer);
        channels.requestWithdrawal(channel, 60 ether);
        channels.requestWithdrawal(channel, 0);

        vm.warp(START + WITHDRAW_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NoWithdrawal.selector, channel));
        channels.withdraw(channel);
    }

    function test_requestWithdrawal_reverts_whenCallerIsNotPayer() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NotPayer.selector, channel, stranger));
        vm.prank(stranger);
        channels.requestWithdrawal(channel, 1);
    }

    function test_requestWithdrawal_reverts_whenAboveTheUndrawn() public {
        _drawFrom(_list(_draw(channel, payerKey, uint64(70 ether / GWEI))));

        vm.expectRevert(
            abi.encodeWithSelector(IPaymentChannels.WithdrawalTooLarge.selector, channel, 30 ether + 1, 30 ether)
        );
        vm.prank(payer);
        channels.requestWithdrawal(channel, 30 ether + 1);
    }

    function test_requestWithdrawal_reverts_whenChannelIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.UnknownChannel.selector, bytes32("none")));
        channels.requestWithdrawal(ChannelId.wrap("none"), 1);
    }

    function test_withdraw_reverts_whenCallerIsNotPayer() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NotPayer.selector, channel, stranger));
        vm.prank(stranger);
        channels.withdraw(channel);
    }

    function test_withdraw_reverts_whenNonePending() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.NoWithdrawal.selector, channel));
        vm.prank(payer);
        channels.withdraw(channel);
    }

    function test_withdraw_reverts_whenTooEarly() public {
        vm.startPrank(payer);
        channels.requestWithdrawal(channel, 1);
        vm.warp(START + WITHDRAW_DELAY - 1);

        vm.expectRevert(
            abi.encodeWithSelector(IPaymentChannels.WithdrawalTooEarly.selector, channel, START + WITHDRAW_DELAY)
        );
        channels.withdraw(channel);
    }

    function test_withdraw_reverts_whenChannelIsUnknown() public {
        vm.expectRevert(abi.encodeWithSelector(IPaymentChannels.UnknownChannel.selector, bytes32("none")));
        channels.withdraw(ChannelId.wrap("none"));
    }

    /// @dev Drawn and withdrawn together are never more than deposited, whatever the order.
    function testFuzz_withdraw_neverTouchesWhatWasDrawn(uint64 first, uint256 request, uint64 second) public {
        uint64 all = uint64(100 ether / GWEI);
        first = uint64(bound(first, 1, all - 1));
        request = bound(request, 1, 100 ether - first * GWEI);
        second = uint64(bound(second, first + 1, all));

        _drawFrom(_list(_draw(channel, payerKey, first)));
        vm.prank(payer);
        channels.requestWithdrawal(channel, request);
        _drawFrom(_list(_draw(channel, payerKey, second)));
        vm.warp(START + WITHDRAW_DELAY);
        vm.prank(payer);
        uint256 amount = channels.withdraw(channel);

        uint256 left = 100 ether - second * GWEI;
        assertEq(amount, request < left ? request : left);
        assertEq(address(channels).balance, left - amount);
        assertEq(address(settlement).balance, second * GWEI);
    }

    /// @dev The vectors were made by eth-account: see make_voucher_vectors.py.
    function test_digestOf_equalsTheVectors() public {
        string memory json = vm.readFile("test/vectors/voucher_digest.json");
        uint256 count;
        for (; vm.keyExistsJson(json, _at(count, "")); ++count) {
            _checkVector(json, count);
        }
        assertEq(count, 4);
    }

    function _checkVector(string memory json, uint256 i) private {
        vm.chainId(vm.parseJsonUint(json, _at(i, ".chainId")));
        address at = vm.parseJsonAddress(json, _at(i, ".paymentChannels"));
        deployCodeTo("PaymentChannels.sol:PaymentChannels", abi.encode(IStaking(address(0)), address(0), uint64(0)), at);
        address signer = vm.parseJsonAddress(json, _at(i, ".payer"));
        ChannelId id = PaymentChannels(at)
            .channelIdOf(
                signer, vm.parseJsonAddress(json, _at(i, ".operator")), vm.parseJsonBytes32(json, _at(i, ".salt"))
            );
        assertEq(ChannelId.unwrap(id), vm.parseJsonBytes32(json, _at(i, ".channelId")));

        bytes32 digest = PaymentChannels(at).digestOf(_parseVoucher(json, i));
        assertEq(digest, vm.parseJsonBytes32(json, _at(i, ".digest")));
        assertEq(ECDSA.recover(digest, vm.parseJsonBytes(json, _at(i, ".signature"))), signer);
    }

    function _parseVoucher(string memory json, uint256 i) private pure returns (IPaymentChannels.Voucher memory v) {
        v.channelId = ChannelId.wrap(vm.parseJsonBytes32(json, _at(i, ".channelId")));
        v.ceiling = uint64(vm.parseJsonUint(json, _at(i, ".ceiling")));
        v.call.modelId = ModelId.wrap(vm.parseJsonBytes32(json, _at(i, ".call.modelId")));
        v.call.priceVersion = uint32(vm.parseJsonUint(json, _at(i, ".call.priceVersion")));
        v.call.promptHash = vm.parseJsonBytes32(json, _at(i, ".call.promptHash"));
        v.call.seed = uint64(vm.parseJsonUint(json, _at(i, ".call.seed")));
        v.call.maxTokens = uint64(vm.parseJsonUint(json, _at(i, ".call.maxTokens")));
        v.call.time = uint64(vm.parseJsonUint(json, _at(i, ".call.time")));
    }

    function _at(uint256 i, string memory key) private pure returns (string memory) {
        return string.concat("[", vm.toString(i), "]", key);
    }

    function _contractPayer() private returns (ContractPayer contractPayer, ChannelId opened) {
        contractPayer = new ContractPayer{value: 1 ether}(payer);
        opened = contractPayer.open(channels, operator, 1 ether);
    }

    function _list(IPaymentChannels.Draw memory draw) private pure returns (IPaymentChannels.Draw[] memory draws) {
        draws = new IPaymentChannels.Draw[](1);
        draws[0] = draw;
    }

    function _drawFrom(IPaymentChannels.Draw[] memory draws) private returns (uint64) {
        vm.prank(address(settlement));
        (uint64 total,) = channels.draw(operator, draws);
        return total;
    }

    function _expectDrawReverts(bytes memory error, IPaymentChannels.Draw[] memory draws) private {
        vm.expectRevert(error);
        vm.prank(address(settlement));
        channels.draw(operator, draws);
    }

    function _assertChannel(ChannelId id, uint256 deposit, uint64 drawn) private view {
        assertEq(channels.channelOf(id).deposit, deposit);
        assertEq(channels.channelOf(id).drawn, drawn);
    }

    function _second() private returns (ChannelId) {
        vm.prank(payer);
        return channels.open{value: 1 ether}(operator, "second");
    }

    function _draw(ChannelId channel_, uint256 key, uint64 drawnTo)
        private
        view
        returns (IPaymentChannels.Draw memory)
    {
        return _draw(channel_, key, drawnTo, FIRST_EPOCH);
    }

    function _sorted(IPaymentChannels.Draw memory a, IPaymentChannels.Draw memory b)
        private
        pure
        returns (IPaymentChannels.Draw[] memory draws)
    {
        bool inOrder = ChannelId.unwrap(a.voucher.channelId) < ChannelId.unwrap(b.voucher.channelId);
        draws = new IPaymentChannels.Draw[](2);
        (draws[0], draws[1]) = inOrder ? (a, b) : (b, a);
    }

    function _interval(uint64 from, uint64 to) private view returns (IPaymentChannels.Interval[] memory intervals) {
        intervals = new IPaymentChannels.Interval[](1);
        intervals[0] = IPaymentChannels.Interval(channel, from, to);
    }

    function _refund(IPaymentChannels.Interval[] memory intervals, uint256 value) private {
        vm.prank(address(settlement));
        channels.refund{value: value}(intervals);
    }

    function _withdrawAll() private {
        IPaymentChannels.Channel memory state = channels.channelOf(channel);
        vm.prank(payer);
        channels.requestWithdrawal(channel, state.deposit - state.drawn * GWEI);
        vm.warp(vm.getBlockTimestamp() + WITHDRAW_DELAY);
        vm.prank(payer);
        channels.withdraw(channel);
    }
}
