// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CellOpening, CellOpenings, SlotOpening} from "../../contracts/libraries/CellOpenings.sol";
import {G1Point, G2Point, Kzg} from "../../contracts/libraries/Kzg.sol";
import {BlobBook} from "../BlobBook.sol";
import {DevSrs} from "../DevSrs.sol";
import {stdJson} from "forge-std/StdJson.sol";
import {Test} from "forge-std/Test.sol";

/// @dev The library reads openings from calldata.
contract CellOpeningsCaller {
    struct Cells {
        G1Point commitment;
        uint256 symbols;
        CellOpening opening;
    }

    struct Slot {
        G1Point commitment;
        uint256 symbols;
        uint256 cells;
        uint256 slot;
        SlotOpening opening;
    }

    function checkCells(Cells calldata c, G2Point calldata tauG2) external view {
        CellOpenings.check(CellOpenings.ofCells(c.commitment, c.symbols, c.opening), tauG2);
    }

    function checkSlot(Slot calldata s, G2Point calldata tauG2) external view {
        CellOpenings.check(CellOpenings.ofSlot(s.commitment, s.symbols, s.cells, s.slot, s.opening), tauG2);
    }

    function checkAll(Cells[] calldata cells, Slot[] calldata slots, G2Point calldata tauG2) external view {
        CellOpenings.Equation[] memory equations = new CellOpenings.Equation[](cells.length + slots.length);
        for (uint256 i; i < cells.length; ++i) {
            equations[i] = CellOpenings.ofCells(cells[i].commitment, cells[i].symbols, cells[i].opening);
        }
        for (uint256 i; i < slots.length; ++i) {
            Slot calldata s = slots[i];
            equations[cells.length + i] = CellOpenings.ofSlot(s.commitment, s.symbols, s.cells, s.slot, s.opening);
        }
        CellOpenings.checkAll(equations, tauG2);
    }
}

