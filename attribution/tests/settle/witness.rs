use attribution::{
    Error,
    settle::{
        CELL_BYTES, ChannelId, MAX_SKETCH, MAX_SYMBOLS, ModelId, SYMBOL_BYTES, Slot, SlotLayout,
        Witness, witness_of_cells,
    },
};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{bytes, list, load, number, text};

fn witness(value: &Value) -> Witness {
    Witness {
        channel: ChannelId(bytes(&value["channel"])),
        ceiling: number(&value["ceiling"]),
        model: ModelId(bytes(&value["model"])),
        price_version: number(&value["priceVersion"]),
        prompt_hash: bytes(&value["prompt"]),
        seed: number(&value["seed"]),
        max_tokens: number(&value["maxTokens"]),
        time: number(&value["time"]),
        output_hash: bytes(&value["output"]),
        signature: bytes(&value["signature"]),
        sketch: list(&value["sketch"]).iter().map(number).collect(),
    }
}

fn long(value: &Value) -> Vec<u8> {
    hex::decode(&text(value)[2..]).unwrap()
}

#[test]
fn witnesses_are_written_and_hashed_as_the_independent_script_does() {
    for case in list(&load("witness.json")["witnesses"]) {
        let witness = witness(case);
        assert_eq!(witness.encode(), long(&case["bytes"]));
        assert_eq!(witness.hash(), bytes(&case["hash"]));
        assert_eq!(Witness::decode(&witness.encode()), Ok(witness));
    }
}

#[test]
fn bytes_that_are_no_witness_are_refused() {
    let refused = |given: usize| {
        let expected = Error::WitnessLength { min: 229, max: 229 + MAX_SKETCH, given };
        assert_eq!(Witness::decode(&vec![1; given]), Err(expected));
    };
    refused(0);
    refused(228);
    refused(229 + MAX_SKETCH + 1);
    assert!(Witness::decode(&[1; 229]).unwrap().sketch.is_empty());
}

#[test]
fn layouts_are_the_smallest_that_hold_the_records() {
    for case in list(&load("witness.json")["layouts"]) {
        let (records, longest) = (number(&case["records"]), number(&case["longest"]));
        let layout = SlotLayout::fitting(records, longest).unwrap();
        assert_eq!(layout.symbols(), number::<usize>(&case["symbols"]), "{case}");
        assert_eq!(layout.cells(), number::<usize>(&case["cells"]), "{case}");
        assert_eq!(layout.blobs(records), number::<usize>(&case["blobs"]), "{case}");
        for place in list(&case["places"]) {
            let (blob, slot) = (number(&place[1]), number(&place[2]));
            assert_eq!(layout.place(number(&place[0])), Slot { blob, slot }, "{case}");
        }
    }
}

#[test]
fn blobs_are_those_of_the_independent_script() {
    let vectors = load("witness.json");
    let filled = &vectors["filled"];
    let layout = SlotLayout::new(number(&filled["symbols"]), number(&filled["cells"])).unwrap();
    let witnesses: Vec<_> = list(&filled["witnesses"]).iter().map(long).collect();
    let blobs: Vec<_> = list(&filled["blobs"]).iter().map(long).collect();
    assert!(blobs.len() > 1, "the case has more than one blob");
    assert_eq!(layout.write(&witnesses), Ok(blobs));
}

#[test]
fn layouts_that_hold_no_slot_are_refused() {
    let unfit =
        [(16, 4), (8, 8), (24, 8), (32, 12), (2 * MAX_SYMBOLS, 8), (0, 0), (0, 8), (usize::MAX, 8)];
    for (symbols, cells) in unfit {
        let refused = Error::SlotLayout { symbols, cells };
        assert_eq!(SlotLayout::new(symbols, cells), Err(refused));
    }
    assert!(SlotLayout::new(16, 8).is_ok() && SlotLayout::new(MAX_SYMBOLS, 8).is_ok());
    assert!(SlotLayout::fitting(1, MAX_SYMBOLS / 2 * CELL_BYTES + 1).is_err());
    assert!(SlotLayout::fitting(usize::MAX, 229).unwrap().symbols() == MAX_SYMBOLS);
}

#[test]
fn damaged_blobs_and_slots_are_refused() {
    let layout = SlotLayout::new(32, 8).unwrap();
    let blob = layout.write(&[[7; 229]]).unwrap().remove(0);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut blob = blob.clone();
        change(&mut blob);
        assert!(matches!(layout.read(&blob, 1), Err(Error::WitnessBlob { .. })));
    };
    refused(&|blob| blob[5] ^= 1);
    refused(&|blob| blob.truncate(blob.len() - 1));
    refused(&|blob| blob.extend([0; SYMBOL_BYTES]));
    refused(&|blob| blob[SYMBOL_BYTES] = 1);
    for slot in [0, 4, usize::MAX] {
        assert_eq!(layout.read(&blob, slot), Err(Error::NoSuchSlot { slot, slots: 4 }));
    }
    let cells = layout.read(&blob, 1).unwrap();
    assert_eq!(witness_of_cells(&cells, 229), Some(vec![7; 229]));
    assert_eq!(witness_of_cells(&cells, 228), None, "a byte behind it is not zero");
    assert_eq!(witness_of_cells(&cells, 8 * CELL_BYTES + 1), None, "longer than the slot");
    let long = layout.write(&[[0; 249]]);
    assert_eq!(long, Err(Error::WitnessLength { min: 0, max: 248, given: 249 }));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        witnesses in prop::collection::vec(prop::collection::vec(any::<u8>(), 229..300), 1..40),
        smaller in 0_u32..3,
    ) {
        let longest = witnesses.iter().map(Vec::len).max().unwrap();
        let fitting = SlotLayout::fitting(witnesses.len(), longest).unwrap();
        let symbols = (fitting.symbols() >> smaller).max(2 * fitting.cells());
        let layout = SlotLayout::new(symbols, fitting.cells()).unwrap();
        let blobs = layout.write(&witnesses).unwrap();
        prop_assert_eq!(blobs.len(), layout.blobs(witnesses.len()));
        let mut places = std::collections::BTreeSet::new();
        for (ordinal, witness) in witnesses.iter().enumerate() {
            let Slot { blob, slot } = layout.place(ordinal);
            prop_assert!(places.insert((blob, slot)));
            let cells = layout.read(&blobs[blob], slot).unwrap();
            prop_assert_eq!(witness_of_cells(&cells, witness.len()), Some(witness.clone()));
        }
    }

    #[test]
    fn whatever_is_decoded_is_encoded_back(
        bytes in prop::collection::vec(any::<u8>(), 229..400),
    ) {
        prop_assert_eq!(Witness::decode(&bytes).unwrap().encode(), bytes);
    }
}
