//! Who earned from one call.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    settle::{EarnerIndex, Ground, Record, ShareKind, UseKind},
    spans::SpanIndex,
};

use super::{
    answer::{Draft, GraphAnswer, GraphBatch},
    book::{BookCredit, BookPool, BookRecord},
    ledgers::{Ledgers, OpenBatch},
    nodes::{indexed, model_node, share_why},
    split::span_row,
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    batcher::SealedBatch,
    catalog::Catalog,
    recorder::{Recorded, recorded},
    registry::{BatchStatus, ModelView},
    store::{Table, get_row},
};

/// Rows that a call names for their scores.
const CALL_ROWS: usize = 32;

/// Calls of this node from its store, and others' from ledgers.
#[derive(Clone, Copy)]
pub(super) struct Calls<'a> {
    pub(super) ledgers: &'a Ledgers,
    pub(super) catalog: &'a Catalog,
}

/// What a call pays.
struct CallPay {
    model: ModelView,
    shares: Vec<(ShareKind, EarnerIndex, u64)>,
    pools: Vec<BookPool>,
    /// Of the answer; empty if it is not known.
    sketch: Vec<i8>,
}

impl Calls<'_> {
    /// A call of this node: its rows in the ledger, whether or not it is sealed.
    pub(super) fn recorded(self, digest: B256) -> Result<Option<GraphAnswer>> {
        let Some(found) = recorded(&**self.ledgers.store(), digest)? else { return Ok(None) };
        let (registry, record) = (self.ledgers.registry(), &found.call.record);
        let model = B256::new(record.call().model.0);
        let unknown = || Error::Store(format!("model {model} of a record is not indexed"));
        let pay = CallPay {
            model: registry.model(model)?.ok_or_else(unknown)?,
            shares: record.shares().iter().map(|one| (one.kind, one.earner, one.amount)).collect(),
            pools: pools_of(record),
            sketch: found.call.sketch.clone(),
        };
        let mut draft = Draft::default();
        let call = draft.node("call", digest, "");
        self.draw(&mut draft, &call, &pay)?;
        let batches = self.batch_of(&found)?.into_iter().collect();
        Ok(Some(GraphAnswer { batches, ..draft.answer(registry, call)? }))
    }

    /// Draws a call as a batch's ledger has it; false if it has none with this digest.
    ///
    /// - `call`: its node
    pub(super) async fn posted(
        self,
        draft: &mut Draft,
        call: &str,
        digest: B256,
        batch: &OpenBatch,
    ) -> Result<bool> {
        let voucher = digest.first_chunk().expect("31 of 32 bytes");
        let records = batch.book.records.iter();
        let found = records.enumerate().find(|(_, record)| record.voucher == *voucher);
        let Some((ordinal, record)) = found else { return Ok(false) };
        let registry = self.ledgers.registry();
        let key = record.key();
        let id = registry.model_beginning(&key.0)?;
        let unknown = || Error::Store("the model of a posted call is not indexed".into());
        let model = id.map(|id| registry.model(id)).transpose()?.flatten().ok_or_else(unknown)?;
        let is_here = indexed(self.catalog).any(|(served, _)| served.id == model.id);
        let sketch = if is_here { self.sketch(batch, ordinal).await? } else { Vec::new() };
        let BookRecord { shares, pools, .. } = record.clone();
        self.draw(draft, call, &CallPay { model, shares, pools, sketch })?;
        Ok(true)
    }

    /// The sketch of a posted call; nothing if its witness cannot be had any more.
    async fn sketch(self, batch: &OpenBatch, ordinal: usize) -> Result<Vec<i8>> {
        match self.ledgers.sketches(batch).await {
            Ok(sketches) => Ok(sketches.into_iter().nth(ordinal).unwrap_or_default()),
            Err(error @ Error::Store(_)) => Err(error),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn draw(self, draft: &mut Draft, call: &str, pay: &CallPay) -> Result<()> {
        let registry = self.ledgers.registry();
        let node = model_node(registry, draft, &pay.model)?;
        draft.join(call, &node, "answered by", None);
        for &(kind, earner, gwei) in &pay.shares {
            draft.pay(registry, call, earner, share_why(kind), gwei.into())?;
        }
        let mut rest = 0_i128;
        for pool in &pay.pools {
            rest += i128::from(pool.amount);
            let why = match pool.kind {
                None => "influence",
                Some(UseKind::Span) => "span",
                Some(UseKind::Citation) => "citation",
            };
            for credit in &pool.credits {
                let gwei = i128::from(credit.gwei);
                rest -= gwei;
                draft.pay(registry, call, credit.earner, why, gwei)?;
            }
        }
        if rest != 0 {
            draft.flow(call, &node, "flat", rest);
        }
        let known = indexed(self.catalog).find(|(model, _)| model.id == pay.model.id);
        let Some((served, index)) = known else { return Ok(()) };
        let spans = served.spans.as_ref().map(|spans| &spans.index);
        self.used(draft, call, &pay.pools, index, spans)?;
        self.taught(draft, call, &pay.sketch, index)
    }

    /// The rows that the answer quotes and cites, with the scores that they are credited by.
    fn used(
        self,
        draft: &mut Draft,
        call: &str,
        pools: &[BookPool],
        index: &InfluenceIndex,
        spans: Option<&SpanIndex>,
    ) -> Result<()> {
        let mut used = BTreeMap::<(u32, &str), i128>::new();
        for credit in pools.iter().flat_map(|pool| &pool.credits) {
            let place = match credit.ground {
                Some(Ground::Span(span)) => spans
                    .and_then(|spans| span_row(index, spans, &span, credit.earner))
                    .map(|place| (place, "quotes")),
                Some(Ground::Citation(citation)) => {
                    let cited = (citation.datanet, citation.row);
                    let mut rows = (0u32..).zip(index.rows());
                    let found =
                        rows.find(|(_, row)| (row.source.datanet, row.source.index) == cited);
                    found.map(|(place, _)| (place, "cites"))
                }
                None => None,
            };
            if let Some(place) = place {
                *used.entry(place).or_default() += credit.score;
            }
        }
        for ((place, why), score) in used {
            let row = self.row(draft, index, place as usize)?;
            draft.join(call, &row, why, Some(i64::try_from(score).unwrap_or(i64::MAX)));
        }
        Ok(())
    }

    /// The rows that the call owes the most to, by their scores.
    fn taught(
        self,
        draft: &mut Draft,
        call: &str,
        sketch: &[i8],
        index: &InfluenceIndex,
    ) -> Result<()> {
        if sketch.is_empty() {
            return Ok(());
        }
        let scores =
            index.score_rows(sketch).map_err(|error| Error::Attribution(error.to_string()))?;
        let mut places: Vec<usize> = (0..scores.len()).collect();
        places.sort_by_key(|&place| std::cmp::Reverse(scores[place].unsigned_abs()));
        for place in places.into_iter().take(CALL_ROWS) {
            let row = self.row(draft, index, place)?;
            draft.join(call, &row, "taught by", Some(scores[place].into()));
        }
        Ok(())
    }

    /// The node of a row with its contributor.
    fn row(self, draft: &mut Draft, index: &InfluenceIndex, place: usize) -> Result<String> {
        let source = &index.rows()[place].source;
        let row = draft.node("row", B256::from(source.hash), "");
        let by = draft.earner(self.ledgers.registry(), source.earner)?;
        if !draft.has_edge(&row, &by) {
            draft.join(&row, &by, "contributed by", None);
        }
        Ok(row)
    }

    fn batch_of(self, found: &Recorded) -> Result<Option<GraphBatch>> {
        let registry = self.ledgers.registry();
        let epoch = registry.epoch_of(found.call.record.call().time);
        let key = epoch.to_be_bytes();
        let sealed: Option<SealedBatch> = get_row(&**self.ledgers.store(), Table::Batches, &key)?;
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

/// A record's pools as a ledger has them.
fn pools_of(record: &Record) -> Vec<BookPool> {
    let credit = |earner, score, gwei, ground| BookCredit { earner, score, gwei, ground };
    let influence = record.credits().iter();
    let influence = influence.map(|one| credit(one.earner, one.score.into(), one.credit, None));
    let mut pools =
        vec![BookPool { kind: None, amount: record.pool(), credits: influence.collect() }];
    pools.extend(record.sections().iter().map(|section| {
        let credits = section.credits.iter().map(|one| {
            let gwei = i64::try_from(one.credit).expect("a part of a fee, which is below 2^63");
            credit(one.of.earner, one.of.score.into(), gwei, Some(one.of.ground))
        });
        BookPool { kind: Some(section.kind), amount: section.pool, credits: credits.collect() }
    }));
    pools
}
