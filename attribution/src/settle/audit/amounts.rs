//! Amounts that follow from other rows and the fee schedule.

use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Audit, Evidence, Fault, Rule, Sources,
    book::{Entry, PoolRow},
    grammar::model_of,
    rows::closing_place,
};
use crate::settle::{
    Account, Balance, EarnerIndex, FeeShares, Info, Mix, ModelId, ModelKey, Row, ShareKind,
    Through, UseKind,
};

/// Shares and pool are what the fee gives by the rules of the call's time.
pub(super) fn split<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Entry { at, row, record } in audit.records() {
        let Some(rules) = audit.sources.rules(record.time) else { continue };
        // A negative fee is a matter of the row alone.
        let Ok(fee) = u64::try_from(row.value) else { continue };
        let shares = rules.split.shares(fee);
        let mix = |model: ModelId| audit.sources.mix(model, record.time);
        let mix = audit.sources.model(record.model).map(mix).unwrap_or_default();
        let uses = audit.pools(at).into_iter().skip(1).map(|pool| pool.at);
        for other in (at + 1..=at + super::book::POOL_POSITION).chain(uses) {
            let Some(part) = audit.rows.get(other) else { continue };
            if is_wrong_part(part, other - at, &shares, mix, record.model) {
                faults.push(Fault::new(Rule::Split, &[at, other], Evidence::Split));
            }
        }
    }
    faults
}

fn is_wrong_part(
    row: &Row,
    position: usize,
    shares: &FeeShares,
    mix: Mix,
    model: &[u8; 31],
) -> bool {
    let pools = mix.pools(shares.contributors);
    let due = |amount: u64| i128::from(row.value) == i128::from(amount);
    match row.info {
        Info::Share { kind, position: at, .. } if usize::from(at) == position => !due(match kind {
            ShareKind::Treasury => shares.treasury,
            ShareKind::Owner => shares.model,
            ShareKind::Stakers => shares.stakers,
        }),
        Info::PoolShare { position: at, .. } if usize::from(at) == position => {
            !due(pools.influence) || !model.starts_with(&model_of(row))
        }
        Info::UsePool { kind, position: at, .. } if usize::from(at) == position => {
            let pool = match kind {
                UseKind::Span => pools.spans,
                UseKind::Citation => pools.citations,
            };
            !due(pool) || !model.starts_with(&model_of(row))
        }
        _ => false,
    }
}

/// Credits are `trunc(pool * score / magnitude)`, as many as their pool row says.
pub(super) fn credit<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, row) in audit.rows.iter() {
        let Some(pool) = PoolRow::of(at, row) else { continue };
        for credit in audit.credits(pool) {
            if credit_of(pool, credit.score) != Some(i128::from(credit.row.value)) {
                faults.push(Fault::new(Rule::Credit, &[at, credit.at], Evidence::Credit));
            }
        }
        faults.extend(credit_count(audit, pool));
    }
    faults
}

fn credit_of(pool: PoolRow, score: i128) -> Option<i128> {
    // At most 2^63 times 2^64.
    let product = i128::from(pool.value).checked_mul(score)?;
    // A magnitude above every product leaves nothing.
    i128::try_from(pool.magnitude).map_or(Some(0), |magnitude| product.checked_div(magnitude))
}

fn credit_count<S: Sources>(audit: &Audit<'_, S>, pool: PoolRow) -> Option<Fault> {
    let fault = |rows: &[usize]| Some(Fault::new(Rule::Credit, rows, Evidence::CreditCount));
    let last = pool.at + usize::from(pool.credits);
    if last >= audit.rows.len() {
        return fault(&[pool.at]);
    }
    let credit_at = |at: usize| {
        let credit = audit.rows.get(at)?.info.credit()?;
        (credit.kind == pool.kind).then_some(credit)
    };
    if credit_at(last + 1).is_some() {
        return fault(&[pool.at, last + 1]);
    }
    audit.rows.get(last)?;
    let holds = credit_at(last).is_some_and(|credit| {
        u16::from(credit.place) + 1 == u16::from(pool.credits)
            && credit.magnitude_through == pool.magnitude
    });
    if pool.credits == 0 || holds { None } else { fault(&[pool.at, last]) }
}

/// What a pool's closing row says.
#[derive(Clone, Copy)]
struct Closing {
    at: usize,
    value: i64,
    sums: Through,
}

fn closings<S: Sources>(audit: &Audit<'_, S>) -> BTreeMap<ModelKey, Closing> {
    let closing = |(at, row): (usize, &Row)| match (&row.info, row.account) {
        (&Info::PoolClosing { influence, flat, weight }, Account::Pool(model)) => {
            let sums = Through { influence, flat, weight };
            Some((model, Closing { at, value: row.value, sums }))
        }
        _ => None,
    };
    audit.rows.iter().filter_map(closing).collect()
}

/// Flat pay is `floor((pool - influence) * rows / weight)` where the net is not negative.
pub(super) fn flat<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let closings = closings(audit);
    let wrong = |(at, row): (usize, &Row)| {
        let (Info::Payout { flat, rows, .. }, Account::Balance(balance)) = (&row.info, row.account)
        else {
            return None;
        };
        let closing = closings.get(&balance.model).filter(|closing| closing.at < at)?;
        let holds = row.value > 0 || flat_of(closing, *rows) == u128::from(*flat);
        (!holds).then(|| Fault::new(Rule::Flat, &[closing.at, at], Evidence::Flat))
    };
    audit.rows.iter().filter_map(wrong).collect()
}

fn flat_of(closing: &Closing, rows: u32) -> u128 {
    // A pool that pays more than it holds is a matter of its closing row alone.
    let rest = closing.value.unsigned_abs().saturating_sub(closing.sums.influence);
    let product = u128::from(rest) * u128::from(rows);
    product.checked_div(u128::from(closing.sums.weight)).unwrap_or(0)
}

/// A pool closing says what its model's payouts sum to.
pub(super) fn closing<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |(model, closing): (ModelKey, Closing)| {
        let last = Balance { model, earner: EarnerIndex(u32::MAX) };
        let end = (2, Account::Balance(last));
        let mut pairs = audit.rows.pairs().filter(|&(at, _, _)| at >= closing.at);
        let (at, row, _) =
            pairs.find(|(_, a, b)| closing_place(a) <= end && closing_place(b) > end)?;
        let sums = match row.info {
            Info::Payout { through, .. } if model_of(row) == model.0 => through,
            _ => Through::default(),
        };
        let rows = [closing.at, at, at + 1];
        (sums != closing.sums).then(|| Fault::new(Rule::Closing, &rows, Evidence::Closing))
    };
    closings(audit).into_iter().filter_map(wrong).collect()
}
