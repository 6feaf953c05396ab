//! An operator's node without its API.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::primitives::B256;
use attribution::settle::{EarnerIndex, Uses};
use node::{
    Error,
    batcher::{Batcher, Weights},
    chain::{ChainClient, bindings::Claim},
    committer::{Committer, Kzg},
    da::Publisher,
    earnings::{Archiver, EarnerEarnings, Earnings},
    finaliser::Finaliser,
    indexer::Indexer,
    proofs::Proofs,
    recorder::{Admission, RecorderConfig, RecorderHandle, ServedCall},
    registry::{Registry, Role},
    settler::Settler,
    standing::Standing,
    store::{SharedStore, Table, decode},
    strikes::Strikes,
    voucher::SignedVoucher,
};

use super::{EPOCH_SECONDS, MAX_SKEW, Market};
use crate::anvil::{self, PAGE_SIZE};

/// Seconds between two snapshots.
pub(crate) const ARCHIVE_SECONDS: u64 = 86_400;

/// An operator's node without its API, over one store.
pub(crate) struct Operator {
    pub(crate) store: SharedStore,
    pub(crate) registry: Registry,
    pub(crate) indexer: Indexer,
    pub(crate) recorder: RecorderHandle,
    pub(crate) batcher: Batcher,
    pub(crate) committer: Committer,
    pub(crate) publisher: Publisher,
    pub(crate) proofs: Proofs,
    pub(crate) client: ChainClient,
    pub(crate) settler: Settler,
    pub(crate) finaliser: Finaliser,
    pub(crate) strikes: Strikes,
    pub(crate) earnings: Earnings,
    pub(crate) archiver: Archiver,
}

impl Operator {
    pub(crate) async fn start(market: &Market, store: SharedStore, blobs: &Path) -> Self {
        Self::over(market, Arc::clone(&store), store, blobs).await
    }

    /// A node whose stages have `stages` in place of the store.
    pub(crate) async fn over(
        market: &Market,
        store: SharedStore,
        stages: SharedStore,
        blobs: &Path,
    ) -> Self {
        Self::with(market, store, stages, blobs, None).await
    }

    /// A node that pays by given weights instead of one for each contributor.
    pub(crate) async fn with(
        market: &Market,
        store: SharedStore,
        stages: SharedStore,
        blobs: &Path,
        given: Option<Weights>,
    ) -> Self {
        let client = market.client(&market.operator);
        let registry = Registry::new(Arc::clone(&store), market.contracts.clone()).unwrap();
        let pause = Duration::from_millis(50);
        let indexer = Indexer::new(Arc::clone(&store), registry.clone(), client.clone(), pause);
        indexer.sync().await.unwrap();
        let config = RecorderConfig { max_skew: MAX_SKEW, ..Default::default() };
        let signer = market.operator.clone();
        let recorder =
            RecorderHandle::start(Arc::clone(&store), registry.clone(), signer, config).unwrap();
        let layer = market.layer(blobs);
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let operator = market.operator.address();
        let own = || (Arc::clone(&stages), registry.clone());
        let (of, view) = own();
        let standing = Standing::new(of, view, Arc::clone(&layer), kzg.clone(), operator);
        let (of, view) = own();
        let publisher = Publisher::new(of, view, Arc::clone(&layer));
        let (of, view) = own();
        let earnings = Earnings::new(of, view, kzg.clone(), Arc::clone(&layer));
        let (of, view) = own();
        let weights = given.unwrap_or_else(|| weights(&registry, market.model));
        let batcher = Batcher::new(of, view, recorder.clone(), standing.clone(), MAX_SKEW, weights);
        let (of, view) = own();
        let settler = Settler::new(of, view, client.clone(), publisher.clone());
        let (of, view) = own();
        let finaliser = Finaliser::new(of, view, client.clone());
        let (of, view) = own();
        let strikes = Strikes::new(of, view, client.clone(), standing);
        let (of, view) = own();
        let (by, from) = (client.clone(), earnings.clone());
        let archiver = Archiver::new(of, view, by, from, kzg.clone(), layer, ARCHIVE_SECONDS);
        Self {
            committer: Committer::new(Arc::clone(&stages), kzg.clone()),
            proofs: Proofs::new(Arc::clone(&stages), &registry, operator, kzg),
            batcher,
            publisher,
            settler,
            finaliser,
            strikes,
            archiver,
            earnings,
            store,
            registry,
            indexer,
            recorder,
            client,
        }
    }

