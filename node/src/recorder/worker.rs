//! The thread that owns the channels' totals.

mod settle;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
    sol_types::Eip712Domain,
};
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::sync::{mpsc, watch};

pub use write::recorded;

use super::{
    Account, Admission, CallRecord, Command, InFlight, Recorded, RecorderConfig, Refusal, Release,
    Reservation, ServedCall, admit,
};
use crate::{
    Result, batcher,
    registry::Registry,
    store::{SharedStore, Table, get_row, rows},
    voucher::{self, SignedVoucher},
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
    /// What it takes of its epoch's room, see [`room`].
    room: usize,
    result: watch::Receiver<Option<Arc<Recorded>>>,
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
    /// Room that an epoch's recorded calls take.
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
                    let _ = reply.send(self.record(reservation, *served));
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

    const fn operator(&self) -> Address {
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
        let call = &signed.voucher.call;
        let mix = self.registry.mix_at(call.modelId, call.time)?;
        let room = room([mix.spans_bps(), mix.citations_bps()].iter().filter(|&&bps| bps > 0));
        self.check_room(epoch, room)?;
        Ok(Admission::New(self.reserve(digest, signed, (epoch, room), max_fee, totals)))
    }

    /// Checks that the epoch's ledger has room for one call beside those recorded or in flight.
    fn check_room(&mut self, epoch: u64, room: usize) -> Result<()> {
        let recorded = match self.epochs.get(&epoch) {
            Some(&recorded) => recorded,
            None => {
                let calls: Vec<(Vec<u8>, CallRecord)> =
                    rows(&*self.store, Table::Calls, &epoch.to_be_bytes())?;
                calls.iter().map(|(_, call)| self::room(call.record.sections())).sum()
            }
        };
        self.epochs.insert(epoch, recorded);
        let flights = self.flights.values().filter(|flight| flight.epoch == epoch);
        let in_flight: usize = flights.map(|flight| flight.room).sum();
        let max = self.config.max_epoch_calls;
        if recorded + in_flight + room > max {
            return Err(Refusal::EpochFull { epoch, max }.into());
        }
        Ok(())
    }

    fn reserve(
        &mut self,
        digest: B256,
        voucher: SignedVoucher,
        (epoch, room): (u64, usize),
        max_fee: u64,
        mut totals: Totals,
    ) -> Reservation {
        totals.reserved += max_fee;
        totals.in_flight += 1;
        totals.last_epoch = Some(epoch);
        self.channels.insert(voucher.voucher.channelId, totals);
        let result = watch::Sender::new(None);
        let flight = Flight { voucher, max_fee, epoch, room, result: result.subscribe() };
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

    fn seal(&mut self, epoch: u64) -> bool {
        self.sealed_through = self.sealed_through.max(Some(epoch));
        self.epochs.retain(|&of, _| of > epoch);
        !self.flights.values().any(|flight| flight.epoch <= epoch)
    }
}

/// What a call takes of an epoch's room, in calls without sections: a section has no more rows than
/// the rest of a record.
fn room<T>(sections: impl IntoIterator<Item = T>) -> usize {
    1 + sections.into_iter().count()
}
