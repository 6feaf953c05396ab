//! The paid part: the same calls against a node on a chain, with or without kills.

use std::{path::Path, sync::Arc, time::Duration};

use eyre::{Result, ensure};
use node::{
    api::earnings::{EarningsJson, EarningsPage},
    client::Reply,
};
use serde_json::Value;

use crate::{
    calls::{self, Planned, Signed, WAVES, WAVES_PER_EPOCH, Wallet},
    process::{NodeProcess, Settings},
    setup::Clock,
    story::{Story, bar},
};

/// Wave during which the node is killed the first time.
const KILLED_WAVE: usize = 4;
/// Seconds between the signed times of two waves.
const WAVE_SECONDS: u64 = 2;
const SETTLE_DEADLINE: Duration = Duration::from_secs(120);

/// What one run needs.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) settings: Settings<'a>,
    pub(crate) wallets: &'a [Wallet],
    pub(crate) planned: &'a [Planned],
    /// Time that the first wave signs; the start of an epoch.
    pub(crate) start: u64,
    pub(crate) clock: Clock,
    pub(crate) kills: bool,
}

/// What one run left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) node: NodeProcess,
    pub(crate) replies: Vec<Reply>,
    pub(crate) batches: Vec<Value>,
    pub(crate) earnings: Vec<EarningsJson>,
    /// Most calls, and most different adapters, that the engine had in one step.
    pub(crate) mixed: (u64, u64),
}

impl Outcome {
    /// Gwei that the calls were charged.
    pub(crate) fn fees(&self) -> u64 {
        self.replies.iter().map(|reply| reply.statement.receipt.fee.0).sum()
    }

    /// The most that a batch has of something.
    pub(crate) fn most(&self, of: impl Fn(&Value) -> Option<u64>) -> u64 {
        self.batches.iter().filter_map(of).max().unwrap_or_default()
    }

    /// Everything that must not depend on kills, a line each: records, batches, earnings.
    fn essence(&self) -> Vec<String> {
        let record = |reply: &Reply| {
            serde_json::to_string(&reply.statement.record).expect("a record is plain data")
        };
        let batch = |batch: &Value| {
            ["id", "epoch", "calls", "rows", "total", "ledger"]
                .map(|k| batch[k].to_string())
                .join(" ")
        };
        let earnings = |e: &EarningsJson| format!("earner {}: {}", e.earner, e.cumulative.0);
        let records = self.replies.iter().map(record);
        let batches = self.batches.iter().map(batch);
        records.chain(batches).chain(self.earnings.iter().map(earnings)).collect()
    }

    /// The lines in which two runs differ, as pairs.
    pub(crate) fn differences(&self, other: &Self) -> Vec<(String, String)> {
        let (mine, theirs) = (self.essence(), other.essence());
        let missing = |count: usize| format!("{count} lines");
        if mine.len() != theirs.len() {
            return vec![(missing(mine.len()), missing(theirs.len()))];
        }
        mine.into_iter().zip(theirs).filter(|(a, b)| a != b).collect()
    }
}

/// Makes all calls, waits until every batch is final, and reads what was earned.
pub(crate) async fn run(job: &Job<'_>, story: &Story) -> Result<Outcome> {
    let mut node = NodeProcess::start(job.dir, &job.settings).await?;
    let (signed, replies) = make_calls(job, &mut node, story).await?;
    calls::replay(&node.client, &signed[..6], &replies[..6]).await?;
    let mixed = mixed(&node).await?;
    if job.kills {
        kill_between_stages(&mut node, story).await?;
    }
    let epochs = WAVES.div_ceil(WAVES_PER_EPOCH);
    let batches = wait_final(&node, epochs).await?;
    let earnings = wait_earned(&node, &batches).await?;
    Ok(Outcome { node, replies, batches, earnings, mixed })
}

async fn mixed(node: &NodeProcess) -> Result<(u64, u64)> {
    let text = node.client.text("/metrics", SETTLE_DEADLINE).await?;
    let gauge = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let sequences = gauge("openledger_engine_most_sequences ");
    let adapters = gauge("openledger_engine_most_adapters ");
    sequences.zip(adapters).ok_or_else(|| eyre::eyre!("/metrics does not tell of the engine"))
}

