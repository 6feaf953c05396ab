//! Claims, tables and the checks that decide whether the demo has passed.

use std::collections::BTreeMap;

use eyre::{Result, ensure};
use serde_json::json;

use crate::{
    accounts::Cast,
    check::{self, Balances},
    claims::{Claims, claim_everything},
    report::{self, Books, Line},
    run::Outcome,
    story::{Story, bar, open},
    world::World,
};

/// Everybody claims, the tables are drawn, and the books are closed.
pub(crate) async fn settle_up(
    story: &mut Story,
    cast: &Cast,
    world: &World,
    outcome: &Outcome,
    survived: bool,
) -> Result<()> {
    story.chapter("Claims: every earner opens the committed earnings");
    let before = Balances::read(world, cast).await?;
    let bar = bar(outcome.earnings.len() as u64, "claims");
    let node = &outcome.node.client;
    let claims = claim_everything(world, node, &cast.deployer, &outcome.earnings, &bar).await?;
    bar.finish_and_clear();
    story.say(format!("{} earners paid", claims.made));

    story.chapter("Who earned what");
    let datanets: Vec<_> = world.datanets.iter().map(|d| &d.datanet).collect();
    let lines = report::contributors(cast, &datanets, &outcome.replies, &outcome.earnings);
    let books = check::books(world, cast, outcome, &before).await?;
    let gas = gas(outcome, &claims);
    println!("{}", report::draw_contributors(&lines));
    println!("{}", report::draw_roles(&outcome.earnings, outcome.fees()));
    println!("{}", books.draw());
    println!("{}", report::draw_gas(&gas));
    let copier = check::line(&lines, cast.copier.name);
    tell_bad(story, cast, &lines);

    let conserved = books.conserved() && books.drawn == check::wei(outcome.fees());
    let mut json = summary(story, world, outcome, &books, &gas);
    json["claims"] = claims.made.into();
    json["conserved"] = conserved.into();
    json["restart_survived"] = survived.into();
    println!("\n{json}");
    ensure!(conserved, "money in is not money out");
    ensure!(survived, "the run with kills differs from the run without");
    ensure!(copier.earned == 0, "the copier earned {} gwei", copier.earned);
    Ok(())
}

fn tell_bad(story: &Story, cast: &Cast, lines: &[Line]) {
    story.say(format!(
        "per row: shuffler {} OPEN, honest median {} OPEN; copier earned {} OPEN",
        open(check::line(lines, cast.shuffler.name).per_row()),
        open(check::median_per_row(lines)),
        open(check::line(lines, cast.copier.name).earned)
    ));
}

fn summary(
    story: &Story,
    world: &World,
    outcome: &Outcome,
    books: &Books,
    gas: &BTreeMap<&'static str, u64>,
) -> serde_json::Value {
    json!({
        "calls": outcome.replies.len(),
        "fees_wei": check::wei(outcome.fees()).to_string(),
        "paid_wei": books.paid.to_string(),
        "unclaimed_wei": books.unclaimed.to_string(),
        "treasury_wei": books.treasury.to_string(),
        "dust_wei": check::wei(check::dust(outcome)).to_string(),
        "earners": outcome.earnings.len(),
        "batches": outcome.batches.len(),
        "perplexity": {
            "trained": world.perplexity.trained,
            "unigram": world.perplexity.unigram,
            "untrained": world.perplexity.untrained,
        },
        "gas": gas,
        "proof_milliseconds": outcome.most(|batch| batch["proof"]["milliseconds"].as_u64()),
        "seconds": story.elapsed().as_secs(),
    })
}

fn gas(outcome: &Outcome, claims: &Claims) -> BTreeMap<&'static str, u64> {
    let most = |stage: &str| outcome.most(|batch| batch[stage]["gas"].as_u64());
    BTreeMap::from([
        ("post a batch with its proof", most("posted")),
        ("finalise a batch", most("final")),
        ("claim one", claims.one),
        ("claim ten", claims.ten),
    ])
}
