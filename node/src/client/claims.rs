//! Relaying claims: anyone may, because the contract pays the earner whoever calls.

use std::time::Duration;

use alloy::primitives::U256;

use super::{NodeClient, Payer};
use crate::{
    Error, Result,
    api::earnings::{EarningsJson, EarningsPage},
    chain::bindings::{Claim, G1Point, ISettlement},
};

/// Claims in one transaction; they share one pairing check.
const CHUNK: usize = 32;
/// How long a node is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// What was claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimsReport {
    /// Earners paid.
    pub earners: u64,
    /// Gwei paid.
    pub amount: u64,
    /// Transactions sent.
    pub transactions: u64,
}

/// Claims what every earner of `wanted` (all of them if it is empty) has earned and not claimed.
/// `progress` is given how many of how many earners are done.
///
/// # Errors
/// [`Error::Remote`] if the node cannot be reached or answers wrongly, [`Error::Chain`] if a
/// transaction fails; claims of earlier transactions stay paid.
pub async fn claim_all(
    node: &NodeClient,
    payer: &Payer,
    wanted: &[u32],
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<ClaimsReport> {
    let open = unclaimed(node, wanted).await?;
    let settlement = payer.deployment().settlement;
    let mut report = ClaimsReport::default();
    let total = open.len() as u64;
    progress(0, total);
    for chunk in open.chunks(CHUNK) {
        let mut claims = Vec::with_capacity(chunk.len());
        for earnings in chunk {
            claims.push(claim_of(node, earnings.earner).await?);
        }
        let call = ISettlement::claimManyCall { claims };
        payer.chain().send(settlement, &call, U256::ZERO).await?;
        report.transactions += 1;
        report.earners += chunk.len() as u64;
        report.amount += chunk.iter().map(EarningsJson::unclaimed).sum::<u64>();
        progress(report.earners, total);
    }
    Ok(report)
}

async fn unclaimed(node: &NodeClient, wanted: &[u32]) -> Result<Vec<EarningsJson>> {
    let body = node.get("/v1/earnings", DEADLINE).await?;
    let page: EarningsPage = serde_json::from_value(body)
        .map_err(|error| Error::Remote(format!("earnings: {error}")))?;
    let is_wanted = |earner: u32| wanted.is_empty() || wanted.contains(&earner);
    let open = page.data.into_iter().filter(|e| is_wanted(e.earner) && e.unclaimed() > 0);
    Ok(open.collect())
}

/// What Settlement takes to pay `earner` all that it has earned in final batches.
///
/// # Errors
/// [`Error::Remote`] if the node cannot be reached, answers wrongly, or has no opening for it.
pub async fn claim_of(node: &NodeClient, earner: u32) -> Result<Claim> {
    let body = node.get(&format!("/v1/earnings/{earner}"), DEADLINE).await?;
    let earnings: EarningsJson = serde_json::from_value(body)
        .map_err(|error| Error::Remote(format!("earnings of {earner}: {error}")))?;
    let witness = earnings
        .witness
        .ok_or_else(|| Error::Remote(format!("earnings of {earner} come without a witness")))?;
    Ok(Claim {
        earner,
        cumulativeEarnings: earnings.cumulative.0,
        version: earnings.version.0,
        witness: G1Point { x: U256::from(witness.x), y: U256::from(witness.y) },
    })
}
