// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ChannelId, ModelId} from "../types/Ids.sol";

/// @notice Prepaid channels from a payer to an operator, drawn only by Settlement against signed vouchers.
/// @dev The EIP-712 domain is ("OpenLedger PaymentChannels", "1", chainid, this). Deposits are wei, charges are gwei.
interface IPaymentChannels {
    /// @param seed of the sampling, chosen by the payer
    /// @param maxTokens generated at most
    /// @param time when the payer signed (seconds); it places the call in an epoch
    struct Call {
        ModelId modelId;
        uint32 priceVersion;
        bytes32 promptHash;
        uint64 seed;
        uint64 maxTokens;
        uint64 time;
    }

    /// @param ceiling cumulative gwei that the payer allows to be drawn from the channel
    struct Voucher {
        ChannelId channelId;
        uint64 ceiling;
        Call call;
    }

    /// @param drawnTo cumulative gwei after this draw; at most the voucher's ceiling
    struct Draw {
        Voucher voucher;
        bytes signature;
        uint64 drawnTo;
    }

    /// @param deposit wei paid in and not withdrawn
    /// @param drawn cumulative gwei drawn; it never falls
    /// @param withdrawableAt when the pending withdrawal may leave (seconds), 0 if none is pending
    struct Channel {
        address payer;
        address operator;
        uint256 deposit;
        uint64 drawn;
        uint64 withdrawableAt;
        uint256 withdrawal;
    }

    error NotSettlement(address caller);
    error ChannelExists(ChannelId channel);
    error UnknownChannel(ChannelId channel);
    error NotPayer(ChannelId channel, address caller);
    error WrongOperator(ChannelId channel, address operator);
    error WrongSigner(ChannelId channel, address signer);
    error AboveCeiling(ChannelId channel, uint64 drawnTo, uint64 ceiling);
    error AboveDeposit(ChannelId channel, uint64 drawnTo, uint256 deposit);
    error NothingToDraw(ChannelId channel, uint64 drawnTo, uint64 drawn);
    error NoDeposit();
    error NoWithdrawal(ChannelId channel);
    error WithdrawalTooEarly(ChannelId channel, uint64 withdrawableAt);
    error WithdrawalTooLarge(ChannelId channel, uint256 amount, uint256 available);
    error OperatorNotActive(address operator);

    event ChannelOpened(ChannelId indexed channel, address indexed payer, address indexed operator, uint256 deposit);
    event Deposited(ChannelId indexed channel, uint256 amount, uint256 deposit);
    event Drawn(ChannelId indexed channel, uint64 amount, uint64 drawn);
    event WithdrawalRequested(ChannelId indexed channel, uint256 amount, uint64 withdrawableAt);
    event Withdrawn(ChannelId indexed channel, uint256 amount);

    function channelOf(ChannelId channel) external view returns (Channel memory);

    function channelIdOf(address payer, address operator, bytes32 salt) external view returns (ChannelId);

    /// @notice EIP-712 digest that the payer signs.
    function digestOf(Voucher calldata voucher) external view returns (bytes32);

    function open(address operator, bytes32 salt) external payable returns (ChannelId channel);

    function deposit(ChannelId channel) external payable;

    /// @notice Starts a withdrawal of `amount` wei; draws go on until it leaves, and reduce it when they need it.
    function requestWithdrawal(ChannelId channel, uint256 amount) external;

    function withdraw(ChannelId channel) external returns (uint256 amount);

    /// @notice Draws for one operator's batch and sends the wei to Settlement. Settlement only.
    /// @return total gwei drawn
    function draw(address operator, Draw[] calldata draws) external returns (uint64 total);
}
