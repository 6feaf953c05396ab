//! Who earned from a call, a model, a Datanet version, a row, or whom an account earned from.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use alloy::primitives::{Address, B256};
use attribution::{
    estimate::InfluenceIndex,
    settle::{EarnerIndex, ModelId, ModelKey, ShareKind},
};

use super::{
    answer::{Draft, GraphAnswer, GraphBatch, LeftOut},
    book::BookRecord,
    ledgers::{Ledgers, OpenBatch},
    split::{RowPay, split},
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    catalog::{Catalog, ServedModel},
    recorder::{Recorded, recorded},
    registry::{BatchStatus, ModelView, Registry, Role},
    worker::blocking,
};

/// Most batches on a page.
const PAGE_BATCHES: usize = 16;
/// Rows of ledgers after which a page ends.
const PAGE_ROWS: u64 = 1 << 17;
/// Rows that a call names.
const CALL_ROWS: usize = 32;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A call of this node, by its voucher's digest.
    Call(B256),
    /// A model.
    Model(B256),
    /// A version of a Datanet.
    Datanet(B256, u32),
    /// A row by its hash.
    Row(B256),
    /// An account in all its roles.
    Account(Address),
    /// All models: who earned the most, and which models were used the most.
    All,
}

/// A place among batches: an operator and an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub Address, pub u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}-{}", self.0, self.1)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is no place among batches");
        let (operator, epoch) = text.split_once('-').ok_or_else(wrong)?;
        let (operator, epoch) = (operator.parse(), epoch.parse());
        Ok(Self(operator.map_err(|_| wrong())?, epoch.map_err(|_| wrong())?))
    }
}

/// Which batches are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Those after this one.
    pub after: Option<Cursor>,
    /// Those of one operator.
    pub operator: Option<Address>,
    /// Also those that are not final yet.
    pub has_open: bool,
}

/// Answers who earned from what. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Graph {
    ledgers: Ledgers,
    catalog: Arc<Catalog>,
}

