use attribution::settle::{
    Balance, Carries, EarnerIndex, Info, Row,
    audit::{Evidence, Fault, Rule},
};

use super::world::{Posted, calls, model, post, post_with, rules, world};

fn first() -> Posted {
    post(&world(), &calls(), None)
}

fn second(change: impl FnOnce(&mut Carries)) -> Vec<Fault> {
    post_with(&world(), &calls(), Some(&first()), change).faults(&world())
}

fn balance(number: u8) -> Balance {
    Balance::new(model(number), EarnerIndex(15))
}

#[test]
fn a_carry_is_what_the_previous_batch_left() {
    assert!(first().carries.contains_key(&balance(1)), "the world leaves a negative net");
    let faults = second(|carries| *carries.get_mut(&balance(1)).unwrap() += 1);
    let previous = vec![first().payout_of(1, 15)];
    assert_eq!(rules(&faults), [Rule::Carry]);
    assert_eq!(faults[0].evidence, Evidence::Carry { previous });
    assert_eq!(faults.len(), 1);
}

#[test]
fn a_carry_of_nothing_is_unfounded() {
    let faults = second(|carries| {
        carries.insert(Balance::new(model(9), EarnerIndex(15)), -1);
    });
    // Nobody contributes to a base model.
    assert_eq!(rules(&faults), [Rule::Carry, Rule::Stranger]);
    let Evidence::CarryUnfounded { previous } = &faults[0].evidence else { panic!("{faults:?}") };
    let of = |row: &Row| (row.info.kind(), row.account);
    let (before, after) = (of(&first().rows[previous[0]]), of(&first().rows[previous[1]]));
    let place = (8, attribution::settle::Account::Balance(Balance::new(model(9), EarnerIndex(15))));
    assert!(before < place && place < after);
}

#[test]
fn a_positive_net_is_not_carried_as_debt() {
    let faults = second(|carries| {
        carries.insert(Balance::new(model(1), EarnerIndex(10)), -5);
    });
    let previous = vec![first().payout_of(1, 10)];
    assert_eq!(rules(&faults), [Rule::Carry]);
    assert_eq!(faults[0].evidence, Evidence::Carry { previous });
}

#[test]
fn a_negative_net_is_carried() {
    let faults = second(|carries| {
        carries.remove(&balance(2));
    });
    let previous = vec![first().payout_of(2, 15)];
    assert_eq!(rules(&faults), [Rule::Carry]);
    assert_eq!(faults[0].evidence, Evidence::CarryLeftOut { previous });
    let rows = &faults[0].rows;
    assert_eq!(rows[1], rows[0] + 1);
}

#[test]
fn no_carry_left_where_all_are_left_out() {
    let faults = second(Carries::clear);
    assert_eq!(rules(&faults), [Rule::Carry]);
    assert!(faults.iter().all(|fault| fault.rows == [0, 1]), "between header and first record");
    assert_eq!(faults.len(), first().carries.len());
}

#[test]
fn the_first_batch_carries_nothing() {
    let carry = |carries: &mut Carries| {
        carries.insert(balance(1), -5);
    };
    let posted = post_with(&world(), &calls(), None, carry);
    let at = posted.rows_where(|row| row.info == Info::Carry)[0];
    let evidence = Evidence::CarryUnfounded { previous: vec![] };
    assert_eq!(posted.faults(&world()), [Fault { rule: Rule::Carry, rows: vec![at], evidence }]);
}
