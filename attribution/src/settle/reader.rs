use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Account, BatchHeader, Carries, EarnerIndex, Info, ModelKey, Row, ShareKind, Through, UseKind,
    uses::{follows, is_first, is_last_holder, is_sound},
};
use crate::{Error, Result};

mod closing;

use closing::Pool;

/// Intervals of records by channel, each with its row.
pub(super) type Tiles = BTreeMap<[u8; 30], Vec<(u64, u64, usize)>>;

/// What the rows say, before sums are checked.
pub(super) struct Read {
    pub(super) header: BatchHeader,
    pub(super) records: u32,
    pub(super) total: u64,
    pub(super) tiles: Tiles,
    pub(super) carries: Carries,
}

/// Goes through the rows once, by the grammar.
pub(super) struct Reader<'a> {
    rows: &'a [Row],
    at: usize,
    tiles: Tiles,
    carries: Carries,
    /// Models of the records.
    called: BTreeSet<ModelKey>,
    /// Pools closed.
    pools: BTreeMap<ModelKey, Pool>,
    /// Sums over the payouts read of each model.
    through: BTreeMap<ModelKey, Through>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rows: &'a [Row]) -> Self {
        Self {
            rows,
            at: 0,
            tiles: BTreeMap::new(),
            carries: Carries::new(),
            called: BTreeSet::new(),
            pools: BTreeMap::new(),
            through: BTreeMap::new(),
        }
    }

    pub(super) fn read(mut self) -> Result<Read> {
        let (header, records, total) = self.header()?;
        self.carries_in()?;
        self.records(records)?;
        self.closings()?;
        self.padding()?;
        Ok(Read { header, records, total, tiles: self.tiles, carries: self.carries })
    }

    fn peek(&self) -> Option<&'a Row> {
        self.rows.get(self.at)
    }

    const fn require(&self, holds: bool, rule: &'static str) -> Result<()> {
        if holds { Ok(()) } else { Err(Error::Grammar { row: self.at, rule }) }
    }

    /// The row here, which must pay nothing.
    fn posting(&self, rule: &'static str) -> Result<&'a Row> {
        let row = self.peek().ok_or(Error::Grammar { row: self.at, rule })?;
        let silent = row.earner == EarnerIndex::NOBODY && row.amount == 0;
        self.require(silent, "only closing rows name an earner or pay")?;
        Ok(row)
    }

    fn header(&mut self) -> Result<(BatchHeader, u32, u64)> {
        const RULE: &str = "row 0 is the batch's header";
        let row = self.posting(RULE)?;
        let Info::Header { batch, records, rows, total } = row.info else {
            return Err(Error::Grammar { row: 0, rule: RULE });
        };
        self.require(row.account == Account::None && row.value == 0, "the header posts nothing")?;
        self.require(usize::try_from(rows) == Ok(self.rows.len()), "the header counts the rows")?;
        self.require(records > 0, "a batch holds a record")?;
        self.at += 1;
        Ok((batch, records, total))
    }

    fn carries_in(&mut self) -> Result<()> {
        let mut last = Account::None;
        while let Some(row) = self.peek().filter(|row| row.info == Info::Carry) {
            self.posting("a carry posts")?;
            self.require(matches!(row.account, Account::Balance(_)), "a carry posts to a balance")?;
            self.require(row.value < 0, "a carried net is negative")?;
            self.require(last < row.account, "carries increase strictly by account")?;
            last = row.account;
            self.at += 1;
        }
        Ok(())
    }

    fn records(&mut self, count: u32) -> Result<()> {
        let mut last = None;
        for ordinal in 0..count {
            let place = self.record(ordinal)?;
            self.require(last < Some(place), "records increase strictly by time and voucher")?;
            last = Some(place);
        }
        Ok(())
    }

    /// Reads one record and returns its place in the canonical order.
    fn record(&mut self, expected: u32) -> Result<(u64, [u8; 31])> {
        const RULE: &str = "the header counts the records";
        let at = self.at;
        let row = self.posting(RULE)?;
        let (&Info::Record { time, from, voucher, model, ordinal, .. }, Account::Draw(channel)) =
            (&row.info, row.account)
        else {
            return Err(Error::Grammar { row: self.at, rule: "a record posts its fee to a draw" });
        };
        self.require(u32::from(ordinal) == expected, "records are numbered from 0")?;
        let to = u64::try_from(row.value).ok().and_then(|fee| from.checked_add(fee));
        let to = to.ok_or(Error::Grammar { row: self.at, rule: "a fee is not negative" })?;
        self.tiles.entry(channel).or_default().push((from, to, self.at));
        self.at += 1;
        let (fixed, position) = self.shares()?;
        let mut pools = i128::from(self.pool(&model, position)?);
        for kind in [UseKind::Span, UseKind::Citation] {
            pools += i128::from(self.section(kind, &model, at)?);
        }
        let whole = fixed + pools == i128::from(row.value);
        self.require(whole, "shares and pool of a record sum to its fee")?;
        Ok((time, voucher))
    }

    /// Sum of the fixed shares, and the position of the row after them.
    fn shares(&mut self) -> Result<(i128, u8)> {
        const RULE: &str = "a record's fixed shares are treasury, owners by index, stakers";
        let (mut sum, mut last, mut expected) = (0, None, 1);
        loop {
            let row = self.posting(RULE)?;
            let (&Info::Share { kind, position, .. }, Account::Fixed(earner)) =
                (&row.info, row.account)
            else {
                return Err(Error::Grammar { row: self.at, rule: RULE });
            };
            self.require(position == expected, "a record's rows are numbered")?;
            expected = expected.saturating_add(1);
            // The treasury's share comes first and once, the stakers' once and last.
            let first = kind == ShareKind::Treasury;
            self.require(first == last.is_none() && last < Some((kind, earner)), RULE)?;
            let treasury = earner == EarnerIndex::TREASURY;
            self.require(!first || treasury, "the treasury's share is of earner 1")?;
            self.require(row.value >= 0, "a share is not negative")?;
            sum += i128::from(row.value);
            last = Some((kind, earner));
            self.at += 1;
            if kind == ShareKind::Stakers {
                return Ok((sum, expected));
            }
        }
    }

    /// Reads a record's pool and credits and returns the pool.
    fn pool(&mut self, model: &[u8; 31], expected: u8) -> Result<i64> {
        const RULE: &str = "a record's pool follows its fixed shares";
        let row = self.posting(RULE)?;
        let (&Info::PoolShare { credits, magnitude, position }, Account::Pool(key)) =
            (&row.info, row.account)
        else {
            return Err(Error::Grammar { row: self.at, rule: RULE });
        };
        self.require(position == expected, "a record's rows are numbered")?;
        self.require(model.starts_with(&key.0), "a record's pool is its model's")?;
        self.require(row.value >= 0, "a pool is not negative")?;
        self.called.insert(key);
        self.at += 1;
        let sum = self.credits(credits, key, row.value, magnitude)?;
        self.require(sum == magnitude, "a pool's magnitude is that of its credits")?;
        Ok(row.value)
    }

    /// Sum of `|S|` over a record's credits.
    fn credits(&mut self, count: u8, model: ModelKey, pool: i64, magnitude: u128) -> Result<u128> {
        const RULE: &str = "the pool row counts the credits";
        let (mut last, mut sum) = (None, 0_u128);
        for expected in 0..count {
            let row = self.posting(RULE)?;
            let (
                &Info::Credit { score, place: number, magnitude_through },
                Account::Balance(balance),
            ) = (&row.info, row.account)
            else {
                return Err(Error::Grammar { row: self.at, rule: RULE });
            };
            self.require(number == expected, "a record's credits are numbered")?;
            self.require(balance.model == model, "a credit is of its record's model")?;
            let place = Some((core::cmp::Reverse(score.unsigned_abs()), balance.earner));
            self.require(last < place, "credits fall by score, then rise by index")?;
            self.require(score != 0, "a credit has a score")?;
            let share = credit_of(pool, score, magnitude) == Some(row.value);
            self.require(share, "a credit is trunc(pool * score / magnitude)")?;
            last = place;
            sum += u128::from(score.unsigned_abs());
            self.require(magnitude_through == sum, "a credit sums the scores up to it")?;
            self.at += 1;
        }
        Ok(sum)
    }

    /// Reads what a record pays for a kind of use and returns it; 0 if there is no such section.
    fn section(&mut self, of: UseKind, model: &[u8; 31], record: usize) -> Result<i64> {
        let Some(&Row {
            info: Info::UsePool { kind, credits, magnitude, position },
            value,
            account,
            ..
        }) = self.peek()
        else {
            return Ok(0);
        };
        if kind != of {
            return Ok(0);
        }
        self.posting("a pool of uses posts")?;
        let Account::Pool(key) = account else {
            return Err(Error::Grammar { row: self.at, rule: "a pool of uses posts to a pool" });
        };
        self.require(model.starts_with(&key.0), "a record's pool is its model's")?;
        self.require(value >= 0, "a pool is not negative")?;
        self.require(usize::from(position) == self.at - record, "a record's rows are numbered")?;
        self.at += 1;
        let sum = self.uses(of, credits, key, record, (value, magnitude))?;
        self.require(sum == magnitude, "a pool's magnitude is that of its credits")?;
        Ok(value)
    }

    /// Sum of the scores of a section's credits.
    fn uses(
        &mut self,
        kind: UseKind,
        count: u8,
        model: ModelKey,
        record: usize,
        (pool, magnitude): (i64, u128),
    ) -> Result<u128> {
        const RULE: &str = "the pool row counts the credits";
        let (mut last, mut sum) = (None, 0_u128);
        for expected in 0..count {
            let row = self.posting(RULE)?;
            let Account::Balance(balance) = row.account else {
                return Err(Error::Grammar { row: self.at, rule: RULE });
            };
            let uses = row.info.as_use(balance.earner);
            let (of, position) = uses.ok_or(Error::Grammar { row: self.at, rule: RULE })?;
            let credit = row.info.credit().filter(|credit| credit.kind == Some(kind));
            let credit = credit.ok_or(Error::Grammar { row: self.at, rule: RULE })?;
            self.require(credit.place == expected, "a record's credits are numbered")?;
            self.require(
                usize::from(position) == self.at - record,
                "a record's rows are numbered",
            )?;
            self.require(balance.model == model, "a credit is of its record's model")?;
            self.require(is_sound(&of), "a use's numbers are in their ranges")?;
            let ordered = last.as_ref().map_or_else(|| is_first(&of), |last| follows(last, &of));
            self.require(ordered, "uses fall by score, a span's holders together")?;
            let score = i64::try_from(of.score).ok();
            let share = score.and_then(|score| credit_of(pool, score, magnitude));
            self.require(share == Some(row.value), "a credit is trunc(pool * score / magnitude)")?;
            sum += u128::from(of.score);
            self.require(credit.magnitude_through == sum, "a credit sums the scores up to it")?;
            last = Some(of);
            self.at += 1;
        }
        self.require(
            last.is_none_or(|last| is_last_holder(&last)),
            "a span's holders are all there",
        )?;
        Ok(sum)
    }

    fn padding(&mut self) -> Result<()> {
        while let Some(row) = self.peek() {
            self.require(*row == Row::PADDING, "padding fills a ledger after its fixed payouts")?;
            self.at += 1;
        }
        Ok(())
    }
}

/// `trunc(pool * score / magnitude)`, `None` for a magnitude that cannot be.
fn credit_of(pool: i64, score: i64, magnitude: u128) -> Option<i64> {
    let magnitude = i128::try_from(magnitude).ok()?;
    i64::try_from((i128::from(pool) * i128::from(score)).checked_div(magnitude)?).ok()
}
