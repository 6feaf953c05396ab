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
    /// `model, activation -> Mix`, from the chain.
    ModelMixes,
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
    /// `epoch, blob number -> certificate` of a batch whose blobs are not all published yet.
    Dispersals,
    /// `epoch -> ProvenBatch`.
    Proofs,
    /// `model, activation -> earner`: who owns a model for calls signed from then on, from the chain.
    ModelOwners,
    /// `operator, epoch -> batch id`, from the chain.
    OperatorBatches,
    /// `batch id -> StrikeView`, from the chain.
    Strikes,
    /// `page, version, operator -> ArchiveView`, from the chain.
    Archives,
    /// `operator, epoch -> batch id` of struck batches whose draws did not go back yet, from the
    /// chain.
    Refundable,
    /// `batch id -> ()`: struck batches of this operator that its log has told of.
    StruckSeen,
    /// `epoch, blob number -> blob` of the witnesses of a sealed batch's records.
    Witnesses,
    /// `voucher digest -> body of its request`, until the batch is final or struck.
    Requests,
    /// `vote -> VoteRow`: open votes of SketchVotes, from the chain.
    Votes,
    /// `vote, commitment -> BallotRow`: what this validator committed to, with its salt.
    Ballots,
    /// `operator, epoch, voucher digest -> Purchase`: calls that this node bought to check them.
    Purchases,
    /// `batch id -> Examination` of other operators' batches.
    Examinations,
    /// `operator -> epoch` from which on its batches may not all be examined.
    ExaminedThrough,
    /// `model -> IndexView`, from the chain.
    Indexes,
    /// `model -> IndexExamination` of others' indexes.
    IndexExaminations,
    /// `commitment, symbols -> RelayRow`: certificates on their way from EigenDA to L2.
    Relays,
    /// `block, model -> ()`: when indexes were published, from the chain.
    IndexOrder,
    /// `model -> SpanIndexView`, from the chain.
    SpanIndexes,
    /// `block, model -> ()`: when span indexes were published, from the chain.
    SpanIndexOrder,
    /// `model -> SpanExamination` of others' span indexes.
    SpanExaminations,
    /// `figure -> FigureView`, from the chain.
    Figures,
    /// `kind, subject, time -> figure`: from when figures are in force, from the chain.
    FiguresInForce,
    /// `time -> bps`: influence share of models without a report from then on, from the chain.
    DefaultInfluence,
    /// `figure -> FigureVoteView`: votes on challenged figures, from the chain.
    FigureVotes,
    /// `figure, commitment -> BallotRow`: what this validator committed to about figures.
    FigureBallots,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 53] = [
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
        Self::Earners,
        Self::EarnerIndices,
        Self::Datanets,
        Self::DatanetVersions,
        Self::Models,
        Self::ModelNames,
        Self::Prices,
        Self::ModelMixes,
        Self::Rules,
        Self::ChainChannels,
        Self::ChainBatches,
        Self::Earnings,
        Self::Claimed,
        Self::Blocks,
        Self::Rows,
        Self::Dispersals,
        Self::Proofs,
        Self::ModelOwners,
        Self::OperatorBatches,
        Self::Strikes,
        Self::Archives,
        Self::Refundable,
        Self::StruckSeen,
        Self::Witnesses,
        Self::Requests,
        Self::Votes,
        Self::Ballots,
        Self::Purchases,
        Self::Examinations,
        Self::ExaminedThrough,
        Self::Indexes,
        Self::IndexExaminations,
        Self::Relays,
        Self::IndexOrder,
        Self::SpanIndexes,
        Self::SpanIndexOrder,
        Self::SpanExaminations,
        Self::Figures,
        Self::FiguresInForce,
        Self::DefaultInfluence,
        Self::FigureVotes,
        Self::FigureBallots,
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
            Self::Earners => "earners",
            Self::EarnerIndices => "earner_indices",
            Self::Datanets => "datanets",
            Self::DatanetVersions => "datanet_versions",
            Self::Models => "models",
            Self::ModelNames => "model_names",
            Self::Prices => "prices",
            Self::ModelMixes => "model_mixes",
            Self::Rules => "rules",
            Self::ChainChannels => "chain_channels",
            Self::ChainBatches => "chain_batches",
            Self::Earnings => "earnings",
            Self::Claimed => "claimed",
            Self::Blocks => "blocks",
            Self::Rows => "rows",
            Self::Dispersals => "dispersals",
            Self::Proofs => "proofs",
            Self::ModelOwners => "model_owners",
            Self::OperatorBatches => "operator_batches",
            Self::Strikes => "strikes",
            Self::Archives => "archives",
            Self::Refundable => "refundable",
            Self::StruckSeen => "struck_seen",
            Self::Witnesses => "witnesses",
            Self::Requests => "requests",
            Self::Votes => "votes",
            Self::Ballots => "ballots",
            Self::Purchases => "purchases",
            Self::Examinations => "examinations",
            Self::ExaminedThrough => "examined_through",
            Self::Indexes => "indexes",
            Self::IndexExaminations => "index_examinations",
            Self::Relays => "relays",
            Self::IndexOrder => "index_order",
            Self::SpanIndexes => "span_indexes",
            Self::SpanIndexOrder => "span_index_order",
            Self::SpanExaminations => "span_examinations",
            Self::Figures => "figures",
            Self::FiguresInForce => "figures_in_force",
            Self::DefaultInfluence => "default_influence",
            Self::FigureVotes => "figure_votes",
            Self::FigureBallots => "figure_ballots",
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
