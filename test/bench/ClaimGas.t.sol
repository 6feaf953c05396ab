// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IEarnerRegistry} from "../../contracts/interfaces/IEarnerRegistry.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {SettlementBase} from "../SettlementBase.t.sol";

/// @notice Gas of claims on a page of 2^16 earners, as whole transactions: calldata, 21,000 and cold storage included,
/// because in an isolated test each call is a transaction of its own. Written to bench/results/claim_gas.json.
/// @dev Earners that claim together are four apart: neighbours share a word of what was claimed, so that theirs cost
/// less. Accounts exist unless a name says otherwise: whoever registers sends a transaction.
/// forge-config: default.isolate = true
contract ClaimGasTest is SettlementBase {
    string private constant FILE = "bench/results/claim_gas.json";
    uint32 private constant CLAIMS = 10;
    uint32 private constant APART = 4;
    /// @dev Those of a multiple of four and the next three share a word.
    uint32 private constant CLAIMED = 8;
    uint32 private constant NEW = CLAIMED + CLAIMS * APART;
    uint32 private constant LAST = NEW + CLAIMS * APART;

    string private written;

    function _config() internal view override returns (Deploy.Config memory config) {
        config = super._config();
        config.pageSize = 1 << 16;
    }

    function setUp() public override {
        super.setUp();
        vm.deal(makeAddr("contributor"), 1);
        for (uint32 earner = earners.earnerCount() + 1; earner < LAST; ++earner) {
            address account = makeAddr(vm.toString(earner));
            vm.deal(account, 1);
            vm.prank(account);
            earners.register(IEarnerRegistry.Role.Contributor);
        }
        _settle(FIRST_EPOCH, _payoutsToAll());
        for (uint32 i; i < CLAIMS; ++i) {
            settlement.claim(book.claimOf(CLAIMED + APART * i));
        }
        _settle(FIRST_EPOCH + 1, _payoutsToAll());
    }

    function test_gas_isWritten() public {
        uint256 claimedBefore = _gas(CLAIMED, 1, APART);
        uint256 isNew = _gas(NEW, 1, APART);

        _write("claim, claimed before: whole transaction", _gasOfOne(CLAIMED));
        _write("claim, never claimed: whole transaction", _gasOfOne(NEW));
        // Nobody ever sent anything to the treasury's address.
        _write("claim, never claimed, account made by it: whole transaction", _gasOfOne(TREASURY));
        _write("claim, stakers, through Staking: whole transaction", _gasOfOne(stakers));
        _write("further claim in a transaction, claimed before", (_gas(CLAIMED, CLAIMS, APART) - claimedBefore) / 9);
        _write("further claim in a transaction, never claimed", (_gas(NEW, CLAIMS, APART) - isNew) / 9);
        _write("further claim in a transaction, never claimed, neighbours", (_gas(NEW, CLAIMS, 1) - isNew) / 9);
        if (vm.exists("bench/results")) vm.writeJson(written, FILE);
    }

    function _gasOfOne(uint32 earner) private returns (uint256 gas) {
        uint256 state = vm.snapshotState();
        settlement.claim(book.claimOf(earner));
        gas = vm.lastCallGas().gasTotalUsed;
        vm.revertToState(state);
    }

    function _gas(uint32 first, uint32 count, uint32 apart) private returns (uint256 gas) {
        uint256 state = vm.snapshotState();
        ISettlement.Claim[] memory claims = new ISettlement.Claim[](count);
        for (uint32 i; i < count; ++i) {
            claims[i] = book.claimOf(first + i * apart);
        }
        settlement.claimMany(claims);
        gas = vm.lastCallGas().gasTotalUsed;
        vm.revertToState(state);
    }

    function _write(string memory name, uint256 gas) private {
        written = vm.serializeUint("claim gas", name, gas);
    }
}
