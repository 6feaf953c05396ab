//! What a page collects of batches.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use attribution::settle::{EarnerIndex, ModelId, ModelKey};

use super::{
    answer::Draft,
    ledgers::{Ledgers, OpenBatch},
    nodes::{indexed, model_node, share_why},
    question::Subject,
    split::{RowPay, split},
};
use crate::{
    Error, Result,
    catalog::{Catalog, ServedModel},
    registry::{ModelView, Registry},
    worker::blocking,
};

/// What a page collects.
pub(super) struct Sheet<'a> {
    pub(super) registry: &'a Registry,
    pub(super) catalog: &'a Catalog,
    pub(super) subject: String,
    pub(super) draft: Draft,
}

/// What a batch pays for the rows of a model.
pub(super) struct RowsPaid {
    pub(super) model: ModelView,
    pub(super) served: Arc<ServedModel>,
    pub(super) paid: BTreeMap<u32, RowPay>,
    pub(super) unplaced: u64,
}

impl RowsPaid {
    /// What a batch pays for a model's rows.
    ///
    /// # Errors
    /// [`Error::Attribution`] if the model's index is not here, and those of [`Ledgers::sketches`].
    pub(super) async fn read(
        ledgers: &Ledgers,
        catalog: &Catalog,
        batch: &OpenBatch,
        model: ModelView,
    ) -> Result<Self> {
        let served = catalog.models().iter().find(|served| served.id == model.id);
        let served = served.filter(|served| served.adapter.is_some()).map(Arc::clone);
        let missing = || Error::Attribution(format!("the index of model {} is not here", model.id));
        let served = served.ok_or_else(missing)?;
        let (sketches, book) = (ledgers.sketches(batch).await?, Arc::clone(&batch.book));
        let key = ModelKey::from(ModelId(model.id.0));
        blocking(move || {
            let index = &served.adapter.as_ref().expect("it was checked above").index;
            let spans = served.spans.as_ref().map(|spans| &spans.index);
            let (paid, unplaced) = split(&book, key, index, spans, &sketches);
            Ok(Self { model, served: Arc::clone(&served), paid, unplaced })
        })
        .await
    }
}

/// Whose pay is wanted.
pub(super) enum EarnerFilter {
    Everybody,
    These(BTreeSet<EarnerIndex>),
}

impl EarnerFilter {
    fn has(&self, earner: EarnerIndex) -> bool {
        match self {
            Self::Everybody => true,
            Self::These(earners) => earners.contains(&earner),
        }
    }
}

impl Sheet<'_> {
    /// Adds what a batch pays by a model.
    pub(super) fn model(
        &mut self,
        batch: &OpenBatch,
        key: ModelKey,
        only: &EarnerFilter,
    ) -> Result<()> {
        let book = &batch.book;
        let id = self.registry.model_beginning(&key.0)?;
        let view = id.map(|id| self.registry.model(id)).transpose()?.flatten();
        let mut paid = Vec::new();
        for record in book.records.iter().filter(|record| record.is_of(key)) {
            let shares = record.shares.iter();
            paid.extend(shares.map(|&(kind, earner, gwei)| (earner, share_why(kind), gwei)));
        }
        for payout in book.payouts_of(key) {
            let earner = payout.balance.earner;
            paid.push((earner, "influence", payout.influence));
            paid.push((earner, "flat", payout.flat));
        }
        let left = book.left.iter().filter(|(model, _)| *model == key);
        paid.extend(left.map(|&(_, gwei)| (EarnerIndex::TREASURY, "rest", gwei)));
        paid.retain(|&(earner, _, gwei)| gwei > 0 && only.has(earner));
        if paid.is_empty() {
            return Ok(());
        }
        let from = match view {
            Some(view) => model_node(self.registry, &mut self.draft, &view)?,
            None => self.draft.node("model", alloy::hex::encode_prefixed(key.0), ""),
        };
        let calls = book.records.iter().filter(|record| record.is_of(key)).count();
        self.draft.called(&from, calls as u64);
        for (earner, why, gwei) in paid {
            self.draft.pay(self.registry, &from, earner, why, gwei.into())?;
        }
        Ok(())
    }

    /// The models that a Datanet version, or a row, taught.
    pub(super) fn taught(&self, subject: Subject) -> Result<Vec<ModelView>> {
        match subject {
            Subject::Datanet(id, version) => {
                let is_of = |model: &ModelView| {
                    let mut datanets = model.datanets.iter();
                    datanets.any(|datanet| (datanet.id, datanet.version) == (id, version))
                };
                Ok(self.registry.models()?.into_iter().filter(is_of).collect())
            }
            Subject::Row(hash) => {
                let mut models = Vec::new();
                for (model, index) in indexed(self.catalog) {
                    if index.rows().iter().any(|row| row.source.hash == hash.0) {
                        models.extend(self.registry.model(model.id)?);
                    }
                }
                Ok(models)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Adds what a batch pays for the rows that are asked about.
    pub(super) fn rows(&mut self, subject: Subject, part: RowsPaid) -> Result<()> {
        let RowsPaid { model, served, paid, unplaced } = part;
        let Some(adapter) = &served.adapter else { return Ok(()) };
        let subject_id = self.subject.clone();
        self.draft.unplaced += i128::from(unplaced);
        for (place, pay) in paid {
            let source = adapter.index.rows()[place as usize].source;
            let is_wanted = match subject {
                Subject::Row(hash) => source.hash == hash.0,
                Subject::Datanet(id, version) => {
                    let datanet = model.datanets.get(usize::from(source.datanet));
                    datanet.is_some_and(|datanet| (datanet.id, datanet.version) == (id, version))
                }
                _ => false,
            };
            if is_wanted {
                for (why, gwei) in [("influence", pay.influence), ("flat", pay.flat)] {
                    let registry = self.registry;
                    self.draft.pay(registry, &subject_id, source.earner, why, gwei.into())?;
                }
            }
        }
        let node = model_node(self.registry, &mut self.draft, &model)?;
        if matches!(subject, Subject::Row(_)) && !self.draft.has_edge(&subject_id, &node) {
            self.draft.join(&subject_id, &node, "taught", None);
        }
        Ok(())
    }
}
