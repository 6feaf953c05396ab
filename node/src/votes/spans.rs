//! Span credits of a record against those that running the call again gives.

use alloy::primitives::B256;
use attribution::settle::{Account, Ground, Info, Section, Use, UseKind, Witness, audit::Rows};

use crate::{Result, catalog::Catalog, registry::Registry};

/// Seconds after an index was accepted in which an operator may not have heard of it.
const NOTICE: u64 = 3_600;

/// What a record credits for spans, in the order of its rows; `None` if it has no section for them.
///
/// - `record`: number of its first row
pub(super) fn credited(rows: &Rows, record: usize) -> Option<Vec<Use>> {
    let own = (record + 1..rows.len())
        .map_while(|at| rows.get(at))
        .take_while(|row| !matches!(row.info, Info::Record { .. }));
    let mut section = None;
    for row in own {
        match (&row.info, row.account) {
            (Info::UsePool { kind: UseKind::Span, .. }, _) => section = Some(Vec::new()),
            (&Info::SpanCredit { score, span, .. }, Account::Balance(balance)) => {
                let of = Use { earner: balance.earner, score, ground: Ground::Span(span) };
                section.get_or_insert_default().push(of);
            }
            _ => {}
        }
    }
    section
}

/// Whether a record credits other spans than a rerun found: they follow from the answer's tokens and
/// the model's published index. Where the model's mix gives spans nothing there is nothing to say.
///
/// - `found`: every span use of the rerun's answer
///
/// # Errors
/// [`crate::Error::Store`], [`crate::Error::Settle`] if what was found breaks a rule of uses.
pub(crate) fn differs(
    registry: &Registry,
    catalog: &Catalog,
    witness: &Witness,
    credited: &[Use],
    found: &[Use],
) -> Result<bool> {
    let (model, time): (B256, u64) = (witness.model.0.into(), witness.time);
    let published = registry.span_index(model)?;
    let paying = published.filter(|published| published.is_paying(time));
    let Some(paying) = paying else {
        // That no index pays for them has a proof of its own.
        return Ok(false);
    };
    let hash = paying.commitment_hash();
    if !catalog.models().iter().any(|own| own.id == model && own.has_spans(hash)) {
        tracing::warn!(target: "node::votes", %model, %hash, "its span index is not here: not judged");
        return Ok(false);
    }
    if credited.is_empty() && time < paying.accepted_at.saturating_add(NOTICE) {
        return Ok(false);
    }
    let Some(rules) = registry.rules_at(time)? else { return Ok(false) };
    let section = Section::new(UseKind::Span, 0, found, rules.maxCredits)?;
    let expected = section.credits.iter().map(|credit| credit.of);
    Ok(!expected.eq(credited.iter().copied()))
}
