use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Account, Balance, BatchHeader, Carries, EarnerIndex, Factors, Info, Ledger, MAX_ROWS, MIN_ROWS,
    ModelId, ModelKey, Record, Row, payouts_of,
    pool::{PoolShares, share_pool},
    sheet::Sheet,
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
    /// How much of positive nets influence pays.
    pub factors: &'a Factors,
}

/// Builds the ledger of a batch. Records are placed by (time, voucher digest), so their order
/// does not matter.
///
/// # Errors
/// [`Error::EmptyBatch`], [`Error::DuplicateVoucher`], [`Error::NotTiled`],
/// [`Error::MissingWeights`], [`Error::CarryNotNegative`], [`Error::Factor`],
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
    inputs.factors.check()?;
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
        let factor = |earner| inputs.factors.of(Balance { model: key, earner });
        Some((key, share_pool(pool, &nets, rows, factor)))
    };
    inputs.weights.iter().filter_map(share).collect()
}
