//! Commitments and openings in the chain's types.

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::U256;
use attribution::settle::EarnerIndex;
use prover::{EarningsPage, Fr, G1Affine, LedgerCommitment, Polynomial, Srs, commit_payouts, evm};

use crate::{Error, Result, chain::bindings::G1Point};

/// Powers of tau and the earners' page size. Cheap to clone.
#[derive(Clone)]
pub struct Kzg {
    srs: Arc<Srs>,
    page_size: u32,
}

impl std::fmt::Debug for Kzg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kzg")
            .field("powers", &self.srs.g1().len())
            .field("page_size", &self.page_size)
            .finish()
    }
}

impl Kzg {
    /// Commits with these powers to pages of this many earners.
    ///
    /// # Errors
    /// [`Error::Config`] unless the page size is a power of two with as many powers.
    pub fn new(srs: Arc<Srs>, page_size: u32) -> Result<Self> {
        let powers = srs.g1().len();
        if !page_size.is_power_of_two() || page_size as usize > powers {
            return Err(Error::Config(format!(
                "page size {page_size} is not a power of two within {powers} powers of tau"
            )));
        }
        Ok(Self { srs, page_size })
    }

    /// Earners per page.
    pub const fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The powers of tau.
    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// Commitment to a ledger's blob.
    ///
    /// # Errors
    /// [`Error::Prover`] if it is no ledger's blob or longer than there are powers.
    pub fn commit_ledger(&self, blob: Vec<u8>) -> Result<G1Point> {
        Ok(point(LedgerCommitment::from_blob(&self.srs, blob)?.commitment()))
    }

    /// Commitment to a blob of witnesses or of a page's snapshot.
    ///
    /// # Errors
    /// [`Error::Prover`] if it is no such blob or longer than there are powers.
    pub fn commit_blob(&self, blob: Vec<u8>) -> Result<G1Point> {
        let symbols = blob.chunks_exact(32).map(|symbol| {
            let half = |at: usize| {
                Fr::from(u128::from_be_bytes(symbol[at..at + 16].try_into().expect("16 bytes")))
            };
            let base = Fr::from(1_u128 << 64);
            half(0) * base * base + half(16)
        });
        let polynomial = Polynomial::interpolate(symbols.collect())?;
        Ok(point(self.srs.commit(polynomial.coefficients())?))
    }

    /// Commitments to the payouts of each page that is paid.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn commit_payouts(
        &self,
        payouts: &BTreeMap<EarnerIndex, u64>,
    ) -> Result<Vec<(u32, G1Point)>> {
        let pages = commit_payouts(&self.srs, self.page_size, payouts)?;
        Ok(pages.into_iter().map(|(page, commitment)| (page, point(commitment))).collect())
    }

    /// The polynomial of a page's earnings, from which openings are made.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn page(&self, page: u32, earnings: &BTreeMap<EarnerIndex, u64>) -> Result<EarningsPage> {
        Ok(EarningsPage::new(self.page_size, page, earnings)?)
    }

    /// A witness that an earner has what `page` says, checked against the chain's commitment.
    ///
    /// # Errors
    /// [`Error::Money`] if the chain committed to something else, [`Error::Prover`].
    pub fn open(
        &self,
        page: &EarningsPage,
        commitment: &G1Point,
        earner: EarnerIndex,
    ) -> Result<G1Point> {
        let opening = page.open(&self.srs, earner)?;
        if !prover::verify(self.srs.tau_g2(), affine(commitment)?, &opening)? {
            return Err(Error::Money(format!(
                "earnings of {earner} are not what the chain committed to"
            )));
        }
        Ok(point(opening.witness))
    }
}

fn point(affine: G1Affine) -> G1Point {
    let evm::G1 { x, y } = affine.into();
    G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
}

fn affine(point: &G1Point) -> Result<G1Affine> {
    let G1Point { x, y } = point;
    Ok(evm::G1 { x: x.to_be_bytes(), y: y.to_be_bytes() }.try_into()?)
}
