//! The span index of a model's folder.

use alloy::primitives::B256;
use attribution::{
    estimate::InfluenceIndex,
    spans::{Check, SpanIndex},
};
use inference::tokenizer::Tokenizer;

use super::subject::IndexCheck;
use crate::{
    Result,
    catalog::{ModelManifest, SPANS_FOLDER},
    chain::bindings::SpanIndexEntry,
    explain::finding::Report,
    factory::span_tokens,
};

/// The span index beside the influence index: every byte of it, what stands for it in the manifest and
/// on the chain, that it is of the same rows, and that its text is theirs.
///
/// # Errors
/// [`crate::Error::Inference`] if the tokenizer cannot be read or refuses a row.
pub(super) fn spans(
    check: &IndexCheck<'_>,
    manifest: &ModelManifest,
    index: &InfluenceIndex,
    report: &mut Report,
) -> Result<()> {
    let path = check.dir.join(SPANS_FOLDER);
    let published = check.chain.as_ref().map(|chain| &chain.spans);
    let Some(hash) = manifest.span_hash else {
        if path.is_dir() {
            report.skip("span index", format!("model.json names none, {SPANS_FOLDER} is there"));
        }
        if published.is_some_and(|published| published.acceptedAt != 0) {
            report.note("span publication", false, "one is published, model.json names none");
        }
        return Ok(());
    };
    if let Some(published) = published {
        publication(published, hash, report);
    }
    let spans = match SpanIndex::open(&path, Check::Everything) {
        Ok(spans) => spans,
        Err(error) => {
            report.note("span index", false, error.to_string());
            return Ok(());
        }
    };
    let found = spans.commit(0).map(|shard| B256::from(shard.commitment().hash()));
    report.compare("span index", &hash, &found.unwrap_or_default());
    let known = index.rows().iter().map(|row| row.source);
    let place = (0..).zip(known).find(|(place, source)| spans.row(*place) != Some(*source));
    let rows = (spans.rows() as usize, index.rows().len());
    match place {
        Some((place, _)) => {
            report.note("span rows", false, format!("row {place} is another in the span index"));
        }
        None => report.compare("span rows", &rows.0, &rows.1),
    }
    text(check, &spans, report)
}

fn publication(published: &SpanIndexEntry, hash: B256, report: &mut Report) {
    if published.acceptedAt == 0 {
        report.skip("span publication", "the span index is not published");
    } else if published.struck {
        report.note("span publication", false, "it was proven wrong and struck");
    } else {
        report.compare("span publication", &published.commitmentHash, &hash);
    }
}

/// Tokens of every row against those that the base's tokenizer makes of its text.
fn text(check: &IndexCheck<'_>, spans: &SpanIndex, report: &mut Report) -> Result<()> {
    let Some(base) = check.base.filter(|_| !check.datanets.is_empty()) else {
        report.skip("span text", "no base model or no Datanet folder is given");
        return Ok(());
    };
    let tokenizer = Tokenizer::load(base)?;
    let rows = check.datanets.iter().flat_map(|datanet| &datanet.rows);
    for (place, row) in (0..).zip(rows) {
        if spans.row_tokens(place) != Some(span_tokens(&tokenizer, &row.text)?) {
            let detail = format!("row {place} has other tokens than its text");
            report.note("span text", false, detail);
            return Ok(());
        }
    }
    report.note("span text", true, format!("{} tokens, as the rows have them", spans.tokens()));
    Ok(())
}
