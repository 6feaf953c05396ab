use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine};
use attribution::settle::EarnerIndex;

use crate::{
    Error, Opening, OpeningProgress, Result, Srs, kzg, page_openings::open_all,
    polynomial::Polynomial, srs::MAX_POWERS,
};

/// Number of a page of earners.
pub type PageId = u32;

/// Earners of a page by default, `M`.
pub const DEFAULT_PAGE_SIZE: u32 = 1 << 16;

/// The page of an earner and its place there.
///
/// # Errors
/// [`Error::PageSize`] unless `page_size` is a power of two up to 2^19.
pub const fn page_of(page_size: u32, earner: EarnerIndex) -> Result<(PageId, u32)> {
    if !page_size.is_power_of_two() || page_size as usize > MAX_POWERS {
        return Err(Error::PageSize { given: page_size, max: MAX_POWERS });
    }
    Ok((earner.0 / page_size, earner.0 % page_size))
}

/// Commitments to the payouts of a batch by page, of pages that are paid anything, increasing.
///
/// # Errors
/// [`Error::PageSize`] unless `page_size` is a power of two up to 2^19,
/// [`Error::TooManyCoefficients`] if the setup has fewer powers.
pub fn commit_payouts(
    srs: &Srs,
    page_size: u32,
    payouts: &BTreeMap<EarnerIndex, u64>,
) -> Result<Vec<(PageId, G1Affine)>> {
    let mut pages = Vec::new();
    for &earner in payouts.iter().filter(|(_, gwei)| **gwei > 0).map(|(earner, _)| earner) {
        pages.push(page_of(page_size, earner)?.0);
    }
    pages.dedup();
    let commit = |page| Ok((page, EarningsPage::new(page_size, page, payouts)?.commit(srs)?));
    pages.into_iter().map(commit).collect()
}

/// Gwei of the earners of one page as a polynomial: of a batch, or cumulative.
///
/// The inverse transform is made once, so that many openings share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarningsPage {
    page_size: u32,
    page: PageId,
    polynomial: Polynomial,
}

impl EarningsPage {
    /// The page's part of `earnings`; whoever is not listed has nothing.
    ///
    /// # Errors
    /// [`Error::PageSize`] unless `page_size` is a power of two up to 2^19.
    pub fn new(
        page_size: u32,
        page: PageId,
        earnings: &BTreeMap<EarnerIndex, u64>,
    ) -> Result<Self> {
        // Checked before memory is taken for it.
        page_of(page_size, EarnerIndex::NOBODY)?;
        let values = gwei_of_page(page_size, page, earnings).into_iter().map(Fr::from).collect();
        Ok(Self { page_size, page, polynomial: Polynomial::interpolate(values)? })
    }

    /// Coefficients of the polynomial.
    pub(crate) fn coefficients(&self) -> &[Fr] {
        self.polynomial.coefficients()
    }

    /// Commitment to the page. Commitments of batches add up to those of cumulative earnings.
    ///
    /// # Errors
    /// [`Error::TooManyCoefficients`] if the setup has fewer powers than the page has earners.
    pub fn commit(&self, srs: &Srs) -> Result<G1Affine> {
        srs.commit(self.polynomial.coefficients())
    }

    /// Opens what one earner has.
    ///
    /// # Errors
    /// [`Error::OtherPage`] if it is not of this page, [`Error::TooManyCoefficients`] if the setup
    /// is too small.
    pub fn open(&self, srs: &Srs, earner: EarnerIndex) -> Result<Opening> {
        kzg::open(srs, &self.polynomial, self.place(earner)?)
    }

    /// Opens what each of the earners has: one by one if they are few, else all of the page
    /// together.
    ///
    /// # Errors
    /// Like [`EarningsPage::open`] of any of them.
    pub fn open_many(&self, srs: &Srs, earners: &[EarnerIndex]) -> Result<Vec<Opening>> {
        if earners.len() < openings_worth_all(self.page_size) {
            return earners.iter().map(|&earner| self.open(srs, earner)).collect();
        }
        let places: Vec<_> =
            earners.iter().map(|&earner| self.place(earner)).collect::<Result<_>>()?;
        let openings = self.open_all(srs, |_| {})?;
        Ok(places.into_iter().map(|place| openings[place]).collect())
    }

    /// Opens what every earner of the page has, in their order, on all cores. What follows from the
    /// setup alone is made first if it is missing.
    ///
    /// # Errors
    /// [`Error::TooManyCoefficients`] if the setup is too small.
    pub fn open_all(
        &self,
        srs: &Srs,
        progress: impl FnMut(OpeningProgress),
    ) -> Result<Vec<Opening>> {
        open_all(srs, &self.polynomial, progress)
    }

    /// Place of an earner on the page.
    fn place(&self, earner: EarnerIndex) -> Result<usize> {
        let (page, index) = page_of(self.page_size, earner)?;
        if page == self.page {
            return Ok(index as usize);
        }
        let (page, size, earner) = (self.page, self.page_size, earner.0);
        Err(Error::OtherPage { page, size, earner })
    }
}

/// Openings of which so many take as long as all of the page: 27 of 2^12 earners, 125 of 2^16
/// (`make bench-prover`), between which the square root lies.
const fn openings_worth_all(page_size: u32) -> usize {
    page_size.isqrt() as usize / 2 + 1
}

/// Gwei of each earner of a page.
pub(crate) fn gwei_of_page(
    page_size: u32,
    page: PageId,
    earnings: &BTreeMap<EarnerIndex, u64>,
) -> Vec<u64> {
    let mut values = vec![0; page_size as usize];
    let first = u64::from(page) * u64::from(page_size);
    let from = u32::try_from(first).map(EarnerIndex);
    for (&earner, &gwei) in from.into_iter().flat_map(|from| earnings.range(from..)) {
        match values.get_mut((u64::from(earner.0) - first) as usize) {
            Some(value) => *value = gwei,
            None => break,
        }
    }
    values
}
