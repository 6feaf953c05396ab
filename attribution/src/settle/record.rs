use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize, io};

use super::{
    ChannelId, Credit, EarnerIndex, Hash, Mix, ModelId, Payees, Price, Section, Share, Split,
    UseKind, Uses, shares::fixed_shares, signed_credits,
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
    uses: Uses,
    sections: Vec<Section>,
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
        payees: Payees,
        scores: &[(EarnerIndex, i64)],
    ) -> Result<Self> {
        Self::mixed(call, terms, payees, scores, Uses::default())
    }

    /// The record of a call of a model that pays for uses of rows too. A kind of use that the mix
    /// gives nothing has no section, whatever uses there are.
    ///
    /// # Errors
    /// Those of [`Record::new`], and [`Error::Uses`] naming the rule that the uses break.
    pub fn mixed(
        call: Call,
        terms: Terms,
        mut payees: Payees,
        scores: &[(EarnerIndex, i64)],
        mut uses: Uses,
    ) -> Result<Self> {
        payees.owners.sort_unstable_by_key(|owner| owner.earner);
        let fee = terms.price.fee_ceil(call.tokens_in, call.tokens_out)?;
        check_interval(call.from, fee)?;
        let split = terms.split.shares(fee);
        let shares = fixed_shares(split, &payees)?;
        let pools = uses.mix.pools(split.contributors);
        let credits = signed_credits(pools.influence, scores, terms.max_credits)?;
        let mut sections = Vec::new();
        for (kind, bps, pool, of) in [
            (UseKind::Span, uses.mix.spans_bps(), pools.spans, &mut uses.spans),
            (UseKind::Citation, uses.mix.citations_bps(), pools.citations, &mut uses.citations),
        ] {
            if bps == 0 {
                of.clear();
                continue;
            }
            let section = Section::new(kind, pool, of, terms.max_credits)?;
            *of = section.credits.iter().map(|credit| credit.of).collect();
            sections.push(section);
        }
        let pool = pools.influence;
        Ok(Self { call, terms, payees, fee, shares, pool, credits, uses, sections })
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

    /// Fixed shares: treasury, owners by index, stakers. With [`Record::pool`] and the pools of
    /// [`Record::sections`] they sum to the fee.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// What of the contributors' share is paid by influence, gwei.
    #[must_use]
    pub const fn pool(&self) -> u64 {
        self.pool
    }

    /// Credits sorted by (`|S|` descending, index ascending).
    #[must_use]
    pub fn credits(&self) -> &[Credit] {
        &self.credits
    }

    /// How rows were used, as far as it is paid, and the model's mix.
    #[must_use]
    pub const fn uses(&self) -> &Uses {
        &self.uses
    }

    /// What is paid for uses of rows: spans, then citations, each if the model's mix has it.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
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
        (&self.call, &self.terms, &self.payees, scores, &self.uses).serialize(writer)
    }
}

impl BorshDeserialize for Record {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        type Stored = (Call, Terms, Payees, Vec<(EarnerIndex, i64)>, Uses);
        let (call, terms, payees, scores, uses) = Stored::deserialize_reader(reader)?;
        let sorted = payees.owners.is_sorted_by_key(|owner| owner.earner);
        let invalid = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let split = terms.split;
        let [platform, model, stakers, contributors] = split.bps();
        Split::new(platform, model, stakers, contributors).map_err(invalid)?;
        Mix::new(uses.mix.spans_bps(), uses.mix.citations_bps()).map_err(invalid)?;
        let record = Self::mixed(call, terms, payees, &scores, uses.clone()).map_err(invalid)?;
        let kept = record.credits.iter().map(|c| (c.earner, c.score));
        if !sorted || !kept.eq(scores.iter().copied()) || record.uses != uses {
            let (scores, credits) = (scores.len(), record.credits.len());
            return Err(invalid(Error::RecordNotCanonical { scores, credits }));
        }
        Ok(record)
    }
}
