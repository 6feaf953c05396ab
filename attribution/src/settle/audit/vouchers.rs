//! Records against what their witnesses say, and whether they are available.

use alloc::vec::Vec;

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{Entry, Held},
    records::interval,
};
use crate::settle::{Account, Witness};

/// The payer signed for this call, and for as much as it charges.
pub(super) fn voucher<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |entry: Entry<'_>| {
        let ordinal = entry.record.ordinal;
        let Held::Witness(witness) = audit.held(entry.at) else { return None };
        let broken = !is_vouched_for(audit.sources, &entry, witness);
        broken.then(|| Fault::new(Rule::Voucher, &[entry.at], Evidence::Voucher { ordinal }))
    };
    audit.records().filter_map(wrong).collect()
}

fn is_vouched_for<S: Sources>(sources: &S, entry: &Entry<'_>, witness: &Witness) -> bool {
    let record = &entry.record;
    witness.model.0.starts_with(record.model)
        && witness.price_version == record.price_version
        && witness.time == record.time
        && Account::draw(witness.channel) == entry.row.account
        && u64::from(record.tokens_out) <= witness.max_tokens
        && interval(entry).1 <= u128::from(witness.ceiling)
        && sources.voucher_digest(witness).starts_with(record.voucher)
        && sources.is_signed(witness)
}

/// The slot of each record holds its witness.
pub(super) fn witness<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |Entry { at, record, .. }: Entry<'_>| {
        let ordinal = record.ordinal;
        let evidence = match audit.held(at) {
            Held::Missing => Evidence::WitnessMissing { ordinal },
            Held::Other => Evidence::Witness { ordinal },
            Held::Witness(_) => return None,
        };
        Some(Fault::new(Rule::Witness, &[at], evidence))
    };
    audit.records().filter_map(wrong).collect()
}
