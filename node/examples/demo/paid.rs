//! One run of the paid part, and the comparison of two.

use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use eyre::{Result, ensure};

use crate::{
    BASE, CLOCK, MAX_SKEW, calls,
    chain::Chain,
    models,
    process::Settings,
    run::{Job, Outcome, run},
    story::{Story, open},
    world::{Folders, World},
};

/// Prompts made from each Datanet.
const PROMPTS: usize = 24;

/// Serves the planned calls on `chain`, whose state is the world's or a copy of it.
pub(crate) async fn serve(
    story: &Story,
    world: &World,
    chain: &Chain,
    folders: Folders<'_>,
    start: u64,
    kills: bool,
) -> Result<Outcome> {
    let base = Path::new(BASE);
    let ids: Vec<B256> = world.models.iter().map(|(_, id)| *id).collect();
    let models: Vec<PathBuf> = world.models.iter().map(|(dir, _)| dir.clone()).collect();
    let datanets: Vec<PathBuf> = world.datanets.iter().map(|d| d.dir.clone()).collect();
    let prompts = world.datanets.iter().map(|d| models::prompts(base, &d.datanet, PROMPTS));
    let prompts = prompts.collect::<Result<Vec<_>>>()?;
    let dir = folders.work.join(if kills { "node" } else { "twin" });
    let settings = Settings {
        rpc_url: &chain.url,
        deployment: &world.deployment_file,
        models: &models,
        datanets: &datanets,
        base,
        keys: folders.work,
        srs_cache: folders.cache,
        max_skew_seconds: MAX_SKEW,
    };
    let wallets = &world.wallets;
    let planned = &calls::plan(&ids, &prompts, wallets.len());
    let job = Job { dir: &dir, settings, wallets, planned, start, clock: CLOCK, kills };
    let outcome = run(&job, story).await?;

    let (sequences, adapters) = outcome.mixed;
    ensure!(adapters >= 2, "the engine never mixed two adapters in one step");
    story
        .say(format!("up to {sequences} calls to {adapters} adapters shared a step of the engine"));
    story.say(format!(
        "{} calls answered, {} OPEN of fees, {} batches final; repeated vouchers cost nothing",
        outcome.replies.len(),
        open(outcome.fees()),
        outcome.batches.len()
    ));
    story.say(format!(
        "each posted with a proof of its payouts: {} rows proven in {:.1} s at most, {} gas to post",
        outcome.most(|batch| batch["rows"].as_u64()),
        outcome.most(|batch| batch["proof"]["milliseconds"].as_u64()) as f64 / 1_000.0,
        outcome.most(|batch| batch["posted"]["gas"].as_u64()),
    ));
    Ok(outcome)
}

/// Whether two runs left the same behind; says where they did not.
pub(crate) fn compare(story: &Story, killed: &Outcome, undisturbed: &Outcome) -> bool {
    let differences = killed.differences(undisturbed);
    for (with, without) in &differences {
        story.say(format!("with kills    {with}"));
        story.say(format!("without kills {without}"));
    }
    if differences.is_empty() {
        story.say("same records, batches and earnings, to the wei");
    }
    differences.is_empty()
}
