//! Who earned from one call.

use alloy::primitives::B256;

use super::{
    answer::{Draft, GraphAnswer, GraphBatch},
    ledgers::Ledgers,
    nodes::{indexed, model_node, share_why},
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    catalog::Catalog,
    recorder::{Recorded, recorded},
    registry::{BatchStatus, ModelView},
};

/// Rows that a call names.
const CALL_ROWS: usize = 32;

/// Calls, where they are found.
pub(super) struct Calls<'a> {
    pub(super) ledgers: &'a Ledgers,
    pub(super) catalog: &'a Catalog,
}

impl Calls<'_> {
    /// A call of this node: its rows in the ledger, whether or not it is sealed.
    pub(super) fn of(&self, digest: B256) -> Result<Option<GraphAnswer>> {
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
        let known = indexed(self.catalog).find(|(model, _)| model.id == view.id);
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
