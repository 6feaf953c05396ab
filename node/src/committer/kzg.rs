//! Commitments, proofs and openings in the chain's types.

use std::{collections::BTreeMap, sync::Arc};

use alloy::primitives::{B256, U256};
use attribution::settle::EarnerIndex;
use prover::{
    EarningsPage, G1Affine, LedgerCommitment, OpeningProgress, Srs, WitnessCommitment,
    argument::{PayoutStatement, Progress, VerifierKey, prove_payouts},
    commit_payouts, evm,
};

use crate::{Error, Result, chain::bindings::G1Point};

/// Openings of a whole page that are checked.
const SAMPLE: usize = 64;

/// Powers of tau and the earners' page size. Cheap to clone.
#[derive(Clone)]
pub struct Kzg {
    srs: Arc<Srs>,
    key: VerifierKey,
}

impl std::fmt::Debug for Kzg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kzg")
            .field("powers", &self.srs.g1().len())
            .field("page_size", &self.page_size())
            .finish()
    }
}

impl Kzg {
    /// Commits with these powers to pages of this many earners.
    ///
    /// # Errors
    /// [`Error::Config`] unless the page size is a power of two from 2^4 to 2^16 and there are
    /// powers enough to prove payouts of such pages.
    pub fn new(srs: Arc<Srs>, page_size: u32) -> Result<Self> {
        let powers = srs.g1().len();
        let refuse = |why: String| Error::Config(format!("page size {page_size}: {why}"));
        // A batch of n rows needs `max(8 n, L n)` for limbs of L beside.
        let needed = page_size as usize;
        if needed > powers {
            return Err(refuse(format!("needs {needed} powers of tau, there are {powers}")));
        }
        Ok(Self { key: VerifierKey::new(&srs, page_size)?, srs })
    }

    /// Earners per page.
    pub const fn page_size(&self) -> u32 {
        self.key.page_size()
    }

    /// The powers of tau.
    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// Commitment to the column that holds `k` at `v^k`, as PayoutVerifier must have it.
    pub fn identity(&self) -> G1Point {
        point(self.key.identity())
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
        Ok(point(WitnessCommitment::from_blob(&self.srs, blob)?.commitment()))
    }

    /// Commitments to the payouts of each page that is paid.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn commit_payouts(
        &self,
        payouts: &BTreeMap<EarnerIndex, u64>,
    ) -> Result<Vec<(u32, G1Point)>> {
        let pages = commit_payouts(&self.srs, self.page_size(), payouts)?;
        Ok(pages.into_iter().map(|(page, commitment)| (page, point(commitment))).collect())
    }

    /// Proves that a batch's payouts are what its ledger pays; the words are what PayoutVerifier
    /// takes. `progress` is called after each stage.
    ///
    /// # Errors
    /// [`Error::Prover`] if they are not, or if there are too few powers.
    pub fn prove(
        &self,
        statement: &PayoutStatement,
        ledger: Vec<u8>,
        payouts: &BTreeMap<EarnerIndex, u64>,
        progress: impl FnMut(Progress),
    ) -> Result<Vec<B256>> {
        let ledger = LedgerCommitment::from_blob(&self.srs, ledger)?;
        let proof = prove_payouts(&self.srs, &self.key, statement, &ledger, payouts, progress)?;
        Ok(proof.to_words().into_iter().map(B256::new).collect())
    }

    /// The polynomial of a page's earnings, from which openings are made.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn page(&self, page: u32, earnings: &BTreeMap<EarnerIndex, u64>) -> Result<EarningsPage> {
        Ok(EarningsPage::new(self.page_size(), page, earnings)?)
    }

    /// Commitment to a page's earnings.
    ///
    /// # Errors
    /// [`Error::Prover`].
    pub fn commit_page(&self, page: &EarningsPage) -> Result<G1Point> {
        Ok(point(page.commit(&self.srs)?))
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

    /// Witnesses of all earners of a page, by place, which cost as much as a few dozen single ones.
    /// Some are checked against the chain's commitment. `progress` is called after each stage.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_all(
        &self,
        page: &EarningsPage,
        commitment: &G1Point,
        progress: impl FnMut(OpeningProgress),
    ) -> Result<Vec<G1Point>> {
        let openings = page.open_all(&self.srs, progress)?;
        let commitment = affine(commitment)?;
        let sample = openings.iter().step_by(openings.len().div_ceil(SAMPLE).max(1));
        let claims: Vec<_> = sample.map(|&opening| prover::Claim { commitment, opening }).collect();
        if !prover::verify_many(self.srs.tau_g2(), &claims)? {
            return Err(Error::Money("a page is not what the chain committed to".into()));
        }
        Ok(openings.into_iter().map(|opening| point(opening.witness)).collect())
    }
}

/// A point in the chain's type.
pub(crate) fn point(affine: G1Affine) -> G1Point {
    let evm::G1 { x, y } = affine.into();
    G1Point { x: U256::from_be_bytes(x), y: U256::from_be_bytes(y) }
}

/// A point of the chain's, checked.
pub(crate) fn affine(point: &G1Point) -> Result<G1Affine> {
    let G1Point { x, y } = point;
    Ok(evm::G1 { x: x.to_be_bytes(), y: y.to_be_bytes() }.try_into()?)
}
