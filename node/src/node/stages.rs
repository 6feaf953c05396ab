//! The stages from records to final batches, their archives and their disputes.

use std::sync::Arc;

use inference::engine::EngineHandle;

use super::{
    availability,
    pipeline::{self, Stage, stage},
    powers,
    start::Parts,
    votes,
};
use crate::{
    Error, Result,
    attributor::AttributorHandle,
    batcher::Batcher,
    catalog::Catalog,
    chain::{
        Contracts,
        bindings::{IPayoutVerifier, ISettlement},
    },
    committer::{Committer, Kzg},
    da::Publisher,
    earnings::{Archiver, Earnings},
    finaliser::Finaliser,
    proofs::Proofs,
    recorder::RecorderHandle,
    retrieval::Retrieval,
    settler::{Settler, Waits},
    standing::Standing,
    strikes::Strikes,
    votes::{Context, Reruns},
    worker::blocking,
};

impl Parts {
    /// Starts every stage from records to final batches and their archives.
    pub(super) async fn pipeline(
        &mut self,
        recorder: &RecorderHandle,
        engine: &EngineHandle,
        catalog: &Arc<Catalog>,
        retrieval: Option<&Retrieval>,
    ) -> Result<(Earnings, Waits)> {
        let contracts = self.registry.contracts().clone();
        let store = || Ok(Arc::clone(&self.store));
        let layer = availability(&self.config, &contracts, &self.client, store)?;
        let kzg = self.kzg(&contracts).await?;
        self.check_verifier(&kzg).await?;
        let (store, registry, client) =
            (Arc::clone(&self.store), self.registry.clone(), self.client.clone());
        let standing = Standing::new(
            Arc::clone(&store),
            registry.clone(),
            Arc::clone(&layer),
            kzg.clone(),
            self.operator,
        );
        let strikes =
            Strikes::new(Arc::clone(&store), registry.clone(), client.clone(), standing.clone());
        let batcher = Batcher::new(
            Arc::clone(&store),
            registry.clone(),
            recorder.clone(),
            standing,
            self.config.node.max_skew_seconds,
            catalog.weights(),
        );
        let committer = Committer::new(Arc::clone(&store), kzg.clone());
        let publisher = Publisher::new(Arc::clone(&store), registry.clone(), Arc::clone(&layer));
        let proofs = Proofs::new(Arc::clone(&store), &registry, self.operator, kzg.clone());
        let settler =
            Settler::new(Arc::clone(&store), registry.clone(), client.clone(), publisher.clone());
        let waits = settler.waits();
        let finaliser = Finaliser::new(Arc::clone(&store), registry.clone(), client.clone());
        let earnings =
            Earnings::new(Arc::clone(&store), registry.clone(), kzg.clone(), Arc::clone(&layer));
        let archiver = Archiver::new(
            store,
            registry,
            client,
            earnings.clone(),
            kzg.clone(),
            Arc::clone(&layer),
            self.config.earnings.archive_seconds,
        );
        // In one line, because batches on top of a struck one are sealed again: no stage may be at
        // work on one that is taken back.
        self.line(vec![
            stage!(strikes),
            stage!(batcher),
            stage!(committer),
            stage!(publisher),
            stage!(proofs),
            stage!(settler),
            stage!(finaliser),
        ]);
        self.line(vec![stage!(archiver)]);
        let attributor = AttributorHandle::start(1, self.config.model.queue)?;
        let lines = votes::lines(votes::Parts {
            config: &self.config,
            context: Context {
                store: Arc::clone(&self.store),
                registry: self.registry.clone(),
                client: self.client.clone(),
                metrics: self.votes.clone(),
            },
            layer,
            kzg,
            reruns: Reruns::new(Arc::clone(catalog), engine.clone(), attributor)
                .with_rows(self.datanet_rows())
                .with_relevance(retrieval.map(Retrieval::relevance)),
        })?;
        for line in lines {
            self.line(line);
        }
        Ok((earnings, waits))
    }

    fn line(&mut self, stages: Vec<Stage>) {
        self.tasks.spawn(pipeline::run(stages, self.poll_interval(), self.shutdown.clone()));
    }

    /// Refuses a PayoutVerifier that was deployed with another identity column than the powers give:
    /// either they are of another setup, or whoever deployed it can prove false payouts.
    async fn check_verifier(&self, kzg: &Kzg) -> Result<()> {
        let settlement = self.registry.contracts().deployment.settlement;
        let verifier = self.client.call(settlement, &ISettlement::payoutVerifierCall {}).await?;
        let identity = self.client.call(verifier, &IPayoutVerifier::identityCall {}).await?;
        if identity != kzg.identity() {
            return Err(Error::Config(format!(
                "PayoutVerifier {verifier} has not the identity column of these powers of tau"
            )));
        }
        Ok(())
    }

    async fn kzg(&self, contracts: &Contracts) -> Result<Kzg> {
        let (config, data) = (self.config.srs.clone(), self.config.node.data_dir.clone());
        let (chain_id, page_size) = (contracts.deployment.chain_id, contracts.page_size);
        blocking(move || {
            let srs = powers(&config, &data, chain_id)?;
            Kzg::new(Arc::new(srs), page_size)
        })
        .await
    }
}
