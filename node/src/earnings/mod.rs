//! What every earner has earned in final batches, with openings of the chain's commitments to it.

mod history;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use alloy::primitives::{Address, B256};
use attribution::settle::EarnerIndex;
use prover::EarningsPage;

use crate::{
    Result,
    chain::bindings::{Claim, G1Point},
    committer::Kzg,
    da::SharedAvailability,
    registry::{EarnerView, EarningsView, Registry, Role},
    store::SharedStore,
    worker::blocking,
};
use history::History;

/// Openings kept in memory.
const MAX_OPENINGS: usize = 1 << 14;

/// One earner's final earnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarnerEarnings {
    /// Index in the earnings polynomials.
    pub earner: EarnerIndex,
    /// Who is paid.
    pub account: Address,
    /// Why.
    pub role: Role,
    /// Gwei earned in final batches.
    pub cumulative: u64,
    /// Gwei claimed as of the head.
    pub claimed: u64,
    /// Page of the earnings polynomials.
    pub page: u32,
    /// Version of the page's commitment, 0 if no batch ever paid the page.
    pub version: u64,
    /// Opening of that commitment; only where it was asked for, and only for a version above 0.
    pub witness: Option<G1Point>,
}

impl EarnerEarnings {
    /// What Settlement takes to pay this earner; `None` without a witness.
    pub fn claim(&self) -> Option<Claim> {
        self.witness.clone().map(|witness| Claim {
            earner: self.earner.0,
            cumulativeEarnings: self.cumulative,
            version: self.version,
            witness,
        })
    }
}

/// A page's cumulative earnings at one version.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The batches that made it, oldest first.
    pub(crate) batches: Vec<B256>,
    /// Gwei by earner.
    pub(crate) earnings: Arc<BTreeMap<EarnerIndex, u64>>,
    /// The same as a polynomial, once an opening needs it.
    pub(crate) polynomial: Arc<OnceLock<EarningsPage>>,
    /// What the chain committed to.
    pub(crate) commitment: G1Point,
}

/// Answers for earnings. Cheap to clone; pages and openings are cached.
#[derive(Debug, Clone)]
pub struct Earnings {
    registry: Registry,
    kzg: Kzg,
    history: History,
    pages: Arc<tokio::sync::Mutex<HashMap<u32, Page>>>,
    openings: Arc<Mutex<HashMap<(u32, B256), G1Point>>>,
}

impl Earnings {
    /// Earnings as the registry's head has them. Payouts of this node's batches are in the store,
    /// those of other operators' are read from data availability.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        kzg: Kzg,
        layer: SharedAvailability,
    ) -> Self {
        let history = History::new(store, registry.clone(), layer);
        Self { registry, kzg, history, pages: Arc::default(), openings: Arc::default() }
    }

    /// All earners by index, without witnesses.
    ///
    /// # Errors
    /// [`crate::Error::Store`]; [`crate::Error::Availability`] if a batch's ledger cannot be had;
    /// [`crate::Error::Money`] if it is not what the chain committed to.
    pub async fn all(&self) -> Result<Vec<EarnerEarnings>> {
        let mut all = Vec::new();
        for view in self.registry.earners()? {
            let page = self.page(self.page_of(view.earner)).await?;
            all.push(self.earnings(view, page.as_ref())?);
        }
        Ok(all)
    }

    /// One earner with a witness; `None` for an index not given out.
    ///
    /// # Errors
    /// As [`Self::all`], and [`crate::Error::Prover`] if the opening cannot be made.
    pub async fn of(&self, earner: EarnerIndex) -> Result<Option<EarnerEarnings>> {
        let Some(view) = self.registry.earner(earner)? else { return Ok(None) };
        let page = self.page(self.page_of(earner)).await?;
        let mut earnings = self.earnings(view, page.as_ref())?;
        if let Some(page) = page {
            earnings.witness = Some(self.open(earner, page).await?);
        }
        Ok(Some(earnings))
    }

    const fn page_of(&self, earner: EarnerIndex) -> u32 {
        earner.0 / self.kzg.page_size()
    }

    fn earnings(&self, view: EarnerView, page: Option<&Page>) -> Result<EarnerEarnings> {
        let EarnerView { earner, account, role } = view;
        Ok(EarnerEarnings {
            earner,
            account,
            role,
            cumulative: page
                .and_then(|page| page.earnings.get(&earner).copied())
                .unwrap_or_default(),
            claimed: self.registry.claimed(earner)?,
            page: self.page_of(earner),
            version: page.map_or(0, |page| page.batches.len() as u64),
            witness: None,
        })
    }

    /// The latest version of a page, `None` if no batch ever paid it.
    async fn page(&self, page: u32) -> Result<Option<Page>> {
        let mut pages = self.pages.lock().await;
        let versions = self.registry.earnings_versions(page)?;
        let Some(EarningsView { commitment, .. }) = versions.last().cloned() else {
            pages.remove(&page);
            return Ok(None);
        };
        let batches: Vec<B256> = versions.iter().map(|version| version.batch).collect();
        // A reorganisation may have replaced versions; then the cached page is no prefix.
        let known = pages.remove(&page).filter(|known| batches.starts_with(&known.batches));
        let mut earnings =
            known.as_ref().map_or_else(BTreeMap::new, |known| (*known.earnings).clone());
        let done = known.as_ref().map_or(0, |known| known.batches.len());
        if let Some(known) = known.filter(|known| known.batches.len() == batches.len()) {
            pages.insert(page, known.clone());
            return Ok(Some(known));
        }
        for &batch in &batches[done..] {
            self.history.add(batch, page, self.kzg.page_size(), &mut earnings).await?;
        }
        let current =
            Page { batches, earnings: Arc::new(earnings), polynomial: Arc::default(), commitment };
        pages.insert(page, current.clone());
        Ok(Some(current))
    }

    /// A witness, checked against the chain's commitment before it is given out.
    async fn open(&self, earner: EarnerIndex, page: Page) -> Result<G1Point> {
        let last = *page.batches.last().expect("a page with a version has a batch");
        let key = (earner.0, last);
        let openings = || self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(witness) = openings().get(&key) {
            return Ok(witness.clone());
        }
        let (kzg, number) = (self.kzg.clone(), self.page_of(earner));
        let witness = blocking(move || {
            let polynomial = match page.polynomial.get() {
                Some(polynomial) => polynomial,
                None => {
                    let made = kzg.page(number, &page.earnings)?;
                    page.polynomial.get_or_init(|| made)
                }
            };
            kzg.open(polynomial, &page.commitment, earner)
        })
        .await?;
        let mut openings = openings();
        if openings.len() >= MAX_OPENINGS {
            openings.clear();
        }
        openings.insert(key, witness.clone());
        Ok(witness)
    }
}
