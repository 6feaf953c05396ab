//! Information cells by the table of the row codec.

use super::{
    BatchHeader, CELL_BYTES, Cell, Citation, FULL_BPS, Info, ShareKind, SpanUse, Through, UseKind,
    codec::{integer, offset, read_integer, signed},
};
use crate::{Error, Result};

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
            Self::UsePool { kind: UseKind::Span, .. } => 10,
            Self::SpanCredit { .. } => 11,
            Self::UsePool { kind: UseKind::Citation, .. } => 12,
            Self::CitationCredit { .. } => 13,
        }
    }

    pub(super) fn to_cells(&self) -> [Cell; 4] {
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
            Self::Share { kind, weight, weights, position } => {
                fields.put([*kind as u8]).put(weight.to_be_bytes()).put(weights.to_be_bytes());
                fields.put([*position]);
            }
            Self::PoolShare { credits, magnitude, position } => {
                fields.put([*credits]).put(magnitude.to_be_bytes()).put([*position]);
            }
            Self::Credit { score, place, magnitude_through } => {
                fields.put(offset(*score).to_be_bytes()).put([*place]);
                fields.put(magnitude_through.to_be_bytes());
            }
            Self::PoolClosing { influence, flat, weight } => {
                fields.put(influence.to_be_bytes()).put(flat.to_be_bytes());
                fields.put(weight.to_be_bytes());
            }
            Self::Payout { influence, flat, factor, rows, through } => {
                fields.put(influence.to_be_bytes()).put(flat.to_be_bytes());
                fields.put(factor.to_be_bytes()).put(rows.to_be_bytes());
                rest[0] = through.to_cell();
            }
            Self::UsePool { credits, magnitude, position, .. } => {
                fields.put([*credits]).put(magnitude.to_be_bytes()).put(position.to_be_bytes());
            }
            Self::SpanCredit { score, place, magnitude_through, position, span } => {
                fields.put(score.to_be_bytes()).put([*place]);
                fields.put(magnitude_through.to_be_bytes()).put(position.to_be_bytes());
                rest[0] = span.to_cell();
            }
            Self::CitationCredit { score, place, magnitude_through, position, citation } => {
                fields.put(score.to_be_bytes()).put([*place]);
                fields.put(magnitude_through.to_be_bytes()).put(position.to_be_bytes());
                rest[0] = citation.to_cell();
            }
        }
        cells
    }

    fn put_purchase(&self, fields: &mut Fields<'_>) {
        if let Self::Record { tokens_in, tokens_out, price_version, time, from, ordinal, .. } = self
        {
            fields.put(tokens_in.to_be_bytes()).put(tokens_out.to_be_bytes());
            fields.put(price_version.to_be_bytes()).put(time.to_be_bytes());
            fields.put(from.to_be_bytes()).put(ordinal.to_be_bytes());
        }
    }

    pub(super) fn from_cells(cells: &[Cell; 4]) -> Result<Self> {
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
                ordinal: u16::from_be_bytes(fields.take()),
                model: *a,
                voucher: *b,
                record: *c,
            },
            4 => Self::Share {
                kind: share_kind(fields.u8())?,
                weight: fields.u32(),
                weights: fields.u32(),
                position: fields.u8(),
            },
            5 => Self::PoolShare {
                credits: fields.u8(),
                magnitude: u128::from_be_bytes(fields.take()),
                position: fields.u8(),
            },
            6 => Self::Credit {
                score: signed(fields.u64()),
                place: fields.u8(),
                magnitude_through: u128::from_be_bytes(fields.take()),
            },
            7 => Self::PoolClosing {
                influence: fields.u64(),
                flat: fields.u64(),
                weight: fields.u64(),
            },
            8 => Self::Payout {
                influence: fields.u64(),
                flat: fields.u64(),
                factor: factor(u16::from_be_bytes(fields.take()))?,
                rows: fields.u32(),
                through: Through::from_cell(a)?,
            },
            9 => Self::FixedPayout,
            10 | 12 => Self::UsePool {
                kind: if head[0] == 10 { UseKind::Span } else { UseKind::Citation },
                credits: fields.u8(),
                magnitude: u128::from_be_bytes(fields.take()),
                position: u16::from_be_bytes(fields.take()),
            },
            11 => Self::SpanCredit {
                score: fields.u64(),
                place: fields.u8(),
                magnitude_through: u128::from_be_bytes(fields.take()),
                position: u16::from_be_bytes(fields.take()),
                span: SpanUse::from_cell(a)?,
            },
            13 => Self::CitationCredit {
                score: fields.u64(),
                place: fields.u8(),
                magnitude_through: u128::from_be_bytes(fields.take()),
                position: u16::from_be_bytes(fields.take()),
                citation: Citation::from_cell(a)?,
            },
            kind => return Err(Error::RowKind { kind }),
        })
    }
}

