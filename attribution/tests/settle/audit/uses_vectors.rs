//! `test/vectors/uses.json`: a ledger of a mix, what its rows may become, and proofs of what is wrong
//! with its credits for spans, for the contracts.

use std::{fs, path::PathBuf};

use attribution::{
    settle::{
        Account, Ground, Info, Row, SpanUse, Use, Uses,
        audit::{Evidence, Rule},
    },
    spans::proof::{CommittedShard, LeafOpening, RowOpening, SuffixOpening},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    uses::{corpus, honest_uses, mixed, span_of, spans},
    world::{EPOCH_SECONDS, Posted, Served, World, calls, post},
};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../test/vectors/uses.json")
}

fn hex_of(bytes: impl AsRef<[u8]>) -> Value {
    format!("0x{}", hex::encode(bytes)).into()
}

fn cells_json(row: &Row) -> Value {
    row.to_cells().iter().map(|cell| hex_of([&[0][..], cell].concat())).collect()
}

fn leaf_json(opening: &LeafOpening) -> Value {
    let siblings: Vec<Value> = opening.siblings.iter().map(hex_of).collect();
    json!({ "leaf": hex_of(&opening.leaf), "siblings": siblings })
}

fn suffix_json(opening: &SuffixOpening) -> Value {
    let text: Vec<Value> = opening.text.iter().map(leaf_json).collect();
    json!({ "pointer": leaf_json(&opening.pointer), "text": text })
}

fn row_json(opening: &RowOpening) -> Value {
    let next: Vec<Value> = opening.next.iter().map(leaf_json).collect();
    json!({ "row": opening.row, "entry": leaf_json(&opening.entry), "next": next })
}

/// Changed rows, with what the audit says of each alone and beside its neighbours.
fn changes(posted: &Posted, world: &World) -> Vec<Value> {
    let mut rng = StdRng::seed_from_u64(11);
    let mut changes = Vec::new();
    while changes.len() < 400 {
        let mut at = rng.random_range(1..posted.rows.len());
        if rng.random_bool(0.7) && posted.rows[at].info.kind() < 10 {
            at = *spans(posted).get(rng.random_range(0..spans(posted).len())).unwrap();
            at += rng.random_range(0..4);
        }
        let mut cells = posted.rows[at].to_cells();
        if rng.random_bool(0.2) {
            // Another row in its place.
            cells = posted.rows[rng.random_range(1..posted.rows.len())].to_cells();
        } else {
            let cell = [2, 3, 4, 4, 4, 5, 5][rng.random_range(0..7)];
            // Bytes that are not zero, and those beside them.
            let used = (0..31).filter(|&byte| cells[cell][byte] != 0).count();
            let byte = if used > 0 && rng.random_bool(0.8) {
                (0..31)
                    .filter(|&byte| cells[cell][byte] != 0)
                    .nth(rng.random_range(0..used))
                    .unwrap()
            } else {
                rng.random_range(0..31)
            };
            cells[cell][byte] ^= 1 << rng.random_range(0..8);
        }
        let Ok(row) = Row::from_cells(&cells) else { continue };
        if row == posted.rows[at] {
            continue;
        }
        let mut changed = posted.clone();
        changed.rows[at] = row;
        let faults = changed.faults(world);
        let broken = |rule: Rule, rows: &[usize]| {
            faults.iter().any(|fault| fault.rule == rule && fault.rows == rows)
        };
        changes.push(json!({
            "at": at,
            "cells": cells_json(&changed.rows[at]),
            "sound": !broken(Rule::Row, &[at]),
            "before": !broken(Rule::Neighbours, &[at - 1, at]),
            "next": !broken(Rule::Neighbours, &[at, at + 1]),
        }));
    }
    changes
}

/// A credit for a span with evidence about it; `strikes` if it shows a fault.
struct Case<'a> {
    name: String,
    row: &'a Row,
    span: SpanUse,
    strikes: bool,
}

