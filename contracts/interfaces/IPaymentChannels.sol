// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ChannelId, ModelId} from "../types/Ids.sol";
import {IStaking} from "./IStaking.sol";

/// @notice Prepaid channels from a payer to an operator, drawn only by Settlement against signed vouchers.
/// @dev The EIP-712 domain is ("OpenLedger PaymentChannels", "1", chainid, this). Deposits are wei, charges are gwei.
///
/// A voucher carries the cumulative ceiling of its channel and the call that it was signed for, so paying for a call
/// needs no transaction; its digest identifies the call. Of the vouchers of a channel the operator draws with one that
/// has a high enough ceiling. What was drawn never falls, so no voucher pays twice. When a batch is struck Settlement
/// sends back what it drew: the deposit grows by it and `drawn` stays, so the batch's interval of the channel is void
/// for ever and the payer may spend or withdraw the refund like any deposit.
///
/// A payer gets its undrawn deposit back by `requestWithdrawal` and, after `withdrawDelay`, `withdraw`. The delay is
/// longer than an epoch and the time to post its batch, so that an operator that sees the request can draw first; it
/// should serve no further calls that the rest of the deposit does not cover.
///
/// Warning: a payer with code may refuse a signature later that it accepts now (EIP-1271). Operators carry that risk
/// and may refuse such payers. It does not arise where the account's own key signed.
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

    /// @param signature of the payer over `digestOf(voucher)`: 65 bytes (r, s, v), or what the payer's EIP-1271 code
    /// takes
    /// @param drawnTo cumulative gwei after this draw; at most the voucher's ceiling
    struct Draw {
        Voucher voucher;
        bytes signature;
        uint64 drawnTo;
    }

    /// @dev The part of a channel that one batch drew: gwei above `from`, up to `to`, of the cumulative charges.
    struct Interval {
        ChannelId channel;
        uint64 from;
        uint64 to;
    }

    /// @param deposit wei paid in or refunded, and not withdrawn; draws do not lower it, so `deposit - drawn * 1e9` is
    /// what is left
    /// @param drawn cumulative gwei drawn; it never falls
    /// @param withdrawableAt when the pending withdrawal may leave (seconds), 0 if none is pending
    /// @param withdrawal wei asked for by the pending withdrawal
    struct Channel {
        address payer;
        address operator;
        uint256 deposit;
        uint64 drawn;
        uint64 withdrawableAt;
        uint256 withdrawal;
    }

    /// @dev Thrown when anyone but Settlement draws or refunds.
    error NotSettlement(address caller);
    /// @dev Thrown when a payer opens a channel to the same operator with the same salt again.
    error ChannelExists(ChannelId channel);
    /// @dev Thrown for a channel that was never opened.
    error UnknownChannel(ChannelId channel);
    /// @dev Thrown when anyone but the payer asks for a withdrawal or takes it.
    error NotPayer(ChannelId channel, address caller);
    /// @dev Thrown when an operator draws from a channel to another.
    error WrongOperator(ChannelId channel, address operator);
    /// @dev Thrown when neither the payer's key nor its EIP-1271 code signed; `signer` is whom the signature recovers
    /// to.
    error WrongSigner(ChannelId channel, address signer);
    /// @dev Thrown when more is drawn than the voucher allows (gwei).
    error AboveCeiling(ChannelId channel, uint64 drawnTo, uint64 ceiling);
    /// @dev Thrown when more gwei are drawn than the deposit (wei) holds.
    error AboveDeposit(ChannelId channel, uint64 drawnTo, uint256 deposit);
    /// @dev Thrown unless `drawnTo` is more than was drawn before (gwei).
    error NothingToDraw(ChannelId channel, uint64 drawnTo, uint64 drawn);
    /// @dev Thrown unless the channels of the draws strictly increase, as numbers.
    error DrawsMisordered();
    /// @dev Thrown unless a refund brings exactly what its intervals come to (wei).
    error RefundMismatch(uint256 value, uint256 intervals);
    /// @dev Thrown when a channel is opened or topped up without coins.
    error NoDeposit();
    /// @dev Thrown when no withdrawal is pending.
    error NoWithdrawal(ChannelId channel);
    /// @dev Thrown when the withdrawal's delay is not over (seconds).
    error WithdrawalTooEarly(ChannelId channel, uint64 withdrawableAt);
    /// @dev Thrown when more wei are asked for than were not drawn.
    error WithdrawalTooLarge(ChannelId channel, uint256 amount, uint256 available);
    /// @dev Thrown when a channel is opened to whoever is not an active operator.
    error OperatorNotActive(address operator);

    event ChannelOpened(ChannelId indexed channel, address indexed payer, address indexed operator, uint256 deposit);
    event Deposited(ChannelId indexed channel, uint256 amount, uint256 deposit);
    event Drawn(ChannelId indexed channel, uint64 amount, uint64 drawn);
    event Refunded(ChannelId indexed channel, uint64 amount, uint256 deposit);
    event WithdrawalRequested(ChannelId indexed channel, uint256 amount, uint64 withdrawableAt);
    event Withdrawn(ChannelId indexed channel, uint256 amount);

    /// @notice The only contract that draws.
    function settlement() external view returns (address);

    /// @notice Where operators are looked up.
    function staking() external view returns (IStaking);

    /// @notice Seconds from a withdrawal's request until it may leave.
    function withdrawDelay() external view returns (uint64);

    /// @notice A channel; all fields are zero for an id that was not opened.
    function channelOf(ChannelId channel) external view returns (Channel memory);

    /// @notice keccak256(abi.encode(chainid, this, payer, operator, salt)).
    function channelIdOf(address payer, address operator, bytes32 salt) external view returns (ChannelId);

    /// @notice EIP-712 digest that the payer signs.
    function digestOf(Voucher calldata voucher) external view returns (bytes32);

    /// @notice Whether the payer of the voucher's channel signed it, as `draw` checks it. False for an unknown channel.
    /// @dev Warning: for a payer with code that refuses today what it accepted before, the answer changes.
    function isSigned(Voucher calldata voucher, bytes calldata signature) external view returns (bool);

    /// @notice Opens a channel from the caller to an active operator, with `msg.value` as its deposit.
    /// @dev `salt` lets one payer hold several channels to one operator.
    function open(address operator, bytes32 salt) external payable returns (ChannelId channel);

    /// @notice Adds `msg.value` to a channel's deposit. Anyone may.
    function deposit(ChannelId channel) external payable;

    /// @notice Starts a withdrawal of `amount` wei; draws go on until it leaves, and reduce it when they need it.
    /// @dev Payer only. A new request replaces a pending one and starts the delay again; an amount of 0 cancels it.
    function requestWithdrawal(ChannelId channel, uint256 amount) external;

    /// @notice Pays the pending withdrawal to the payer once its delay is over. Payer only.
    /// @return amount wei paid: what was requested, or what draws left of it, possibly nothing
    function withdraw(ChannelId channel) external returns (uint256 amount);

    /// @notice Draws for one operator's batch and sends the wei to Settlement. Settlement only.
    /// @dev There is one draw per channel, and the channels strictly increase.
    /// @return total gwei drawn
    /// @return intervals what was drawn from each channel, in the order of the draws
    function draw(address operator, Draw[] calldata draws) external returns (uint64 total, Interval[] memory intervals);

    /// @notice Puts `msg.value` back into the channels that it was drawn from. Settlement only.
    /// @dev Works whatever else became of a channel; one with a pending withdrawal keeps it unchanged.
    function refund(Interval[] calldata intervals) external payable;
}
