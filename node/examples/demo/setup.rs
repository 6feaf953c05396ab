//! What stands on the chain before the first call: contracts, earners, Datanets, operator,
//! channels.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::{U256, keccak256};
use eyre::{Result, bail};
use futures::future::try_join_all;
use node::{
    catalog::DatanetVersion,
    chain::{ChainClient, Deployment, bindings::IStaking},
    client::Payer,
    committer::Kzg,
    da::{Attestor, LocalAvailability},
    datanet::Datanet,
    factory::{EarnerMap, IndexPublisher, Registrar, earners_on_chain},
    registry::Role,
};
use tokio::process::Command;

use crate::{
    PAGE_SIZE,
    accounts::{Account, Cast},
    calls::Wallet,
    chain::Chain,
};

/// Wei in one OPEN.
pub(crate) const OPEN: u128 = 1_000_000_000_000_000_000;

/// Times that the contracts are deployed with, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub(crate) epoch: u64,
    pub(crate) dispute_window: u64,
}

/// What the contracts need of the reference string, as the deploy script takes it.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) tau_g2: String,
    pub(crate) identity: String,
}

/// Runs the deploy script; returns where the contracts are.
pub(crate) async fn deploy(
    chain: &Chain,
    cast: &Cast,
    clock: Clock,
    reference: &Reference,
    work: &Path,
) -> Result<(PathBuf, Deployment)> {
    let output = Command::new("tools/forge")
        .args(["script", "script/Deploy.s.sol", "--broadcast", "--rpc-url", &chain.url])
        .args(["--private-key", &key_hex(&cast.deployer)])
        .env("DEPLOY_TREASURY", cast.treasury.address().to_string())
        .env("DEPLOY_ATTESTOR", cast.attestor.address().to_string())
        .env("DEPLOY_EPOCH_SECONDS", clock.epoch.to_string())
        .env("DEPLOY_DISPUTE_WINDOW", clock.dispute_window.to_string())
        .env("DEPLOY_UNBONDING_PERIOD", "60")
        .env("DEPLOY_WITHDRAW_DELAY", "3600")
        .env("DEPLOY_INDEX_WINDOW", clock.dispute_window.to_string())
        .env("DEPLOY_MIN_INDEX_BOND", (10 * OPEN).to_string())
        .env("DEPLOY_VOTE_PERIOD", "10")
        .env("DEPLOY_MIN_STAKE", (10 * OPEN).to_string())
        .env("DEPLOY_PAGE_SIZE", PAGE_SIZE.to_string())
        .env("DEPLOY_TAU_G2", &reference.tau_g2)
        .env("DEPLOY_IDENTITY", &reference.identity)
        .output()
        .await?;
    if !output.status.success() {
        bail!("deploying failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let path = work.join("deployment.json");
    fs::copy("deployments/161201.json", &path)?;
    Ok((path.clone(), Deployment::load(&path)?))
}

/// A registrar that acts as `account`.
pub(crate) async fn registrar(
    chain: &Chain,
    deployment: &Deployment,
    account: &Account,
) -> Result<Registrar> {
    Ok(Registrar::connect(&chain.url, deployment.clone(), account.key.clone()).await?)
}

/// Registers every contributor as an earner; returns how many there are.
pub(crate) async fn register_contributors(
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
) -> Result<usize> {
    let register = async |account: &Account| -> Result<u32> {
        let registrar = registrar(chain, deployment, account).await?;
        Ok(registrar.earner(Role::Contributor).await?)
    };
    Ok(try_join_all(cast.contributors().map(register)).await?.len())
}

/// Publishes a Datanet as `owner`.
pub(crate) async fn publish(
    chain: &Chain,
    deployment: &Deployment,
    owner: &Account,
    dir: &Path,
) -> Result<DatanetVersion> {
    Ok(registrar(chain, deployment, owner).await?.datanet(dir).await?)
}

/// Where indexes are published: a folder, under the development attestor's word.
pub(crate) async fn index_publisher(
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
    kzg: Kzg,
    work: &Path,
) -> Result<IndexPublisher> {
    let contracts = ChainClient::new(&chain.url, None)?.contracts(deployment.clone()).await?;
    let attestor = Attestor::new(cast.attestor.key.clone(), contracts.certificate_domain());
    let layer = LocalAvailability::open(&work.join("indexes"), attestor)?;
    Ok(IndexPublisher::new(Arc::new(layer), kzg))
}

/// The earner index of each of a Datanet's contributors.
pub(crate) async fn earners(
    chain: &Chain,
    deployment: &Deployment,
    datanet: &Datanet,
) -> Result<EarnerMap> {
    let client = ChainClient::new(&chain.url, None)?;
    Ok(earners_on_chain(&client, deployment, std::slice::from_ref(datanet)).await?)
}

/// Stakes as the operator.
pub(crate) async fn register_operator(
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
) -> Result<()> {
    let client = ChainClient::new(&chain.url, Some(cast.operator.key.clone()))?;
    let stake = U256::from(20 * OPEN);
    client.send(deployment.staking, &IStaking::registerOperatorCall {}, stake).await?;
    Ok(())
}

/// Opens one channel per user to the operator.
pub(crate) async fn open_channels(
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
) -> Result<Vec<Wallet>> {
    let open = async |account: &Account| -> Result<Wallet> {
        let payer = Payer::connect(&chain.url, deployment.clone(), account.key.clone()).await?;
        let (operator, salt) = (cast.operator.address(), keccak256(account.name));
        let channel = payer.open_channel(operator, salt, U256::from(5 * OPEN)).await?;
        Ok(Wallet { payer, channel })
    };
    try_join_all(cast.users.iter().map(open)).await
}

/// The secret key in hex, as tools take it.
pub(crate) fn key_hex(account: &Account) -> String {
    format!("0x{}", hex::encode(account.key.to_bytes()))
}
