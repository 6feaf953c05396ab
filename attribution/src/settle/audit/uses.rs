//! Credits for spans against the model's span index, and for citations against its Datanets.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    Audit, Evidence, Fault, Known, Rule, Sources, SpanCorpus,
    book::{Entry, Record},
    grammar::model_of,
};
use crate::settle::{Account, Balance, Citation, Info, ModelId, Row, SpanUse};

/// A credit for a span.
#[derive(Clone, Copy)]
struct SpanRow {
    at: usize,
    record: usize,
    score: u64,
    balance: Balance,
    span: SpanUse,
}

impl SpanRow {
    const fn of(at: usize, row: &Row) -> Option<Self> {
        match (&row.info, row.account) {
            (&Info::SpanCredit { score, position, span, .. }, Account::Balance(balance)) => {
                let record = at.saturating_sub(position as usize);
                Some(Self { at, record, score, balance, span })
            }
            _ => None,
        }
    }
}

fn span_rows<'r, S: Sources>(audit: &'r Audit<'_, S>) -> impl Iterator<Item = SpanRow> + 'r {
    audit.rows.iter().filter_map(|(at, row)| SpanRow::of(at, row))
}

/// Each credit for a span is what the model's index says.
pub(super) fn span<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |row: SpanRow| {
        let model = audit.sources.model(&row.balance.model.0)?;
        // A credit behind no record is a matter of its neighbours.
        let time = Record::of(audit.rows.get(row.record)?)?.time;
        match audit.sources.spans(model, time) {
            Known::Unknown => None,
            Known::Absent => {
                let evidence = Evidence::SpanUnfounded { model };
                Some(Fault::new(Rule::Span, &[row.record, row.at], evidence))
            }
            Known::Here(corpus) => {
                let evidence = wrong_span(corpus, model, &row)?;
                Some(Fault::new(Rule::Span, &[row.at], evidence))
            }
        }
    };
    span_rows(audit).filter_map(wrong).collect()
}

fn wrong_span(corpus: &dyn SpanCorpus, model: ModelId, row: &SpanRow) -> Option<Evidence> {
    let SpanRow { span, score, balance, .. } = *row;
    // What is out of range is a matter of the row alone.
    if !span.is_sound() {
        return None;
    }
    let high = span.low.saturating_add(span.count.into());
    if high > corpus.tokens() {
        return Some(Evidence::SpanBeyond { model });
    }
    let position = |rank| corpus.position(rank);
    let starts = |rank| agree(corpus, position(span.low), position(rank), span.length.into());
    let within = (span.low..high).find(|&rank| !starts(rank));
    let beside = [span.low.checked_sub(1), (high < corpus.tokens()).then_some(high)];
    let beside = beside.into_iter().flatten().find(|&rank| starts(rank));
    if let Some(rank) = within.or(beside) {
        return Some(Evidence::SpanRange { model, rank });
    }
    let cluster = |occurrence: u16| corpus.cluster_at(position(span.low + u64::from(occurrence)));
    let own = cluster(span.occurrence);
    if corpus.earner(own) != balance.earner {
        return Some(Evidence::SpanHolder { model });
    }
    if let Some(occurrence) = (0..span.occurrence).find(|&earlier| cluster(earlier) == own) {
        return Some(Evidence::SpanRepeat { model, occurrence });
    }
    let clusters: BTreeSet<u32> = (0..span.count).map(cluster).collect();
    if clusters.len() != usize::from(span.holders) {
        return Some(Evidence::SpanHolders { model });
    }
    (score != span.score(corpus.tokens())).then_some(Evidence::SpanScore { model })
}

/// Whether the same tokens, of one row, stand at two positions.
fn agree(corpus: &dyn SpanCorpus, a: u64, b: u64, tokens: u64) -> bool {
    (0..tokens).all(|at| {
        let symbol = corpus.symbol(a.saturating_add(at));
        symbol != 0 && symbol == corpus.symbol(b.saturating_add(at))
    })
}

/// No span of a record is within another.
pub(super) fn nested<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let rows: Vec<_> = span_rows(audit).collect();
    let mut faults = Vec::new();
    for record in rows.chunk_by(|a, b| a.record == b.record) {
        for (i, a) in record.iter().enumerate() {
            let inner = record[i + 1..].iter().find(|b| a.span.is_nested(&b.span));
            let fault = |b: &SpanRow| Fault::new(Rule::Span, &[a.at, b.at], Evidence::SpanNested);
            faults.extend(inner.map(fault));
        }
    }
    faults
}

/// No span ends after the answer.
pub(super) fn outside<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for Entry { at, record, .. } in audit.records() {
        for pool in audit.pools(at).into_iter().skip(1) {
            for credit in audit.credits(pool) {
                let span = SpanRow::of(credit.at, credit.row);
                if span.is_some_and(|of| of.record == at && of.span.end() > record.tokens_out) {
                    let rows = [at, credit.at];
                    faults.push(Fault::new(Rule::Span, &rows, Evidence::SpanOutside));
                }
            }
        }
    }
    faults
}

/// Each row cited is a canonical one of the model's Datanet versions, and its contributor is
/// credited.
pub(super) fn citation<S: Sources>(audit: &Audit<'_, S>) -> Vec<Fault> {
    let wrong = |(at, row): (usize, &Row)| {
        let (&Info::CitationCredit { citation, .. }, Account::Balance(balance)) =
            (&row.info, row.account)
        else {
            return None;
        };
        let model = audit.sources.model(&model_of(row))?;
        let Citation { datanet, row: index, .. } = citation;
        let evidence = match audit.sources.cited(model, datanet, index) {
            Known::Unknown => return None,
            Known::Absent => Evidence::CitationUnfounded { model },
            Known::Here(row) if row.is_canonical && row.earner == balance.earner => return None,
            Known::Here(_) => Evidence::Citation { model },
        };
        Some(Fault::new(Rule::Citation, &[at], evidence))
    };
    audit.rows.iter().filter_map(wrong).collect()
}
