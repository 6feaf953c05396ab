//! A small chain state in a store, payers that sign, and calls that are functions of their vouchers.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use alloy::{
    primitives::{Address, B256, U256, address, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::{EarnerIndex, Uses};
use futures::{FutureExt, future::BoxFuture};
use node::{
    Error, Result,
    batcher::Weights,
    chain::{
        Certification, Contracts, Deployment,
        bindings::{G1Point, Price, Rules, Split},
    },
    committer::Kzg,
    da::DataAvailability,
    recorder::{RecorderConfig, RecorderHandle, ServedCall},
    registry::{
        ChainState, ChannelView, DatanetRef, EarnerView, Head, ModelView, PriceView, Registry,
        Role, RulesView,
    },
    standing::Standing,
    store::{Entry, MemoryStore, RocksStore, SharedStore, Store, Table, WriteBatch},
    voucher::{self, Call, SignedVoucher, Voucher},
};

use crate::anvil;

pub(crate) const EPOCH_SECONDS: u64 = 10;
pub(crate) const MAX_SKEW: u64 = 20;
pub(crate) const MAX_FEE: u64 = 20_000;
pub(crate) const START: u64 = 1_000_000;
pub(crate) const CHANNELS: u64 = 3;
pub(crate) const DEPOSIT_GWEI: u64 = 100_000_000;
pub(crate) const CONTRIBUTORS: std::ops::Range<u32> = 5..13;

/// A key that tests know.
pub(crate) fn key(number: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(number.to_be_bytes())).unwrap()
}

pub(crate) fn operator() -> PrivateKeySigner {
    key(1_000)
}

pub(crate) fn model(number: u8) -> B256 {
    keccak256([b'm', number])
}

pub(crate) fn channel(number: u64) -> B256 {
    keccak256([b'c', u8::try_from(number).unwrap()])
}

pub(crate) const fn contracts() -> Contracts {
    Contracts {
        deployment: Deployment {
            chain_id: 31_337,
            block: 0,
            earner_registry: Address::repeat_byte(1),
            datanet_registry: Address::repeat_byte(2),
            model_registry: Address::repeat_byte(3),
            influence_indexes: Address::repeat_byte(17),
            index_disputes: Address::repeat_byte(18),
            bonded_figures: Address::repeat_byte(31),
            factor_faults: Address::repeat_byte(32),
            fee_schedule: Address::repeat_byte(4),
            staking: Address::repeat_byte(5),
            payment_channels: address!("0x00000000000000000000000000000000000000c6"),
            settlement: Address::repeat_byte(7),
            disputes: Address::repeat_byte(9),
            earnings_archive: Address::repeat_byte(10),
            da_cert_verifier: Address::repeat_byte(8),
            certification: Certification::Attested,
            row_faults: Address::repeat_byte(11),
            amount_faults: Address::repeat_byte(12),
            record_faults: Address::repeat_byte(13),
            receipt_faults: Address::repeat_byte(14),
            carry_faults: Address::repeat_byte(15),
            credit_faults: Address::repeat_byte(16),
            use_faults: Address::repeat_byte(22),
            model_mixes: Address::repeat_byte(23),
            span_indexes: Address::repeat_byte(24),
            sketch_votes: Address::repeat_byte(19),
            validator_roll: Address::repeat_byte(20),
            record_samples: Address::repeat_byte(21),
        },
        epoch_seconds: EPOCH_SECONDS,
        dispute_window: 5,
        page_size: 64,
    }
}

/// What the indexer would have written.
pub(crate) fn seed(store: &dyn Store) {
    let mut batch = WriteBatch::default();
    let mut earner = |index: u32, account: Address, role: Role| {
        let view = EarnerView { earner: EarnerIndex(index), account, role };
        batch.put_row(Table::Earners, index.to_be_bytes(), &view);
        let key = [&[role as u8], account.as_slice()].concat();
        batch.put_row(Table::EarnerIndices, key, &EarnerIndex(index));
    };
    earner(1, key(0).address(), Role::Treasury);
    earner(2, operator().address(), Role::Stakers);
    earner(3, key(2_000).address(), Role::ModelOwner);
    earner(4, key(2_001).address(), Role::ModelOwner);
    for index in CONTRIBUTORS {
        earner(index, key(3_000 + u64::from(index)).address(), Role::Contributor);
    }
    let price = Price { inputRate: 7_001, outputRate: 33_333, platformFee: 17 };
    for number in 0..2_u8 {
        let id = model(number);
        let view = ModelView {
            id,
            base: B256::ZERO,
            content_hash: id,
            index_root: id,
            index_hash: id,
            name: format!("model {number}"),
            owner: key(2_000 + u64::from(number)).address(),
            price_version: 1,
            price: price.clone(),
            datanets: vec![DatanetRef { id, version: 1 }],
        };
        batch.put_row(Table::Models, id.as_slice(), &view);
        let owner = [id.as_slice(), &0_u64.to_be_bytes()].concat();
        batch.put_row(Table::ModelOwners, owner, &EarnerIndex(3 + u32::from(number)));
        let key = [id.as_slice(), &1_u32.to_be_bytes()].concat();
        batch.put_row(Table::Prices, key, &PriceView { price: price.clone() });
    }
    let split =
        Split { platformBps: 1000, modelBps: 2000, stakersBps: 2000, contributorsBps: 5000 };
    let rules = RulesView { rules: Rules { split, maxCredits: 4 } };
    batch.put_row(Table::Rules, 0_u64.to_be_bytes(), &rules);
    for number in 0..CHANNELS {
        batch.put_row(Table::ChainChannels, channel(number).as_slice(), &channel_view(number));
    }
    batch.put_row(Table::Meta, *b"indexer/head", &head(START));
    store.write(batch).unwrap();
}

