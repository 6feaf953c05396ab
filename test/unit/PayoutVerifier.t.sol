// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IPayoutVerifier} from "../../contracts/interfaces/IPayoutVerifier.sol";
import {G1Point, G2Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {BatchId, ChannelId} from "../../contracts/types/Ids.sol";
import {PayoutVerifier} from "../../contracts/verifiers/PayoutVerifier.sol";
import {Test} from "forge-std/Test.sol";

/// @dev Reads the vectors that prover/examples/payout_vectors.rs writes.
abstract contract PayoutVectors is Test {
    struct Vector {
        string name;
        uint256 chainId;
        uint256 pageSize;
        IPayoutVerifier.Statement statement;
        uint256[] proof;
    }

    string private json;
    mapping(uint256 pageSize => PayoutVerifier) internal verifiers;

    function setUp() public virtual {
        json = vm.readFile(string.concat("test/vectors/", _file()));
        for (uint256 i; _has("keys", i); ++i) {
            string memory key = string.concat(".keys[", vm.toString(i), "]");
            uint32 pageSize = uint32(vm.parseJsonUint(json, string.concat(key, ".page_size")));
            verifiers[pageSize] = new PayoutVerifier(pageSize, _g1(string.concat(key, ".identity")), _tauG2());
        }
    }

    function _file() internal pure virtual returns (string memory) {
        return "payout_argument.json";
    }

    function _tauG2() internal view returns (G2Point memory) {
        return G2Point({
            x1: vm.parseJsonUint(json, ".tau_g2.x1"),
            x0: vm.parseJsonUint(json, ".tau_g2.x0"),
            y1: vm.parseJsonUint(json, ".tau_g2.y1"),
            y0: vm.parseJsonUint(json, ".tau_g2.y0")
        });
    }

    function _g1(string memory path) internal view returns (G1Point memory) {
        return
            G1Point(
                vm.parseJsonUint(json, string.concat(path, ".x")), vm.parseJsonUint(json, string.concat(path, ".y"))
            );
    }

    function _has(string memory list, uint256 i) internal view returns (bool) {
        return vm.keyExistsJson(json, string.concat(".", list, "[", vm.toString(i), "]"));
    }

    function _vector(string memory list, uint256 i) internal view returns (Vector memory v) {
        string memory path = string.concat(".", list, "[", vm.toString(i), "]");
        v.name = vm.parseJsonString(json, string.concat(path, ".name"));
        v.chainId = vm.parseJsonUint(json, string.concat(path, ".chain_id"));
        v.pageSize = vm.parseJsonUint(json, string.concat(path, ".page_size"));
        v.proof = vm.parseJsonUintArray(json, string.concat(_proofPath(path), ".proof"));
        v.statement.settlement = vm.parseJsonAddress(json, string.concat(path, ".settlement"));
        v.statement.operator = vm.parseJsonAddress(json, string.concat(path, ".operator"));
        v.statement.batch = BatchId.wrap(vm.parseJsonBytes32(json, string.concat(path, ".batch")));
        v.statement.certificateHash = vm.parseJsonBytes32(json, string.concat(path, ".certificate_hash"));
        v.statement.rows = uint32(vm.parseJsonUint(json, string.concat(path, ".rows")));
        v.statement.total = uint64(vm.parseJsonUint(json, string.concat(path, ".total")));
        v.statement.ledger = _g1(string.concat(path, ".ledger"));
        v.statement.witnesses = _points(string.concat(path, ".witnesses"));
        v.statement.payouts = _points(string.concat(path, ".payouts"));

        uint256[] memory pages = vm.parseJsonUintArray(json, string.concat(path, ".pages"));
        v.statement.pages = new uint32[](pages.length);
        for (uint256 j; j < pages.length; ++j) {
            v.statement.pages[j] = uint32(pages[j]);
        }
        bytes32[] memory channels = vm.parseJsonBytes32Array(json, string.concat(path, ".channels"));
        uint256[] memory amounts = vm.parseJsonUintArray(json, string.concat(path, ".amounts"));
        v.statement.draws = new IPayoutVerifier.ChannelDraw[](channels.length);
        for (uint256 j; j < channels.length; ++j) {
            v.statement.draws[j] = IPayoutVerifier.ChannelDraw(ChannelId.wrap(channels[j]), uint64(amounts[j]));
        }
    }

    /// @dev A false statement has the proof of a true one.
    function _proofPath(string memory path) private view returns (string memory) {
        string memory source = string.concat(path, ".proof_of");
        if (!vm.keyExistsJson(json, source)) return path;
        return string.concat(".valid[", vm.toString(vm.parseJsonUint(json, source)), "]");
    }

    function _points(string memory path) private view returns (G1Point[] memory points) {
        uint256[] memory words = vm.parseJsonUintArray(json, path);
        points = new G1Point[](words.length / 2);
        for (uint256 j; j < points.length; ++j) {
            points[j] = G1Point(words[2 * j], words[2 * j + 1]);
        }
    }

    /// @dev Each vector in a call of its own, because memory is never given back within one.
    function check(string calldata list, uint256 i, bool holds) external {
        Vector memory v = _vector(list, i);
        assertEq(_verify(v), holds, v.name);
    }

    function _checkAll(string memory list, bool holds) internal returns (uint256 count) {
        for (; _has(list, count); ++count) {
            this.check(list, count, holds);
        }
    }

    function _verify(Vector memory v) internal returns (bool) {
        vm.chainId(v.chainId);
        return verifiers[v.pageSize].verify(v.statement, v.proof);
    }
}

contract PayoutVerifierTest is PayoutVectors {
    uint256 private constant R = Kzg.SCALAR_MODULUS;

    function test_verify_acceptsTheProofsOfTheRustProver() public {
        assertGe(_checkAll("valid", true), 6);
    }

    function test_verify_refusesFalseStatements() public {
        assertGe(_checkAll("invalid", false), 58);
    }

    /// @dev Adding to a coordinate gives no point of the curve.
    function test_verify_refusesAChangeOfAnyWord() public {
        Vector memory v = _vector("valid", 2);
        assertTrue(_verify(v));
        for (uint256 i; i < v.proof.length; ++i) {
            uint256 word = v.proof[i];
            v.proof[i] = word ^ 1;
            assertFalse(_verify(v), vm.toString(i));
            v.proof[i] = word;
        }
        assertTrue(_verify(v));
    }

    /// @dev Every point becomes another point, every scalar another scalar; both have several forms refused.
    function test_verify_refusesOtherPointsAndUnreducedWords() public {
        Vector memory v = _vector("valid", 2);
        (uint256 pages, uint256 limbs) = (v.statement.pages.length, verifiers[v.pageSize].limbs());
        // Limbs, multiplicities, reversed payouts, three accumulators; then sums, each but the first behind a point.
        uint256 sums = 2 * (limbs + 1 + pages + 3);
        uint256 quotients = sums + 1 + 3 * pages;
        for (uint256 i; i < v.proof.length;) {
            bool inSums = i >= sums && i < quotients;
            bool scalar = inSums ? (i - sums) % 3 == 0 : i >= quotients + 4 && i < v.proof.length - 4;
            if (scalar) {
                _refusesWord(v, i, addmod(v.proof[i], 7, R));
                _refusesWord(v, i, v.proof[i] + R);
                ++i;
            } else {
                _refusesPoint(v, i);
                i += 2;
            }
        }
    }

    function testFuzz_verify_refusesAnyProofOfAnotherLength(uint8 length) public {
        Vector memory v = _vector("valid", 0);
        vm.assume(length != v.proof.length);
        uint256[] memory proof = new uint256[](length);
        for (uint256 i; i < length && i < v.proof.length; ++i) {
            proof[i] = v.proof[i];
        }
        v.proof = proof;
        assertFalse(_verify(v));
    }

    function test_verify_refusesPointsThatAreNone() public {
        Vector memory v = _vector("valid", 0);
        v.statement.witnesses[0].x += Kzg.BASE_MODULUS;
        assertFalse(_verify(v), "witness");
        v = _vector("valid", 0);
        v.statement.payouts[0].y ^= 1;
        assertFalse(_verify(v), "payouts");
        v = _vector("valid", 0);
        v.statement.ledger.y ^= 1;
        assertFalse(_verify(v), "ledger");
    }

    function test_verify_refusesPagesWithoutPayouts() public {
        Vector memory v = _vector("valid", 0);
        v.statement.payouts = new G1Point[](0);
        assertFalse(_verify(v));
    }

    function test_constructor_refusesPageSizesOutsideTheArgument() public {
        G2Point memory tauG2 = _tauG2();
        uint32[4] memory sizes = [uint32(0), 8, 1000, 1 << 17];
        for (uint256 i; i < sizes.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IPayoutVerifier.UnsupportedPageSize.selector, sizes[i]));
            new PayoutVerifier(sizes[i], Kzg.generator(), tauG2);
        }
    }

    function test_constructor_refusesPointsThatAreNone() public {
        G2Point memory tauG2 = _tauG2();
        vm.expectRevert(IPayoutVerifier.InvalidKey.selector);
        new PayoutVerifier(1024, G1Point(1, 3), tauG2);
        vm.expectRevert(IPayoutVerifier.InvalidKey.selector);
        new PayoutVerifier(1024, G1Point(0, 0), tauG2);
        tauG2.x0 ^= 1;
        vm.expectRevert(IPayoutVerifier.InvalidKey.selector);
        new PayoutVerifier(1024, Kzg.generator(), tauG2);
    }

    function test_constructor_keepsItsKey() public view {
        PayoutVerifier verifier = verifiers[65_536];
        assertEq(verifier.pageSize(), 65_536);
        assertEq(verifier.limbs(), 4);
        assertEq(verifiers[1024].limbs(), 7);
        assertEq(verifier.tauG2().y0, _tauG2().y0);
        assertEq(verifier.identity().x, _g1(".keys[1].identity").x);
    }

    function _refusesWord(Vector memory v, uint256 i, uint256 word) private {
        uint256 before = v.proof[i];
        v.proof[i] = word;
        assertFalse(_verify(v), vm.toString(i));
        v.proof[i] = before;
    }

    function _refusesPoint(Vector memory v, uint256 i) private {
        (uint256 x, uint256 y) = (v.proof[i], v.proof[i + 1]);
        G1Point memory other = Kzg.add(G1Point(x, y), Kzg.generator());
        (v.proof[i], v.proof[i + 1]) = (other.x, other.y);
        assertFalse(_verify(v), vm.toString(i));
        (v.proof[i], v.proof[i + 1]) = (x, y + Kzg.BASE_MODULUS);
        assertFalse(_verify(v), vm.toString(i));
        (v.proof[i], v.proof[i + 1]) = (x, y);
    }
}

