// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {DishonestBatch} from "../DishonestBatch.sol";

/// @notice What a dishonest batch that nobody challenges costs, and the gas of posting it with its proof, which is that
/// of any batch. Written to bench/results/dishonest_cost.json.
/// forge-config: default.isolate = true
contract DishonestCostTest is DishonestBatch {
    string private constant FILE = "bench/results/dishonest_cost.json";

    function test_cost_isWritten() public {
        uint256 state = vm.snapshotState();
        _submit();
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        vm.revertToState(state);
        Cost memory cost = _cost();

        vm.serializeUint("cost", "F", cost.total);
        vm.serializeUint("cost", "taken", cost.taken);
        vm.serializeUint("cost", "lost", cost.lost);
        string memory written = vm.serializeUint("cost", "submitBatch", gas);
        if (vm.exists("bench/results")) vm.writeJson(written, FILE);
    }
}