pub(crate) fn channel_view(number: u64) -> ChannelView {
    ChannelView {
        payer: key(number).address(),
        operator: operator().address(),
        deposit: U256::from(DEPOSIT_GWEI) * U256::from(1_000_000_000_u64),
        drawn: 0,
        withdrawal: U256::ZERO,
    }
}

fn head(timestamp: u64) -> Head {
    Head { number: timestamp, hash: B256::from(U256::from(timestamp)), timestamp }
}

pub(crate) fn set_time(registry: &Registry, timestamp: u64) {
    let state = ChainState { head: head(timestamp), heard: Some(Instant::now()), synced: true };
    registry.publish(state);
}

/// A voucher signed by the channel's payer.
pub(crate) fn sign(number: u64, ceiling: u64, call: Call) -> SignedVoucher {
    sign_with(&key(number), Voucher { channelId: channel(number), ceiling, call })
}

pub(crate) fn sign_with(signer: &PrivateKeySigner, voucher: Voucher) -> SignedVoucher {
    let digest = voucher::digest(&voucher, &contracts().voucher_domain());
    let signature = signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
    SignedVoucher { voucher, signature }
}

pub(crate) fn call(model_number: u8, seed: u64, time: u64) -> Call {
    Call {
        modelId: model(model_number),
        priceVersion: 1,
        promptHash: keccak256(seed.to_be_bytes()),
        seed,
        maxTokens: 100,
        time,
    }
}

/// What serving a voucher's call gives; a function of its digest.
pub(crate) fn serve(voucher: &SignedVoucher) -> ServedCall {
    let digest = voucher::digest(&voucher.voucher, &contracts().voucher_domain());
    let byte = |i: usize| u64::from(digest[i]);
    let scores = CONTRIBUTORS.map(|earner| {
        let raw = i64::try_from(byte(earner as usize)).unwrap() - 100;
        (EarnerIndex(earner), raw * 1_000_003)
    });
    ServedCall {
        tokens_in: byte(0),
        tokens_out: byte(1),
        output_hash: keccak256(digest),
        sketch: digest.iter().map(|byte| byte.cast_signed()).collect(),
        scores: scores.collect(),
        uses: Uses::default(),
        request: voucher.voucher.call.seed.to_be_bytes().to_vec(),
        answer: digest.to_vec(),
    }
}

pub(crate) fn weights() -> Weights {
    let rows: std::collections::BTreeMap<_, _> =
        CONTRIBUTORS.map(|earner| (EarnerIndex(earner), earner * 3)).collect();
    (0..2).map(|number| (attribution::settle::ModelId(model(number).0), rows.clone())).collect()
}

/// A recorder over a store that is seeded.
pub(crate) fn start(store: &SharedStore) -> (Registry, RecorderHandle) {
    let registry = Registry::new(Arc::clone(store), contracts()).unwrap();
    set_time(&registry, START);
    let config = RecorderConfig { max_skew: MAX_SKEW, ..RecorderConfig::default() };
    let recorder =
        RecorderHandle::start(Arc::clone(store), registry.clone(), operator(), config).unwrap();
    (registry, recorder)
}

/// What stands of the operator's batches. None is on a chain and needs its ledger from elsewhere.
pub(crate) fn standing(store: &SharedStore, registry: &Registry) -> Standing {
    #[derive(Debug)]
    struct Nowhere;
    impl DataAvailability for Nowhere {
        fn put(&self, _: G1Point, _: Vec<u8>, _: u64) -> BoxFuture<'_, Result<Vec<u8>>> {
            async { Err(Error::Availability("nowhere".into())) }.boxed()
        }

        fn get<'a>(&'a self, _: G1Point, _: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
            async { Err(Error::Availability("nowhere".into())) }.boxed()
        }
    }
    let (layer, kzg) = (Arc::new(Nowhere), Kzg::new(anvil::srs(), 64).unwrap());
    Standing::new(Arc::clone(store), registry.clone(), layer, kzg, operator().address())
}

pub(crate) fn memory() -> SharedStore {
    let store = MemoryStore::default();
    seed(&store);
    Arc::new(store)
}

/// Opens a store on disk, which nobody may hold any more.
pub(crate) fn rocks(path: &Path) -> SharedStore {
    Arc::new(RocksStore::open(path).unwrap())
}

/// Everything in the given tables.
pub(crate) fn dump(store: &dyn Store, tables: &[Table]) -> Vec<(Table, Vec<Entry>)> {
    let all = |&table: &Table| (table, store.scan(table, &[], &[], usize::MAX).unwrap());
    tables.iter().map(all).collect()
}

/// A store that refuses writes after a number of them, as if the process were killed there.
#[derive(Debug)]
pub(crate) struct Killed {
    inner: SharedStore,
    writes_left: AtomicI64,
}

impl Killed {
    pub(crate) fn after(inner: SharedStore, writes: i64) -> Arc<Self> {
        Arc::new(Self { inner, writes_left: AtomicI64::new(writes) })
    }
}

impl Store for Killed {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>> {
        self.inner.scan(table, prefix, from, limit)
    }

    fn last(&self, table: Table, prefix: &[u8]) -> Result<Option<Entry>> {
        self.inner.last(table, prefix)
    }

    fn write(&self, batch: WriteBatch) -> Result<()> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(Error::Store("killed".into()));
        }
        self.inner.write(batch)
    }
}
