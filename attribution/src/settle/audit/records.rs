//! Records against prices, owners and channels.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{Entry, POOL_POSITION},
};
use crate::settle::{Account, EarnerIndex, Info, ModelId, ShareKind};

/// The fee is what tokens and price give; model and price version exist.
pub(super) fn fee<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |entry: Entry<'_>| {
        let witness = audit.witness(&entry)?;
        let Entry { at, row, record } = entry;
        let price = audit.sources.price(witness.model, record.price_version);
        // A fee above what a row can post is not what this one posts.
        let due = price.and_then(|p| p.fee_ceil(record.tokens_in, record.tokens_out).ok());
        let holds = due.is_some_and(|due| i128::from(due) == i128::from(row.value));
        let evidence = Evidence::Fee { ordinal: record.ordinal };
        (!holds).then(|| Fault::new(Rule::Fee, &[at], evidence))
    };
    audit.records().filter_map(wrong).collect()
}

/// Shares go to the treasury, the model's owner at the call's time, and the operator's stakers.
pub(super) fn payee<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Entry { at, record, .. } in audit.records() {
        for share in at + 1..at + POOL_POSITION {
            let Some(row) = audit.rows.get(share) else { continue };
            let Info::Share { kind, weight, weights, position } = row.info else { continue };
            if usize::from(position) != share - at {
                continue;
            }
            let (model, payee, whole) = match kind {
                ShareKind::Treasury => (ModelId::default(), EarnerIndex::TREASURY, 0),
                ShareKind::Stakers => (ModelId::default(), audit.sources.stakers(), 0),
                ShareKind::Owner => match audit.sources.model(record.model) {
                    Some(model) => (model, audit.sources.owner(model, record.time), 1),
                    None => continue,
                },
            };
            if row.account != Account::Fixed(payee) || weight != whole || weights != whole {
                faults.push(Fault::new(Rule::Payee, &[at, share], Evidence::Payee { model }));
            }
        }
    }
    faults
}

/// What a record charges of its channel: cumulative gwei above the first, up to the second.
pub(super) fn interval(entry: &Entry<'_>) -> (u128, u128) {
    let from = u128::from(entry.record.from);
    // A negative fee is a matter of the row alone.
    (from, from + u128::from(entry.row.value.max(0).unsigned_abs()))
}

/// No two records charge the same part of a channel. One fault for each record that begins before
/// another ends.
pub(super) fn overlap<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut channels = BTreeMap::<Account, Vec<((u128, u128), usize)>>::new();
    for entry in audit.records() {
        let (from, to) = interval(&entry);
        if from < to {
            channels.entry(entry.row.account).or_default().push(((from, to), entry.at));
        }
    }
    let mut faults = Vec::new();
    for mut tiles in channels.into_values() {
        tiles.sort_unstable();
        let mut furthest: Option<(u128, usize)> = None;
        for ((from, to), at) in tiles {
            if let Some((end, other)) = furthest
                && from < end
            {
                faults.push(Fault::new(Rule::Overlap, &[other, at], Evidence::Overlap));
            }
            if furthest.is_none_or(|(end, _)| to > end) {
                furthest = Some((to, at));
            }
        }
    }
    faults
}

/// A record with a fee charges what the batch drew from its channel.
pub(super) fn outside<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |entry: Entry<'_>| {
        let (from, to) = interval(&entry);
        let drawn = audit.batch.draws.iter().any(|draw| {
            let within = u128::from(draw.from) <= from && to <= u128::from(draw.to);
            Account::draw(draw.channel) == entry.row.account && within
        });
        let broken = from != to && !drawn;
        broken.then(|| Fault::new(Rule::Outside, &[entry.at], Evidence::Outside))
    };
    audit.records().filter_map(wrong).collect()
}

/// Models called pay contributors by an accepted index, or need none. A model that is not
/// registered is a matter of its fee.
pub(super) fn not_earning<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |Entry { at, record, .. }: Entry<'_>| {
        let model = audit.sources.model(record.model)?;
        let earning = audit.sources.is_earning(model, record.time);
        (!earning).then(|| Fault::new(Rule::NotEarning, &[at], Evidence::NotEarning { model }))
    };
    audit.records().filter_map(wrong).collect()
}
