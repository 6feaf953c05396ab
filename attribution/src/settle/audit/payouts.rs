//! Contributors without a payout row.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{Audit, Evidence, Fault, Rule, Sources, rows::closing_place};
use crate::settle::{Account, Balance, Info, ModelKey};

/// Every contributor with accepted rows of a model whose pool closes has a payout row.
pub(super) fn unpaid<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let is_payout = |info: &Info| matches!(info, Info::Payout { .. });
    let paid: BTreeSet<Account> = audit
        .rows
        .iter()
        .filter(|(_, row)| is_payout(&row.info))
        .map(|(_, row)| row.account)
        .collect();
    let mut faults = Vec::new();
    for (at, row) in audit.rows.iter() {
        let (Info::PoolClosing { .. }, Account::Pool(key)) = (&row.info, row.account) else {
            continue;
        };
        faults.extend(unpaid_of(audit, &paid, at, key));
    }
    faults
}

fn unpaid_of<S: Sources>(
    audit: &Audit<'_, S>,
    paid: &BTreeSet<Account>,
    closing: usize,
    key: ModelKey,
) -> Vec<Fault> {
    let Some(model) = audit.sources.model(&key.0) else { return Vec::new() };
    let contributors = audit.sources.contributors(model).iter().enumerate();
    let unpaid = contributors.filter_map(|(contributor, who)| {
        let account = Account::Balance(Balance { model: key, earner: who.earner });
        if who.accepted_rows == 0 || paid.contains(&account) {
            return None;
        }
        let gap = audit.rows.gap(closing, &(2, account), closing_place)?;
        let evidence = Evidence::Unpaid { model, contributor };
        Some(Fault::new(Rule::Unpaid, &[closing, gap, gap + 1], evidence))
    });
    unpaid.collect()
}
