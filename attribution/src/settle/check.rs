use alloc::collections::BTreeMap;

use super::{Account, Draw, EarnerIndex, Row};
use crate::{Error, Result};

/// Whether every account of the rows closes at zero once each draw is posted to its channel as
/// `-amount`.
///
/// # Errors
/// [`Error::Unbalanced`] with the first account that does not.
pub fn check_balanced(rows: &[Row], draws: &[Draw]) -> Result<()> {
    let mut sums = BTreeMap::<Account, i128>::new();
    for row in rows {
        *sums.entry(row.account).or_default() += i128::from(row.value);
    }
    for draw in draws {
        let amount = i128::from(draw.to) - i128::from(draw.from);
        *sums.entry(Account::draw(draw.channel)).or_default() -= amount;
    }
    match sums.into_iter().find(|&(account, sum)| account != Account::None && sum != 0) {
        Some((account, sum)) => Err(Error::Unbalanced { key: account.key(), sum }),
        None => Ok(()),
    }
}

/// Gwei that the rows pay to each earner, without zeros.
///
/// # Errors
/// [`Error::Overflow`] if an earner gets more than `u64::MAX`.
pub fn payouts_of(rows: &[Row]) -> Result<BTreeMap<EarnerIndex, u64>> {
    let mut payouts = BTreeMap::<EarnerIndex, u64>::new();
    for row in rows.iter().filter(|row| row.amount > 0) {
        let paid = payouts.entry(row.earner).or_default();
        *paid = paid.checked_add(row.amount).ok_or_else(|| Error::Overflow {
            what: "an earner's payout",
            value: u128::from(*paid) + u128::from(row.amount),
        })?;
    }
    Ok(payouts)
}
