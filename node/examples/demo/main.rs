//! The whole system at its smallest: contributors' rows become models, paid calls to them become
//! records, and settled batches pay everyone whose rows the answers came from.
//!
//! Run it with `make demo`. Its last line is one JSON object; it fails if any check in it fails.

mod accounts;
mod calls;
mod chain;
mod check;
mod claims;
mod data;
mod models;
mod process;
mod report;
mod run;
mod setup;
mod story;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use alloy::primitives::{B256, U256};
use eyre::{Result, ensure};
use inference::tokenizer::Tokenizer;
use node::{chain::Deployment, datanet::Datanet};
use serde_json::json;

use crate::{
    accounts::Cast,
    calls::Wallet,
    chain::{Chain, State},
    models::Perplexity,
    process::Settings,
    run::{Job, Outcome, run},
    setup::{Clock, OPEN},
    story::{Story, bar, open},
};

/// Seed of the reference string's known secret; only a dev chain takes such a string.
pub(crate) const SRS_SEED: &str = "openledger dev";
const BASE: &str = "models/openledger-tiny";
const CLOCK: Clock = Clock { epoch: 8, dispute_window: 4 };
/// How far a signed time may be from the chain's: a batch is sealed this long after its epoch.
const MAX_SKEW: u64 = 40;

/// Everything that stands before the first call.
struct World {
    chain: Chain,
    deployment_file: PathBuf,
    deployment: Deployment,
    datanets: Vec<(PathBuf, Datanet)>,
    models: Vec<(PathBuf, B256)>,
    wallets: Vec<Wallet>,
    perplexity: Perplexity,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cache = cache_folder();
    let work = tempfile::tempdir_in(&cache)?;
    let mut story = Story::begin();
    let cast = Cast::assemble();
    write_keys(&cast, work.path())?;

    let world = prepare(&mut story, &cast, &cache, work.path()).await?;
    let state = world.chain.state(work.path()).await?;
    let start = next_epoch(world.chain.time().await? + 2);
    let outcome = serve(&mut story, &world, &world.chain, work.path(), &cache, start, true).await?;
    let twin = twin(&mut story, &world, &state, work.path(), &cache, start).await?;
    let differences = outcome.differences(&twin);
    for (killed, undisturbed) in &differences {
        story.say(format!("with kills    {killed}"));
        story.say(format!("without kills {undisturbed}"));
    }
    let survived = differences.is_empty();
    if survived {
        story.say("same records, batches and earnings, to the wei");
    }
    drop(twin);
    finish(&mut story, &cast, &world, &outcome, survived).await
}

