// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice Stake of operators and their delegators, slashing, and the fees that stream to them.
/// @dev Amounts are wei of native OPEN. An operator's stake, its own and delegated, bonded and unbonding, is one pool.
/// Shares of the pool times its exchange rate give stake; slashing lowers the rate, so it reaches everyone alike and
/// follows unbonding stake until it is withdrawn. Conversions round down, against the staker; a virtual wei and a
/// million virtual shares keep anyone from raising the rate at others' cost.
/// @dev Fees never change the rate. They stream linearly to the bonded shares over the unbonding period, so that nobody
/// stakes for a moment to collect them, and whoever stakes late gets nothing of what streamed before. Fees that arrive
/// while others stream are merged with them: the time left becomes the mean of both times weighted by amount, which
/// never pays faster than both streams apart would, and lets nobody stall a stream with dust. While nothing is bonded
/// the stream stands still. Nobody's fees are off by more than 1 wei.
/// @dev Warning: slashing takes stake, not fees; fees of calls already served stream to the shares even when these are
/// worth nothing.
/// @dev Warning: slashed stake is sent to the slasher that calls, which must accept it, or slashing reverts. Sharing it
/// with a challenger, and burning the rest, is the slasher's business.
interface IStaking {
    /// @param shares of the operator's pool; what they are worth is only known at the withdrawal
    /// @param withdrawableAt seconds
    struct Unbond {
        address operator;
        address staker;
        uint256 shares;
        uint64 withdrawableAt;
    }

    /// @dev Thrown when an operator registers with less than the minimum.
    error BelowMinStake(uint256 stake, uint256 minStake);
    /// @dev Thrown when an operator registers twice.
    error AlreadyOperator(address operator);
    /// @dev Thrown when the address never registered as an operator.
    error NotOperator(address operator);
    /// @dev Thrown when slashing left shares worth so little that no more can be sold at that rate.
    error OperatorSpent(address operator);
    /// @dev Thrown when nothing would be staked, unbonded, added or claimed.
    error ZeroAmount();
    /// @dev Thrown when someone unbonds more shares than it has bonded with that operator.
    error NotEnoughShares(uint256 shares, uint256 held);
    /// @dev Thrown when stake is withdrawn before its delay is over.
    error StillBonded(uint256 unbondId, uint64 withdrawableAt);
    /// @dev Thrown when there is no such unbonding, or it has been withdrawn.
    error UnknownUnbond(uint256 unbondId);
    /// @dev Thrown when anyone but a slasher slashes.
    error NotSlasher(address caller);
    /// @dev Thrown when `slashWad` is 0 or above 1e18.
    error SlashOutOfRange(uint256 slashWad);

    event OperatorRegistered(address indexed operator, uint256 stake);
    event Staked(address indexed operator, address indexed staker, uint256 amount, uint256 shares);
    event Unbonding(
        uint256 indexed unbondId,
        address indexed operator,
        address indexed staker,
        uint256 shares,
        uint64 withdrawableAt
    );
    event Withdrawn(uint256 indexed unbondId, address indexed staker, uint256 amount);
    event Slashed(address indexed operator, uint256 slashWad, uint256 amount);
    event FeesAdded(address indexed operator, uint256 amount);
    event FeesClaimed(address indexed operator, address indexed staker, uint256 amount);
    event SlasherSet(address indexed slasher, bool allowed);

    /// @notice Least own stake with which an operator registers and is active.
    function minStake() external view returns (uint256);

    /// @notice Delay between `unbond` and `withdraw`, and the time over which fees stream (seconds).
    function unbondingPeriod() external view returns (uint64);

    /// @notice Whether an address may slash.
    function isSlasher(address slasher) external view returns (bool);

    /// @notice Whether the operator is registered and has at least the minimum own stake bonded, after slashing. Never
    /// reverts.
    function isActive(address operator) external view returns (bool);

    /// @notice Own and delegated stake of an operator, after slashing, without what is unbonding. 0 if unknown.
    function stakeOf(address operator) external view returns (uint256);

    /// @notice Bonded stake of one staker with one operator, after slashing.
    function stakeOf(address operator, address staker) external view returns (uint256);

    /// @notice Bonded shares of one staker with one operator; what `unbond` takes.
    function sharesOf(address operator, address staker) external view returns (uint256);

    /// @notice An unbonding not withdrawn yet. Reverts with `UnknownUnbond`.
    function unbondOf(uint256 unbondId) external view returns (Unbond memory);

    /// @notice Fees that `staker` could claim now.
    function feesOf(address operator, address staker) external view returns (uint256);

    /// @notice Registers the caller with at least the minimum stake and gives its stakers an earner index.
    /// @dev Reverts with `AlreadyOperator` or `BelowMinStake`. An operator stays registered for ever; one that is
    /// slashed or unbonds below the minimum is not active until it tops up through `stake`.
    function registerOperator() external payable;

    /// @notice Stakes to an operator; to oneself it is own stake, to another a delegation.
    /// @dev Reverts with `NotOperator`, `ZeroAmount` or `OperatorSpent`. It need not be active.
    function stake(address operator) external payable;

    /// @notice Starts to take out `shares`; they stop earning now and stay slashable until withdrawn.
    /// @dev Reverts with `ZeroAmount` or `NotEnoughShares`.
    /// @return unbondId for `withdraw`, counting from 1
    function unbond(address operator, uint256 shares) external returns (uint256 unbondId);

    /// @notice Pays what unbonded shares are worth now to their staker. Anyone may call it.
    /// @dev Reverts with `UnknownUnbond` or `StillBonded`, or if the staker does not accept the payment.
    /// @return amount wei; 0 if all was slashed
    function withdraw(uint256 unbondId) external returns (uint256 amount);

    /// @notice Slashes own, delegated and unbonding stake by `slashWad` (1e18 = all), rounded down, and sends it to the
    /// caller. Slashers only.
    /// @dev Reverts with `NotSlasher`, `NotOperator` or `SlashOutOfRange`, or if the caller does not accept the
    /// payment.
    /// @return amount wei taken and sent; never more than the pool holds, 0 if it holds nothing
    function slash(address operator, uint256 slashWad) external returns (uint256 amount);

    /// @notice Streams `msg.value` to the operator's stakers over the unbonding period. Anyone may call it.
    /// @dev Reverts with `NotOperator` or `ZeroAmount`.
    function addFees(address operator) external payable;

    /// @notice Pays the caller the fees that have streamed to it, whole wei; a fraction stays for the next claim.
    /// @dev Reverts with `ZeroAmount` if that is nothing. Fees earned before unbonding stay claimable.
    function claimFees(address operator) external returns (uint256 amount);

    /// @notice Sets whether an address may slash. Owner only.
    function setSlasher(address slasher, bool allowed) external;
}
