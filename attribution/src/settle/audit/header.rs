//! Rows that do not decode, and the header.

use alloc::vec::Vec;

use super::{Audit, Evidence, Fault, Rule, Sources};
use crate::settle::{Account, EarnerIndex, Info, Row};

pub(super) fn malformed<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let fault = |row| Fault::new(Rule::Malformed, &[row], Evidence::Malformed);
    audit.rows.malformed().map(fault).collect()
}

/// Row 0 is the header of the batch that was posted, and the blob has its payload header.
pub(super) fn header<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let Some(row) = audit.rows.get(0) else { return Vec::new() };
    let Row { earner: EarnerIndex::NOBODY, amount: 0, account: Account::None, value: 0, info } =
        row
    else {
        return Vec::from([fault()]);
    };
    let batch = &audit.batch;
    let holds = matches!(
        info,
        Info::Header { batch: of, records, rows, total }
            if *of == batch.header
                && *records != 0
                && usize::try_from(*rows) == Ok(audit.rows.len())
                && *total == batch.total
    );
    if holds && audit.rows.has_payload_header() { Vec::new() } else { Vec::from([fault()]) }
}

fn fault() -> Fault {
    Fault::new(Rule::Header, &[0], Evidence::Header)
}
