//! What a node's store says of a recorded call.

use std::collections::{BTreeMap, HashMap};

use alloy::primitives::{Address, B256};
use attribution::{
    estimate::InfluenceIndex,
    settle::{
        CELL_BYTES, Credit, EarnerIndex, Ground, Mix, ModelKey, Section, ShareKind, UseCredit,
        UseKind,
    },
};

use super::statement::{
    BalancePart, BatchPart, CitationPart, ContributorPart, DatanetPart, Explanation, ModelPart,
    MoneyPart, PaidPart, RowPart, SectionPart, SharePart, SpanPart, TextPart, UsePart,
};
use crate::{
    Error, Result,
    api::{
        answer::{Decimal, PriceJson},
        sources::RetrievalJson,
    },
    batcher::{SealedBatch, ledger_blob},
    graph::Book,
    recorder::Recorded,
    registry::{BatchStatus, Registry},
    serving::{StoredAnswer, statement},
    store::{Store, Table, get_row},
};

/// Where an explanation comes from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Has the record, and the batch once it is sealed.
    pub store: &'a dyn Store,
    /// The chain that they are for.
    pub registry: &'a Registry,
    /// The index of the record's model; without it, rows are left out.
    pub index: Option<&'a InfluenceIndex>,
}

/// Explains a recorded call.
///
/// - `rows`: how many rows to name at most
/// - `has_text`: whether request and answer may be told
///
/// # Errors
/// [`Error::Store`]; [`Error::Attribution`] if the index is not that of the record's sketch.
pub fn explain(
    sources: Sources<'_>,
    recorded: &Recorded,
    rows: usize,
    has_text: bool,
) -> Result<Explanation> {
    Builder { sources, recorded }.explanation(rows, has_text)
}

struct Builder<'a> {
    sources: Sources<'a>,
    recorded: &'a Recorded,
}

