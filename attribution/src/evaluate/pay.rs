//! What contributors earn.

use std::collections::BTreeMap;

use crate::{
    Error, Result,
    settle::{EarnerIndex, FULL_BPS, share_pool, signed_credits},
};

/// Where negative scores stop counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamp {
    /// After credits are netted over the batch: the pay rule.
    Net,
    /// In every call: what it is held against.
    EveryCall,
}

/// How the pools of a batch are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayRule {
    /// Contributors' share of each call, gwei.
    pub pool: u64,
    /// Contributors that a call credits: those with the largest `|S_c|`.
    pub max_credits: u8,
    /// Where negative credits are dropped.
    pub clamp: Clamp,
}

/// What a batch pays each contributor, gwei, in the order that they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pay {
    /// Signed credits, netted over the batch.
    pub net: Vec<i64>,
    /// By influence.
    pub influence: Vec<u64>,
    /// By the flat rule, from what influence leaves.
    pub flat: Vec<u64>,
}

impl Pay {
    /// Influence and flat pay together.
    #[must_use]
    pub fn total(&self) -> Vec<u64> {
        self.influence.iter().zip(&self.flat).map(|(a, b)| a + b).collect()
    }
}

/// Pays a batch of calls of one model, with the whole factor, by the integer rules of the ledger.
///
/// - `calls`: `S_c` of every contributor, per call
/// - `accepted`: accepted rows of every contributor
///
/// # Errors
/// [`Error::Shape`] if a call has not one score per contributor; [`Error::Overflow`] if the pools
/// together are above `i64::MAX`.
pub fn pay(calls: &[Vec<i64>], accepted: &[u32], rule: PayRule) -> Result<Pay> {
    let whole = u128::from(rule.pool) * calls.len() as u128;
    let pool = u64::try_from(whole).ok().filter(|pool| i64::try_from(*pool).is_ok());
    let pool = pool.ok_or(Error::Overflow { what: "contributors' pools", value: whole })?;
    let earner = |place: usize| {
        // Index 0 is nobody.
        let index = u32::try_from(place + 1);
        index.map(EarnerIndex).map_err(|_| Error::setting("too many contributors", place))
    };
    let mut nets = BTreeMap::new();
    for scores in calls {
        if scores.len() != accepted.len() {
            return Err(Error::shape("scores of a call", accepted.len(), scores.len()));
        }
        let scores: Vec<_> =
            (0..).zip(scores).map(|(c, s)| Ok((earner(c)?, *s))).collect::<Result<_>>()?;
        for credit in signed_credits(rule.pool, &scores, rule.max_credits)? {
            let counted = match rule.clamp {
                Clamp::Net => credit.credit,
                Clamp::EveryCall => credit.credit.max(0),
            };
            *nets.entry(credit.earner).or_insert(0) += counted;
        }
    }
    let rows = accepted.iter().enumerate().map(|(c, rows)| Ok((earner(c)?, *rows)));
    let rows: BTreeMap<_, _> = rows.collect::<Result<_>>()?;
    let shares = share_pool(pool, &nets, &rows, |_| FULL_BPS);
    let of = |shares: &BTreeMap<EarnerIndex, u64>| {
        rows.keys().map(|earner| shares.get(earner).copied().unwrap_or(0)).collect()
    };
    let net = rows.keys().map(|earner| nets.get(earner).copied().unwrap_or(0)).collect();
    Ok(Pay { net, influence: of(&shares.influence), flat: of(&shares.flat) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NET: PayRule = PayRule { pool: 1000, max_credits: 32, clamp: Clamp::Net };

    #[test]
    fn a_batch_nets_then_clamps_and_gives_the_rest_by_rows() {
        // Credits 500 -250 250, then 250 250 -500: nets 750, 0, -250.
        let calls = [vec![2, -1, 1], vec![1, 1, -2]];
        let paid = pay(&calls, &[1, 3, 5], NET).unwrap();

        assert_eq!(paid.net, [750, 0, -250]);
        assert_eq!(paid.influence, [750, 0, 0]);
        // 1250 left for 1 and 3 rows; the third, in debt, has no part in it.
        assert_eq!(paid.flat, [312, 937, 0]);
        assert_eq!(paid.total(), [1062, 937, 0]);
        let every = PayRule { clamp: Clamp::EveryCall, ..NET };
        assert_eq!(pay(&calls, &[1, 3, 5], every).unwrap().influence, [750, 250, 250]);
    }

    #[test]
    fn shapes_and_sums_are_checked() {
        assert!(pay(&[vec![1]], &[1, 2], NET).is_err());
        let huge = PayRule { pool: u64::MAX / 2, ..NET };
        assert!(pay(&[vec![1], vec![1], vec![1]], &[1], huge).is_err());
    }

    proptest! {
        #[test]
        fn a_batch_never_pays_more_than_its_pools(
            calls in prop::collection::vec(prop::collection::vec(-1000i64..1000, 6), 1..8),
            rows in prop::collection::vec(0u32..9, 6),
        ) {
            for clamp in [Clamp::Net, Clamp::EveryCall] {
                let paid = pay(&calls, &rows, PayRule { clamp, ..NET }).unwrap();
                prop_assert!(paid.total().iter().sum::<u64>() <= 1000 * calls.len() as u64);
                let in_debt = paid.net.iter().zip(paid.total()).filter(|(net, _)| **net < 0);
                prop_assert!(in_debt.map(|(_, paid)| paid).all(|paid| paid == 0));
            }
        }
    }
}
