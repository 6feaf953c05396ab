//! What the rows of a ledger say, by record and by payout.

use attribution::settle::{
    Account, Balance, EarnerIndex, Ground, Info, ModelKey, Row, ShareKind, UseKind,
};

/// A batch's ledger, read.
///
/// Rows are taken as they are: whoever needs to know that they are a sound ledger reads them with
/// [`attribution::settle::Statement`] too, as [`super::Ledgers`] does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Rows, with padding.
    pub rows: u32,
    /// Gwei drawn and paid.
    pub total: u64,
    /// Calls, in their order: a call's ordinal is its place here.
    pub records: Vec<BookRecord>,
    /// What contributors of each model are paid.
    pub payouts: Vec<BookPayout>,
    /// What fixed shares come to, by earner.
    pub fixed: Vec<(EarnerIndex, u64)>,
    /// What of each model's pool is left to the treasury.
    pub left: Vec<(ModelKey, u64)>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookRecord {
    /// Its first row.
    pub row: u32,
    /// Rows that are its.
    pub rows: u32,
    /// Voucher digest, cut to its leading 31 bytes.
    pub voucher: [u8; 31],
    /// Model id, cut.
    pub model: [u8; 31],
    /// Record hash, cut.
    pub record: [u8; 31],
    /// When the payer signed (seconds).
    pub time: u64,
    /// Prompt tokens and generated tokens.
    pub tokens: (u32, u32),
    /// Gwei.
    pub fee: u64,
    /// Fixed shares: kind, earner, gwei.
    pub shares: Vec<(ShareKind, EarnerIndex, u64)>,
    /// Pools with their credits: influence first.
    pub pools: Vec<BookPool>,
}

/// What a record pays contributors in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookPool {
    /// `None` for influence.
    pub kind: Option<UseKind>,
    /// Gwei.
    pub amount: u64,
    /// Its credits, in their order.
    pub credits: Vec<BookCredit>,
}

/// A credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookCredit {
    /// To whom.
    pub earner: EarnerIndex,
    /// `S_c`, or the score of a use.
    pub score: i128,
    /// Signed gwei.
    pub gwei: i64,
    /// The use, if it is for one.
    pub ground: Option<Ground>,
}

/// What a contributor of a model is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookPayout {
    /// Of which model's pool, and to whom.
    pub balance: Balance,
    /// Credits and carries together, signed gwei.
    pub net: i64,
    /// Gwei for the net.
    pub influence: u64,
    /// Gwei by the flat rule.
    pub flat: u64,
    /// Basis points of a positive net that are paid.
    pub factor: u16,
    /// Accepted rows.
    pub rows: u32,
}

impl Book {
    /// Reads the rows of a ledger.
    #[must_use]
    pub fn read(rows: &[Row]) -> Self {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let mut book = Self { rows: count, ..Self::default() };
        for (place, row) in (0u32..).zip(rows) {
            book.take(place, row);
        }
        book
    }

    /// The call of a voucher, by the leading 31 bytes of the voucher's digest.
    #[must_use]
    pub fn record(&self, voucher: &[u8; 31]) -> Option<&BookRecord> {
        self.records.iter().find(|record| record.voucher == *voucher)
    }

    /// What contributors of a model are paid.
    pub fn payouts_of(&self, model: ModelKey) -> impl Iterator<Item = &BookPayout> {
        self.payouts.iter().filter(move |payout| payout.balance.model == model)
    }

    /// Gwei that an earner gets of the whole batch.
    #[must_use]
    pub fn paid(&self, earner: EarnerIndex) -> u64 {
        let fixed = self.fixed.iter().filter(|(of, _)| *of == earner).map(|(_, gwei)| *gwei);
        let payouts = self.payouts.iter().filter(|payout| payout.balance.earner == earner);
        let payouts = payouts.map(|payout| payout.influence.saturating_add(payout.flat));
        let left = self.left.iter().filter(|_| earner == EarnerIndex::TREASURY);
        // Anybody's rows may say anything.
        let all = fixed.chain(payouts).chain(left.map(|(_, gwei)| *gwei));
        all.fold(0, u64::saturating_add)
    }

    fn take(&mut self, place: u32, row: &Row) {
        let gwei = |value: i64| u64::try_from(value).unwrap_or(0);
        match row.info {
            Info::Header { total, .. } => self.total = total,
            Info::Record { tokens_in, tokens_out, time, model, voucher, record, .. } => {
                self.records.push(BookRecord {
                    row: place,
                    rows: 0,
                    voucher,
                    model,
                    record,
                    time,
                    tokens: (tokens_in, tokens_out),
                    fee: gwei(row.value),
                    shares: vec![],
                    pools: vec![],
                });
            }
            Info::FixedPayout => self.fixed.push((row.earner, row.amount)),
            Info::PoolClosing { .. } => {
                if let Account::Pool(model) = row.account {
                    self.left.push((model, row.amount));
                }
            }
            Info::Payout { influence, flat, factor, rows, .. } => {
                if let Account::Balance(balance) = row.account {
                    let net = row.value.saturating_neg();
                    self.payouts.push(BookPayout { balance, net, influence, flat, factor, rows });
                }
            }
            _ => {}
        }
        if let Some(record) = self.records.last_mut() {
            record.take(place, row);
        }
    }
}

impl BookRecord {
    /// What all its pools come to, gwei.
    #[must_use]
    pub fn pool(&self) -> u64 {
        self.pools.iter().fold(0, |sum, pool| sum.saturating_add(pool.amount))
    }

