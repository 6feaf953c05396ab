// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPayoutVerifier} from "../../contracts/interfaces/IPayoutVerifier.sol";
import {PayoutVectors} from "../unit/PayoutVerifier.t.sol";
import {CumulativeRoot} from "./CumulativeRoot.sol";

/// @dev Gas of verifying the proofs that `make bench-prover` makes, and of claims against a cumulative Merkle root with
/// as many earners; written to bench/results/prover_gas.json. Skipped where there are no such proofs.
contract PayoutGasTest is PayoutVectors {
    string private constant RESULTS = "bench/results/";
    uint256 private constant EARNERS = 4096;
    uint256 private constant TRANSACTION = 21_000;

    string private written;

    function setUp() public override {
        if (!vm.exists(string.concat(RESULTS, "prover_proofs.json"))) {
            vm.skip(true);
            return;
        }
        super.setUp();
    }

    function _file() internal pure override returns (string memory) {
        return "../../bench/results/prover_proofs.json";
    }

    function test_gas_isWritten() public {
        uint256[5] memory gas;
        for (uint256 i; i < 5; ++i) {
            gas[i] = this.verification(i);
        }
        string[3] memory sizes = ["1,024", "16,384", "65,536"];
        for (uint256 i; i < 3; ++i) {
            _write(string.concat(sizes[i], " rows: verification, whole transaction"), gas[i]);
        }
        // The first batch has eight payers, the fourth is the same with one, the fifth pays two pages.
        _write("verification of a further payer", (gas[0] - gas[3]) / 7);
        _write("verification of a further page", gas[4] - gas[3]);
        _writeClaims();
        vm.writeJson(written, string.concat(RESULTS, "prover_gas.json"));
    }

    /// @dev In a call of its own, because memory is never given back within one.
    function verification(uint256 i) external returns (uint256) {
        Vector memory v = _vector("valid", i);
        vm.chainId(v.chainId);
        (uint256 gas, bytes memory result) =
            _transact(address(verifiers[v.pageSize]), abi.encodeCall(IPayoutVerifier.verify, (v.statement, v.proof)));
        assertTrue(abi.decode(result, (bool)), v.name);
        return gas;
    }

    function _writeClaims() private {
        CumulativeRoot root = new CumulativeRoot();
        vm.deal(address(root), 1e30);
        for (uint32 earner = 1; earner <= EARNERS; ++earner) {
            root.register(earner, address(uint160(0x1000000) + earner));
        }
        for (uint64 round = 1; round <= 2; ++round) {
            (uint256 gas, uint256 execution) = _claim(root, 77, round);
            string memory name = round == 1 ? "Merkle claim, never claimed" : "Merkle claim, claimed before";
            _write(string.concat(name, ": whole transaction"), gas);
            _write(string.concat(name, ": execution"), execution);
        }
    }

    /// @dev Everybody has earned `round` times its number of microcoins.
    function _claim(CumulativeRoot root, uint32 earner, uint64 round) private returns (uint256 gas, uint256 execution) {
        bytes32[] memory level = new bytes32[](EARNERS);
        for (uint32 i; i < EARNERS; ++i) {
            level[i] = keccak256(abi.encodePacked(bytes1(0), abi.encode(i + 1, (i + 1) * 1000 * round)));
        }
        bytes32[] memory proof = new bytes32[](12);
        for (uint256 height; height < 12; ++height) {
            proof[height] = level[((earner - 1) >> height) ^ 1];
            for (uint256 i; i < level.length >> (height + 1); ++i) {
                level[i] = keccak256(abi.encode(level[2 * i], level[2 * i + 1]));
            }
        }
        root.post(level[0]);
        vm.cool(address(root));
        vm.cool(root.accountOf(earner));
        vm.cool(address(root));
        uint64 amount = earner * 1000 * round;
        bytes memory data = abi.encodeCall(CumulativeRoot.claim, (earner, amount, earner - 1, proof));
        (gas,) = _transact(address(root), data);
        execution = gas - _besides(data);
    }

    /// @dev What a transaction with this call would cost: execution with a warm account, calldata, 21,000.
    function _transact(address to, bytes memory data) private returns (uint256 gas, bytes memory result) {
        // An address is warm in a transaction to it.
        uint256 size = to.code.length;
        assertGt(size, 0);
        bool ok;
        gas = gasleft();
        (ok, result) = to.call(data);
        gas -= gasleft();
        assertTrue(ok);
        gas += _besides(data);
    }

    /// @dev Calldata and 21,000.
    function _besides(bytes memory data) private pure returns (uint256 gas) {
        gas = TRANSACTION;
        for (uint256 i; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }

    function _write(string memory name, uint256 gas) private {
        written = vm.serializeUint("gas", name, gas);
    }
}
