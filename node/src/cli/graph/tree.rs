//! A graph for people.

use std::collections::BTreeMap;

use node::graph::{GraphAnswer, Node};

/// The payments as a tree: the subject, what is joined to it by them, and why.
pub(super) fn tree(graph: &GraphAnswer) -> String {
    let nodes: BTreeMap<&str, &Node> =
        graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let subject = nodes.get(graph.subject.as_str()).map_or(&*graph.subject, |node| &node.id);
    let is_account = subject.starts_with("account:");
    let mut text = named(subject, &nodes) + "\n";
    for edge in graph.edges.iter().filter(|edge| edge.gwei.is_none() && edge.from == subject) {
        let score = edge.score.map_or_else(String::new, |score| format!("  score {}", score.0));
        text += &format!("├─ {} {}{score}\n", edge.why, named(&edge.to, &nodes));
    }
    let mut branches = BTreeMap::<&str, (i128, Vec<String>)>::new();
    let mut models: Vec<_> = graph.nodes.iter().filter(|node| node.calls > 0).collect();
    models.sort_by_key(|node| (std::cmp::Reverse(node.calls), node.id.as_str()));
    for model in models {
        text += &format!("├─ {} calls of {}\n", model.calls, named(&model.id, &nodes));
    }
    for edge in &graph.edges {
        let Some(gwei) = edge.gwei else { continue };
        let other = if is_account { &edge.from } else { &edge.to };
        let branch = branches.entry(other).or_default();
        branch.0 += gwei.0;
        let role = match nodes.get(edge.to.as_str()) {
            Some(Node { role: Some(role), .. }) if is_account => format!(" as {role}"),
            _ => String::new(),
        };
        branch.1.push(format!("{}{role} {}", edge.why, gwei.0));
    }
    let mut branches: Vec<_> = branches.into_iter().collect();
    branches.sort_by_key(|(id, (gwei, _))| (std::cmp::Reverse(*gwei), *id));
    for (id, (gwei, reasons)) in branches {
        text += &format!("├─ {gwei} gwei  {}\n", named(id, &nodes));
        text += &format!("│    {}\n", reasons.join(", "));
    }
    if graph.unplaced.0 != 0 {
        text += &format!("├─ {} gwei for rows that are not known\n", graph.unplaced.0);
    }
    text += &format!("└─ {} gwei in {} batches\n", graph.total.0, graph.batches.len());
    for left in &graph.left_out {
        text += &format!("   left out: batch {}: {}\n", left.id, left.reason);
    }
    text
}

fn named(id: &str, nodes: &BTreeMap<&str, &Node>) -> String {
    let Some(node) = nodes.get(id) else { return id.to_owned() };
    let name: String = node.name.chars().filter(|c| !c.is_control()).collect();
    match (node.account, &node.role) {
        (Some(account), Some(role)) => format!("{account} ({role} {})", &id["earner:".len()..]),
        _ if name.is_empty() => id.to_owned(),
        _ => format!("{id} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_adds_up_what_each_got() {
        let account = "0x00000000000000000000000000000000000000aa";
        let graph: GraphAnswer = serde_json::from_value(json!({
            "object": "graph",
            "subject": "model:0x01",
            "nodes": [
                { "id": "model:0x01", "kind": "model", "name": "solidity\u{1b}[2J" },
                { "id": "datanet:0x02/1", "kind": "datanet", "name": "rows" },
                { "id": "earner:7", "kind": "account", "account": account, "role": "contributor" },
                { "id": "earner:1", "kind": "account", "account": account, "role": "treasury" },
            ],
            "edges": [
                { "from": "model:0x01", "to": "datanet:0x02/1", "why": "trained on" },
                { "from": "model:0x01", "to": "earner:1", "why": "rest", "gwei": "12" },
                { "from": "model:0x01", "to": "earner:7", "why": "flat", "gwei": "30" },
                { "from": "model:0x01", "to": "earner:7", "why": "influence", "gwei": "58" },
            ],
            "earned": [],
            "total": "100",
            "unplaced": "0",
            "batches": [],
            "left_out": [],
        }))
        .unwrap();
        let account = graph.nodes[2].account.unwrap();
        let expected = format!(
            "model:0x01 solidity[2J\n\
             ├─ trained on datanet:0x02/1 rows\n\
             ├─ 88 gwei  {account} (contributor 7)\n\
             │    flat 30, influence 58\n\
             ├─ 12 gwei  {account} (treasury 1)\n\
             │    rest 12\n\
             └─ 100 gwei in 0 batches\n"
        );
        assert_eq!(tree(&graph), expected);
    }
}
