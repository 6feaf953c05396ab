//! Which rows a ledger may hold, one by one and one after another; `LedgerGrammar` in Solidity.

use core::cmp::Reverse;

use super::{book::POOL_POSITION, rows::closing_place};
use crate::settle::{
    Account, EarnerIndex, FULL_BPS, Info, Row, ShareKind, Through, UseKind,
    uses::{self, follows, is_first, is_last_holder},
};

/// What a row alone is held against.
pub(super) struct Bounds {
    /// Rows of the ledger.
    pub(super) rows: usize,
    /// The highest earner index there is.
    pub(super) earners: u32,
    /// First second of the epoch.
    pub(super) from: u128,
    /// First second after it.
    pub(super) to: u128,
}

/// Whether a row other than row 0 may be in the ledger, whatever the others are.
pub(super) fn is_sound(row: &Row, at: usize, bounds: &Bounds) -> bool {
    let is_end = matches!(row.info, Info::FixedPayout | Info::Padding);
    if at + 1 == bounds.rows && !is_end {
        return false;
    }
    let silent = row.earner == EarnerIndex::NOBODY && row.amount == 0;
    let paid = u128::from(row.amount);
    let magnitude = u128::from(row.value.unsigned_abs());
    let registered =
        |earner: EarnerIndex| earner != EarnerIndex::NOBODY && earner.0 <= bounds.earners;
    match (&row.info, row.account) {
        (Info::Padding, account) => silent && account == Account::None && row.value == 0,
        (Info::Carry, Account::Balance(of)) => silent && registered(of.earner) && row.value < 0,
        (&Info::Credit { score, .. }, Account::Balance(of)) => {
            silent && registered(of.earner) && score != 0
        }
        (&Info::Record { time, from, .. }, Account::Draw(_)) => {
            let in_epoch = (bounds.from..bounds.to).contains(&u128::from(time));
            let fits = u128::from(from) + magnitude <= u128::from(u64::MAX);
            silent && row.value >= 0 && in_epoch && fits
        }
        (Info::Share { .. }, Account::Fixed(of)) => silent && row.value >= 0 && registered(of),
        (&Info::PoolShare { credits, magnitude, .. }, Account::Pool(_)) => {
            silent && row.value >= 0 && (credits != 0 || magnitude == 0)
        }
        (&Info::UsePool { credits, magnitude, .. }, Account::Pool(_)) => {
            silent && row.value >= 0 && (credits != 0 || magnitude == 0)
        }
        (info @ (Info::SpanCredit { .. } | Info::CitationCredit { .. }), Account::Balance(of)) => {
            let sound = info.as_use(of.earner).is_some_and(|(of, _)| uses::is_sound(&of));
            silent && registered(of.earner) && sound
        }
        (&Info::PoolClosing { influence, flat, .. }, Account::Pool(_)) => {
            let all = paid + u128::from(influence) + u128::from(flat);
            row.earner == EarnerIndex::TREASURY && row.value <= 0 && all == magnitude
        }
        (&Info::Payout { influence, flat, factor, .. }, Account::Balance(of)) => {
            // The net is the opposite of the value.
            let net = if row.value < 0 { magnitude } else { 0 };
            let due = net * u128::from(factor) / u128::from(FULL_BPS);
            let kept = u128::from(influence) == due;
            let all = u128::from(influence) + u128::from(flat);
            let own = registered(of.earner) && row.earner == of.earner;
            own && kept && (row.value <= 0 || flat == 0) && paid == all
        }
        (Info::FixedPayout, Account::Fixed(of)) => {
            registered(of) && row.earner == of && row.value <= 0 && paid == magnitude
        }
        _ => false,
    }
}

