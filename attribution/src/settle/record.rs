use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::{
    ChannelId, Credit, EarnerIndex, Hash, ModelId, Payees, Price, Share, Split,
    shares::fixed_shares, signed_credits,
};
use crate::{Error, Result};

/// What was bought and served in one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Call {
    /// Channel that pays.
    pub channel: ChannelId,
    /// Cumulative gwei of the channel before this call; its interval is `[from, from + fee)`.
    pub from: u64,
    /// EIP-712 digest of the voucher; identifies the call.
    pub voucher: Hash,
    /// Model that answered.
    pub model: ModelId,
    /// Version of the model's price that the payer signed.
    pub price_version: u32,
    /// When the payer signed, in seconds; places the call in an epoch.
    pub time: u64,
    /// Prompt tokens.
    pub tokens_in: u32,
    /// Generated tokens.
    pub tokens_out: u32,
    /// The record hash, [`Witness::hash`](super::Witness::hash): binds the signed voucher, the
    /// answer and the query's sketch.
    pub record: Hash,
}

/// The governed rules and the price in force when the payer signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// Price of the call's `price_version`.
    pub price: Price,
    /// How the fee is shared.
    pub split: Split,
    /// The most contributors credited by one call.
    pub max_credits: u8,
}

/// One served call: what was bought, what it cost, who is owed for it.
///
/// Fee, shares and credits follow from the inputs of [`Record::new`] and nothing else, also when a
/// record is read back from Borsh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    call: Call,
    terms: Terms,
    payees: Payees,
    fee: u64,
    shares: Vec<Share>,
    pool: u64,
    credits: Vec<Credit>,
}

impl Record {
    /// The record of a call with the contributors' scores, of which [`signed_credits`] keeps the
    /// largest.
    ///
    /// # Errors
    /// [`Error::Overflow`] if the fee or the end of the interval is too large,
    /// [`Error::Owners`] if owners are too many, repeated or without weight,
    /// [`Error::NobodyEarns`] or [`Error::DuplicateEarner`] if an index is 0 or scored twice.
    pub fn new(
        call: Call,
        terms: Terms,
        mut payees: Payees,
        scores: &[(EarnerIndex, i64)],
    ) -> Result<Self> {
        payees.owners.sort_unstable_by_key(|owner| owner.earner);
        let fee = terms.price.fee_ceil(call.tokens_in, call.tokens_out)?;
        check_interval(call.from, fee)?;
        let split = terms.split.shares(fee);
        let shares = fixed_shares(split, &payees)?;
        let credits = signed_credits(split.contributors, scores, terms.max_credits)?;
        Ok(Self { call, terms, payees, fee, shares, pool: split.contributors, credits })
    }

    /// The same record at another place of its channel.
    ///
    /// # Errors
    /// [`Error::Overflow`] if the interval would end above `u64::MAX`.
    pub fn starting_at(mut self, from: u64) -> Result<Self> {
        check_interval(from, self.fee)?;
        self.call.from = from;
        Ok(self)
    }

    /// What was bought and served.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// Rules and price that the record follows.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Who gets the fixed shares.
    #[must_use]
    pub const fn payees(&self) -> &Payees {
        &self.payees
    }

    /// Gross fee, gwei.
    #[must_use]
    pub const fn fee(&self) -> u64 {
        self.fee
    }

    /// Cumulative gwei of the channel before and after the call.
    #[must_use]
    pub const fn interval(&self) -> (u64, u64) {
        (self.call.from, self.call.from + self.fee)
    }

    /// Fixed shares: treasury, owners by index, stakers. With [`Record::pool`] they sum to the fee.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// The contributors' share, gwei.
    #[must_use]
    pub const fn pool(&self) -> u64 {
        self.pool
    }

    /// Credits sorted by (`|S|` descending, index ascending).
    #[must_use]
    pub fn credits(&self) -> &[Credit] {
        &self.credits
    }
}

fn check_interval(from: u64, fee: u64) -> Result<()> {
    from.checked_add(fee).map(|_| ()).ok_or_else(|| Error::Overflow {
        what: "a channel's cumulative charge",
        value: u128::from(from) + u128::from(fee),
    })
}

impl BorshSerialize for Record {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        let scores: Vec<_> = self.credits.iter().map(|c| (c.earner, c.score)).collect();
        (&self.call, &self.terms, &self.payees, scores).serialize(writer)
    }
}

impl BorshDeserialize for Record {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        type Stored = (Call, Terms, Payees, Vec<(EarnerIndex, i64)>);
        let (call, terms, payees, scores) = Stored::deserialize_reader(reader)?;
        let sorted = payees.owners.is_sorted_by_key(|owner| owner.earner);
        let invalid = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let split = terms.split;
        let [platform, model, stakers, contributors] = split.bps();
        Split::new(platform, model, stakers, contributors).map_err(invalid)?;
        let record = Self::new(call, terms, payees, &scores).map_err(invalid)?;
        let kept = record.credits.iter().map(|c| (c.earner, c.score));
        if !sorted || !kept.eq(scores.iter().copied()) {
            let (scores, credits) = (scores.len(), record.credits.len());
            return Err(invalid(Error::RecordNotCanonical { scores, credits }));
        }
        Ok(record)
    }
}
