//! Batches as an operator makes them that believes something.

use std::collections::BTreeMap;

use alloy::{
    primitives::U256,
    signers::{SignerSync, local::PrivateKeySigner},
};
use attribution::settle::{
    BatchHeader, BatchInputs, Call, Carries, ChannelId, Draw, EarnerIndex, Factors, Info,
    ModelOwner, Payees, Price, Record, Row, SlotLayout, Split, Terms, Uses, Witness,
    audit::Contributor, build, check_balanced, keccak,
};
use node::{
    chain::{
        ChainClient,
        bindings::{IEarnerRegistry, IPaymentChannels, IStaking},
    },
    registry::Role,
    voucher::{self, SignedVoucher},
};

use super::{
    index::DIM,
    registries::{BASE, EPOCH_SECONDS, Registries, topic},
};
use crate::{market::coins, world::key};

/// Coins of each channel.
pub(super) const DEPOSIT: u64 = 5;
/// Coins of each operator.
pub(super) const STAKE: u64 = 10;

/// What an operator takes the registries to say.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    pub(super) price: Price,
    pub(super) split: Split,
    pub(super) max_credits: u8,
    pub(super) owner: EarnerIndex,
    pub(super) stakers: EarnerIndex,
    pub(super) factors: Factors,
    /// By the model's number.
    pub(super) indexes: BTreeMap<u8, Vec<(Contributor, Vec<i32>)>>,
    /// Mixes and uses of every call of models that have them, by the model's number.
    pub(super) uses: BTreeMap<u8, Uses>,
}

/// A paid call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) channel: usize,
    pub(super) model: u8,
    pub(super) second: u64,
    pub(super) tokens: (u32, u32),
    pub(super) sketch: i8,
}

/// An operator with two channels.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) signer: PrivateKeySigner,
    pub(super) client: ChainClient,
    pub(super) stakers: EarnerIndex,
    pub(super) channels: [(PrivateKeySigner, ChannelId); 2],
}

/// A batch that is ready to be posted.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub(super) rows: Vec<Row>,
    /// Changes of bytes behind the rows: symbol, byte, bits.
    pub(super) flips: Vec<(usize, usize, u8)>,
    pub(super) draws: Vec<Draw>,
    pub(super) header: BatchHeader,
    pub(super) layout: SlotLayout,
    pub(super) witnesses: Vec<Witness>,
    pub(super) blobs: Vec<Vec<u8>>,
    /// The voucher that covers what is drawn from each channel.
    pub(super) highest: BTreeMap<ChannelId, SignedVoucher>,
    pub(super) carries: Carries,
}

impl Operator {
    /// Stakes, and has both payers open their channels.
    pub(super) async fn enter(
        on: &Registries,
        number: usize,
        payers: &[PrivateKeySigner; 2],
    ) -> Self {
        let signer = key(1_000 + number as u64);
        on.fund(&signer, 1_000).await;
        let (client, at) = (on.client(&signer), &on.contracts.deployment);
        let register = IStaking::registerOperatorCall {};
        client.send(at.staking, &register, coins(STAKE)).await.unwrap();
        let role = Role::Stakers as u8;
        let call = IEarnerRegistry::earnerOfCall { account: signer.address(), role };
        let stakers = EarnerIndex(client.call(at.earner_registry, &call).await.unwrap());
        let mut channels = Vec::new();
        for payer in payers {
            let call = IPaymentChannels::openCall {
                operator: signer.address(),
                salt: alloy::primitives::B256::ZERO,
            };
            let opened = on.client(payer).send(at.payment_channels, &call, coins(DEPOSIT)).await;
            channels.push((payer.clone(), ChannelId(topic(&opened.unwrap()).0)));
        }
        Self { signer, client, stakers, channels: channels.try_into().unwrap() }
    }

    /// Wei that a channel has left.
    pub(super) async fn left(&self, on: &Registries, channel: usize) -> U256 {
        let call = IPaymentChannels::channelOfCall { channel: self.channels[channel].1.0.into() };
        let channel =
            self.client.call(on.contracts.deployment.payment_channels, &call).await.unwrap();
        channel.deposit - U256::from(channel.drawn) * U256::from(1_000_000_000_u64)
    }

    /// Signs a witness's voucher as the channel's payer.
    pub(super) fn sign(&self, on: &Registries, witness: &mut Witness) {
        let payer = &self.channels.iter().find(|(_, id)| *id == witness.channel).unwrap().0;
        let digest = digest(on, witness);
        witness.signature = payer.sign_hash_sync(&digest.into()).unwrap().as_bytes();
    }