/// @dev Proofs of provers that chose anything but the challenges; prover/src/argument/tests/dishonest.rs plans them.
contract PayoutVerifierDishonestTest is PayoutVectors {
    function _file() internal pure override returns (string memory) {
        return "payout_argument_dishonest.json";
    }

    function test_verify_acceptsTheHonestProver() public {
        assertEq(_checkAll("valid", true), 1);
    }

    function test_verify_refusesDishonestProvers_whoClaimTheirSums() public {
        assertGe(_checkEveryThird(0), 18);
    }

    function test_verify_refusesDishonestProvers_whoClaimWhatTheRowsPay() public {
        assertGe(_checkEveryThird(1), 18);
    }

    function test_verify_refusesDishonestProvers_whoClaimAnotherLookup() public {
        assertGe(_checkEveryThird(2), 17);
    }

    /// @dev Each cheat has three proofs, one after the other; behind them are proofs made in other ways.
    function _checkEveryThird(uint256 first) private returns (uint256 count) {
        for (uint256 i = first; _has("invalid", i); i += 3) {
            this.check("invalid", i, false);
            ++count;
        }
    }
}

/// @dev Gas of verifying, by rows, payers and pages. Calldata and the 21,000 of a transaction are added by hand,
/// because a test's calls do not pay them.
contract PayoutVerifierGasTest is PayoutVectors {
    function test_gas_staysWithinItsBounds() public {
        uint256 onePage = _gas(3);
        assertLt(onePage, 450_000, "one page");
        assertLt(_gas(4) - onePage, 45_000, "one further page");
    }

    function test_gas_doesNotGrowWithRows() public {
        (Vector memory few, Vector memory many) = (_vector("valid", 3), _vector("valid", 5));
        assertEq(many.statement.rows, 64 * few.statement.rows);
        assertApproxEqAbs(_gas(5), _gas(3), 2000);
    }

    function test_gas_perPayerStaysWithinItsBound() public {
        (Vector memory one, Vector memory three) = (_vector("valid", 0), _vector("valid", 1));
        assertEq(three.statement.draws.length - one.statement.draws.length, 2);
        assertEq(three.proof.length, one.proof.length);
        assertLt((_gas(1) - _gas(0)) / 2, 20_000);
    }

    function _gas(uint256 i) private returns (uint256 gas) {
        Vector memory v = _vector("valid", i);
        bytes memory data = abi.encodeCall(IPayoutVerifier.verify, (v.statement, v.proof));
        vm.chainId(v.chainId);
        address verifier = address(verifiers[v.pageSize]);
        // A first call, so that the account is warm as it is in a transaction to it.
        (bool ok,) = verifier.staticcall("");
        assertFalse(ok);
        gas = gasleft();
        bytes memory result;
        (ok, result) = verifier.staticcall(data);
        gas -= gasleft();
        assertTrue(ok && abi.decode(result, (bool)), v.name);
        uint256 calldataGas;
        for (uint256 k; k < data.length; ++k) {
            calldataGas += data[k] == 0 ? 4 : 16;
        }
        emit log_named_string("batch", v.name);
        emit log_named_uint("  rows", v.statement.rows);
        emit log_named_uint("  payers", v.statement.draws.length);
        emit log_named_uint("  execution", gas);
        emit log_named_uint("  calldata", calldataGas);
        gas += calldataGas;
        emit log_named_uint("  transaction", gas + 21_000);
    }
}