/// What a page collects.
struct Sheet<'a> {
    registry: &'a Registry,
    catalog: &'a Catalog,
    subject: String,
    draft: Draft,
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
            return blocking(move || graph.call(digest)).await;
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
            Subject::Row(hash) => self.row_node(&mut draft, hash)?,
            Subject::Account(account) => Some(draft.node("account", format!("{account:?}"), "")),
            Subject::All => Some(draft.node("all", "models", "")),
        };
        let catalog = &*self.catalog;
        Ok(node.map(|subject| Sheet { registry, catalog, subject, draft }))
    }

    /// A row of a model that is served here, with what it belongs to.
    fn row_node(&self, draft: &mut Draft, hash: B256) -> Result<Option<String>> {
        let (registry, mut node) = (self.ledgers.registry(), None);
        for (model, index) in indexed(&self.catalog) {
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

    /// A call of this node: its rows in the ledger, whether or not it is sealed.
    fn call(&self, digest: B256) -> Result<Option<GraphAnswer>> {
        let Some(found) = recorded(&**self.ledgers.store(), digest)? else { return Ok(None) };
        let (registry, mut draft) = (self.ledgers.registry(), Draft::default());
        let record = &found.call.record;
        let call = draft.node("call", digest, "");
        let model = B256::new(record.call().model.0);
        let unknown = || Error::Store(format!("model {model} of a record is not indexed"));
        let view = registry.model(model)?.ok_or_else(unknown)?;
        let node = model_node(registry, &mut draft, &view)?;
        draft.join(&call, &node, "answered by", None);
        for share in record.shares() {
            let gwei = i128::from(share.amount);
            draft.pay(registry, &call, share.earner, share_why(share.kind), gwei)?;
        }
        let mut rest = i128::from(record.pool());
        for credit in record.credits() {
            let gwei = i128::from(credit.credit);
            rest -= gwei;
            draft.pay(registry, &call, credit.earner, "influence", gwei)?;
        }
        for section in record.sections() {
            rest += i128::from(section.pool);
            let why = match section.kind {
                attribution::settle::UseKind::Span => "span",
                attribution::settle::UseKind::Citation => "citation",
            };
            for credit in &section.credits {
                let gwei = i128::from(credit.credit);
                rest -= gwei;
                draft.pay(registry, &call, credit.of.earner, why, gwei)?;
            }
        }
        if rest != 0 {
            draft.flow(&call, &node, "flat", rest);
        }
        self.taught(&mut draft, &call, &found, &view)?;
        let batch = self.batch_of(&found)?;
        let answer = draft.answer(registry, call)?;
        Ok(Some(GraphAnswer { batches: batch.into_iter().collect(), ..answer }))
    }

    /// The rows that a call owes the most to, by their scores.
    fn taught(
        &self,
        draft: &mut Draft,
        call: &str,
        found: &Recorded,
        view: &ModelView,
    ) -> Result<()> {
        let known = indexed(&self.catalog).find(|(model, _)| model.id == view.id);
        let Some((_, index)) = known else { return Ok(()) };
        let scores = index
            .score_rows(&found.call.sketch)
            .map_err(|error| Error::Attribution(error.to_string()))?;
        let mut places: Vec<usize> = (0..scores.len()).collect();
        places.sort_by_key(|&place| std::cmp::Reverse(scores[place].unsigned_abs()));
        for place in places.into_iter().take(CALL_ROWS) {
            let source = &index.rows()[place].source;
            let row = draft.node("row", B256::from(source.hash), "");
            let by = draft.earner(self.ledgers.registry(), source.earner)?;
            draft.join(call, &row, "taught by", Some(scores[place].into()));
            draft.join(&row, &by, "contributed by", None);
        }
        Ok(())
    }

    fn batch_of(&self, found: &Recorded) -> Result<Option<GraphBatch>> {
        let registry = self.ledgers.registry();
        let epoch = registry.epoch_of(found.call.record.call().time);
        let key = epoch.to_be_bytes();
        let sealed: Option<crate::batcher::SealedBatch> =
            crate::store::get_row(&**self.ledgers.store(), crate::store::Table::Batches, &key)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let view = registry.batch(sealed.id)?;
        let channel = registry.channel(found.call.voucher.channelId)?;
        Ok(Some(GraphBatch {
            id: sealed.id,
            operator: channel.map(|channel| channel.operator).unwrap_or_default(),
            epoch: Decimal(epoch),
            status: match view.map(|view| view.status) {
                None => "sealed",
                Some(BatchStatus::Posted) => "posted",
                Some(BatchStatus::Final) => "final",
                Some(BatchStatus::Struck) => "struck",
            }
            .into(),
        }))
    }
}

/// What a batch pays for the rows of a model.
struct RowsPaid {
    model: ModelView,
    served: Arc<ServedModel>,
    paid: std::collections::BTreeMap<u32, RowPay>,
    unplaced: u64,
}

/// Whose pay is wanted.
enum EarnerFilter {
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
    fn model(&mut self, batch: &OpenBatch, key: ModelKey, only: &EarnerFilter) -> Result<()> {
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
    fn taught(&self, subject: Subject) -> Result<Vec<ModelView>> {
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
    fn rows(&mut self, subject: Subject, part: RowsPaid) -> Result<()> {
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

/// Models with an index, which is here.
fn indexed(catalog: &Catalog) -> impl Iterator<Item = (&Arc<ServedModel>, &InfluenceIndex)> {
    let models = catalog.models().iter();
    models.filter_map(|model| Some((model, &model.adapter.as_ref()?.index)))
}

/// Models of a batch's pools, each once.
fn models_of(batch: &OpenBatch) -> BTreeSet<ModelKey> {
    let called = batch.book.records.iter().map(BookRecord::key);
    let carried = batch.book.payouts.iter().map(|payout| payout.balance.model);
    called.chain(carried).collect()
}

/// A model's node with its adapter and its Datanet versions.
fn model_node(registry: &Registry, draft: &mut Draft, view: &ModelView) -> Result<String> {
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

fn datanet_node(registry: &Registry, draft: &mut Draft, id: B256, version: u32) -> Result<String> {
    let name = registry.datanet(id)?.map(|view| view.name).unwrap_or_default();
    Ok(draft.node("datanet", format!("{id}/{version}"), &name))
}

const fn share_why(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::Treasury => "treasury",
        ShareKind::Owner => "owner",
        ShareKind::Stakers => "stakers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor(Address::repeat_byte(0xab), 12);
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for wrong in ["", "12", "0x12-3", "0xabababababababababababababababababababab-x"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
