//! Checks of the money against the chain itself.

use alloy::{
    primitives::{Address, U256},
    providers::Provider,
};
use eyre::{Result, ensure};
use node::{
    api::earnings::EarningsJson,
    chain::{ChainClient, bindings::IPaymentChannels},
};

use crate::{
    accounts::Cast,
    report::{Books, Line},
    run::Outcome,
    world::World,
};

/// Wei of `gwei`.
pub(crate) fn wei(gwei: u64) -> U256 {
    U256::from(gwei) * U256::from(1_000_000_000u64)
}

/// Balances of everybody who is paid in coins, before the claims.
#[derive(Debug)]
pub(crate) struct Balances(Vec<(Address, U256)>);

impl Balances {
    /// Reads them; the deployer, who pays for the claims' gas, earns nothing.
    pub(crate) async fn read(world: &World, cast: &Cast) -> Result<Self> {
        let provider = world.chain.provider();
        let accounts = cast.contributors().chain(&cast.builders).chain([&cast.treasury]);
        let mut balances = Vec::new();
        for account in accounts {
            balances.push((account.address(), provider.get_balance(account.address()).await?));
        }
        let staking = world.deployment.staking;
        balances.push((staking, provider.get_balance(staking).await?));
        Ok(Self(balances))
    }
}

/// Reads money in and out from balances and channels, and holds every earner's gain against what
/// the node says that it earned.
pub(crate) async fn books(
    world: &World,
    cast: &Cast,
    outcome: &Outcome,
    before: &Balances,
) -> Result<Books> {
    let provider = world.chain.provider();
    let (mut paid, mut treasury) = (U256::ZERO, U256::ZERO);
    for (account, old) in &before.0 {
        let gained = provider.get_balance(*account).await? - old;
        let expected = earned(&outcome.earnings, *account, world, cast);
        ensure!(gained == expected, "{account} gained {gained} wei, not {expected}");
        let sum = if *account == cast.treasury.address() { &mut treasury } else { &mut paid };
        *sum += gained;
    }
    let client = ChainClient::new(&world.chain.url, None)?;
    let mut drawn = U256::ZERO;
    for wallet in &world.wallets {
        let call = IPaymentChannels::channelOfCall { channel: wallet.channel };
        drawn += wei(client.call(world.deployment.payment_channels, &call).await?.drawn);
    }
    let unclaimed = provider.get_balance(world.deployment.settlement).await?;
    Ok(Books { drawn, paid, treasury, unclaimed })
}

/// Wei that `account` earned in all its roles; stakers are paid through Staking.
fn earned(earnings: &[EarningsJson], account: Address, world: &World, cast: &Cast) -> U256 {
    let of_staking = account == world.deployment.staking;
    let is_paid = |e: &&EarningsJson| {
        let stakers = e.role == "stakers";
        if of_staking {
            stakers && e.account == cast.operator.address()
        } else {
            !stakers && e.account == account
        }
    };
    earnings.iter().filter(is_paid).map(|e| wei(e.cumulative.0)).sum()
}

/// Gwei of the treasury's earnings that are roundings: all above the platform's floors.
pub(crate) fn dust(outcome: &Outcome) -> u64 {
    let floors: u64 = outcome.replies.iter().map(|reply| reply.statement.receipt.fee.0 / 10).sum();
    let treasury: u64 =
        outcome.earnings.iter().filter(|e| e.role == "treasury").map(|e| e.cumulative.0).sum();
    treasury.saturating_sub(floors)
}

/// Gwei per row of the honest contributor in the middle.
pub(crate) fn median_per_row(lines: &[Line]) -> u64 {
    let honest = lines.len() - 2;
    let mut rates: Vec<u64> = lines[..honest].iter().map(Line::per_row).collect();
    rates.sort_unstable();
    rates[honest / 2]
}

/// The line of a contributor.
pub(crate) fn line<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    lines.iter().find(|line| line.name == name).expect("everybody in the cast has a line")
}
