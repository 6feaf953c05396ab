//! What became of everybody's batches, stake and money.

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, U256, address},
    sol,
    sol_types::SolError,
};
use node::{
    Error,
    chain::{
        Sent,
        bindings::{IAmountFaults, IRowFaults, ISettlement, Status},
    },
    challenger::{Examination, examination},
    earnings::Earnings,
};

use super::{
    Case,
    belief::{DEPOSIT, STAKE},
    registries::{IStake, WINDOW},
    watch::{Strike, Watch},
};
use crate::{market::coins, world::key};

sol! {
    error NoFault();
}

const BURNED: Address = address!("0x000000000000000000000000000000000000dEaD");
const GWEI: u64 = 1_000_000_000;

/// Balances before the first strike.
pub(super) struct Before {
    challenger: U256,
    burned: U256,
}

impl Before {
    pub(super) async fn read(watch: &Watch<'_>, cases: &[Case]) -> Self {
        for case in cases {
            assert_eq!(stake(watch, case).await, coins(STAKE));
        }
        let challenger = watch.client.balance(watch.client.sender().unwrap()).await.unwrap();
        Self { challenger, burned: watch.client.balance(BURNED).await.unwrap() }
    }
}

async fn stake(watch: &Watch<'_>, case: &Case) -> U256 {
    let call = IStake::stakeOfCall { operator: case.operator.signer.address() };
    watch.client.call(watch.on.contracts.deployment.staking, &call).await.unwrap()
}

async fn status(watch: &Watch<'_>, batch: B256) -> Status {
    let call = ISettlement::batchOfCall { batch };
    watch.client.call(watch.on.contracts.deployment.settlement, &call).await.unwrap().status
}

