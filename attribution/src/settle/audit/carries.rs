//! Carries against the nets that the previous batch left.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Audit, Evidence, Fault, Rows, Rule, Sources,
    rows::{carry_place, closing_place},
};
use crate::settle::{Account, Info, Row};

/// Negative nets of the previous batch are carried, and nothing else is.
pub(super) fn carry<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let carries = audit.rows.iter().filter(|(_, row)| row.info == Info::Carry);
    let Some(previous) = audit.batch.previous else {
        return carries.map(|(at, _)| unfounded(at, Vec::new())).collect();
    };
    let payouts: BTreeMap<Account, (usize, i64)> =
        payouts(previous).map(|(at, row)| (row.account, (at, row.value))).collect();
    let wrong = |(at, row): (usize, &Row)| match payouts.get(&row.account) {
        // A payout row posts the opposite of its net.
        Some(&(before, value)) => (i128::from(row.value) != -i128::from(value)).then(|| {
            let previous = Vec::from([before]);
            Fault::new(Rule::Carry, &[at], Evidence::Carry { previous })
        }),
        None => {
            let gap = previous.gap(0, &(2, row.account), closing_place)?;
            Some(unfounded(at, Vec::from([gap, gap + 1])))
        }
    };
    let mut faults: Vec<_> = carries.filter_map(wrong).collect();
    faults.extend(left_out(audit.rows, previous));
    faults
}

fn payouts(rows: &Rows) -> impl Iterator<Item = (usize, &Row)> {
    rows.iter().filter(|(_, row)| matches!(row.info, Info::Payout { .. }))
}

fn unfounded(at: usize, previous: Vec<usize>) -> Fault {
    Fault::new(Rule::Carry, &[at], Evidence::CarryUnfounded { previous })
}

fn left_out(rows: &Rows, previous: &Rows) -> Vec<Fault> {
    let carried: BTreeSet<Account> = rows
        .iter()
        .filter(|(_, row)| row.info == Info::Carry)
        .map(|(_, row)| row.account)
        .collect();
    let owed = payouts(previous).filter(|(_, row)| row.value > 0);
    let missing = owed.filter(|(_, row)| !carried.contains(&row.account));
    let fault = |(before, row): (usize, &Row)| {
        let gap = rows.gap(0, &(1, row.account), carry_place)?;
        let previous = Vec::from([before]);
        Some(Fault::new(Rule::Carry, &[gap, gap + 1], Evidence::CarryLeftOut { previous }))
    };
    missing.filter_map(fault).collect()
}
