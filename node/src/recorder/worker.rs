//! The thread that owns the channels' totals.

use std::{collections::HashMap, sync::Arc};

use alloy::{
    primitives::{Address, B256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::Eip712Domain,
};
use attribution::settle::{self, ChannelId, ModelId, ModelOwner, Payees, Price, Split, Terms};
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::{mpsc, watch};

use super::{
    Account, Admission, CallRecord, Command, InFlight, Recorded, RecorderConfig, Refusal, Release,
    Reservation, ServedCall, admit,
};
use crate::{
    Error, Result, batcher,
    registry::{Registry, Role},
    store::{SharedStore, Store, Table, WriteBatch, get_row, read_sol, write_sol},
    voucher::{self, Receipt, SignedVoucher},
};

/// A channel's total on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChannelRow {
    /// Cumulative gwei charged by recorded calls.
    pub charged: u64,
    /// What the chain had drawn when the channel was first used here; where tiling starts.
    pub base: u64,
    /// Epoch of the last recorded call.
    pub last_epoch: u64,
}

/// A channel's totals in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) charged: u64,
    pub(super) reserved: u64,
    base: u64,
    last_epoch: Option<u64>,
    in_flight: usize,
}

/// A call that somebody is serving.
#[derive(Debug)]
struct Flight {
    voucher: SignedVoucher,
    max_fee: u64,
    epoch: u64,
    result: watch::Receiver<Option<Arc<Recorded>>>,
}

/// Where a recorded call is, and what else answers a retry.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
struct AnswerRow {
    call_key: Vec<u8>,
    #[borsh(serialize_with = "write_sol", deserialize_with = "read_sol")]
    receipt: Receipt,
    signature: Vec<u8>,
    answer: Vec<u8>,
}

/// The recorder's state; one thread owns it.
#[derive(Debug)]
pub(super) struct Worker {
    store: SharedStore,
    registry: Registry,
    signer: PrivateKeySigner,
    domain: Eip712Domain,
    config: RecorderConfig,
    channels: HashMap<B256, Totals>,
    flights: HashMap<B256, Flight>,
    epochs: BTreeMap<u64, usize>,
    sealed_through: Option<u64>,
    releases: (mpsc::UnboundedSender<B256>, mpsc::UnboundedReceiver<B256>),
}

