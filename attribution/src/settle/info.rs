use super::{BatchHeader, ShareKind};

/// What a row is, and what its checks need beside account, value, earner and amount.
///
/// Long ids and hashes are cut to their leading 31 bytes, one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info {
    /// Fills the ledger; posts nothing.
    Padding,
    /// Row 0; posts nothing.
    Header {
        /// Which batch.
        batch: BatchHeader,
        /// Records in it.
        records: u32,
        /// Rows of the ledger.
        rows: u32,
        /// Gwei drawn and paid.
        total: u64,
    },
    /// Posts a negative net of the previous batch to its `Balance`.
    Carry,
    /// Opens a record; posts its fee to `Draw`. The interval ends at `from` plus the fee.
    Record {
        /// Prompt tokens.
        tokens_in: u32,
        /// Generated tokens.
        tokens_out: u32,
        /// Version of the model's price.
        price_version: u32,
        /// When the payer signed, seconds.
        time: u64,
        /// Cumulative gwei of the channel before the call.
        from: u64,
        /// Place among the batch's records, from 0.
        ordinal: u16,
        /// Model id, cut.
        model: [u8; 31],
        /// Voucher digest, cut.
        voucher: [u8; 31],
        /// Record hash, cut.
        record: [u8; 31],
    },
    /// A fixed share; posts it to `Fixed`.
    Share {
        /// Why it is paid.
        kind: ShareKind,
        /// The owner's weight, or 0.
        weight: u32,
        /// Sum of the owners' weights, or 0.
        weights: u32,
        /// Rows since the record's first; the treasury's share is at 1.
        position: u8,
    },
    /// The contributors' share of a record; posts it to `Pool`.
    PoolShare {
        /// Credits that follow.
        credits: u8,
        /// `sum |S|` over them.
        magnitude: u128,
        /// Rows since the record's first.
        position: u8,
    },
    /// A credit; posts it to `Balance`.
    Credit {
        /// `S_c`.
        score: i64,
        /// Place among the record's credits, from 0: the pool row is `place + 1` rows before.
        place: u8,
        /// `sum |S|` over the record's credits up to this one.
        magnitude_through: u128,
    },
    /// Closes a model's `Pool`; pays the treasury what influence and the flat rule leave.
    PoolClosing {
        /// Gwei paid by influence.
        influence: u64,
        /// Gwei paid by the flat rule.
        flat: u64,
        /// Accepted rows that share the flat pay, one per duplicate cluster.
        weight: u64,
    },
    /// Closes a `Balance`; pays `influence + flat`. There is one for every balance that was posted
    /// to and for every contributor with accepted rows of a model that was called.
    Payout {
        /// `floor(max(net, 0) * reputation / 10_000)`, gwei.
        influence: u64,
        /// The flat rule's share, gwei.
        flat: u64,
        /// Basis points.
        reputation: u16,
        /// The contributor's accepted rows, one per duplicate cluster, if a pool of the model closes
        /// in the batch; else 0.
        rows: u32,
        /// Sums over the model's payouts up to this one.
        through: Through,
    },
    /// Closes a `Fixed` and pays it.
    FixedPayout,
}

/// Running sums over the payout rows of one model. Those of its last payout are what its pool
/// closing says, so each can be checked against the row before it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Through {
    /// Gwei paid by influence.
    pub influence: u64,
    /// Gwei paid by the flat rule.
    pub flat: u64,
    /// Accepted rows of those whose net is not negative.
    pub weight: u64,
}

impl Through {
    /// These sums with one payout more; `None` if one of them exceeds 64 bits.
    #[must_use]
    pub fn with(self, influence: u64, flat: u64, rows: u32, net: i64) -> Option<Self> {
        let weight = if net >= 0 { u64::from(rows) } else { 0 };
        Some(Self {
            influence: self.influence.checked_add(influence)?,
            flat: self.flat.checked_add(flat)?,
            weight: self.weight.checked_add(weight)?,
        })
    }
}
