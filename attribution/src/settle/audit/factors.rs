//! Factors of payouts against the figures in force.

use alloc::vec::Vec;

use super::{Audit, Evidence, Fault, Rule, Sources};
use crate::settle::{Account, Info, Row};

/// Every payout has the factor of its model and contributor at the epoch's first second.
pub(super) fn factor<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let start = audit.batch.header.epoch.saturating_mul(audit.batch.epoch_seconds);
    let wrong = |(at, row): (usize, &Row)| {
        let (&Info::Payout { factor, .. }, Account::Balance(balance)) = (&row.info, row.account)
        else {
            return None;
        };
        let model = audit.sources.model(&balance.model.0)?;
        let due = audit.sources.factor(model, balance.earner, start)?;
        (factor != due).then(|| Fault::new(Rule::Factor, &[at], Evidence::Factor { model }))
    };
    audit.rows.iter().filter_map(wrong).collect()
}
