//! Rows as eight cells of 31 bytes, big-endian integers unless noted.
//!
//! | cell | content |
//! |---|---|
//! | 0 | earner index, below 2^32; in row 0 zeros, because a blob's header symbol takes its place |
//! | 1 | amount paid in gwei, below 2^64 |
//! | 2 | account key, see [`Account`] |
//! | 3 | value posted plus 2^63, below 2^64 |
//! | 4 | kind of the row in the leading byte, then fields without gaps, then zeros |
//! | 5 to 7 | as below, zeros where nothing is said |
//!
//! | kind | row | cell 4 after the kind | cell 5 | cell 6 | cell 7 |
//! |---|---|---|---|---|---|
//! | 0 | padding | | | | |
//! | 1 | header | chain id u64, epoch u64, records u32, rows u32 | operator (u160) | settlement (u160) | total u64 |
//! | 2 | carry | | | | |
//! | 3 | record | tokens in u32, tokens out u32, price version u32, time u64, from u64, ordinal u16 | model id, leading 31 bytes | voucher digest, leading 31 bytes | record hash, leading 31 bytes |
//! | 4 | share | share kind u8 (0 treasury, 1 owner, 2 stakers), weight u32, sum of weights u32, position u8 | | | |
//! | 5 | pool share | credits u8, magnitude u128, position u8 | | | |
//! | 6 | credit | score plus 2^63, u64; place u8, magnitude through u128 | | | |
//! | 7 | pool closing | influence u64, flat u64, weight u64 | | | |
//! | 8 | payout | influence u64, flat u64, factor u16, rows u32 | sums through (u192): influence u64, flat u64, weight u64 | | |
//! | 9 | fixed payout | | | | |
//! | 10, 12 | pool of spans, of citations | credits u8, magnitude u128, position u16 | | | |
//! | 11 | span credit | score u64, place u8, magnitude through u128, position u16 | span (u160): start, length u16, low u64, count, holders, holder, occurrence u16 | | |
//! | 13 | citation credit | score u64, place u8, magnitude through u128, position u16 | row (u120): datanet u8, row u64, relevance u32, uses u16 | | |
//!
//! Ordinal, position, place and sums through say of a row what follows from the rows before it, so
//! that a dispute finds the rows that it needs and checks each sum against one neighbour.

use super::{Account, EarnerIndex, Info, Row};
use crate::{Error, Result};

/// Bytes of a cell: what a BN254 field element holds of any bytes.
pub const CELL_BYTES: usize = 31;

/// Cells of a row.
pub const CELLS_PER_ROW: usize = 8;

/// One cell: a big-endian integer below 2^248, or bytes.
pub type Cell = [u8; CELL_BYTES];

/// The cells of a row.
pub type Cells = [Cell; CELLS_PER_ROW];

/// Added to signed integers, so that they are never below zero.
const BIAS: u64 = 1 << 63;

impl Row {
    /// The row in cells.
    #[must_use]
    pub fn to_cells(&self) -> Cells {
        let [info_4, info_5, info_6, info_7] = self.info.to_cells();
        [
            integer(&self.earner.0.to_be_bytes()),
            integer(&self.amount.to_be_bytes()),
            self.account.key(),
            integer(&offset(self.value).to_be_bytes()),
            info_4,
            info_5,
            info_6,
            info_7,
        ]
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`Error::CellRange`], [`Error::AccountKey`], [`Error::RowKind`], [`Error::Field`] or
    /// [`Error::UnusedBytes`] unless the cells are exactly what [`Row::to_cells`] writes. Whether
    /// the row has a place in a ledger is for [`Statement::read`](super::Statement::read) to say.
    pub fn from_cells(cells: &Cells) -> Result<Self> {
        let [earner, amount, account, value, info @ ..] = cells;
        Ok(Self {
            earner: EarnerIndex(u32::from_be_bytes(read_integer("earner index", earner)?)),
            amount: u64::from_be_bytes(read_integer("amount", amount)?),
            account: Account::from_key(account)?,
            value: signed(u64::from_be_bytes(read_integer("value plus 2^63", value)?)),
            info: Info::from_cells(info)?,
        })
    }
}

pub(super) const fn offset(value: i64) -> u64 {
    value.cast_unsigned() ^ BIAS
}

pub(super) const fn signed(offset: u64) -> i64 {
    (offset ^ BIAS).cast_signed()
}

pub(super) fn integer(bytes: &[u8]) -> Cell {
    let mut cell = [0; CELL_BYTES];
    cell[CELL_BYTES - bytes.len()..].copy_from_slice(bytes);
    cell
}

/// The trailing `N` bytes of a cell that is below 2^(8N).
pub(super) fn read_integer<const N: usize>(column: &'static str, cell: &Cell) -> Result<[u8; N]> {
    let (zeros, bytes) = cell.split_last_chunk().expect("no column is longer than a cell");
    if zeros.iter().any(|&byte| byte != 0) {
        let bits = u16::try_from(8 * N).expect("no column is longer than a cell");
        return Err(Error::CellRange { column, bits, cell: *cell });
    }
    Ok(*bytes)
}
