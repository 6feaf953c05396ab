// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {G1Point, G2Point, Kzg, Opening} from "../../contracts/libraries/Kzg.sol";
import {DevSrs} from "../DevSrs.sol";
import {Test} from "forge-std/Test.sol";

/// @dev Library functions as external calls, so that their reverts can be expected.
contract KzgCaller {
    function rootOfUnity(uint256 order) external view returns (uint256) {
        return Kzg.rootOfUnity(order);
    }

    function add(G1Point memory a, G1Point memory b) external view returns (G1Point memory) {
        return Kzg.add(a, b);
    }
}

contract KzgTest is Test {
    uint256 private constant R = Kzg.SCALAR_MODULUS;

    KzgCaller private caller;

    function setUp() public {
        caller = new KzgCaller();
    }

    function test_opens_acceptsTheValueOfThePolynomial() public view {
        (G1Point memory commitment, uint256[] memory coefficients) = _polynomial(5, "p");
        Opening memory opening = DevSrs.open(coefficients, 77);

        assertEq(opening.commitment.x, commitment.x);
        assertTrue(Kzg.opens(opening, DevSrs.tauG2()));
    }

    function test_opens_acceptsTheZeroPolynomial() public view {
        assertTrue(Kzg.opens(Opening(G1Point(0, 0), 3, 0, G1Point(0, 0)), DevSrs.tauG2()));
    }

    function test_opens_acceptsAConstant() public view {
        assertTrue(Kzg.opens(Opening(Kzg.mul(Kzg.generator(), 9), 3, 9, G1Point(0, 0)), DevSrs.tauG2()));
    }

    function testFuzz_opens_acceptsEveryPoint(uint256 seed, uint256 point) public view {
        (, uint256[] memory coefficients) = _polynomial(1 + seed % 9, bytes32(seed));
        assertTrue(Kzg.opens(DevSrs.open(coefficients, point % R), DevSrs.tauG2()));
    }

    function testFuzz_opens_refusesAnyChange(uint256 seed, uint256 delta) public view {
        // Whoever opens at tau knows the secret, and could open anything.
        vm.assume(seed % R != DevSrs.TAU);
        delta = bound(delta, 1, R - 1);
        (, uint256[] memory coefficients) = _polynomial(3, bytes32(seed));
        Opening memory honest = DevSrs.open(coefficients, seed % R);

        Opening memory value = _copy(honest);
        value.value = addmod(value.value, delta, R);
        assertFalse(Kzg.opens(value, DevSrs.tauG2()), "value");

        Opening memory point = _copy(honest);
        point.point = addmod(point.point, delta, R);
        assertFalse(Kzg.opens(point, DevSrs.tauG2()), "point");

        Opening memory witness = _copy(honest);
        witness.witness = Kzg.add(witness.witness, Kzg.mul(Kzg.generator(), delta));
        assertFalse(Kzg.opens(witness, DevSrs.tauG2()), "witness");

        Opening memory commitment = _copy(honest);
        commitment.commitment = Kzg.add(commitment.commitment, Kzg.mul(Kzg.generator(), delta));
        assertFalse(Kzg.opens(commitment, DevSrs.tauG2()), "commitment");
    }

    function test_opens_refusesUnreducedScalars() public view {
        (, uint256[] memory coefficients) = _polynomial(3, "p");
        Opening memory opening = DevSrs.open(coefficients, 5);

        opening.point += R;
        assertFalse(Kzg.opens(opening, DevSrs.tauG2()), "point");
        opening.point -= R;

        opening.value += R;
        assertFalse(Kzg.opens(opening, DevSrs.tauG2()), "value");
    }

    function test_opens_refusesInvalidPoints() public view {
        (, uint256[] memory coefficients) = _polynomial(3, "p");
        Opening memory opening = DevSrs.open(coefficients, 5);

        opening.witness.y += 1;
        assertFalse(Kzg.opens(opening, DevSrs.tauG2()), "witness");
        opening.witness.y -= 1;

        opening.commitment.x += Kzg.BASE_MODULUS;
        assertFalse(Kzg.opens(opening, DevSrs.tauG2()), "commitment");
    }

    function test_opens_refusesAnotherTau() public view {
        (, uint256[] memory coefficients) = _polynomial(3, "p");
        assertFalse(Kzg.opens(DevSrs.open(coefficients, 5), _otherTauG2()));
    }

    function testFuzz_opensAll_acceptsTrueOpenings(uint256 seed) public view {
        assertTrue(Kzg.opensAll(_openings(seed, 1 + seed % 6), DevSrs.tauG2()));
    }

    function testFuzz_opensAll_refusesOneFalseOpening(uint256 seed, uint256 delta) public view {
        Opening[] memory openings = _openings(seed, 2 + seed % 5);
        uint256 i = (seed >> 128) % openings.length;
        openings[i].value = addmod(openings[i].value, bound(delta, 1, R - 1), R);
        assertFalse(Kzg.opensAll(openings, DevSrs.tauG2()));
    }

    /// @dev Without random weights these two errors would cancel in the sum.
    function test_opensAll_refusesErrorsThatCancel() public view {
        Opening[] memory openings = _openings(1, 2);
        openings[0].value = addmod(openings[0].value, 1, R);
        openings[1].value = addmod(openings[1].value, R - 1, R);
        assertFalse(Kzg.opensAll(openings, DevSrs.tauG2()));
    }

    function test_opensAll_sharesNeighbouringCommitments() public view {
        (, uint256[] memory coefficients) = _polynomial(4, "shared");
        (, uint256[] memory others) = _polynomial(4, "other");
        Opening[] memory openings = new Opening[](5);
        openings[0] = DevSrs.open(coefficients, 1);
        openings[1] = DevSrs.open(coefficients, 2);
        openings[2] = DevSrs.open(others, 3);
        openings[3] = DevSrs.open(coefficients, 4);
        openings[4] = DevSrs.open(coefficients, 4);
        assertTrue(Kzg.opensAll(openings, DevSrs.tauG2()));

        openings[3].value += 1;
        assertFalse(Kzg.opensAll(openings, DevSrs.tauG2()));
    }

    function test_opensAll_refusesInvalidPoints() public view {
        Opening[] memory openings = _openings(1, 3);
        openings[1].witness.x += 1;
        assertFalse(Kzg.opensAll(openings, DevSrs.tauG2()));
    }

    function test_opensAll_refusesAnInvalidSharedCommitment() public view {
        (, uint256[] memory coefficients) = _polynomial(4, "shared");
        Opening[] memory openings = new Opening[](3);
        for (uint256 i; i < 3; ++i) {
            openings[i] = DevSrs.open(coefficients, i);
        }
        assertTrue(Kzg.opensAll(openings, DevSrs.tauG2()));

        for (uint256 i; i < 3; ++i) {
            openings[i].commitment.x += Kzg.BASE_MODULUS;
        }
        assertFalse(Kzg.opensAll(openings, DevSrs.tauG2()), "not reduced");
    }

    function test_mul_byOneAndByTheOrder() public view {
        G1Point memory p = Kzg.mul(Kzg.generator(), 7);
        G1Point memory same = Kzg.mul(p, 1);
        assertEq(same.x, p.x);
        assertEq(same.y, p.y);
        assertEq(Kzg.mul(p, R + 1).x, p.x);
        assertEq(Kzg.mul(p, R).x, 0);
    }

    function test_opensAll_acceptsNone() public view {
        assertTrue(Kzg.opensAll(new Opening[](0), DevSrs.tauG2()));
    }

    function test_isValid_ofG1() public pure {
        assertTrue(Kzg.isValid(G1Point(1, 2)));
        assertTrue(Kzg.isValid(G1Point(0, 0)), "identity");
        assertTrue(Kzg.isValid(Kzg.negate(G1Point(1, 2))));
        assertFalse(Kzg.isValid(G1Point(1, 3)), "off the curve");
        assertFalse(Kzg.isValid(G1Point(0, 1)), "off the curve");
        assertFalse(Kzg.isValid(G1Point(1 + Kzg.BASE_MODULUS, 2)), "x not reduced");
        assertFalse(Kzg.isValid(G1Point(1, 2 + Kzg.BASE_MODULUS)), "y not reduced");
        assertFalse(Kzg.isValid(G1Point(Kzg.BASE_MODULUS, Kzg.BASE_MODULUS)), "identity not reduced");
    }

    function test_isValid_ofG2() public view {
        G2Point memory p = DevSrs.tauG2();
        assertTrue(Kzg.isValid(p));
        assertFalse(Kzg.isValid(G2Point(0, 0, 0, 0)), "identity");

        (p.x0, p.x1) = (p.x1, p.x0);
        assertFalse(Kzg.isValid(p), "real part first");
    }

    function testFuzz_group_agreesWithScalars(uint256 a, uint256 b) public view {
        G1Point memory sum = Kzg.add(Kzg.mul(Kzg.generator(), a), Kzg.mul(Kzg.generator(), b));
        G1Point memory expected = Kzg.mul(Kzg.generator(), addmod(a % R, b % R, R));
        assertEq(sum.x, expected.x);
        assertEq(sum.y, expected.y);

        G1Point memory none = Kzg.add(sum, Kzg.negate(sum));
        assertEq(none.x | none.y, 0);
    }

    function test_add_reverts_whenPointIsOffTheCurve() public {
        vm.expectRevert(abi.encodeWithSelector(Kzg.PrecompileFailed.selector, address(6)));
        caller.add{gas: 1_000_000}(G1Point(1, 3), G1Point(1, 2));
    }

    /// @dev The values are rust-kzg-bn254-primitives' PRIMITIVE_ROOTS_OF_UNITY.
    function test_rootOfUnity_isArkworks() public view {
        assertEq(Kzg.rootOfUnity(1), 1);
        assertEq(Kzg.rootOfUnity(2), R - 1);
        assertEq(
            Kzg.rootOfUnity(1 << 10),
            3_161_067_157_621_608_152_362_653_341_354_432_744_960_400_845_131_437_947_728_257_924_963_983_317_266
        );
        assertEq(
            Kzg.rootOfUnity(1 << 16),
            421_743_594_562_400_382_753_388_642_386_256_516_545_992_082_196_004_333_756_405_989_743_524_594_615
        );
        assertEq(Kzg.rootOfUnity(1 << 28), Kzg.ROOT_2_28);
        assertEq(Kzg.pow(5, (R - 1) >> 28), Kzg.ROOT_2_28);
    }

    function testFuzz_rootOfUnity_hasItsOrder(uint256 log) public view {
        uint256 order = 1 << bound(log, 1, 28);
        uint256 root = Kzg.rootOfUnity(order);
        assertEq(Kzg.pow(root, order), 1);
        assertEq(Kzg.pow(root, order / 2), R - 1);
    }

    function test_rootOfUnity_reverts_whenOrderIsUnsupported() public {
        uint256[4] memory orders = [uint256(0), 3, 1 << 29, type(uint256).max];
        for (uint256 i; i < orders.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Kzg.UnsupportedOrder.selector, orders[i]));
            caller.rootOfUnity(orders[i]);
        }
    }

    /// @dev The vectors were made with rust-kzg-bn254, over a reference string that is not `DevSrs`.
    function test_opens_acceptsTheProversVectors() public view {
        string memory json = vm.readFile("test/vectors/kzg_openings.json");
        Opening[] memory openings = new Opening[](1);
        uint256 count;
        for (; vm.keyExistsJson(json, _at(count, "")); ++count) {
            (Opening memory opening, G2Point memory tauG2) = _parse(json, count);
            assertTrue(Kzg.opens(opening, tauG2));
            openings[0] = opening;
            assertTrue(Kzg.opensAll(openings, tauG2));

            opening.value = addmod(opening.value, 1, R);
            assertFalse(Kzg.opens(opening, tauG2));
        }
        assertGt(count, 0);
    }

    function _parse(string memory json, uint256 i) private view returns (Opening memory o, G2Point memory tauG2) {
        tauG2.x1 = vm.parseJsonUint(json, _at(i, ".tau_g2.x1"));
        tauG2.x0 = vm.parseJsonUint(json, _at(i, ".tau_g2.x0"));
        tauG2.y1 = vm.parseJsonUint(json, _at(i, ".tau_g2.y1"));
        tauG2.y0 = vm.parseJsonUint(json, _at(i, ".tau_g2.y0"));
        o.commitment.x = vm.parseJsonUint(json, _at(i, ".commitment.x"));
        o.commitment.y = vm.parseJsonUint(json, _at(i, ".commitment.y"));
        o.value = vm.parseJsonUint(json, _at(i, ".value"));
        o.witness.x = vm.parseJsonUint(json, _at(i, ".witness.x"));
        o.witness.y = vm.parseJsonUint(json, _at(i, ".witness.y"));

        uint256 root = Kzg.rootOfUnity(vm.parseJsonUint(json, _at(i, ".domain_size")));
        o.point = Kzg.pow(root, vm.parseJsonUint(json, _at(i, ".index")));
    }

    function _at(uint256 i, string memory key) private pure returns (string memory) {
        return string.concat("[", vm.toString(i), "]", key);
    }

    function _openings(uint256 seed, uint256 count) private view returns (Opening[] memory openings) {
        openings = new Opening[](count);
        for (uint256 i; i < count; ++i) {
            (, uint256[] memory coefficients) = _polynomial(1 + i, keccak256(abi.encode(seed, i)));
            openings[i] = DevSrs.open(coefficients, uint256(keccak256(abi.encode(i, seed))) % R);
        }
    }

    function _polynomial(uint256 length, bytes32 seed)
        private
        view
        returns (G1Point memory commitment, uint256[] memory coefficients)
    {
        coefficients = new uint256[](length);
        for (uint256 i; i < length; ++i) {
            coefficients[i] = uint256(keccak256(abi.encode(seed, "coefficient", i))) % R;
        }
        commitment = DevSrs.commit(coefficients);
    }

    /// @dev G2 itself, for tau = 1.
    function _otherTauG2() private pure returns (G2Point memory) {
        return G2Point({
            x1: 11_559_732_032_986_387_107_991_004_021_392_285_783_925_812_861_821_192_530_917_403_151_452_391_805_634,
            x0: 10_857_046_999_023_057_135_944_570_762_232_829_481_370_756_359_578_518_086_990_519_993_285_655_852_781,
            y1: 4_082_367_875_863_433_681_332_203_403_145_435_568_316_851_327_593_401_208_105_741_076_214_120_093_531,
            y0: 8_495_653_923_123_431_417_604_973_247_489_272_438_418_190_587_263_600_148_770_280_649_306_958_101_930
        });
    }

    function _copy(Opening memory o) private pure returns (Opening memory) {
        return abi.decode(abi.encode(o), (Opening));
    }
}
