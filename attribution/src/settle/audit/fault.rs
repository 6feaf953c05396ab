use alloc::vec::Vec;

use crate::settle::ModelId;

/// The rule that a batch broke, as `Rule` in Solidity: same names, same order, same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rule {
    /// A row decodes to nothing.
    Malformed,
    /// Row 0 says something else than the batch that was posted.
    Header,
    /// A row that is wrong by itself.
    Row,
    /// Two rows of which the second may not follow the first.
    Neighbours,
    /// Records out of order, or not as many as the header says.
    Sequence,
    /// A share or pool that is not what the fee gives.
    Split,
    /// A credit that is not what its score gives.
    Credit,
    /// A flat pay that is not what the pool's rest gives.
    Flat,
    /// A pool closed against other sums than its payout rows'.
    Closing,
    /// A fee that is not what price and tokens give.
    Fee,
    /// A share paid to somebody else.
    Payee,
    /// Two records charge the same part of a channel.
    Overlap,
    /// A record charges a part of a channel that the batch did not draw.
    Outside,
    /// A voucher that the payer did not sign, or signed for something else.
    Voucher,
    /// A slot of a witness blob that is not its record's.
    Witness,
    /// A record that contradicts the operator's receipt.
    Receipt,
    /// A receipt without a record.
    Omitted,
    /// A carry that is not what the previous batch left, or left out.
    Carry,
    /// A model without an accepted influence index.
    NotEarning,
    /// A score that is not the product of sketch and sums.
    Score,
    /// A credit or weight of somebody who is not in the index, or not so.
    Stranger,
    /// A contributor with a greater score left out of the credits.
    LeftOut,
    /// More credits than the rules allow.
    TooMany,
    /// A contributor with accepted rows and no payout row.
    Unpaid,
    /// A sketch or answer that validators recomputed otherwise.
    Sketch,
    /// A credit for a span that is not what the model's span index says.
    Span,
    /// A credit for a row that is not in the Datanet version, or not its contributor's.
    Citation,
    /// A factor that is not that of the figures in force.
    Factor,
}

/// A broken rule with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule.
    pub rule: Rule,
    /// The ledger's rows to open, ascending: those that the function of the fault contracts takes.
    pub rows: Vec<usize>,
    /// Which function, and what it takes beside the rows.
    pub evidence: Evidence,
}

/// The functions of the fault contracts, `prove` before each name, with what the rows do not say.
/// Contributors are ordinals in the model's index; `previous` are rows of the previous batch's
/// ledger, ascending; `ordinal` is the record's, which its witness is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are described above, once")]
pub enum Evidence {
    /// The row.
    Malformed,
    /// Row 0.
    Header,
    /// The row.
    Row,
    /// A row and the next.
    Neighbours,
    /// A record, its pool row, the record after its last credit.
    Sequence,
    /// The header, the last record, its pool row, the row after its last credit.
    RecordCount,
    /// A record, and a share or the pool row of it.
    Split,
    /// A pool row and one of its credits.
    Credit,
    /// A pool row and, unless its credits do not fit the ledger, the row that belies their number.
    CreditCount,
    /// A pool closing and a payout of its model.
    Flat,
    /// A pool closing and the two rows between which its model's payouts end.
    Closing,
    /// A record.
    Fee { ordinal: u16 },
    /// A record and one of its shares; `model` is zero unless it is the owner's.
    Payee { model: ModelId },
    /// Two records.
    Overlap,
    /// A record.
    Outside,
    /// A record.
    Voucher { ordinal: u16 },
    /// A record.
    Witness { ordinal: u16 },
    /// A record.
    WitnessMissing { ordinal: u16 },
    /// A record.
    Receipt { ordinal: u16 },
    /// The records, or header and last record, between which the call would be.
    Omitted,
    /// A carry, and its account's payout in the previous batch.
    Carry { previous: Vec<usize> },
    /// A carry, and the two rows between which its account's payout would be in the previous batch;
    /// no rows of it without a previous batch.
    CarryUnfounded { previous: Vec<usize> },
    /// The two rows between which the carry would be, and the payout that it takes over.
    CarryLeftOut { previous: Vec<usize> },
    /// A record.
    NotEarning { model: ModelId },
    /// A record and one of its credits.
    Score { ordinal: u16, model: ModelId, contributor: usize },
    /// A credit or payout; the contributors before and after the earner.
    Stranger { model: ModelId, lower: Option<usize>, upper: Option<usize> },
    /// A pool closing and a payout of its model.
    WrongRows { model: ModelId, contributor: usize },
    /// A record, its pool row, and the credits between which the contributor's would be.
    LeftOut { ordinal: u16, model: ModelId, contributor: usize },
    /// A record and its pool row.
    TooMany,
    /// A pool closing and the two rows between which the payout would be.
    Unpaid { model: ModelId, contributor: usize },
    /// A record, and a span credit of it though no span index of the model pays for it.
    SpanUnfounded { model: ModelId },
    /// A span credit whose ranks go beyond the index.
    SpanBeyond { model: ModelId },
    /// A span credit, and a rank that is among its ranks or beside them, and should not or should.
    SpanRange { model: ModelId, rank: u64 },
    /// A span credit of somebody else than the contributor of its occurrence's cluster.
    SpanHolder { model: ModelId },
    /// A span credit, and an earlier occurrence of the same cluster.
    SpanRepeat { model: ModelId, occurrence: u16 },
    /// A span credit whose occurrences are of another number of clusters.
    SpanHolders { model: ModelId },
    /// A span credit.
    SpanScore { model: ModelId },
    /// Two span credits of a record, of which one's span is within the other's.
    SpanNested,
    /// A record and a span credit of it that ends after the answer.
    SpanOutside,
    /// A citation of a row that the model's Datanet versions do not have.
    CitationUnfounded { model: ModelId },
    /// A citation of a row that is a copy, or whose contributor is another.
    Citation { model: ModelId },
    /// A payout.
    Factor { model: ModelId },
}

impl Fault {
    /// Rows may repeat: the pool closing may also be the row before a gap.
    pub(super) fn new(rule: Rule, rows: &[usize], evidence: Evidence) -> Self {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        Self { rule, rows, evidence }
    }
}
