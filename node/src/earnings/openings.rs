//! Openings of earnings: made once for each version, one by one or a whole page at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy::primitives::B256;
use attribution::settle::EarnerIndex;
use tracing::info;

use super::Page;
use crate::{Result, chain::bindings::G1Point, committer::Kzg, worker::blocking};

/// Single openings kept in memory.
const MAX_OPENINGS: usize = 1 << 14;
/// Versions by which a whole page's openings may be behind; Settlement keeps 16.
const MAX_LAG: usize = 8;

/// Openings of one page from which on making all of them at once is cheaper than one by one: its two
/// transforms of `M log M` steps against a multi-scalar multiplication of size `M` for each.
pub(super) const fn worth_whole(page_size: u32) -> usize {
    3 * (page_size.ilog2() as usize + 1)
}

/// All openings of a page at one version.
#[derive(Debug)]
pub(super) struct Whole {
    /// The page that they open.
    pub(super) page: Page,
    /// By place on the page.
    witnesses: Vec<G1Point>,
}

impl Whole {
    pub(super) fn witness(&self, earner: EarnerIndex, page_size: u32) -> Option<G1Point> {
        self.witnesses.get((earner.0 % page_size) as usize).cloned()
    }
}

/// Makes openings and keeps them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Openings {
    kzg: Kzg,
    /// By earner and last batch of the version.
    single: Arc<Mutex<HashMap<(u32, B256), G1Point>>>,
    /// By page.
    whole: Arc<Mutex<HashMap<u32, Arc<Whole>>>>,
    // Openings take all cores, so one caller makes them and the others find them made.
    making: Arc<tokio::sync::Mutex<()>>,
}

impl Openings {
    pub(super) fn new(kzg: Kzg) -> Self {
        Self { kzg, single: Arc::default(), whole: Arc::default(), making: Arc::default() }
    }

    /// Witnesses of earners of a page, in their order.
    pub(super) async fn of(&self, page: &Page, earners: Vec<EarnerIndex>) -> Result<Vec<G1Point>> {
        let making = Arc::clone(&self.making).lock_owned().await;
        let (openings, page) = (self.clone(), page.clone());
        blocking(move || {
            // Held by the work, which goes on if the caller goes away.
            let _making = making;
            earners.into_iter().map(|earner| openings.one(&page, earner)).collect()
        })
        .await
    }

    fn one(&self, page: &Page, earner: EarnerIndex) -> Result<G1Point> {
        let last = *page.batches.last().expect("a page with a version has a batch");
        let key = (earner.0, last);
        if let Some(witness) = lock(&self.single).get(&key) {
            return Ok(witness.clone());
        }
        let witness = self.kzg.open(&page.polynomial, &page.commitment, earner)?;
        let mut single = lock(&self.single);
        if single.len() >= MAX_OPENINGS {
            single.clear();
        }
        single.insert(key, witness.clone());
        Ok(witness)
    }

    /// All openings of a page, if they were made for this version or one a little older.
    pub(super) fn recent(&self, page: &Page) -> Option<Arc<Whole>> {
        let whole = lock(&self.whole).get(&page.number).cloned()?;
        // After a reorganisation the older page is no prefix.
        let is_past = page.batches.starts_with(&whole.page.batches);
        (is_past && page.batches.len() - whole.page.batches.len() <= MAX_LAG).then_some(whole)
    }

    /// All openings of a page, made now unless somebody else just did.
    pub(super) async fn whole(&self, page: &Page) -> Result<Arc<Whole>> {
        let making = Arc::clone(&self.making).lock_owned().await;
        if let Some(whole) = self.recent(page) {
            return Ok(whole);
        }
        let (openings, page) = (self.clone(), page.clone());
        blocking(move || {
            let _making = making;
            let started = std::time::Instant::now();
            let (number, version) = (page.number, page.version());
            let (polynomial, commitment) = (&page.polynomial, &page.commitment);
            let witnesses = openings.kzg.open_all(polynomial, commitment, |progress| {
                let (done, of) = (progress.done, progress.of);
                info!(target: "node::earnings", page = number, version, done, of, "opening all");
            })?;
            let seconds = started.elapsed().as_secs_f32();
            info!(target: "node::earnings", page = number, version, seconds, "all openings made");
            let whole = Arc::new(Whole { page, witnesses });
            lock(&openings.whole).insert(number, Arc::clone(&whole));
            Ok(whole)
        })
        .await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prover::Srs;

    use super::*;

    const PAGE_SIZE: u32 = 16;

    /// A page that so many batches paid.
    fn page(kzg: &Kzg, versions: u8) -> Page {
        let earnings: BTreeMap<_, _> = (PAGE_SIZE..2 * PAGE_SIZE)
            .map(|earner| (EarnerIndex(earner), u64::from(earner) * 1_000 + u64::from(versions)))
            .collect();
        let polynomial = kzg.page(1, &earnings).unwrap();
        Page {
            number: 1,
            batches: (1..=versions).map(B256::repeat_byte).collect(),
            commitment: kzg.commit_page(&polynomial).unwrap(),
            earnings: Arc::new(earnings),
            polynomial: Arc::new(polynomial),
        }
    }

    fn openings() -> (Kzg, Openings) {
        let srs = Arc::new(Srs::dev(31_337, b"openings", 1 << 9).unwrap());
        let kzg = Kzg::new(srs, PAGE_SIZE).unwrap();
        (kzg.clone(), Openings::new(kzg))
    }

    #[tokio::test]
    async fn openings_made_at_once_are_those_made_one_by_one() {
        let (kzg, openings) = openings();
        let page = page(&kzg, 3);
        assert!(openings.recent(&page).is_none());
        let whole = openings.whole(&page).await.unwrap();
        let earners: Vec<_> = (PAGE_SIZE..2 * PAGE_SIZE).map(EarnerIndex).collect();
        let single = openings.of(&page, earners.clone()).await.unwrap();
        for (earner, witness) in earners.into_iter().zip(single) {
            assert_eq!(whole.witness(earner, PAGE_SIZE), Some(witness));
        }
    }

    #[tokio::test]
    async fn a_page_opened_whole_serves_a_few_versions_more() {
        let (kzg, openings) = openings();
        let old = openings.whole(&page(&kzg, 3)).await.unwrap();
        for versions in 3..=11 {
            let recent = openings.recent(&page(&kzg, versions)).unwrap();
            assert_eq!(recent.page.version(), old.page.version());
        }
        assert!(openings.recent(&page(&kzg, 12)).is_none());
        let mut other = page(&kzg, 4);
        other.batches[0] = B256::repeat_byte(0xff);
        assert!(openings.recent(&other).is_none(), "a reorganisation took it away");
    }

    #[tokio::test]
    async fn a_page_that_is_not_what_the_chain_committed_to_is_not_opened() {
        let (kzg, openings) = openings();
        let mut page = page(&kzg, 1);
        page.commitment = self::page(&kzg, 2).commitment;
        assert!(matches!(openings.whole(&page).await, Err(crate::Error::Money(_))));
        let one = openings.of(&page, vec![EarnerIndex(PAGE_SIZE)]).await;
        assert!(matches!(one, Err(crate::Error::Money(_))));
    }
}
