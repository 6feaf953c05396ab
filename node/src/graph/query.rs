//! Who earned from a call, a model, a Datanet version, a row, or whom an account earned from.

use std::{collections::BTreeSet, sync::Arc};

use alloy::primitives::{Address, B256};
use attribution::settle::{ModelId, ModelKey};
use tokio::sync::Mutex;

use super::{
    answer::{Draft, GraphAnswer, GraphBatch, LeftOut},
    call::Calls,
    leaders::{Board, LeadersAnswer, Places},
    ledgers::Ledgers,
    nodes::{datanet_node, model_node, models_of, row_node},
    question::{Cursor, Page, Subject},
    sheet::{EarnerFilter, RowsPaid, Sheet},
    tally::Tally,
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    catalog::Catalog,
    registry::{BatchStatus, Role},
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
    tally: Arc<Mutex<Tally>>,
}

/// What was read for a page.
#[derive(Default)]
struct Read {
    batches: Vec<GraphBatch>,
    left_out: Vec<LeftOut>,
    /// The last place, if there are more.
    next: Option<Cursor>,
    /// Whether one batch has all of the subject: then it is the only one here.
    is_whole: bool,
}

impl Graph {
    /// The graph of the batches that the ledgers are of; rows are of the catalog's models.
    #[must_use]
    pub fn new(ledgers: Ledgers, catalog: Arc<Catalog>) -> Self {
        Self { ledgers, catalog, tally: Arc::default() }
    }

    /// Who earned from a subject; `None` if it is unknown. Batches that cannot be read are named.
    ///
    /// A call that this node did not serve is looked for in all batches, also in those that are not
    /// final: a page without edges has not found it, and [`GraphAnswer::next`] says where to go on.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn earned_from(&self, subject: Subject, page: Page) -> Result<Option<GraphAnswer>> {
        if let Subject::Call(digest) = subject {
            let graph = self.clone();
            let own = blocking(move || graph.calls().recorded(digest)).await?;
            if own.is_some() {
                return Ok(own);
            }
        }
        let Some(mut sheet) = self.sheet(subject)? else { return Ok(None) };
        let Some(start) = page.start() else { return Ok(None) };
        let Read { batches, left_out, next, is_whole } =
            self.read(subject, page, start, &mut sheet).await?;
        let is_call = matches!(subject, Subject::Call(_));
        if is_call && !is_whole && next.is_none() && left_out.is_empty() {
            return Ok(None);
        }
        let next = next.map(|cursor| cursor.to_string());
        let answer = sheet.draft.answer(sheet.registry, sheet.subject)?;
        Ok(Some(GraphAnswer { batches, left_out, next, ..answer }))
    }

    /// Adds the batches of a page from a place on.
    async fn read(
        &self,
        subject: Subject,
        page: Page,
        start: (Address, u64),
        sheet: &mut Sheet<'_>,
    ) -> Result<Read> {
        let is_call = matches!(subject, Subject::Call(_));
        let listed = self.ledgers.batches(page.operator, start, PAGE_BATCHES + 1)?;
        let is_last = listed.len() <= PAGE_BATCHES;
        let (mut read, mut rows) = (Read::default(), 0_u64);
        for (id, view) in listed.into_iter().take(PAGE_BATCHES) {
            if rows >= PAGE_ROWS {
                return Ok(read);
            }
            let (operator, epoch) = (view.operator, view.epoch);
            read.next = Some(Cursor(operator, epoch));
            let status = match view.status {
                BatchStatus::Final => "final",
                BatchStatus::Posted if page.has_open || is_call => "posted",
                BatchStatus::Posted | BatchStatus::Struck => continue,
            };
            rows += u64::from(view.submission.rows);
            let batch = GraphBatch { id, operator, epoch: Decimal(epoch), status: status.into() };
            match self.add(subject, sheet, id, view).await {
                Ok(false) => read.batches.push(batch),
                Ok(true) => {
                    return Ok(Read { batches: vec![batch], is_whole: true, ..Read::default() });
                }
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => read.left_out.push(LeftOut { id, reason: error.to_string() }),
            }
        }
        read.next = read.next.filter(|_| !is_last);
        Ok(read)
    }

    /// The subject's node and what is known of it without any batch.
    fn sheet(&self, subject: Subject) -> Result<Option<Sheet<'_>>> {
        let (registry, mut draft) = (self.ledgers.registry(), Draft::default());
        let node = match subject {
            Subject::Call(digest) => Some(draft.node("call", digest, "")),
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

    fn calls(&self) -> Calls<'_> {
        Calls { ledgers: &self.ledgers, catalog: &self.catalog }
    }

    /// Adds what a batch pays. True if no other batch has anything of the subject.
    async fn add(
        &self,
        subject: Subject,
        sheet: &mut Sheet<'_>,
        id: B256,
        view: crate::registry::ChainBatch,
    ) -> Result<bool> {
        let batch = self.ledgers.open(id, view).await?;
        match subject {
            Subject::Call(digest) => {
                let Sheet { draft, subject, .. } = sheet;
                return self.calls().posted(draft, subject, digest, &batch).await;
            }
            Subject::Model(id) => {
                sheet.model(&batch, ModelId(id.0).into(), &EarnerFilter::Everybody)?;
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
            }
            Subject::All => {
                for model in models_of(&batch) {
                    sheet.model(&batch, model, &EarnerFilter::Everybody)?;
                }
            }
            Subject::Datanet(..) | Subject::Row(_) => {
                // All models before any is added, so that a batch is counted whole or not at all.
                let (mut parts, models) = (Vec::new(), models_of(&batch));
                for model in sheet.taught(subject)? {
                    if models.contains(&ModelKey::from(ModelId(model.id.0))) {
                        let (ledgers, catalog) = (&self.ledgers, &self.catalog);
                        parts.push(RowsPaid::read(ledgers, catalog, &batch, model).await?);
                    }
                }
                parts.into_iter().try_for_each(|part| sheet.rows(subject, part))?;
            }
        }
        Ok(false)
    }

    /// Who earned the most of all final batches; what was counted is kept in memory. An answer that is
    /// behind has not counted all of them yet: whoever asks again gets further.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn leaders(&self, of: Board, page: Places) -> Result<LeadersAnswer> {
        let mut tally = self.tally.lock().await;
        let is_behind = tally.advance(&self.ledgers, &self.catalog).await?;
        tally.answer(self.ledgers.registry(), of, page, is_behind)
    }
}