async fn make_calls(
    job: &Job<'_>,
    node: &mut NodeProcess,
    story: &Story,
) -> Result<(Vec<Signed>, Vec<Reply>)> {
    let bar = Arc::new(bar(job.planned.len() as u64, "calls"));
    let mut ceilings = vec![0; job.wallets.len()];
    let (mut signed, mut replies) = (Vec::new(), Vec::new());
    for wave in 0..WAVES {
        let planned: Vec<Planned> =
            job.planned.iter().filter(|call| call.wave == wave).cloned().collect();
        let epoch = (wave / WAVES_PER_EPOCH) as u64 * job.clock.epoch;
        let time = job.start + epoch + (wave % WAVES_PER_EPOCH) as u64 * WAVE_SECONDS;
        let wave_signed =
            calls::sign_wave(&node.client, job.wallets, &mut ceilings, &planned, time).await?;
        let answers = if job.kills && wave == KILLED_WAVE {
            let client = node.client.clone();
            let sending = calls::send(&client, &wave_signed, &bar);
            let (answers, killed) = tokio::join!(sending, kill_while_recording(node, &bar, story));
            killed?;
            answers?
        } else {
            calls::send(&node.client, &wave_signed, &bar).await?
        };
        signed.extend(wave_signed);
        replies.extend(answers);
    }
    bar.finish_and_clear();
    Ok((signed, replies))
}

/// Kills the node as soon as one call of the wave is answered and others are not.
async fn kill_while_recording(
    node: &mut NodeProcess,
    bar: &indicatif::ProgressBar,
    story: &Story,
) -> Result<()> {
    let before = bar.position();
    while bar.position() == before {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    node.kill_and_restart().await?;
    story.say("SIGKILL while calls were being recorded; the clients sent the same vouchers again");
    Ok(())
}

/// Kills the node once a batch has left the first stages and is not posted yet.
async fn kill_between_stages(node: &mut NodeProcess, story: &Story) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SETTLE_DEADLINE;
    while tokio::time::Instant::now() < deadline {
        let batches = batches(node).await?;
        let status = |batch: &Value| batch["status"].as_str().unwrap_or_default().to_owned();
        if let Some(batch) = batches.iter().find(|b| !["posted", "final"].contains(&&*status(b))) {
            let stage = status(batch);
            node.kill_and_restart().await?;
            story.say(format!("SIGKILL when a batch was {stage} and not posted yet"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eyre::bail!("no batch was seen between two stages")
}

async fn wait_final(node: &NodeProcess, epochs: usize) -> Result<Vec<Value>> {
    let deadline = tokio::time::Instant::now() + SETTLE_DEADLINE;
    loop {
        let batches = batches(node).await?;
        let finals = batches.iter().filter(|batch| batch["status"] == "final").count();
        if finals == epochs && batches.len() == epochs {
            return Ok(batches);
        }
        ensure!(tokio::time::Instant::now() < deadline, "batches are not final: {batches:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Earnings once they hold every final batch: the node reads them back from the chain, which may
/// take another block.
async fn wait_earned(node: &NodeProcess, batches: &[Value]) -> Result<Vec<EarningsJson>> {
    let total = |batch: &Value| batch["total"].as_str().and_then(|t| t.parse::<u64>().ok());
    let paid: u64 = batches.iter().filter_map(total).sum();
    let deadline = tokio::time::Instant::now() + SETTLE_DEADLINE;
    loop {
        let body = node.client.get("/v1/earnings", SETTLE_DEADLINE).await?;
        let page: EarningsPage = serde_json::from_value(body)?;
        let earned: u64 = page.data.iter().map(|e| e.cumulative.0).sum();
        if earned == paid {
            return Ok(page.data);
        }
        ensure!(
            earned < paid && tokio::time::Instant::now() < deadline,
            "earnings are {earned} gwei, final batches paid {paid}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn batches(node: &NodeProcess) -> Result<Vec<Value>> {
    let page = node.client.get("/v1/batches", SETTLE_DEADLINE).await?;
    let mut batches = page["data"].as_array().cloned().unwrap_or_default();
    batches.sort_by_key(|batch| batch["epoch"].as_str().and_then(|e| e.parse::<u64>().ok()));
    Ok(batches)
}
