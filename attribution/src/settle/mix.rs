use borsh::{BorshDeserialize, BorshSerialize};

use super::{FULL_BPS, floor_bps};
use crate::{Error, Result};

/// How a model divides its contributors' share among the ways to credit them: spans of the answer
/// that rows hold word for word, rows that the answer cites, and influence, which has the rest.
///
/// The default is influence alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Mix {
    spans_bps: u16,
    citations_bps: u16,
}

/// A contributors' share in gwei, divided; the parts sum to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// For influence.
    pub influence: u64,
    /// For spans.
    pub spans: u64,
    /// For citations.
    pub citations: u64,
}

impl Mix {
    /// A mix in basis points of the contributors' share.
    ///
    /// # Errors
    /// [`Error::Field`] if they sum to more than 10 000.
    pub fn new(spans_bps: u16, citations_bps: u16) -> Result<Self> {
        let (max, given) = (u64::from(FULL_BPS), u64::from(spans_bps) + u64::from(citations_bps));
        if given > max {
            return Err(Error::Field { field: "basis points of a mix", max, given });
        }
        Ok(Self { spans_bps, citations_bps })
    }

    /// Basis points by influence: what spans and citations leave.
    #[must_use]
    pub const fn influence_bps(self) -> u16 {
        FULL_BPS - self.spans_bps - self.citations_bps
    }

    /// Basis points for spans.
    #[must_use]
    pub const fn spans_bps(self) -> u16 {
        self.spans_bps
    }

    /// Basis points for citations.
    #[must_use]
    pub const fn citations_bps(self) -> u16 {
        self.citations_bps
    }

    /// Divides a contributors' share: floors for spans and citations, the rest for influence.
    #[must_use]
    pub fn pools(self, contributors: u64) -> Pools {
        let spans = floor_bps(contributors, self.spans_bps);
        let citations = floor_bps(contributors, self.citations_bps);
        Pools { influence: contributors - spans - citations, spans, citations }
    }
}
