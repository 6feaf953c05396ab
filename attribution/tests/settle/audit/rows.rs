use attribution::settle::{
    EarnerIndex, Info, Row,
    audit::{Evidence, Fault, Rule},
};

use super::world::{Posted, calls, post, rules, world};

/// The batch with one thing changed, which must break this rule only.
fn breaks(rule: Rule, evidence: Evidence, rows: &[usize], change: impl FnOnce(&mut Posted)) {
    let first = post(&world(), &calls(), None);
    let mut posted = post(&world(), &calls(), Some(&first));
    change(&mut posted);
    let expected = Fault { rule, rows: rows.to_vec(), evidence };
    assert_eq!(posted.faults(&world()), [expected]);
}

fn second() -> Posted {
    post(&world(), &calls(), Some(&post(&world(), &calls(), None)))
}

fn find(holds: impl Fn(&Row) -> bool) -> usize {
    second().rows_where(holds)[0]
}

#[test]
fn rows_that_do_not_decode_are_malformed() {
    let posted = second();
    let last = posted.rows.len() - 1;
    for (row, cell, byte, value) in
        [(last, 4, 1, 14), (last, 0, 0, 1), (last, 7, 31, 1), (3, 2, 0, 0x30), (0, 7, 1, 1)]
    {
        let mut symbols = posted.symbols();
        symbols[8 * row + cell][byte] ^= value;
        let faults = posted.faults_of(&symbols, &world());
        let expected =
            Fault { rule: Rule::Malformed, rows: vec![row], evidence: Evidence::Malformed };
        assert_eq!(faults[0], expected);
        assert!(row == 3 || faults.len() == 1, "{faults:?}");
    }
}

#[test]
fn the_header_is_the_batchs() {
    let broken = |change: &dyn Fn(&mut Posted)| {
        breaks(Rule::Header, Evidence::Header, &[0], change);
    };
    broken(&|posted| posted.header.chain_id += 1);
    broken(&|posted| posted.header.settlement[3] ^= 1);
    broken(&|posted| posted.header.operator[3] ^= 1);
    broken(&|posted| posted.total += 1);
    broken(&|posted| posted.rows[0].value = 1);
    broken(&|posted| posted.rows[0].amount = 1);
    broken(&|posted| {
        let Info::Header { rows, .. } = &mut posted.rows[0].info else { panic!("the header") };
        *rows *= 2;
    });
    let posted = second();
    let mut symbols = posted.symbols();
    symbols[0][5] ^= 1;
    assert_eq!(rules(&posted.faults_of(&symbols, &world())), [Rule::Header]);
}

#[test]
fn rows_alone_follow_their_kind() {
    let broken = |at: usize, change: &dyn Fn(&mut Row)| {
        breaks(Rule::Row, Evidence::Row, &[at], |posted| change(&mut posted.rows[at]));
    };
    let last = second().rows.len() - 1;
    let share = find(|row| matches!(row.info, Info::Share { .. }));
    let payout = find(|row| matches!(row.info, Info::Payout { .. }) && row.value > 0);
    let closing = find(|row| matches!(row.info, Info::PoolClosing { .. }));
    let fixed = find(|row| row.info == Info::FixedPayout);
    broken(1, &|carry| carry.amount = 1);
    broken(share, &|share| share.earner = EarnerIndex(10));
    broken(share, &|share| share.amount = 9);
    broken(last, &|padding| padding.value = 1);
    broken(last, &|padding| padding.earner = EarnerIndex(1));
    broken(payout, &|payout| payout.earner = EarnerIndex(10));
    broken(payout, &|payout| payout.amount += 1);
    broken(closing, &|closing| closing.earner = EarnerIndex(2));
    broken(closing, &|closing| closing.amount += 1);
    broken(fixed, &|fixed| fixed.amount -= 1);
    broken(fixed, &|fixed| fixed.value = i64::MIN);
}

