//! Credits and payouts against the contributors of the model's index.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    grammar::{earner_of, model_of},
};
use crate::settle::{Info, Row};

/// Only contributors of the model's index are credited or paid, by their accepted rows.
pub(super) fn stranger<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let closing = |(at, row): (usize, &Row)| match row.info {
        Info::PoolClosing { .. } => Some((model_of(row), at)),
        _ => None,
    };
    let closings: BTreeMap<_, _> = audit.rows.iter().filter_map(closing).collect();
    let wrong = |(at, row): (usize, &Row)| {
        let closing = closings.get(&model_of(row)).copied().filter(|&closing| closing < at);
        match row.info {
            Info::Credit { .. } | Info::SpanCredit { .. } | Info::CitationCredit { .. } => {
                not_there(audit, at, row)
            }
            Info::Payout { rows, .. } => {
                not_there(audit, at, row).or_else(|| wrong_rows(audit, closing?, at, row, rows))
            }
            _ => None,
        }
    };
    audit.rows.iter().filter_map(wrong).collect()
}

fn not_there<S: Sources>(audit: &Audit<'_, S>, at: usize, row: &Row) -> Option<Fault> {
    let model = audit.sources.model(&model_of(row))?;
    let place = audit.contributor(model, earner_of(row)).err()?;
    let count = audit.sources.contributors(model).len();
    let (lower, upper) = (place.checked_sub(1), (place < count).then_some(place));
    Some(Fault::new(Rule::Stranger, &[at], Evidence::Stranger { model, lower, upper }))
}

fn wrong_rows<S: Sources>(
    audit: &Audit<'_, S>,
    closing: usize,
    at: usize,
    row: &Row,
    rows: u32,
) -> Option<Fault> {
    let model = audit.sources.model(&model_of(row))?;
    let contributor = audit.contributor(model, earner_of(row)).ok()?;
    let accepted = audit.sources.contributors(model)[contributor].accepted_rows;
    let evidence = Evidence::WrongRows { model, contributor };
    (rows != accepted).then(|| Fault::new(Rule::Stranger, &[closing, at], evidence))
}