    /// The account of its model's pool.
    #[must_use]
    pub const fn key(&self) -> ModelKey {
        ModelKey(*self.model.first_chunk().expect("25 of 31 bytes"))
    }

    /// Whether it is of a model.
    #[must_use]
    pub fn is_of(&self, model: ModelKey) -> bool {
        self.model.starts_with(&model.0)
    }

    fn take(&mut self, place: u32, row: &Row) {
        let gwei = u64::try_from(row.value).unwrap_or(0);
        match (&row.info, row.account) {
            (Info::Record { .. }, _) => {}
            (&Info::Share { kind, .. }, Account::Fixed(earner)) => {
                self.shares.push((kind, earner, gwei));
            }
            (Info::PoolShare { .. }, _) => {
                self.pools.push(BookPool { kind: None, amount: gwei, credits: vec![] });
            }
            (&Info::UsePool { kind, .. }, _) => {
                self.pools.push(BookPool { kind: Some(kind), amount: gwei, credits: vec![] });
            }
            (info, Account::Balance(balance)) => {
                let (score, ground) = match *info {
                    Info::Credit { score, .. } => (i128::from(score), None),
                    Info::SpanCredit { score, span, .. } => {
                        (score.into(), Some(Ground::Span(span)))
                    }
                    Info::CitationCredit { score, citation, .. } => {
                        (score.into(), Some(Ground::Citation(citation)))
                    }
                    _ => return,
                };
                let Some(pool) = self.pools.last_mut() else { return };
                let earner = balance.earner;
                pool.credits.push(BookCredit { earner, score, gwei: row.value, ground });
            }
            _ => return,
        }
        self.rows = place + 1 - self.row;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use attribution::settle::{
        BatchHeader, BatchInputs, Call, Carries, ChannelId, Factors, ModelId, ModelOwner, Payees,
        Price, Record, Split, Terms, build,
    };

    use super::*;

    fn record(number: u8, model: u8, scores: &[(u32, i64)]) -> Record {
        let call = Call {
            channel: ChannelId([number; 32]),
            voucher: [number; 32],
            model: ModelId([model; 32]),
            time: u64::from(number),
            tokens_in: 10,
            tokens_out: 20,
            record: [number + 100; 32],
            ..Call::default()
        };
        let price = Price { input_rate: 7_001, output_rate: 33_333, platform_fee: 17 };
        let terms = Terms { price, split: Split::default(), max_credits: 4 };
        let owner = ModelOwner { earner: EarnerIndex(3), weight: 1 };
        let payees = Payees { owners: vec![owner], stakers: EarnerIndex(2) };
        let scores: Vec<_> = scores.iter().map(|&(e, score)| (EarnerIndex(e), score)).collect();
        Record::new(call, terms, payees, &scores).unwrap()
    }

    #[test]
    fn a_book_says_what_the_ledger_was_built_from() {
        let records = [record(1, 9, &[(5, 40), (6, -30), (7, 10)]), record(2, 8, &[(5, 3)])];
        let rows = BTreeMap::from([(EarnerIndex(5), 2), (EarnerIndex(6), 1), (EarnerIndex(7), 1)]);
        let weights = BTreeMap::from([(ModelId([9; 32]), rows.clone()), (ModelId([8; 32]), rows)]);
        let factors =
            Factors { reputation: BTreeMap::from([(EarnerIndex(5), 8_000)]), ..Factors::default() };
        let ledger = build(&BatchInputs {
            header: BatchHeader::default(),
            carries: &Carries::new(),
            records: &records,
            weights: &weights,
            factors: &factors,
        })
        .unwrap();

        let book = Book::read(ledger.rows());

        assert_eq!(book.total, ledger.total());
        for (record, known) in records.iter().zip(&book.records) {
            assert_eq!(known.voucher, record.call().voucher[..31]);
            assert_eq!(known.fee, record.fee());
            let shares = record.shares().iter().map(|s| (s.kind, s.earner, s.amount));
            assert_eq!(known.shares, shares.collect::<Vec<_>>());
            assert_eq!(known.pool(), record.pool());
            let credits: Vec<_> =
                known.pools[0].credits.iter().map(|c| (c.earner, c.score, c.gwei)).collect();
            let expected = record.credits().iter().map(|c| (c.earner, c.score.into(), c.credit));
            assert_eq!(credits, expected.collect::<Vec<_>>());
            // Header, three shares, pool and credits.
            assert_eq!(known.rows as usize, 5 + record.credits().len());
        }
        // Everything that is paid is in exactly one of its parts.
        let mut paid = BTreeMap::<EarnerIndex, u64>::new();
        for (earner, gwei) in &book.fixed {
            *paid.entry(*earner).or_default() += gwei;
        }
        for payout in &book.payouts {
            *paid.entry(payout.balance.earner).or_default() += payout.influence + payout.flat;
        }
        for (_, gwei) in &book.left {
            *paid.entry(EarnerIndex::TREASURY).or_default() += gwei;
        }
        paid.retain(|_, gwei| *gwei > 0);
        assert!(paid.iter().all(|(&earner, &gwei)| book.paid(earner) == gwei));
        assert_eq!(paid, *ledger.payouts());
        assert_eq!(book.payouts_of(ModelKey([9; 25])).count(), 3);
        let harmful = book.payouts.iter().find(|p| p.net < 0).unwrap();
        assert_eq!((harmful.balance.earner, harmful.influence), (EarnerIndex(6), 0));
        let trusted_less = book.payouts.iter().find(|p| p.factor == 8_000).unwrap();
        assert_eq!(trusted_less.influence, trusted_less.net.unsigned_abs() * 8 / 10);
    }
}
