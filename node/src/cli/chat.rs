//! `openledger chat`

use std::{
    io::{BufRead, IsTerminal, Write},
    time::Duration,
};

use alloy::primitives::{
    B256, U256, keccak256,
    utils::{format_units, parse_ether},
};
use clap::Args;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use node::{
    api::request::ChatMessage,
    client::{ChatCall, NodeClient, PaidClient, Payer, Reply},
};

use super::{ChainArguments, KeyArguments};

/// Who is called, who pays, and how the answer is drawn.
#[derive(Debug, Args)]
pub(super) struct CallArguments {
    #[command(flatten)]
    chain: ChainArguments,
    #[command(flatten)]
    key: KeyArguments,
    /// The node that serves the model.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    node_url: String,
    /// Id or name of the model.
    #[arg(long)]
    pub(super) model: String,
    /// OPEN that the channel to the operator is filled up to.
    #[arg(long, value_name = "OPEN", default_value = "0.1")]
    deposit: String,
    /// Most tokens per answer.
    #[arg(long, default_value_t = 128)]
    pub(super) max_tokens: u64,
    /// 0 takes the most likely token.
    #[arg(long, default_value_t = 0.0)]
    pub(super) temperature: f32,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Seconds to wait for a node that cannot be reached.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) patience: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArguments {
    #[command(flatten)]
    call: CallArguments,
    /// What to ask; without it, lines are read until the input ends.
    prompt: Option<String>,
}

/// The payer's client, over its channel to the node.
pub(super) async fn open(arguments: &CallArguments) -> eyre::Result<PaidClient> {
    let patience = Duration::from_secs(arguments.patience);
    let chain = &arguments.chain;
    let payer = Payer::connect(&chain.rpc, chain.deployment()?, arguments.key.signer()?).await?;
    let node = NodeClient::new(&arguments.node_url)?;
    // One channel per operator is enough, so its salt is fixed.
    let salt: B256 = keccak256("openledger chat");
    let deposit: U256 = parse_ether(&arguments.deposit)?;
    Ok(PaidClient::open(node, payer, salt, deposit, patience).await?)
}

pub(crate) async fn run(arguments: ChatArguments) -> eyre::Result<()> {
    let patience = Duration::from_secs(arguments.call.patience);
    let client = open(&arguments.call).await?;
    let mut messages = Vec::new();
    if let Some(prompt) = &arguments.prompt {
        return ask(&client, &arguments.call, &mut messages, prompt, patience).await;
    }
    loop {
        if std::io::stdin().is_terminal() {
            print!("> ");
            std::io::stdout().flush()?;
        }
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim();
        if !line.is_empty() {
            ask(&client, &arguments.call, &mut messages, line, patience).await?;
        }
    }
}

async fn ask(
    client: &PaidClient,
    arguments: &CallArguments,
    messages: &mut Vec<ChatMessage>,
    text: &str,
    patience: Duration,
) -> eyre::Result<()> {
    messages.push(ChatMessage { role: "user".into(), content: text.into() });
    let call = ChatCall {
        model: arguments.model.clone(),
        messages: messages.clone(),
        max_tokens: arguments.max_tokens,
        temperature: arguments.temperature,
        seed: arguments.seed,
        stream: true,
        retrieval: None,
    };
    let mut show = |piece: &str| {
        print!("{piece}");
        // A terminal that is gone ends the program at the next line.
        let _ = std::io::stdout().flush();
    };
    let reply = client.chat(&call, patience, &mut show).await?;
    println!();
    receipt(&reply)?;
    messages.push(ChatMessage { role: "assistant".into(), content: reply.text });
    Ok(())
}

pub(super) fn receipt(reply: &Reply) -> eyre::Result<()> {
    let statement = &reply.statement;
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["contributor", "score", "credit (gwei)"]);
    for credit in statement.contributors.iter().take(8) {
        table.add_row([
            credit.earner.to_string(),
            credit.score.0.to_string(),
            credit.credit.0.to_string(),
        ]);
    }
    println!("{table}");
    println!(
        "{} + {} tokens, {} OPEN, call {}",
        reply.usage.prompt_tokens,
        reply.usage.completion_tokens,
        format_units(statement.receipt.fee.0, "gwei")?,
        statement.record.voucher_digest
    );
    Ok(())
}
