//! What of the registry and of the catalog becomes nodes.

use std::{collections::BTreeSet, sync::Arc};

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    settle::{ModelKey, ShareKind},
};

use super::{answer::Draft, book::BookRecord, ledgers::OpenBatch};
use crate::{
    Result,
    catalog::{Catalog, ServedModel},
    registry::{ModelView, Registry},
};

/// Models with an index, which is here.
pub(super) fn indexed(
    catalog: &Catalog,
) -> impl Iterator<Item = (&Arc<ServedModel>, &InfluenceIndex)> {
    let models = catalog.models().iter();
    models.filter_map(|model| Some((model, &model.adapter.as_ref()?.index)))
}

/// Models of a batch's pools, each once.
pub(super) fn models_of(batch: &OpenBatch) -> BTreeSet<ModelKey> {
    let called = batch.book.records.iter().map(BookRecord::key);
    let carried = batch.book.payouts.iter().map(|payout| payout.balance.model);
    called.chain(carried).collect()
}

/// A model's node with its adapter and its Datanet versions.
pub(super) fn model_node(
    registry: &Registry,
    draft: &mut Draft,
    view: &ModelView,
) -> Result<String> {
    let node = draft.node("model", view.id, &view.name);
    if !draft.has_edges_from(&node) {
        if !view.base.is_zero() {
            let adapter = draft.node("adapter", view.content_hash, "");
            draft.join(&node, &adapter, "answered by", None);
        }
        for datanet in &view.datanets {
            let of = datanet_node(registry, draft, datanet.id, datanet.version)?;
            draft.join(&node, &of, "trained on", None);
        }
    }
    Ok(node)
}

pub(super) fn datanet_node(
    registry: &Registry,
    draft: &mut Draft,
    id: B256,
    version: u32,
) -> Result<String> {
    let name = registry.datanet(id)?.map(|view| view.name).unwrap_or_default();
    Ok(draft.node("datanet", format!("{id}/{version}"), &name))
}

pub(super) const fn share_why(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::Treasury => "treasury",
        ShareKind::Owner => "owner",
        ShareKind::Stakers => "stakers",
    }
}

/// A row of a model that is served here, with what it belongs to.
pub(super) fn row_node(
    registry: &Registry,
    catalog: &Catalog,
    draft: &mut Draft,
    hash: B256,
) -> Result<Option<String>> {
    let mut node = None;
    for (model, index) in indexed(catalog) {
        let Some(view) = registry.model(model.id)? else { continue };
        for row in index.rows().iter().filter(|row| row.source.hash == hash.0) {
            let id = draft.node("row", hash, "");
            if let Some(datanet) = view.datanets.get(usize::from(row.source.datanet)) {
                let of = datanet_node(registry, draft, datanet.id, datanet.version)?;
                if !draft.has_edge(&id, &of) {
                    draft.join(&id, &of, "part of", None);
                }
            }
            let by = draft.earner(registry, row.source.earner)?;
            if !draft.has_edge(&id, &by) {
                draft.join(&id, &by, "contributed by", None);
            }
            node = Some(id);
        }
    }
    Ok(node)
}
