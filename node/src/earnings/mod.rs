//! What every earner has earned in final batches, with openings of the chain's commitments to it.

mod archiver;
mod history;
mod openings;
pub mod snapshot;

use std::{collections::HashMap, sync::Arc};

use alloy::primitives::{Address, B256};
use attribution::settle::EarnerIndex;
use prover::EarningsPage;

use crate::{
    Error, Result,
    chain::bindings::{Claim, G1Point},
    committer::Kzg,
    da::SharedAvailability,
    graph::Ledgers,
    registry::{EarnerView, Registry, Role},
    store::SharedStore,
    worker::blocking,
};
pub use archiver::Archiver;
use history::{Amounts, History};
use openings::Openings;

/// Earners looked at in one read of the registry.
const SCAN: usize = 4_096;

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

/// A page's cumulative earnings at one version, equal to what the chain committed to.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Its number.
    number: u32,
    /// The batches that made it, oldest first; as many as its version.
    batches: Vec<B256>,
    /// Gwei by earner.
    earnings: Arc<Amounts>,
    /// The same as a polynomial, from which openings are made.
    polynomial: Arc<EarningsPage>,
    /// What the chain committed to.
    commitment: G1Point,
}

impl Page {
    const fn version(&self) -> u64 {
        self.batches.len() as u64
    }

    fn of(&self, earner: EarnerIndex) -> u64 {
        self.earnings.get(&earner).copied().unwrap_or_default()
    }
}

/// Answers for earnings. Cheap to clone; pages and openings are cached.
#[derive(Debug, Clone)]
pub struct Earnings {
    registry: Registry,
    kzg: Kzg,
    history: History,
    pages: Arc<tokio::sync::Mutex<HashMap<u32, Page>>>,
    openings: Openings,
}

impl Earnings {
    /// Earnings as the registry's head has them. Payouts of this node's batches are in the store,
    /// those of other operators' and what is older are read from data availability.
    pub fn new(
        store: SharedStore,
        registry: Registry,
        kzg: Kzg,
        layer: SharedAvailability,
    ) -> Self {
        let history = History::new(store, registry.clone(), kzg.clone(), layer);
        let openings = Openings::new(kzg.clone());
        Self { registry, kzg, history, pages: Arc::default(), openings }
    }

    /// The ledgers that earnings come from.
    pub fn ledgers(&self) -> Ledgers {
        self.history.ledgers()
    }

    /// Up to `limit` earners with indices above `after`, by index, without witnesses.
    ///
    /// # Errors
    /// [`crate::Error::Store`]; [`crate::Error::Availability`] if a batch's ledger cannot be had;
    /// [`crate::Error::Money`] if it is not what the chain committed to.
    pub async fn list(&self, after: u32, limit: usize) -> Result<Vec<EarnerEarnings>> {
        let mut list: Vec<EarnerEarnings> = Vec::new();
        let mut page = None;
        for view in self.registry.earners_after(after, limit)? {
            let number = self.page_of(view.earner);
            if list.last().is_none_or(|before| before.page != number) {
                page = self.page(number).await?;
            }
            list.push(self.earnings(view, page.as_ref())?);
        }
        Ok(list)
    }

