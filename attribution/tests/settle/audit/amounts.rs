use attribution::settle::{
    Info, Row, Split,
    audit::{Evidence, Fault, Rule},
};

use super::world::{Posted, calls, post, rules, world};

fn changed(change: impl FnOnce(&mut Posted)) -> Vec<Fault> {
    let mut posted = post(&world(), &calls(), None);
    change(&mut posted);
    posted.faults(&world())
}

#[test]
fn shares_are_split_by_the_rules_of_the_time() {
    let mut claimed = world();
    claimed.rules.split = Split::new(1_000, 2_000, 3_000, 4_000).unwrap();
    let posted = post(&claimed, &calls(), None);
    let faults = posted.faults(&world());
    assert_eq!(rules(&faults), [Rule::Split]);
    // Stakers' share and pool of each record.
    let expected: Vec<_> =
        posted.records().iter().flat_map(|&at| [[at, at + 3], [at, at + 4]]).collect();
    let found: Vec<_> = faults.iter().map(|fault| fault.rows.clone()).collect();
    assert_eq!(found, expected);
    assert!(faults.iter().all(|fault| fault.evidence == Evidence::Split));
}

#[test]
fn credits_are_what_their_scores_give() {
    // A gwei more in one record and one less in another of the same model: the balance is the same.
    let posted = post(&world(), &calls(), None);
    let credits = posted.rows_where(|row| matches!(row.info, Info::Credit { .. }));
    let other = *credits[1..]
        .iter()
        .find(|&&at| posted.rows[at].account == posted.rows[credits[0]].account)
        .unwrap();
    let faults = changed(|posted| {
        posted.rows[credits[0]].value += 1;
        posted.rows[other].value -= 1;
    });
    assert_eq!(rules(&faults), [Rule::Credit]);
    let record = posted.records()[0];
    assert_eq!(faults[0].rows, [record + 4, credits[0]]);
    assert_eq!(faults[0].evidence, Evidence::Credit);
}

#[test]
fn a_pool_row_counts_its_credits() {
    let posted = post(&world(), &calls(), None);
    let last = *posted.records().last().unwrap() + 4;
    let claim = |more: i16| {
        changed(|posted| {
            let Info::PoolShare { credits, .. } = &mut posted.rows[last].info else {
                panic!("a pool share")
            };
            *credits = u8::try_from(i16::from(*credits) + more).unwrap();
        })
    };
    let expected = |rows| Fault { rule: Rule::Credit, rows, evidence: Evidence::CreditCount };
    let Info::PoolShare { credits, .. } = posted.rows[last].info else { panic!("a pool share") };
    let end = last + usize::from(credits);
    assert_eq!(claim(1), [expected(vec![last, end + 1])]);
    assert_eq!(claim(-1)[0], expected(vec![last, end]));
    let many = claim(200);
    assert_eq!(many[0], expected(vec![last]));
}

#[test]
fn flat_pay_is_by_accepted_rows() {
    // A gwei of flat pay moves from one contributor to the one before.
    let posted = post(&world(), &calls(), None);
    let flat = |row: &Row| matches!(row.info, Info::Payout { flat: 1.., .. });
    let first = posted.payout_of(1, 10);
    assert!(flat(&posted.rows[first]) && flat(&posted.rows[first + 1]));
    let faults = changed(|posted| {
        for (at, more) in [(first, 1), (first + 1, -1)] {
            let row = &mut posted.rows[at];
            row.amount = row.amount.checked_add_signed(more).unwrap();
            let Info::Payout { flat, through, .. } = &mut row.info else { panic!("a payout") };
            *flat = flat.checked_add_signed(more).unwrap();
            through.flat += u64::from(more > 0);
        }
    });
    let account = posted.rows[first].account.key();
    let closings = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }));
    let closing = *closings
        .iter()
        .find(|&&at| posted.rows[at].account.key()[1..27] == account[1..27])
        .unwrap();
    let expected =
        |at| Fault { rule: Rule::Flat, rows: vec![closing, at], evidence: Evidence::Flat };
    assert_eq!(faults, [expected(first), expected(first + 1)]);
}

#[test]
fn a_pool_closes_against_its_payouts() {
    // The treasury takes a gwei that the row says was flat pay, or gives one.
    let posted = post(&world(), &calls(), None);
    for closing in
        posted.rows_where(|row| matches!(row.info, Info::PoolClosing { weight: 1.., .. }))
    {
        let faults = changed(|posted| {
            let row = &mut posted.rows[closing];
            let Info::PoolClosing { flat, .. } = &mut row.info else { panic!("a pool closing") };
            *flat -= 1;
            row.amount += 1;
        });
        assert_eq!(rules(&faults), [Rule::Closing]);
        let model = |row: &Row| row.account.key()[1..27].to_vec();
        let of = model(&posted.rows[closing]);
        let payouts =
            posted.rows_where(|row| matches!(row.info, Info::Payout { .. }) && model(row) == of);
        let last = *payouts.last().unwrap();
        assert_eq!(faults[0].rows, [closing, last, last + 1]);
    }
}

#[test]
fn a_pool_without_payouts_closes_against_nothing() {
    let posted = post(&world(), &calls(), None);
    let closings = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { weight: 0, .. }));
    let [closing] = closings[..] else { panic!("one of a base model") };
    let faults = changed(|posted| {
        let row = &mut posted.rows[closing];
        let Info::PoolClosing { flat, .. } = &mut row.info else { panic!("a pool closing") };
        *flat += 1;
        row.amount -= 1;
    });
    assert_eq!(rules(&faults), [Rule::Closing]);
    assert!(faults[0].rows.contains(&closing));
}