impl Worker {
    pub(super) fn new(
        store: SharedStore,
        registry: Registry,
        signer: PrivateKeySigner,
        config: RecorderConfig,
    ) -> Result<Self> {
        let sealed_through = batcher::sealed_through(&*store)?;
        Ok(Self {
            domain: registry.contracts().voucher_domain(),
            releases: mpsc::unbounded_channel(),
            channels: HashMap::new(),
            flights: HashMap::new(),
            epochs: BTreeMap::new(),
            store,
            registry,
            signer,
            config,
            sealed_through,
        })
    }

    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            while let Ok(digest) = self.releases.1.try_recv() {
                self.release(digest);
            }
            match command {
                Command::Admit { voucher, max_fee, reply } => {
                    // Whoever asked may be gone; a reservation in the answer then releases itself.
                    let _ = reply.send(self.admit(*voucher, max_fee));
                }
                Command::Record { reservation, served, reply } => {
                    let _ = reply.send(self.record(reservation, served));
                }
                Command::Charged { channel, reply } => {
                    let _ = reply.send(self.account(channel));
                }
                Command::Seal { epoch, reply } => {
                    let _ = reply.send(self.seal(epoch));
                }
            }
        }
    }

    fn operator(&self) -> Address {
        self.signer.address()
    }

    fn admit(&mut self, signed: SignedVoucher, max_fee: u64) -> Result<Admission> {
        let view = admit::check_signer(&self.registry, &self.domain, self.operator(), &signed)?;
        let digest = voucher::digest(&signed.voucher, &self.domain);
        if let Some(flight) = self.flights.get(&digest) {
            return Ok(Admission::InFlight(InFlight { result: flight.result.clone() }));
        }
        if let Some(recorded) = self.recorded(digest)? {
            return Ok(Admission::Recorded(Box::new(recorded)));
        }
        admit::check_terms(&self.registry, self.config.max_skew, &signed)?;
        let channel = signed.voucher.channelId;
        let epoch = self.registry.epoch_of(signed.voucher.call.time);
        let totals = self.totals(channel)?;
        admit::check_epoch(epoch, totals.last_epoch, self.sealed_through)?;
        admit::check_funds(&totals, max_fee, signed.voucher.ceiling, &view)?;
        let max = self.config.max_in_flight;
        if totals.in_flight >= max {
            return Err(Refusal::TooManyInFlight { channel, given: totals.in_flight, max }.into());
        }
        self.check_room(epoch)?;
        Ok(Admission::New(self.reserve(digest, signed, epoch, max_fee, totals)))
    }

    /// Checks that the epoch's ledger has room for one call more than are recorded or in flight.
    fn check_room(&mut self, epoch: u64) -> Result<()> {
        let recorded = match self.epochs.get(&epoch) {
            Some(&recorded) => recorded,
            None => self.store.scan(Table::Calls, &epoch.to_be_bytes(), &[], usize::MAX)?.len(),
        };
        self.epochs.insert(epoch, recorded);
        let in_flight = self.flights.values().filter(|flight| flight.epoch == epoch).count();
        let max = self.config.max_epoch_calls;
        if recorded + in_flight >= max {
            return Err(Refusal::EpochFull { epoch, max }.into());
        }
        Ok(())
    }

    fn reserve(
        &mut self,
        digest: B256,
        voucher: SignedVoucher,
        epoch: u64,
        max_fee: u64,
        mut totals: Totals,
    ) -> Reservation {
        totals.reserved += max_fee;
        totals.in_flight += 1;
        totals.last_epoch = Some(epoch);
        self.channels.insert(voucher.voucher.channelId, totals);
        let result = watch::Sender::new(None);
        let flight = Flight { voucher, max_fee, epoch, result: result.subscribe() };
        self.flights.insert(digest, flight);
        Reservation { release: Release { digest, queue: self.releases.0.clone() }, max_fee, result }
    }

    /// Ends a flight without a record.
    fn release(&mut self, digest: B256) {
        if let Some(flight) = self.flights.remove(&digest) {
            self.unreserve(&flight);
        }
    }

    fn unreserve(&mut self, flight: &Flight) {
        let totals = self.channels.get_mut(&flight.voucher.voucher.channelId);
        let totals = totals.expect("a flight's channel has totals");
        totals.reserved -= flight.max_fee;
        totals.in_flight -= 1;
    }

    fn record(&mut self, reservation: Reservation, served: ServedCall) -> Result<Recorded> {
        // The flight ends here, whatever happens; the release that the reservation sends when it is
        // dropped is read before the next command, so it cannot meet a later flight.
        let digest = reservation.digest();
        let flight = self.flights.remove(&digest).expect("a reservation has a flight");
        self.unreserve(&flight);
        let recorded = self.write(digest, flight, served)?;
        // Nobody may be waiting.
        reservation.result.send_replace(Some(Arc::new(recorded.clone())));
        Ok(recorded)
    }

    /// Writes record, answer and the channel's total at once, and then charges.
    fn write(&mut self, digest: B256, flight: Flight, served: ServedCall) -> Result<Recorded> {
        let record = self.settle_record(digest, &flight, &served)?;
        let SignedVoucher { voucher, signature } = flight.voucher;
        let channel = voucher.channelId;
        let mut totals = self.totals(channel)?;
        // Within the ceiling, because charged + reserved was when the call was admitted.
        totals.charged += record.fee();
        let receipt = Receipt {
            voucherDigest: digest,
            fee: record.fee(),
            charged: totals.charged,
            tokensIn: served.tokens_in,
            tokensOut: served.tokens_out,
            outputHash: served.output_hash,
            sketchHash: served.sketch_hash,
        };
        let receipt_signature = self
            .signer
            .sign_hash_sync(&voucher::digest(&receipt, &self.domain))
            .map_err(|e| Error::Money(format!("receipt cannot be signed: {e}")))?
            .as_bytes()
            .to_vec();
        let call_key = admit::call_key(flight.epoch, voucher.call.time, digest);
        let call = CallRecord { record, voucher, signature };
        let row = AnswerRow {
            call_key: call_key.clone(),
            receipt: receipt.clone(),
            signature: receipt_signature.clone(),
            answer: served.answer,
        };
        let last_epoch =
            self.recorded_epoch(channel)?.map_or(flight.epoch, |e| e.max(flight.epoch));
        let channel_row = ChannelRow { charged: totals.charged, base: totals.base, last_epoch };
        let mut batch = WriteBatch::default();
        batch.put_row(Table::Calls, call_key, &call);
        batch.put_row(Table::Answers, digest.as_slice(), &row);
        batch.put_row(Table::Channels, channel.as_slice(), &channel_row);
        self.store.write(batch)?;
        self.channels.insert(channel, totals);
        *self.epochs.entry(flight.epoch).or_default() += 1;
        Ok(Recorded { call, receipt, signature: receipt_signature, answer: row.answer })
    }

    /// Fee, shares and credits of a served call.
    fn settle_record(
        &self,
        digest: B256,
        flight: &Flight,
        served: &ServedCall,
    ) -> Result<settle::Record> {
        let voucher = &flight.voucher.voucher;
        let record = settle::Record::new(
            settle_call(digest, voucher, served)?,
            self.terms(&voucher.call)?,
            self.payees(voucher.call.modelId)?,
            &served.scores,
        )?;
        if record.fee() > flight.max_fee {
            return Err(Error::Money(format!(
                "fee {} is above the reserved {}",
                record.fee(),
                flight.max_fee
            )));
        }
        Ok(record)
    }

    fn terms(&self, call: &voucher::Call) -> Result<Terms> {
        let missing = |what: &str| Error::Money(format!("call has no {what} on chain"));
        let price = self
            .registry
            .price_at(call.modelId, call.priceVersion)?
            .ok_or_else(|| missing("price"))?;
        let rules = self.registry.rules_at(call.time)?.ok_or_else(|| missing("fee rules"))?;
        let split = rules.split;
        Ok(Terms {
            price: Price {
                input_rate: price.inputRate,
                output_rate: price.outputRate,
                platform_fee: price.platformFee,
            },
            split: Split::new(
                split.platformBps,
                split.modelBps,
                split.stakersBps,
                split.contributorsBps,
            )?,
            max_credits: rules.maxCredits,
        })
    }

    /// Who gets the fixed shares of a call to `model`. A base model without adapter has its owner
    /// paid like an adapter's.
    fn payees(&self, model: B256) -> Result<Payees> {
        let missing = |what: String| Error::Money(format!("{what} has no earner index"));
        let view = self.registry.model(model)?.ok_or(Refusal::UnknownModel { model })?;
        let owner = self
            .registry
            .owner_earner(&view)?
            .ok_or_else(|| missing(format!("owner {} of model {model}", view.owner)))?;
        let operator = self.operator();
        let stakers = self
            .registry
            .earner_of(operator, Role::Stakers)?
            .ok_or_else(|| missing(format!("operator {operator}")))?;
        Ok(Payees { owners: vec![ModelOwner { earner: owner, weight: 1 }], stakers })
    }

    fn account(&mut self, channel: B256) -> Result<Account> {
        let Totals { charged, reserved, .. } = self.totals(channel)?;
        Ok(Account { charged, reserved })
    }

    /// A channel's totals; those of a channel seen for the first time start at what is drawn.
    fn totals(&self, channel: B256) -> Result<Totals> {
        if let Some(totals) = self.channels.get(&channel) {
            return Ok(*totals);
        }
        let stored: Option<ChannelRow> =
            get_row(&*self.store, Table::Channels, channel.as_slice())?;
        Ok(match stored {
            Some(row) => Totals {
                charged: row.charged,
                base: row.base,
                last_epoch: Some(row.last_epoch),
                ..Totals::default()
            },
            None => {
                let view =
                    self.registry.channel(channel)?.ok_or(Refusal::UnknownChannel { channel })?;
                Totals { charged: view.drawn, base: view.drawn, ..Totals::default() }
            }
        })
    }

    fn recorded_epoch(&self, channel: B256) -> Result<Option<u64>> {
        let row: Option<ChannelRow> = get_row(&*self.store, Table::Channels, channel.as_slice())?;
        Ok(row.map(|row| row.last_epoch))
    }

    fn recorded(&self, digest: B256) -> Result<Option<Recorded>> {
        recorded(&*self.store, digest)
    }

    fn seal(&mut self, epoch: u64) -> bool {
        self.sealed_through = self.sealed_through.max(Some(epoch));
        self.epochs.retain(|&of, _| of > epoch);
        !self.flights.values().any(|flight| flight.epoch <= epoch)
    }
}