contract CellOpeningsTest is Test {
    uint256 private constant R = Kzg.SCALAR_MODULUS;

    CellOpeningsCaller private caller;

    function setUp() public {
        caller = new CellOpeningsCaller();
    }

    function test_cells_acceptsOneSomeAndAll() public view {
        BlobBook.Blob memory blob = _blob(16, "blob");

        caller.checkCells(_cells(blob, _indices(3)), DevSrs.tauG2());
        caller.checkCells(_cells(blob, _indices(0, 1, 15)), DevSrs.tauG2());

        uint32[] memory all = new uint32[](16);
        for (uint32 i; i < 16; ++i) {
            all[i] = i;
        }
        caller.checkCells(_cells(blob, all), DevSrs.tauG2());
    }

    /// @dev Symbols that no cell can be must be shown to be.
    function test_cells_acceptsSymbolsAbove248Bits() public view {
        uint256[] memory symbols = new uint256[](8);
        (symbols[2], symbols[5]) = (1 << 248, R - 1);
        BlobBook.Blob memory blob = BlobBook.blobOf(symbols);

        caller.checkCells(_cells(blob, _indices(2, 3, 5)), DevSrs.tauG2());
        caller.checkSlot(_slot(blob, 4, 1), DevSrs.tauG2());
    }

    function test_cells_acceptsTheZeroPolynomial() public view {
        caller.checkCells(_cells(BlobBook.blobOf(new uint256[](8)), _indices(0, 1, 7)), DevSrs.tauG2());
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_cells_acceptsEverySubset(bytes32 seed, uint256 subset) public view {
        subset = bound(subset, 1, type(uint32).max);
        caller.checkCells(_cells(_blob(32, seed), _members(subset, 32)), DevSrs.tauG2());
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_slot_acceptsEverySlot(bytes32 seed, uint256 slot, uint256 cells) public view {
        cells = 1 << bound(cells, 0, 5);
        slot = bound(slot, 0, 32 / cells - 1);
        caller.checkSlot(_slot(_blob(32, seed), cells, slot), DevSrs.tauG2());
    }

    /// @dev A slot is also so many cells: both ways of opening agree on its values.
    function test_slot_holdsTheCellsOfItsCoset() public view {
        BlobBook.Blob memory blob = _blob(32, "blob");
        CellOpeningsCaller.Slot memory s = _slot(blob, 4, 3);

        CellOpeningsCaller.Cells memory c = _cells(blob, _indices(3, 11, 19));
        for (uint256 j; j < 3; ++j) {
            assertEq(s.opening.values[j], c.opening.values[j]);
        }
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_cells_refusesAnyChange(bytes32 seed, uint256 subset, uint256 delta, uint256 which) public {
        // Not {0} alone: w^0 is 1 in every domain, so that opening is true in a larger one too.
        subset = bound(subset, 2, type(uint16).max);
        delta = bound(delta, 1, R - 1);
        uint32[] memory indices = _members(subset, 16);
        which %= indices.length;
        BlobBook.Blob memory blob = _blob(16, seed);

        CellOpeningsCaller.Cells memory c = _cells(blob, indices);
        c.opening.values[which] = addmod(c.opening.values[which], delta, R);
        _refuseCells(c);

        c = _cells(blob, indices);
        c.opening.quotient = Kzg.add(c.opening.quotient, Kzg.mul(Kzg.generator(), delta));
        _refuseCells(c);

        c = _cells(blob, indices);
        c.opening.remainder = Kzg.add(c.opening.remainder, Kzg.mul(Kzg.generator(), delta));
        _refuseCells(c);

        c = _cells(blob, indices);
        c.commitment = Kzg.add(c.commitment, Kzg.mul(Kzg.generator(), delta));
        _refuseCells(c);

        c = _cells(blob, indices);
        c.symbols = 32;
        _refuseCells(c);

        c = _cells(blob, indices);
        if (c.opening.indices[indices.length - 1] == 15) c.symbols = 32;
        ++c.opening.indices[indices.length - 1];
        _refuseCells(c);
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_slot_refusesAnyChange(bytes32 seed, uint256 slot, uint256 delta, uint256 which) public {
        slot = bound(slot, 0, 6);
        delta = bound(delta, 1, R - 1);
        BlobBook.Blob memory blob = _blob(32, seed);

        CellOpeningsCaller.Slot memory s = _slot(blob, 4, slot);
        s.opening.values[which % 4] = addmod(s.opening.values[which % 4], delta, R);
        _refuseSlot(s);

        s = _slot(blob, 4, slot);
        s.opening.quotient = Kzg.add(s.opening.quotient, Kzg.mul(Kzg.generator(), delta));
        _refuseSlot(s);

        s = _slot(blob, 4, slot);
        s.opening.remainder = Kzg.add(s.opening.remainder, Kzg.mul(Kzg.generator(), delta));
        _refuseSlot(s);

        s = _slot(blob, 4, slot);
        s.commitment = Kzg.add(s.commitment, Kzg.mul(Kzg.generator(), delta));
        _refuseSlot(s);

        s = _slot(blob, 4, slot);
        ++s.slot;
        _refuseSlot(s);

        s = _slot(blob, 4, slot);
        s.symbols = 64;
        _refuseSlot(s);
    }

    /// @dev Two wrong openings whose errors are opposite: their sum is right, and only the weights tell.
    function test_checkAll_refusesErrorsThatCancel() public {
        BlobBook.Blob memory blob = _blob(16, "blob");
        CellOpeningsCaller.Cells[] memory cells = new CellOpeningsCaller.Cells[](2);
        (cells[0], cells[1]) = (_cells(blob, _indices(3)), _cells(blob, _indices(3)));
        caller.checkAll(cells, new CellOpeningsCaller.Slot[](0), DevSrs.tauG2());

        cells[0].opening.remainder = Kzg.add(cells[0].opening.remainder, Kzg.generator());
        cells[1].opening.remainder = Kzg.add(cells[1].opening.remainder, Kzg.negate(Kzg.generator()));
        vm.expectRevert(CellOpenings.FalseOpening.selector);
        caller.checkAll(cells, new CellOpeningsCaller.Slot[](0), DevSrs.tauG2());
    }

    /// forge-config: default.fuzz.runs = 64
    /// forge-config: ci.fuzz.runs = 1000
    function testFuzz_checkAll_refusesOneFalseOpening(bytes32 seed, uint256 which) public {
        CellOpeningsCaller.Cells[] memory cells = new CellOpeningsCaller.Cells[](2);
        CellOpeningsCaller.Slot[] memory slots = new CellOpeningsCaller.Slot[](1);
        cells[0] = _cells(_blob(16, seed), _indices(1, 2, 8));
        cells[1] = _cells(_blob(8, ~seed), _indices(0));
        slots[0] = _slot(_blob(32, seed), 8, 2);
        caller.checkAll(cells, slots, DevSrs.tauG2());

        which %= 3;
        uint256[] memory values = which == 2 ? slots[0].opening.values : cells[which].opening.values;
        values[0] = addmod(values[0], 1, R);
        vm.expectRevert(CellOpenings.FalseOpening.selector);
        caller.checkAll(cells, slots, DevSrs.tauG2());
    }

    function test_cells_reverts_whenIndicesDoNotIncrease() public {
        CellOpeningsCaller.Cells memory c = _cells(_blob(16, "blob"), _indices(1, 2, 8));

        c.opening.indices[1] = 1;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.IndicesMisordered.selector, 1));
        caller.checkCells(c, DevSrs.tauG2());

        c.opening.indices[1] = 9;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.IndicesMisordered.selector, 2));
        caller.checkCells(c, DevSrs.tauG2());
    }

    function test_cells_reverts_whenAnIndexIsOutsideTheDomain() public {
        CellOpeningsCaller.Cells memory c = _cells(_blob(16, "blob"), _indices(1, 2, 8));

        // w^24 is w^8: without the bound, one value would be shown at two indices.
        c.opening.indices[2] = 24;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.IndexOutOfRange.selector, 24, 16));
        caller.checkCells(c, DevSrs.tauG2());
    }

    function test_slot_reverts_whenTheSlotIsOutsideTheDomain() public {
        CellOpeningsCaller.Slot memory s = _slot(_blob(16, "blob"), 4, 1);

        s.slot = 5;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.IndexOutOfRange.selector, 5, 4));
        caller.checkSlot(s, DevSrs.tauG2());
    }

    function test_reverts_whenAValueIsNotReduced() public {
        CellOpeningsCaller.Cells memory c = _cells(_blob(16, "blob"), _indices(1));
        c.opening.values[0] += R;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.ValueOutOfRange.selector, 0, c.opening.values[0]));
        caller.checkCells(c, DevSrs.tauG2());

        CellOpeningsCaller.Slot memory s = _slot(_blob(16, "blob"), 4, 1);
        s.opening.values[3] += R;
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.ValueOutOfRange.selector, 3, s.opening.values[3]));
        caller.checkSlot(s, DevSrs.tauG2());
    }

    function test_reverts_whenThereAreNotAsManyValues() public {
        CellOpeningsCaller.Cells memory c = _cells(_blob(16, "blob"), _indices(1, 2, 8));
        c.opening.values = new uint256[](2);
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.WrongValueCount.selector, 3, 2));
        caller.checkCells(c, DevSrs.tauG2());

        c.opening.indices = new uint32[](0);
        c.opening.values = new uint256[](0);
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.WrongValueCount.selector, 0, 0));
        caller.checkCells(c, DevSrs.tauG2());

        CellOpeningsCaller.Slot memory s = _slot(_blob(16, "blob"), 4, 1);
        s.opening.values = new uint256[](5);
        vm.expectRevert(abi.encodeWithSelector(CellOpenings.WrongValueCount.selector, 4, 5));
        caller.checkSlot(s, DevSrs.tauG2());
    }

    function test_reverts_whenAPointIsNone() public {
        CellOpeningsCaller.Cells memory c = _cells(_blob(16, "blob"), _indices(1));
        c.opening.quotient.y += 1;
        vm.expectRevert(
            abi.encodeWithSelector(CellOpenings.InvalidPoint.selector, c.opening.quotient.x, c.opening.quotient.y)
        );
        caller.checkCells(c, DevSrs.tauG2());

        CellOpeningsCaller.Slot memory s = _slot(_blob(16, "blob"), 4, 1);
        s.opening.remainder.x += Kzg.BASE_MODULUS;
        vm.expectRevert(
            abi.encodeWithSelector(CellOpenings.InvalidPoint.selector, s.opening.remainder.x, s.opening.remainder.y)
        );
        caller.checkSlot(s, DevSrs.tauG2());
    }

    function test_gas() public {
        BlobBook.Blob memory blob = _blob(512, "blob");
        uint32[] memory row = new uint32[](8);
        uint32[] memory rows = new uint32[](32);
        for (uint32 i; i < 32; ++i) {
            (rows[i], row[i % 8]) = (100 + i, 100 + i % 8);
        }

        caller.checkCells(_cells(blob, row), DevSrs.tauG2());
        vm.snapshotGasLastCall("FaultsArithmetic", "openCells8");
        caller.checkCells(_cells(blob, rows), DevSrs.tauG2());
        vm.snapshotGasLastCall("FaultsArithmetic", "openCells32");
        caller.checkSlot(_slot(blob, 256, 1), DevSrs.tauG2());
        vm.snapshotGasLastCall("FaultsArithmetic", "openSlot256");
    }

    function _refuseCells(CellOpeningsCaller.Cells memory c) private {
        vm.expectRevert(CellOpenings.FalseOpening.selector);
        caller.checkCells(c, DevSrs.tauG2());
    }

    function _refuseSlot(CellOpeningsCaller.Slot memory s) private {
        vm.expectRevert(CellOpenings.FalseOpening.selector);
        caller.checkSlot(s, DevSrs.tauG2());
    }

    function _blob(uint256 symbols, bytes32 seed) private view returns (BlobBook.Blob memory) {
        uint256[] memory contents = new uint256[](symbols);
        for (uint256 i; i < symbols; ++i) {
            contents[i] = uint256(keccak256(abi.encode(seed, i))) >> 8;
        }
        return BlobBook.blobOf(contents);
    }

    function _cells(BlobBook.Blob memory blob, uint32[] memory indices)
        private
        view
        returns (CellOpeningsCaller.Cells memory)
    {
        CellOpening memory opening = BlobBook.openCells(blob, indices);
        return CellOpeningsCaller.Cells(BlobBook.commitmentOf(blob), blob.symbols.length, opening);
    }

    function _slot(BlobBook.Blob memory blob, uint256 cells, uint256 slot)
        private
        view
        returns (CellOpeningsCaller.Slot memory)
    {
        SlotOpening memory opening = BlobBook.openSlot(blob, cells, slot);
        return CellOpeningsCaller.Slot(BlobBook.commitmentOf(blob), blob.symbols.length, cells, slot, opening);
    }

    function _indices(uint32 a) private pure returns (uint32[] memory indices) {
        indices = new uint32[](1);
        indices[0] = a;
    }

    function _indices(uint32 a, uint32 b, uint32 c) private pure returns (uint32[] memory indices) {
        indices = new uint32[](3);
        (indices[0], indices[1], indices[2]) = (a, b, c);
    }

    /// @dev The bits that are set.
    function _members(uint256 subset, uint32 size) private pure returns (uint32[] memory members) {
        uint256 count;
        members = new uint32[](size);
        for (uint32 i; i < size; ++i) {
            if (subset >> i & 1 == 1) members[count++] = i;
        }
        assembly ("memory-safe") {
            mstore(members, count)
        }
    }
}