impl Case<'_> {
    fn to_json(&self, proof: Value) -> Value {
        let mut case = json!({
            "name": self.name, "cells": cells_json(self.row), "strikes": self.strikes,
        });
        case.as_object_mut().unwrap().extend(proof.as_object().unwrap().clone());
        case
    }

    fn range(&self, shard: &CommittedShard<'_>, rank: u64) -> Value {
        let open = |rank| suffix_json(&shard.open_suffix(rank, self.span.length.into()));
        self.to_json(json!({ "rank": rank, "first": open(self.span.low), "other": open(rank) }))
    }

    fn occurrence(&self, shard: &CommittedShard<'_>, occurrence: u16) -> (Value, RowOpening) {
        let rank = self.span.low + u64::from(occurrence);
        let opening = shard.open_suffix(rank, 0);
        let position = shard.commitment().position(rank, &opening).unwrap();
        (suffix_json(&opening), shard.open_row_at(position))
    }

    fn holder(&self, shard: &CommittedShard<'_>) -> Value {
        let (suffix, row) = self.occurrence(shard, self.span.occurrence);
        let cluster = shard.commitment().row(row.row, &row.entry).unwrap().cluster;
        let canonical = leaf_json(&shard.open_row(cluster));
        self.to_json(json!({ "suffix": suffix, "row": row_json(&row), "canonical": canonical }))
    }

    fn all(&self, shard: &CommittedShard<'_>, occurrences: &[u16], key: &str) -> Value {
        let (suffixes, rows): (Vec<_>, Vec<_>) = occurrences
            .iter()
            .map(|&occurrence| self.occurrence(shard, occurrence))
            .map(|(suffix, row)| (suffix, row_json(&row)))
            .unzip();
        let first = occurrences.first().copied().unwrap_or_default();
        self.to_json(json!({ key: first, "suffixes": suffixes, "rows": rows }))
    }
}

#[derive(Default)]
struct Proofs {
    ranges: Vec<Value>,
    holders: Vec<Value>,
    repeats: Vec<Value>,
    counts: Vec<Value>,
    scores: Vec<Value>,
}

impl Proofs {
    /// Every proof about an honest credit, which show nothing.
    fn honest(&mut self, shard: &CommittedShard<'_>, row: &Row) {
        let span = *span_of(&mut row.clone());
        let case =
            Case { name: format!("honest, start {}", span.start), row, span, strikes: false };
        let high = span.low + u64::from(span.count);
        let tokens = shard.commitment().tokens;
        for rank in span.low.saturating_sub(1)..=high.min(tokens - 1) {
            self.ranges.push(case.range(shard, rank));
        }
        self.holders.push(case.holder(shard));
        if span.occurrence > 0 {
            self.repeats.push(case.all(shard, &[0, span.occurrence], "earlier"));
        }
        let all: Vec<_> = (0..span.count).collect();
        self.counts.push(case.all(shard, &all, "from"));
        self.scores.push(case.to_json(json!({})));
    }

    /// The proof of a fault.
    fn fault(&mut self, shard: &CommittedShard<'_>, name: &str, row: &Row, evidence: &Evidence) {
        let span = *span_of(&mut row.clone());
        let case = Case { name: name.to_owned(), row, span, strikes: true };
        match *evidence {
            Evidence::SpanRange { rank, .. } => self.ranges.push(case.range(shard, rank)),
            Evidence::SpanHolder { .. } => self.holders.push(case.holder(shard)),
            Evidence::SpanRepeat { occurrence, .. } => {
                self.repeats.push(case.all(shard, &[occurrence, span.occurrence], "earlier"));
            }
            Evidence::SpanHolders { .. } => {
                let all: Vec<_> = (0..span.count).collect();
                self.counts.push(case.all(shard, &all, "from"));
            }
            Evidence::SpanScore { .. } => self.scores.push(case.to_json(json!({}))),
            ref other => panic!("{name}: {other:?}"),
        }
    }
}