impl Through {
    fn to_cell(self) -> Cell {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.influence.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.flat.to_be_bytes());
        bytes[16..].copy_from_slice(&self.weight.to_be_bytes());
        integer(&bytes)
    }

    fn from_cell(cell: &Cell) -> Result<Self> {
        let bytes: [u8; 24] = read_integer("sums through a payout", cell)?;
        let part = |at: usize| {
            u64::from_be_bytes(*bytes[at..].first_chunk().expect("three times 8 bytes"))
        };
        Ok(Self { influence: part(0), flat: part(8), weight: part(16) })
    }
}

impl SpanUse {
    fn to_cell(self) -> Cell {
        let Self { start, length, low, count, holders, holder, occurrence } = self;
        let mut cell = [0; CELL_BYTES];
        let mut fields = Fields { cell: &mut cell, at: CELL_BYTES - 20 };
        fields.put(start.to_be_bytes()).put(length.to_be_bytes()).put(low.to_be_bytes());
        fields.put(count.to_be_bytes()).put(holders.to_be_bytes());
        fields.put(holder.to_be_bytes()).put(occurrence.to_be_bytes());
        cell
    }

    fn from_cell(cell: &Cell) -> Result<Self> {
        read_integer::<20>("a span", cell)?;
        let mut fields = Taken { cell, at: CELL_BYTES - 20 };
        Ok(Self {
            start: fields.u16(),
            length: fields.u16(),
            low: fields.u64(),
            count: fields.u16(),
            holders: fields.u16(),
            holder: fields.u16(),
            occurrence: fields.u16(),
        })
    }
}

impl Citation {
    fn to_cell(self) -> Cell {
        let Self { datanet, row, relevance, uses } = self;
        let mut cell = [0; CELL_BYTES];
        let mut fields = Fields { cell: &mut cell, at: CELL_BYTES - 15 };
        fields.put([datanet]).put(row.to_be_bytes());
        fields.put(relevance.to_be_bytes()).put(uses.to_be_bytes());
        cell
    }

    fn from_cell(cell: &Cell) -> Result<Self> {
        read_integer::<15>("a citation", cell)?;
        let mut fields = Taken { cell, at: CELL_BYTES - 15 };
        Ok(Self {
            datanet: fields.u8(),
            row: fields.u64(),
            relevance: fields.u32(),
            uses: fields.u16(),
        })
    }
}

fn share_kind(byte: u8) -> Result<ShareKind> {
    let kinds = [ShareKind::Treasury, ShareKind::Owner, ShareKind::Stakers];
    let unknown = Error::Field { field: "share kind", max: 2, given: u64::from(byte) };
    kinds.get(usize::from(byte)).copied().ok_or(unknown)
}

fn factor(bps: u16) -> Result<u16> {
    if bps > FULL_BPS {
        let (max, given) = (u64::from(FULL_BPS), u64::from(bps));
        return Err(Error::Field { field: "factor", max, given });
    }
    Ok(bps)
}

/// Writes fields one after the other; the widest kind takes all 31 bytes.
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

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}
