//! Nodes and edges, as the API gives them.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Result,
    api::answer::Decimal,
    registry::{EarnerIndex, Registry, Role},
};

/// Who earned from something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphAnswer {
    /// `graph`
    pub object: String,
    /// Id of the node that was asked about.
    pub subject: String,
    /// Everything that edges join.
    pub nodes: Vec<Node>,
    /// Edges by ids of nodes; what several batches pay for one reason is one edge.
    pub edges: Vec<Edge>,
    /// What each earner got, the most first.
    pub earned: Vec<Earned>,
    /// Their sum, gwei.
    #[schema(value_type = String)]
    pub total: Decimal<i128>,
    /// Of a Datanet version: gwei paid to contributors of its models that no row is known for.
    #[schema(value_type = String)]
    pub unplaced: Decimal<i128>,
    /// The batches that were read.
    pub batches: Vec<GraphBatch>,
    /// Batches that could not be.
    pub left_out: Vec<LeftOut>,
    /// What `after` is in the next request; none after the last batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Something that earns, or that is earned from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its kind and what names it, such as `row:0x...` or `earner:7`.
    pub id: String,
    /// `call`, `model`, `adapter`, `datanet`, `row` or `account`.
    pub kind: String,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub name: String,
    /// Of an account: its address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub account: Option<Address>,
    /// Of a model: its calls in the batches that were read.
    #[serde(skip_serializing_if = "is_nothing", default)]
    pub calls: u64,
    /// Of an account: its role, `treasury`, `contributor`, `model_owner` or `stakers`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
}

/// What joins two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edge {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// What it means: `treasury`, `owner`, `stakers`, `influence`, `span`, `citation`, `flat` and `rest`
    /// are paid; `answered by`, `trained on`, `part of`, `contributed by`, `taught`, `taught by`,
    /// `quotes` and `cites` are not.
    pub why: String,
    /// Signed gwei, of what is paid.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub gwei: Option<Decimal<i128>>,
    /// The score, of what a call owes to a row; of several spans that it quotes, their sum.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub score: Option<Decimal<i64>>,
}

/// What an earner got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Earned {
    /// Its index.
    pub earner: u32,
    /// Its account.
    #[schema(value_type = String)]
    pub account: Address,
    /// Its role.
    pub role: String,
    /// Signed gwei: credits of a call can be negative.
    #[schema(value_type = String)]
    pub gwei: Decimal<i128>,
}

/// A batch that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GraphBatch {
    /// Its id.
    #[schema(value_type = String)]
    pub id: B256,
    /// Its operator.
    #[schema(value_type = String)]
    pub operator: Address,
    /// Its epoch.
    #[schema(value_type = String)]
    pub epoch: Decimal<u64>,
    /// `sealed`, `posted` or `final`.
    pub status: String,
}

/// A batch that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// Its id.
    #[schema(value_type = String)]
    pub id: B256,
    /// Why.
    pub reason: String,
}

const fn is_nothing(calls: &u64) -> bool {
    *calls == 0
}

/// A role's name.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Treasury => "treasury",
        Role::Contributor => "contributor",
        Role::ModelOwner => "model_owner",
        Role::Stakers => "stakers",
    }
}

/// Collects edges; those that say the same are added up.
#[derive(Debug, Default)]
pub(super) struct Draft {
    nodes: BTreeMap<String, Node>,
    paid: BTreeMap<(String, String, &'static str), i128>,
    joined: Vec<Edge>,
    earned: BTreeMap<EarnerIndex, i128>,
    pub(super) unplaced: i128,
}

impl Draft {
    /// A node by kind and what names it; returns its id.
    pub(super) fn node(&mut self, kind: &str, what: impl std::fmt::Display, name: &str) -> String {
        let id = format!("{kind}:{what}");
        let node = Node {
            id: id.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Node::default()
        };
        self.nodes.entry(id.clone()).or_insert(node);
        id
    }

    /// An earner's node.
    pub(super) fn earner(&mut self, registry: &Registry, earner: EarnerIndex) -> Result<String> {
        let id = format!("earner:{earner}");
        if !self.nodes.contains_key(&id) {
            let view = registry.earner(earner)?;
            let node = Node {
                id: id.clone(),
                kind: "account".into(),
                name: String::new(),
                account: view.map(|view| view.account),
                role: view.map(|view| role_name(view.role).to_owned()),
                calls: 0,
            };
            self.nodes.insert(id.clone(), node);
        }
        Ok(id)
    }

