//! What commands besides `serve` need too: the layer of availability and the powers of tau.

use std::{path::Path, sync::Arc};

use prover::{EIGENDA_TAU_G2, Srs};

use crate::{
    Error, Result,
    chain::Contracts,
    config::{Config, DaKind, SrsConfig},
    da::{Attestor, EigendaAvailability, LocalAvailability, SharedAvailability},
};

/// Where blobs go.
pub(crate) fn availability(config: &Config, contracts: &Contracts) -> Result<SharedAvailability> {
    let attestor = Attestor::new(config.attestor_key()?, contracts.certificate_domain());
    Ok(match config.da.kind {
        DaKind::Local => {
            let blobs = config.node.data_dir.join("blobs");
            Arc::new(LocalAvailability::open(&blobs, attestor)?)
        }
        DaKind::Eigenda => Arc::new(EigendaAvailability::new(&config.da.eigenda, attestor)?),
    })
}

/// Powers of tau from the configured file, or from the seed and then kept in the cache folder.
pub(crate) fn powers(config: &SrsConfig, data: &Path, chain_id: u64) -> Result<Srs> {
    if let Some(path) = &config.path {
        return Ok(Srs::eigenda(path, config.powers, EIGENDA_TAU_G2)?);
    }
    let seed = config
        .secret_seed
        .as_deref()
        .ok_or_else(|| Error::Config("srs has neither secret_seed nor path".into()))?;
    let folder = config.cache_dir.as_deref().unwrap_or(data);
    let path = folder.join(format!("srs-dev-{}.bin", config.powers));
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    Ok(Srs::dev_cached(&path, chain_id, seed.as_bytes(), config.powers)?)
}
