//! Citation credits of a record against those that running the call again gives.

use attribution::settle::{Account, Ground, Info, Section, Use, UseKind, audit::Rows};

use super::Outcome;
use crate::{Result, registry::Registry};

/// Whether a record credits other citations than a rerun found: they follow from the answer's text, its
/// sources and their rows. A call without sources has none. Where the record has no section for them
/// there is nothing to say: that one is missing shows in its amounts.
///
/// - `record`: number of its first row
/// - `time`: when the payer signed, in seconds
///
/// # Errors
/// [`crate::Error::Store`], [`crate::Error::Settle`] if what was found breaks a rule of uses.
pub(super) fn differs(
    registry: &Registry,
    time: u64,
    rows: &Rows,
    record: usize,
    found: &Outcome,
) -> Result<bool> {
    let Some(credited) = credited(rows, record) else { return Ok(false) };
    let Some(rules) = registry.rules_at(time)? else { return Ok(false) };
    let found = found.citations.as_deref().unwrap_or_default();
    let section = Section::new(UseKind::Citation, 0, found, rules.maxCredits)?;
    let expected = section.credits.iter().map(|credit| credit.of);
    Ok(!expected.eq(credited))
}

/// What a record credits for citations, in the order of its rows; `None` if it has no section for them.
fn credited(rows: &Rows, record: usize) -> Option<Vec<Use>> {
    let own = (record + 1..rows.len())
        .map_while(|at| rows.get(at))
        .take_while(|row| !matches!(row.info, Info::Record { .. }));
    let mut section = None;
    for row in own {
        match (&row.info, row.account) {
            (Info::UsePool { kind: UseKind::Citation, .. }, _) => section = Some(Vec::new()),
            (&Info::CitationCredit { score, citation, .. }, Account::Balance(balance)) => {
                let ground = Ground::Citation(citation);
                section.get_or_insert_default().push(Use { earner: balance.earner, score, ground });
            }
            _ => {}
        }
    }
    section
}