type Claim = (&'static str, fn(&mut Use));

/// What operators may claim of a span's credit, against what the index says.
const CLAIMS: [Claim; 5] = [
    ("ranks elsewhere", |of| span(of).low = 0),
    ("an occurrence less", |of| span(of).count -= 1),
    ("somebody else", |of| of.earner.0 = 12),
    ("the copy's occurrence", |of| span(of).occurrence = 2),
    ("a unit more", |of| of.score += 1),
];

fn span(of: &mut Use) -> &mut SpanUse {
    match &mut of.ground {
        Ground::Span(span) => span,
        Ground::Citation(_) => panic!("a span"),
    }
}

fn proofs() -> Proofs {
    let index = corpus();
    let shard = index.commit(0).unwrap();
    let mut proofs = Proofs::default();
    let honest = post(&mixed(), &calls(), None);
    // The first record's, of three spans.
    for &at in &spans(&honest)[..4] {
        proofs.honest(&shard, &honest.rows[at]);
    }
    for &at in &spans(&honest)[..4] {
        for (name, change) in CLAIMS {
            let row = &honest.rows[at];
            let Account::Balance(mut balance) = row.account else { panic!("a balance") };
            let Info::SpanCredit { score, place, magnitude_through, position, span } = row.info
            else {
                panic!("a span")
            };
            let mut of = Use { earner: balance.earner, score, ground: Ground::Span(span) };
            change(&mut of);
            let Ground::Span(span) = of.ground else { panic!("a span") };
            balance.earner = of.earner;
            let score = of.score;
            let info = Info::SpanCredit { score, place, magnitude_through, position, span };
            let mut posted = honest.clone();
            posted.rows[at].account = Account::Balance(balance);
            posted.rows[at].info = info;
            let faults = posted.faults(&mixed());
            let of_row =
                faults.iter().filter(|fault| fault.rule == Rule::Span && fault.rows == [at]);
            for fault in of_row {
                let name = format!("{name}, start {}", span.start);
                proofs.fault(&shard, &name, &posted.rows[at], &fault.evidence);
            }
        }
    }
    twice(&shard, &mut proofs);
    proofs
}

/// A repeat within a row as a second holder.
fn twice(shard: &CommittedShard<'_>, proofs: &mut Proofs) {
    fn uses(world: &World, served: &Served) -> Uses {
        let mut uses = honest_uses(world, served);
        let repeated =
            |of: &Use| matches!(of.ground, Ground::Span(s) if (s.count, s.holders) == (2, 1));
        if let Some(at) = uses.spans.iter().position(repeated) {
            let mut second = uses.spans[at];
            span(&mut uses.spans[at]).holders = 2;
            (span(&mut second).holders, span(&mut second).holder, span(&mut second).occurrence) =
                (2, 1, 1);
            uses.spans.push(second);
        }
        uses
    }
    let mut operator = mixed();
    operator.uses = uses;
    let posted = post(&operator, &calls(), None);
    for fault in posted.faults(&mixed()).iter().filter(|fault| fault.rule == Rule::Span).take(2) {
        proofs.fault(shard, "a row twice", &posted.rows[fault.rows[0]], &fault.evidence);
    }
}

fn file() -> Value {
    let world = mixed();
    let posted = post(&world, &calls(), None);
    let batch = posted.batch();
    let index = corpus();
    let commitment = index.commit(0).unwrap().commitment();
    let Proofs { ranges, holders, repeats, counts, scores } = proofs();
    json!({
        "rows": posted.rows.iter().map(cells_json).collect::<Vec<_>>(),
        "earners": batch.earner_count,
        "from": posted.header.epoch * EPOCH_SECONDS,
        "to": (posted.header.epoch + 1) * EPOCH_SECONDS,
        "changes": changes(&posted, &world),
        "commitment": {
            "tokens": commitment.tokens, "positions": commitment.positions, "rows": commitment.rows,
            "textRoot": hex_of(commitment.text_root), "suffixRoot": hex_of(commitment.suffix_root),
            "rowRoot": hex_of(commitment.row_root),
        },
        "ranges": ranges, "holders": holders, "repeats": repeats, "counts": counts, "scores": scores,
    })
}

#[test]
#[ignore = "writes test/vectors/uses.json"]
fn write() {
    fs::write(path(), format!("{}\n", file())).unwrap();
}

#[test]
fn the_vectors_are_what_the_audit_says() {
    let given: Value = serde_json::from_str(&fs::read_to_string(path()).unwrap()).unwrap();
    assert!(given == file(), "test/vectors/uses.json is not what the audit says");
    for name in ["ranges", "holders", "repeats", "counts", "scores"] {
        for strikes in [true, false] {
            let of = |case: &&Value| case["strikes"] == strikes;
            assert!(
                given[name].as_array().unwrap().iter().any(|case| of(&case)),
                "{name} {strikes}"
            );
        }
    }
    let all = given["changes"].as_array().unwrap();
    for name in ["sound", "before", "next"] {
        for holds in [true, false] {
            assert!(
                all.iter().filter(|change| change[name] == holds).count() > 20,
                "{name} {holds}"
            );
        }
    }
}
