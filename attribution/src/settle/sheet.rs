use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Account, Balance, BatchInputs, Carries, Credit, EarnerIndex, Ground, Info, ModelKey, Record,
    Row, Section, Share, Through, UseCredit, pool::PoolShares,
};
use crate::{Error, Result};

/// Rows written so far and what their accounts hold.
///
/// Fixed shares, pools and credits sum to at most the total of the fees, which was checked to be
/// at most `i64::MAX`; only carries can take a net further down.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) rows: Vec<Row>,
    fixed: BTreeMap<EarnerIndex, u64>,
    pub(super) pools: BTreeMap<ModelKey, u64>,
    pub(super) nets: BTreeMap<Balance, i64>,
    records: u16,
}

impl Sheet {
    pub(super) fn carry(&mut self, balance: Balance, net: i64) -> Result<()> {
        self.rows.push(Row::posting(Account::Balance(balance), net, Info::Carry));
        self.add_net(balance, net)
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<()> {
        let call = record.call();
        let model = ModelKey::from(call.model);
        let info = Info::Record {
            tokens_in: call.tokens_in,
            tokens_out: call.tokens_out,
            price_version: call.price_version,
            time: call.time,
            from: call.from,
            ordinal: self.records,
            model: leading(call.model.0),
            voucher: leading(call.voucher),
            record: leading(call.record),
        };
        // The batch that comes of a count that wraps has too many rows and is refused.
        self.records = self.records.wrapping_add(1);
        self.rows.push(Row::posting(Account::draw(call.channel), posted(record.fee()), info));
        let mut positions = 1..;
        let mut position = || positions.next().expect("a record has few fixed shares");
        for &Share { kind, earner, weight, weights, amount } in record.shares() {
            let info = Info::Share { kind, weight, weights, position: position() };
            self.rows.push(Row::posting(Account::Fixed(earner), posted(amount), info));
            *self.fixed.entry(earner).or_default() += amount;
        }
        let at = position();
        self.pool(record, model, at);
        self.credits(record, model)?;
        let mut position = u16::from(at) + 1 + u16::try_from(record.credits().len()).expect("a u8");
        for section in record.sections() {
            self.section(section, model, position)?;
            position += 1 + u16::try_from(section.credits.len()).expect("at most max_credits");
        }
        Ok(())
    }

    /// Writes what is paid for a kind of use, from the position on.
    fn section(&mut self, section: &Section, model: ModelKey, position: u16) -> Result<()> {
        let Section { kind, pool, ref credits } = *section;
        let magnitude = credits.iter().map(|credit| u128::from(credit.of.score)).sum();
        let count = u8::try_from(credits.len()).expect("at most max_credits");
        let info = Info::UsePool { kind, credits: count, magnitude, position };
        self.rows.push(Row::posting(Account::Pool(model), posted(pool), info));
        *self.pools.entry(model).or_default() += pool;
        let mut magnitude_through = 0;
        for (place, &UseCredit { of, credit }) in (0..).zip(credits) {
            let score = of.score;
            magnitude_through += u128::from(score);
            let position = position + 1 + u16::from(place);
            let info = match of.ground {
                Ground::Span(span) => {
                    Info::SpanCredit { score, place, magnitude_through, position, span }
                }
                Ground::Citation(citation) => {
                    Info::CitationCredit { score, place, magnitude_through, position, citation }
                }
            };
            let balance = Balance { model, earner: of.earner };
            self.rows.push(Row::posting(Account::Balance(balance), posted(credit), info));
            self.add_net(balance, posted(credit))?;
        }
        Ok(())
    }

    fn pool(&mut self, record: &Record, model: ModelKey, position: u8) {
        let magnitude = record.credits().iter().map(|c| u128::from(c.score.unsigned_abs())).sum();
        let credits = u8::try_from(record.credits().len()).expect("at most max_credits");
        let info = Info::PoolShare { credits, magnitude, position };
        self.rows.push(Row::posting(Account::Pool(model), posted(record.pool()), info));
        *self.pools.entry(model).or_default() += record.pool();
    }

    fn credits(&mut self, record: &Record, model: ModelKey) -> Result<()> {
        let mut magnitude_through = 0;
        for (place, &Credit { earner, score, credit }) in (0..).zip(record.credits()) {
            let balance = Balance { model, earner };
            magnitude_through += u128::from(score.unsigned_abs());
            let info = Info::Credit { score, place, magnitude_through };
            self.rows.push(Row::posting(Account::Balance(balance), credit, info));
            self.add_net(balance, credit)?;
        }
        Ok(())
    }

    fn add_net(&mut self, balance: Balance, value: i64) -> Result<()> {
        let net = self.nets.entry(balance).or_default();
        // Above i64::MIN, so that the closing row can post the opposite.
        match net.checked_add(value) {
            Some(sum) if sum > i64::MIN => {
                *net = sum;
                Ok(())
            }
            _ => Err(Error::Overflow {
                what: "a contributor's negative net",
                value: (i128::from(*net) + i128::from(value)).unsigned_abs(),
            }),
        }
    }

    pub(super) fn close_pools(&mut self, shares: &BTreeMap<ModelKey, PoolShares>) {
        for (&model, &pool) in &self.pools {
            let shares = &shares[&model];
            let info = Info::PoolClosing {
                influence: shares.influence_total,
                flat: shares.flat_total,
                weight: shares.weight,
            };
            let row = Row::posting(Account::Pool(model), -posted(pool), info);
            self.rows.push(row.paying(EarnerIndex::TREASURY, shares.left));
        }
    }

    /// Pays and closes every balance that was posted to, and those of all contributors with
    /// accepted rows of the models called; returns the negative ones.
    pub(super) fn close_balances(
        &mut self,
        inputs: &BatchInputs<'_>,
        shares: &BTreeMap<ModelKey, PoolShares>,
    ) -> Result<Carries> {
        let rows_of: BTreeMap<ModelKey, _> = inputs
            .weights
            .iter()
            .map(|(&model, rows)| (model.into(), rows))
            .filter(|(model, _)| self.pools.contains_key(model))
            .collect();
        for (&model, rows) in &rows_of {
            for (&earner, _) in rows.iter().filter(|(_, rows)| **rows > 0) {
                self.nets.entry(Balance { model, earner }).or_default();
            }
        }
        let mut carries = Carries::new();
        let (mut last, mut through) = (None, Through::default());
        for (&balance, &net) in &self.nets {
            let Balance { model, earner } = balance;
            let paid = |by: fn(&PoolShares) -> &BTreeMap<EarnerIndex, u64>| {
                shares.get(&model).and_then(|s| by(s).get(&earner)).copied().unwrap_or(0)
            };
            let (influence, flat) = (paid(|s| &s.influence), paid(|s| &s.flat));
            let rows = rows_of.get(&model).and_then(|rows| rows.get(&earner)).copied().unwrap_or(0);
            let before = if last == Some(model) { through } else { Through::default() };
            through = before
                .with(influence, flat, rows, net)
                .expect("a model's payouts are within its pool, and rows are below 2^32 each");
            last = Some(model);
            let factor = inputs.factors.of(balance);
            let info = Info::Payout { influence, flat, factor, rows, through };
            let row = Row::posting(Account::Balance(balance), -net, info);
            self.rows.push(row.paying(earner, influence + flat));
            if net < 0 {
                carries.insert(balance, net);
            }
        }
        Ok(carries)
    }

    pub(super) fn close_fixed(&mut self) {
        for (&earner, &sum) in &self.fixed {
            let row = Row::posting(Account::Fixed(earner), -posted(sum), Info::FixedPayout);
            self.rows.push(row.paying(earner, sum));
        }
    }
}

fn posted(amount: u64) -> i64 {
    i64::try_from(amount).expect("no amount of a batch is above its total, at most i64::MAX")
}

const fn leading(hash: [u8; 32]) -> [u8; 31] {
    *hash.first_chunk().expect("31 of 32 bytes")
}
