//! Decides which calls are paid for, and keeps every paid call.
//!
//! One thread owns the channels' totals. A call is admitted against the chain's view of its channel
//! and what was charged and reserved before; it is recorded in one durable write together with its
//! answer and its channel's new total. Until then nothing is on disk, so a call that was not
//! recorded was never charged.

mod admit;
mod refusal;
mod types;
mod worker;

use std::{sync::Arc, thread::JoinHandle};

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use tokio::sync::{mpsc, oneshot};

pub use refusal::Refusal;
pub use types::{Admission, CallRecord, InFlight, Recorded, Reservation, ServedCall};
pub use worker::{ChannelRow, recorded};

use crate::{Error, Result, registry::Registry, store::SharedStore, voucher::SignedVoucher};

/// Bounds of the recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Seconds that a voucher's time may differ from the chain's head.
    pub max_skew: u64,
    /// Calls of one channel that may be in flight.
    pub max_in_flight: usize,
    /// Calls of one epoch, which have to fit one ledger: 65 536 rows hold 1 400 calls of 37 rows (a
    /// header, three shares, a pool row and 32 credits) and 13 736 carries, pool rows and payouts. A
    /// call of a model that pays for spans or citations counts as one more for each.
    pub max_epoch_calls: usize,
    /// Calls that wait to be admitted or recorded.
    pub queue: usize,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self { max_skew: 60, max_in_flight: 64, max_epoch_calls: 1_400, queue: 256 }
    }
}

/// What the thread is told. Releases have a queue of their own that cannot be full, because they
/// come from `Drop`; there are at most as many as calls in flight.
#[derive(Debug)]
enum Command {
    Admit {
        voucher: Box<SignedVoucher>,
        max_fee: u64,
        reply: oneshot::Sender<Result<Admission>>,
    },
    Record {
        reservation: Reservation,
        served: Box<ServedCall>,
        reply: oneshot::Sender<Result<Recorded>>,
    },
    Charged {
        channel: B256,
        reply: oneshot::Sender<Result<Account>>,
    },
    Seal {
        epoch: u64,
        reply: oneshot::Sender<bool>,
    },
}

/// Gives a reservation back when it is dropped.
#[derive(Debug)]
struct Release {
    digest: B256,
    queue: mpsc::UnboundedSender<B256>,
}

impl Drop for Release {
    fn drop(&mut self) {
        // If the thread is gone, so is the reservation.
        let _ = self.queue.send(self.digest);
    }
}

/// A channel's totals, gwei.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Charged by recorded calls.
    pub charged: u64,
    /// Set aside for calls in flight.
    pub reserved: u64,
}

/// The recorder's thread, waited for when it is dropped.
#[derive(Debug)]
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        // A panic in it was told of when it happened, and whoever asked has got an error.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// Asks the recorder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RecorderHandle {
    commands: mpsc::Sender<Command>,
    // After `commands`, as fields are dropped in order: with the last sender gone the thread ends.
    _thread: Arc<Thread>,
}

impl RecorderHandle {
    /// Starts the recorder's thread over what the store holds. It ends when all handles are dropped;
    /// the last one waits until it has let go of the store, which must not close while the process
    /// exits: RocksDB's own statics are gone by then, and it aborts.
    ///
    /// # Errors
    /// [`Error::Store`] if the store cannot be read, [`Error::Io`] if no thread can be started.
    pub fn start(
        store: SharedStore,
        registry: Registry,
        signer: PrivateKeySigner,
        config: RecorderConfig,
    ) -> Result<Self> {
        let (commands, receiver) = mpsc::channel(config.queue);
        let worker = worker::Worker::new(store, registry, signer, config)?;
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || worker.run(receiver))
            .map_err(Error::io("recorder thread"))?;
        Ok(Self { commands, _thread: Arc::new(Thread(Some(thread))) })
    }

    /// Checks a voucher and sets its call's largest fee aside.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that it breaks, in the order of [`Refusal`]'s variants;
    /// [`Error::Store`]; [`Error::Stopped`]. Nothing is changed by a call that fails.
    pub async fn admit(&self, voucher: SignedVoucher, max_fee: u64) -> Result<Admission> {
        let voucher = Box::new(voucher);
        self.ask(|reply| Command::Admit { voucher, max_fee, reply }).await?
    }

    /// Makes a served call durable and charges its fee; returns once it is on disk.
    ///
    /// # Errors
    /// [`Error::Money`] if the fee is above what was reserved or a payee is unknown,
    /// [`Error::Store`] if it cannot be written; then the call was not charged and its reservation
    /// is released.
    pub async fn record(&self, reservation: Reservation, served: ServedCall) -> Result<Recorded> {
        let served = Box::new(served);
        self.ask(|reply| Command::Record { reservation, served, reply }).await?
    }

    /// What was charged and is reserved on a channel.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`Refusal::UnknownChannel`], or [`Error::Store`].
    pub async fn charged(&self, channel: B256) -> Result<Account> {
        self.ask(|reply| Command::Charged { channel, reply }).await?
    }

    /// Refuses calls up to `epoch` from now on. False if calls of them are still in flight; then
    /// the caller asks again later.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn seal(&self, epoch: u64) -> Result<bool> {
        self.ask(|reply| Command::Seal { epoch, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Stopped("recorder");
        self.commands.send(command(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
