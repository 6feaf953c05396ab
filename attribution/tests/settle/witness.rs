use attribution::{
    Error,
    settle::{
        CELL_BYTES, ChannelId, MAX_SKETCH, MAX_SYMBOLS, ModelId, SYMBOL_BYTES, Slot, SlotLayout,
        Witness, payload_header,
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

/// A witness of a model with sketches of so many dimensions.
fn sketched(dim: usize) -> Vec<u8> {
    let mut witness = vec![7; 229 + dim];
    witness[40..72].copy_from_slice(&[u8::try_from(dim).unwrap(); 32]);
    witness
}

#[test]
fn a_slot_that_holds_no_witness_is_none() {
    let (layout, witness) = (SlotLayout::new(32, 8).unwrap(), sketched(11));
    let blob = layout.write(&[&witness]).unwrap().remove(0);
    let read = |blob: &[u8], ordinal, dim| layout.witness(&[blob], ordinal, |_| dim);
    assert_eq!(read(&blob, 0, 11), Some(witness));
    assert_eq!(read(&blob, 0, 10), None, "a byte behind it is not zero");
    assert_eq!(read(&blob, 0, 20), None, "longer than the slot");
    assert_eq!(read(&blob, 3, 11), None, "there is no second blob");
    // Slot 1 has the symbols 1, 5, 9 and so on.
    for (symbol, refused) in [(1, true), (5, true), (29, true), (2, false), (0, false)] {
        let mut other = blob.clone();
        other[symbol * SYMBOL_BYTES] = 1;
        assert_eq!(read(&other, 0, 11).is_none(), refused, "{symbol}");
    }
    let long = layout.write(&[[0; 249]]);
    assert_eq!(long, Err(Error::WitnessLength { min: 0, max: 248, given: 249 }));
}

#[test]
fn a_witness_is_read_from_any_blob_whose_slot_holds_it() {
    let (layout, witness) = (SlotLayout::new(32, 8).unwrap(), sketched(0));
    let mut blob = layout.write(&[&witness]).unwrap().remove(0);
    let header = [&[0, 0, 0, 0, 3, 0xc1][..], &[0; 26]].concat();
    assert_eq!(blob[..SYMBOL_BYTES], header, "31 * 31 bytes of payload");
    blob[..SYMBOL_BYTES].fill(0xff);
    assert_eq!(layout.witness(&[&blob], 0, |_| 0), Some(witness.clone()));
    // The last of its 229 bytes is in its eighth cell, symbol 29; zeros follow.
    blob.truncate(29 * SYMBOL_BYTES + 1 + 229 - 7 * CELL_BYTES);
    assert_eq!(layout.witness(&[&blob], 0, |_| 0), Some(witness));
    assert_eq!(layout.witness(&[&blob[..blob.len() - 1]], 0, |_| 0).unwrap()[228], 0);
}

#[test]
fn a_header_says_how_long_the_payload_is() {
    // 31 * 15 = 0x1d1 and 31 * (2^19 - 1) = 0xf7ffe1.
    for (symbols, length) in [(16, [0, 0, 1, 0xd1]), (MAX_SYMBOLS, [0, 0xf7, 0xff, 0xe1])] {
        let header = payload_header(symbols);
        assert_eq!(header[..6], [&[0, 0][..], &length].concat());
        assert!(header[6..].iter().all(|&byte| byte == 0));
    }
    assert_eq!(payload_header(0), [0; SYMBOL_BYTES]);
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
            let read = layout.witness(&blobs, ordinal, |model| {
                assert_eq!(model.0, witness[40..72]);
                witness.len() - 229
            });
            prop_assert_eq!(read, Some(witness.clone()));
        }
    }

    #[test]
    fn whatever_is_decoded_is_encoded_back(
        bytes in prop::collection::vec(any::<u8>(), 229..400),
    ) {
        prop_assert_eq!(Witness::decode(&bytes).unwrap().encode(), bytes);
    }
}