    /// The batch of the epoch after `previous`, of an operator that believes in `belief` and in these
    /// carries.
    pub(super) fn batch(
        &self,
        on: &Registries,
        belief: &Belief,
        calls: &[Served],
        previous: Option<&Posted>,
        carries: &Carries,
    ) -> Posted {
        let epoch = previous.map_or(on.epoch, |batch| batch.header.epoch + 1);
        let deployment = &on.contracts.deployment;
        let header = BatchHeader {
            chain_id: deployment.chain_id,
            settlement: deployment.settlement.into(),
            operator: self.signer.address().into(),
            epoch,
        };
        let mut drawn = BTreeMap::new();
        if let Some(previous) = previous {
            drawn.extend(previous.draws.iter().map(|draw| (draw.channel, draw.to)));
        }
        let mut served: Vec<_> = (0..)
            .zip(calls)
            .map(|(number, call)| {
                let drawn = drawn.entry(self.channels[call.channel].1).or_default();
                self.serve(on, belief, number, epoch, call, drawn)
            })
            .collect();
        let highest = served
            .iter()
            .map(|(_, witness)| (witness.channel, SignedVoucher::from(witness)))
            .collect();
        served.sort_by_key(|(record, _)| (record.call().time, record.call().voucher));
        let (records, witnesses): (Vec<_>, Vec<_>) = served.into_iter().unzip();
        let rows_of = |index: &Vec<(Contributor, Vec<i32>)>| {
            index.iter().map(|(c, _)| (c.earner, c.accepted_rows)).collect()
        };
        let mut weights: BTreeMap<_, _> =
            belief.indexes.iter().map(|(n, index)| (on.models[n], rows_of(index))).collect();
        weights.insert(on.models[&BASE], BTreeMap::new());
        let ledger = build(&BatchInputs {
            header,
            carries,
            records: &records,
            weights: &weights,
            factors: &belief.factors,
        })
        .unwrap();
        let layout = SlotLayout::fitting(witnesses.len(), Witness::length(DIM)).unwrap();
        let mut posted = Posted {
            rows: ledger.rows().to_vec(),
            flips: Vec::new(),
            draws: ledger.draws().to_vec(),
            header,
            layout,
            witnesses,
            blobs: Vec::new(),
            highest,
            carries: ledger.carries().clone(),
        };
        posted.write_witnesses();
        posted
    }

    fn serve(
        &self,
        on: &Registries,
        belief: &Belief,
        number: u64,
        epoch: u64,
        served: &Served,
        drawn: &mut u64,
    ) -> (Record, Witness) {
        let (tokens_in, tokens_out) = served.tokens;
        let sketch = |k: usize| served.sketch.wrapping_mul(i8::try_from(k % 5).unwrap() + 1);
        let dim = if served.model == BASE { 0 } else { DIM };
        let model = on.models[&served.model];
        let mut witness = Witness {
            channel: self.channels[served.channel].1,
            ceiling: *drawn + 1_000_000_000,
            model,
            price_version: 1,
            prompt_hash: keccak(&[b"prompt"]),
            seed: number,
            max_tokens: tokens_out.into(),
            time: epoch * EPOCH_SECONDS + served.second,
            output_hash: keccak(&[b"answer", &number.to_be_bytes()]),
            signature: [0; 65],
            sketch: (0..dim).map(sketch).collect(),
        };
        self.sign(on, &mut witness);
        let call = Call {
            channel: witness.channel,
            from: *drawn,
            voucher: digest(on, &witness),
            model,
            price_version: 1,
            time: witness.time,
            tokens_in,
            tokens_out,
            record: witness.hash(),
        };
        let terms =
            Terms { price: belief.price, split: belief.split, max_credits: belief.max_credits };
        let owners = vec![ModelOwner { earner: belief.owner, weight: 1 }];
        let payees = Payees { owners, stakers: belief.stakers };
        let scores = belief.scores(served.model, &witness.sketch);
        let uses = belief.uses.get(&served.model).cloned().unwrap_or_default();
        let record = Record::mixed(call, terms, payees, &scores, uses).unwrap();
        *drawn += record.fee();
        (record, witness)
    }
}

impl Belief {
    fn scores(&self, model: u8, sketch: &[i8]) -> Vec<(EarnerIndex, i64)> {
        let dot = |sums: &[i32]| -> i64 {
            sketch.iter().zip(sums).map(|(&q, &t)| i64::from(q) * i64::from(t)).sum()
        };
        let index = self.indexes.get(&model).into_iter().flatten();
        index.map(|(contributor, sums)| (contributor.earner, dot(sums))).collect()
    }

    /// Changes a model's index.
    pub(super) fn index(&mut self, model: u8) -> &mut Vec<(Contributor, Vec<i32>)> {
        self.indexes.get_mut(&model).unwrap()
    }
}

/// EIP-712 digest of the voucher in a witness.
pub(super) fn digest(on: &Registries, witness: &Witness) -> attribution::settle::Hash {
    let domain = on.contracts.voucher_domain();
    voucher::digest(&SignedVoucher::from(witness).voucher, &domain).0
}

impl Posted {
    pub(super) fn write_witnesses(&mut self) {
        let encoded: Vec<_> = self.witnesses.iter().map(Witness::encode).collect();
        self.blobs = self.layout.write(&encoded).unwrap();
    }

    /// Whether accounts close at zero: what the payout argument shows.
    pub(super) fn check(&self) {
        check_balanced(&self.rows, &self.draws).unwrap();
    }

    /// Numbers of the rows that are of a kind.
    pub(super) fn rows_where(&self, holds: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..self.rows.len()).filter(|&at| holds(&self.rows[at])).collect()
    }

    pub(super) fn records(&self) -> Vec<usize> {
        self.rows_where(|row| matches!(row.info, Info::Record { .. }))
    }
}
