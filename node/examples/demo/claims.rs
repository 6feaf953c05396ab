//! Every earner claims: one alone, ten together, then all that are left.

use alloy::primitives::U256;
use eyre::{Result, ensure};
use indicatif::ProgressBar;
use node::{
    api::earnings::EarningsJson,
    chain::{ChainClient, Deployment, bindings::ISettlement},
    client::{NodeClient, Payer, claim_all, claim_of},
};

use crate::{accounts::Account, world::World};

/// Gas of a claim alone and of ten in one transaction, and the number of claims made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    pub(crate) one: u64,
    pub(crate) ten: u64,
    pub(crate) made: u64,
}

/// Claims for everybody; `relayer` pays the gas.
pub(crate) async fn claim_everything(
    world: &World,
    node: &NodeClient,
    relayer: &Account,
    earnings: &[EarningsJson],
    bar: &ProgressBar,
) -> Result<Claims> {
    let (chain, deployment) = (&world.chain, &world.deployment);
    let open: Vec<u32> = earnings.iter().filter(|e| e.unclaimed() > 0).map(|e| e.earner).collect();
    ensure!(open.len() > 11, "only {} earners have earned", open.len());
    let client = ChainClient::new(&chain.url, Some(relayer.key.clone()))?;
    let to = deployment.settlement;

    let call = ISettlement::claimCall { claim_: claim_of(node, open[0]).await? };
    refuse_wrong_value(&client, deployment, &call).await?;
    let one = client.send(to, &call, U256::ZERO).await?;
    let again = client.call(to, &call).await;
    ensure!(again.is_err(), "an earner could claim twice");
    bar.inc(1);

    let mut claims = Vec::new();
    for earner in &open[1..11] {
        claims.push(claim_of(node, *earner).await?);
    }
    let ten = client.send(to, &ISettlement::claimManyCall { claims }, U256::ZERO).await?;
    bar.inc(10);

    let payer = Payer::connect(&chain.url, deployment.clone(), relayer.key.clone()).await?;
    let rest =
        claim_all(node, &payer, &open[11..], None, &mut |done, _| bar.set_position(11 + done))
            .await?;
    Ok(Claims { one: one.gas, ten: ten.gas, made: 11 + rest.earners })
}

/// A claim of one gwei more than the opening shows must be refused.
async fn refuse_wrong_value(
    client: &ChainClient,
    deployment: &Deployment,
    right: &ISettlement::claimCall,
) -> Result<()> {
    let mut wrong = right.clone();
    wrong.claim_.cumulativeEarnings += 1;
    let refused = client.call(deployment.settlement, &wrong).await;
    ensure!(refused.is_err(), "a claim above the opening was accepted");
    Ok(())
}