    /// All earners by index, without witnesses.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn all(&self) -> Result<Vec<EarnerEarnings>> {
        self.list(0, usize::MAX).await
    }

    /// Up to `limit` earners with indices above `after` that have earned more than they claimed, by
    /// index, without witnesses.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn unclaimed(&self, mut after: u32, limit: usize) -> Result<Vec<EarnerEarnings>> {
        let mut open = Vec::new();
        while open.len() < limit {
            let list = self.list(after, SCAN).await?;
            let Some(last) = list.last() else { break };
            after = last.earner.0;
            open.extend(list.into_iter().filter(|one| one.cumulative > one.claimed));
        }
        open.truncate(limit);
        Ok(open)
    }

    /// As [`Self::unclaimed`], with witnesses, and the index after which there may be more. Where many earners of a page can claim, all openings
    /// of the page are made at once and given out for a few versions more, so that an answer may
    /// fall a little short of the latest earnings; Settlement takes such claims.
    ///
    /// # Errors
    /// As [`Self::list`], and [`crate::Error::Prover`] if the openings cannot be made.
    pub async fn claimable(
        &self,
        after: u32,
        limit: usize,
    ) -> Result<(Vec<EarnerEarnings>, Option<u32>)> {
        let mut open = self.unclaimed(after, limit).await?;
        let next = open.last().filter(|_| open.len() == limit).map(|last| last.earner.0);
        let mut rest = &mut open[..];
        while let Some(first) = rest.first() {
            let number = first.page;
            let length = rest.iter().take_while(|one| one.page == number).count();
            let (ours, others) = rest.split_at_mut(length);
            rest = others;
            let page = self.page(number).await?;
            let page = page.ok_or_else(|| Error::Store(format!("page {number} went away")))?;
            self.open(&page, ours).await?;
        }
        // An older version may have nothing for some of them.
        open.retain(|one| one.cumulative > one.claimed);
        Ok((open, next))
    }

    /// One earner with a witness of the latest version; `None` for an index not given out.
    ///
    /// # Errors
    /// As [`Self::claimable`].
    pub async fn of(&self, earner: EarnerIndex) -> Result<Option<EarnerEarnings>> {
        let Some(view) = self.registry.earner(earner)? else { return Ok(None) };
        let page = self.page(self.page_of(earner)).await?;
        let mut earnings = self.earnings(view, page.as_ref())?;
        if let Some(page) = page {
            let witnesses = self.openings.of(&page, vec![earner]).await?;
            earnings.witness = witnesses.into_iter().next();
        }
        Ok(Some(earnings))
    }

    /// Puts witnesses to earners of one page, and what they show.
    async fn open(&self, page: &Page, earners: &mut [EarnerEarnings]) -> Result<()> {
        let indices: Vec<_> = earners.iter().map(|one| one.earner).collect();
        let opened = match self.openings.recent(page) {
            Some(opened) => Some(opened),
            None if self.is_wanted_whole(page)? => Some(self.openings.whole(page).await?),
            None => None,
        };
        let Some(opened) = opened else {
            let witnesses = self.openings.of(page, indices).await?;
            for (one, witness) in earners.iter_mut().zip(witnesses) {
                one.witness = Some(witness);
            }
            return Ok(());
        };
        for one in earners {
            one.cumulative = opened.page.of(one.earner);
            one.version = opened.page.version();
            one.witness = opened.witness(one.earner, self.kzg.page_size());
        }
        Ok(())
    }

    /// Whether so many earners of a page can claim that making all openings at once is cheaper.
    fn is_wanted_whole(&self, page: &Page) -> Result<bool> {
        let mut open = 0;
        for (&earner, &gwei) in &*page.earnings {
            open += usize::from(gwei > self.registry.claimed(earner)?);
            if open >= openings::worth_whole(self.kzg.page_size()) {
                return Ok(true);
            }
        }
        Ok(false)
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
            cumulative: page.map_or(0, |page| page.of(earner)),
            claimed: self.registry.claimed(earner)?,
            page: self.page_of(earner),
            version: page.map_or(0, Page::version),
            witness: None,
        })
    }

    /// The latest version of a page, `None` if no batch ever paid it.
    pub(crate) async fn page(&self, number: u32) -> Result<Option<Page>> {
        let mut pages = self.pages.lock().await;
        let versions = self.registry.earnings_versions(number)?;
        let Some(last) = versions.last() else {
            pages.remove(&number);
            return Ok(None);
        };
        let batches: Vec<B256> = versions.iter().map(|version| version.batch).collect();
        // A reorganisation may have replaced versions; then the cached page is no prefix.
        let known = pages.remove(&number).filter(|known| batches.starts_with(&known.batches));
        if let Some(known) = &known
            && known.batches.len() == batches.len()
        {
            pages.insert(number, known.clone());
            return Ok(Some(known.clone()));
        }
        let (done, mut earnings) = match known {
            Some(known) => (known.batches.len(), (*known.earnings).clone()),
            None => self.history.start(number, &versions).await?,
        };
        for &batch in &batches[done..] {
            self.history.add(batch, number, &mut earnings).await?;
        }
        let page = self.checked(number, batches, earnings, last.commitment.clone()).await?;
        pages.insert(number, page.clone());
        Ok(Some(page))
    }

    /// A page that is what the chain committed to.
    async fn checked(
        &self,
        number: u32,
        batches: Vec<B256>,
        earnings: Amounts,
        commitment: G1Point,
    ) -> Result<Page> {
        let kzg = self.kzg.clone();
        blocking(move || {
            let polynomial = kzg.page(number, &earnings)?;
            if kzg.commit_page(&polynomial)? != commitment {
                return Err(Error::Money(format!(
                    "earnings of page {number} are not what the chain committed to"
                )));
            }
            let (earnings, polynomial) = (Arc::new(earnings), Arc::new(polynomial));
            Ok(Page { number, batches, earnings, polynomial, commitment })
        })
        .await
    }
}
