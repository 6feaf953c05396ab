//! One planted fault per operator: what it believes, and what rule that breaks.

use attribution::settle::{
    Balance, Carries, EarnerIndex, Split,
    audit::{Contributor, Rule},
};

use super::{
    belief::{Belief, Operator, Posted, Served},
    index::{DIM, FIRST, MISSING},
    registries::{BASE, LATE, MAX_CREDITS, Registries, STRANGERS, calls},
    rows,
};

/// How an operator cheats.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// It takes the registries to say something else.
    Believe(fn(&mut Belief)),
    /// It serves other calls.
    Serve(fn(&mut Vec<Served>)),
    /// It changes the rows that it made.
    Change(fn(&Registries, &Operator, &mut Posted)),
    /// Its second batch takes over something else than the first one left.
    Carry(fn(&Registries, &mut Carries)),
}

/// An operator's fault.
#[derive(Clone, Copy)]
pub(super) struct Plant {
    pub(super) name: &'static str,
    pub(super) rule: Rule,
    pub(super) act: Act,
}

const fn plant(rule: Rule, name: &'static str, act: Act) -> Plant {
    Plant { name, rule, act }
}

/// The contributor with debts: it scores the other way.
const DEBTOR: EarnerIndex = EarnerIndex(FIRST + 5);

/// Every rule that the challenger finds by itself, most of them broken in more than one way.
pub(super) fn plants() -> Vec<Plant> {
    use Act::{Believe, Carry, Change, Serve};
    vec![
        plant(Rule::Malformed, "a row of no kind", Change(rows::unknown_kind)),
        plant(Rule::Header, "another total in the header", Change(rows::header_total)),
        plant(Rule::Row, "less paid than the row says", Change(rows::underpay)),
        plant(Rule::Neighbours, "accounts out of order", Change(rows::swap_fixed)),
        plant(Rule::Neighbours, "a running sum that jumps", Change(rows::running_sum)),
        plant(Rule::Sequence, "records out of order", Change(rows::swap_records)),
        plant(Rule::Sequence, "a record too many in the header", Change(rows::count_records)),
        plant(
            Rule::Split,
            "more for the stakers",
            Believe(|b| {
                b.split = Split::new(1_000, 2_000, 3_000, 4_000).unwrap();
            }),
        ),
        plant(Rule::Credit, "a gwei from one credit to another", Change(rows::move_credit)),
        plant(Rule::Credit, "a pool that counts a credit less", Change(rows::count_credits)),
        plant(Rule::Flat, "a gwei of flat pay for another", Change(rows::move_flat)),
        plant(Rule::Closing, "the treasury takes flat pay", Change(rows::take_flat)),
        plant(Rule::Fee, "a higher price", Believe(|b| b.price.output_rate += 1_000)),
        plant(Rule::Payee, "another owner", Believe(|b| b.owner = EarnerIndex(FIRST))),
        plant(
            Rule::Payee,
            "another stakers' pool",
            Believe(|b| {
                b.stakers = EarnerIndex(STRANGERS[0]);
            }),
        ),
        plant(Rule::Overlap, "a gwei charged twice", Change(rows::overlap)),
        plant(Rule::Outside, "charged before the draw", Change(rows::shift)),
        plant(Rule::Voucher, "a signature of nobody", Change(rows::forge)),
        plant(Rule::Voucher, "a signature of nobody, no header", Change(rows::forge_behind_header)),
        plant(Rule::Voucher, "charged above the ceiling", Change(rows::exceed)),
        plant(Rule::Witness, "another witness in the slot", Change(rows::damage_witness)),
        plant(Rule::Witness, "a witness blob too few", Change(rows::drop_witnesses)),
        plant(
            Rule::Carry,
            "a debt made smaller",
            Carry(|on, carries| {
                *carries.get_mut(&debt(on, 1)).unwrap() += 1;
            }),
        ),
        plant(
            Rule::Carry,
            "a debt made up",
            Carry(|on, carries| {
                carries.insert(Balance::new(on.models[&BASE], DEBTOR), -1);
            }),
        ),
        plant(
            Rule::Carry,
            "a debt forgotten",
            Carry(|on, carries| {
                carries.remove(&debt(on, 2)).unwrap();
            }),
        ),
        plant(
            Rule::NotEarning,
            "an index that came too late",
            Serve(|calls| {
                calls[0].model = LATE;
            }),
        ),
        plant(Rule::Score, "another sum of a contributor", Believe(|b| b.index(1)[0].1[0] += 1)),
        plant(
            Rule::Stranger,
            "a stranger among contributors",
            Believe(|b| {
                stranger(b, 2, FIRST + MISSING as u32);
            }),
        ),
        plant(Rule::Stranger, "a stranger before them", Believe(|b| stranger(b, 1, STRANGERS[0]))),
        plant(Rule::Stranger, "a stranger behind them", Believe(|b| stranger(b, 1, STRANGERS[1]))),
        plant(
            Rule::Stranger,
            "more accepted rows",
            Believe(|b| b.index(1)[1].0.accepted_rows += 1),
        ),
        plant(Rule::LeftOut, "the first in place left out", Believe(|b| leave_out(b, 2))),
        plant(Rule::LeftOut, "one in the middle left out", Believe(|b| leave_out(b, 1))),
        plant(Rule::LeftOut, "the last in place left out", Believe(|b| leave_out(b, 5))),
        plant(
            Rule::LeftOut,
            "everybody left out",
            Believe(|b| {
                b.index(1).iter_mut().for_each(|(_, sums)| sums.fill(0));
            }),
        ),
        plant(Rule::TooMany, "a credit too many", Believe(|b| b.max_credits = MAX_CREDITS + 1)),
        plant(
            Rule::Factor,
            "a report that is not in force",
            Believe(|b| {
                b.factors.shares.values_mut().for_each(|share| *share = 5_000);
            }),
        ),
        plant(
            Rule::Factor,
            "a reputation forgiven",
            Believe(|b| {
                b.factors.reputation.clear();
            }),
        ),
        plant(
            Rule::Unpaid,
            "no payout for accepted rows",
            Believe(|b| {
                b.index(1)[3].0.accepted_rows = 0;
            }),
        ),
    ]
}

