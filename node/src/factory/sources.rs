//! The rows of Datanets as indexes name them: by contributor, and by cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy::primitives::{Address, B256};
use attribution::{estimate::RowSource, settle::EarnerIndex};

use crate::{
    Error, Result,
    chain::{ChainClient, Deployment, bindings::IEarnerRegistry},
    datanet::{Datanet, Row},
    registry::Role,
};

/// Index of each contributor, by account.
pub type EarnerMap = BTreeMap<Address, EarnerIndex>;

/// The indices of Datanets' contributors, as the chain has them.
///
/// # Errors
/// [`Error::Datanet`] naming a contributor that is not registered, [`Error::Chain`].
pub async fn earners_on_chain(
    chain: &ChainClient,
    deployment: &Deployment,
    datanets: &[Datanet],
) -> Result<EarnerMap> {
    let rows = datanets.iter().flat_map(|datanet| &datanet.rows);
    let accounts: BTreeSet<Address> = rows.map(|row| row.contributor).collect();
    let mut earners = EarnerMap::new();
    for account in accounts {
        let call = IEarnerRegistry::earnerOfCall { account, role: Role::Contributor as u8 };
        let index = chain.call(deployment.earner_registry, &call).await?;
        if index == 0 {
            return Err(Error::Datanet(format!("contributor {account} is not registered")));
        }
        earners.insert(account, EarnerIndex(index));
    }
    Ok(earners)
}

/// All rows in order, with what an index says of each. Of rows of one duplicate cluster, in whatever
/// Datanets, the first is canonical.
///
/// # Errors
/// [`Error::Datanet`] if a contributor has no index in `earners` or a row's cluster has no canonical
/// row before it.
pub(super) fn sources<'a>(
    datanets: impl IntoIterator<Item = &'a Datanet>,
    earners: &EarnerMap,
) -> Result<Vec<(RowSource, &'a Row)>> {
    let rows = (0u8..)
        .zip(datanets)
        .flat_map(|(place, datanet)| datanet.rows.iter().map(move |row| (place, row)));
    let mut first: HashMap<B256, u32> = HashMap::new();
    (0u32..)
        .zip(rows)
        .map(|(place, (datanet, row))| {
            first.entry(row.row_hash).or_insert(place);
            let cluster = first.get(&row.cluster_hash).copied().ok_or_else(|| {
                Error::Datanet(format!("row {place}'s cluster has no earlier canonical row"))
            })?;
            let earner = earners.get(&row.contributor).copied().ok_or_else(|| {
                Error::Datanet(format!("contributor {} has no earner index", row.contributor))
            })?;
            let (index, hash) = (row.index, row.row_hash.0);
            Ok((RowSource { datanet, index, hash, earner, cluster }, row))
        })
        .collect()
}
