use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use super::{Batch, Contributor, Rows, Sources};
use crate::settle::{EarnerIndex, Info, ModelId, Row, UseKind, Witness, keccak};

/// Rows from a record's first to its pool row: its three shares are between.
pub(super) const POOL_POSITION: usize = 4;

/// A batch's ledger beside what it is held against.
#[derive(Debug)]
pub struct Audit<'a, S> {
    pub(super) rows: &'a Rows,
    pub(super) batch: Batch<'a>,
    pub(super) sources: &'a S,
    /// By row, what the witness blobs hold for the records.
    witnesses: BTreeMap<usize, Held>,
}

/// What a witness blob holds in a record's slot.
#[derive(Debug)]
pub(super) enum Held {
    /// The batch has no such blob.
    Missing,
    /// Nothing with the record's hash.
    Other,
    /// The witness.
    Witness(Box<Witness>),
}

/// A record's row, and those of it that are where they must be.
pub(super) struct Entry<'r> {
    pub(super) at: usize,
    pub(super) row: &'r Row,
    pub(super) record: Record<'r>,
}

/// What a record's row says.
pub(super) struct Record<'r> {
    pub(super) tokens_in: u32,
    pub(super) tokens_out: u32,
    pub(super) price_version: u32,
    pub(super) time: u64,
    pub(super) from: u64,
    pub(super) ordinal: u16,
    pub(super) model: &'r [u8; 31],
    pub(super) voucher: &'r [u8; 31],
    pub(super) hash: &'r [u8; 31],
}

/// A row of a record's pool: that of influence, or of a kind of use.
#[derive(Clone, Copy)]
pub(super) struct PoolRow {
    pub(super) at: usize,
    pub(super) kind: Option<UseKind>,
    pub(super) position: u16,
    pub(super) value: i64,
    pub(super) credits: u8,
    pub(super) magnitude: u128,
}

/// One of a record's credit rows.
#[derive(Clone, Copy)]
pub(super) struct CreditRow<'r> {
    pub(super) at: usize,
    pub(super) row: &'r Row,
    pub(super) score: i128,
}

impl<'a, S: Sources> Audit<'a, S> {
    /// Reads every record's witness.
    pub fn new(rows: &'a Rows, batch: Batch<'a>, sources: &'a S) -> Self {
        let mut audit = Self { rows, batch, sources, witnesses: BTreeMap::new() };
        let held = |Entry { at, record, .. }: Entry<'_>| (at, audit.read_witness(&record));
        audit.witnesses = audit.records().map(held).collect();
        audit
    }

    /// Record rows, wherever they are.
    pub(super) fn records(&self) -> impl Iterator<Item = Entry<'a>> + use<'a, S> {
        let rows = self.rows;
        rows.iter().filter_map(|(at, row)| Some(Entry { at, row, record: Record::of(row)? }))
    }

    /// A record's pool row of influence, if it is where records have it.
    pub(super) fn pool(&self, record: usize) -> Option<PoolRow> {
        let at = record + POOL_POSITION;
        let pool = PoolRow::of(at, self.rows.get(at)?)?;
        (pool.kind.is_none() && usize::from(pool.position) == POOL_POSITION).then_some(pool)
    }

    /// A record's pool rows as far as they are in their places, that of influence first.
    pub(super) fn pools(&self, record: usize) -> Vec<PoolRow> {
        let mut pools: Vec<_> = self.pool(record).into_iter().collect();
        while let Some(last) = pools.last() {
            let at = last.at + 1 + usize::from(last.credits);
            let next = self.rows.get(at).and_then(|row| PoolRow::of(at, row));
            let placed =
                |next: &PoolRow| last.kind < next.kind && usize::from(next.position) == at - record;
            match next.filter(placed) {
                Some(next) => pools.push(next),
                None => break,
            }
        }
        pools
    }

    /// A pool row's credits as far as they are in their places.
    pub(super) fn credits(&self, pool: PoolRow) -> Vec<CreditRow<'a>> {
        let rows = self.rows;
        let credit = |place: u8| {
            let at = pool.at + 1 + usize::from(place);
            let row = rows.get(at)?;
            let credit = row.info.credit()?;
            let placed = credit.kind == pool.kind && credit.place == place;
            placed.then_some(CreditRow { at, row, score: credit.score })
        };
        (0..pool.credits).map_while(credit).collect()
    }

    /// What the slot of a record's row holds.
    pub(super) fn held(&self, record: usize) -> &Held {
        self.witnesses.get(&record).unwrap_or(&Held::Missing)
    }

    /// A record's witness, if it is available and of the model that the row names.
    pub(super) fn witness(&self, entry: &Entry<'_>) -> Option<&Witness> {
        match self.held(entry.at) {
            Held::Witness(witness) => {
                witness.model.0.starts_with(entry.record.model).then_some(witness)
            }
            _ => None,
        }
    }

    /// A contributor of a model's index with its ordinal.
    pub(super) fn contributor(&self, model: ModelId, earner: EarnerIndex) -> Result<usize, usize> {
        let of = |contributor: &Contributor| contributor.earner;
        self.sources.contributors(model).binary_search_by_key(&earner, of)
    }

    fn read_witness(&self, record: &Record<'_>) -> Held {
        let (ordinal, Batch { layout, witnesses, .. }) = (record.ordinal.into(), &self.batch);
        if layout.place(ordinal).blob >= witnesses.len() {
            return Held::Missing;
        }
        let bytes = layout.witness(witnesses, ordinal, |model| self.sources.dim(model));
        let recorded = bytes.filter(|bytes| keccak(&[bytes]).starts_with(record.hash));
        let witness = recorded.and_then(|bytes| Witness::decode(&bytes).ok());
        witness.map_or(Held::Other, |witness| Held::Witness(Box::new(witness)))
    }
}

impl PoolRow {
    /// A row of a pool, wherever it is.
    pub(super) fn of(at: usize, row: &Row) -> Option<Self> {
        let info = row.info.pool()?;
        Some(Self {
            at,
            kind: info.kind,
            position: info.position,
            value: row.value,
            credits: info.credits,
            magnitude: info.magnitude,
        })
    }
}

impl<'r> Record<'r> {
    pub(super) const fn of(row: &'r Row) -> Option<Self> {
        let Info::Record {
            tokens_in,
            tokens_out,
            price_version,
            time,
            from,
            ordinal,
            model,
            voucher,
            record,
        } = &row.info
        else {
            return None;
        };
        Some(Self {
            tokens_in: *tokens_in,
            tokens_out: *tokens_out,
            price_version: *price_version,
            time: *time,
            from: *from,
            ordinal: *ordinal,
            model,
            voucher,
            hash: record,
        })
    }
}
