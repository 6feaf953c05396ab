//! The tables, each with its key and row.

/// A table of the store. Numbers in keys are big-endian, so that byte order is number order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Single values by name: checkpoints of stages, the indexer's head.
    Meta,
    /// `epoch, time, voucher digest -> CallRecord`: calls in the order in which a batch has them.
    Calls,
    /// `voucher digest -> Recorded` without the call: where the call is, its receipt and answer.
    Answers,
    /// `channel -> ChannelRow`: what was charged from it.
    Channels,
    /// `epoch -> SealedBatch`.
    Batches,
    /// `epoch -> blob` of the sealed batch's ledger.
    Ledgers,
    /// `epoch -> CommittedBatch`.
    Commitments,
    /// `epoch -> certificate` that the batch's blob is available.
    Certificates,
    /// `epoch -> PostedBatch`.
    Postings,
    /// `epoch -> FinalBatch`.
    Finals,
    /// `channel -> gwei` that sealed batches draw from it, in total.
    Drawn,
    /// `account key -> gwei`: negative nets that the next batch opens with.
    Carries,
    /// `earner -> EarnerView`, from the chain.
    Earners,
    /// `role, account -> earner`, from the chain.
    EarnerIndices,
    /// `datanet -> DatanetView`, from the chain.
    Datanets,
    /// `datanet, version -> VersionView`, from the chain.
    DatanetVersions,
    /// `model -> ModelRow`, from the chain.
    Models,
    /// `name, model -> ()`, from the chain.
    ModelNames,
    /// `model, price version -> Price`, from the chain.
    Prices,
    /// `activation -> Rules`, from the chain.
    Rules,
    /// `channel -> ChannelView`, from the chain.
    ChainChannels,
    /// `batch id -> ChainBatch`, from the chain.
    ChainBatches,
    /// `page, version -> EarningsView`, from the chain.
    Earnings,
    /// `earner -> cumulative gwei claimed`, from the chain.
    Claimed,
    /// `block number -> BlockRow`: hash, time and how to undo the block.
    Blocks,
    /// `row hash -> row` of a Datanet.
    Rows,
    /// `model -> IndexView`, from the chain.
    Indexes,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 27] = [
        Self::Meta,
        Self::Calls,
        Self::Answers,
        Self::Channels,
        Self::Batches,
        Self::Ledgers,
        Self::Commitments,
        Self::Certificates,
        Self::Postings,
        Self::Finals,
        Self::Drawn,
        Self::Carries,
        Self::Earners,
        Self::EarnerIndices,
        Self::Datanets,
        Self::DatanetVersions,
        Self::Models,
        Self::ModelNames,
        Self::Prices,
        Self::Rules,
        Self::ChainChannels,
        Self::ChainBatches,
        Self::Earnings,
        Self::Claimed,
        Self::Blocks,
        Self::Rows,
        Self::Indexes,
    ];

    /// The table's name on disk; it never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Calls => "calls",
            Self::Answers => "answers",
            Self::Channels => "channels",
            Self::Batches => "batches",
            Self::Ledgers => "ledgers",
            Self::Commitments => "commitments",
            Self::Certificates => "certificates",
            Self::Postings => "postings",
            Self::Finals => "finals",
            Self::Drawn => "drawn",
            Self::Carries => "carries",
            Self::Earners => "earners",
            Self::EarnerIndices => "earner_indices",
            Self::Datanets => "datanets",
            Self::DatanetVersions => "datanet_versions",
            Self::Models => "models",
            Self::ModelNames => "model_names",
            Self::Prices => "prices",
            Self::Rules => "rules",
            Self::ChainChannels => "chain_channels",
            Self::ChainBatches => "chain_batches",
            Self::Earnings => "earnings",
            Self::Claimed => "claimed",
            Self::Blocks => "blocks",
            Self::Rows => "rows",
            Self::Indexes => "indexes",
        }
    }

    /// The table with this number, as stored in undo records.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn numbers_and_names_are_unique() {
        let names: std::collections::BTreeSet<_> = Table::ALL.iter().map(|t| t.name()).collect();
        assert_eq!(names.len(), Table::ALL.len());
        for table in Table::ALL {
            assert_eq!(Table::from_number(table as u8), Some(table));
        }
    }
}
