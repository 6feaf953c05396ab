//! Metrics of votes on records, and of the calls that are bought to check them.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::gauge;
use crate::{
    Result,
    store::{Store, Table, rows},
    votes::{PurchaseState, VoteRow},
};

/// What a validator voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum BallotChoice {
    /// The record is what running the call again gives.
    Holds,
    /// It is not.
    False,
}

/// Label of the counter of ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BallotLabel {
    /// What was voted.
    pub choice: BallotChoice,
}

/// Whether a vote goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum SessionState {
    /// It goes on.
    Open,
    /// It is closed.
    Closed,
}

/// Label of the gauge of votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SessionLabel {
    /// Whether they go on.
    pub state: SessionState,
}

/// What checking a purchase gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum PurchaseResult {
    /// The record is what running the call again gives.
    Right,
    /// The batch contradicts the operator's receipt.
    AgainstReceipt,
    /// The record is false, and was challenged.
    Challenged,
    /// It cannot be checked.
    Unknown,
}

/// Label of the counter of purchases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PurchaseLabel {
    /// What checking them gave.
    pub result: PurchaseResult,
}

/// Metrics of votes and purchases: counters of what this process did, and gauges that are read from
/// the store when they are asked for. Cheap to clone; clones count together.
///
/// Whoever is judged may read them, so a choice is told of when it is revealed, and a purchase when
/// its batch was compared: by then neither helps anybody.
#[derive(Clone, Debug, Default)]
pub struct VoteMetrics {
    committed: Counter,
    revealed: Family<BallotLabel, Counter>,
    answered: Counter,
    challenged: Counter,
    closed: Counter,
    purchases: Family<PurchaseLabel, Counter>,
    paid: Counter,
    votes: Family<SessionLabel, Gauge>,
    lost: Gauge,
}

impl VoteMetrics {
    /// Registers the metrics under `openledger_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut count = |name: &str, help: &str, counter: &Counter| {
            registry.register(name, help, counter.clone());
        };
        count("openledger_votes_answered", "Challenges answered", &metrics.answered);
        count("openledger_votes_challenged", "Records challenged", &metrics.challenged);
        count("openledger_votes_committed", "Ballots committed to", &metrics.committed);
        count("openledger_votes_closed", "Votes closed by this node", &metrics.closed);
        count("openledger_purchases_gwei", "Fees of checked purchases, in gwei", &metrics.paid);
        registry.register(
            "openledger_votes_revealed",
            "Ballots revealed, by choice",
            metrics.revealed.clone(),
        );
        registry.register(
            "openledger_purchases",
            "Calls bought from other operators and checked, by result",
            metrics.purchases.clone(),
        );
        registry.register("openledger_votes", "Votes, by state", metrics.votes.clone());
        registry.register(
            "openledger_votes_slashed_gwei",
            "What this operator lost as a validator, in gwei",
            metrics.lost.clone(),
        );
        metrics
    }

    /// Counts a commitment to a ballot.
    pub fn committed(&self) {
        self.committed.inc();
    }

    /// Counts a revealed ballot.
    pub fn revealed(&self, is_false: bool) {
        let choice = if is_false { BallotChoice::False } else { BallotChoice::Holds };
        self.revealed.get_or_create(&BallotLabel { choice }).inc();
    }

    /// Counts an answer to a challenge.
    pub fn answered(&self) {
        self.answered.inc();
    }

    /// Counts a challenge of somebody's record.
    pub fn challenged(&self) {
        self.challenged.inc();
    }

    /// Counts a vote that was closed.
    pub fn closed(&self) {
        self.closed.inc();
    }

    /// Counts a purchase that was checked, with its fee in gwei. One that is still open is none.
    pub fn checked(&self, state: &PurchaseState, fee: u64) {
        let result = match state {
            PurchaseState::Open => return,
            PurchaseState::Right => PurchaseResult::Right,
            PurchaseState::AgainstReceipt => PurchaseResult::AgainstReceipt,
            PurchaseState::Challenged => PurchaseResult::Challenged,
            PurchaseState::Unknown(_) => PurchaseResult::Unknown,
        };
        self.purchases.get_or_create(&PurchaseLabel { result }).inc();
        self.paid.inc_by(fee);
    }

    /// Reads the store again.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn refresh(&self, store: &dyn Store) -> Result<()> {
        let votes: Vec<(Vec<u8>, VoteRow)> = rows(store, Table::Votes, &[])?;
        let closed = votes.iter().filter(|(_, vote)| vote.is_closed).count();
        let states = [(SessionState::Open, votes.len() - closed), (SessionState::Closed, closed)];
        for (state, count) in states {
            self.votes.get_or_create(&SessionLabel { state }).set(gauge(count as u64));
        }
        let lost = votes.iter().fold(0_u64, |sum, (_, vote)| sum.saturating_add(vote.penalty_gwei));
        self.lost.set(gauge(lost));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy::primitives::{Address, B256};

    use super::{super::expose, *};
    use crate::store::{MemoryStore, WriteBatch};

    fn vote(is_closed: bool, penalty_gwei: u64) -> VoteRow {
        VoteRow {
            batch: B256::ZERO,
            operator: Address::ZERO,
            challenger: Address::ZERO,
            row: 0,
            tokens_in: 0,
            tokens_out: 0,
            witness: vec![],
            answer_ends_at: 0,
            panel: vec![],
            answer: None,
            is_closed,
            is_settled: is_closed,
            penalty_gwei,
        }
    }

    #[test]
    fn votes_and_purchases_are_counted() {
        let (store, mut registry) = (MemoryStore::default(), Registry::default());
        let metrics = VoteMetrics::register(&mut registry);
        let mut batch = WriteBatch::default();
        let votes = [vote(false, 0), vote(true, 40), vote(true, 2), vote(true, 0)];
        for (number, row) in (1_u64..).zip(&votes) {
            batch.put_row(Table::Votes, number.to_be_bytes(), row);
        }
        store.write(batch).unwrap();
        let clone = metrics.clone();
        clone.committed();
        clone.revealed(true);
        clone.revealed(true);
        clone.revealed(false);
        clone.checked(&PurchaseState::Right, 700);
        clone.checked(&PurchaseState::Unknown("why".into()), 50);
        clone.checked(&PurchaseState::Open, 9);
        metrics.refresh(&store).unwrap();
        let text = expose(&Arc::new(registry));
        for line in [
            "openledger_votes{state=\"Open\"} 1",
            "openledger_votes{state=\"Closed\"} 3",
            "openledger_votes_slashed_gwei 42",
            "openledger_votes_committed_total 1",
            "openledger_votes_revealed_total{choice=\"False\"} 2",
            "openledger_votes_revealed_total{choice=\"Holds\"} 1",
            "openledger_purchases_total{result=\"Right\"} 1",
            "openledger_purchases_total{result=\"Unknown\"} 1",
            "openledger_purchases_gwei_total 750",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("purchases_total{result=\"Open\"}"), "{text}");
    }
}
