//! Relaying claims: anyone may, because the contract pays the earner whoever calls.

use std::{collections::VecDeque, time::Duration};

use alloy::{
    primitives::{Bytes, U256},
    sol_types::SolInterface,
};

use super::{NodeClient, Payer};
use crate::{
    Error, Result,
    api::earnings::{EarningsJson, EarningsPage},
    chain::{
        Estimate,
        bindings::{
            Claim, G1Point,
            ISettlement::{self, ISettlementErrors},
        },
        revert_name,
    },
};

/// Claims in the first transaction; later ones have as many as the gas allows.
const FIRST_CHUNK: usize = 32;
/// Most claims in one transaction: its data stays below what nodes relay.
const MAX_CHUNK: usize = 256;
/// Gas of one transaction unless the block's limit is tighter.
const MAX_GAS: u64 = 15_000_000;
/// How long a node is waited for. It makes all openings of a page first, which takes minutes.
const DEADLINE: Duration = Duration::from_secs(1_200);

/// What was claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimsReport {
    /// Earners paid.
    pub earners: u64,
    /// Gwei paid.
    pub amount: u64,
    /// Transactions sent.
    pub transactions: u64,
    /// Gas that they used.
    pub gas: u64,
    /// Earners that could not be paid, each with the reason; their earnings stay.
    pub skipped: Vec<(u32, String)>,
}

/// Claims what every earner of `wanted` (all of them if it is empty) has earned and not claimed, in
/// transactions of at most `max_gas` (if given, else 15 million or half a block). An earner whose
/// account refuses its payment is left out. What is paid is on the chain, so a run that was cut off
/// is repeated to go on. `progress` is given how many of how many earners are done.
///
/// # Errors
/// [`Error::Remote`] if the node cannot be reached or answers wrongly, [`Error::Chain`] if the chain
/// cannot be reached; claims of earlier transactions stay paid.
pub async fn claim_all(
    node: &NodeClient,
    payer: &Payer,
    wanted: &[u32],
    max_gas: Option<u64>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<ClaimsReport> {
    let open = unclaimed(node, wanted).await?;
    let total = open.len() as u64;
    progress(0, total);
    let mut relay = Relay::new(node, payer, max_gas).await?;
    if wanted.is_empty() {
        let mut next = Some(0);
        while let Some(after) = next {
            let page = page(node, &format!("after={after}&witness=true")).await?;
            next = page.next;
            let claims = page.data.iter().map(claim).collect::<Result<Vec<_>>>()?;
            relay.queue.extend(claims);
            relay.drain(&mut |done| progress(done, total)).await?;
        }
    } else {
        for earner in open {
            relay.queue.push_back(claim_of(node, earner).await?);
        }
        relay.drain(&mut |done| progress(done, total)).await?;
    }
    Ok(relay.report)
}

/// What a node says of an earner, as Settlement takes it.
fn claim(earnings: &EarningsJson) -> Result<Claim> {
    let earner = earnings.earner;
    let witness = earnings
        .witness
        .ok_or_else(|| Error::Remote(format!("earnings of {earner} come without a witness")))?;
    Ok(Claim {
        earner,
        cumulativeEarnings: earnings.cumulative.0,
        version: earnings.version.0,
        witness: G1Point { x: U256::from(witness.x), y: U256::from(witness.y) },
    })
}

async fn page(node: &NodeClient, query: &str) -> Result<EarningsPage> {
    let body = node.get(&format!("/v1/earnings?{query}"), DEADLINE).await?;
    serde_json::from_value(body).map_err(|error| Error::Remote(format!("earnings: {error}")))
}

/// Those of `wanted`, or of all, that can claim.
async fn unclaimed(node: &NodeClient, wanted: &[u32]) -> Result<Vec<u32>> {
    let (mut open, mut next) = (Vec::new(), Some(0));
    while let Some(after) = next {
        let page = page(node, &format!("after={after}&unclaimed=true")).await?;
        next = page.next.filter(|&next| next > after);
        let earners = page.data.iter().map(|one| one.earner);
        open.extend(earners.filter(|earner| wanted.is_empty() || wanted.contains(earner)));
    }
    Ok(open)
}

/// What Settlement takes to pay `earner` all that it has earned in final batches.
///
/// # Errors
/// [`Error::Remote`] if the node cannot be reached, answers wrongly, or has no opening for it.
pub async fn claim_of(node: &NodeClient, earner: u32) -> Result<Claim> {
    let body = node.get(&format!("/v1/earnings/{earner}"), DEADLINE).await?;
    let earnings: EarningsJson = serde_json::from_value(body)
        .map_err(|error| Error::Remote(format!("earnings of {earner}: {error}")))?;
    claim(&earnings)
}

/// Sends claims in transactions that fit.
struct Relay<'a> {
    node: &'a NodeClient,
    payer: &'a Payer,
    max_gas: u64,
    chunk: usize,
    queue: VecDeque<Claim>,
    done: u64,
    report: ClaimsReport,
}

