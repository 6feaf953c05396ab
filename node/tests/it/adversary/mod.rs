//! Adversaries post one planted fault each; the challenger finds and strikes every one, and leaves
//! honest batches alone.

mod aftermath;
mod belief;
mod index;
mod plants;
mod posting;
mod receipts;
mod registries;
mod rows;
mod spans;
mod watch;

use std::{collections::BTreeSet, sync::Arc};

use alloy::primitives::B256;
use attribution::settle::{Carries, audit::Rule};
use node::{
    Error,
    challenger::{Examination, examination},
};

use crate::{anvil::signer, world::Killed};
use belief::{Operator, Posted};
use plants::{Plant, plants};
use posting::OnChain;
use registries::{Registries, calls};
use watch::Watch;

/// An operator with what it posted.
struct Case {
    operator: Operator,
    name: &'static str,
    batches: Vec<(Posted, OnChain)>,
    /// The batch that is false and the rule that it breaks.
    false_at: Option<(usize, Rule)>,
}

impl Case {
    async fn post(
        on: &Registries,
        operator: Operator,
        name: &'static str,
        batches: Vec<Posted>,
        false_at: Option<(usize, Rule)>,
    ) -> Self {
        let mut posted: Vec<(Posted, OnChain)> = Vec::new();
        for batch in batches {
            let previous = posted.last().map_or(B256::ZERO, |(_, on_chain)| on_chain.id);
            let on_chain = operator.post(on, name, &batch, previous).await;
            posted.push((batch, on_chain));
        }
        Self { operator, name, batches: posted, false_at }
    }

    /// The id of the false batch.
    fn is_false(&self) -> Option<(B256, Rule)> {
        self.false_at.map(|(at, rule)| (self.batches[at].1.id, rule))
    }
}

fn two(on: &Registries, operator: &Operator, first: Posted) -> Vec<Posted> {
    let belief = on.truth(operator.stakers);
    let second = operator.batch(on, &belief, &calls(), Some(&first), &first.carries);
    vec![first, second]
}

fn honest(on: &Registries, operator: &Operator) -> Posted {
    operator.batch(on, &on.truth(operator.stakers), &calls(), None, &Carries::new())
}

/// All that operators post, the honest one among the others.
async fn post_all(on: &Registries) -> Vec<Case> {
    let payers = [2, 3].map(signer);
    let mut cases = Vec::new();
    let enter = |number| Operator::enter(on, number, &payers);
    for (number, plant) in plants().into_iter().enumerate() {
        if number == 7 {
            let operator = enter(100).await;
            let batches = two(on, &operator, honest(on, &operator));
            cases.push(Case::post(on, operator, "honest", batches, None).await);
        }
        let operator = enter(number).await;
        let Plant { name, rule, .. } = plant;
        let batches = plant.batches(on, &operator);
        let false_at = Some((batches.len() - 1, rule));
        cases.push(Case::post(on, operator, name, batches, false_at).await);
    }
    let operator = enter(101).await;
    let mut belief = on.truth(operator.stakers);
    belief.price.platform_fee += 1;
    let first = operator.batch(on, &belief, &calls(), None, &Carries::new());
    let batches = two(on, &operator, first);
    let name = "a wrong fee under another batch";
    cases.push(Case::post(on, operator, name, batches, Some((0, Rule::Fee))).await);
    for (number, rule) in [(102, Rule::Receipt), (103, Rule::Omitted)] {
        let operator = enter(number).await;
        let batches = vec![honest(on, &operator)];
        let name = "against a receipt";
        cases.push(Case::post(on, operator, name, batches, Some((0, rule))).await);
    }
    cases
}

/// Batches that are examined before the challenger's process ends.
const EXAMINED: i64 = 3;

/// Lets a challenger die between a strike and its note, and another go on.
async fn examine(watch: &Watch<'_>) {
    watch.caught_up().await;
    // Two writes a batch: what was found, and how far everything is examined.
    let killed = watch.challenger(Killed::after(Arc::clone(&watch.store), 2 * EXAMINED));
    assert!(matches!(killed.step().await, Err(Error::Store(_))));
    let struck = watch.strikes().await.len() as i64;
    assert_eq!(struck, EXAMINED + 1, "the last one is on chain and not noted");
    drop(killed);

    let challenger = watch.challenger(Arc::clone(&watch.store));
    watch.caught_up().await;
    while challenger.step().await.unwrap() {
        watch.caught_up().await;
    }
    let struck = watch.strikes().await.len();
    let again = watch.challenger(Arc::clone(&watch.store));
    watch.caught_up().await;
    assert!(!again.step().await.unwrap(), "everything is examined");
    assert_eq!(watch.strikes().await.len(), struck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_is_struck_and_honest_batches_become_final() {
    let blobs = tempfile::tempdir().unwrap();
    let on = Registries::open(blobs.path()).await;
    let cases = post_all(&on).await;
    let watch = Watch::start(&on).await;
    let before = aftermath::Before::read(&watch, &cases).await;
    examine(&watch).await;
    let payer = watch.challenger(Arc::clone(&watch.store));
    for case in &cases {
        let ((batch, posted), Some((_, rule))) = (&case.batches[0], case.false_at) else {
            continue;
        };
        match rule {
            Rule::Receipt => case.operator.contradicted(&watch, &payer, batch, posted).await,
            Rule::Omitted => case.operator.omitted(&watch, &payer, batch, posted).await,
            _ => continue,
        }
        assert_eq!(examination(&watch.store, posted.id).unwrap(), Some(Examination::Clean));
    }
    let strikes = watch.strikes().await;
    aftermath::faults_are_struck(&watch, &cases, &strikes).await;
    let rules: BTreeSet<u8> = strikes.iter().map(|strike| strike.rule).collect();
    // All but Sketch, which validators vote on, and those of uses, which have tests of their own.
    assert_eq!(rules, (0..Rule::Sketch as u8).chain([Rule::Factor as u8]).collect());
    aftermath::money_is_where_it_belongs(&watch, &cases, &strikes, &before).await;
    aftermath::table(&cases, &strikes);
    aftermath::payers_are_refunded(&watch, &cases).await;
    aftermath::honest_batches_pay(&watch, &cases).await;
    watch.end().await;
}
