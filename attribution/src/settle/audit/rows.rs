use alloc::vec::Vec;

use crate::settle::{
    Account, CELL_BYTES, CELLS_PER_ROW, Cells, Info, Row, SYMBOL_BYTES, payload_header,
};

/// A ledger as anybody may post it: rows that decode, and places of those that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    rows: Vec<Option<Row>>,
    has_payload_header: bool,
}

impl Rows {
    /// Reads a blob's symbols. Symbols that no whole row is left of are ignored; the caller holds
    /// that there are `8 n` for the `n` rows that were posted.
    #[must_use]
    pub fn from_symbols(symbols: &[[u8; SYMBOL_BYTES]]) -> Self {
        let (rows, _) = symbols.as_chunks::<CELLS_PER_ROW>();
        let header = symbols
            .first()
            .is_some_and(|first| *first == payload_header(CELLS_PER_ROW * rows.len()));
        let decode = |(at, row): (usize, &[[u8; SYMBOL_BYTES]; CELLS_PER_ROW])| {
            let mut cells: Cells = [[0; CELL_BYTES]; CELLS_PER_ROW];
            for (j, symbol) in row.iter().enumerate() {
                match symbol {
                    // The payload header has the place of row 0's first cell.
                    _ if (at, j) == (0, 0) => {}
                    [0, cell @ ..] => cells[j] = *cell,
                    _ => return None,
                }
            }
            Row::from_cells(&cells).ok()
        };
        Self { rows: rows.iter().enumerate().map(decode).collect(), has_payload_header: header }
    }

    /// Rows that were decoded from a blob with the payload header of so many rows.
    #[must_use]
    pub fn from_rows(rows: Vec<Row>) -> Self {
        Self { rows: rows.into_iter().map(Some).collect(), has_payload_header: true }
    }

    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row; `None` if there is none or it does not decode.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&Row> {
        self.rows.get(row)?.as_ref()
    }

    pub(super) const fn has_payload_header(&self) -> bool {
        self.has_payload_header
    }

    /// Rows that do not decode.
    pub(super) fn malformed(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&row| self.rows[row].is_none())
    }

    /// Rows that decode, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref()?)))
    }

    /// Rows that decode and are followed by one that does.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, &Row, &Row)> {
        self.iter().filter_map(|(at, row)| Some((at, row, self.get(at + 1)?)))
    }

    /// The first row from `start` on between which and the next `place` would be, by `place_of`.
    pub(super) fn gap<P: PartialOrd>(
        &self,
        start: usize,
        place: &P,
        place_of: fn(&Row) -> P,
    ) -> Option<usize> {
        let is_gap = |a: &Row, b: &Row| place_of(a) < *place && *place < place_of(b);
        self.pairs().find(|&(at, a, b)| at >= start && is_gap(a, b)).map(|(at, _, _)| at)
    }
}

/// Where a row is in an order of sections and, in each, of accounts.
pub(super) type Place = (u8, Account);

/// Where a row is among closing rows: what comes before them, pools, payouts, fixed payouts,
/// padding.
pub(super) const fn closing_place(row: &Row) -> Place {
    match row.info {
        Info::PoolClosing { .. } => (1, row.account),
        Info::Payout { .. } => (2, row.account),
        Info::FixedPayout => (3, row.account),
        Info::Padding => (4, Account::None),
        _ => (0, Account::None),
    }
}

/// Where a row is among carries: the header, carries, all others.
pub(super) const fn carry_place(row: &Row) -> Place {
    match row.info {
        Info::Header { .. } => (0, Account::None),
        Info::Carry => (1, row.account),
        _ => (2, Account::None),
    }
}