/// Every false batch is struck once, by the rule that it breaks; no other batch is.
pub(super) async fn faults_are_struck(watch: &Watch<'_>, cases: &[Case], strikes: &[Strike]) {
    let mut wrong = Vec::new();
    for case in cases {
        let broken = case.is_false();
        for (_, posted) in &case.batches {
            let rules: Vec<u8> =
                strikes.iter().filter(|s| s.batch == posted.id).map(|s| s.rule).collect();
            let expected: Vec<u8> = broken
                .filter(|(id, _)| *id == posted.id)
                .map(|(_, rule)| rule as u8)
                .into_iter()
                .collect();
            let is = status(watch, posted.id).await;
            let should = if expected.is_empty() { Status::Posted } else { Status::Struck };
            let found = examination(&watch.store, posted.id).unwrap();
            let is_clean = found == Some(Examination::Clean);
            if rules != expected || is != should || (expected.is_empty() && !is_clean) {
                wrong.push(format!("{}: {rules:?} for {expected:?}, {is:?}, {found:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A quarter of each stake is gone, at least half of that burned, the rest the challenger's.
pub(super) async fn money_is_where_it_belongs(
    watch: &Watch<'_>,
    cases: &[Case],
    strikes: &[Strike],
    before: &Before,
) {
    for case in cases {
        let slashed =
            if case.false_at.is_some() { coins(STAKE) / U256::from(4) } else { U256::ZERO };
        assert_eq!(stake(watch, case).await, coins(STAKE) - slashed, "{}", case.name);
    }
    let challenger = watch.client.sender().unwrap();
    for strike in strikes {
        assert_eq!(strike.challenger, challenger);
        assert_eq!(strike.slashed, coins(STAKE) / U256::from(4));
        assert!(strike.paid > U256::ZERO && strike.paid <= strike.slashed - strike.paid);
    }
    let sum = |of: fn(&Strike) -> U256| strikes.iter().map(of).sum::<U256>();
    let (paid, slashed, cost) = (sum(|s| s.paid), sum(|s| s.slashed), sum(|s| s.cost));
    let burned = watch.client.balance(BURNED).await.unwrap() - before.burned;
    assert_eq!(burned, slashed - paid);
    let balance = watch.client.balance(challenger).await.unwrap();
    assert_eq!(balance, before.challenger + paid - cost);
}

pub(super) fn table(cases: &[Case], strikes: &[Strike]) {
    println!("{:<12}{:<34}{:>5}{:>10}", "rule", "fault", "rows", "gas");
    for case in cases {
        let Some((id, rule)) = case.is_false() else { continue };
        let strike = strikes.iter().find(|strike| strike.batch == id).unwrap();
        let (rule, Strike { rows, gas, .. }) = (format!("{rule:?}"), strike);
        println!("{rule:<12}{:<34}{rows:>5}{gas:>10}", case.name);
    }
    let posted: Vec<_> = cases.iter().flat_map(|case| &case.batches).collect();
    let gas = posted.iter().map(|(_, posted)| posted.gas).max().unwrap();
    println!("{} batches of up to {gas} gas, {} struck", posted.len(), strikes.len());
}

/// Batches on top of a struck one are void too, and what void batches drew is the payers' again.
pub(super) async fn payers_are_refunded(watch: &Watch<'_>, cases: &[Case]) {
    let settlement = watch.on.contracts.deployment.settlement;
    let anyone = watch.on.client(&key(2));
    for case in cases {
        let Some((at, _)) = case.false_at else { continue };
        for (_, posted) in &case.batches[at + 1..] {
            let orphan = ISettlement::strikeOrphanCall { batch: posted.id };
            anyone.send(settlement, &orphan, U256::ZERO).await.unwrap();
        }
        for (_, posted) in &case.batches[at..] {
            let (batch, intervals) = (posted.id, posted.draws.clone());
            let refund = ISettlement::refundCall { batch, intervals };
            anyone.send(settlement, &refund, U256::ZERO).await.unwrap();
        }
        for (channel, (_, id)) in case.operator.channels.iter().enumerate() {
            let of = |draw: &&attribution::settle::Draw| draw.channel == *id;
            let stand = case.batches[..at].iter().flat_map(|(batch, _)| &batch.draws).filter(of);
            let spent: u64 = stand.map(|draw| draw.amount() * GWEI).sum();
            let left = case.operator.left(watch.on, channel).await;
            assert_eq!(left, coins(DEPOSIT) - U256::from(spent), "{}", case.name);
        }
        assert_eq!(stake(watch, case).await, coins(STAKE) * U256::from(3) / U256::from(4));
    }
}

/// Whether a fault contract refused evidence because it is true and breaks no rule.
fn is_no_fault(sent: &node::Result<Sent>) -> bool {
    let selector = alloy::hex::encode(NoFault::SELECTOR);
    let says = |reason: &str| reason.contains("NoFault") || reason.contains(&selector);
    matches!(sent, Err(Error::Reverted(reason)) if says(reason))
}

/// Proofs against honest batches are refused; these become final, and all that they pay is claimed.
pub(super) async fn honest_batches_pay(watch: &Watch<'_>, cases: &[Case]) {
    let at = &watch.on.contracts.deployment;
    let honest = cases.iter().find(|case| case.false_at.is_none()).unwrap();
    let (batch, posted) = &honest.batches[0];
    let record = batch.records()[0];
    let ledger = batch.open_rows(&[record, record + 3]);
    let split = IAmountFaults::proveSplitCall { batch: posted.id, ledger };
    assert!(is_no_fault(&watch.client.send(at.amount_faults, &split, U256::ZERO).await));
    let row = IRowFaults::proveRowCall { batch: posted.id, ledger: batch.open_rows(&[record]) };
    assert!(is_no_fault(&watch.client.send(at.row_faults, &row, U256::ZERO).await));

    watch.on.anvil.pass(WINDOW).await;
    let anyone = watch.on.client(&key(2));
    let mut total = 0;
    for case in cases {
        let stand = case.false_at.map_or(case.batches.len(), |(at, _)| at);
        for (_, posted) in &case.batches[..stand] {
            let (batch, submission) = (posted.id, posted.submission.clone());
            let call = ISettlement::finaliseBatchCall {
                batch,
                pages: submission.pages,
                payouts: submission.payouts,
            };
            anyone.send(at.settlement, &call, U256::ZERO).await.unwrap();
            total += submission.total;
        }
    }
    watch.caught_up().await;
    let (store, registry) = (Arc::clone(&watch.store), watch.registry.clone());
    let earnings = Earnings::new(store, registry, watch.kzg.clone(), Arc::clone(&watch.on.layer));
    let mut claims = Vec::new();
    for earner in earnings.all().await.unwrap().into_iter().filter(|e| e.cumulative > 0) {
        let earner = earnings.of(earner.earner).await.unwrap().unwrap();
        assert_eq!(earner.claimed, 0);
        claims.push(earner.claim().unwrap());
    }
    assert_eq!(claims.iter().map(|claim| claim.cumulativeEarnings).sum::<u64>(), total);
    let call = ISettlement::claimManyCall { claims };
    anyone.send(at.settlement, &call, U256::ZERO).await.unwrap();
    assert_eq!(watch.client.balance(at.settlement).await.unwrap(), U256::ZERO);
}
