use alloc::{collections::BTreeMap, vec::Vec};

use super::{Balance, ChannelId, EarnerIndex, Hash, Row, ids::Words};

/// Most rows of a ledger: 8 cells of 32 bytes each fill a 16 MiB blob.
pub const MAX_ROWS: usize = 1 << 16;

/// Fewest rows of a ledger.
pub const MIN_ROWS: usize = 8;

/// Negative nets that open an operator's next batch, gwei.
pub type Carries = BTreeMap<Balance, i64>;

/// Which batch a ledger is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchHeader {
    /// Chain of the settlement contract.
    pub chain_id: u64,
    /// Settlement contract.
    pub settlement: [u8; 20],
    /// Operator that served the calls.
    pub operator: [u8; 20],
    /// Epoch that the calls were signed in.
    pub epoch: u64,
}

impl BatchHeader {
    /// `BatchId`: keccak256 of `abi.encode(chainId, Settlement, operator, uint64 epoch)`.
    #[must_use]
    pub fn batch_id(&self) -> Hash {
        Words::default()
            .uint(self.chain_id)
            .address(self.settlement)
            .address(self.operator)
            .uint(self.epoch)
            .hash()
    }
}

/// What a batch draws from one channel: cumulative gwei before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The channel.
    pub channel: ChannelId,
    /// Cumulative gwei before the batch.
    pub from: u64,
    /// Cumulative gwei after it.
    pub to: u64,
}

impl Draw {
    /// Gwei drawn; 0 if it ends before it begins.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }
}

/// Sealed records as a double-entry ledger; made by [`build`](super::build).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub(super) header: BatchHeader,
    pub(super) rows: Vec<Row>,
    pub(super) payouts: BTreeMap<EarnerIndex, u64>,
    pub(super) total: u64,
    pub(super) draws: Vec<Draw>,
    pub(super) carries: Carries,
}

impl Ledger {
    /// Which batch this is.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Rows, a power of two from [`MIN_ROWS`] to [`MAX_ROWS`] of them.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Gwei that each earner gets, without zeros; they sum to [`Ledger::total`].
    #[must_use]
    pub const fn payouts(&self) -> &BTreeMap<EarnerIndex, u64> {
        &self.payouts
    }

    /// Gwei drawn and paid.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Draws by channel id, one for each channel, also where nothing was charged.
    #[must_use]
    pub fn draws(&self) -> &[Draw] {
        &self.draws
    }

    /// Negative nets to open the operator's next batch with.
    #[must_use]
    pub const fn carries(&self) -> &Carries {
        &self.carries
    }
}