#[test]
fn a_time_outside_of_the_epoch_is_the_rows_fault() {
    // Both the payer and the operator name the later time, and records stay in order.
    let mut posted = second();
    let at = *posted.records().last().unwrap();
    let world = world();
    let witness = posted.witnesses.last_mut().unwrap();
    witness.time += 1;
    witness.signature = world.signature(witness);
    let hashes =
        (witness.hash(), attribution::settle::audit::Sources::voucher_digest(&world, witness));
    let Info::Record { time, voucher, record, .. } = &mut posted.rows[at].info else {
        panic!("a record")
    };
    *time += 1;
    record.copy_from_slice(&hashes.0[..31]);
    voucher.copy_from_slice(&hashes.1[..31]);
    posted.write_witnesses();
    let expected = Fault { rule: Rule::Row, rows: vec![at], evidence: Evidence::Row };
    assert_eq!(posted.faults(&world), [expected]);
}

#[test]
fn earners_must_be_registered() {
    let mut world = world();
    world.stakers = EarnerIndex(41);
    let posted = post(&world, &calls(), None);
    assert_eq!(rules(&posted.faults(&world)), [Rule::Row]);
}

#[test]
fn rows_follow_each_other_by_the_grammar() {
    let broken = |first: usize, change: &dyn Fn(&mut Posted)| {
        breaks(Rule::Neighbours, Evidence::Neighbours, &[first, first + 1], change);
    };
    let fixed = find(|row| row.info == Info::FixedPayout);
    let payout = find(|row| matches!(row.info, Info::Payout { .. }));
    let credit = find(|row| matches!(row.info, Info::Credit { .. }));
    let last = second().rows.len() - 1;
    broken(fixed, &|posted| posted.rows.swap(fixed, fixed + 1));
    broken(last - 1, &|posted| {
        let row = Row { account: posted.rows[fixed].account, ..Row::PADDING };
        posted.rows[last] = Row { info: Info::FixedPayout, ..row }.paying(EarnerIndex(1), 0);
    });
    // Two faults: the sum does not follow the row before, nor the row after it the sum.
    let mut posted = second();
    let Info::Payout { through, .. } = &mut posted.rows[payout + 1].info else {
        panic!("a payout")
    };
    through.flat += 1;
    let faults = posted.faults(&world());
    assert_eq!(rules(&faults), [Rule::Neighbours]);
    assert_eq!(
        [&faults[0].rows, &faults[1].rows],
        [&[payout, payout + 1], &[payout + 1, payout + 2]]
    );

    let mut posted = second();
    let Info::Credit { magnitude_through, .. } = &mut posted.rows[credit].info else {
        panic!("a credit")
    };
    *magnitude_through += 1;
    assert_eq!(rules(&posted.faults(&world())), [Rule::Neighbours]);
}

#[test]
fn records_are_in_sequence() {
    breaks_count(|posted| {
        let Info::Header { records, .. } = &mut posted.rows[0].info else { panic!("the header") };
        *records += 1;
    });
    // The second and third call were signed in the same second: their order is the vouchers'.
    let mut posted = second();
    let records = posted.records();
    let (a, b, c) = (records[1], records[2], records[3]);
    posted.rows[a..c].rotate_left(b - a);
    posted.witnesses.swap(1, 2);
    posted.write_witnesses();
    let records = posted.records();
    for (number, &at) in (0..).zip(&records) {
        let Info::Record { ordinal, .. } = &mut posted.rows[at].info else { panic!("a record") };
        *ordinal = number;
    }
    let faults = posted.faults(&world());
    let expected = Fault {
        rule: Rule::Sequence,
        rows: vec![records[1], records[1] + 4, records[2]],
        evidence: Evidence::Sequence,
    };
    assert_eq!(faults, [expected]);
}

fn breaks_count(change: impl FnOnce(&mut Posted)) {
    let posted = second();
    let last = *posted.records().last().unwrap();
    let after = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }))[0];
    breaks(Rule::Sequence, Evidence::RecordCount, &[0, last, last + 4, after], change);
}

#[test]
fn rules_are_numbered_as_in_solidity() {
    assert_eq!(Rule::Malformed as u8, 0);
    assert_eq!((Rule::Sketch as u8, Rule::Citation as u8), (24, 26));
}