fn debt(on: &Registries, model: u8) -> Balance {
    Balance::new(on.models[&model], DEBTOR)
}

/// Adds somebody who scores more than all contributors.
fn stranger(belief: &mut Belief, model: u8, earner: u32) {
    let who = Contributor { earner: EarnerIndex(earner), accepted_rows: 0 };
    let index = belief.index(model);
    index.push((who, vec![1_000; DIM]));
    index.sort_by_key(|(contributor, _)| contributor.earner);
}

fn leave_out(belief: &mut Belief, contributor: usize) {
    belief.index(1)[contributor].1.fill(0);
}

impl Plant {
    /// Makes the batches that this operator posts, the false one last.
    pub(super) fn batches(&self, on: &Registries, operator: &Operator) -> Vec<Posted> {
        let (mut belief, mut served) = (on.truth(operator.stakers), calls());
        match self.act {
            Act::Believe(change) => change(&mut belief),
            Act::Serve(change) => change(&mut served),
            Act::Change(_) | Act::Carry(_) => {}
        }
        let mut first = operator.batch(on, &belief, &served, None, &Carries::new());
        match self.act {
            Act::Change(change) => change(on, operator, &mut first),
            Act::Carry(change) => {
                let mut carries = first.carries.clone();
                change(on, &mut carries);
                let second = operator.batch(on, &belief, &served, Some(&first), &carries);
                return vec![first, second];
            }
            Act::Believe(_) | Act::Serve(_) => {}
        }
        vec![first]
    }
}
