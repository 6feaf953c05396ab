//! Rows of an index against those of the Datanets.

use std::collections::HashMap;

use alloy::primitives::B256;
use attribution::estimate::InfluenceIndex;

use super::{subject::IndexCheck, summary::IndexSummary};
use crate::explain::finding::Report;

/// Rows of the index against those of the Datanets.
pub(super) fn compare_rows(check: &IndexCheck<'_>, index: &InfluenceIndex, report: &mut Report) {
    if check.datanets.is_empty() {
        return report.skip("rows", "no Datanet folder is given");
    }
    if let Some(chain) = &check.chain {
        let found: Vec<_> = check
            .datanets
            .iter()
            .map(|datanet| (datanet.manifest.rows_root, datanet.rows.len() as u64))
            .collect();
        let said: Vec<_> =
            chain.versions.iter().map(|&(root, rows)| (root, u64::from(rows))).collect();
        let detail = format!("{} versions, with the registered roots", found.len());
        let other = "the folders are not the registered versions, in their order";
        report.note("datanets", found == said, if found == said { &detail } else { other });
    }
    match first_wrong_row(check, index) {
        None => report.note("rows", true, format!("{} rows are the Datanets'", index.rows().len())),
        Some(why) => report.note("rows", false, why),
    }
}

fn first_wrong_row(check: &IndexCheck<'_>, index: &InfluenceIndex) -> Option<String> {
    let rows = (0u8..).zip(check.datanets);
    let rows: Vec<_> = rows
        .flat_map(|(place, datanet)| datanet.rows.iter().map(move |row| (place, row)))
        .collect();
    let mut first: HashMap<B256, u32> = HashMap::new();
    for (place, known) in (0u32..).zip(index.rows()) {
        let Some(&(datanet, row)) = rows.get(place as usize) else {
            return Some(format!("row {place} is in no Datanet"));
        };
        let source = &known.source;
        first.entry(row.row_hash).or_insert(place);
        let earner = check.chain.as_ref().and_then(|chain| chain.earners.get(&row.contributor));
        let facts = [
            ("Datanet", source.datanet == datanet),
            ("index", source.index == row.index),
            ("text", source.hash == row.row_hash.0),
            ("contributor", earner.is_none_or(|&earner| earner == source.earner)),
            ("cluster", first.get(&row.cluster_hash) == Some(&source.cluster)),
        ];
        if let Some((what, _)) = facts.iter().find(|(_, is_same)| !is_same) {
            let name = &check.datanets[usize::from(datanet)].manifest.name;
            return Some(format!("row {place} ({name} {}) has another {what}", row.index));
        }
    }
    let missing = rows.len() - index.rows().len();
    (missing > 0).then(|| format!("the last {missing} rows of the Datanets are not in it"))
}

/// Rows that nothing is paid for, and those that say so wrongly.
pub(super) fn excluded(index: &InfluenceIndex, summary: &IndexSummary, report: &mut Report) {
    let silent = &summary.excluded;
    let wrong = index.rows().iter().enumerate().find(|(place, row)| {
        // A row of little influence may round to zero; one without any must be zero.
        row.self_influence == 0.0 && silent.binary_search(place).is_err()
    });
    match (wrong, silent.len()) {
        (Some((place, _)), _) => {
            let detail = format!("row {place} has a sketch and no influence on itself");
            report.note("excluded rows", false, detail);
        }
        (None, 0) => report.note("excluded rows", true, "none"),
        (None, count) => {
            let first: Vec<_> = silent.iter().take(8).map(usize::to_string).collect();
            let detail = format!("{count} with a zero sketch: {}", first.join(", "));
            report.note("excluded rows", true, detail);
        }
    }
}
