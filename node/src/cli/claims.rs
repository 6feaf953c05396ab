//! `openledger claims`

use alloy::primitives::utils::format_units;
use clap::Args;
use node::client::{NodeClient, Payer, claim_all};

use super::{ChainArguments, KeyArguments, progress::bar};

#[derive(Debug, Args)]
pub(crate) struct ClaimsArguments {
    #[command(flatten)]
    chain: ChainArguments,
    #[command(flatten)]
    key: KeyArguments,
    /// The node that knows the earnings.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    node_url: String,
    /// Claim for every earner.
    #[arg(long, conflicts_with = "earner", required_unless_present = "earner")]
    all: bool,
    /// Claim for this earner; may be given several times.
    #[arg(long, value_name = "INDEX")]
    earner: Vec<u32>,
    /// Most gas of one transaction; 15 million or half a block if absent.
    #[arg(long, value_name = "GAS")]
    max_gas: Option<u64>,
}

pub(crate) async fn run(arguments: ClaimsArguments) -> eyre::Result<()> {
    let ClaimsArguments { chain, key, node_url, earner, max_gas, .. } = arguments;
    let payer = Payer::connect(&chain.rpc, chain.deployment()?, key.signer()?).await?;
    let node = NodeClient::new(&node_url)?;
    let bar = bar(0, "claiming");
    let report = claim_all(&node, &payer, &earner, max_gas, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await?;
    bar.finish();
    println!(
        "{} OPEN to {} earners in {} transactions, {} gas",
        format_units(report.amount, "gwei")?,
        report.earners,
        report.transactions,
        report.gas
    );
    for (earner, reason) in report.skipped {
        println!("earner {earner} was left out: {reason}");
    }
    Ok(())
}
