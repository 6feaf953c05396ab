//! Sums over all final batches, which never change: each batch is counted once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy::primitives::{Address, B256};
use attribution::settle::EarnerIndex;

use super::{
    answer::LeftOut,
    leaders::{Board, Leader, LeadersAnswer, Places, VersionEarned},
    ledgers::Ledgers,
    nodes::{indexed, models_of},
    sheet::RowsPaid,
};
use crate::{
    Error, Result,
    api::answer::Decimal,
    catalog::Catalog,
    registry::{BatchStatus, ChainBatch, Registry},
};

/// Rows of ledgers after which a question is answered with what was counted.
const STEP_ROWS: u64 = 1 << 18;
/// Between two tries to read what could not be read.
const RETRY: Duration = Duration::from_secs(600);

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By operator, the epoch before which every batch is counted.
    passed: BTreeMap<Address, u64>,
    /// Batches that are counted though an earlier one of their operator is not.
    ahead: BTreeSet<B256>,
    /// How many are counted.
    batches: u64,
    sums: Sums,
    /// Those that could not be read, and why.
    missed: BTreeMap<B256, (ChainBatch, String)>,
    tried: Option<Instant>,
}

/// Gwei that contributors are paid, and for which Datanet versions.
#[derive(Debug, Default)]
struct Sums {
    earners: BTreeMap<EarnerIndex, i128>,
    versions: BTreeMap<(B256, u32), i128>,
    unplaced: i128,
}

impl Tally {
    /// Counts batches that became final; true if there are more of them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) async fn advance(&mut self, ledgers: &Ledgers, catalog: &Catalog) -> Result<bool> {
        self.retry(ledgers, catalog).await?;
        let (mut from, mut gap, mut rows) = ((Address::ZERO, 0), None, 0_u64);
        while let Some((id, view)) = ledgers.batches(None, from, 1)?.pop() {
            let (operator, epoch) = (view.operator, view.epoch);
            let passed = self.passed.get(&operator).copied().unwrap_or(0);
            if epoch < passed {
                from = (operator, passed);
                continue;
            }
            let Some(after) = epoch.checked_add(1) else { break };
            from = (operator, after);
            if view.status != BatchStatus::Final {
                // Another may come in the place of one that was struck.
                gap = Some(operator);
                continue;
            }
            if !self.ahead.remove(&id) {
                if rows >= STEP_ROWS {
                    return Ok(true);
                }
                rows += u64::from(view.submission.rows);
                self.count(ledgers, catalog, id, view).await?;
            }
            match gap {
                Some(of) if of == operator => drop(self.ahead.insert(id)),
                _ => drop(self.passed.insert(operator, after)),
            }
        }
        Ok(false)
    }

    /// Tries again what could not be read, now and then.
    async fn retry(&mut self, ledgers: &Ledgers, catalog: &Catalog) -> Result<()> {
        if self.missed.is_empty() || self.tried.is_some_and(|at| at.elapsed() < RETRY) {
            return Ok(());
        }
        self.tried = Some(Instant::now());
        let missed: Vec<_> =
            self.missed.iter().map(|(&id, (view, _))| (id, view.clone())).collect();
        for (id, view) in missed {
            self.count(ledgers, catalog, id, view).await?;
        }
        Ok(())
    }

    async fn count(
        &mut self,
        ledgers: &Ledgers,
        catalog: &Catalog,
        id: B256,
        view: ChainBatch,
    ) -> Result<()> {
        match Sums::of(ledgers, catalog, id, view.clone()).await {
            Ok(sums) => {
                self.sums.add(sums);
                self.batches += 1;
                self.missed.remove(&id);
                Ok(())
            }
            Err(error @ Error::Store(_)) => Err(error),
            Err(error) => {
                self.tried.get_or_insert_with(Instant::now);
                self.missed.insert(id, (view, error.to_string()));
                Ok(())
            }
        }
    }

    /// A page of a ranking.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(super) fn answer(
        &self,
        registry: &Registry,
        of: Board,
        page: Places,
        is_behind: bool,
    ) -> Result<LeadersAnswer> {
        let (object, mut data) = match of {
            Board::Contributors => ("graph.contributors", self.contributors(registry)?),
            Board::Datanets => ("graph.datanets", self.datanets(registry)?),
        };
        let (count, total) = (data.len(), data.iter().map(|one| one.gwei.0).sum());
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(count);
        let (start, end) = (place(page.after), place(page.after.saturating_add(page.limit)));
        let data = data.drain(start..end).collect();
        let missed = self.missed.iter();
        let unplaced = match of {
            Board::Contributors => 0,
            Board::Datanets => self.sums.unplaced,
        };
        Ok(LeadersAnswer {
            object: object.to_owned(),
            data,
            total: Decimal(total),
            unplaced: Decimal(unplaced),
            batches: self.batches,
            is_behind,
            left_out: missed.map(|(&id, (_, why))| LeftOut { id, reason: why.clone() }).collect(),
            next: (end < count).then_some(end as u64),
        })
    }

    fn contributors(&self, registry: &Registry) -> Result<Vec<Leader>> {
        let earners = self.sums.earners.iter().filter(|(_, gwei)| **gwei > 0);
        let mut leaders = Vec::new();
        for (earner, gwei) in ranked(earners.map(|(&earner, &gwei)| (earner, gwei))) {
            leaders.push(Leader {
                place: leaders.len() as u64 + 1,
                id: format!("earner:{earner}"),
                account: registry.earner(earner)?.map(|view| view.account),
                gwei: Decimal(gwei),
                ..Leader::default()
            });
        }
        Ok(leaders)
    }

    fn datanets(&self, registry: &Registry) -> Result<Vec<Leader>> {
        let mut datanets = BTreeMap::<B256, (i128, Vec<VersionEarned>)>::new();
        for (&(id, version), &gwei) in &self.sums.versions {
            let (sum, versions) = datanets.entry(id).or_default();
            *sum += gwei;
            versions.push(VersionEarned { version, gwei: Decimal(gwei) });
        }
        let mut leaders = Vec::new();
        for (id, gwei) in ranked(datanets.iter().map(|(&id, (gwei, _))| (id, *gwei))) {
            leaders.push(Leader {
                place: leaders.len() as u64 + 1,
                id: format!("datanet:{id}"),
                name: registry.datanet(id)?.map(|view| view.name).unwrap_or_default(),
                account: None,
                gwei: Decimal(gwei),
                versions: datanets
                    .get(&id)
                    .map(|(_, versions)| versions.clone())
                    .unwrap_or_default(),
            });
        }
        Ok(leaders)
    }
}

