use std::collections::BTreeMap;

use attribution::settle::{
    Account, BatchHeader, BatchInputs, Call, Carries, EarnerIndex, Factors, ModelId, Payees, Price,
    Record, Row, Split, Terms, build,
};
use prover::{
    Error, LedgerCommitment, Srs, blob_from_rows, blob_payload, commit_ledger, ledger_from_blob,
    rows_from_blob, verify,
};

use crate::{SRS, vectors::ledger_rows};

#[test]
fn a_blob_reads_back_as_its_rows() {
    let rows = ledger_rows();
    let blob = blob_from_rows(&rows).unwrap();
    assert_eq!(blob.len(), rows.len() * 256);
    assert_eq!(rows_from_blob(&blob).unwrap(), rows);
    assert_eq!(blob_payload(&blob).unwrap().len(), 31 * (8 * rows.len() - 1));
    assert_eq!(blob[..8], [0, 0, 0, 0, 0x3d, 0xe1, 0, 0], "31 * (8 * 64 - 1) = 0x3de1");
    let statement = ledger_from_blob(&blob).unwrap();
    assert_eq!(statement.payouts.values().sum::<u64>(), statement.total);
}

#[test]
fn a_damaged_blob_is_refused() {
    let blob = blob_from_rows(&ledger_rows()).unwrap();
    let with = |at: usize, byte: u8| {
        let mut blob = blob.clone();
        blob[at] = byte;
        blob
    };
    let lengths = [0, 1, 256, 8 * 256 - 1, 24 * 256, blob.len() - 32, (1 << 24) + (1 << 24)];
    for given in lengths {
        let refused = rows_from_blob(&vec![0; given]);
        assert!(matches!(refused, Err(Error::BlobLength { given: g }) if g == given), "{given}");
    }
    for at in [0, 1, 5, 6, 31] {
        let refused = rows_from_blob(&with(at, 0x77));
        assert!(matches!(refused, Err(Error::PayloadHeader { length: 15_841 })), "byte {at}");
    }
    for symbol in [1, 8, 511] {
        let refused = blob_payload(&with(32 * symbol, 1));
        let expected =
            matches!(refused, Err(Error::SymbolPrefix { symbol: s, byte: 1 }) if s == symbol);
        assert!(expected, "symbol {symbol}");
    }
    // The earner of row 1 cannot be 2^240.
    assert!(matches!(rows_from_blob(&with(257, 1)), Err(Error::Row { row: 1, .. })));
    // A gwei more posted is well formed, but no ledger.
    let one_more = with(256 + 4 * 32 - 1, blob[256 + 4 * 32 - 1] ^ 1);
    assert!(rows_from_blob(&one_more).is_ok());
    assert!(matches!(ledger_from_blob(&one_more), Err(Error::Ledger(_))));
}

#[test]
fn rows_that_are_not_a_power_of_two_have_no_blob() {
    for count in [0, 4, 7, 12, 100] {
        let refused = blob_from_rows(&vec![Row::PADDING; count]);
        assert!(matches!(refused, Err(Error::BlobLength { .. })), "{count} rows");
    }
}

#[test]
fn every_cell_of_a_row_can_be_opened() {
    let rows = ledger_rows();
    let committed = LedgerCommitment::from_blob(&SRS, blob_from_rows(&rows).unwrap()).unwrap();
    assert_ne!(rows[3].account, Account::None);
    for (cell, bytes) in rows[3].to_cells().into_iter().enumerate() {
        let opening = committed.open_cell(&SRS, 3, cell).unwrap();
        assert_eq!(prover::evm::word(opening.value)[1..], bytes);
        assert!(verify(SRS.tau_g2(), committed.commitment(), &opening).unwrap());
    }
    assert!(matches!(committed.open_cell(&SRS, 64, 0), Err(Error::OutsideDomain { .. })));
    assert!(matches!(committed.open_cell(&SRS, 0, 8), Err(Error::OutsideDomain { .. })));
}

#[test]
fn a_built_ledger_is_committed_with_its_blob() {
    let call = Call { voucher: [9; 32], ..Call::default() };
    let price = Price { input_rate: 0, output_rate: 0, platform_fee: 1_000 };
    let terms = Terms { price, split: Split::default(), max_credits: 32 };
    let payees = Payees { owners: vec![], stakers: EarnerIndex(4) };
    let record = Record::new(call, terms, payees, &[(EarnerIndex(10), 3)]).unwrap();
    let ledger = build(&BatchInputs {
        header: BatchHeader::default(),
        carries: &Carries::new(),
        records: &[record],
        weights: &BTreeMap::from([(ModelId::default(), BTreeMap::new())]),
        factors: &Factors::default(),
    })
    .unwrap();
    let committed = commit_ledger(&SRS, &ledger).unwrap();
    assert_eq!(rows_from_blob(committed.blob()).unwrap(), ledger.rows());
    let read = LedgerCommitment::from_blob(&SRS, committed.blob().to_vec()).unwrap();
    assert_eq!(read, committed);

    let small = Srs::dev(31_337, b"tests", 64).unwrap();
    let refused = commit_ledger(&small, &ledger);
    assert!(matches!(refused, Err(Error::TooManyCoefficients { given: 128, max: 64 })));
}
