use super::{BatchHeader, Citation, EarnerIndex, Ground, ShareKind, SpanUse, Use, UseKind};

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
    /// What of the contributors' share of a record is paid by influence; posts it to `Pool`.
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
        /// `floor(max(net, 0) * factor / 10_000)`, gwei.
        influence: u64,
        /// The flat rule's share, gwei.
        flat: u64,
        /// Of the contributor with the model, [`Factors::of`](super::Factors::of), bps.
        factor: u16,
        /// The contributor's accepted rows, one per duplicate cluster, if a pool of the model closes
        /// in the batch; else 0.
        rows: u32,
        /// Sums over the model's payouts up to this one.
        through: Through,
    },
    /// Closes a `Fixed` and pays it.
    FixedPayout,
    /// What of the contributors' share of a record is paid for a kind of use; posts it to `Pool`.
    UsePool {
        /// For what.
        kind: UseKind,
        /// Credits that follow.
        credits: u8,
        /// Sum of their scores.
        magnitude: u128,
        /// Rows since the record's first.
        position: u16,
    },
    /// A credit for a span that rows hold; posts it to `Balance`.
    SpanCredit {
        /// [`SpanUse::score`].
        score: u64,
        /// Place among the section's credits, from 0: the pool row is `place + 1` rows before.
        place: u8,
        /// Sum of the scores of the section's credits up to this one.
        magnitude_through: u128,
        /// Rows since the record's first.
        position: u16,
        /// The span and its holder.
        span: SpanUse,
    },
    /// A credit for a row that is cited; posts it to `Balance`.
    CitationCredit {
        /// [`Citation::score`].
        score: u64,
        /// As in a span credit.
        place: u8,
        /// As in a span credit.
        magnitude_through: u128,
        /// Rows since the record's first.
        position: u16,
        /// The row.
        citation: Citation,
    },
}

/// What all rows of pools say.
#[derive(Clone, Copy)]
pub(super) struct PoolInfo {
    /// `None` for influence.
    pub(super) kind: Option<UseKind>,
    pub(super) credits: u8,
    pub(super) magnitude: u128,
    pub(super) position: u16,
}

/// What all rows of credits say.
#[derive(Clone, Copy)]
pub(super) struct CreditInfo {
    /// `None` for influence.
    pub(super) kind: Option<UseKind>,
    pub(super) score: i128,
    pub(super) place: u8,
    pub(super) magnitude_through: u128,
}

impl Info {
    /// The row as a pool's, if it is one.
    pub(super) fn pool(&self) -> Option<PoolInfo> {
        match *self {
            Self::PoolShare { credits, magnitude, position } => {
                Some(PoolInfo { kind: None, credits, magnitude, position: position.into() })
            }
            Self::UsePool { kind, credits, magnitude, position } => {
                Some(PoolInfo { kind: Some(kind), credits, magnitude, position })
            }
            _ => None,
        }
    }

    /// The row as a credit, if it is one.
    pub(super) fn credit(&self) -> Option<CreditInfo> {
        let (kind, score, place, magnitude_through) = match *self {
            Self::Credit { score, place, magnitude_through } => {
                (None, i128::from(score), place, magnitude_through)
            }
            Self::SpanCredit { score, place, magnitude_through, .. } => {
                (Some(UseKind::Span), score.into(), place, magnitude_through)
            }
            Self::CitationCredit { score, place, magnitude_through, .. } => {
                (Some(UseKind::Citation), score.into(), place, magnitude_through)
            }
            _ => return None,
        };
        Some(CreditInfo { kind, score, place, magnitude_through })
    }

    /// The row as a use of `earner`'s, with its position, if it is one.
    pub(super) const fn as_use(&self, earner: EarnerIndex) -> Option<(Use, u16)> {
        let (score, position, ground) = match *self {
            Self::SpanCredit { score, position, span, .. } => (score, position, Ground::Span(span)),
            Self::CitationCredit { score, position, citation, .. } => {
                (score, position, Ground::Citation(citation))
            }
            _ => return None,
        };
        Some((Use { earner, score, ground }, position))
    }
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
