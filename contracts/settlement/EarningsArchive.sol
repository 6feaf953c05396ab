// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDaCertVerifier} from "../interfaces/IDaCertVerifier.sol";
import {IEarningsArchive} from "../interfaces/IEarningsArchive.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {G1Point, Kzg} from "../libraries/Kzg.sol";

/// @notice Implements IEarningsArchive: checks and emits, keeps nothing.
contract EarningsArchive is IEarningsArchive {
    uint256 private constant AMOUNT_BYTES = 8;
    uint256 private constant CELL_BYTES = 31;
    uint32 private constant MIN_SYMBOLS = 16;

    /// @notice Whose earnings are archived.
    ISettlement public immutable settlement;

    /// @notice Where operators are looked up.
    IStaking public immutable staking;

    /// @notice Who tells that a snapshot's blob is available.
    IDaCertVerifier public immutable daCerts;

    /// @inheritdoc IEarningsArchive
    uint32 public immutable symbols;

    constructor(ISettlement settlement_, IStaking staking_, IDaCertVerifier daCerts_) {
        settlement = settlement_;
        staking = staking_;
        daCerts = daCerts_;
        symbols = _symbolsOf(settlement_.pageSize());
    }

    /// @inheritdoc IEarningsArchive
    function archive(uint32 page, uint64 version, G1Point calldata blob, bytes calldata certificate) external {
        require(staking.isActive(msg.sender), OperatorNotActive(msg.sender));
        require(Kzg.isValid(blob), InvalidPoint(blob.x, blob.y));
        // Reverts for a version that is not kept: nobody could compare the snapshot with it.
        settlement.earningsAt(page, version);
        daCerts.check(blob, symbols, certificate);

        emit EarningsArchived(page, version, msg.sender, uint64(block.timestamp), blob, certificate);
    }

    /// @dev The first symbol is the payload's header.
    function _symbolsOf(uint32 pageSize) private pure returns (uint32 size) {
        uint256 cells = (AMOUNT_BYTES * pageSize + CELL_BYTES - 1) / CELL_BYTES;
        size = MIN_SYMBOLS;
        while (size < cells + 1) {
            size *= 2;
        }
    }
}
