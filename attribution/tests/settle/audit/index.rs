use attribution::settle::{
    EarnerIndex, Info,
    audit::{Contributor, Evidence, Fault, Rule},
};

use super::world::{DIM, Posted, Served, World, calls, model, post, rules, world};

/// One call of model 1, whose contributors rank 12, 10, 11 and 15 or 15 and 11.
fn one() -> Vec<Served> {
    calls()[..1].to_vec()
}

/// Faults of an operator that believes in `claimed`.
fn faults(claimed: &World, truth: &World) -> (Posted, Vec<Fault>) {
    let posted = post(claimed, &one(), None);
    let faults = posted.faults(truth);
    (posted, faults)
}

fn credits(posted: &Posted) -> Vec<usize> {
    posted.rows_where(|row| matches!(row.info, Info::Credit { .. }))
}

#[test]
fn scores_are_of_sketch_and_sums() {
    let claimed = world().with_index(|index| index[0].1[0] += 1);
    let (posted, faults) = faults(&claimed, &world());
    assert_eq!(rules(&faults), [Rule::Score]);
    let record = posted.records()[0];
    let at = credits(&posted);
    let of_10 = |&&at: &&usize| posted.rows[at].account.key()[27..] == 10_u32.to_be_bytes();
    assert_eq!(faults[0].rows, [record, *at.iter().find(of_10).unwrap()]);
    let evidence = Evidence::Score { ordinal: 0, model: model(1), contributor: 0 };
    assert_eq!(faults[0].evidence, evidence);
    assert_eq!(faults.len(), 1);
}

#[test]
fn strangers_are_not_credited() {
    let who = Contributor { earner: EarnerIndex(13), accepted_rows: 0 };
    let truth = world().with_index(|index| drop(index.remove(3)));
    let claimed = truth.with_index(|index| index.insert(3, (who, vec![1; DIM])));
    let (posted, faults) = faults(&claimed, &truth);
    assert_eq!(rules(&faults), [Rule::Stranger]);
    let evidence = Evidence::Stranger { model: model(1), lower: Some(2), upper: Some(3) };
    assert!(faults.iter().all(|fault| fault.evidence == evidence));
    assert_eq!(faults.len(), 2, "a credit and a payout");
    assert_eq!(faults[1].rows, [posted.payout_of(1, 13)]);
}

#[test]
fn strangers_before_and_behind_all_contributors_are_found() {
    for (earner, lower, upper) in [(7, None, Some(0)), (17, Some(5), None)] {
        let who = Contributor { earner: EarnerIndex(earner), accepted_rows: 0 };
        let claimed = world().with_index(|index| {
            index.push((who, vec![1; DIM]));
            index.sort_by_key(|(contributor, _)| contributor.earner);
        });
        let (_, faults) = faults(&claimed, &world());
        assert_eq!(rules(&faults), [Rule::Stranger]);
        assert_eq!(faults[0].evidence, Evidence::Stranger { model: model(1), lower, upper });
    }
}

#[test]
fn accepted_rows_are_those_of_the_index() {
    let claimed = world().with_index(|index| index[1].0.accepted_rows += 1);
    let (posted, faults) = faults(&claimed, &world());
    let closing = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }))[0];
    let rows = vec![closing, posted.payout_of(1, 11)];
    let evidence = Evidence::WrongRows { model: model(1), contributor: 1 };
    assert_eq!(faults, [Fault { rule: Rule::Stranger, rows, evidence }]);
}

/// Which credits a contributor's must be between, counted from the record.
fn left_out(number: usize, max_credits: u8) -> (Posted, Vec<Fault>) {
    let mut truth = world();
    truth.rules.max_credits = max_credits;
    let claimed = truth.with_index(|index| index[number].1.fill(0));
    faults(&claimed, &truth)
}

#[test]
fn contributors_with_larger_scores_are_not_left_out() {
    // 12 leads, 11 is in the middle, 15 (of the same magnitude as 11) last.
    for (number, between) in [(2, vec![0]), (1, vec![1, 2]), (5, vec![2])] {
        for max_credits in [3, 4, 8] {
            let (posted, faults) = left_out(number, max_credits);
            let record = posted.records()[0];
            let credits = credits(&posted);
            let mut rows = vec![record, record + 4];
            rows.extend(between.iter().map(|&place| credits[place]));
            let room = max_credits > 3 || number != 5;
            let evidence = Evidence::LeftOut { ordinal: 0, model: model(1), contributor: number };
            let expected = Fault { rule: Rule::LeftOut, rows, evidence };
            let expected = if room { vec![expected] } else { vec![] };
            assert_eq!(faults, expected, "contributor {number}, at most {max_credits}");
        }
    }
}

#[test]
fn all_contributors_left_out_are_found() {
    let claimed = world().with_index(|index| index.iter_mut().for_each(|(_, sums)| sums.fill(0)));
    let (posted, faults) = faults(&claimed, &world());
    let record = posted.records()[0];
    assert_eq!(rules(&faults), [Rule::LeftOut]);
    assert_eq!(faults.len(), 4);
    assert!(faults.iter().all(|fault| fault.rows == [record, record + 4]));
}

#[test]
fn no_more_are_credited_than_the_rules_allow() {
    let mut truth = world();
    truth.rules.max_credits = 3;
    let (posted, faults) = faults(&world(), &truth);
    let record = posted.records()[0];
    let rows = vec![record, record + 4];
    assert_eq!(faults, [Fault { rule: Rule::TooMany, rows, evidence: Evidence::TooMany }]);
}

#[test]
fn contributors_with_accepted_rows_are_paid() {
    // 13 has rows and no influence: only its flat pay is kept from it.
    let claimed = world().with_index(|index| index[3].0.accepted_rows = 0);
    let (posted, faults) = faults(&claimed, &world());
    let closing = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }))[0];
    let before = posted.payout_of(1, 12);
    let rows = vec![closing, before, before + 1];
    let evidence = Evidence::Unpaid { model: model(1), contributor: 3 };
    assert_eq!(faults, [Fault { rule: Rule::Unpaid, rows, evidence }]);
}

#[test]
fn a_pool_without_any_payout_leaves_contributors_unpaid() {
    let truth = World::new(&[(2, 0)]);
    let claimed = truth.with_index(|index| index[0].0.accepted_rows = 0);
    let (posted, faults) = faults(&claimed, &truth);
    let closing = posted.rows_where(|row| matches!(row.info, Info::PoolClosing { .. }))[0];
    let evidence = Evidence::Unpaid { model: model(1), contributor: 0 };
    let rows = vec![closing, closing + 1];
    assert_eq!(faults, [Fault { rule: Rule::Unpaid, rows, evidence }]);
}