impl<'a> Relay<'a> {
    async fn new(node: &'a NodeClient, payer: &'a Payer, max_gas: Option<u64>) -> Result<Self> {
        let half = payer.chain().gas_limit().await? / 2;
        Ok(Self {
            node,
            payer,
            max_gas: max_gas.unwrap_or(MAX_GAS).min(half),
            chunk: FIRST_CHUNK,
            queue: VecDeque::new(),
            done: 0,
            report: ClaimsReport::default(),
        })
    }

    /// Sends all that is queued.
    async fn drain(&mut self, progress: &mut (dyn FnMut(u64) + Send)) -> Result<()> {
        while !self.queue.is_empty() {
            self.next().await?;
            progress(self.done);
        }
        Ok(())
    }

    /// Sends one transaction, or finds out what is wrong with it.
    async fn next(&mut self) -> Result<()> {
        let count = self.chunk.min(self.queue.len());
        let claims: Vec<Claim> = self.queue.iter().take(count).cloned().collect();
        let call = ISettlement::claimManyCall { claims };
        let settlement = self.payer.deployment().settlement;
        match self.payer.chain().estimate(settlement, &call).await? {
            Estimate::Gas(gas) if gas <= self.max_gas => {
                match self.payer.chain().send(settlement, &call, U256::ZERO).await {
                    Ok(sent) => self.sent(count, &sent),
                    // Something has changed since; the next estimate tells what.
                    Err(Error::Reverted(why)) => self.narrow(&why),
                    Err(error) => return Err(error),
                }
                if gas < self.max_gas / 2 {
                    self.chunk = (self.chunk * 2).min(MAX_CHUNK);
                }
            }
            Estimate::Gas(gas) => self.narrow(&format!("the claim needs {gas} gas")),
            Estimate::Reverts(data) => self.refused(count, &data).await?,
        }
        Ok(())
    }

    fn sent(&mut self, count: usize, sent: &crate::chain::Sent) {
        self.queue.drain(..count);
        self.done += count as u64;
        self.report.transactions += 1;
        self.report.gas += sent.gas;
        let settlement = self.payer.deployment().settlement;
        for log in sent.logs.iter().filter(|log| log.address() == settlement) {
            if let Ok(claimed) = log.log_decode::<ISettlement::Claimed>() {
                self.report.earners += 1;
                self.report.amount += claimed.inner.amount;
            }
        }
    }

    /// Acts on what a transaction with the first `count` claims would revert with.
    async fn refused(&mut self, count: usize, data: &Bytes) -> Result<()> {
        match ISettlementErrors::abi_decode(data) {
            Ok(ISettlementErrors::PaymentFailed(e)) => {
                self.skip(e.earner, Some(format!("account {} refuses the payment", e.account)));
            }
            Ok(ISettlementErrors::AboveFunding(e)) => {
                self.skip(e.earner, Some(format!("only {} gwei are funded", e.available)));
            }
            // Paid by somebody else meanwhile, or by a run before that this node has not seen yet.
            Ok(ISettlementErrors::NothingToClaim(e)) => self.skip(e.earner, None),
            Ok(ISettlementErrors::UnknownVersion(e)) => {
                for claim in self.queue.iter_mut().take(count).filter(|c| c.version == e.version) {
                    *claim = claim_of(self.node, claim.earner).await?;
                    if claim.version == e.version {
                        let (page, version) = (e.page, e.version);
                        return Err(Error::Remote(format!(
                            "the node does not know the chain's versions of page {page}: \
                             {version} is not kept any more"
                        )));
                    }
                }
            }
            Err(_) => self.narrow(&format!("reverts with {}", revert_name(data))),
        }
        Ok(())
    }

    /// Takes an earner out of the queue.
    fn skip(&mut self, earner: u32, reason: Option<String>) {
        self.queue.retain(|claim| claim.earner != earner);
        self.done += 1;
        self.report.skipped.extend(reason.map(|reason| (earner, reason)));
    }

    /// Tries fewer claims; a single one is left out.
    fn narrow(&mut self, reason: &str) {
        if self.chunk.min(self.queue.len()) > 1 {
            self.chunk = (self.chunk.min(self.queue.len()) / 2).max(1);
        } else if let Some(earner) = self.queue.front().map(|claim| claim.earner) {
            self.skip(earner, Some(reason.to_owned()));
        }
    }
}
