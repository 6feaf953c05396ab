use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Account, Balance, BatchHeader, Carries, Credit, EarnerIndex, FULL_BPS, Info, Ledger, MAX_ROWS,
    MIN_ROWS, ModelId, ModelKey, Record, Row, Share, payouts_of,
    pool::{PoolShares, share_pool},
    tiling::{check_distinct, draws},
};
use crate::{Error, Result};

/// Everything that decides a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchInputs<'a> {
    /// Which batch.
    pub header: BatchHeader,
    /// Negative nets that the operator's previous batch left, [`Ledger::carries`] of it.
    pub carries: &'a Carries,
    /// Records of the epoch, in any order; those of a channel tile its interval.
    pub records: &'a [Record],
    /// For each model called, the contributors of its Datanet versions with their accepted rows,
    /// one per duplicate cluster; an empty map for a model without Datanets.
    pub weights: &'a BTreeMap<ModelId, BTreeMap<EarnerIndex, u32>>,
    /// Reputation in bps; a contributor not listed has all of it, 10 000.
    pub reputation: &'a BTreeMap<EarnerIndex, u16>,
}

/// Builds the ledger of a batch. Records are placed by (time, voucher digest), so their order
/// does not matter.
///
/// # Errors
/// [`Error::EmptyBatch`], [`Error::DuplicateVoucher`], [`Error::NotTiled`],
/// [`Error::MissingWeights`], [`Error::CarryNotNegative`], [`Error::Reputation`],
/// [`Error::NobodyEarns`], [`Error::IdCollision`], [`Error::TooManyRows`], or
/// [`Error::Overflow`] if the fees sum to more than `i64::MAX` or a net falls below `-i64::MAX`.
pub fn build(inputs: &BatchInputs<'_>) -> Result<Ledger> {
    let records = canonical_order(inputs.records)?;
    let draws = draws(&records)?;
    let total = total_fees(&records)?;
    check_inputs(inputs, &records)?;

    let mut sheet = Sheet::default();
    sheet.rows.push(Row::PADDING); // the header's place
    for (&balance, &net) in inputs.carries {
        sheet.carry(balance, net)?;
    }
    for record in &records {
        sheet.record(record)?;
    }
    let shares = share_pools(inputs, &sheet);
    sheet.close_pools(&shares);
    let carries = sheet.close_balances(inputs, &shares)?;
    sheet.close_fixed();

    let mut rows = sheet.rows;
    if rows.len() > MAX_ROWS {
        return Err(Error::TooManyRows { rows: rows.len(), max: MAX_ROWS });
    }
    rows.resize(rows.len().next_power_of_two().max(MIN_ROWS), Row::PADDING);
    let info = Info::Header {
        batch: inputs.header,
        records: u32::try_from(records.len()).expect("fewer records than rows"),
        rows: u32::try_from(rows.len()).expect("at most 2^16 rows"),
        total,
    };
    rows[0] = Row::posting(Account::None, 0, info);
    let payouts = payouts_of(&rows)?;
    Ok(Ledger { header: inputs.header, rows, payouts, total, draws, carries })
}

fn canonical_order(records: &[Record]) -> Result<Vec<&Record>> {
    if records.is_empty() {
        return Err(Error::EmptyBatch);
    }
    let mut vouchers = BTreeSet::new();
    for record in records {
        let voucher = record.call().voucher;
        if !vouchers.insert(voucher) {
            return Err(Error::DuplicateVoucher { voucher });
        }
    }
    let mut ordered: Vec<_> = records.iter().collect();
    ordered.sort_unstable_by_key(|record| (record.call().time, record.call().voucher));
    Ok(ordered)
}

fn total_fees(records: &[&Record]) -> Result<u64> {
    let sum: u128 = records.iter().map(|record| u128::from(record.fee())).sum();
    i64::try_from(sum)
        .map(i64::unsigned_abs)
        .map_err(|_| Error::Overflow { what: "fees of a batch", value: sum })
}

fn check_inputs(inputs: &BatchInputs<'_>, records: &[&Record]) -> Result<()> {
    for record in records {
        let model = record.call().model;
        if !inputs.weights.contains_key(&model) {
            return Err(Error::MissingWeights { model: model.0 });
        }
    }
    check_distinct(inputs.weights.keys().map(|model| model.0), |id| id[..25].to_vec())?;
    for (&earner, &bps) in inputs.reputation {
        if bps > FULL_BPS {
            return Err(Error::Reputation { earner: earner.0, bps });
        }
    }
    if inputs.weights.values().any(|rows| rows.contains_key(&EarnerIndex::NOBODY)) {
        return Err(Error::NobodyEarns { what: "a contributor's weight" });
    }
    for (balance, &net) in inputs.carries {
        if net >= 0 {
            return Err(Error::CarryNotNegative { earner: balance.earner.0, net });
        }
        if balance.earner == EarnerIndex::NOBODY {
            return Err(Error::NobodyEarns { what: "a carried net" });
        }
    }
    Ok(())
}