/// The recorded call with this voucher digest, `None` if there is none.
///
/// # Errors
/// [`Error::Store`] if the store cannot be read or a row is damaged.
pub fn recorded(store: &dyn Store, digest: B256) -> Result<Option<Recorded>> {
    let row: Option<AnswerRow> = get_row(store, Table::Answers, digest.as_slice())?;
    let Some(AnswerRow { call_key, receipt, signature, answer }) = row else { return Ok(None) };
    let call = get_row(store, Table::Calls, &call_key)?
        .ok_or_else(|| Error::Store(format!("answer {digest} has no call")))?;
    Ok(Some(Recorded { call, receipt, signature, answer }))
}

fn settle_call(
    digest: B256,
    voucher: &voucher::Voucher,
    served: &ServedCall,
) -> Result<settle::Call> {
    let narrow = |tokens: u64| {
        u32::try_from(tokens).map_err(|_| Error::Money(format!("{tokens} tokens are above 2^32")))
    };
    Ok(settle::Call {
        channel: ChannelId(voucher.channelId.0),
        from: 0,
        voucher: digest.0,
        model: ModelId(voucher.call.modelId.0),
        price_version: voucher.call.priceVersion,
        time: voucher.call.time,
        tokens_in: narrow(served.tokens_in)?,
        tokens_out: narrow(served.tokens_out)?,
        prompt_hash: voucher.call.promptHash.0,
        output_hash: served.output_hash.0,
        sketch_hash: served.sketch_hash.0,
    })
}