async fn prepare(story: &mut Story, cast: &Cast, cache: &Path, work: &Path) -> Result<World> {
    story.chapter("A chain: OP Stack genesis, blocks every 2 s, the contracts");
    let chain = Chain::start(&cache.join("genesis-l2.json"), work).await?;
    story.say(format!("L1Block.version() answers {}", chain.op_stack_version().await?));
    chain.fund(cast, U256::from(100 * OPEN)).await?;
    let (deployment_file, deployment) =
        setup::deploy(&chain, cast, CLOCK, &tau_g2()?, work).await?;
    story.say(format!("Settlement at {}", deployment.settlement));

    story.chapter("Two Datanets, from the sources that the set-up installed");
    let base = Path::new(BASE);
    let tokenizer = Tokenizer::load(base)?;
    let count = |text: &str| tokenizer.encode(text).map_or(usize::MAX, |tokens| tokens.len());
    let mut datanets = data::build(cast, work, &count)?;
    let earners = setup::register_contributors(&chain, &deployment, cast).await?;
    let mut versions = Vec::new();
    for ((dir, datanet), owner) in datanets.iter_mut().zip(&cast.builders) {
        let version = setup::publish(&chain, &deployment, owner, dir).await?;
        *datanet = Datanet::load(dir)?;
        story.say(format!(
            "{}: {} rows, root {:.10}…, version {}",
            datanet.manifest.name,
            datanet.rows.len(),
            datanet.manifest.rows_root.to_string(),
            version.version
        ));
        versions.push(version);
    }
    story.say(format!("{earners} contributors; one only shuffles words, one only copies rows"));

    story.chapter("The base model, against a unigram and an untrained model");
    let perplexity = tokio::task::block_in_place(|| models::perplexity(base))?;
    story.say(format!(
        "perplexity on held-out Solidity: {:.1}; unigram {:.1}; untrained {:.1}",
        perplexity.trained, perplexity.unigram, perplexity.untrained
    ));
    ensure!(
        perplexity.trained < perplexity.unigram / 2.0,
        "the base model is no better than chance"
    );

    story.chapter("One adapter per Datanet, its influence index, its registration");
    let registrar = setup::registrar(&chain, &deployment, &cast.builders[0]).await?;
    let base_id = registrar.base(base, &models::price("openledger-tiny")).await?.id;
    let mut registered = Vec::new();
    for (number, (_, datanet)) in datanets.iter().enumerate() {
        let dir = models::directory(work, datanet);
        let report = tokio::task::block_in_place(|| models::fine_tune(base, datanet, &dir))?;
        story.say(format!(
            "{}: held-out loss {:.3} to {:.3} in {:.0} s, {} parameters",
            datanet.manifest.name,
            report.loss_before.unwrap_or_default(),
            report.loss_after.unwrap_or_default(),
            report.seconds,
            report.parameters
        ));
        let id = models::index_and_register(
            story,
            &chain,
            &deployment,
            &cast.builders[number],
            (base, base_id),
            (datanet, versions[number]),
            &dir,
        )
        .await?;
        registered.push((dir, id));
    }
    setup::register_operator(&chain, &deployment, cast).await?;
    let wallets = setup::open_channels(&chain, &deployment, cast).await?;
    Ok(World {
        chain,
        deployment_file,
        deployment,
        datanets,
        models: registered,
        wallets,
        perplexity,
    })
}

/// One run of the paid part on `chain`.
async fn serve(
    story: &mut Story,
    world: &World,
    chain: &Chain,
    work: &Path,
    cache: &Path,
    start: u64,
    kills: bool,
) -> Result<Outcome> {
    story.chapter(if kills {
        "Paid calls over HTTP; the node is killed twice"
    } else {
        "The same calls again, on a copy of the chain, without kills"
    });
    let base = Path::new(BASE);
    let ids: Vec<B256> = world.models.iter().map(|(_, id)| *id).collect();
    let dirs: Vec<PathBuf> = world.models.iter().map(|(dir, _)| dir.clone()).collect();
    let datanets: Vec<PathBuf> = world.datanets.iter().map(|(dir, _)| dir.clone()).collect();
    let prompts = world
        .datanets
        .iter()
        .map(|(_, datanet)| models::prompts(base, datanet, 24))
        .collect::<Result<Vec<_>>>()?;
    let planned = calls::plan(&ids, &prompts, world.wallets.len());
    let dir = work.join(if kills { "node" } else { "twin" });
    let settings = Settings {
        rpc_url: &chain.url,
        deployment: &world.deployment_file,
        models: &dirs,
        datanets: &datanets,
        base,
        keys: work,
        srs_cache: cache,
        max_skew_seconds: MAX_SKEW,
    };
    let job = Job {
        dir: &dir,
        settings,
        wallets: &world.wallets,
        planned: &planned,
        start,
        clock: CLOCK,
        kills,
    };
    let outcome = run(&job, story).await?;
    let fees: u64 = outcome.replies.iter().map(|reply| reply.statement.receipt.fee.0).sum();
    let (sequences, adapters) = outcome.mixed;
    ensure!(adapters >= 2, "the engine never mixed two adapters in one step");
    story
        .say(format!("up to {sequences} calls to {adapters} adapters shared a step of the engine"));
    story.say(format!(
        "{} calls answered, {} OPEN of fees, {} batches final; repeated vouchers cost nothing",
        outcome.replies.len(),
        open(fees),
        outcome.batches.len()
    ));
    Ok(outcome)
}

/// The undisturbed run that the killed one must equal.
async fn twin(
    story: &mut Story,
    world: &World,
    state: &State,
    work: &Path,
    cache: &Path,
    start: u64,
) -> Result<Outcome> {
    let chain = Chain::resume(state, work).await?;
    serve(story, world, &chain, work, cache, start, false).await
}

