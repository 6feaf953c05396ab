//! Answers from rows on a chain: what they cite is recorded, settled, judged and paid.

use std::{path::PathBuf, sync::Arc};

use alloy::primitives::{Address, B256, U256, keccak256};
use attribution::settle::{Ground, Info, Use, Uses};
use node::{
    api::request::Endpoint,
    chain::bindings::{
        IModelMixes,
        ISketchVotes::{self, Choice, Stage},
    },
    metrics::RetrievalMetrics,
    recorder::{Admission, Recorded, ServedCall},
    registry::{BatchStatus, Role},
    retrieval::{DatanetRows, Librarian, Retrieval, RetrievalSettings, ablate},
    serving::{Serving, StoredAnswer},
    store::{MemoryStore, SharedStore, Table},
    votes::PurchaseState,
    voucher::SignedVoucher,
};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio_util::sync::CancellationToken;

use super::{
    ballots::{begin_epoch, challenge, post},
    peer::{Peer, funded, validator},
    world::{WINDOW, World, serve_honestly},
};
use crate::{
    anvil::{VOTE_PERIOD, signer},
    market::Operator,
};

const EPOCH: u64 = 600;
/// Seconds until a mix holds, and some.
const NOTICE: u64 = 3_700;
/// The vault's row is nearest to it (cosine 0.73), and the token's next (0.28).
const QUESTION: &str =
    "How does the vault's function deposit an amount of token assets for shares?";
/// What the form lets the model say: words of the second row of the Datanet, which it cites.
const SAID: &str = "The deposit function of the Vault takes uint256 assets and returns shares [1].";

/// The encoder that `tools/encoder.sh` lays in the cache.
pub(crate) fn encoder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/openledger");
    std::env::var_os("OPENLEDGER_CACHE").map_or_else(home, PathBuf::from).join("encoder")
}

/// A request for an answer from the two rows that fit best. The model has learned Solidity and no
/// citing: the answer's form has the mark.
fn body(model: B256) -> Vec<u8> {
    let schema = serde_json::json!({ "name": "said", "schema": { "enum": [SAID] } });
    serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": QUESTION }],
        "max_tokens": 60,
        "temperature": 0,
        "retrieval": { "limit": 2 },
        "response_format": { "type": "json_schema", "json_schema": schema },
    })
    .to_string()
    .into_bytes()
}

impl World {
    async fn set_mix(&self, citations: u16) {
        let owner = signer(0);
        let mix = IModelMixes::Mix { spansBps: 0, citationsBps: citations };
        let call = IModelMixes::setMixCall { model: self.model, mix };
        let to = self.market.contracts.deployment.model_mixes;
        self.market.client(&owner).send(to, &call, U256::ZERO).await.unwrap();
        self.market.anvil.pass(NOTICE).await;
    }

    fn datanet(&self) -> PathBuf {
        self.folder.path().join("datanet")
    }

    /// Serves from a library that a librarian has filled.
    async fn librarian(&self, node: &Operator) -> Retrieval {
        let settings = RetrievalSettings {
            encoder: encoder(),
            library: self.folder.path().join("library"),
            private: Default::default(),
            max_rows: 4,
            min_cosine_bps: 1_000,
            free_per_second: 100,
        };
        let metrics = RetrievalMetrics::register(&mut MetricsRegistry::default());
        let retrieval = Retrieval::open(settings, metrics).unwrap();
        let mut librarian = Librarian::new(
            retrieval.clone(),
            Arc::clone(&node.store),
            node.registry.clone(),
            node.client.clone(),
            vec![self.datanet()],
        );
        let stop = CancellationToken::new();
        assert_eq!(librarian.step(&stop).await.unwrap(), 1);
        assert_eq!(librarian.step(&stop).await.unwrap(), 0, "it is there");
        retrieval
    }
}

/// Account and index of the contributor of a recorded answer's only citation.
fn cited(recorded: &Recorded) -> (Address, u32) {
    let answer = StoredAnswer::from_bytes(&recorded.answer).unwrap();
    let grounding = answer.retrieval.unwrap();
    assert_eq!(grounding.sources.len(), 2, "{grounding:?}");
    let [cited] = grounding.citations[..] else { panic!("{grounding:?}") };
    assert_eq!((cited.mark, cited.uses), (1, 1));
    let source = grounding.source(1).unwrap();
    assert_eq!((source.place.row, source.link.as_str()), (1, "1.sol"));
    assert!(grounding.unsupported.is_empty(), "{grounding:?}");
    let [section] = recorded.call.record.sections() else { panic!("{recorded:?}") };
    let [credit] = section.credits[..] else { panic!("{section:?}") };
    let Ground::Citation(citation) = credit.of.ground else { panic!("{credit:?}") };
    assert_eq!((citation.datanet, citation.row, citation.uses), (0, 1, 1));
    assert_eq!(citation.relevance, source.place.relevance);
    assert_eq!(credit.credit, section.pool);
    (source.contributor, credit.of.earner.0)
}

