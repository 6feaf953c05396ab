//! Who earned from a call, a model, a Datanet version, a row, or whom an account earned from.

use std::{collections::BTreeSet, sync::Arc};

use alloy::primitives::B256;
use attribution::settle::{ModelId, ModelKey};

use super::{
    answer::{Draft, GraphAnswer, GraphBatch, LeftOut},
    call::Calls,
    ledgers::{Ledgers, OpenBatch},
    nodes::{datanet_node, model_node, models_of, row_node},
    question::{Cursor, Page, Subject},
    sheet::{EarnerFilter, RowsPaid, Sheet},
    split::split,
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    catalog::Catalog,
    registry::{BatchStatus, ModelView, Role},
    worker::blocking,
};

/// Most batches on a page.
const PAGE_BATCHES: usize = 16;
/// Rows of ledgers after which a page ends.
const PAGE_ROWS: u64 = 1 << 17;

/// Answers who earned from what. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Graph {
    ledgers: Ledgers,
    catalog: Arc<Catalog>,
}

impl Graph {
    /// The graph of the batches that the ledgers are of; rows are of the catalog's models.
    #[must_use]
    pub const fn new(ledgers: Ledgers, catalog: Arc<Catalog>) -> Self {
        Self { ledgers, catalog }
    }

    /// Who earned from a subject; `None` if it is unknown. Batches that cannot be read are named.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn earned_from(&self, subject: Subject, page: Page) -> Result<Option<GraphAnswer>> {
        if let Subject::Call(digest) = subject {
            let graph = self.clone();
            return blocking(move || {
                let Graph { ledgers, catalog } = &graph;
                Calls { ledgers, catalog }.of(digest)
            })
            .await;
        }
        let Some(mut sheet) = self.sheet(subject)? else { return Ok(None) };
        let (mut batches, mut left_out, mut rows) = (Vec::new(), Vec::new(), 0_u64);
        let start = match page.after {
            Some(Cursor(operator, epoch)) => match epoch.checked_add(1) {
                Some(next) => (operator, next),
                None => return Ok(None),
            },
            None => (page.operator.unwrap_or_default(), 0),
        };
        let listed = self.ledgers.batches(page.operator, start, PAGE_BATCHES + 1)?;
        let is_last = listed.len() <= PAGE_BATCHES;
        let (mut next, mut is_full) = (None, false);
        for (id, view) in listed.into_iter().take(PAGE_BATCHES) {
            is_full = rows >= PAGE_ROWS;
            if is_full {
                break;
            }
            next = Some(Cursor(view.operator, view.epoch));
            let is_wanted = match view.status {
                BatchStatus::Final => true,
                BatchStatus::Posted => page.has_open,
                BatchStatus::Struck => false,
            };
            if !is_wanted {
                continue;
            }
            rows += u64::from(view.submission.rows);
            let (operator, epoch, status) = (view.operator, view.epoch, view.status);
            match self.add(subject, &mut sheet, id, view).await {
                Ok(()) => batches.push(GraphBatch {
                    id,
                    operator,
                    epoch: Decimal(epoch),
                    status: if status == BatchStatus::Final { "final" } else { "posted" }.into(),
                }),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => left_out.push(LeftOut { id, reason: error.to_string() }),
            }
        }
        let next = next.filter(|_| is_full || !is_last).map(|cursor| cursor.to_string());
        let answer = sheet.draft.answer(sheet.registry, sheet.subject)?;
        Ok(Some(GraphAnswer { batches, left_out, next, ..answer }))
    }

    /// The subject's node and what is known of it without any batch.
    fn sheet(&self, subject: Subject) -> Result<Option<Sheet<'_>>> {
        let (registry, mut draft) = (self.ledgers.registry(), Draft::default());
        let node = match subject {
            Subject::Call(_) => None,
            Subject::Model(id) => match registry.model(id)? {
                Some(view) => Some(model_node(registry, &mut draft, &view)?),
                None => None,
            },
            Subject::Datanet(id, version) => match registry.datanet_version(id, version)? {
                Some(_) => Some(datanet_node(registry, &mut draft, id, version)?),
                None => None,
            },
            Subject::Row(hash) => row_node(registry, &self.catalog, &mut draft, hash)?,
            Subject::Account(account) => Some(draft.node("account", format!("{account:?}"), "")),
            Subject::All => Some(draft.node("all", "models", "")),
        };
        let catalog = &*self.catalog;
        Ok(node.map(|subject| Sheet { registry, catalog, subject, draft }))
    }

    /// Adds what a batch pays.
    async fn add(
        &self,
        subject: Subject,
        sheet: &mut Sheet<'_>,
        id: B256,
        view: crate::registry::ChainBatch,
    ) -> Result<()> {
        let batch = self.ledgers.open(id, view).await?;
        match subject {
            Subject::Call(_) => Ok(()),
            Subject::Model(id) => {
                sheet.model(&batch, ModelId(id.0).into(), &EarnerFilter::Everybody)
            }
            Subject::Account(account) => {
                let mut earners = BTreeSet::new();
                for role in [Role::Treasury, Role::Contributor, Role::ModelOwner, Role::Stakers] {
                    earners.extend(sheet.registry.earner_of(account, role)?);
                }
                let only = EarnerFilter::These(earners);
                for model in models_of(&batch) {
                    sheet.model(&batch, model, &only)?;
                }
                Ok(())
            }
            Subject::All => {
                let mut models = models_of(&batch).into_iter();
                models.try_for_each(|model| sheet.model(&batch, model, &EarnerFilter::Everybody))
            }
            Subject::Datanet(..) | Subject::Row(_) => {
                // All models before any is added, so that a batch is counted whole or not at all.
                let mut parts = Vec::new();
                for model in sheet.taught(subject)? {
                    let key = ModelKey::from(ModelId(model.id.0));
                    if batch.book.records.iter().any(|record| record.is_of(key)) {
                        parts.push(self.rows(&batch, model).await?);
                    }
                }
                parts.into_iter().try_for_each(|part| sheet.rows(subject, part))
            }
        }
    }

    /// What a batch pays for a model's rows.
    async fn rows(&self, batch: &OpenBatch, model: ModelView) -> Result<RowsPaid> {
        let served = self.catalog.models().iter().find(|served| served.id == model.id);
        let served = served.filter(|served| served.adapter.is_some()).map(Arc::clone);
        let missing = || Error::Attribution(format!("the index of model {} is not here", model.id));
        let served = served.ok_or_else(missing)?;
        let (sketches, book) = (self.ledgers.sketches(batch).await?, Arc::clone(&batch.book));
        let key = ModelKey::from(ModelId(model.id.0));
        blocking(move || {
            let index = &served.adapter.as_ref().expect("it was checked above").index;
            let (paid, unplaced) = split(&book, key, index, &sketches);
            Ok(RowsPaid { model, served: Arc::clone(&served), paid, unplaced })
        })
        .await
    }
}
