//! What stands on the chain before the first call: contracts, earners, Datanets, operator,
//! channels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use eyre::{Result, bail, ensure};
use node::{
    chain::{
        Deployment,
        bindings::{IDatanetRegistry, IEarnerRegistry, IStaking},
    },
    client::Payer,
    datanet::Datanet,
};
use tokio::process::Command;

use crate::{accounts::{Account, Cast}, calls::Wallet, chain::Chain};

/// Roles of EarnerRegistry.
const CONTRIBUTOR: u8 = 2;
const MODEL_OWNER: u8 = 3;
/// Wei in one OPEN.
const OPEN: u128 = 1_000_000_000_000_000_000;

/// Times that the contracts are deployed with, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub epoch: u64,
    pub dispute_window: u64,
}

/// Runs the deploy script; returns where the contracts are.
pub async fn deploy(
    chain: &Chain,
    cast: &Cast,
    clock: Clock,
    tau_g2: &str,
    work: &Path,
) -> Result<(PathBuf, Deployment)> {
    let output = Command::new("node_modules/.bin/forge")
        .args(["script", "script/Deploy.s.sol", "--broadcast", "--rpc-url", &chain.url])
        .args(["--private-key", &key_hex(&cast.deployer)])
        .env("TREASURY", cast.treasury.address().to_string())
        .env("ATTESTOR", cast.attestor.address().to_string())
        .env("EPOCH_SECONDS", clock.epoch.to_string())
        .env("DISPUTE_WINDOW", clock.dispute_window.to_string())
        .env("UNBONDING_PERIOD", "60")
        .env("WITHDRAW_DELAY", "3600")
        .env("MIN_STAKE", (10 * OPEN).to_string())
        .env("TAU_G2", tau_g2)
        .output()
        .await?;
    if !output.status.success() {
        bail!("deploying failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let path = work.join("deployment.json");
    fs::rename("deployments/161201.json", &path)?;
    let deployment = Deployment::load(&path)?;
    Ok((path, deployment))
}

/// Registers contributors and model owners as earners, in the cast's order.
pub async fn register_earners(chain: &Chain, deployment: &Deployment, cast: &Cast) -> Result<()> {
    let roles = cast.contributors().map(|account| (account, CONTRIBUTOR));
    let roles = roles.chain(cast.builders.iter().map(|account| (account, MODEL_OWNER)));
    let mut sent = Vec::new();
    for (account, role) in roles {
        let call = IEarnerRegistry::registerCall { role }.abi_encode();
        sent.push(transact(chain, account, deployment.earner_registry, call, U256::ZERO).await?);
    }
    confirm(sent).await
}

/// Creates and publishes a Datanet as `owner`; writes its id and version into the directory.
pub async fn publish(
    chain: &Chain,
    deployment: &Deployment,
    owner: &Account,
    dir: &Path,
    datanet: &mut Datanet,
) -> Result<()> {
    let name = datanet.manifest.name.clone();
    let licence = datanet.manifest.licence.clone();
    let metadataHash = keccak256(fs::read(dir.join("NOTICE"))?);
    let create = IDatanetRegistry::createCall { name: name.clone(), licence, metadataHash };
    let to = deployment.datanet_registry;
    let registry = IDatanetRegistry::new(to, chain.provider());
    let id: B256 = registry
        .create(create.name.clone(), create.licence.clone(), create.metadataHash)
        .from(owner.address())
        .call()
        .await?;
    let rowCount = u32::try_from(datanet.rows.len())?;
    let rowsRoot = datanet.manifest.rows_root;
    let publish = IDatanetRegistry::publishCall { datanet: id, rowsRoot, rowCount };
    let first = transact(chain, owner, to, create.abi_encode(), U256::ZERO).await?;
    confirm(vec![first]).await?;
    confirm(vec![transact(chain, owner, to, publish.abi_encode(), U256::ZERO).await?]).await?;
    (datanet.manifest.id, datanet.manifest.version) = (id, 1);
    datanet.save(dir)?;
    Ok(())
}

/// Stakes as the operator.
pub async fn register_operator(chain: &Chain, deployment: &Deployment, cast: &Cast) -> Result<()> {
    let call = IStaking::registerOperatorCall {}.abi_encode();
    let stake = U256::from(20 * OPEN);
    confirm(vec![transact(chain, &cast.operator, deployment.staking, call, stake).await?]).await
}

/// Opens one channel per user to the operator.
pub async fn open_channels(
    chain: &Chain,
    deployment: &Deployment,
    cast: &Cast,
) -> Result<Vec<Wallet>> {
    let open = async |account: &Account| -> Result<Wallet> {
        let payer = Payer::connect(&chain.url, deployment.clone(), account.key.clone()).await?;
        let salt = keccak256(account.name);
        let deposit = U256::from(5 * OPEN);
        let channel = payer.open_channel(cast.operator.address(), salt, deposit).await?;
        Ok(Wallet { payer, channel })
    };
    futures::future::try_join_all(cast.users.iter().map(open)).await
}

/// The secret key in hex, as tools take it.
pub fn key_hex(account: &Account) -> String {
    format!("0x{}", hex::encode(account.key.to_bytes()))
}

type Pending = alloy::providers::PendingTransactionBuilder<alloy::network::Ethereum>;

async fn transact(
    chain: &Chain,
    from: &Account,
    to: Address,
    data: Vec<u8>,
    value: U256,
) -> Result<Pending> {
    let provider = chain.sender(from);
    let request = TransactionRequest::default().to(to).input(data.into()).value(value);
    Ok(provider.send_transaction(request).await?)
}

async fn confirm(sent: Vec<Pending>) -> Result<()> {
    for pending in sent {
        ensure!(pending.get_receipt().await?.status(), "a transaction was reverted");
    }
    Ok(())
}
