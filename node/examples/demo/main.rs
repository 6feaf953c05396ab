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
mod ending;
mod models;
mod paid;
mod process;
mod report;
mod run;
mod setup;
mod story;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
};

use eyre::Result;

use crate::{
    accounts::Cast,
    chain::Chain,
    setup::Clock,
    story::Story,
    world::{Folders, World},
};

/// Seed of the reference string's known secret; only a dev chain takes such a string.
const SRS_SEED: &str = "openledger dev";
/// Enough for proofs of a page and for ledgers of 16,384 rows.
const SRS_POWERS: usize = 1 << 17;
/// Earners of a page. Proofs of larger pages take longer, by the page and not by the batch.
const PAGE_SIZE: u32 = 1 << 12;
const BASE: &str = "models/openledger-tiny";
const CLOCK: Clock = Clock { epoch: 8, dispute_window: 4 };
/// How far a signed time may be from the chain's: a batch is sealed this long after its epoch.
const MAX_SKEW: u64 = 40;

#[tokio::main]
async fn main() -> Result<()> {
    let cache = cache_folder();
    let work = tempfile::tempdir_in(&cache)?;
    let folders = Folders { cache: &cache, work: work.path() };
    let mut story = Story::begin();
    let cast = Cast::assemble();
    write_keys(&cast, work.path())?;

    let world = World::prepare(&mut story, &cast, folders).await?;
    let state = world.chain.state(work.path()).await?;
    // Both runs sign the same times, so that their vouchers are the same.
    let start = (world.chain.time().await? + 2).next_multiple_of(CLOCK.epoch);

    story.chapter("Paid calls over HTTP; the node is killed twice");
    let outcome = paid::serve(&story, &world, &world.chain, folders, start, true).await?;
    story.chapter("The same calls again, on a copy of the chain, without kills");
    let copy = Chain::resume(&state, work.path()).await?;
    let twin = paid::serve(&story, &world, &copy, folders, start, false).await?;
    let survived = paid::compare(&story, &outcome, &twin);
    drop((twin, copy));

    ending::settle_up(&mut story, &cast, &world, &outcome, survived).await
}

fn write_keys(cast: &Cast, work: &Path) -> Result<()> {
    for (file, account) in [("operator.key", &cast.operator), ("attestor.key", &cast.attestor)] {
        fs::write(work.join(file), setup::key_hex(account))?;
    }
    Ok(())
}

fn cache_folder() -> PathBuf {
    let home =
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/openledger");
    std::env::var_os("OPENLEDGER_CACHE").map_or_else(home, PathBuf::from)
}
