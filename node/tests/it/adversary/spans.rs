//! Credits for spans and citations: what operators may write of them, each a fault, and an honest one.

use std::path::PathBuf;

use alloy::primitives::{B256, U256};
use attribution::{
    estimate::RowSource,
    settle::{
        Carries, Citation, EarnerIndex, Ground, Mix, ModelId, SpanUse, Use, Uses, audit::Rule,
    },
    spans::{Check, Cuts, SpanBuilder, SpanConfig, SpanIndex, SpanRules, proof::ShardCommitment},
};
use node::{
    catalog::{ModelManifest, SPANS_FOLDER},
    chain::bindings::{IModelMixes, ISpanIndexes},
    challenger::{Corpora, SpanFiles},
    datanet::{Contribution, Datanet, assemble},
    factory::span_commitment,
};

use super::{
    Case, aftermath,
    belief::{Belief, Operator, Served},
    index::FIRST,
    registries::{BARE, DEFAULT_INFLUENCE, MIXED, MIXED_SHARE, Registries, calls},
    watch::Watch,
};
use crate::{anvil::signer, world::key};

/// Basis points of the contributors' share for spans.
const SPANS_BPS: u16 = 4_000;
const CITATIONS_BPS: u16 = 2_000;
/// The answer of every call of the mixed model.
const ANSWER: [u32; 18] = [3, 4, 5, 6, 7, 8, 9, 10, 90, 45, 46, 47, 48, 49, 50, 51, 52, 91];
const ANSWERED: u32 = ANSWER.len() as u32;
/// Rows with their contributors and clusters: the third is a copy of the first, of which the second
/// holds a part; so does the fifth of the fourth.
const ROWS: [(std::ops::RangeInclusive<u32>, [u32; 2], u32, u32); 5] = [
    (1..=12, [70, 71], FIRST, 0),
    (3..=10, [20, 21], FIRST + 1, 1),
    (1..=12, [70, 71], FIRST + 2, 0),
    (40..=60, [72, 73], FIRST + 4, 3),
    (45..=52, [30, 31], FIRST + 5, 4),
];

/// A model directory with the span index of the mixed model.
pub(super) struct Indexed {
    folder: tempfile::TempDir,
    index: SpanIndex,
    pub(super) commitment: ShardCommitment,
}

impl Indexed {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SPANS_FOLDER);
        let config = SpanConfig { vocabulary: 100, shard_positions: 1 << 10 };
        let mut builder = SpanBuilder::create(&path, config).unwrap();
        for (index, (middle, [first, last], earner, cluster)) in (0..).zip(ROWS) {
            let text: Vec<u32> = [first].into_iter().chain(middle).chain([last]).collect();
            let hash = [u8::try_from(cluster).unwrap(); 32];
            let earner = EarnerIndex(earner);
            let source = RowSource { datanet: 0, index, hash, earner, cluster };
            builder.push(source, &text).unwrap();
        }
        builder.finish(&mut |_| {}).unwrap();
        let index = SpanIndex::open(&path, Check::Everything).unwrap();
        let commitment = index.commit(0).unwrap().commitment();
        Self { folder, index, commitment }
    }

    /// Names the model whose index this is.
    pub(super) fn save(&self, model: ModelId) {
        let manifest = ModelManifest {
            name: "mixed".into(),
            model_id: model.0.into(),
            base_id: B256::ZERO,
            adapter_hash: B256::ZERO,
            index_root: B256::ZERO,
            index_hash: B256::ZERO,
            datanets: vec![],
            span_hash: Some(self.commitment.hash().into()),
        };
        manifest.save(self.folder.path()).unwrap();
    }

    /// Writes the Datanet down as the chain has it.
    pub(super) fn save_rows(&self, id: B256) {
        let mut rows = datanet();
        (rows.manifest.id, rows.manifest.version) = (id, 1);
        rows.save(&self.rows()).unwrap();
    }

    pub(super) fn rows(&self) -> PathBuf {
        self.folder.path().join("datanet")
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().into()
    }

    /// What the answer's spans are paid for.
    pub(super) fn uses(&self) -> Uses {
        let rules = SpanRules { keep_bps: 10_000, ..SpanRules::default() };
        let spans = self.index.spans(&ANSWER, &rules, &Cuts::none()).unwrap();
        let uses = self.index.uses(&ANSWER, &spans);
        Uses { mix: mix(), spans: uses, citations: vec![cited(1, FIRST + 1), cited(3, FIRST + 3)] }
    }
}

