//! The paid calls: fixed by a seed, made over HTTP by three users, several at a time.

use std::{sync::Arc, time::Duration};

use alloy::primitives::{B256, keccak256};
use eyre::{Result, ensure, eyre};
use futures::future::try_join_all;
use indicatif::ProgressBar;
use node::{
    client::{NodeClient, Payer, Reply},
    voucher::{Call, SignedVoucher, Voucher},
};
use serde_json::json;

/// Waves of calls; the calls of one wave are in flight together.
pub(crate) const WAVES: usize = 11;
/// Calls of one user in one wave.
const CALLS_PER_USER: usize = 2;
/// Waves signed in one epoch.
pub(crate) const WAVES_PER_EPOCH: usize = 4;
const MAX_TOKENS: u64 = 24;
/// How long a call waits for a node that is down.
const DEADLINE: Duration = Duration::from_secs(60);

/// One call before its voucher is signed.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) user: usize,
    pub(crate) wave: usize,
    pub(crate) path: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) model: B256,
    pub(crate) seed: u64,
}

/// A call with its signed voucher: everything that a retry sends again.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) planned: Planned,
    pub(crate) voucher: SignedVoucher,
}

/// A user's open channel.
#[derive(Clone, Debug)]
pub(crate) struct Wallet {
    pub(crate) payer: Payer,
    pub(crate) channel: B256,
}

/// The calls of the whole run: prompts alternate between the models, chat and completions, plain
/// and streamed, greedy and sampled.
pub(crate) fn plan(models: &[B256], prompts: &[Vec<String>], users: usize) -> Vec<Planned> {
    let mut calls = Vec::new();
    for wave in 0..WAVES {
        for user in 0..users {
            for turn in 0..CALLS_PER_USER {
                let number = calls.len();
                let which = (user + turn + wave) % models.len();
                let prompt = &prompts[which][number % prompts[which].len()];
                calls.push(call(number, user, wave, models[which], prompt));
            }
        }
    }
    calls
}

fn call(number: usize, user: usize, wave: usize, model: B256, prompt: &str) -> Planned {
    let seed = number as u64;
    let temperature = if number.is_multiple_of(3) { 0.0 } else { 0.8 };
    let stream = number % 2 == 1;
    let chat = number % 4 == 2;
    let mut body = json!({
        "model": model.to_string(),
        "max_tokens": MAX_TOKENS,
        "temperature": temperature,
        "seed": seed,
        "stream": stream,
    });
    if stream {
        body["stream_options"] = json!({ "include_usage": true });
    }
    if chat {
        body["messages"] = json!([{ "role": "user", "content": prompt }]);
    } else {
        body["prompt"] = json!(prompt);
    }
    let path = if chat { "/v1/chat/completions" } else { "/v1/completions" };
    Planned { user, wave, path, body: body.to_string().into_bytes(), model, seed }
}

/// Signs the vouchers of one wave.
///
/// All calls that a user has in flight carry the same ceiling, the sum of the largest fees so far
/// with this wave's, so it does not matter which of them the node takes first.
pub(crate) async fn sign_wave(
    node: &NodeClient,
    wallets: &[Wallet],
    ceilings: &mut [u64],
    planned: &[Planned],
    time: u64,
) -> Result<Vec<Signed>> {
    let mut quotes = Vec::new();
    for call in planned {
        let channel = wallets[call.user].channel;
        let quote = node.quote(call.path, &call.body, channel, DEADLINE).await?;
        ceilings[call.user] += quote.max_fee.0;
        quotes.push(quote);
    }
    let sign = |(call, quote): (&Planned, node::api::answer::Quote)| -> Result<Signed> {
        let wallet = &wallets[call.user];
        let voucher = Voucher {
            channelId: wallet.channel,
            ceiling: ceilings[call.user],
            call: Call {
                modelId: call.model,
                priceVersion: quote.price.price_version,
                promptHash: keccak256(&call.body),
                seed: call.seed,
                maxTokens: quote.max_tokens,
                time,
            },
        };
        Ok(Signed { planned: call.clone(), voucher: wallet.payer.sign(voucher)? })
    };
    planned.iter().zip(quotes).map(sign).collect()
}

/// Sends calls all at once and waits for every answer; lost connections are retried with the same
/// voucher.
pub(crate) async fn send(
    node: &NodeClient,
    calls: &[Signed],
    bar: &Arc<ProgressBar>,
) -> Result<Vec<Reply>> {
    let one = async |call: Signed| -> Result<Reply> {
        let mut ignore = |_: &str| {};
        let body = &call.planned.body;
        let answer =
            node.call(call.planned.path, body, &call.voucher, DEADLINE, &mut ignore).await?;
        bar.inc(1);
        answer.map_err(|refused| eyre!("{} {}: {}", refused.status, refused.code, refused.message))
    };
    try_join_all(calls.iter().cloned().map(one)).await
}

/// Repeats calls that were answered and checks that nothing is charged again.
pub(crate) async fn replay(node: &NodeClient, calls: &[Signed], replies: &[Reply]) -> Result<()> {
    for (call, first) in calls.iter().zip(replies) {
        let mut ignore = |_: &str| {};
        let body = &call.planned.body;
        let again =
            node.call(call.planned.path, body, &call.voucher, DEADLINE, &mut ignore).await?;
        let again =
            again.map_err(|refused| eyre!("replay: {} {}", refused.status, refused.message))?;
        ensure!(again.text == first.text, "a replayed call answered another text");
        ensure!(
            again.statement.receipt == first.statement.receipt,
            "a replayed call was charged again"
        );
    }
    Ok(())
}
