//! A fault of a credit for a span or a citation as the call that proves it: openings of the model's
//! span index, or a row of its Datanets.

use alloy::{primitives::Bytes, sol_types::SolCall};
use attribution::{
    settle::{
        Info, SpanUse,
        audit::{Evidence, Fault, SpanCorpus},
    },
    spans::proof,
};

use super::{facts::Facts, published::Place};
use crate::{
    Error, Result,
    chain::bindings::{
        CellOpening, CitedRow, Corpus, IUseFaults as Uses, LeafOpening, RowOpening, SuffixOpening,
    },
    factory::{leaf_opening, span_commitment},
};

/// The call that proves a fault of a span credit.
///
/// # Errors
/// [`Error::Dispute`] if the fault is none, or the model's index is not here.
pub(super) fn calldata(fault: &Fault, facts: &Facts, ledger: CellOpening) -> Result<Bytes> {
    use Evidence as E;
    let batch = facts.id;
    let model = match fault.evidence {
        E::SpanNested => return Ok(encoded(&Uses::proveSpanNestedCall { batch, ledger })),
        E::SpanOutside => return Ok(encoded(&Uses::proveSpanOutsideCall { batch, ledger })),
        E::SpanUnfounded { model } => {
            let model = model.0.into();
            return Ok(encoded(&Uses::proveSpanUnfoundedCall { batch, ledger, model }));
        }
        E::SpanBeyond { model }
        | E::SpanRange { model, .. }
        | E::SpanHolder { model }
        | E::SpanRepeat { model, .. }
        | E::SpanHolders { model }
        | E::SpanScore { model } => model,
        ref other => return Err(Error::Dispute(format!("{other:?} is of no span"))),
    };
    let missing = || Error::Dispute(format!("the span index of model {model} is not here"));
    let corpus = facts.corpora.get(&model).ok_or_else(missing)?;
    let commitment = span_commitment(&corpus.commitment);
    let corpus_ = Corpus { model: model.0.into(), commitment };
    let (index, corpus) = (&corpus.index, corpus_);
    let shard = index.commit(0).ok_or_else(missing)?;
    let span = span_of(fault, facts)?;
    let rank = |occurrence: u16| span.low + u64::from(occurrence);
    let suffix = |occurrence| suffix(shard.open_suffix(rank(occurrence), 0));
    let row = |occurrence| row(shard.open_row_at(index.position(rank(occurrence))));
    Ok(match fault.evidence {
        E::SpanBeyond { .. } => encoded(&Uses::proveSpanBeyondCall { batch, ledger, corpus }),
        E::SpanRange { rank, .. } => {
            let open = |rank| self::suffix(shard.open_suffix(rank, span.length.into()));
            let (first, other) = (open(span.low), open(rank));
            encoded(&Uses::proveSpanRangeCall { batch, ledger, corpus, rank, first, other })
        }
        E::SpanHolder { .. } => {
            let (suffix, row) = (suffix(span.occurrence), row(span.occurrence));
            let cluster = index.cluster_at(index.position(rank(span.occurrence)));
            let canonical = leaf_opening(shard.open_row(cluster));
            encoded(&Uses::proveSpanHolderCall { batch, ledger, corpus, suffix, row, canonical })
        }
        E::SpanRepeat { occurrence: earlier, .. } => {
            let both = [earlier, span.occurrence];
            let (suffixes, rows) = (both.map(suffix), both.map(row));
            encoded(&Uses::proveSpanRepeatCall { batch, ledger, corpus, earlier, suffixes, rows })
        }
        E::SpanHolders { .. } => {
            let suffixes = (0..span.count).map(suffix).collect();
            let rows = (0..span.count).map(row).collect();
            encoded(&Uses::proveSpanHoldersCall { batch, ledger, corpus, suffixes, rows })
        }
        _ => encoded(&Uses::proveSpanScoreCall { batch, ledger, corpus }),
    })
}

/// The call that proves a fault of a citation: the row as its Datanet version has it.
///
/// # Errors
/// [`Error::Dispute`] if the fault is none, or the row is not here.
pub(super) fn citation(fault: &Fault, facts: &Facts, ledger: CellOpening) -> Result<Bytes> {
    let batch = facts.id;
    let of = match fault.evidence {
        Evidence::CitationUnfounded { model } => {
            let model = model.0.into();
            return Ok(encoded(&Uses::proveCitationUnfoundedCall { batch, ledger, model }));
        }
        Evidence::Citation { model } => model,
        ref other => return Err(Error::Dispute(format!("{other:?} is of no citation"))),
    };
    let cited = match info_of(fault, facts) {
        Some(&Info::CitationCredit { citation, .. }) => citation,
        other => return Err(Error::Dispute(format!("{other:?} cites nothing"))),
    };
    let missing = || Error::Dispute(format!("the rows of model {of} are not here"));
    let rows = facts.cited.get(&of).ok_or_else(missing)?;
    let proven = rows.proof(Place::at(cited.datanet, cited.row))?;
    let row = CitedRow {
        index: proven.row.index,
        rowHash: proven.row.rowHash,
        contributor: proven.row.contributor,
        clusterHash: proven.row.clusterHash,
    };
    let (model, proof) = (of.0.into(), proven.proof);
    Ok(encoded(&Uses::proveCitationCall { batch, ledger, model, row, proof }))
}

/// What the first row that a fault names says.
fn info_of<'a>(fault: &Fault, facts: &'a Facts) -> Option<&'a Info> {
    let rows = &facts.dossier.ledger.rows;
    fault.rows.first().and_then(|&at| rows.get(at)).map(|row| &row.info)
}

/// The span of the credit that a fault names.
fn span_of(fault: &Fault, facts: &Facts) -> Result<SpanUse> {
    match info_of(fault, facts) {
        Some(&Info::SpanCredit { span, .. }) => Ok(span),
        other => Err(Error::Dispute(format!("{other:?} credits no span"))),
    }
}

pub(super) fn suffix(of: proof::SuffixOpening) -> SuffixOpening {
    SuffixOpening { pointer: leaf_opening(of.pointer), text: leaves(of.text) }
}

pub(super) fn leaves(of: Vec<proof::LeafOpening>) -> Vec<LeafOpening> {
    of.into_iter().map(leaf_opening).collect()
}

fn row(of: proof::RowOpening) -> RowOpening {
    let next = of.next.into_iter().map(leaf_opening).collect();
    RowOpening { row: of.row, entry: leaf_opening(of.entry), next }
}

fn encoded(call: &impl SolCall) -> Bytes {
    call.abi_encode().into()
}
