//! The stages of votes, as the configuration wants them.

use std::sync::Arc;

use super::pipeline::{Stage, stage};
use crate::{
    Result,
    challenger::{
        Challenger, Corpora, IndexAnswerer, IndexChallenger, Indexes, SpanAnswerer, SpanChallenger,
        SpanFiles,
    },
    committer::Kzg,
    config::{Config, ShoppingConfig, read_key, read_small},
    da::SharedAvailability,
    factory::IndexPublisher,
    votes::{
        Answerer, Auditor, Closer, Context, FigureCloser, FigureJudge, Judge, Pruner, Releaser,
        Reruns, Roll, Sampler, Shopper, Shopping, Watcher,
    },
};

/// Environment variable that may hold the shopper's key instead of a file.
const SHOPPER_KEY_VARIABLE: &str = "OPENLEDGER_SHOPPER_KEY";

/// What the stages share.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) context: Context,
    pub(super) layer: SharedAvailability,
    pub(super) kzg: Kzg,
    pub(super) reruns: Reruns,
}

/// The lines of stages: answers and deadlines do not wait for calls that are run again, and neither
/// for others' answers to bought calls.
///
/// # Errors
/// [`crate::Error::Config`] if a file of the configuration is wrong.
pub(super) fn lines(parts: Parts<'_>) -> Result<Vec<Vec<Stage>>> {
    let Parts { config, context, layer, kzg, reruns } = parts;
    let own = || (Arc::clone(&context.store), context.registry.clone(), context.client.clone());
    let (store, registry, client) = own();
    let pruner = Pruner::new(store, registry.clone());
    let roll = Roll::new(registry, client, config.validator.enabled);
    let watcher = Watcher::new(context.clone());
    let answerer = Answerer::new(context.clone());
    let closer = Closer::new(context.clone());
    let releaser = Releaser::new(context.clone());
    let figure_judge = FigureJudge::new(context.clone(), config.node.data_dir.clone());
    let figure_closer = FigureCloser::new(context.clone());
    let mut prompt = vec![
        stage!(pruner),
        stage!(roll),
        stage!(watcher),
        stage!(answerer),
        stage!(closer),
        stage!(releaser),
        stage!(figure_judge),
        stage!(figure_closer),
    ];
    if config.challenger.draw_samples {
        let (_, registry, client) = own();
        let sampler = Sampler::new(registry, client);
        prompt.push(stage!(sampler));
    }
    let (store, registry, client) = own();
    let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
    let indexes = Indexes::new(registry.clone(), publisher.clone());
    let corpora = Corpora::new(
        registry.clone(),
        SpanFiles {
            base: Some(config.model.base.clone()),
            models: config.model.models.clone(),
            datanets: config.node.datanets.clone(),
            folder: config.node.data_dir.join("spans"),
        },
    );
    let challenger = Challenger::new(store, registry, client, layer, kzg, indexes.clone())
        .with_spans(corpora.clone());
    let judge = Judge::new(context.clone(), reruns.clone()).with_ledgers(challenger.clone());
    let mut lines = vec![prompt, vec![stage!(judge)]];
    if config.challenger.enabled {
        let challenger = challenger.clone();
        lines.push(vec![stage!(challenger)]);
        let (store, registry, client) = own();
        let index_challenger =
            IndexChallenger::new(store, registry, client, publisher, &config.node.datanets);
        lines.push(vec![stage!(index_challenger)]);
        let (store, registry, client) = own();
        let span_challenger = SpanChallenger::new(store, registry, client, corpora.clone());
        lines.push(vec![stage!(span_challenger)]);
    }
    let (store, registry, client) = own();
    let span_answerer = SpanAnswerer::new(store, registry, client, corpora);
    lines.push(vec![stage!(span_answerer)]);
    let (store, registry, client) = own();
    let index_answerer =
        IndexAnswerer::new(store, registry, client, indexes, &config.node.datanets);
    lines.push(vec![stage!(index_answerer)]);
    let catalog = reruns.shared_catalog();
    // Also without shopping: what was bought before a restart is checked to its end.
    let auditor = Auditor::new(challenger, reruns, context.metrics.clone());
    lines.push(vec![stage!(auditor)]);
    if let Some(shopping) = &config.challenger.shopping {
        let ((store, registry, _), rpc_url) = (own(), &config.chain.rpc_url);
        let shopper = Shopper::new(store, registry, catalog, rpc_url, bought(shopping)?)?;
        lines.push(vec![stage!(shopper)]);
    }
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
