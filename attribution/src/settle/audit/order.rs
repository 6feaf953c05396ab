//! Rows alone, neighbours, and the order of records.

use alloc::vec::Vec;

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{Entry, Record},
    grammar::{Bounds, is_sound, may_follow},
};
use crate::settle::Info;

pub(super) fn row<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let batch = &audit.batch;
    let (epoch, seconds) = (u128::from(batch.header.epoch), u128::from(batch.epoch_seconds));
    let bounds = Bounds {
        rows: audit.rows.len(),
        earners: batch.earner_count,
        from: epoch * seconds,
        to: (epoch + 1) * seconds,
    };
    let broken = audit.rows.iter().filter(|&(at, row)| at > 0 && !is_sound(row, at, &bounds));
    broken.map(|(at, _)| Fault::new(Rule::Row, &[at], Evidence::Row)).collect()
}

pub(super) fn neighbours<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let broken = audit.rows.pairs().filter(|&(_, a, b)| !may_follow(a, b));
    let fault = |at| Fault::new(Rule::Neighbours, &[at, at + 1], Evidence::Neighbours);
    broken.map(|(at, _, _)| fault(at)).collect()
}

/// Each record has the next ordinal and a greater (time, voucher) than the one before; the header
/// counts them.
pub(super) fn sequence<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    audit.records().filter_map(|entry| out_of_sequence(audit, &entry)).collect()
}

fn out_of_sequence<S: Sources>(audit: &Audit<'_, S>, entry: &Entry<'_>) -> Option<Fault> {
    let record = &entry.record;
    let pool = *audit.pools(entry.at).last()?;
    let after = pool.at + 1 + usize::from(pool.credits);
    let ordinal = u32::from(record.ordinal) + 1;
    let rows = [entry.at, pool.at, after];
    if let Some(next) = Record::of(audit.rows.get(after)?) {
        let later = (next.time, next.voucher) > (record.time, record.voucher);
        let holds = later && u32::from(next.ordinal) == ordinal;
        return (!holds).then(|| Fault::new(Rule::Sequence, &rows, Evidence::Sequence));
    }
    match audit.rows.get(0)?.info {
        Info::Header { records, .. } if records != ordinal => {
            let rows = [0, entry.at, pool.at, after];
            Some(Fault::new(Rule::Sequence, &rows, Evidence::RecordCount))
        }
        _ => None,
    }
}
