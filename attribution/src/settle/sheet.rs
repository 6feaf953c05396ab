use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Account, Balance, BatchInputs, Carries, Credit, EarnerIndex, FULL_BPS, Info, ModelKey, Record,
    Row, Share, pool::PoolShares,
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

    /// Pays and closes every balance that was posted to or gets flat pay; returns the negative ones.
    pub(super) fn close_balances(
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
