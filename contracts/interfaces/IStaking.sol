// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @notice Stake of operators and their delegators, slashing, and the fees that stream to them.
/// @dev Amounts are wei of native OPEN. Shares times the operator's exchange rate give stake; slashing lowers the rate
/// and reaches unbonding stake.
interface IStaking {
    error BelowMinStake(uint256 stake, uint256 minStake);
    error AlreadyOperator(address operator);
    error NotOperator(address operator);
    error ZeroAmount();
    error NotEnoughShares(uint256 shares, uint256 held);
    error StillBonded(uint256 unbondId, uint64 withdrawableAt);
    error UnknownUnbond(uint256 unbondId);
    error NotSlasher(address caller);
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

    /// @notice Whether the operator is registered with at least the minimum own stake.
    function isActive(address operator) external view returns (bool);

    /// @notice Own and delegated stake of an operator, after slashing, without what is unbonding.
    function stakeOf(address operator) external view returns (uint256);

    /// @notice Stake of one staker with one operator.
    function stakeOf(address operator, address staker) external view returns (uint256);

    /// @notice Fees that `staker` could claim now.
    function feesOf(address operator, address staker) external view returns (uint256);

    /// @notice Registers the caller with at least the minimum stake and gives its stakers an earner index.
    function registerOperator() external payable;

    /// @notice Stakes to an operator; to oneself it is own stake, to another a delegation.
    function stake(address operator) external payable;

    function unbond(address operator, uint256 shares) external returns (uint256 unbondId);

    function withdraw(uint256 unbondId) external returns (uint256 amount);

    /// @notice Slashes own, delegated and unbonding stake by `slashWad` (1e18 = all). Slasher only.
    function slash(address operator, uint256 slashWad) external returns (uint256 amount);

    /// @notice Streams `msg.value` to the operator's stakers over the unbonding period.
    function addFees(address operator) external payable;

    function claimFees(address operator) external returns (uint256 amount);
}
