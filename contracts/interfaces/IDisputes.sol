// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {BatchId} from "../types/Ids.sol";
import {ISettlement} from "./ISettlement.sol";
import {IStaking} from "./IStaking.sol";

/// @notice The rule that a batch broke. Rust names them alike; their numbers are in events, so the order is fixed.
enum Rule {
    /// A row decodes to nothing.
    Malformed,
    /// Row 0 says something else than the batch that was posted.
    Header,
    /// A row that is wrong by itself.
    Row,
    /// Two rows of which the second may not follow the first.
    Neighbours,
    /// Records out of order, or not as many as the header says.
    Sequence,
    /// A share or pool that is not what the fee gives.
    Split,
    /// A credit that is not what its score gives.
    Credit,
    /// A flat pay that is not what the pool's rest gives.
    Flat,
    /// A pool closed against other sums than its payout rows'.
    Closing,
    /// A fee that is not what price and tokens give.
    Fee,
    /// A share paid to somebody else.
    Payee,
    /// Two records charge the same part of a channel.
    Overlap,
    /// A record charges a part of a channel that the batch did not draw.
    Outside,
    /// A voucher that the payer did not sign, or signed for something else.
    Voucher,
    /// A slot of a witness blob that is not its record's.
    Witness,
    /// A record that contradicts the operator's receipt.
    Receipt,
    /// A receipt without a record.
    Omitted,
    /// A carry that is not what the previous batch left, or left out.
    Carry,
    /// A model without an accepted influence index.
    NotEarning,
    /// A score that is not the product of sketch and sums.
    Score,
    /// A credit or weight of somebody who is not in the index, or not so.
    Stranger,
    /// A contributor with a greater score left out of the credits.
    LeftOut,
    /// More credits than the rules allow.
    TooMany,
    /// A contributor with accepted rows and no payout row.
    Unpaid,
    /// A sketch or answer that validators recomputed otherwise.
    Sketch,
    /// A credit for a span that is not what the model's span index says.
    Span,
    /// A credit for a row that is not in the Datanet version, or not its contributor's.
    Citation,
    /// A factor that is not that of the figures in force.
    Factor
}

/// @notice The one arbiter of Settlement and slasher of operators: what happens once a fault has been proven.
/// @dev Faults are proven by fault contracts, which call `strike`. They are set once and can never be changed, so what
/// can strike a batch is fixed with the code; the owner governs how much a strike slashes, nothing else.
///
/// Of the slashed stake at least half is burned, so that an operator gains nothing by challenging itself, and the rest
/// is the challenger's. `strikeSlashWad` should be at least Settlement's `exposureWad`: one strike then costs as much
/// as all batches of the operator that are not final could take, and orphans need no slash of their own.
interface IDisputes {
    /// @dev Thrown when anyone but a fault contract strikes, holds or releases.
    error NotFaultContract(address caller);
    /// @dev Thrown when the fault contracts are set a second time.
    error FaultContractsAlreadySet();
    /// @dev Thrown when the list of fault contracts is empty, or one of them has no code or is listed twice.
    error InvalidFaultContract(address faultContract);
    /// @dev Thrown unless the slash of a strike is from 1 to 1e18.
    error SlashOutOfRange(uint256 slashWad);
    /// @dev Thrown when anyone but Staking sends coins here.
    error NotStaking(address sender);

    /// @param slashed wei taken from the operator's stake
    /// @param paid wei of it that the challenger got; the rest was burned
    event Struck(BatchId indexed batch, Rule indexed rule, address indexed challenger, uint256 slashed, uint256 paid);
    event FaultContractsSet(address[] faultContracts);
    event StrikeSlashSet(uint256 slashWad);

    /// @notice Where batches are struck.
    function settlement() external view returns (ISettlement);

    /// @notice Where their operators are slashed.
    function staking() external view returns (IStaking);

    /// @notice Part of an operator's stake that a strike takes (1e18 = all).
    function strikeSlashWad() external view returns (uint256);

    /// @notice The contracts that may strike; empty until the owner sets them.
    function faultContracts() external view returns (address[] memory);

    /// @notice Whether a contract may strike.
    function isFaultContract(address faultContract) external view returns (bool);

    /// @notice Strikes a batch that broke `rule`, slashes its operator and rewards the challenger. Fault contracts
    /// only.
    /// @dev Reverts as Settlement's `strike` does when the batch is not posted. A challenger that does not accept its
    /// reward with 100,000 gas loses it: it is burned too, and the strike stands.
    function strike(BatchId batch, Rule rule, address challenger) external;

    /// @notice Keeps a posted batch from becoming final, while a fault is being looked for. Fault contracts only.
    /// @dev A fault contract releases every hold that it takes, whatever became of the batch.
    function hold(BatchId batch) external;

    /// @notice Takes a hold back. Fault contracts only.
    function release(BatchId batch) external;

    /// @notice Sets who may strike: once, by the owner, for ever.
    function setFaultContracts(address[] calldata faultContracts_) external;

    /// @notice Sets how much a strike slashes from now on. Owner only.
    function setStrikeSlash(uint256 slashWad) external;
}
