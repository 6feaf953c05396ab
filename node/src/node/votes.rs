//! The stages of votes, as the configuration wants them.

use std::sync::Arc;

use super::pipeline::{Stage, stage};
use crate::{
    Error, Result,
    chain::ChainClient,
    challenger::{Challenger, IndexAnswerer, IndexChallenger, Indexes},
    committer::Kzg,
    config::{Config, ShoppingConfig, read_key, read_small},
    da::SharedAvailability,
    factory::IndexPublisher,
    registry::Registry,
    store::SharedStore,
    votes::{
        Answerer, Auditor, Closer, Judge, Pruner, Releaser, Reruns, Roll, Sampler, Shopper,
        Shopping, Watcher,
    },
};

/// Environment variable that may hold the shopper's key instead of a file.
const SHOPPER_KEY_VARIABLE: &str = "OPENLEDGER_SHOPPER_KEY";

/// What the stages share.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) store: SharedStore,
    pub(super) registry: Registry,
    pub(super) client: ChainClient,
    pub(super) layer: SharedAvailability,
    pub(super) kzg: Kzg,
    pub(super) reruns: Reruns,
}

/// The lines of stages: answers and deadlines do not wait for calls that are run again, and neither
/// for others' answers to bought calls.
///
/// # Errors
/// [`Error::Config`] if what the configuration asks for is not deployed, or a file of it is wrong.
pub(super) fn lines(parts: Parts<'_>) -> Result<Vec<Vec<Stage>>> {
    let Parts { config, store, registry, client, layer, kzg, reruns } = parts;
    let deployment = registry.contracts().deployment.clone();
    let pruner = Pruner::new(Arc::clone(&store), registry.clone());
    let mut prompt = vec![stage!(pruner)];
    let mut lines = Vec::new();
    if let Some(roll) = deployment.validator_roll {
        let enabled = config.validator.enabled;
        let roll = Roll::new(registry.clone(), client.clone(), roll, enabled);
        prompt.push(stage!(roll));
    }
    let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
    let indexes = Indexes::new(registry.clone(), publisher.clone());
    if let Some(votes) = deployment.sketch_votes {
        let own = || (Arc::clone(&store), registry.clone(), client.clone());
        let (of, view, by) = own();
        let watcher = Watcher::new(of, view, by, votes);
        let (of, view, by) = own();
        let answerer = Answerer::new(of, view, by, votes);
        let (of, view, by) = own();
        let closer = Closer::new(of, view, by, votes);
        let (of, view, by) = own();
        let releaser = Releaser::new(of, view, by, votes);
        prompt.extend([stage!(watcher), stage!(answerer), stage!(closer), stage!(releaser)]);
        let (of, view, by) = own();
        let judge = Judge::new(of, view, by, votes, reruns.clone());
        lines.push(vec![stage!(judge)]);
        let (of, view, by) = own();
        let challenger = Challenger::new(of, view, by, layer, kzg, indexes.clone());
        if config.challenger.enabled {
            let challenger = challenger.clone();
            lines.push(vec![stage!(challenger)]);
            let (of, view, by) = own();
            let index_challenger =
                IndexChallenger::new(of, view, by, publisher, &config.node.datanets);
            lines.push(vec![stage!(index_challenger)]);
        }
        let auditor = Auditor::new(challenger, votes, reruns.clone());
        lines.push(vec![stage!(auditor)]);
    } else if config.validator.enabled || config.challenger.shopping.is_some() {
        return Err(Error::Config("SketchVotes is not in the deployment".into()));
    }
    let (of, view, by) = (Arc::clone(&store), registry.clone(), client.clone());
    let index_answerer = IndexAnswerer::new(of, view, by, indexes, &config.node.datanets);
    lines.push(vec![stage!(index_answerer)]);
    if config.challenger.draw_samples {
        let samples = deployment
            .record_samples
            .ok_or_else(|| Error::Config("RecordSamples is not in the deployment".into()))?;
        let sampler = Sampler::new(registry.clone(), client, samples);
        prompt.push(stage!(sampler));
    }
    if let Some(shopping) = &config.challenger.shopping {
        let (catalog, shopping) = (reruns.shared_catalog(), bought(shopping)?);
        let shopper = Shopper::new(store, registry, catalog, &config.chain.rpc_url, shopping)?;
        lines.push(vec![stage!(shopper)]);
    }
    lines.push(prompt);
    Ok(lines)
}

/// What the configuration wants bought.
fn bought(config: &ShoppingConfig) -> Result<Shopping> {
    let prompts = read_small(&config.prompts)?;
    let prompts = prompts.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Shopping {
        endpoints: config.endpoints.clone(),
        signer: read_key(SHOPPER_KEY_VARIABLE, Some(&config.key_file))?,
        prompts: prompts.map(str::to_owned).collect(),
        budget: config.budget_gwei,
        deposit: config.deposit_gwei,
        calls_per_epoch: config.calls_per_epoch,
        max_tokens: config.max_tokens,
    })
}
