//! A chain in memory: registries, payers' signatures, and an operator that posts what they say.

use std::{collections::BTreeMap, sync::Arc};

use attribution::settle::{
    Account, Balance, BatchHeader, BatchInputs, Call, Carries, ChannelId, Draw, EarnerIndex,
    Factors, Hash, Info, Mix, ModelId, ModelOwner, Payees, Price, Record, Row, SYMBOL_BYTES,
    SlotLayout, Split, Terms, Uses, Witness,
    audit::{
        Audit, Batch, CitedRow, Contributor, Fault, Known, Rows, Rule, Rules, Sources, SpanCorpus,
    },
    build, check_balanced, keccak,
};
use attribution::spans::SpanIndex;

pub(crate) const DIM: usize = 16;
pub(crate) const EPOCH_SECONDS: u64 = 100;
const EPOCH: u64 = 7;
const EARNERS: u32 = 40;

/// What the registries say.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) price: Price,
    pub(crate) rules: Rules,
    pub(crate) owner: EarnerIndex,
    pub(crate) stakers: EarnerIndex,
    pub(crate) is_earning: bool,
    pub(crate) payers_key: u8,
    /// Models with an index; model 9 is a base model without one.
    pub(crate) indexes: BTreeMap<ModelId, Vec<(Contributor, Vec<i32>)>>,
    contributors: BTreeMap<ModelId, Vec<Contributor>>,
    /// Of every model with an index.
    pub(crate) mix: Mix,
    pub(crate) spans: Option<Arc<SpanIndex>>,
    pub(crate) cited: BTreeMap<(u8, u64), CitedRow>,
    pub(crate) factors: Factors,
    /// What an operator makes of how rows were used; nothing else asks it.
    pub(crate) uses: fn(&Self, &Served) -> Uses,
}

pub(crate) fn model(number: u8) -> ModelId {
    ModelId(keccak(&[b"model", &[number]]))
}

pub(crate) const BASE: u8 = 9;

impl World {
    /// Models 1 and 2 with contributors 10.. by (accepted rows, seed of the sums); 0 sums to zero.
    pub(crate) fn new(contributors: &[(u32, i32)]) -> Self {
        let entry = |(i, &(accepted_rows, seed)): (u32, &(u32, i32))| {
            let sums = (0..DIM).map(|k| seed * (i32::try_from(k).unwrap() - 5));
            let earner = EarnerIndex(10 + i);
            (Contributor { earner, accepted_rows }, sums.collect())
        };
        let index: Vec<_> = (0..).zip(contributors).map(entry).collect();
        Self {
            price: Price { input_rate: 7_000, output_rate: 11_000, platform_fee: 5_000 },
            rules: Rules { split: Split::default(), max_credits: 8 },
            owner: EarnerIndex(3),
            stakers: EarnerIndex(4),
            is_earning: true,
            payers_key: 1,
            indexes: [1, 2].map(|number| (model(number), index.clone())).into(),
            contributors: BTreeMap::new(),
            mix: Mix::default(),
            spans: None,
            cited: BTreeMap::new(),
            factors: Factors::default(),
            uses: |_, _| Uses::default(),
        }
        .indexed()
    }

    /// This world after its indexes were changed.
    pub(crate) fn indexed(mut self) -> Self {
        let listed = |(&model, index): (&ModelId, &Vec<(Contributor, Vec<i32>)>)| {
            (model, index.iter().map(|(contributor, _)| *contributor).collect())
        };
        self.contributors = self.indexes.iter().map(listed).collect();
        self
    }

    /// The same with another index of model 1.
    pub(crate) fn with_index(
        &self,
        change: impl FnOnce(&mut Vec<(Contributor, Vec<i32>)>),
    ) -> Self {
        let mut other = self.clone();
        change(other.indexes.get_mut(&model(1)).unwrap());
        other.indexed()
    }

    pub(crate) fn signature(&self, witness: &Witness) -> [u8; 65] {
        let digest = self.voucher_digest(witness);
        let half = |part: u8| keccak(&[&digest, &[part, self.payers_key]]);
        let mut signature = [27; 65];
        signature[..32].copy_from_slice(&half(0));
        signature[32..64].copy_from_slice(&half(1));
        signature
    }

    fn scores(&self, witness: &Witness) -> Vec<(EarnerIndex, i64)> {
        let Some(index) = self.indexes.get(&witness.model) else { return Vec::new() };
        let score = |sums: &[i32]| -> i64 {
            witness.sketch.iter().zip(sums).map(|(&q, &t)| i64::from(q) * i64::from(t)).sum()
        };
        index.iter().map(|(contributor, sums)| (contributor.earner, score(sums))).collect()
    }
}

impl Sources for World {
    fn model(&self, leading: &[u8]) -> Option<ModelId> {
        [1, 2, BASE].map(model).into_iter().find(|model| model.0.starts_with(leading))
    }

    fn price(&self, model: ModelId, version: u32) -> Option<Price> {
        (self.model(&model.0).is_some() && version == 1).then_some(self.price)
    }

    fn rules(&self, _: u64) -> Option<Rules> {
        Some(self.rules)
    }