impl Sums {
    /// What a batch pays contributors.
    async fn of(ledgers: &Ledgers, catalog: &Catalog, id: B256, view: ChainBatch) -> Result<Self> {
        let (batch, mut sums) = (ledgers.open(id, view).await?, Self::default());
        for key in models_of(&batch) {
            let mut whole = 0;
            for payout in batch.book.payouts_of(key) {
                let gwei = i128::from(payout.influence) + i128::from(payout.flat);
                *sums.earners.entry(payout.balance.earner).or_default() += gwei;
                whole += gwei;
            }
            let id = ledgers.registry().model_beginning(&key.0)?;
            let served = id.filter(|id| indexed(catalog).any(|(served, _)| served.id == *id));
            let model = served.map(|id| ledgers.registry().model(id)).transpose()?.flatten();
            match model {
                Some(model) if whole > 0 => {
                    sums.place(RowsPaid::read(ledgers, catalog, &batch, model).await?);
                }
                _ => sums.unplaced += whole,
            }
        }
        Ok(sums)
    }

    /// Adds what rows are paid to their Datanet versions.
    fn place(&mut self, part: RowsPaid) {
        self.unplaced += i128::from(part.unplaced);
        let Some(adapter) = &part.served.adapter else { return };
        for (place, pay) in &part.paid {
            let gwei = i128::from(pay.influence) + i128::from(pay.flat);
            let datanet = usize::from(adapter.index.rows()[*place as usize].source.datanet);
            match part.model.datanets.get(datanet) {
                Some(of) => *self.versions.entry((of.id, of.version)).or_default() += gwei,
                None => self.unplaced += gwei,
            }
        }
    }

    fn add(&mut self, other: Self) {
        for (earner, gwei) in other.earners {
            *self.earners.entry(earner).or_default() += gwei;
        }
        for (version, gwei) in other.versions {
            *self.versions.entry(version).or_default() += gwei;
        }
        self.unplaced += other.unplaced;
    }
}

/// The most first; of the same, the lesser key.
fn ranked<K: Ord>(sums: impl Iterator<Item = (K, i128)>) -> Vec<(K, i128)> {
    let mut sums: Vec<_> = sums.collect();
    sums.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_is_first_and_equals_come_by_their_keys() {
        let sums = [(7, 30), (2, 88), (3, 30), (9, 1)];
        assert_eq!(ranked(sums.into_iter()), [(2, 88), (3, 30), (7, 30), (9, 1)]);
    }

    #[test]
    fn sums_of_batches_add_up() {
        let version = (B256::repeat_byte(1), 2);
        let one = || Sums {
            earners: BTreeMap::from([(EarnerIndex(5), 7)]),
            versions: BTreeMap::from([(version, 4)]),
            unplaced: 3,
        };
        let mut sums = one();
        sums.add(one());
        assert_eq!((sums.earners[&EarnerIndex(5)], sums.versions[&version]), (14, 8));
        assert_eq!(sums.unplaced, 6);
    }
}
