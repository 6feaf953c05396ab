//! Who earned the most.

use std::{fmt::Write, time::Duration};

use eyre::WrapErr;
use node::{client::NodeClient, graph::LeadersAnswer};

/// Most places that a node gives at once.
const PAGE: usize = 100;

/// The first places of a ranking, once the node has counted all batches.
pub(super) async fn fetch(
    client: &NodeClient,
    board: &str,
    top: usize,
    patience: Duration,
) -> eyre::Result<LeadersAnswer> {
    let mut whole: Option<LeadersAnswer> = None;
    loop {
        let after = whole.as_ref().map_or(0, |whole| whole.data.len());
        let limit = (top.max(1) - after).min(PAGE);
        let path = format!("/v1/graph/{board}?after={after}&limit={limit}");
        let body = client.get(&path, patience).await?;
        let page: LeadersAnswer = serde_json::from_value(body).wrap_err("the node's ranking")?;
        // What was counted meanwhile may change places.
        let is_same = whole.as_ref().is_none_or(|whole| whole.batches == page.batches);
        if page.is_behind || !is_same {
            whole = None;
            continue;
        }
        let next = page.next;
        let read = match whole.take() {
            Some(whole) => LeadersAnswer { data: [whole.data, page.data].concat(), ..page },
            None => page,
        };
        if next.is_none() || read.data.len() >= top.max(1) {
            return Ok(read);
        }
        whole = Some(read);
    }
}

/// The places, one a line.
pub(super) fn table(leaders: &LeadersAnswer) -> String {
    let mut text = String::new();
    let width = leaders.data.first().map_or(0, |first| first.gwei.0.to_string().len());
    for leader in &leaders.data {
        let who = match leader.account {
            Some(account) => format!("{account} ({})", leader.id),
            None => {
                let name = leader.name.chars().filter(|c| !c.is_control());
                format!("{} {}", leader.id, name.collect::<String>())
            }
        };
        let _ =
            writeln!(text, "{:>4}  {:>width$} gwei  {}", leader.place, leader.gwei.0, who.trim());
        if leader.versions.len() > 1 {
            let versions = leader.versions.iter();
            let versions: Vec<_> =
                versions.map(|of| format!("version {}: {}", of.version, of.gwei.0)).collect();
            let _ = writeln!(text, "      {:>width$}       {}", "", versions.join(", "));
        }
    }
    let _ = writeln!(text, "{} gwei in {} batches", leaders.total.0, leaders.batches);
    if leaders.unplaced.0 != 0 {
        let _ = writeln!(text, "{} gwei for rows that are not known", leaders.unplaced.0);
    }
    for left in &leaders.left_out {
        let _ = writeln!(text, "left out: batch {}: {}", left.id, left.reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ranking_has_a_line_a_place() {
        let leaders: LeadersAnswer = serde_json::from_value(json!({
            "object": "graph.datanets",
            "data": [
                {
                    "place": 1, "id": "datanet:0x02", "name": "rows\u{1b}[2J", "gwei": "120",
                    "versions": [
                        { "version": 1, "gwei": "20" },
                        { "version": 2, "gwei": "100" },
                    ],
                },
                { "place": 2, "id": "datanet:0x01", "gwei": "7" },
            ],
            "total": "127", "unplaced": "3", "batches": 2, "is_behind": false, "left_out": [],
        }))
        .unwrap();
        let expected = "   1  120 gwei  datanet:0x02 rows[2J\n\
                        \x20               version 1: 20, version 2: 100\n\
                        \x20  2    7 gwei  datanet:0x01\n\
                        127 gwei in 2 batches\n\
                        3 gwei for rows that are not known\n";
        assert_eq!(table(&leaders), expected);
    }
}