    fn owner(&self, _: ModelId, _: u64) -> EarnerIndex {
        self.owner
    }

    fn stakers(&self) -> EarnerIndex {
        self.stakers
    }

    fn is_earning(&self, of: ModelId, _: u64) -> bool {
        self.is_earning || of == model(BASE)
    }

    fn dim(&self, model: ModelId) -> usize {
        if self.indexes.contains_key(&model) { DIM } else { 0 }
    }

    fn contributors(&self, model: ModelId) -> &[Contributor] {
        self.contributors.get(&model).map_or(&[], Vec::as_slice)
    }

    fn sums(&self, model: ModelId, ordinal: usize) -> &[i32] {
        &self.indexes[&model][ordinal].1
    }

    fn mix(&self, of: ModelId, _: u64) -> Mix {
        if of == model(BASE) { Mix::default() } else { self.mix }
    }

    fn spans(&self, _: ModelId, _: u64) -> Known<&dyn SpanCorpus> {
        self.spans.as_deref().map_or(Known::Absent, |index| Known::Here(index))
    }

    fn cited(&self, _: ModelId, datanet: u8, row: u64) -> Known<CitedRow> {
        self.cited.get(&(datanet, row)).map_or(Known::Absent, |&row| Known::Here(row))
    }

    fn factor(&self, model: ModelId, earner: EarnerIndex, time: u64) -> Option<u16> {
        assert_eq!(time % EPOCH_SECONDS, 0, "the first second of an epoch");
        Some(self.factors.of(Balance::new(model, earner)))
    }

    fn voucher_digest(&self, witness: &Witness) -> Hash {
        let unsigned = Witness {
            output_hash: Hash::default(),
            signature: [0; 65],
            sketch: Vec::new(),
            ..witness.clone()
        };
        keccak(&[b"voucher", &unsigned.encode()])
    }

    fn is_signed(&self, witness: &Witness) -> bool {
        self.signature(witness) == witness.signature
    }
}

/// A paid call.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) channel: u8,
    pub(crate) model: u8,
    pub(crate) second: u64,
    pub(crate) tokens: (u32, u32),
    pub(crate) sketch: i8,
}

/// What an operator posted.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) rows: Vec<Row>,
    pub(crate) draws: Vec<Draw>,
    pub(crate) header: BatchHeader,
    pub(crate) total: u64,
    pub(crate) layout: SlotLayout,
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) blobs: Vec<Vec<u8>>,
    pub(crate) carries: Carries,
    pub(crate) previous: Option<Rows>,
}

/// The batch of the epoch after `previous`, as an operator makes it that believes in `world`.
pub(crate) fn post(world: &World, calls: &[Served], previous: Option<&Posted>) -> Posted {
    post_with(world, calls, previous, |_| {})
}

/// The same with changed carries.
pub(crate) fn post_with(
    world: &World,
    calls: &[Served],
    previous: Option<&Posted>,
    change: impl FnOnce(&mut Carries),
) -> Posted {
    let epoch = previous.map_or(EPOCH, |batch| batch.header.epoch + 1);
    let header = BatchHeader { chain_id: 1612, settlement: [5; 20], operator: [6; 20], epoch };
    let mut carries = previous.map(|batch| batch.carries.clone()).unwrap_or_default();
    change(&mut carries);
    let mut drawn = BTreeMap::new();
    if let Some(previous) = previous {
        drawn.extend(previous.draws.iter().map(|draw| (draw.channel, draw.to)));
    }
    let mut served: Vec<_> = (0..)
        .zip(calls)
        .map(|(i, call)| serve(world, i, epoch, call, drawn.entry(channel(call)).or_default()))
        .collect();
    served.sort_by_key(|(record, _)| (record.call().time, record.call().voucher));
    let (records, witnesses): (Vec<_>, Vec<_>) = served.into_iter().unzip();
    let rows_of = |index: &Vec<(Contributor, Vec<i32>)>| {
        index.iter().map(|(c, _)| (c.earner, c.accepted_rows)).collect()
    };
    let mut weights: BTreeMap<_, _> =
        world.indexes.iter().map(|(&model, index)| (model, rows_of(index))).collect();
    weights.insert(model(BASE), BTreeMap::new());
    let ledger = build(&BatchInputs {
        header,
        carries: &carries,
        records: &records,
        weights: &weights,
        factors: &world.factors,
    })
    .unwrap();
    check_balanced(ledger.rows(), ledger.draws()).unwrap();
    let layout = SlotLayout::fitting(witnesses.len(), Witness::length(DIM)).unwrap();
    let mut posted = Posted {
        rows: ledger.rows().to_vec(),
        draws: ledger.draws().to_vec(),
        header,
        total: ledger.total(),
        layout,
        witnesses,
        blobs: Vec::new(),
        carries: ledger.carries().clone(),
        previous: previous.map(|batch| Rows::from_rows(batch.rows.clone())),
    };
    posted.write_witnesses();
    posted
}

pub(crate) fn channel(call: &Served) -> ChannelId {
    ChannelId(keccak(&[b"channel", &[call.channel]]))
}