impl Builder<'_> {
    fn explanation(&self, rows: usize, has_text: bool) -> Result<Explanation> {
        let registry = self.sources.registry;
        let call = &self.recorded.call;
        let epoch_seconds = registry.contracts().epoch_seconds;
        let said = statement(self.recorded, &[], epoch_seconds, Vec::new());
        let channel = registry.channel(call.voucher.channelId)?;
        let text = if has_text { Some(self.text()?) } else { None };
        Ok(Explanation {
            operator: channel.map(|channel| channel.operator).unwrap_or_default(),
            record: said.record,
            receipt: said.receipt,
            signature: said.signature,
            witness: call.witness().encode().into(),
            model: self.model()?,
            text,
            contributors: self.contributors()?,
            rows: self.rows(rows)?,
            sections: self.sections()?,
            money: self.money()?,
            batch: self.batch()?,
        })
    }

    fn model_id(&self) -> B256 {
        self.recorded.call.record.call().model.0.into()
    }

    fn model(&self) -> Result<ModelPart> {
        let (registry, id) = (self.sources.registry, self.model_id());
        let view = registry
            .model(id)?
            .ok_or_else(|| Error::Store(format!("model {id} of a record is not indexed")))?;
        let mix = registry.mix_at(id, self.recorded.call.record.call().time)?;
        let mut datanets = Vec::new();
        for datanet in &view.datanets {
            let name = registry.datanet(datanet.id)?.map(|view| view.name).unwrap_or_default();
            datanets.push(DatanetPart { id: datanet.id, version: datanet.version, name });
        }
        let index_rows = self.sources.index.map_or(0, |index| index.rows().len());
        Ok(ModelPart {
            id,
            name: view.name,
            base: view.base,
            content_hash: view.content_hash,
            methods: methods(view.index_root, mix),
            index_root: view.index_root,
            index_rows: u32::try_from(index_rows).unwrap_or(u32::MAX),
            datanets,
        })
    }

    fn text(&self) -> Result<TextPart> {
        let digest = self.recorded.call.digest();
        let request = self.sources.store.get(Table::Requests, digest.as_slice())?;
        let stored = StoredAnswer::from_bytes(&self.recorded.answer)?;
        let record = &self.recorded.call.record;
        let output = stored.retrieval.as_ref().map(|_| stored.output());
        let spans = statement(self.recorded, &stored.spans, 1, Vec::new()).spans;
        Ok(TextPart {
            request: request.and_then(|body| String::from_utf8(body).ok()),
            output: output.and_then(|output| String::from_utf8(output).ok()),
            finish: stored.finish.reason().to_owned(),
            spans,
            retrieval: stored.retrieval.map(|grounding| RetrievalJson::of(&grounding, record)),
            answer: stored.text,
        })
    }

    fn account(&self, earner: EarnerIndex) -> Result<Address> {
        Ok(self.sources.registry.earner(earner)?.map(|view| view.account).unwrap_or_default())
    }

    fn contributors(&self) -> Result<Vec<ContributorPart>> {
        let known = self.sources.index.map(InfluenceIndex::contributors).unwrap_or_default();
        let accepted: HashMap<EarnerIndex, u32> =
            known.iter().map(|one| (one.earner, one.accepted_rows)).collect();
        let part = |&Credit { earner, score, credit }: &Credit| {
            Ok(ContributorPart {
                earner: earner.0,
                account: self.account(earner)?,
                score: Decimal(score),
                credit: Decimal(credit),
                accepted_rows: accepted.get(&earner).copied().unwrap_or(0),
            })
        };
        self.recorded.call.record.credits().iter().map(part).collect()
    }

    /// The rows with the largest scores of their own.
    fn rows(&self, count: usize) -> Result<Vec<RowPart>> {
        let Some(index) = self.sources.index else { return Ok(Vec::new()) };
        let record = &self.recorded.call.record;
        let credited: Vec<_> = record.credits().iter().map(|credit| credit.earner).collect();
        let magnitude = record.credits().iter().map(|c| i128::from(c.score.unsigned_abs())).sum();
        let parts = row_parts(index, &self.recorded.call.sketch)?;
        let part = |mut part: RowPart| {
            if part.is_canonical && credited.contains(&EarnerIndex(part.earner)) {
                part.credit = Decimal(row_credit(record.pool(), part.score.0, magnitude));
            }
            part
        };
        Ok(parts.into_iter().take(count).map(part).collect())
    }

    fn sections(&self) -> Result<Vec<SectionPart>> {
        let index = self.sources.index;
        let part = |section: &Section| {
            let one = |credit: &UseCredit| {
                let (span, citation) = grounds(&credit.of.ground, index);
                Ok(UsePart {
                    earner: credit.of.earner.0,
                    account: self.account(credit.of.earner)?,
                    score: Decimal(credit.of.score),
                    credit: Decimal(credit.credit),
                    span,
                    citation,
                })
            };
            Ok(SectionPart {
                kind: kind_name(section.kind).to_owned(),
                pool: Decimal(section.pool),
                uses: section.credits.iter().map(one).collect::<Result<_>>()?,
            })
        };
        self.recorded.call.record.sections().iter().map(part).collect()
    }

    fn money(&self) -> Result<MoneyPart> {
        let record = &self.recorded.call.record;
        let (terms, call) = (record.terms(), record.call());
        let mut shares = Vec::new();
        for share in record.shares() {
            shares.push(SharePart {
                kind: share_name(share.kind).to_owned(),
                earner: share.earner.0,
                account: self.account(share.earner)?,
                amount: Decimal(share.amount),
            });
        }
        let pools: u64 = record.pool() + record.sections().iter().map(|s| s.pool).sum::<u64>();
        let positive = |credit: i64| credit.max(0).unsigned_abs();
        let influence: u64 = record.credits().iter().map(|c| positive(c.credit)).sum();
        let uses = record.sections().iter().flat_map(|section| &section.credits);
        let uses: u64 = uses.map(|credit| credit.credit).sum();
        Ok(MoneyPart {
            fee: Decimal(record.fee()),
            price: PriceJson {
                input_rate: Decimal(terms.price.input_rate),
                output_rate: Decimal(terms.price.output_rate),
                platform_fee: Decimal(terms.price.platform_fee),
                price_version: call.price_version,
            },
            split: terms.split.bps(),
            shares,
            pool: Decimal(record.pool()),
            flat: Decimal(pools - influence - uses),
        })
    }

    /// The batch that has the call, once it is sealed.
    fn batch(&self) -> Result<Option<BatchPart>> {
        let (store, registry) = (self.sources.store, self.sources.registry);
        let record = &self.recorded.call.record;
        let epoch = registry.epoch_of(record.call().time);
        let sealed: Option<SealedBatch> = get_row(store, Table::Batches, &epoch.to_be_bytes())?;
        let Some(sealed) = sealed else { return Ok(None) };
        let rows = prover::rows_from_blob(&ledger_blob(store, epoch)?)?;
        let book = Book::read(&rows);
        // A batch that was taken back and is sealed again has the call all the same.
        let Some(entry) = book.record(&leading(&record.call().voucher)) else { return Ok(None) };
        Ok(Some(BatchPart {
            id: sealed.id,
            epoch: Decimal(epoch),
            status: status_name(registry.batch(sealed.id)?.map(|view| view.status)).to_owned(),
            row: entry.row,
            rows: sealed.rows,
            total: Decimal(sealed.total),
            calls: sealed.calls,
            paid: self.paid(&sealed, &book)?,
        }))
    }

    /// What the batch pays everyone whom the record names.
    fn paid(&self, sealed: &SealedBatch, book: &Book) -> Result<Vec<PaidPart>> {
        let amounts: BTreeMap<EarnerIndex, u64> = sealed.payouts.iter().copied().collect();
        let record = &self.recorded.call.record;
        let model = ModelKey::from(record.call().model);
        let uses = record.sections().iter().flat_map(|section| &section.credits);
        let named = record.shares().iter().map(|share| share.earner);
        let named = named.chain(record.credits().iter().map(|credit| credit.earner));
        let mut seen = Vec::new();
        for earner in named.chain(uses.map(|credit| credit.of.earner)) {
            if !seen.contains(&earner) {
                seen.push(earner);
            }
        }
        let paid = |earner: EarnerIndex| {
            let payout = book.payouts_of(model).find(|payout| payout.balance.earner == earner);
            Ok(PaidPart {
                earner: earner.0,
                account: self.account(earner)?,
                amount: Decimal(amounts.get(&earner).copied().unwrap_or(0)),
                balance: payout.map(|payout| BalancePart {
                    net: Decimal(payout.net),
                    factor: payout.factor,
                    influence: Decimal(payout.influence),
                    flat: Decimal(payout.flat),
                }),
            })
        };
        seen.into_iter().map(paid).collect()
    }
}

