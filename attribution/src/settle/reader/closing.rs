//! Closing rows: pools, balances, fixed accounts.

use super::Reader;
use crate::{
    Error, Result,
    settle::{Account, Balance, EarnerIndex, Info, ModelKey, Row, Through, floor_bps},
};

/// What the closing row of a pool says.
#[derive(Clone, Copy)]
pub(super) struct Pool {
    row: usize,
    /// What influence leaves of it, gwei.
    flat_pool: u64,
    sums: Through,
}

impl Reader<'_> {
    pub(super) fn closings(&mut self) -> Result<()> {
        let mut last = None;
        while let Some(row) = self.peek() {
            let (stage, posts) = match (&row.info, row.account) {
                (Info::PoolClosing { .. }, Account::Pool(model)) => {
                    self.pool_closing(row, model)?;
                    (0, true)
                }
                (Info::Payout { .. }, Account::Balance(balance)) => {
                    self.payout(row, balance)?;
                    (1, true)
                }
                (Info::FixedPayout, account) => {
                    let paid = i128::from(row.amount) == -i128::from(row.value);
                    self.require(paid, "fixed shares are paid whole")?;
                    (2, account == Account::Fixed(row.earner))
                }
                (Info::PoolClosing { .. } | Info::Payout { .. }, _) => (0, false),
                _ => break,
            };
            self.require(posts, "a closing row posts to the account of its kind")?;
            let place = Some((stage, row.account));
            self.require(last < place, "pools, balances, fixed accounts close in rising order")?;
            last = place;
            self.at += 1;
        }
        let closed = self.pools.keys().eq(&self.called);
        self.require(closed, "the pools of the models called close, and no others")?;
        self.sums()
    }

    fn pool_closing(&mut self, row: &Row, model: ModelKey) -> Result<()> {
        let Info::PoolClosing { influence, flat, weight } = row.info else {
            return Err(Error::Grammar { row: self.at, rule: "a pool closing closes a pool" });
        };
        let paid: i128 = [influence, flat, row.amount].map(i128::from).iter().sum();
        self.require(paid == -i128::from(row.value), "a pool is paid out whole")?;
        let treasury = row.earner == EarnerIndex::TREASURY;
        self.require(treasury, "what a pool leaves is the treasury's")?;
        let flat_pool = row.value.unsigned_abs() - influence;
        let sums = Through { influence, flat, weight };
        self.pools.insert(model, Pool { row: self.at, flat_pool, sums });
        Ok(())
    }

    fn payout(&mut self, row: &Row, balance: Balance) -> Result<()> {
        let Info::Payout { influence, flat, factor, rows, through } = row.info else {
            return Err(Error::Grammar { row: self.at, rule: "a payout closes a balance" });
        };
        let net = row.value.checked_neg();
        let net = net.ok_or(Error::Grammar { row: self.at, rule: "a net is above -2^63" })?;
        let due = floor_bps(net.max(0).unsigned_abs(), factor);
        self.require(influence == due, "influence pay is the positive net times its factor")?;
        self.require(net >= 0 || flat == 0, "a negative net gets no flat pay")?;
        let paid = influence.checked_add(flat) == Some(row.amount);
        self.require(paid && row.earner == balance.earner, "a payout pays influence and flat")?;
        self.flat(net, flat, rows, balance.model)?;
        let sums = self.through.entry(balance.model).or_default();
        let expected = sums.with(influence, flat, rows, net);
        *sums = through;
        self.require(expected == Some(through), "a payout sums its model's payouts up to it")?;
        if net < 0 {
            self.carries.insert(balance, net);
        }
        Ok(())
    }

    /// Checks `flat = floor((pool - influence) * rows / weight)` of a net that is not negative.
    fn flat(&self, net: i64, flat: u64, rows: u32, model: ModelKey) -> Result<()> {
        let Some(pool) = self.pools.get(&model) else {
            return self.require(rows == 0 && flat == 0, "a model not called weighs no rows");
        };
        let product = u128::from(pool.flat_pool) * u128::from(rows);
        let due = product.checked_div(u128::from(pool.sums.weight)).unwrap_or(0);
        let holds = net < 0 || due == u128::from(flat);
        self.require(holds, "flat pay is the rest of the pool by accepted rows")
    }

    /// Checks each pool's closing row against its payouts.
    fn sums(&self) -> Result<()> {
        const RULE: &str = "a pool closing says what its model's payouts sum to";
        for (model, pool) in &self.pools {
            if self.through.get(model).copied().unwrap_or_default() != pool.sums {
                return Err(Error::Grammar { row: pool.row, rule: RULE });
            }
        }
        Ok(())
    }
}
