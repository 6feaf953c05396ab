use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Account, BatchHeader, Carries, EarnerIndex, MAX_ROWS, MIN_ROWS, Row, payouts_of,
    reader::{Read, Reader, Tiles},
};
use crate::{Error, Result};

/// What the rows of a ledger say, read from anybody's rows.
///
/// Every check that needs nothing but the rows is made: grammar, order, numbers and sums, closing
/// accounts, credits, influence and flat pay, totals. Prices, splits, scores, weights, factors
/// and witnesses need their sources, which [`audit`](super::audit) asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which batch.
    pub header: BatchHeader,
    /// Records in it.
    pub records: u32,
    /// Gwei drawn and paid.
    pub total: u64,
    /// Gwei that each earner gets, without zeros.
    pub payouts: BTreeMap<EarnerIndex, u64>,
    /// Negative nets that open the operator's next batch.
    pub carries: Carries,
    /// Interval drawn from each channel, by the leading 30 bytes of its id.
    pub drawn: BTreeMap<[u8; 30], (u64, u64)>,
}

impl Statement {
    /// Reads the rows of a ledger.
    ///
    /// # Errors
    /// [`Error::RowCount`], [`Error::Grammar`] with the first row that is out of place or
    /// contradicts its neighbours, [`Error::RowsNotTiled`], [`Error::Unbalanced`], or
    /// [`Error::TotalMismatch`].
    pub fn read(rows: &[Row]) -> Result<Self> {
        if !rows.len().is_power_of_two() || !(MIN_ROWS..=MAX_ROWS).contains(&rows.len()) {
            return Err(Error::RowCount { rows: rows.len(), min: MIN_ROWS, max: MAX_ROWS });
        }
        let Read { header, records, total, tiles, carries } = Reader::new(rows).read()?;
        check_closed(rows)?;
        let drawn = tile(tiles)?;
        let payouts = payouts_of(rows)?;
        let paid = payouts.values().map(|&amount| u128::from(amount)).sum();
        let sum = drawn.values().map(|(from, to)| u128::from(to - from)).sum();
        if paid != u128::from(total) || sum != u128::from(total) {
            return Err(Error::TotalMismatch { drawn: sum, paid });
        }
        Ok(Self { header, records, total, payouts, carries, drawn })
    }
}

/// Draws are public and close outside the rows; every other account closes here.
fn check_closed(rows: &[Row]) -> Result<()> {
    let mut sums = BTreeMap::<Account, i128>::new();
    for row in rows.iter().filter(|row| !matches!(row.account, Account::None | Account::Draw(_))) {
        *sums.entry(row.account).or_default() += i128::from(row.value);
    }
    match sums.into_iter().find(|&(_, sum)| sum != 0) {
        Some((account, sum)) => Err(Error::Unbalanced { key: account.key(), sum }),
        None => Ok(()),
    }
}

fn tile(tiles: Tiles) -> Result<BTreeMap<[u8; 30], (u64, u64)>> {
    let whole = |(channel, mut tiles): ([u8; 30], Vec<(u64, u64, usize)>)| {
        tiles.sort_unstable();
        let from = tiles[0].0;
        let mut to = from;
        for (given, end, row) in tiles {
            if given != to {
                return Err(Error::RowsNotTiled { row, expected: to, given });
            }
            to = end;
        }
        Ok((channel, (from, to)))
    };
    tiles.into_iter().map(whole).collect()
}
