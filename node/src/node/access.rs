//! Keys' channels and adapters, as the configuration has them.

use std::time::Duration;

use alloy::primitives::{Address, B256, U256, keccak256};
use inference::{
    adapter::{HttpConfig, OwnerKey, Registration, StoreConfig},
    engine::EngineHandle,
};

use crate::{
    Error, Result,
    client::Payer,
    config::{Config, KeyConfig},
    registry::Registry,
    worker::blocking,
};

const GWEI: u64 = 1_000_000_000;
const MIB: usize = 1 << 20;
/// Pause between two looks for a channel that was opened, and how long it is looked for.
const PAUSE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// Bounds of the store of adapters.
pub(super) fn store_config(config: &Config) -> StoreConfig {
    let adapters = &config.adapters;
    StoreConfig {
        registered: adapters.registered,
        resident_bytes: adapters.resident_mib * MIB,
        host_bytes: adapters.host_mib * MIB,
        disk: Some(config.node.data_dir.join("adapters")),
        disk_bytes: adapters.disk_mib * MIB as u64,
        http: HttpConfig { hub: adapters.hub.clone(), ..HttpConfig::default() },
        ..StoreConfig::default()
    }
}

/// Makes keys' own adapters known.
///
/// # Errors
/// [`Error::Config`] naming the key and its adapter if one cannot be read or is refused.
pub(super) async fn private_adapters(keys: &[KeyConfig], engine: &EngineHandle) -> Result<()> {
    for key in keys {
        let owner = Some(OwnerKey(key.digest()?));
        for adapter in key.adapters.clone() {
            let (store, key) = (engine.store().clone(), key.name.clone());
            blocking(move || {
                let source = store.folder(&adapter.path);
                let name = Some(adapter.name.clone());
                let registration = Registration { name, owner, source, hash: None };
                store.register(registration).map(drop).map_err(|error| {
                    Error::Config(format!("adapter {:?} of key {key:?}: {error}", adapter.name))
                })
            })
            .await?;
        }
    }
    Ok(())
}

/// Opens keys' channels, or fills them up. One that cannot be is told of: its calls are refused until
/// there is one.
pub(super) async fn fill_channels(config: &Config, registry: &Registry, operator: Address) {
    for key in &config.keys {
        let Some(gwei) = key.deposit_gwei else { continue };
        match fill(config, registry, operator, key, gwei).await {
            Ok(channel) => {
                tracing::info!(target: "node", key = key.name, %channel, "channel filled")
            }
            Err(error) => tracing::error!(target: "node", key = key.name, %error, "no channel"),
        }
    }
}

async fn fill(
    config: &Config,
    registry: &Registry,
    operator: Address,
    key: &KeyConfig,
    gwei: u64,
) -> Result<B256> {
    let none = || Error::Config("it has no payer".into());
    let signer = key.payer()?.ok_or_else(none)?;
    let deployment = registry.contracts().deployment.clone();
    let payer = Payer::connect(&config.chain.rpc_url, deployment, signer).await?;
    // One channel per operator is enough, so its salt is fixed.
    let (salt, deposit) = (keccak256("openledger keys"), U256::from(gwei) * U256::from(GWEI));
    let channel = payer.open_channel(operator, salt, deposit).await?;
    // Calls are paid from what the registry knows.
    let known = async {
        while registry.channel(channel)?.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(channel)
    };
    let late = |_| Error::Chain(format!("channel {channel} is open but not indexed yet"));
    tokio::time::timeout(PATIENCE, known).await.map_err(late)?
}
