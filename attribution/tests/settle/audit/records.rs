use attribution::settle::{
    EarnerIndex, Info, Witness,
    audit::{Evidence, Fault, Rule, Sources},
};

use super::world::{BASE, Posted, World, calls, model, post, rules, world};

fn changed(change: impl FnOnce(&mut Posted)) -> Vec<Fault> {
    let mut posted = post(&world(), &calls(), None);
    change(&mut posted);
    posted.faults(&world())
}

fn record(posted: &Posted, number: usize) -> usize {
    posted.records()[number]
}

/// Changes what a record's witness says, and the row's hash with it.
fn rewrite(posted: &mut Posted, number: usize, change: impl FnOnce(&mut Witness)) {
    change(&mut posted.witnesses[number]);
    let hash = posted.witnesses[number].hash();
    let at = record(posted, number);
    let Info::Record { record, .. } = &mut posted.rows[at].info else { panic!("a record") };
    record.copy_from_slice(&hash[..31]);
    posted.write_witnesses();
}

#[test]
fn fees_are_by_the_signed_price() {
    let mut claimed = world();
    claimed.price.output_rate += 1_000;
    let posted = post(&claimed, &calls(), None);
    let faults = posted.faults(&world());
    assert_eq!(rules(&faults), [Rule::Fee]);
    assert_eq!(faults.len(), calls().len());
    assert_eq!(faults[1].rows, [record(&posted, 1)]);
    assert_eq!(faults[1].evidence, Evidence::Fee { ordinal: 1 });
}

#[test]
fn a_price_version_that_does_not_exist_charges_nothing() {
    let faults = changed(|posted| {
        rewrite(posted, 2, |witness| {
            witness.price_version = 2;
            witness.signature = world().signature(witness);
        });
        let (at, digest) = (record(posted, 2), world().voucher_digest(&posted.witnesses[2]));
        let Info::Record { price_version, voucher, .. } = &mut posted.rows[at].info else {
            panic!("a record")
        };
        *price_version = 2;
        voucher.copy_from_slice(&digest[..31]);
    });
    // Another digest may be out of order beside.
    assert!(rules(&faults).contains(&Rule::Fee));
    assert!(rules(&faults).iter().all(|rule| [Rule::Fee, Rule::Sequence].contains(rule)));
}

#[test]
fn shares_go_to_whom_the_registries_name() {
    let pay = |change: &dyn Fn(&mut World), position, of| {
        let mut claimed = world();
        change(&mut claimed);
        let posted = post(&claimed, &calls()[..1], None);
        let at = record(&posted, 0);
        let rows = vec![at, at + position];
        let evidence = Evidence::Payee { model: of };
        assert_eq!(posted.faults(&world()), [Fault { rule: Rule::Payee, rows, evidence }]);
    };
    pay(&|claimed| claimed.owner = EarnerIndex(5), 2, model(1));
    pay(&|claimed| claimed.stakers = EarnerIndex(5), 3, Default::default());
    let faults = changed(|posted| {
        let at = record(posted, 0) + 2;
        let Info::Share { weight, .. } = &mut posted.rows[at].info else { panic!("a share") };
        *weight = 2;
    });
    assert_eq!(rules(&faults), [Rule::Payee]);
}

#[test]
fn records_of_a_channel_do_not_overlap() {
    let posted = post(&world(), &calls(), None);
    let (first, second) = (record(&posted, 0), record(&posted, 1));
    let third = record(&posted, 2);
    let of_channel = |at: usize| posted.rows[at].account == posted.rows[first].account;
    let second = if of_channel(second) { second } else { third };
    let faults = changed(|posted| {
        let Info::Record { from, .. } = &mut posted.rows[second].info else { panic!("a record") };
        *from -= 1;
    });
    let rows = vec![first, second];
    assert_eq!(faults, [Fault { rule: Rule::Overlap, rows, evidence: Evidence::Overlap }]);
}

#[test]
fn records_charge_what_was_drawn() {
    let posted = post(&world(), &calls(), None);
    let account = posted.rows[record(&posted, 0)].account;
    let charged = posted.rows_where(|row| row.account == account);
    let draw = |posted: &Posted| {
        let of = |draw: &attribution::settle::Draw| {
            attribution::settle::Account::draw(draw.channel) == account
        };
        posted.draws.iter().position(of).unwrap()
    };
    let expected = |at| Fault { rule: Rule::Outside, rows: vec![at], evidence: Evidence::Outside };
    let late = changed(|posted| {
        let at = draw(posted);
        posted.draws[at].from += 1;
    });
    assert_eq!(late, [expected(charged[0])]);
    let short = changed(|posted| {
        let at = draw(posted);
        posted.draws[at].to -= 1;
    });
    assert_eq!(short.len(), 1);
    assert_eq!(short[0].rule, Rule::Outside);
    let none = changed(|posted| {
        let at = draw(posted);
        posted.draws.remove(at);
    });
    assert_eq!(none, charged.into_iter().map(expected).collect::<Vec<_>>());
}

