use attribution::settle::{
    Account, EarnerIndex, Factors, Info,
    audit::{Evidence, Fault, Rule},
};

use super::world::{Posted, World, calls, model, post, world};

/// A world in which influence of model 1 is believed by half and some have lost reputation.
fn distrusting() -> World {
    let shares = [(model(1).into(), 5_000)].into();
    let reputation = [(EarnerIndex(10), 7_501), (EarnerIndex(12), 2_500)].into();
    let mut world = world();
    world.factors = Factors { shares, reputation };
    world
}

fn second(world: &World) -> Posted {
    post(world, &calls(), Some(&post(world, &calls(), None)))
}

fn factor_of(posted: &Posted, at: usize) -> u16 {
    match posted.rows[at].info {
        Info::Payout { factor, .. } => factor,
        _ => panic!("a payout"),
    }
}

#[test]
fn payouts_have_the_factors_in_force_and_break_no_rule() {
    let world = distrusting();
    let posted = second(&world);
    assert_eq!(posted.faults(&world), []);
    let factor = |number, earner| factor_of(&posted, posted.payout_of(number, earner));
    // floor(5 000 * 7 501 / 10 000).
    assert_eq!((factor(1, 10), factor(1, 12), factor(1, 11)), (3_750, 1_250, 5_000));
    assert_eq!((factor(2, 10), factor(2, 11)), (7_501, 10_000));
}

#[test]
fn a_batch_by_other_figures_breaks_the_rule_at_every_payout_that_they_concern() {
    let world = distrusting();
    let mut other = world.clone();
    other.factors.reputation.insert(EarnerIndex(12), 10_000);
    let posted = second(&other);
    let expected: Vec<_> = [(1, 12), (2, 12)]
        .into_iter()
        .map(|(number, earner)| Fault {
            rule: Rule::Factor,
            rows: vec![posted.payout_of(number, earner)],
            evidence: Evidence::Factor { model: model(number) },
        })
        .collect();
    let mut faults = posted.faults(&world);
    faults.sort_by_key(|fault| fault.rows.clone());
    let mut sorted = expected;
    sorted.sort_by_key(|fault| fault.rows.clone());
    assert_eq!(faults, sorted);
}

#[test]
fn influence_pay_that_is_not_its_factors_is_the_rows_fault() {
    let world = distrusting();
    let posted = second(&world);
    let paid = posted
        .rows_where(|row| matches!(row.info, Info::Payout { influence, .. } if influence > 1));
    assert!(!paid.is_empty());
    for at in paid {
        let mut posted = posted.clone();
        let row = &mut posted.rows[at];
        row.amount += 1;
        let Info::Payout { influence, .. } = &mut row.info else { panic!("a payout") };
        *influence += 1;
        let faults = posted.faults(&world);
        let expected = Fault { rule: Rule::Row, rows: vec![at], evidence: Evidence::Row };
        assert!(faults.contains(&expected), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.rule != Rule::Factor), "{faults:?}");
    }
}

/// A lower factor whose influence, flat pay and sums all follow breaks no rule but its own.
#[test]
fn nobody_is_paid_less_under_a_consistent_but_wrong_factor() {
    let honest = world();
    let posted = second(&distrusting());
    let faults = posted.faults(&honest);
    assert!(!faults.is_empty());
    for fault in faults {
        assert_eq!(fault.rule, Rule::Factor);
        let Account::Balance(balance) = posted.rows[fault.rows[0]].account else {
            panic!("a balance")
        };
        assert_ne!(factor_of(&posted, fault.rows[0]), honest.factors.of(balance));
    }
}
