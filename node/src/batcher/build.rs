//! From calls to a ledger and back to money: nothing leaves here that does not add up.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};
use attribution::settle::{
    self, BatchHeader, BatchInputs, Carries, Factors, Ledger, Record, SlotLayout, Statement,
    check_balanced,
};

use super::{BatchDraw, SealedBatch, Weights};
use crate::{Error, Result, chain::Contracts, recorder::CallRecord};

/// Everything that decides a batch.
#[derive(Debug)]
pub(super) struct Inputs<'a> {
    pub(super) header: BatchHeader,
    /// The batch that left the carries.
    pub(super) previous: B256,
    pub(super) carries: &'a Carries,
    pub(super) calls: &'a [CallRecord],
    /// Gwei that earlier batches draw from each channel.
    pub(super) from: &'a BTreeMap<B256, u64>,
    pub(super) weights: &'a Weights,
    pub(super) factors: &'a Factors,
}

pub(super) fn header(contracts: &Contracts, operator: Address, epoch: u64) -> BatchHeader {
    BatchHeader {
        chain_id: contracts.deployment.chain_id,
        settlement: contracts.deployment.settlement.into(),
        operator: operator.into(),
        epoch,
    }
}

/// A batch and what comes with it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) sealed: SealedBatch,
    /// The ledger as a blob.
    pub(super) blob: Vec<u8>,
    /// The records' witnesses as blobs.
    pub(super) witnesses: Vec<Vec<u8>>,
}

/// Builds a batch.
///
/// # Errors
/// [`Error::Settle`] if no ledger can be built, [`Error::Money`] if it does not add up or a voucher
/// does not cover its draw.
pub(super) fn seal(inputs: &Inputs<'_>) -> Result<Built> {
    let by_channel = calls_by_channel(inputs.calls);
    let records = tile(&by_channel, inputs.from)?;
    let ledger = settle::build(&BatchInputs {
        header: inputs.header,
        carries: inputs.carries,
        records: &records,
        weights: inputs.weights,
        factors: inputs.factors,
    })?;
    check(&ledger, &records)?;
    let (layout, witnesses) = witnesses(inputs.calls)?;
    let sealed = SealedBatch {
        epoch: inputs.header.epoch,
        id: B256::new(inputs.header.batch_id()),
        previous: inputs.previous,
        rows: narrow(ledger.rows().len())?,
        total: ledger.total(),
        calls: narrow(inputs.calls.len())?,
        witness_symbols: narrow(layout.symbols())?,
        slot_cells: narrow(layout.cells())?,
        payouts: ledger.payouts().iter().map(|(&earner, &gwei)| (earner, gwei)).collect(),
        draws: draws(&ledger, &by_channel)?,
    };
    let blob = prover::blob_from_rows(ledger.rows())?;
    Ok(Built { sealed, blob, witnesses })
}

/// The witnesses in the order of the ledger's records, in blobs.
fn witnesses(calls: &[CallRecord]) -> Result<(SlotLayout, Vec<Vec<u8>>)> {
    let mut ordered: Vec<_> = calls.iter().collect();
    ordered.sort_unstable_by_key(|call| (call.voucher.call.time, call.digest()));
    let witnesses: Vec<_> = ordered.into_iter().map(|call| call.witness().encode()).collect();
    let longest = witnesses.iter().map(Vec::len).max().unwrap_or(0);
    let layout = SlotLayout::fitting(witnesses.len(), longest)?;
    Ok((layout, layout.write(&witnesses)?))
}

type ByChannel<'a> = BTreeMap<B256, Vec<&'a CallRecord>>;

/// Each channel's calls by (ceiling, digest): the order in which the payer gave leave to charge.
fn calls_by_channel(calls: &[CallRecord]) -> ByChannel<'_> {
    let mut channels = ByChannel::new();
    for call in calls {
        channels.entry(call.voucher.channelId).or_default().push(call);
    }
    for calls in channels.values_mut() {
        calls.sort_unstable_by_key(|call| (call.voucher.ceiling, call.digest()));
    }
    channels
}

/// Puts each channel's calls one after the other, from where earlier batches end.
fn tile(channels: &ByChannel<'_>, from: &BTreeMap<B256, u64>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for (channel, calls) in channels {
        let mut at = *from.get(channel).expect("every channel of a call has its start");
        for call in calls {
            let record = call.record.clone().starting_at(at)?;
            at = record.interval().1;
            records.push(record);
        }
    }
    Ok(records)
}

/// Reads the rows as anybody else would and checks that every account closes, that they say what
/// the builder says, and that fees, draws, payouts and total are one amount.
fn check(ledger: &Ledger, records: &[Record]) -> Result<()> {
    check_balanced(ledger.rows(), ledger.draws())?;
    let read = Statement::read(ledger.rows())?;
    if read.payouts != *ledger.payouts()
        || read.total != ledger.total()
        || read.carries != *ledger.carries()
    {
        return Err(Error::Money("the rows do not say what the ledger says".into()));
    }
    let sum = |amounts: &mut dyn Iterator<Item = u64>| amounts.map(u128::from).sum::<u128>();
    let total = u128::from(ledger.total());
    let sums = [
        ("fees", sum(&mut records.iter().map(Record::fee))),
        ("draws", sum(&mut ledger.draws().iter().map(settle::Draw::amount))),
        ("payouts", sum(&mut ledger.payouts().values().copied())),
    ];
    match sums.into_iter().find(|&(_, sum)| sum != total) {
        Some((what, sum)) => {
            Err(Error::Money(format!("{what} sum to {sum} gwei, the batch's total is {total}")))
        }
        None => Ok(()),
    }
}

/// Draws with the vouchers that cover them; a channel whose calls were all free has none.
fn draws(ledger: &Ledger, channels: &ByChannel<'_>) -> Result<Vec<BatchDraw>> {
    let mut draws = Vec::new();
    for draw in ledger.draws().iter().filter(|draw| draw.amount() > 0) {
        let highest =
            channels.get(&B256::new(draw.channel.0)).and_then(|calls| calls.last()).ok_or_else(
                || Error::Money(format!("draw from {}, which has no call", draw.channel)),
            )?;
        if draw.to > highest.voucher.ceiling {
            return Err(Error::Money(format!(
                "draw from {} up to {} is above the highest ceiling, {}",
                draw.channel, draw.to, highest.voucher.ceiling
            )));
        }
        draws.push(BatchDraw {
            voucher: highest.voucher.clone(),
            signature: highest.signature.to_vec(),
            from: draw.from,
            to: draw.to,
        });
    }
    Ok(draws)
}

fn narrow(count: usize) -> Result<u32> {
    u32::try_from(count).map_err(|_| Error::Money(format!("{count} does not fit 32 bits")))
}
