/// Part of the prover's work, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofStage {
    /// Commitments to limbs, multiplicities and reversed payouts.
    Columns,
    /// Commitments to accumulators.
    Accumulators,
    /// Commitment to the quotient of the rows' identities.
    RowQuotient,
    /// Commitment to the quotient of the pages' identities.
    PageQuotient,
    /// Evaluations and the commitment that opens them.
    Opening,
    /// The commitment that opens the combination of all.
    CombinedOpening,
}

impl ProofStage {
    /// What a person is told about it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Columns => "columns",
            Self::Accumulators => "accumulators",
            Self::RowQuotient => "quotient of the rows",
            Self::PageQuotient => "quotient of the pages",
            Self::Opening => "opening",
            Self::CombinedOpening => "combined opening",
        }
    }
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage that has just ended.
    pub ended: ProofStage,
    /// Stages that have ended.
    pub done: u32,
    /// Stages in all.
    pub of: u32,
}

impl Progress {
    pub(super) const fn after(ended: ProofStage) -> Self {
        Self { ended, done: ended as u32 + 1, of: ProofStage::CombinedOpening as u32 + 1 }
    }
}
