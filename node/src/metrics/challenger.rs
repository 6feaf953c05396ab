//! Metrics of the checks of other operators' batches.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::gauge;
use crate::{
    Result,
    challenger::Examination,
    store::{Store, Table, rows},
};

/// What became of the examination of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ExaminationResult {
    /// No rule is broken.
    Clean,
    /// A proof of this node struck it.
    Struck,
    /// A rule is broken, and somebody else's proof struck it.
    StruckByOthers,
    /// It ended before it could be examined.
    Late,
}

/// Label of the examinations' gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExaminationLabel {
    /// What became of them.
    pub result: ExaminationResult,
}

/// Metrics of the challenger, read from the store when they are asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChallengerMetrics {
    examinations: Family<ExaminationLabel, Gauge>,
    gas: Gauge,
}

impl ChallengerMetrics {
    /// Registers the metrics under `openledger_`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self { examinations: Family::default(), gas: Gauge::default() };
        registry.register(
            "openledger_examinations",
            "Batches of other operators that were examined, by result",
            metrics.examinations.clone(),
        );
        registry.register(
            "openledger_dispute_gas",
            "Gas of the proofs with which this node struck batches",
            metrics.gas.clone(),
        );
        metrics
    }

    /// Reads the store again.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub fn refresh(&self, store: &dyn Store) -> Result<()> {
        use ExaminationResult as R;
        let (mut counts, mut total) = ([0_u64; 4], 0_u64);
        for (_, examination) in rows::<Examination>(store, Table::Examinations, &[])? {
            let result = match examination {
                Examination::Clean => R::Clean,
                Examination::Struck { transaction, gas, .. } if !transaction.is_zero() => {
                    total = total.saturating_add(gas);
                    R::Struck
                }
                Examination::Struck { .. } => R::StruckByOthers,
                Examination::Late => R::Late,
            };
            counts[result as usize] += 1;
        }
        for result in [R::Clean, R::Struck, R::StruckByOthers, R::Late] {
            let label = ExaminationLabel { result };
            self.examinations.get_or_create(&label).set(gauge(counts[result as usize]));
        }
        self.gas.set(gauge(total));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use alloy::primitives::B256;

    use super::{super::expose, *};
    use crate::store::{MemoryStore, WriteBatch};

    #[test]
    fn examinations_are_counted_by_their_results() {
        let (store, mut registry) = (MemoryStore::default(), Registry::default());
        let metrics = ChallengerMetrics::register(&mut registry);
        let mut batch = WriteBatch::default();
        let struck = |transaction, gas| Examination::Struck { rule: 3, transaction, gas };
        let found = [
            Examination::Clean,
            Examination::Clean,
            struck(B256::repeat_byte(1), 700),
            struck(B256::repeat_byte(2), 31),
            struck(B256::repeat_byte(3), 0),
            struck(B256::ZERO, 0),
        ];
        for (key, examination) in (0_u8..).zip(&found) {
            batch.put_row(Table::Examinations, [key; 32], examination);
        }
        store.write(batch).unwrap();
        metrics.refresh(&store).unwrap();
        let text = expose(&Arc::new(registry));
        for line in [
            "openledger_examinations{result=\"Clean\"} 2",
            "openledger_examinations{result=\"Struck\"} 3",
            "openledger_examinations{result=\"StruckByOthers\"} 1",
            "openledger_examinations{result=\"Late\"} 0",
            "openledger_dispute_gas 731",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