/// A citation of a row of the Datanet, whose number `k` is of contributor `FIRST + k`.
fn cited(row: u64, earner: u32) -> Use {
    let citation = Citation { datanet: 0, row, relevance: 500, uses: 2 };
    let ground = Ground::Citation(citation);
    Use { earner: EarnerIndex(earner), score: citation.score(), ground }
}

/// The rows of the models' Datanet; the last is a copy of the first.
pub(super) fn datanet() -> Datanet {
    let contribution = |k: u32| Contribution {
        contributor: key(u64::from(FIRST + k)).address(),
        text: format!("row {k}"),
        source: String::new(),
    };
    Datanet::new("rows", "MIT", assemble((0..6).map(contribution).collect(), &[0, 1, 2, 3, 4, 0]))
}

/// The mix of both models that pay for spans.
pub(super) fn mix() -> Mix {
    Mix::new(SPANS_BPS, CITATIONS_BPS).unwrap()
}

impl Registries {
    /// Gives a model its mix.
    pub(super) async fn set_mix(&self, number: u8) {
        let mix = IModelMixes::Mix { spansBps: SPANS_BPS, citationsBps: CITATIONS_BPS };
        let call = IModelMixes::setMixCall { model: self.models[&number].0.into(), mix };
        let to = self.contracts.deployment.model_mixes;
        self.client(&self.owner).send(to, &call, U256::ZERO).await.unwrap();
    }

    /// Publishes the mixed model's span index.
    pub(super) async fn publish_spans(&self) {
        let (to, client) = (self.contracts.deployment.span_indexes, self.client(&self.owner));
        let bond = client.call(to, &ISpanIndexes::bondCall {}).await.unwrap();
        let commitment = span_commitment(&self.indexed.commitment);
        let call = ISpanIndexes::publishCall { model: self.models[&MIXED].0.into(), commitment };
        client.send(to, &call, bond).await.unwrap();
    }
}

/// Calls of all models, and one that pays for spans.
fn served() -> Vec<Served> {
    let mixed = Served { channel: 1, model: MIXED, second: 60, tokens: (9, ANSWERED), sketch: 2 };
    calls().into_iter().chain([mixed]).collect()
}

/// Changes the spans of an answer's uses.
fn change(belief: &mut Belief, change: impl Fn(&mut Use, &mut SpanUse)) {
    for of in &mut belief.uses.get_mut(&MIXED).unwrap().spans {
        let Ground::Span(mut span) = of.ground else { panic!("a citation") };
        change(of, &mut span);
        of.ground = Ground::Span(span);
    }
}

fn keep(belief: &mut Belief, holds: impl Fn(&SpanUse) -> bool) {
    let uses = &mut belief.uses.get_mut(&MIXED).unwrap().spans;
    uses.retain(|of| matches!(of.ground, Ground::Span(span) if holds(&span)));
}

/// Changes the first citation of an answer.
fn recite(belief: &mut Belief, of: Use) {
    belief.uses.get_mut(&MIXED).unwrap().citations[0] = of;
}