    /// Counts calls of a model's node.
    pub(super) fn called(&mut self, id: &str, calls: u64) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.calls += calls;
        }
    }

    /// An edge that is no payment.
    pub(super) fn join(&mut self, from: &str, to: &str, why: &str, score: Option<i64>) {
        let (from, to, why) = (from.to_owned(), to.to_owned(), why.to_owned());
        self.joined.push(Edge { from, to, why, gwei: None, score: score.map(Decimal) });
    }

    /// Whether a node is joined to another without payment.
    pub(super) fn has_edge(&self, from: &str, to: &str) -> bool {
        self.joined.iter().any(|edge| edge.from == from && edge.to == to)
    }

    /// Whether a node is joined to any other without payment.
    pub(super) fn has_edges_from(&self, node: &str) -> bool {
        self.joined.iter().any(|edge| edge.from == node)
    }

    /// Pays an earner.
    pub(super) fn pay(
        &mut self,
        registry: &Registry,
        from: &str,
        earner: EarnerIndex,
        why: &'static str,
        gwei: i128,
    ) -> Result<()> {
        if gwei == 0 {
            return Ok(());
        }
        let to = self.earner(registry, earner)?;
        self.flow(from, &to, why, gwei);
        *self.earned.entry(earner).or_default() += gwei;
        Ok(())
    }

    /// Gwei between nodes of which the second is nobody's account.
    pub(super) fn flow(&mut self, from: &str, to: &str, why: &'static str, gwei: i128) {
        *self.paid.entry((from.to_owned(), to.to_owned(), why)).or_default() += gwei;
    }

    /// What was collected.
    pub(super) fn answer(self, registry: &Registry, subject: String) -> Result<GraphAnswer> {
        let total = self.earned.values().sum();
        let mut earned = Vec::new();
        for (earner, gwei) in self.earned {
            let view = registry.earner(earner)?;
            earned.push(Earned {
                earner: earner.0,
                account: view.map(|view| view.account).unwrap_or_default(),
                role: view.map_or("", |view| role_name(view.role)).to_owned(),
                gwei: Decimal(gwei),
            });
        }
        earned.sort_by_key(|one| (std::cmp::Reverse(one.gwei), one.earner));
        let paid = self.paid.into_iter().map(|((from, to, why), gwei)| Edge {
            from,
            to,
            why: why.to_owned(),
            gwei: Some(Decimal(gwei)),
            score: None,
        });
        let edges = self.joined.into_iter().chain(paid).collect();
        Ok(GraphAnswer {
            object: "graph".into(),
            subject,
            nodes: self.nodes.into_values().collect(),
            edges,
            earned,
            total: Decimal(total),
            unplaced: Decimal(self.unplaced),
            ..GraphAnswer::default()
        })
    }
}

impl GraphAnswer {
    /// This page and another of the same subject, added up.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for node in other.nodes {
            match self.nodes.iter_mut().find(|known| known.id == node.id) {
                Some(known) => known.calls += node.calls,
                None => self.nodes.push(node),
            }
        }
        for edge in other.edges {
            let is_same = |known: &&mut Edge| {
                (&known.from, &known.to, &known.why) == (&edge.from, &edge.to, &edge.why)
            };
            match (self.edges.iter_mut().find(is_same), edge.gwei) {
                (Some(known), Some(gwei)) => {
                    known.gwei = Some(Decimal(known.gwei.map_or(0, |known| known.0) + gwei.0));
                }
                (Some(_), None) => {}
                (None, _) => self.edges.push(edge),
            }
        }
        for earned in other.earned {
            match self.earned.iter_mut().find(|known| known.earner == earned.earner) {
                Some(known) => known.gwei.0 += earned.gwei.0,
                None => self.earned.push(earned),
            }
        }
        self.earned.sort_by_key(|one| (std::cmp::Reverse(one.gwei), one.earner));
        self.total.0 += other.total.0;
        self.unplaced.0 += other.unplaced.0;
        self.batches.extend(other.batches);
        self.left_out.extend(other.left_out);
        self.next = other.next;
        self
    }
}