async fn finish(
    story: &mut Story,
    cast: &Cast,
    world: &World,
    outcome: &Outcome,
    survived: bool,
) -> Result<()> {
    story.chapter("Claims: every earner opens the committed earnings");
    let before = check::Balances::read(world, cast).await?;
    let bar = bar(outcome.earnings.len() as u64, "claims");
    let claims = claims::claim_everything(
        &world.chain,
        &world.deployment,
        &outcome.node.client,
        &cast.deployer,
        &outcome.earnings,
        &bar,
    )
    .await?;
    bar.finish_and_clear();
    story.say(format!("{} earners paid", claims.made));

    story.chapter("Who earned what");
    let rows: Vec<_> = world.datanets.iter().map(|(_, datanet)| &datanet.rows[..]).collect();
    let lines = report::contributors(cast, &rows, &outcome.replies, &outcome.earnings);
    println!("{}", report::draw_contributors(&lines));
    let fees: u64 = outcome.replies.iter().map(|reply| reply.statement.receipt.fee.0).sum();
    println!("{}", report::draw_roles(&outcome.earnings, fees));
    let books = check::books(world, cast, outcome, &before).await?;
    println!("{}", books.draw());
    let gas = gas(outcome, &claims);
    println!("{}", report::draw_gas(&gas));
    let honest = check::median_per_row(&lines);
    let shuffler = check::line(&lines, cast.shuffler.name);
    let copier = check::line(&lines, cast.copier.name);
    story.say(format!(
        "per row: shuffler {} OPEN, honest median {} OPEN; copier earned {} OPEN",
        open(shuffler.per_row()),
        open(honest),
        open(copier.earned)
    ));
    let dust = check::dust(outcome);
    let conserved = books.conserved() && books.drawn == check::wei(fees);
    let json = json!({
        "calls": outcome.replies.len(),
        "fees_wei": check::wei(fees).to_string(),
        "paid_wei": books.paid.to_string(),
        "unclaimed_wei": books.unclaimed.to_string(),
        "treasury_wei": books.treasury.to_string(),
        "dust_wei": check::wei(dust).to_string(),
        "earners": outcome.earnings.len(),
        "batches": outcome.batches.len(),
        "claims": claims.made,
        "conserved": conserved,
        "restart_survived": survived,
        "perplexity": {
            "trained": world.perplexity.trained,
            "unigram": world.perplexity.unigram,
            "untrained": world.perplexity.untrained,
        },
        "gas": gas,
        "seconds": story.elapsed().as_secs(),
    });
    println!("\n{json}");
    ensure!(conserved, "money in is not money out");
    ensure!(survived, "the run with kills differs from the run without");
    ensure!(copier.earned == 0, "the copier earned {} gwei", copier.earned);
    Ok(())
}

fn gas(outcome: &Outcome, claims: &claims::Claims) -> BTreeMap<&'static str, u64> {
    let first = |stage: &str| {
        outcome.batches.iter().filter_map(|b| b[stage]["gas"].as_u64()).max().unwrap_or_default()
    };
    BTreeMap::from([
        ("post a batch", first("posted")),
        ("finalise a batch", first("final")),
        ("claim one", claims.one),
        ("claim ten", claims.ten),
    ])
}

/// `tau G2` as the deploy script takes it.
fn tau_g2() -> Result<String> {
    let g2 = prover::Srs::dev(161_201, SRS_SEED.as_bytes(), 2)?.tau_g2_evm();
    let words = [g2.x1, g2.x0, g2.y1, g2.y0];
    Ok(words.map(|word| format!("0x{}", hex::encode(word))).join(","))
}

fn write_keys(cast: &Cast, work: &Path) -> Result<()> {
    for (file, account) in [("operator.key", &cast.operator), ("attestor.key", &cast.attestor)] {
        fs::write(work.join(file), setup::key_hex(account))?;
    }
    Ok(())
}

fn next_epoch(time: u64) -> u64 {
    time.next_multiple_of(CLOCK.epoch)
}

fn cache_folder() -> PathBuf {
    let home =
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/openledger");
    std::env::var_os("OPENLEDGER_CACHE").map_or_else(home, PathBuf::from)
}
