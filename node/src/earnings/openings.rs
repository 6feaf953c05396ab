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
/// Openings of one page from which on making all of them at once is cheaper.
pub(super) const WHOLE_PAGE: usize = 256;
/// Versions by which a whole page's openings may be behind; Settlement keeps 16.
const MAX_LAG: usize = 8;

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
            let witnesses = openings.kzg.open_all(page.number, &page.polynomial, &page.commitment)?;
            let (number, version) = (page.number, page.version());
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
