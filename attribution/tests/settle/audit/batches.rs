use attribution::settle::{
    Info, Witness,
    audit::{Audit, Evidence, Fault, Receipt, Rows, Rule, Sources},
    keccak,
};

use super::world::{Posted, calls, post, world};

fn receipts(posted: &Posted) -> Vec<Receipt> {
    let receipt = |(&at, witness): (&usize, &Witness)| {
        let row = &posted.rows[at];
        let Info::Record { tokens_in, tokens_out, .. } = row.info else { panic!("a record") };
        let sketch: Vec<_> = witness.sketch.iter().map(|x| x.cast_unsigned()).collect();
        Receipt {
            voucher: world().voucher_digest(witness),
            fee: row.value.unsigned_abs(),
            tokens_in: tokens_in.into(),
            tokens_out: tokens_out.into(),
            output_hash: witness.output_hash,
            sketch_hash: keccak(&[&sketch]),
        }
    };
    posted.records().iter().zip(&posted.witnesses).map(receipt).collect()
}

#[test]
fn records_are_as_their_receipts_say() {
    let posted = post(&world(), &calls(), None);
    let (rows, truth) = (Rows::from_rows(posted.rows.clone()), world());
    let audit = Audit::new(&rows, posted.batch(), &truth);
    for (ordinal, receipt) in (0..).zip(receipts(&posted)) {
        assert_eq!(audit.receipt_fault(&receipt), None);
        let expected = Fault {
            rule: Rule::Receipt,
            rows: vec![posted.records()[usize::from(ordinal)]],
            evidence: Evidence::Receipt { ordinal },
        };
        let broken = |change: &dyn Fn(&mut Receipt)| {
            let mut receipt = receipt;
            change(&mut receipt);
            assert_eq!(audit.receipt_fault(&receipt), Some(expected.clone()));
        };
        broken(&|receipt| receipt.fee += 1);
        broken(&|receipt| receipt.tokens_in += 1);
        broken(&|receipt| receipt.tokens_out += 1 << 32);
        broken(&|receipt| receipt.output_hash[0] ^= 1);
        broken(&|receipt| receipt.sketch_hash[0] ^= 1);
    }
}

#[test]
fn calls_with_a_receipt_have_a_record() {
    let posted = post(&world(), &calls(), None);
    let (rows, truth) = (Rows::from_rows(posted.rows.clone()), world());
    let audit = Audit::new(&rows, posted.batch(), &truth);
    let records = posted.records();
    let times: Vec<_> = posted.witnesses.iter().map(|witness| witness.time).collect();
    for (receipt, &time) in receipts(&posted).iter().zip(&times) {
        assert_eq!(audit.omitted(receipt.voucher, time), None);
    }
    let omitted = |voucher, time, expected: &[usize]| {
        let rows = expected.to_vec();
        let fault = Fault { rule: Rule::Omitted, rows, evidence: Evidence::Omitted };
        assert_eq!(audit.omitted(voucher, time), Some(fault));
    };
    omitted([9; 32], times[0] - 1, &[records[0]]);
    omitted([9; 32], times[0] + 1, &[records[0], records[1]]);
    omitted([0; 32], times[1], &[records[0], records[1]]);
    omitted([255; 32], times[2], &[records[2], records[3]]);
    omitted([9; 32], times[4] + 1, &[0, records[4]]);
}
