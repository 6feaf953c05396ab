//! Spans and citations that a record pays for.

use attribution::settle::{
    Citation, EarnerIndex, Ground, Mix, Record, Section, SpanUse, Use, UseKind, Uses,
};

use super::differing;
use crate::{
    api::answer::Decimal,
    explain::{Explanation, SectionPart, UsePart, build::kind_name, finding::Report},
};

/// The uses that are claimed, under the mix that the chain has.
///
/// # Errors
/// Why they are none, in words.
pub(super) fn claimed(said: &Explanation, mix: Mix) -> Result<Uses, String> {
    let mut uses = Uses { mix, ..Uses::default() };
    for section in &said.sections {
        for part in &section.uses {
            let of = read(part)?;
            match (section.kind.as_str(), of.ground) {
                ("span", Ground::Span(_)) => uses.spans.push(of),
                ("citation", Ground::Citation(_)) => uses.citations.push(of),
                (kind, _) => return Err(format!("a section of {kind} has another use")),
            }
        }
    }
    Ok(uses)
}

fn read(part: &UsePart) -> Result<Use, String> {
    let ground = match (part.span, part.citation) {
        (Some(span), None) => Ground::Span(SpanUse {
            start: span.start,
            length: span.length,
            low: span.low.0,
            count: span.count,
            holders: span.holders,
            holder: span.holder,
            occurrence: span.occurrence,
        }),
        (None, Some(citation)) => Ground::Citation(Citation {
            datanet: citation.datanet,
            row: citation.row.0,
            relevance: citation.relevance,
            uses: citation.uses,
        }),
        _ => return Err("a use is neither a span nor a citation".into()),
    };
    Ok(Use { earner: EarnerIndex(part.earner), score: part.score.0, ground })
}

/// Compares the sections of uses with those of the record that was built again.
pub(super) fn compare(report: &mut Report, said: &Explanation, settled: &Record) {
    for (kind, what) in [(UseKind::Span, "spans"), (UseKind::Citation, "citations")] {
        let claimed = said.sections.iter().find(|section| section.kind == kind_name(kind));
        let found = settled.sections().iter().find(|section| section.kind == kind);
        match (claimed, found) {
            (None, None) => {}
            (Some(claimed), Some(found)) => section(report, what, claimed, found),
            (None, Some(found)) => report.compare(what, &0, &found.pool),
            (Some(claimed), None) => report.compare(what, &claimed.pool.0, &0),
        }
    }
}

fn section(report: &mut Report, what: &str, claimed: &SectionPart, found: &Section) {
    if claimed.pool != Decimal(found.pool) {
        let detail = format!("pool: claimed {}, found {}", claimed.pool.0, found.pool);
        return report.note(what, false, detail);
    }
    let kept: Vec<_> = found.credits.iter().map(|one| (one.of, one.credit)).collect();
    let claimed: Vec<_> =
        claimed.uses.iter().filter_map(|part| Some((read(part).ok()?, part.credit.0))).collect();
    differing(report, what, &claimed, &kept);
}
