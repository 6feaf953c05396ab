// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEarnerRegistry} from "../interfaces/IEarnerRegistry.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {FeeStream} from "../libraries/FeeStream.sol";

/// @title Staking
/// @notice One pool of stake and one stream of fees per operator.
contract Staking is IStaking, Ownable2Step, ReentrancyGuardTransient {
    using FeeStream for FeeStream.State;
    using SafeCast for uint256;

    /// @param stake wei, bonded and unbonding
    /// @param shares bonded and unbonding
    struct Pool {
        uint128 stake;
        uint128 shares;
        uint128 unbondingShares;
        bool registered;
        FeeStream.State fees;
    }

    /// @param shares bonded
    /// @param feesPerShareX128 of the pool when this position was last brought up to date
    /// @param feesX128 accrued until then and not claimed
    struct Position {
        uint256 shares;
        uint256 feesPerShareX128;
        uint256 feesX128;
    }

    uint256 private constant WAD = 1e18;

    /// @dev A pool converts as if it held this many shares and one wei more. Raising what a share is worth, at a later
    /// staker's cost, then loses whoever tries it a million times as much to shares that nobody owns.
    uint256 private constant VIRTUAL_SHARES = 1e6;

    /// @notice Gives the stakers of an operator the index under which they earn.
    IEarnerRegistry public immutable earners;

    /// @inheritdoc IStaking
    uint256 public immutable minStake;

    /// @inheritdoc IStaking
    uint64 public immutable unbondingPeriod;

    /// @inheritdoc IStaking
    mapping(address slasher => bool) public isSlasher;

    uint256 private _unbondCount;

    mapping(address operator => Pool) private _pools;

    mapping(address operator => mapping(address staker => Position)) private _positions;

    mapping(uint256 unbondId => Unbond) private _unbonds;

    constructor(address owner_, IEarnerRegistry earners_, uint256 minStake_, uint64 unbondingPeriod_) Ownable(owner_) {
        // A stream needs a period, and an operator something to lose.
        require(minStake_ != 0 && unbondingPeriod_ != 0, ZeroAmount());

        earners = earners_;
        minStake = minStake_;
        unbondingPeriod = unbondingPeriod_;
    }

    /// @inheritdoc IStaking
    function isActive(address operator) external view returns (bool) {
        Pool storage pool = _pools[operator];

        return pool.registered && _toStakeDown(pool, _positions[operator][operator].shares) >= minStake;
    }

    /// @inheritdoc IStaking
    function stakeOf(address operator) external view returns (uint256) {
        Pool storage pool = _pools[operator];

        return _toStakeDown(pool, _bondedShares(pool));
    }

    /// @inheritdoc IStaking
    function stakeOf(address operator, address staker) external view returns (uint256) {
        return _toStakeDown(_pools[operator], _positions[operator][staker].shares);
    }

    /// @inheritdoc IStaking
    function sharesOf(address operator, address staker) external view returns (uint256) {
        return _positions[operator][staker].shares;
    }

    /// @inheritdoc IStaking
    function unbondOf(uint256 unbondId) external view returns (Unbond memory) {
        return _known(unbondId);
    }

    /// @inheritdoc IStaking
    function feesOf(address operator, address staker) external view returns (uint256) {
        Pool storage pool = _pools[operator];
        Position storage position = _positions[operator][staker];
        FeeStream.State memory fees = pool.fees;
        fees = fees.advance(_bondedShares(pool), uint64(block.timestamp));

        return (position.feesX128 + _accruedX128(position, fees.perShareX128)) >> 128;
    }

    /// @inheritdoc IStaking
    function registerOperator() external payable {
        Pool storage pool = _pools[msg.sender];

        require(!pool.registered, AlreadyOperator(msg.sender));
        require(msg.value >= minStake, BelowMinStake(msg.value, minStake));

        pool.registered = true;
        emit OperatorRegistered(msg.sender, msg.value);
        _stake(msg.sender, msg.sender, msg.value);

        earners.registerStakers(msg.sender);
    }

    /// @inheritdoc IStaking
    function stake(address operator) external payable {
        require(_pools[operator].registered, NotOperator(operator));
        require(msg.value != 0, ZeroAmount());

        _stake(operator, msg.sender, msg.value);
    }

    /// @inheritdoc IStaking
    function unbond(address operator, uint256 shares) external returns (uint256 unbondId) {
        Pool storage pool = _pools[operator];
        Position storage position = _positions[operator][msg.sender];

        require(shares != 0, ZeroAmount());
        require(shares <= position.shares, NotEnoughShares(shares, position.shares));

        _accrue(pool, position);
        position.shares -= shares;
        pool.unbondingShares += uint128(shares);
        unbondId = ++_unbondCount;
        uint64 withdrawableAt = uint64(block.timestamp) + unbondingPeriod;
        _unbonds[unbondId] =
            Unbond({operator: operator, staker: msg.sender, shares: shares, withdrawableAt: withdrawableAt});

        emit Unbonding(unbondId, operator, msg.sender, shares, withdrawableAt);
    }

    /// @inheritdoc IStaking
    function withdraw(uint256 unbondId) external nonReentrant returns (uint256 amount) {
        Unbond memory entry = _known(unbondId);
        Pool storage pool = _pools[entry.operator];

        require(block.timestamp >= entry.withdrawableAt, StillBonded(unbondId, entry.withdrawableAt));

        amount = _toStakeDown(pool, entry.shares);
        pool.stake -= uint128(amount);
        pool.shares -= uint128(entry.shares);
        pool.unbondingShares -= uint128(entry.shares);
        delete _unbonds[unbondId];

        emit Withdrawn(unbondId, entry.staker, amount);

        // Paid to the staker whoever calls, so a service may withdraw for it.
        Address.sendValue(payable(entry.staker), amount);
    }

    /// @inheritdoc IStaking
    function slash(address operator, uint256 slashWad) external nonReentrant returns (uint256 amount) {
        Pool storage pool = _pools[operator];

        require(isSlasher[msg.sender], NotSlasher(msg.sender));
        require(pool.registered, NotOperator(operator));
        require(slashWad != 0 && slashWad <= WAD, SlashOutOfRange(slashWad));

        amount = pool.stake * slashWad / WAD;
        pool.stake -= uint128(amount);

        emit Slashed(operator, slashWad, amount);

        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IStaking
    function addFees(address operator) external payable {
        Pool storage pool = _pools[operator];

        require(pool.registered, NotOperator(operator));
        require(msg.value != 0, ZeroAmount());

        FeeStream.State memory fees = pool.fees;
        fees = fees.advance(_bondedShares(pool), uint64(block.timestamp));
        pool.fees = fees.add(msg.value, unbondingPeriod);

        emit FeesAdded(operator, msg.value);
    }

    /// @inheritdoc IStaking
    function claimFees(address operator) external nonReentrant returns (uint256 amount) {
        Position storage position = _positions[operator][msg.sender];

        _accrue(_pools[operator], position);
        amount = position.feesX128 >> 128;
        require(amount != 0, ZeroAmount());

        position.feesX128 -= amount << 128;

        emit FeesClaimed(operator, msg.sender, amount);

        Address.sendValue(payable(msg.sender), amount);
    }

    /// @inheritdoc IStaking
    function setSlasher(address slasher, bool allowed) external onlyOwner {
        isSlasher[slasher] = allowed;

        emit SlasherSet(slasher, allowed);
    }

    function _stake(address operator, address staker, uint256 amount) private {
        Pool storage pool = _pools[operator];
        Position storage position = _positions[operator][staker];

        _accrue(pool, position);
        uint256 shares = _toSharesDown(operator, amount);
        position.shares += shares;
        pool.shares += uint128(shares);
        pool.stake += amount.toUint128();

        emit Staked(operator, staker, amount, shares);
    }

    /// @dev Brings the pool's stream and a position's fees up to now. Must precede every change of shares.
    function _accrue(Pool storage pool, Position storage position) private {
        FeeStream.State memory fees = pool.fees;
        fees = fees.advance(_bondedShares(pool), uint64(block.timestamp));
        pool.fees = fees;

        position.feesX128 += _accruedX128(position, fees.perShareX128);
        position.feesPerShareX128 = fees.perShareX128;
    }

    /// @dev Exact. The product is at most the fees ever streamed times 2^128, so it fits.
    function _accruedX128(Position storage position, uint256 perShareX128) private view returns (uint256) {
        return position.shares * (perShareX128 - position.feesPerShareX128);
    }

    function _bondedShares(Pool storage pool) private view returns (uint256) {
        return pool.shares - pool.unbondingShares;
    }

    function _toSharesDown(address operator, uint256 amount) private view returns (uint256 shares) {
        Pool storage pool = _pools[operator];

        shares = Math.mulDiv(amount, pool.shares + VIRTUAL_SHARES, uint256(pool.stake) + 1);
        // Shares below 2^128 keep every product in range. Only after slashing can an amount that exists buy that many.
        require(pool.shares + shares <= type(uint128).max, OperatorSpent(operator));
        // Cannot be for any stake that exists: a share would have to be worth more than all of `amount`.
        require(shares != 0, ZeroAmount());
    }

    /// @dev Below `pool.stake + 1` because the pool has more shares than `shares`; so never more than the pool holds.
    function _toStakeDown(Pool storage pool, uint256 shares) private view returns (uint256) {
        return shares * (uint256(pool.stake) + 1) / (pool.shares + VIRTUAL_SHARES);
    }

    function _known(uint256 unbondId) private view returns (Unbond storage entry) {
        entry = _unbonds[unbondId];
        require(entry.shares != 0, UnknownUnbond(unbondId));
    }
}
