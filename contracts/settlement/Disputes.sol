// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDisputes, Rule} from "../interfaces/IDisputes.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {BatchId} from "../types/Ids.sol";
import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @notice Implements IDisputes for one Settlement and one Staking, which must allow it to strike and to slash.
contract Disputes is IDisputes, Ownable2Step {
    /// @notice Where slashed stake is burned.
    address public constant BURNED = 0x000000000000000000000000000000000000dEaD;

    uint256 private constant WAD = 1e18;

    /// @dev Enough for any wallet, and little enough that a challenger cannot make striking unaffordable.
    uint256 private constant REWARD_GAS = 100_000;

    /// @inheritdoc IDisputes
    ISettlement public immutable settlement;

    /// @inheritdoc IDisputes
    IStaking public immutable staking;

    /// @inheritdoc IDisputes
    uint256 public strikeSlashWad;

    /// @inheritdoc IDisputes
    mapping(address faultContract => bool) public isFaultContract;

    address[] private _faultContracts;

    modifier onlyFaultContract() {
        require(isFaultContract[msg.sender], NotFaultContract(msg.sender));
        _;
    }

    constructor(address owner_, ISettlement settlement_, IStaking staking_, uint256 strikeSlashWad_) Ownable(owner_) {
        settlement = settlement_;
        staking = staking_;
        _setStrikeSlash(strikeSlashWad_);
    }

    /// @dev Only slashed stake comes here, and leaves again in the same call.
    receive() external payable {
        require(msg.sender == address(staking), NotStaking(msg.sender));
    }

    /// @inheritdoc IDisputes
    function faultContracts() external view returns (address[] memory) {
        return _faultContracts;
    }

    /// @inheritdoc IDisputes
    function strike(BatchId batch, Rule rule, address challenger) external onlyFaultContract {
        address operator = settlement.batchOf(batch).operator;

        settlement.strike(batch);
        uint256 slashed = staking.slash(operator, strikeSlashWad);

        // The half that is burned is rounded up.
        uint256 paid = slashed / 2;
        (bool accepted,) = challenger.call{value: paid, gas: REWARD_GAS}("");
        if (!accepted) paid = 0;
        Address.sendValue(payable(BURNED), slashed - paid);

        emit Struck(batch, rule, challenger, slashed, paid);
    }

    /// @inheritdoc IDisputes
    function hold(BatchId batch) external onlyFaultContract {
        settlement.hold(batch);
    }

    /// @inheritdoc IDisputes
    function release(BatchId batch) external onlyFaultContract {
        settlement.release(batch);
    }

    /// @inheritdoc IDisputes
    function setFaultContracts(address[] calldata faultContracts_) external onlyOwner {
        require(_faultContracts.length == 0, FaultContractsAlreadySet());
        require(faultContracts_.length > 0, InvalidFaultContract(address(0)));

        for (uint256 i; i < faultContracts_.length; ++i) {
            address faultContract = faultContracts_[i];
            require(
                faultContract.code.length > 0 && !isFaultContract[faultContract], InvalidFaultContract(faultContract)
            );
            isFaultContract[faultContract] = true;
        }
        _faultContracts = faultContracts_;

        emit FaultContractsSet(faultContracts_);
    }

    /// @inheritdoc IDisputes
    function setStrikeSlash(uint256 slashWad) external onlyOwner {
        _setStrikeSlash(slashWad);
    }

    function _setStrikeSlash(uint256 slashWad) private {
        require(slashWad != 0 && slashWad <= WAD, SlashOutOfRange(slashWad));

        strikeSlashWad = slashWad;

        emit StrikeSlashSet(slashWad);
    }
}
