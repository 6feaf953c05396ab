//! Records with other spans than their answers have.

use std::sync::Arc;

use attribution::settle::{Mix, Use, Uses};
use node::{
    attributor::AttributorHandle,
    challenger::{Challenger, Indexes},
    committer::Kzg,
    factory::IndexPublisher,
    recorder::{Admission, Recorded, ServedCall},
    serving::StoredAnswer,
    store::{MemoryStore, SharedStore, Table, WriteBatch, get_row, rows},
    votes::{Auditor, BallotRow, Judge, Purchase, PurchaseState, Reruns},
    voucher::SignedVoucher,
};

use super::world::{Method, NOTICE, SPANS_BPS, World};
use crate::{
    anvil::{self, PAGE_SIZE},
    market::{EPOCH_SECONDS, MAX_SKEW, Operator},
    votes::{Peer, funded, validator},
};

impl World {
    fn reruns(&self) -> Reruns {
        let attributor = AttributorHandle::start(1, 8).unwrap();
        Reruns::new(Arc::clone(&self.catalog), self.engine.clone(), attributor)
    }

    /// Credits for spans of a row that the answer has nothing of.
    fn others(&self) -> Vec<Use> {
        let model = self.catalog.find(&self.market.model.to_string()).unwrap();
        let spans = model.spans.as_ref().unwrap();
        let text = spans.index.row_tokens(1).unwrap();
        let found = spans.find(&text[..text.len().min(8)]).unwrap();
        found.into_iter().flat_map(|found| found.uses).collect()
    }

    /// A call that is recorded like an honest one, but for its credits for spans.
    async fn serve_falsely(
        &self,
        node: &Operator,
        honest: &Recorded,
        voucher: SignedVoucher,
        spans: Vec<Use>,
    ) -> Recorded {
        let model = self.catalog.find(&self.market.model.to_string()).unwrap();
        let index = &model.adapter.as_ref().unwrap().index;
        let scores = index.score_contributors(&honest.call.sketch).unwrap();
        let admission = node.recorder.admit(voucher, 100_000_000).await.unwrap();
        let Admission::New(reservation) = admission else { panic!("{admission:?}") };
        let served = ServedCall {
            tokens_in: honest.receipt.tokensIn,
            tokens_out: honest.receipt.tokensOut,
            output_hash: honest.receipt.outputHash,
            sketch: honest.call.sketch.clone(),
            scores: index.contributors().iter().map(|c| c.earner).zip(scores).collect(),
            uses: Uses { spans, ..Uses::default() },
            request: self.body(),
            answer: honest.answer.clone(),
        };
        node.recorder.record(reservation, served).await.unwrap()
    }

    /// Notes a call as one that a node bought.
    fn bought(&self, peer: &Peer, recorded: &Recorded) -> Vec<u8> {
        let operator = self.market.operator.address();
        let epoch = peer.registry.epoch_of(recorded.call.voucher.call.time);
        let digest = recorded.call.digest();
        let text = StoredAnswer::from_bytes(&recorded.answer).unwrap().text;
        let row = Purchase {
            voucher: recorded.call.voucher.clone(),
            signature: recorded.call.signature.to_vec(),
            receipt: recorded.receipt.clone(),
            receipt_signature: recorded.signature.clone(),
            request: self.body(),
            answer: text.into_bytes(),
            state: PurchaseState::Open,
        };
        let key = [operator.as_slice(), &epoch.to_be_bytes(), digest.as_slice()].concat();
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Purchases, key.clone(), &row);
        peer.store.write(batch).unwrap();
        key
    }

    fn challenger(&self, peer: &Peer) -> Challenger {
        let kzg = Kzg::new(anvil::srs(), PAGE_SIZE).unwrap();
        let (registry, layer) = (peer.registry.clone(), self.market.layer(&self.blobs()));
        let publisher = IndexPublisher::new(Arc::clone(&layer), kzg.clone());
        let indexes = Indexes::new(registry.clone(), publisher);
        let (store, client) = (Arc::clone(&peer.store), peer.client.clone());
        Challenger::new(store, registry, client, layer, kzg, indexes)
    }
}

/// A record that credits a span of another text, and one that leaves out a span that the published index
/// has, go together with all that the chain can see; whoever runs the calls again finds them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_with_other_spans_or_without_them_are_challenged_and_judged_false() {
    let world = World::open(Method::Both, Mix::new(SPANS_BPS, 0).unwrap()).await;
    // Within an hour after its acceptance an operator need not have heard of the index.
    world.market.anvil.pass(NOTICE).await;
    let memory = || -> SharedStore { Arc::new(MemoryStore::default()) };
    let mut validators = Vec::new();
    for number in 700..703 {
        validators.push(validator(&world.market, number, memory()).await);
    }
    let node = world.operator(memory()).await;
    let time = node.registry.head().timestamp;
    let honest = world.serve(&node, world.voucher(1, time)).await.into_recorded().unwrap();
    let forged = world.serve_falsely(&node, &honest, world.voucher(2, time), world.others()).await;
    let silent = world.serve_falsely(&node, &honest, world.voucher(3, time), Vec::new()).await;
    let credited = |recorded: &Recorded| recorded.call.record.sections()[0].credits.len();
    assert!(credited(&honest) > 0 && credited(&forged) > 0);
    assert_eq!(credited(&silent), 0);
    let pool = |recorded: &Recorded| recorded.call.record.sections()[0].pool;
    assert_eq!(pool(&silent), pool(&honest), "its amounts are those of an honest record");
    world.market.anvil.pass(EPOCH_SECONDS + MAX_SKEW).await;
    node.indexer.sync().await.unwrap();
    node.publish().await;
    assert!(node.settler.step().await.unwrap());

    let signer = funded(&world.market, 800, 100).await;
    let auditor = Peer::new(&world.market, &signer, memory()).await;
    let keys = [&honest, &forged, &silent].map(|recorded| world.bought(&auditor, recorded));
    let audit = Auditor::new(world.challenger(&auditor), world.reruns(), auditor.context().metrics);
    assert!(audit.step().await.unwrap());
    let states = keys.map(|key| {
        let row: Purchase = get_row(&*auditor.store, Table::Purchases, &key).unwrap().unwrap();
        row.state
    });
    let challenged = PurchaseState::Challenged;
    assert_eq!(states, [PurchaseState::Right, challenged.clone(), challenged]);

    let operator = Peer::of(&world.market, &node).await;
    operator.sync().await;
    assert!(operator.answerer().step().await.unwrap());
    for (validator, has_ledgers) in validators.iter().zip([true, false]) {
        validator.sync().await;
        let judge = Judge::new(validator.context(), world.reruns());
        let judge = match has_ledgers {
            true => judge.with_ledgers(world.challenger(validator)),
            false => judge,
        };
        assert!(judge.step().await.unwrap());
        let ballots: Vec<(Vec<u8>, BallotRow)> =
            rows(&*validator.store, Table::Ballots, &[]).unwrap();
        assert_eq!(ballots.len(), 2);
        for (_, ballot) in &ballots {
            assert_eq!(ballot.is_false, has_ledgers, "the ledger shows it, and nothing else");
        }
    }
}