#[test]
fn vouchers_are_signed_for_the_call() {
    let expected = |posted: &Posted| {
        let rows = vec![record(posted, 1)];
        Fault { rule: Rule::Voucher, rows, evidence: Evidence::Voucher { ordinal: 1 } }
    };
    let posted = post(&world(), &calls(), None);
    let broken = |change: &dyn Fn(&mut Witness)| {
        let faults = changed(|posted| rewrite(posted, 1, change));
        assert_eq!(faults, [expected(&posted)]);
    };
    broken(&|witness| witness.signature[3] ^= 1);
    broken(&|witness| witness.ceiling -= 1);
    broken(&|witness| witness.prompt_hash[3] ^= 1);
    broken(&|witness| witness.seed += 1);
    broken(&|witness| witness.channel.0[3] ^= 1);
    broken(&|witness| witness.time += 1);
    broken(&|witness| witness.max_tokens = 0);
    broken(&|witness| witness.price_version += 1);
}

#[test]
fn a_voucher_covers_tokens_and_charge() {
    // Signed for less: one token less than were generated, or a ceiling below the interval's end.
    for less in [
        |witness: &mut Witness, tokens: u32, _: u64| witness.max_tokens = u64::from(tokens) - 1,
        |witness: &mut Witness, _: u32, to: u64| witness.ceiling = to - 1,
    ] {
        let faults = changed(|posted| {
            let at = record(posted, 0);
            let Info::Record { tokens_out, from, .. } = posted.rows[at].info else {
                panic!("a record")
            };
            let to = from + posted.rows[at].value.unsigned_abs();
            rewrite(posted, 0, |witness| {
                less(witness, tokens_out, to);
                witness.signature = world().signature(witness);
            });
            let digest = world().voucher_digest(&posted.witnesses[0]);
            let Info::Record { voucher, .. } = &mut posted.rows[at].info else {
                panic!("a record")
            };
            voucher.copy_from_slice(&digest[..31]);
        });
        assert_eq!(rules(&faults), [Rule::Voucher]);
    }
}

#[test]
fn witnesses_are_in_their_slots() {
    let posted = post(&world(), &calls(), None);
    let rows = vec![record(&posted, 2)];
    let expected = Fault { rule: Rule::Witness, rows, evidence: Evidence::Witness { ordinal: 2 } };
    let place = posted.layout.place(2);
    let indices: Vec<_> = posted.layout.indices(place.slot).collect();
    for (cell, byte, bits) in [(0, 1, 1), (0, 0, 1), (7, 31, 1), (5, 30, 255)] {
        let faults = changed(|posted| posted.blobs[0][indices[cell] * 32 + byte] ^= bits);
        assert_eq!(faults, std::slice::from_ref(&expected), "cell {cell}, byte {byte}");
    }
    let faults = changed(|posted| posted.blobs.clear());
    assert_eq!(rules(&faults), [Rule::Witness]);
    assert_eq!(faults[2].evidence, Evidence::WitnessMissing { ordinal: 2 });
    let faults = changed(|posted| posted.blobs[0].truncate(40));
    assert_eq!(rules(&faults), [Rule::Witness]);
}

#[test]
fn a_witness_is_as_long_as_its_models_sketch() {
    let faults = changed(|posted| rewrite(posted, 1, |witness| witness.sketch.push(1)));
    let posted = post(&world(), &calls(), None);
    let rows = vec![record(&posted, 1)];
    let evidence = Evidence::Witness { ordinal: 1 };
    assert_eq!(faults, [Fault { rule: Rule::Witness, rows, evidence }]);
}

#[test]
fn models_without_an_accepted_index_do_not_earn() {
    let mut truth = world();
    truth.is_earning = false;
    let posted = post(&world(), &calls(), None);
    let faults = posted.faults(&truth);
    assert_eq!(rules(&faults), [Rule::NotEarning]);
    let base = calls().iter().filter(|call| call.model == BASE).count();
    assert_eq!(faults.len(), calls().len() - base, "a base model needs no index");
    assert_eq!(faults[0].rows, [record(&posted, 0)]);
    assert_eq!(faults[0].evidence, Evidence::NotEarning { model: model(1) });
}