/// How each pool of the batch is shared; pools of models that were not called are not there.
fn share_pools(inputs: &BatchInputs<'_>, sheet: &Sheet) -> BTreeMap<ModelKey, PoolShares> {
    let share = |(&model, rows): (&ModelId, &BTreeMap<EarnerIndex, u32>)| {
        let key = ModelKey::from(model);
        let pool = *sheet.pools.get(&key)?;
        let range = Balance { model: key, earner: EarnerIndex(0) }..=Balance {
            model: key,
            earner: EarnerIndex(u32::MAX),
        };
        let nets = sheet.nets.range(range).map(|(balance, &net)| (balance.earner, net)).collect();
        Some((key, share_pool(pool, &nets, rows, inputs.reputation)))
    };
    inputs.weights.iter().filter_map(share).collect()
}

/// Rows written so far and what their accounts hold.
///
/// Fixed shares, pools and credits sum to at most the total of the fees, which was checked to be
/// at most `i64::MAX`; only carries can take a net further down.
#[derive(Debug, Default)]
struct Sheet {
    rows: Vec<Row>,
    fixed: BTreeMap<EarnerIndex, u64>,
    pools: BTreeMap<ModelKey, u64>,
    nets: BTreeMap<Balance, i64>,
}

impl Sheet {
    fn carry(&mut self, balance: Balance, net: i64) -> Result<()> {
        self.rows.push(Row::posting(Account::Balance(balance), net, Info::Carry));
        self.add_net(balance, net)
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        let call = record.call();
        let model = ModelKey::from(call.model);
        let info = Info::Record {
            tokens_in: call.tokens_in,
            tokens_out: call.tokens_out,
            price_version: call.price_version,
            time: call.time,
            from: call.from,
            model: leading(call.model.0),
            voucher: leading(call.voucher),
            record: leading(record.hash()),
        };
        self.rows.push(Row::posting(Account::draw(call.channel), posted(record.fee()), info));
        for &Share { kind, earner, weight, weights, amount } in record.shares() {
            let info = Info::Share { kind, weight, weights };
            self.rows.push(Row::posting(Account::Fixed(earner), posted(amount), info));
            *self.fixed.entry(earner).or_default() += amount;
        }
        let magnitude = record.credits().iter().map(|c| u128::from(c.score.unsigned_abs())).sum();
        let credits = u8::try_from(record.credits().len()).expect("at most max_credits");
        let info = Info::PoolShare { credits, magnitude };
        self.rows.push(Row::posting(Account::Pool(model), posted(record.pool()), info));
        *self.pools.entry(model).or_default() += record.pool();
        for &Credit { earner, score, credit } in record.credits() {
            let balance = Balance { model, earner };
            self.rows.push(Row::posting(Account::Balance(balance), credit, Info::Credit { score }));
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

    fn close_pools(&mut self, shares: &BTreeMap<ModelKey, PoolShares>) {
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

    /// Pays and closes every balance that was posted to or gets flat pay; returns the negative ones.
    fn close_balances(
        &mut self,
        inputs: &BatchInputs<'_>,
        shares: &BTreeMap<ModelKey, PoolShares>,
    ) -> Result<Carries> {
        let rows_of: BTreeMap<ModelKey, _> =
            inputs.weights.iter().map(|(&model, rows)| (model.into(), rows)).collect();
        for (&model, shares) in shares {
            for &earner in shares.flat.keys() {
                self.nets.entry(Balance { model, earner }).or_default();
            }
        }
        let mut carries = Carries::new();
        for (&balance, &net) in &self.nets {
            let Balance { model, earner } = balance;
            let paid = |by: fn(&PoolShares) -> &BTreeMap<EarnerIndex, u64>| {
                shares.get(&model).and_then(|s| by(s).get(&earner)).copied().unwrap_or(0)
            };
            let (influence, flat) = (paid(|s| &s.influence), paid(|s| &s.flat));
            let info = Info::Payout {
                influence,
                flat,
                reputation: inputs.reputation.get(&earner).copied().unwrap_or(FULL_BPS),
                rows: rows_of.get(&model).and_then(|rows| rows.get(&earner)).copied().unwrap_or(0),
            };
            let row = Row::posting(Account::Balance(balance), -net, info);
            self.rows.push(row.paying(earner, influence + flat));
            if net < 0 {
                carries.insert(balance, net);
            }
        }
        Ok(carries)
    }

    fn close_fixed(&mut self) {
        for (&earner, &sum) in &self.fixed {
            let row = Row::posting(Account::Fixed(earner), -posted(sum), Info::FixedPayout);
            self.rows.push(row.paying(earner, sum));
        }
    }
}

fn posted(amount: u64) -> i64 {
    i64::try_from(amount).expect("no amount of a batch is above its total, at most i64::MAX")
}

fn leading(hash: [u8; 32]) -> [u8; 31] {
    *hash.first_chunk().expect("31 of 32 bytes")
}
