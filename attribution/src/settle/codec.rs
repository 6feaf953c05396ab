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
//! | 3 | record | tokens in u32, tokens out u32, price version u32, time u64, from u64 | model id, leading 31 bytes | voucher digest, leading 31 bytes | record hash, leading 31 bytes |
//! | 4 | share | share kind u8 (0 treasury, 1 owner, 2 stakers), weight u32, sum of weights u32 | | | |
//! | 5 | pool share | credits u8, magnitude u128 | | | |
//! | 6 | credit | score plus 2^63, u64 | | | |
//! | 7 | pool closing | influence u64, flat u64, weight u64 | | | |
//! | 8 | payout | influence u64, flat u64, reputation u16, rows u32 | | | |
//! | 9 | fixed payout | | | | |

use super::{Account, BatchHeader, EarnerIndex, FULL_BPS, Info, Row, ShareKind};
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

impl Info {
    /// The kind byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Padding => 0,
            Self::Header { .. } => 1,
            Self::Carry => 2,
            Self::Record { .. } => 3,
            Self::Share { .. } => 4,
            Self::PoolShare { .. } => 5,
            Self::Credit { .. } => 6,
            Self::PoolClosing { .. } => 7,
            Self::Payout { .. } => 8,
            Self::FixedPayout => 9,
        }
    }

    fn to_cells(&self) -> [Cell; 4] {
        let mut cells = [[0; CELL_BYTES]; 4];
        let [head, rest @ ..] = &mut cells;
        let mut fields = Fields { cell: head, at: 0 };
        fields.put(self.kind().to_be_bytes());
        match self {
            Self::Padding | Self::Carry | Self::FixedPayout => {}
            Self::Header { batch, records, rows, total } => {
                fields.put(batch.chain_id.to_be_bytes()).put(batch.epoch.to_be_bytes());
                fields.put(records.to_be_bytes()).put(rows.to_be_bytes());
                let total = integer(&total.to_be_bytes());
                *rest = [integer(&batch.operator), integer(&batch.settlement), total];
            }
            Self::Record { model, voucher, record, .. } => {
                self.put_purchase(&mut fields);
                *rest = [*model, *voucher, *record];
            }
            Self::Share { kind, weight, weights } => {
                fields.put([*kind as u8]).put(weight.to_be_bytes()).put(weights.to_be_bytes());
            }
            Self::PoolShare { credits, magnitude } => {
                fields.put([*credits]).put(magnitude.to_be_bytes());
            }
            Self::Credit { score } => {
                fields.put(offset(*score).to_be_bytes());
            }
            Self::PoolClosing { influence, flat, weight } => {
                fields.put(influence.to_be_bytes()).put(flat.to_be_bytes());
                fields.put(weight.to_be_bytes());
            }
            Self::Payout { influence, flat, reputation, rows } => {
                fields.put(influence.to_be_bytes()).put(flat.to_be_bytes());
                fields.put(reputation.to_be_bytes()).put(rows.to_be_bytes());
            }
        }
        cells
    }

    fn put_purchase(&self, fields: &mut Fields<'_>) {
        if let Self::Record { tokens_in, tokens_out, price_version, time, from, .. } = self {
            fields.put(tokens_in.to_be_bytes()).put(tokens_out.to_be_bytes());
            fields.put(price_version.to_be_bytes()).put(time.to_be_bytes());
            fields.put(from.to_be_bytes());
        }
    }

    fn from_cells(cells: &[Cell; 4]) -> Result<Self> {
        let info = Self::read(cells)?;
        // Writing it again catches every byte that its kind leaves at zero.
        let written = info.to_cells();
        match (0..4).find(|&i| written[i] != cells[i]) {
            Some(i) => Err(Error::UnusedBytes { kind: info.kind(), cell: 4 + i, bytes: cells[i] }),
            None => Ok(info),
        }
    }

    fn read(cells: &[Cell; 4]) -> Result<Self> {
        let [head, a, b, c] = cells;
        let mut fields = Taken { cell: head, at: 0 };
        Ok(match fields.u8() {
            0 => Self::Padding,
            1 => {
                let (chain_id, epoch) = (fields.u64(), fields.u64());
                let operator = read_integer("operator", a)?;
                let settlement = read_integer("settlement", b)?;
                Self::Header {
                    batch: BatchHeader { chain_id, settlement, operator, epoch },
                    records: fields.u32(),
                    rows: fields.u32(),
                    total: u64::from_be_bytes(read_integer("total", c)?),
                }
            }
            2 => Self::Carry,
            3 => Self::Record {
                tokens_in: fields.u32(),
                tokens_out: fields.u32(),
                price_version: fields.u32(),
                time: fields.u64(),
                from: fields.u64(),
                model: *a,
                voucher: *b,
                record: *c,
            },
            4 => Self::Share {
                kind: share_kind(fields.u8())?,
                weight: fields.u32(),
                weights: fields.u32(),
            },
            5 => Self::PoolShare {
                credits: fields.u8(),
                magnitude: u128::from_be_bytes(fields.take()),
            },
            6 => Self::Credit { score: signed(fields.u64()) },
            7 => Self::PoolClosing {
                influence: fields.u64(),
                flat: fields.u64(),
                weight: fields.u64(),
            },
            8 => Self::Payout {
                influence: fields.u64(),
                flat: fields.u64(),
                reputation: reputation(u16::from_be_bytes(fields.take()))?,
                rows: fields.u32(),
            },
            9 => Self::FixedPayout,
            kind => return Err(Error::RowKind { kind }),
        })
    }
}

fn share_kind(byte: u8) -> Result<ShareKind> {
    let kinds = [ShareKind::Treasury, ShareKind::Owner, ShareKind::Stakers];
    let unknown = Error::Field { field: "share kind", max: 2, given: u64::from(byte) };
    kinds.get(usize::from(byte)).copied().ok_or(unknown)
}

fn reputation(bps: u16) -> Result<u16> {
    if bps > FULL_BPS {
        let (max, given) = (u64::from(FULL_BPS), u64::from(bps));
        return Err(Error::Field { field: "reputation", max, given });
    }
    Ok(bps)
}

const fn offset(value: i64) -> u64 {
    value.cast_unsigned() ^ BIAS
}

const fn signed(offset: u64) -> i64 {
    (offset ^ BIAS).cast_signed()
}

fn integer(bytes: &[u8]) -> Cell {
    let mut cell = [0; CELL_BYTES];
    cell[CELL_BYTES - bytes.len()..].copy_from_slice(bytes);
    cell
}

/// The trailing `N` bytes of a cell that is below 2^(8N).
fn read_integer<const N: usize>(column: &'static str, cell: &Cell) -> Result<[u8; N]> {
    let (zeros, bytes) = cell.split_last_chunk().expect("no column is longer than a cell");
    if zeros.iter().any(|&byte| byte != 0) {
        let bits = u16::try_from(8 * N).expect("no column is longer than a cell");
        return Err(Error::CellRange { column, bits, cell: *cell });
    }
    Ok(*bytes)
}

/// Writes fields one after the other; the widest kind takes 29 of the 31 bytes.
struct Fields<'a> {
    cell: &'a mut Cell,
    at: usize,
}

impl Fields<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        self.cell[self.at..self.at + N].copy_from_slice(&bytes);
        self.at += N;
        self
    }
}

/// Reads what [`Fields`] wrote.
struct Taken<'a> {
    cell: &'a Cell,
    at: usize,
}

impl Taken<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let bytes = *self.cell[self.at..].first_chunk().expect("every kind's fields fit a cell");
        self.at += N;
        bytes
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}
