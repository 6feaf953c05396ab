//! What the chain says of a model and its index, against the folder.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use attribution::{estimate::InfluenceIndex, settle::EarnerIndex};

use crate::{
    Result,
    catalog::ModelManifest,
    chain::{
        ChainClient, Deployment,
        bindings::{
            IDatanetRegistry, IEarnerRegistry, IInfluenceIndexes, IModelRegistry, ISpanIndexes,
            Index, Model, SpanIndexEntry,
        },
    },
    datanet::Datanet,
    explain::finding::Report,
    registry::Role,
};

/// What the chain says of a model and its index.
#[derive(Debug)]
pub struct ChainIndex {
    model: Model,
    datanets: Vec<(B256, u32)>,
    /// Roots of its Datanet versions and their rows.
    pub(super) versions: Vec<(B256, u32)>,
    index: Index,
    pub(super) spans: SpanIndexEntry,
    pub(super) earners: BTreeMap<Address, EarnerIndex>,
}

impl ChainIndex {
    /// Asks the chain.
    ///
    /// # Errors
    /// [`Error::Reverted`] if the model is not registered, [`Error::Chain`].
    pub async fn fetch(
        chain: &ChainClient,
        deployment: &Deployment,
        model: B256,
        datanets: &[Datanet],
    ) -> Result<Self> {
        let registry = deployment.model_registry;
        let registered = chain.call(registry, &IModelRegistry::modelOfCall { model }).await?;
        let versions = chain.call(registry, &IModelRegistry::datanetsOfCall { model }).await?;
        let (mut named, mut roots) = (Vec::new(), Vec::new());
        for version in versions {
            let (datanet, version) = (version.datanet, version.version);
            let call = IDatanetRegistry::versionOfCall { datanet, version };
            let published = chain.call(deployment.datanet_registry, &call).await?;
            named.push((datanet, version));
            roots.push((published.rowsRoot, published.rowCount));
        }
        let call = IInfluenceIndexes::indexOfCall { model };
        let index = chain.call(deployment.influence_indexes, &call).await?;
        let call = ISpanIndexes::indexOfCall { model };
        let spans = chain.call(deployment.span_indexes, &call).await?;
        let rows = datanets.iter().flat_map(|datanet| &datanet.rows);
        let mut earners = BTreeMap::new();
        for account in rows.map(|row| row.contributor).collect::<BTreeSet<_>>() {
            let call = IEarnerRegistry::earnerOfCall { account, role: Role::Contributor as u8 };
            let earner = chain.call(deployment.earner_registry, &call).await?;
            earners.insert(account, EarnerIndex(earner));
        }
        Ok(Self { model: registered, datanets: named, versions: roots, index, spans, earners })
    }
}

/// The model as it is registered, and its index as it is published, against the folder.
pub(super) fn registration(
    chain: Option<&ChainIndex>,
    manifest: &ModelManifest,
    hash: Option<B256>,
    index: &InfluenceIndex,
    report: &mut Report,
) {
    let Some(chain) = chain else {
        report.skip("registration", "the chain was not asked");
        return;
    };
    let hashes = [
        ("adapter", chain.model.contentHash, manifest.adapter_hash),
        ("base", chain.model.base, manifest.base_id),
        ("index root", chain.model.indexRoot, index.root().into()),
        ("index hash", chain.model.indexHash, hash.unwrap_or_default()),
    ];
    let wrong = hashes.iter().find(|(_, registered, found)| registered != found);
    let ours = manifest.datanets.iter().map(|datanet| (datanet.id, datanet.version));
    if let Some((what, registered, found)) = wrong {
        report.note(
            "registration",
            false,
            format!("{what}: registered {registered}, found {found}"),
        );
    } else if chain.model.name != manifest.name {
        let (registered, found) = (&chain.model.name, &manifest.name);
        let detail = format!("name: registered {registered:?}, found {found:?}");
        report.note("registration", false, detail);
    } else if !ours.eq(chain.datanets.iter().copied()) {
        report.note("registration", false, "other Datanet versions are registered");
    } else {
        report.note("registration", true, format!("model {}", manifest.model_id));
    }
    publication(chain, index, report);
}

fn publication(chain: &ChainIndex, index: &InfluenceIndex, report: &mut Report) {
    let published = &chain.index;
    if published.acceptedAt == 0 {
        return report.skip("publication", "the index is not published");
    }
    let said = (u64::from(published.dim), u64::from(published.contributors));
    let found = (index.dim() as u64, index.contributors().len() as u64);
    let text = |(dim, contributors): (u64, u64)| {
        format!("{dim} numbers per sketch, {contributors} contributors")
    };
    if published.struck {
        report.note("publication", false, "it was proven wrong and struck");
    } else {
        report.compare("publication", &text(said), &text(found));
    }
}