    pub(crate) async fn serve(&self, voucher: SignedVoucher) -> u64 {
        let admission = self.recorder.admit(voucher.clone(), 20_000_000).await.unwrap();
        let Admission::New(reservation) = admission else { panic!("{admission:?}") };
        let seed = voucher.voucher.call.seed;
        let earners = self.registry.earners().unwrap();
        let contributors = earners.iter().filter(|view| view.role == Role::Contributor);
        let score = |earner: EarnerIndex| {
            let raw = i64::try_from((u64::from(earner.0) * 31 + seed * 17) % 100).unwrap();
            // Some do harm in most calls, so that batches leave negative nets.
            let harm = if earner.0.is_multiple_of(4) { 80 } else { 20 };
            (earner, (raw - harm) * 10_007)
        };
        let served = ServedCall {
            tokens_in: 30 + seed % 7,
            tokens_out: 64,
            output_hash: B256::ZERO,
            sketch: vec![1, -2, 3],
            scores: contributors.map(|view| score(view.earner)).collect(),
            uses: Uses::default(),
            request: seed.to_be_bytes().to_vec(),
            answer: Vec::new(),
        };
        self.recorder.record(reservation, served).await.unwrap().receipt.fee
    }

    /// Everything up to the proof.
    pub(crate) async fn publish(&self) {
        assert!(self.batcher.step().await.unwrap());
        assert!(self.committer.step().await.unwrap());
        assert!(self.publisher.step().await.unwrap());
        assert!(self.proofs.step().await.unwrap());
    }

    /// All stages in the order of the node's line, until none has anything to do.
    ///
    /// # Errors
    /// The first of a stage.
    pub(crate) async fn drain(&self) -> Result<(), Error> {
        loop {
            self.indexer.sync().await?;
            let worked = self.strikes.step().await?
                || self.batcher.step().await?
                || self.committer.step().await?
                || self.publisher.step().await?
                || self.proofs.step().await?
                || self.settler.step().await?
                || self.finaliser.step().await?
                || self.archiver.step().await?;
            if !worked {
                return Ok(());
            }
        }
    }

    pub(crate) fn row<T: borsh::BorshDeserialize>(&self, table: Table) -> T {
        decode(table, &self.store.last(table, &[]).unwrap().unwrap().1).unwrap()
    }

    pub(crate) async fn unclaimed(&self) -> Vec<EarnerEarnings> {
        self.indexer.sync().await.unwrap();
        let all = self.earnings.all().await.unwrap();
        all.into_iter().filter(|earner| earner.cumulative > earner.claimed).collect()
    }

    pub(crate) async fn claims(&self, earners: &[EarnerEarnings]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for earner in earners {
            claims.push(self.earnings.of(earner.earner).await.unwrap().unwrap().claim().unwrap());
        }
        claims
    }
}

fn weights(registry: &Registry, model: B256) -> Weights {
    let earners = registry.earners().unwrap();
    let contributors = earners.iter().filter(|view| view.role == Role::Contributor);
    let rows = contributors.map(|view| (view.earner, 1)).collect();
    Weights::from([(attribution::settle::ModelId(model.0), rows)])
}

/// Serves calls of one epoch and lets it pass. Returns the fees.
pub(crate) async fn serve_epoch(market: &Market, node: &Operator, number: u64) -> u64 {
    market.anvil.pass(EPOCH_SECONDS - node.registry.head().timestamp % EPOCH_SECONDS).await;
    node.indexer.sync().await.unwrap();
    let time = node.registry.head().timestamp;
    let mut fees = 0;
    for seed in 0..20 {
        let voucher = market.voucher((seed % 2) as usize, number * 1_000 + seed, time);
        fees += node.serve(voucher).await;
    }
    assert!(!node.batcher.step().await.unwrap(), "the epoch is not over");
    market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    fees
}
