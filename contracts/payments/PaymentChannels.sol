// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPaymentChannels} from "../interfaces/IPaymentChannels.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {ChannelId} from "../types/Ids.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice Implements IPaymentChannels for one Settlement.
contract PaymentChannels is IPaymentChannels, EIP712 {
    uint256 private constant GWEI = 1e9;

    bytes32 private constant CALL_TYPEHASH = keccak256(
        "Call(bytes32 modelId,uint32 priceVersion,bytes32 promptHash,uint64 seed,uint64 maxTokens,uint64 time)"
    );
    bytes32 private constant VOUCHER_TYPEHASH = keccak256(
        "Voucher(bytes32 channelId,uint64 ceiling,Call call)"
        "Call(bytes32 modelId,uint32 priceVersion,bytes32 promptHash,uint64 seed,uint64 maxTokens,uint64 time)"
    );

    /// @inheritdoc IPaymentChannels
    address public immutable settlement;

    /// @inheritdoc IPaymentChannels
    IStaking public immutable staking;

    /// @inheritdoc IPaymentChannels
    uint64 public immutable withdrawDelay;

    mapping(ChannelId channel => Channel) private _channels;

    constructor(IStaking staking_, address settlement_, uint64 withdrawDelay_)
        EIP712("OpenLedger PaymentChannels", "1")
    {
        staking = staking_;
        settlement = settlement_;
        withdrawDelay = withdrawDelay_;
    }

    /// @inheritdoc IPaymentChannels
    function channelOf(ChannelId channel) external view returns (Channel memory) {
        return _channels[channel];
    }

    /// @inheritdoc IPaymentChannels
    function channelIdOf(address payer, address operator, bytes32 salt) public view returns (ChannelId) {
        return ChannelId.wrap(keccak256(abi.encode(block.chainid, address(this), payer, operator, salt)));
    }

    /// @inheritdoc IPaymentChannels
    function digestOf(Voucher calldata voucher) public view returns (bytes32) {
        bytes32 callHash = keccak256(abi.encode(CALL_TYPEHASH, voucher.call));
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, voucher.channelId, voucher.ceiling, callHash)));
    }

    /// @inheritdoc IPaymentChannels
    function isSigned(Voucher calldata voucher, bytes calldata signature) external view returns (bool) {
        address payer = _channels[voucher.channelId].payer;

        // A signature that recovers to nobody must not match the payer of a channel that nobody opened.
        if (payer == address(0)) return false;
        (bool signed,) = _isSigned(payer, digestOf(voucher), signature);
        return signed;
    }

    /// @inheritdoc IPaymentChannels
    function open(address operator, bytes32 salt) external payable returns (ChannelId channel) {
        channel = channelIdOf(msg.sender, operator, salt);

        require(msg.value > 0, NoDeposit());
        require(_channels[channel].payer == address(0), ChannelExists(channel));
        require(staking.isActive(operator), OperatorNotActive(operator));

        Channel storage opened = _channels[channel];
        opened.payer = msg.sender;
        opened.operator = operator;
        opened.deposit = msg.value;

        emit ChannelOpened(channel, msg.sender, operator, msg.value);
    }

    /// @inheritdoc IPaymentChannels
    function deposit(ChannelId channel) external payable {
        Channel storage stored = _existing(channel);
        require(msg.value > 0, NoDeposit());

        stored.deposit += msg.value;

        emit Deposited(channel, msg.value, stored.deposit);
    }

    /// @inheritdoc IPaymentChannels
    function requestWithdrawal(ChannelId channel, uint256 amount) external {
        Channel storage stored = _existing(channel);
        require(msg.sender == stored.payer, NotPayer(channel, msg.sender));
        uint256 available = _undrawn(stored);
        require(amount <= available, WithdrawalTooLarge(channel, amount, available));

        uint64 withdrawableAt = amount == 0 ? 0 : uint64(block.timestamp) + withdrawDelay;
        stored.withdrawal = amount;
        stored.withdrawableAt = withdrawableAt;

        emit WithdrawalRequested(channel, amount, withdrawableAt);
    }

    /// @inheritdoc IPaymentChannels
    function withdraw(ChannelId channel) external returns (uint256 amount) {
        Channel storage stored = _existing(channel);
        require(msg.sender == stored.payer, NotPayer(channel, msg.sender));
        uint64 withdrawableAt = stored.withdrawableAt;
        require(withdrawableAt != 0, NoWithdrawal(channel));
        require(block.timestamp >= withdrawableAt, WithdrawalTooEarly(channel, withdrawableAt));

        uint256 available = _undrawn(stored);
        amount = stored.withdrawal < available ? stored.withdrawal : available;
        stored.deposit -= amount;
        stored.withdrawal = 0;
        stored.withdrawableAt = 0;

        emit Withdrawn(channel, amount);

        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IPaymentChannels
    function draw(address operator, Draw[] calldata draws)
        external
        returns (uint64 total, Interval[] memory intervals)
    {
        require(msg.sender == settlement, NotSettlement(msg.sender));

        intervals = new Interval[](draws.length);
        for (uint256 i; i < draws.length; ++i) {
            intervals[i] = _draw(operator, draws[i]);
            require(i == 0 || _isBelow(intervals[i - 1].channel, intervals[i].channel), DrawsMisordered());
            total += intervals[i].to - intervals[i].from;
        }

        Address.sendValue(payable(settlement), total * GWEI);
    }

    /// @inheritdoc IPaymentChannels
    function refund(Interval[] calldata intervals) external payable {
        require(msg.sender == settlement, NotSettlement(msg.sender));

        uint256 total;
        for (uint256 i; i < intervals.length; ++i) {
            uint64 amount = intervals[i].to - intervals[i].from;
            Channel storage stored = _existing(intervals[i].channel);
            stored.deposit += amount * GWEI;
            total += amount * GWEI;

            emit Refunded(intervals[i].channel, amount, stored.deposit);
        }
        require(msg.value == total, RefundMismatch(msg.value, total));
    }

    function _draw(address operator, Draw calldata draw_) private returns (Interval memory interval) {
        ChannelId channel = draw_.voucher.channelId;
        Channel storage stored = _existing(channel);
        uint64 drawnTo = draw_.drawnTo;

        require(stored.operator == operator, WrongOperator(channel, operator));
        require(drawnTo <= draw_.voucher.ceiling, AboveCeiling(channel, drawnTo, draw_.voucher.ceiling));
        require(drawnTo > stored.drawn, NothingToDraw(channel, drawnTo, stored.drawn));
        require(drawnTo * GWEI <= stored.deposit, AboveDeposit(channel, drawnTo, stored.deposit));
        (bool signed, address signer) = _isSigned(stored.payer, digestOf(draw_.voucher), draw_.signature);
        require(signed, WrongSigner(channel, signer));

        interval = Interval({channel: channel, from: stored.drawn, to: drawnTo});
        stored.drawn = drawnTo;

        emit Drawn(channel, drawnTo - interval.from, drawnTo);
    }

    /// @dev A key's own signature is accepted even where its account has code, so that a payer cannot take back signed
    /// vouchers by delegating its account (EIP-7702) to code that refuses them.
    /// @return signed whether `payer` signed
    /// @return signer whom the signature recovers to
    function _isSigned(address payer, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool signed, address signer)
    {
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        signed = signer == payer || SignatureChecker.isValidERC1271SignatureNowCalldata(payer, digest, signature);
    }

    function _isBelow(ChannelId a, ChannelId b) private pure returns (bool) {
        return ChannelId.unwrap(a) < ChannelId.unwrap(b);
    }

    function _existing(ChannelId channel) private view returns (Channel storage stored) {
        stored = _channels[channel];
        require(stored.payer != address(0), UnknownChannel(channel));
    }

    /// @dev Wei of the deposit that no draw took.
    function _undrawn(Channel storage stored) private view returns (uint256) {
        return stored.deposit - stored.drawn * GWEI;
    }
}