/// Whether row `b` may come directly after row `a`.
pub(super) fn may_follow(a: &Row, b: &Row) -> bool {
    let first_record = matches!(b.info, Info::Record { ordinal: 0, .. });
    let ends = matches!(b.info, Info::Record { .. } | Info::PoolClosing { .. });
    // Whether a record may end here, or go on at this position with another kind of use.
    let after = |position: u16, last: Option<UseKind>| ends || is_use_pool(a, b, position, last);
    let later = a.info.kind() == b.info.kind() && a.account < b.account;
    match (&a.info, &b.info) {
        (Info::Header { .. }, Info::Carry) => true,
        (Info::Header { .. }, _) => first_record,
        (Info::Carry, _) => later || first_record,
        (Info::Record { .. }, _) => is_share(b, ShareKind::Treasury, 1),
        (&Info::Share { kind, position, .. }, next) => {
            let expected = u16::from(position) + 1;
            match kind {
                ShareKind::Treasury => is_share(b, ShareKind::Owner, expected),
                ShareKind::Owner => is_share(b, ShareKind::Stakers, expected),
                ShareKind::Stakers => matches!(
                    next, Info::PoolShare { position, .. } if u16::from(*position) == expected
                ),
            }
        }
        (&Info::PoolShare { credits: 0, position, .. }, _) => after(u16::from(position) + 1, None),
        (Info::PoolShare { .. }, _) => is_credit(b, a.account, 0, 0),
        (&Info::Credit { score, place, magnitude_through }, Info::Credit { score: next, .. }) => {
            is_credit(b, a.account, u16::from(place) + 1, magnitude_through)
                && (rank(score), earner_of(a)) < (rank(*next), earner_of(b))
        }
        (&Info::Credit { place, .. }, _) => after(CREDITS_AT + u16::from(place) + 1, None),
        (&Info::UsePool { credits: 0, kind, position, .. }, _) => {
            after(position.saturating_add(1), Some(kind))
        }
        (&Info::UsePool { kind, position, .. }, _) => {
            is_use(b, kind, a.account, (0, 0), position)
                && of_row(b).is_some_and(|of| is_first(&of))
        }
        (Info::SpanCredit { .. } | Info::CitationCredit { .. }, _) => {
            let (Some(credit), Some((of, position))) =
                (a.info.credit(), a.info.as_use(earner_of(a)))
            else {
                return false;
            };
            if b.info.credit().is_none() {
                return is_last_holder(&of) && after(position.saturating_add(1), credit.kind);
            }
            let before = (u16::from(credit.place) + 1, credit.magnitude_through);
            let next = of_row(b).is_some_and(|next| follows(&of, &next));
            next && credit.kind.is_some_and(|kind| is_use(b, kind, a.account, before, position))
        }
        (Info::PoolClosing { .. }, Info::Payout { .. }) => is_payout(b, Through::default()),
        (Info::PoolClosing { .. }, next) => later || *next == Info::FixedPayout,
        (&Info::Payout { through, .. }, Info::Payout { .. }) => {
            let before = if model_of(a) == model_of(b) { through } else { Through::default() };
            closing_place(a) < closing_place(b) && is_payout(b, before)
        }
        (Info::Payout { .. }, next) => *next == Info::FixedPayout,
        (Info::FixedPayout, next) => later || *next == Info::Padding,
        (Info::Padding, next) => *next == Info::Padding,
    }
}

/// Rows from a record's first to the first of its credits by influence.
#[allow(clippy::cast_possible_truncation, reason = "it is 5")]
const CREDITS_AT: u16 = POOL_POSITION as u16 + 1;

/// The use of a row that is a credit for one.
fn of_row(row: &Row) -> Option<uses::Use> {
    row.info.as_use(earner_of(row)).map(|(of, _)| of)
}

/// Whether row `b` is the pool of a kind of use after the `last` at a position of row `a`'s record.
fn is_use_pool(a: &Row, b: &Row, position: u16, last: Option<UseKind>) -> bool {
    let same = matches!(b.account, Account::Pool(_)) && model_of(a) == model_of(b);
    matches!(b.info, Info::UsePool { kind, position: at, .. } if last < Some(kind) && at == position)
        && same
}

/// Whether a row is the credit of a kind at a place of a record of the account's model, directly
/// after the row at `position`.
fn is_use(row: &Row, kind: UseKind, of: Account, before: (u16, u128), position: u16) -> bool {
    let (Some(credit), Some((_, at))) = (row.info.credit(), row.info.as_use(earner_of(row))) else {
        return false;
    };
    let model = |account| match account {
        Account::Pool(key) => Some(key),
        Account::Balance(balance) => Some(balance.model),
        _ => None,
    };
    let same = matches!(row.account, Account::Balance(_)) && model(row.account) == model(of);
    let sum = before.1.checked_add(credit.score.unsigned_abs());
    let numbered = u16::from(credit.place) == before.0 && u32::from(at) == u32::from(position) + 1;
    same && credit.kind == Some(kind) && numbered && sum == Some(credit.magnitude_through)
}

/// Credits fall by this, and then rise by earner.
pub(super) const fn rank(score: i64) -> Reverse<u64> {
    Reverse(score.unsigned_abs())
}

/// The earner of a balance or fixed account, else nobody.
pub(super) const fn earner_of(row: &Row) -> EarnerIndex {
    match row.account {
        Account::Balance(balance) => balance.earner,
        Account::Fixed(earner) => earner,
        _ => EarnerIndex::NOBODY,
    }
}

/// The model of a balance or pool, else zeros.
pub(super) const fn model_of(row: &Row) -> [u8; 25] {
    match row.account {
        Account::Balance(balance) => balance.model.0,
        Account::Pool(model) => model.0,
        _ => [0; 25],
    }
}

fn is_share(row: &Row, kind: ShareKind, position: u16) -> bool {
    matches!(
        row.info,
        Info::Share { kind: of, position: at, .. } if of == kind && u16::from(at) == position
    )
}

/// Whether a row is the credit at `place` of a record of the account's model.
fn is_credit(row: &Row, model: Account, place: u16, before: u128) -> bool {
    let (Info::Credit { score, place: at, magnitude_through }, Account::Balance(balance)) =
        (&row.info, row.account)
    else {
        return false;
    };
    let same = match model {
        Account::Pool(key) => key == balance.model,
        Account::Balance(other) => other.model == balance.model,
        _ => false,
    };
    let sum = before.checked_add(u128::from(score.unsigned_abs()));
    same && u16::from(*at) == place && sum == Some(*magnitude_through)
}

/// Whether a payout row's sums are its own added to those before it.
fn is_payout(row: &Row, before: Through) -> bool {
    let Info::Payout { influence, flat, rows, through, .. } = row.info else { return false };
    let net = row.value.saturating_neg();
    before.with(influence, flat, rows, net) == Some(through)
}
