//! Votes that Disputes does not let end: the bond and the batch are freed all the same.

use std::sync::Arc;

use alloy::primitives::{U256, keccak256};
use attribution::settle::Uses;
use node::{
    Error,
    chain::bindings::{
        ISettlement,
        ISketchVotes::{self, Stage},
    },
    recorder::{Admission, Recorded, ServedCall},
    registry::BatchStatus,
    serving::{Finish, StoredAnswer},
    store::{MemoryStore, SharedStore, Table},
    votes::Releaser,
};

use super::{
    ballots::challenge,
    peer::{Peer, funded, validator},
    world::WINDOW,
};
use crate::{
    anvil::VOTE_PERIOD,
    market::{EPOCH_SECONDS, MAX_SKEW, Market, Operator},
};

const DAY: u64 = 86_400;

impl Peer {
    fn releaser(&self) -> Releaser {
        Releaser::new(self.context())
    }

    async fn vote(&self, vote: u64) -> ISketchVotes::Vote {
        let call = ISketchVotes::voteOfCall { vote: U256::from(vote) };
        self.client.call(self.votes, &call).await.unwrap()
    }
}

/// A call that the operator can answer for.
async fn serve(market: &Market, node: &Operator, seed: u64) -> Recorded {
    let voucher = market.voucher(0, seed, node.registry.head().timestamp);
    let admission = node.recorder.admit(voucher.clone(), 20_000_000).await.unwrap();
    let Admission::New(reservation) = admission else { panic!("{admission:?}") };
    let text = "answer".to_owned();
    let served = ServedCall {
        tokens_in: 30,
        tokens_out: 64,
        output_hash: keccak256(&text),
        sketch: vec![1, -2, 3],
        scores: Vec::new(),
        uses: Uses::default(),
        request: seed.to_be_bytes().to_vec(),
        answer: StoredAnswer {
            is_chat: true,
            model: "adapter".into(),
            text,
            finish: Finish::Stop,
            logprobs: None,
            spans: Vec::new(),
            retrieval: None,
        }
        .to_bytes(),
    };
    node.recorder.record(reservation, served).await.unwrap()
}

/// Whether Settlement lets Disputes strike and release.
async fn set_arbiter(market: &Market, allowed: bool) {
    let arbiter = market.contracts.deployment.disputes;
    market.govern(&ISettlement::setArbiterCall { arbiter, allowed }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_that_cannot_end_are_abandoned_and_their_batch_becomes_final() {
    let market = Market::with(10, WINDOW).await;
    let blobs = tempfile::tempdir().unwrap();
    let memory = || -> SharedStore { Arc::new(MemoryStore::default()) };
    let mut validators = Vec::new();
    for number in 700..703 {
        validators.push(validator(&market, number, memory()).await);
    }
    let node = Operator::start(&market, memory(), blobs.path()).await;
    let grudge = Peer::new(&market, &funded(&market, 801, 100).await, memory()).await;
    let time = node.registry.head().timestamp;
    market.anvil.pass(EPOCH_SECONDS - time % EPOCH_SECONDS).await;
    node.indexer.sync().await.unwrap();
    let recorded = [serve(&market, &node, 1).await, serve(&market, &node, 2).await];
    market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    node.publish().await;
    assert!(node.settler.step().await.unwrap());
    let batch = node.row::<node::batcher::SealedBatch>(Table::Batches).id;

    // The first challenge is answered, and the second not before its end.
    challenge(&grudge, batch, &node, &recorded[0]).await;
    let operator = Peer::of(&market, &node).await;
    assert!(operator.answerer().step().await.unwrap());
    challenge(&grudge, batch, &node, &recorded[1]).await;
    let votes = market.contracts.deployment.sketch_votes;
    set_arbiter(&market, false).await;
    market.anvil.pass(3 * VOTE_PERIOD + WINDOW).await;
    for peer in [&validators[0], &grudge, &operator] {
        peer.sync().await;
    }
    for peer in [&validators[0], &grudge] {
        let refused = peer.closer().step().await;
        assert!(matches!(refused, Err(Error::Reverted(_))), "{refused:?}");
    }
    assert_eq!(market.batch(batch).await.holds, 2);
    node.indexer.sync().await.unwrap();
    assert!(!node.finaliser.step().await.unwrap(), "it is held");
    for peer in [&grudge, &operator] {
        assert!(!peer.releaser().step().await.unwrap(), "somebody may still resolve them");
    }

    // Whoever has a bond there gives up, though the batch cannot be released; repeating does no harm.
    market.anvil.pass(7 * DAY).await;
    validators[0].sync().await;
    assert!(!validators[0].releaser().step().await.unwrap(), "it has nothing there");
    grudge.sync().await;
    assert!(grudge.releaser().step().await.unwrap());
    assert!(!grudge.releaser().step().await.unwrap());
    for vote in [1, 2] {
        let entry = grudge.vote(vote).await;
        assert!(entry.stage == Stage::Abandoned && entry.held);
    }
    grudge.sync().await;
    assert!(grudge.closer().step().await.unwrap(), "its bonds are withdrawn");
    let owed = ISketchVotes::owedCall { account: grudge.client.sender().unwrap() };
    assert_eq!(grudge.client.call(votes, &owed).await.unwrap(), U256::ZERO);
    assert_eq!(grudge.client.balance(votes).await.unwrap(), U256::ZERO);

    // The operator frees its batch once Disputes lets it, also after its stage has settled the votes.
    operator.sync().await;
    assert!(operator.closer().step().await.unwrap(), "the votes are over");
    let refused = operator.releaser().step().await;
    assert!(matches!(refused, Err(Error::Reverted(_))), "{refused:?}");
    set_arbiter(&market, true).await;
    assert!(operator.releaser().step().await.unwrap());
    assert_eq!(market.batch(batch).await.holds, 0);
    operator.sync().await;
    assert!(!operator.releaser().step().await.unwrap());
    node.indexer.sync().await.unwrap();
    assert!(node.finaliser.step().await.unwrap());
    node.indexer.sync().await.unwrap();
    assert_eq!(node.registry.batch(batch).unwrap().unwrap().status, BatchStatus::Final);
}