/// All rows of an index by the size of their scores for a sketch, without credits; ties by place.
///
/// # Errors
/// [`Error::Attribution`] if the sketch is not of the index's size.
pub(super) fn row_parts(index: &InfluenceIndex, sketch: &[i8]) -> Result<Vec<RowPart>> {
    let scores = index.score_rows(sketch).map_err(|e| Error::Attribution(e.to_string()))?;
    let mut parts: Vec<RowPart> = Vec::with_capacity(scores.len());
    for ((place, row), score) in (0u32..).zip(index.rows()).zip(scores) {
        parts.push(RowPart {
            hash: row.source.hash.into(),
            datanet: row.source.datanet,
            index: row.source.index,
            earner: row.source.earner.0,
            is_canonical: row.source.cluster == place,
            score: Decimal(score),
            credit: Decimal(0),
        });
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.score.0.unsigned_abs()));
    Ok(parts)
}

/// `trunc(pool * score / magnitude)`; 0 without a magnitude.
pub(super) fn row_credit(pool: u64, score: i32, magnitude: i128) -> i64 {
    let credit = (i128::from(pool) * i128::from(score)).checked_div(magnitude).unwrap_or(0);
    i64::try_from(credit).unwrap_or(0)
}

/// How contributors are credited: what has a part of their share.
pub(super) fn methods(index_root: B256, mix: Mix) -> Vec<String> {
    let used = mix.spans_bps() + mix.citations_bps();
    let all = [
        (!index_root.is_zero() && used < 10_000, "influence"),
        (mix.spans_bps() > 0, "spans"),
        (mix.citations_bps() > 0, "citations"),
    ];
    all.into_iter().filter(|(is_used, _)| *is_used).map(|(_, name)| name.to_owned()).collect()
}

fn grounds(
    ground: &Ground,
    index: Option<&InfluenceIndex>,
) -> (Option<SpanPart>, Option<CitationPart>) {
    match *ground {
        Ground::Span(span) => {
            let part = SpanPart {
                start: span.start,
                length: span.length,
                low: Decimal(span.low),
                count: span.count,
                holders: span.holders,
                holder: span.holder,
                occurrence: span.occurrence,
            };
            (Some(part), None)
        }
        Ground::Citation(citation) => {
            let place = (citation.datanet, citation.row);
            let hash = index.and_then(|index| {
                let rows = index.rows();
                let found =
                    rows.binary_search_by_key(&place, |row| (row.source.datanet, row.source.index));
                found.ok().map(|at| B256::from(rows[at].source.hash))
            });
            let part = CitationPart {
                datanet: citation.datanet,
                row: Decimal(citation.row),
                relevance: citation.relevance,
                uses: citation.uses,
                hash,
            };
            (None, Some(part))
        }
    }
}

pub(super) const fn kind_name(kind: UseKind) -> &'static str {
    match kind {
        UseKind::Span => "span",
        UseKind::Citation => "citation",
    }
}

pub(super) const fn share_name(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::Treasury => "treasury",
        ShareKind::Owner => "owner",
        ShareKind::Stakers => "stakers",
    }
}

/// How far a batch is; `None` for one that is not on the chain.
pub(super) const fn status_name(status: Option<BatchStatus>) -> &'static str {
    match status {
        None => "sealed",
        Some(BatchStatus::Posted) => "posted",
        Some(BatchStatus::Final) => "final",
        Some(BatchStatus::Struck) => "struck",
    }
}

/// The bytes of a hash that a ledger's cell holds.
pub(super) const fn leading(hash: &[u8; 32]) -> [u8; CELL_BYTES] {
    *hash.first_chunk().expect("31 of 32 bytes")
}
