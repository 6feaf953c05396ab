//! Credits against the sketch and the contributors' sums.

use alloc::{collections::BTreeSet, vec::Vec};
use core::cmp::Reverse;

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{CreditRow, Entry, PoolRow},
    grammar::{earner_of, model_of},
};
use crate::settle::{EarnerIndex, ModelId, Witness};

/// A record with what its scores are made of.
struct Scored<'a> {
    entry: Entry<'a>,
    pool: PoolRow,
    credits: Vec<CreditRow<'a>>,
    witness: &'a Witness,
}

/// Records whose witness is known and whose credits are in their places.
fn scored<'s, S: Sources>(audit: &'s Audit<'_, S>) -> impl Iterator<Item = Scored<'s>> {
    audit.records().filter_map(|entry| {
        let pool = audit.pool(entry.at)?;
        let witness = audit.witness(&entry)?;
        Some(Scored { entry, pool, credits: audit.credits(pool), witness })
    })
}

/// `S_c = <q, T_c>`; `None` if the sums are not of the sketch's dimension.
fn score_of<S: Sources>(sources: &S, witness: &Witness, ordinal: usize) -> Option<i64> {
    let sums = sources.sums(witness.model, ordinal);
    let terms = witness.sketch.iter().zip(sums);
    // At most 8192 * 2^7 * 2^31.
    let score = terms.map(|(&q, &t)| i64::from(q) * i64::from(t)).sum();
    (sums.len() == witness.sketch.len()).then_some(score)
}

/// A credit's score is the dot product of the call's sketch and the contributor's sums.
pub(super) fn score<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Scored { entry, credits, witness, .. } in scored(audit) {
        for credit in credits {
            if !witness.model.0.starts_with(&model_of(credit.row)) {
                continue;
            }
            let Ok(contributor) = audit.contributor(witness.model, earner_of(credit.row)) else {
                continue;
            };
            let due = score_of(audit.sources, witness, contributor);
            if due.is_some_and(|due| i128::from(due) != credit.score) {
                let (ordinal, model) = (entry.record.ordinal, witness.model);
                let evidence = Evidence::Score { ordinal, model, contributor };
                faults.push(Fault::new(Rule::Score, &[entry.at, credit.at], evidence));
            }
        }
    }
    faults
}

/// Nobody with a score that is not 0 is without credit who comes before somebody with one, or while
/// there is room.
pub(super) fn left_out<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for record in scored(audit) {
        let model = record.witness.model;
        let credited: BTreeSet<EarnerIndex> =
            record.credits.iter().map(|credit| earner_of(credit.row)).collect();
        for (contributor, who) in audit.sources.contributors(model).iter().enumerate() {
            if credited.contains(&who.earner) {
                continue;
            }
            let score = score_of(audit.sources, record.witness, contributor).unwrap_or(0);
            if score != 0 {
                faults.extend(missing(audit, &record, model, contributor, score, who.earner));
            }
        }
    }
    faults
}

fn missing<S: Sources>(
    audit: &Audit<'_, S>,
    record: &Scored<'_>,
    model: ModelId,
    contributor: usize,
    score: i64,
    earner: EarnerIndex,
) -> Option<Fault> {
    let Scored { entry, pool, credits, .. } = record;
    let place = (Reverse(u128::from(score.unsigned_abs())), earner);
    let before = |credit: &CreditRow<'_>| {
        (Reverse(credit.score.unsigned_abs()), earner_of(credit.row)) < place
    };
    let at = credits.iter().take_while(|credit| before(credit)).count();
    let mut rows = Vec::from([entry.at, pool.at]);
    if at > 0 {
        rows.push(credits[at - 1].at);
    }
    match credits.get(at) {
        Some(next) => rows.push(next.at),
        // At the end: there must be room for one more.
        None => {
            let max = audit.sources.rules(entry.record.time)?.max_credits;
            let whole = credits.len() == usize::from(pool.credits);
            if !whole || pool.credits >= max {
                return None;
            }
        }
    }
    let evidence = Evidence::LeftOut { ordinal: entry.record.ordinal, model, contributor };
    Some(Fault::new(Rule::LeftOut, &rows, evidence))
}

/// A record has no more credits of a kind than the rules of its time allow.
pub(super) fn too_many<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |Entry { at, record, .. }: Entry<'_>| {
        let max = audit.sources.rules(record.time).map(|rules| rules.max_credits);
        let many =
            audit.pools(at).into_iter().filter(|pool| max.is_some_and(|max| pool.credits > max));
        let fault = |pool: PoolRow| Fault::new(Rule::TooMany, &[at, pool.at], Evidence::TooMany);
        many.map(fault).collect::<Vec<_>>()
    };
    audit.records().flat_map(wrong).collect()
}
