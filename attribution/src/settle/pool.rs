use alloc::collections::BTreeMap;

use super::{EarnerIndex, fee::mul_div_floor, floor_bps};

/// How one model's pool is shared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolShares {
    /// Gwei by influence, for every contributor with a net.
    pub(crate) influence: BTreeMap<EarnerIndex, u64>,
    /// Gwei by the flat rule, without zeros.
    pub(crate) flat: BTreeMap<EarnerIndex, u64>,
    pub(crate) influence_total: u64,
    pub(crate) flat_total: u64,
    /// Accepted rows that the flat rule counted.
    pub(crate) weight: u64,
    /// What is left for the treasury.
    pub(crate) left: u64,
}

/// Influence pays `floor(max(net, 0) * factor / 10_000)`; what it leaves of the pool goes by
/// accepted rows to contributors whose net is not negative; what rounding leaves of that, or all of
/// it when there are none, is the treasury's.
///
/// The caller holds that positive nets sum to at most the pool, which is so because credits do
/// (`sum |credit| <= pool` in each record) and carries are negative.
pub(crate) fn share_pool(
    pool: u64,
    nets: &BTreeMap<EarnerIndex, i64>,
    rows: &BTreeMap<EarnerIndex, u32>,
    factor: impl Fn(EarnerIndex) -> u16,
) -> PoolShares {
    let mut shares = PoolShares::default();
    for (&earner, &net) in nets {
        let paid = floor_bps(net.max(0).unsigned_abs(), factor(earner));
        shares.influence.insert(earner, paid);
        shares.influence_total += paid;
    }
    let flat_pool = pool - shares.influence_total;
    let entitled = |earner| nets.get(earner).is_none_or(|&net| net >= 0);
    let entitled = || rows.iter().filter(|(earner, _)| entitled(earner));
    shares.weight = entitled().map(|(_, &rows)| u64::from(rows)).sum();
    for (&earner, &rows) in entitled().filter(|(_, rows)| **rows > 0) {
        let share = mul_div_floor(flat_pool, u64::from(rows), shares.weight);
        if share > 0 {
            shares.flat.insert(earner, share);
            shares.flat_total += share;
        }
    }
    shares.left = flat_pool - shares.flat_total;
    shares
}