fn serve(
    world: &World,
    number: u64,
    epoch: u64,
    served: &Served,
    drawn: &mut u64,
) -> (Record, Witness) {
    let (tokens_in, tokens_out) = served.tokens;
    let sketch = |k: usize| served.sketch.wrapping_mul(i8::try_from(k % 5).unwrap() + 1);
    let dim = world.dim(model(served.model));
    let mut witness = Witness {
        channel: channel(served),
        ceiling: *drawn + 1_000_000_000,
        model: model(served.model),
        price_version: 1,
        prompt_hash: keccak(&[b"prompt"]),
        seed: number,
        max_tokens: tokens_out.into(),
        time: epoch * EPOCH_SECONDS + served.second,
        output_hash: keccak(&[b"answer", &number.to_be_bytes()]),
        signature: [0; 65],
        sketch: (0..dim).map(sketch).collect(),
    };
    witness.signature = world.signature(&witness);
    let call = Call {
        channel: witness.channel,
        from: *drawn,
        voucher: world.voucher_digest(&witness),
        model: witness.model,
        price_version: 1,
        time: witness.time,
        tokens_in,
        tokens_out,
        record: witness.hash(),
    };
    let terms = Terms {
        price: world.price,
        split: world.rules.split,
        max_credits: world.rules.max_credits,
    };
    let owners = vec![ModelOwner { earner: world.owner, weight: 1 }];
    let payees = Payees { owners, stakers: world.stakers };
    let uses = if served.model == BASE { Uses::default() } else { (world.uses)(world, served) };
    let record = Record::mixed(call, terms, payees, &world.scores(&witness), uses).unwrap();
    *drawn += record.fee();
    (record, witness)
}

impl Posted {
    pub(crate) fn write_witnesses(&mut self) {
        let encoded: Vec<_> = self.witnesses.iter().map(Witness::encode).collect();
        self.blobs = self.layout.write(&encoded).unwrap();
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            header: self.header,
            total: self.total,
            epoch_seconds: EPOCH_SECONDS,
            earner_count: EARNERS,
            draws: &self.draws,
            layout: self.layout,
            witnesses: self.blobs.iter().map(Vec::as_slice).collect(),
            previous: self.previous.as_ref(),
        }
    }

    pub(crate) fn faults(&self, world: &World) -> Vec<Fault> {
        let rows = Rows::from_rows(self.rows.clone());
        Audit::new(&rows, self.batch(), world).faults()
    }

    /// The symbols of the ledger's blob.
    pub(crate) fn symbols(&self) -> Vec<[u8; SYMBOL_BYTES]> {
        let mut symbols = Vec::new();
        for cell in self.rows.iter().flat_map(Row::to_cells) {
            let mut symbol = [0; SYMBOL_BYTES];
            symbol[1..].copy_from_slice(&cell);
            symbols.push(symbol);
        }
        let length = u32::try_from(31 * (symbols.len() - 1)).unwrap();
        symbols[0] = [0; SYMBOL_BYTES];
        symbols[0][2..6].copy_from_slice(&length.to_be_bytes());
        symbols
    }

    pub(crate) fn faults_of(&self, symbols: &[[u8; SYMBOL_BYTES]], world: &World) -> Vec<Fault> {
        let rows = Rows::from_symbols(symbols);
        Audit::new(&rows, self.batch(), world).faults()
    }

    /// Numbers of the rows that are of a kind.
    pub(crate) fn rows_where(&self, holds: impl Fn(&Row) -> bool) -> Vec<usize> {
        (0..self.rows.len()).filter(|&at| holds(&self.rows[at])).collect()
    }

    pub(crate) fn records(&self) -> Vec<usize> {
        self.rows_where(|row| matches!(row.info, Info::Record { .. }))
    }

    pub(crate) fn payout_of(&self, number: u8, earner: u32) -> usize {
        let account = Account::Balance(Balance::new(model(number), EarnerIndex(earner)));
        let is_payout = |row: &Row| matches!(row.info, Info::Payout { .. });
        self.rows_where(|row| is_payout(row) && row.account == account)[0]
    }
}

/// The faults' rules, each once.
pub(crate) fn rules(faults: &[Fault]) -> Vec<Rule> {
    let mut rules: Vec<_> = faults.iter().map(|fault| fault.rule).collect();
    rules.dedup();
    rules
}

/// Contributors 10 to 15: three that score, one with rows and without sums, one without either, one
/// with sums that score the other way.
pub(crate) fn world() -> World {
    World::new(&[(3, 7), (2, 5), (4, 9), (6, 0), (0, 0), (1, -5)])
}

/// Calls of both models and the base model on two channels, some at the same second.
pub(crate) fn calls() -> Vec<Served> {
    let call =
        |channel, model, second, tokens, sketch| Served { channel, model, second, tokens, sketch };
    vec![
        call(0, 1, 5, (10, 20), 3),
        call(0, 1, 9, (11, 21), -2),
        call(1, 2, 9, (7, 5), 1),
        call(0, BASE, 30, (3, 4), 0),
        call(1, 1, 99, (100, 200), 5),
    ]
}
