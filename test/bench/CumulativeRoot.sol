// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @notice What Settlement's claims are compared with: cumulative earnings under a Merkle root that its poster answers
/// for, claimed as from EigenLayer's RewardsCoordinator.
/// @dev It proves nothing about the amounts. A leaf is keccak256(0x00 || abi.encode(earner, gwei)), a node the hash of
/// its children; prover/examples/bench_prover/merkle.rs makes the same tree.
contract CumulativeRoot {
    bytes32 public root;
    mapping(uint32 earner => uint64 amount) public claimed;
    mapping(uint32 earner => address) public accountOf;

    error InvalidProof();
    error NothingToClaim();

    receive() external payable {}

    function register(uint32 earner, address account) external {
        accountOf[earner] = account;
    }

    function post(bytes32 root_) external {
        root = root_;
    }

    function claim(uint32 earner, uint64 cumulativeEarnings, uint256 place, bytes32[] calldata proof) external {
        bytes32 node = keccak256(abi.encodePacked(bytes1(0), abi.encode(earner, cumulativeEarnings)));
        for (uint256 i; i < proof.length; ++i) {
            bool right = place >> i & 1 == 1;
            node = right ? keccak256(abi.encode(proof[i], node)) : keccak256(abi.encode(node, proof[i]));
        }
        require(node == root, InvalidProof());
        uint64 amount = cumulativeEarnings - claimed[earner];
        require(amount > 0, NothingToClaim());
        claimed[earner] = cumulativeEarnings;
        Address.sendValue(payable(accountOf[earner]), uint256(amount) * 1 gwei);
    }
}