/// A fault of an operator that believes something of spans, or serves something else.
type Plant = (&'static str, Rule, fn(&mut Belief, &mut Vec<Served>));

/// The span at the answer's start is held thrice by two clusters, the other twice by two.
const PLANTS: [Plant; 13] = [
    ("spans without an index", Rule::Span, |belief, served| {
        let uses = belief.uses[&MIXED].clone();
        belief.uses.insert(BARE, uses);
        served.last_mut().unwrap().model = BARE;
    }),
    ("ranks beyond the index", Rule::Span, |belief, _| {
        change(belief, |_, span| span.low += 1_000);
    }),
    ("ranks of another text", Rule::Span, |belief, _| {
        change(belief, |_, span| span.low -= u64::from(span.start == 0));
    }),
    ("an occurrence too few", Rule::Span, |belief, _| {
        keep(belief, |span| span.start == 9 && span.holder == 0);
        let tokens = tokens();
        change(belief, |of, span| {
            (span.count, span.holders) = (1, 1);
            of.score = span.score(tokens);
        });
    }),
    ("the holder of another row", Rule::Span, |belief, _| {
        change(belief, |of, span| {
            if span.start == 0 && span.holder == 0 {
                of.earner = EarnerIndex(FIRST + 4);
            }
        });
    }),
    ("a cluster credited twice", Rule::Span, |belief, _| {
        change(belief, |of, span| {
            if span.start == 0 && span.holder == 1 {
                (span.occurrence, of.earner) = (1, EarnerIndex(FIRST));
            }
        });
    }),
    ("a holder left out", Rule::Span, |belief, _| {
        keep(belief, |span| span.start == 0 && span.holder == 0);
        let tokens = tokens();
        change(belief, |of, span| {
            span.holders = 1;
            of.score = span.score(tokens);
        });
    }),
    ("another score", Rule::Span, |belief, _| {
        change(belief, |of, span| of.score += u64::from(span.start == 0));
    }),
    ("a span behind the answer", Rule::Span, |_, served| {
        served.last_mut().unwrap().tokens.1 = ANSWERED - 2;
    }),
    ("a row that is not there", Rule::Citation, |belief, _| recite(belief, cited(6, FIRST + 1))),
    ("a copy that is cited", Rule::Citation, |belief, _| recite(belief, cited(5, FIRST + 5))),
    ("a citation of somebody else's row", Rule::Citation, |belief, _| {
        recite(belief, cited(1, FIRST + 2));
    }),
    ("a report that withholds what spans and citations pay", Rule::Factor, |belief, _| {
        let shares = belief.factors.shares.values_mut();
        shares.filter(|share| **share == MIXED_SHARE).for_each(|share| *share = DEFAULT_INFLUENCE);
    }),
];

fn tokens() -> u64 {
    ROWS.iter().map(|(middle, ends, ..)| middle.clone().count() + ends.len()).sum::<usize>() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_of_a_span_is_struck_and_honest_credits_are_paid() {
    let blobs = tempfile::tempdir().unwrap();
    let on = Registries::open(blobs.path()).await;
    let truth = on.indexed.uses();
    let held: Vec<u32> = truth.spans.iter().map(|of| of.earner.0).collect();
    assert_eq!(held, [FIRST + 5, FIRST + 4, FIRST, FIRST + 1], "the rarer span first");

    let payers = [2, 3].map(signer);
    let mut cases = Vec::new();
    for (number, (name, rule, plant)) in PLANTS.into_iter().enumerate() {
        let operator = Operator::enter(&on, number, &payers).await;
        let (mut belief, mut served) = (on.truth(operator.stakers), served());
        plant(&mut belief, &mut served);
        let batch = operator.batch(&on, &belief, &served, None, &Carries::new());
        let false_at = Some((0, rule));
        cases.push(Case::post(&on, operator, name, vec![batch], false_at).await);
    }
    let operator = Operator::enter(&on, 100, &payers).await;
    let belief = on.truth(operator.stakers);
    let honest = operator.batch(&on, &belief, &served(), None, &Carries::new());
    cases.push(Case::post(&on, operator, "honest", vec![honest], None).await);

    let watch = Watch::start(&on).await;
    // Who has no index proves what shows without one, and takes the rest to be right.
    watch.caught_up().await;
    let files = SpanFiles {
        models: vec![on.indexed.dir()],
        datanets: vec![on.indexed.rows()],
        ..SpanFiles::default()
    };
    let corpora = Corpora::new(watch.registry.clone(), files);
    let challenger = watch.challenger(std::sync::Arc::clone(&watch.store)).with_spans(corpora);
    while challenger.step().await.unwrap() {
        watch.caught_up().await;
    }
    let strikes = watch.strikes().await;
    aftermath::faults_are_struck(&watch, &cases, &strikes).await;
    aftermath::table(&cases, &strikes);
    aftermath::payers_are_refunded(&watch, &cases).await;
    aftermath::honest_batches_pay(&watch, &cases).await;
    watch.end().await;
}