/// The cited row's credit as it stands in the ledger.
fn ledger_credit(node: &Operator) -> i64 {
    let (_, ledger) = node.store.last(Table::Ledgers, &[]).unwrap().unwrap();
    let rows = prover::rows_from_blob(&ledger).unwrap();
    let credits = rows.iter().filter(|row| matches!(row.info, Info::CitationCredit { .. }));
    let values: Vec<i64> = credits.map(|row| row.value).collect();
    let [value] = values[..] else { panic!("{values:?}") };
    value
}

async fn vote(world: &World, validators: &[Peer]) {
    for peer in validators {
        peer.sync().await;
        assert!(peer.judge(world).step().await.unwrap());
    }
    world.market.anvil.pass(VOTE_PERIOD).await;
    for peer in validators {
        peer.sync().await;
        assert!(peer.judge(world).step().await.unwrap());
        let (vote, validator) = (U256::from(1), peer.client.sender().unwrap());
        let call = ISketchVotes::ballotOfCall { vote, validator };
        let ballot = peer.client.call(peer.votes, &call).await.unwrap();
        assert_eq!(ballot.choice, Choice::Holds);
    }
}

/// What an audit says of the answer: the model was made to say it, so only that it runs is known.
fn audit(world: &World, recorded: &Recorded, rows: &DatanetRows, serving: &Serving) {
    let answer = StoredAnswer::from_bytes(&recorded.answer).unwrap();
    let config =
        attribution::retrieval::AblationConfig { passes: 4, held_out: 3, ..Default::default() };
    let (catalog, body) = (&serving.parts().catalog, body(world.model));
    let found = ablate(catalog, rows, world.model, &body, &answer, config).unwrap();
    assert_eq!((found.surrogate.scores.len(), found.surrogate.passes), (2, 7));
    assert!(found.surrogate.scores.iter().all(|score| score.is_finite()), "{found:?}");
    assert!(found.weights[0] > 0 && found.weights[1] == 0, "{found:?}");
    let again = ablate(catalog, rows, world.model, &body, &answer, config).unwrap();
    assert_eq!(again, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cited_contributor_is_paid_and_validators_agree() {
    let world = World::open(EPOCH).await;
    let market = &world.market;
    world.set_mix(5_000).await;
    let mut validators = Vec::new();
    for number in 700..703 {
        validators.push(validator(market, number, Arc::new(MemoryStore::default())).await);
    }
    let store: SharedStore = Arc::new(MemoryStore::default());
    let node = Operator::start(market, store, &world.blobs()).await;
    let grudge = funded(market, 801, 100).await;
    let grudge = Peer::new(market, &grudge, Arc::new(MemoryStore::default())).await;
    let retrieval = world.librarian(&node).await;
    let serving = world.serving_with(&node, Some(retrieval));

    let time = begin_epoch(&world, &node).await;
    let body = body(world.model);
    let voucher = world.voucher_for(&body, 5, time, 90_000_000, 60);
    let recorded = serve_honestly(&serving, &body, voucher.clone()).await;
    let (account, earner) = cited(&recorded);
    let rows = DatanetRows::new(node.registry.clone(), &[world.datanet()]);
    audit(&world, &recorded, &rows, &serving);
    // The same call is the same record.
    let call = serving.prepare(Endpoint::Chat, &body).await.unwrap();
    let again = serving.admit(call, voucher).await.unwrap();
    let node::serving::Admitted::Again(again) = again else { panic!("{again:?}") };
    assert_eq!(again.into_recorded().unwrap(), recorded);

    let batch = post(&world, &node).await;
    let credit = recorded.call.record.sections()[0].credits[0].credit;
    assert_eq!(ledger_credit(&node).unsigned_abs(), credit);

    challenge(&grudge, batch, &node, &recorded).await;
    let operator = Peer::of(market, &node).await;
    assert!(operator.answerer().step().await.unwrap());
    vote(&world, &validators).await;
    market.anvil.pass(VOTE_PERIOD).await;
    validators[0].sync().await;
    assert!(validators[0].closer().step().await.unwrap());
    assert_eq!(world.stage(1).await, Stage::Upheld);

    // Final, the cited contributor has the credit and its part by influence, and all that was charged
    // is paid to somebody.
    market.anvil.pass(WINDOW).await;
    node.indexer.sync().await.unwrap();
    assert!(node.finaliser.step().await.unwrap());
    node.indexer.sync().await.unwrap();
    assert_eq!(node.registry.batch(batch).unwrap().unwrap().status, BatchStatus::Final);
    assert_eq!(node.registry.earner_of(account, Role::Contributor).unwrap().unwrap().0, earner);
    let earnings = node.earnings.all().await.unwrap();
    let of = |earner: u32| {
        earnings.iter().find(|one| one.earner.0 == earner).map_or(0, |one| one.cumulative)
    };
    let influence: i64 = recorded
        .call
        .record
        .credits()
        .iter()
        .filter(|c| c.earner.0 == earner)
        .map(|c| c.credit)
        .sum();
    assert!(i128::from(of(earner)) >= i128::from(credit) + i128::from(influence), "{earnings:?}");
    let total: u64 = earnings.iter().map(|one| one.cumulative).sum();
    assert_eq!(total, recorded.call.record.fee());
    // Whoever was shown and not cited has nothing by citations: at most what there is for influence, and
    // what the cited one lost by its own.
    let others: u64 = earnings
        .iter()
        .filter(|one| one.earner.0 != earner)
        .filter(|one| node.registry.earner(one.earner).unwrap().unwrap().role == Role::Contributor)
        .map(|one| one.cumulative)
        .sum();
    let most = i128::from(recorded.call.record.pool()) + i128::from(-influence.min(0));
    assert!(i128::from(others) <= most, "{others} of {most}");
}

/// A call recorded like another, with an answer that says something else of its sources, and crediting
/// the one with this number.
async fn serve_forged(
    world: &World,
    node: &Operator,
    honest: &Recorded,
    voucher: SignedVoucher,
    (answer, mark): (StoredAnswer, u32),
) -> Recorded {
    let fee = honest.call.record.fee();
    let admission = node.recorder.admit(voucher, fee).await.unwrap();
    let Admission::New(reservation) = admission else { panic!("{admission:?}") };
    let source = answer.retrieval.as_ref().unwrap().source(mark).unwrap();
    let earner = node.registry.earner_of(source.contributor, Role::Contributor).unwrap().unwrap();
    let citation = source.citation(1);
    let used = Use { earner, score: citation.score(), ground: Ground::Citation(citation) };
    let model = world.catalog.find(&world.model.to_string()).unwrap();
    let index = &model.adapter.as_ref().unwrap().index;
    let scores = index.score_contributors(&honest.call.sketch).unwrap();
    let call = honest.call.record.call();
    let served = ServedCall {
        tokens_in: call.tokens_in.into(),
        tokens_out: call.tokens_out.into(),
        output_hash: keccak256(answer.output()),
        sketch: honest.call.sketch.clone(),
        scores: index.contributors().iter().map(|c| c.earner).zip(scores).collect(),
        uses: Uses { citations: vec![used], ..Uses::default() },
        request: body(world.model),
        answer: answer.to_bytes(),
    };
    node.recorder.record(reservation, served).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_for_a_row_that_was_not_cited_or_is_less_relevant_are_challenged() {
    let world = World::open(EPOCH).await;
    let market = &world.market;
    world.set_mix(5_000).await;
    // Nobody can challenge where there is no panel.
    for number in 700..703 {
        validator(market, number, Arc::new(MemoryStore::default())).await;
    }
    let store: SharedStore = Arc::new(MemoryStore::default());
    let node = Operator::start(market, store, &world.blobs()).await;
    let auditor = funded(market, 800, 100).await;
    let auditor = Peer::new(market, &auditor, Arc::new(MemoryStore::default())).await;
    let retrieval = world.librarian(&node).await;
    let serving = world.serving_with(&node, Some(retrieval));

    let time = begin_epoch(&world, &node).await;
    let epoch = node.registry.epoch_of(time);
    let body = body(world.model);
    let voucher = world.voucher_for(&body, 5, time, 90_000_000, 60);
    let honest = serve_honestly(&serving, &body, voucher).await;
    // The answer does not depend on the seed: the likeliest token is taken.
    let answer = StoredAnswer::from_bytes(&honest.answer).unwrap();
    let voucher = world.voucher_for(&body, 6, time, 180_000_000, 60);
    let another = serve_forged(&world, &node, &honest, voucher, (answer.clone(), 2)).await;
    assert_eq!(another.call.output_hash, honest.call.output_hash);
    assert_ne!(another.call.record.sections(), honest.call.record.sections());
    let mut inflated = answer;
    inflated.retrieval.as_mut().unwrap().sources[0].place.relevance += 1;
    let voucher = world.voucher_for(&body, 7, time, 270_000_000, 60);
    let inflated = serve_forged(&world, &node, &honest, voucher, (inflated, 1)).await;
    post(&world, &node).await;

    let records = [&honest, &another, &inflated];
    let digests = records.map(|one| auditor.bought_with(&world, one, body.clone()));
    auditor.sync().await;
    assert!(auditor.auditor(&world).step().await.unwrap());
    assert_eq!(auditor.state(&world, epoch, digests[0]), PurchaseState::Right);
    for digest in &digests[1..] {
        assert_eq!(auditor.state(&world, epoch, *digest), PurchaseState::Challenged);
    }
}