/// @notice Openings of test/vectors/cell_openings.json, which the prover made with its own arithmetic.
contract CellOpeningsVectorsTest is Test {
    using stdJson for string;

    CellOpeningsCaller private caller;
    string private json;
    G2Point private tauG2;

    function setUp() public {
        caller = new CellOpeningsCaller();
        json = vm.readFile("test/vectors/cell_openings.json");
        tauG2 = G2Point({
            x1: json.readUint(".tau_g2.x1"),
            x0: json.readUint(".tau_g2.x0"),
            y1: json.readUint(".tau_g2.y1"),
            y0: json.readUint(".tau_g2.y0")
        });
    }

    function test_cells_areAcceptedAsTheVectorsSay() public view {
        for (uint256 i; i < 25; ++i) {
            bool isValid = this.validOf(_at(".cells", i));
            try caller.checkCells(this.cellsOf(_at(".cells", i)), tauG2) {
                assertTrue(isValid, _at(".cells", i));
            } catch {
                assertFalse(isValid, _at(".cells", i));
            }
        }
        assertFalse(vm.keyExistsJson(json, ".cells[25]"), "entries in the file");
    }

    function test_slots_areAcceptedAsTheVectorsSay() public view {
        for (uint256 i; i < 20; ++i) {
            bool isValid = this.validOf(_at(".slots", i));
            try caller.checkSlot(this.slotOf(_at(".slots", i)), tauG2) {
                assertTrue(isValid, _at(".slots", i));
            } catch {
                assertFalse(isValid, _at(".slots", i));
            }
        }
        assertFalse(vm.keyExistsJson(json, ".slots[20]"), "entries in the file");
    }

    function test_together_areAcceptedAsTheVectorsSay() public view {
        for (uint256 i; i < 8; ++i) {
            bool isValid = this.validOf(_at(".together", i));
            uint256[] memory cells = this.numbersOf(string.concat(_at(".together", i), ".cells"));
            uint256[] memory slots = this.numbersOf(string.concat(_at(".together", i), ".slots"));
            CellOpeningsCaller.Cells[] memory c = new CellOpeningsCaller.Cells[](cells.length);
            CellOpeningsCaller.Slot[] memory s = new CellOpeningsCaller.Slot[](slots.length);
            for (uint256 k; k < cells.length; ++k) {
                c[k] = this.cellsOf(_at(".cells", cells[k]));
            }
            for (uint256 k; k < slots.length; ++k) {
                s[k] = this.slotOf(_at(".slots", slots[k]));
            }
            try caller.checkAll(c, s, tauG2) {
                assertTrue(isValid, _at(".together", i));
            } catch {
                assertFalse(isValid, _at(".together", i));
            }
        }
        assertFalse(vm.keyExistsJson(json, ".together[8]"), "entries in the file");
    }

    /// @dev External, like the next ones, so that what reading the file takes of memory is freed.
    function validOf(string calldata path) external view returns (bool) {
        return json.readBool(string.concat(path, ".valid"));
    }

    function numbersOf(string calldata path) external view returns (uint256[] memory) {
        return json.readUintArray(path);
    }

    function cellsOf(string calldata path) external view returns (CellOpeningsCaller.Cells memory c) {
        c.commitment = _point(string.concat(path, ".commitment"));
        c.symbols = json.readUint(string.concat(path, ".symbols"));
        uint256[] memory indices = json.readUintArray(string.concat(path, ".indices"));
        c.opening.indices = new uint32[](indices.length);
        for (uint256 i; i < indices.length; ++i) {
            c.opening.indices[i] = uint32(indices[i]);
        }
        c.opening.values = json.readUintArray(string.concat(path, ".values"));
        c.opening.quotient = _point(string.concat(path, ".quotient"));
        c.opening.remainder = _point(string.concat(path, ".remainder"));
    }

    function slotOf(string calldata path) external view returns (CellOpeningsCaller.Slot memory s) {
        s.commitment = _point(string.concat(path, ".commitment"));
        s.symbols = json.readUint(string.concat(path, ".symbols"));
        s.cells = json.readUint(string.concat(path, ".slot_cells"));
        s.slot = json.readUint(string.concat(path, ".slot"));
        s.opening.values = json.readUintArray(string.concat(path, ".values"));
        s.opening.quotient = _point(string.concat(path, ".quotient"));
        s.opening.remainder = _point(string.concat(path, ".remainder"));
    }

    function _point(string memory path) private view returns (G1Point memory) {
        return G1Point(json.readUint(string.concat(path, ".x")), json.readUint(string.concat(path, ".y")));
    }

    function _at(string memory list, uint256 i) private pure returns (string memory) {
        return string.concat(list, "[", vm.toString(i), "]");
    }
}
