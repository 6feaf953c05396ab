use ark_bn254::{Fr, G1Affine};
use ark_ff::PrimeField;

use super::transcript::point;
use crate::{
    Error, Result,
    evm::{G1, Word, word},
};

/// A page's part of a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageProof {
    /// Commitment to `X^(M-1) P(1/X)`.
    pub reversed: G1Affine,
    /// Commitment to the accumulator.
    pub accumulator: G1Affine,
    /// What the accumulator sums to.
    pub sum: Fr,
    /// Payouts at zeta.
    pub payouts_at: Fr,
    /// Accumulator at zeta and `v zeta`.
    pub accumulator_at: [Fr; 2],
}

/// A proof of a [`PayoutStatement`](super::PayoutStatement), in the letters of `SPEC.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutProof {
    /// Commitments to the limbs of the rows' amounts, lowest first.
    pub limbs: Vec<G1Affine>,
    /// Commitment to how often each value is a limb.
    pub multiplicities: G1Affine,
    /// The pages' parts, in the statement's order.
    pub pages: Vec<PageProof>,
    /// Commitments to the rows' accumulators `z1` (posted values), `z2` (amounts), `z3` (limbs).
    pub accumulators: [G1Affine; 3],
    /// What `z3` sums to.
    pub lookup_sum: Fr,
    /// Commitments to the quotients on rows and pages.
    pub quotients: [G1Affine; 2],
    /// The ledger at `zeta`, `w zeta`, `w^2 zeta`, `w^3 zeta`: its first four columns.
    pub cells_at: [Fr; 4],
    /// The rows' accumulators, each at `zeta` and `g zeta`.
    pub accumulators_at: [[Fr; 2]; 3],
    /// The identity column at zeta.
    pub identity_at: Fr,
    /// Limbs at zeta.
    pub limbs_at: Vec<Fr>,
    /// Multiplicities at zeta.
    pub multiplicities_at: Fr,
    /// Commitment to the quotient of all openings.
    pub opening: G1Affine,
    /// Commitment that opens the combination at chi.
    pub combined_opening: G1Affine,
}

/// Words of a proof of so many pages and limbs.
#[must_use]
pub const fn proof_words(pages: usize, limbs: usize) -> usize {
    pages.saturating_mul(8).saturating_add(3 * limbs + 29)
}

impl PayoutProof {
    /// A proof of the right shape that proves nothing yet.
    pub(super) fn blank(pages: usize, limbs: usize) -> Self {
        let (point, zero) = (G1Affine::identity(), Fr::from(0));
        let page = PageProof {
            reversed: point,
            accumulator: point,
            sum: zero,
            payouts_at: zero,
            accumulator_at: [zero; 2],
        };
        Self {
            limbs: vec![point; limbs],
            multiplicities: point,
            pages: vec![page; pages],
            accumulators: [point; 3],
            lookup_sum: zero,
            quotients: [point; 2],
            cells_at: [zero; 4],
            accumulators_at: [[zero; 2]; 3],
            identity_at: zero,
            limbs_at: vec![zero; limbs],
            multiplicities_at: zero,
            opening: point,
            combined_opening: point,
        }
    }

    /// Whether it has this many pages and limbs.
    pub(super) fn has_shape(&self, pages: usize, limbs: usize) -> bool {
        [self.pages.len(), self.limbs.len(), self.limbs_at.len()] == [pages, limbs, limbs]
    }

    /// The proof as PayoutVerifier takes it.
    #[must_use]
    pub fn to_words(&self) -> Vec<Word> {
        let mut words = self.column_words();
        words.extend(self.accumulator_words());
        words.extend(self.quotient_words());
        words.extend(self.evaluation_words());
        words.extend(point(self.opening));
        words.extend(point(self.combined_opening));
        words
    }

    /// Reads a proof of so many pages and limbs.
    ///
    /// # Errors
    /// [`Error::ProofLength`], [`Error::InvalidPoint`] or [`Error::InvalidScalar`] unless the words
    /// are what [`PayoutProof::to_words`] writes.
    pub fn from_words(words: &[Word], pages: usize, limbs: usize) -> Result<Self> {
        let expected = proof_words(pages, limbs);
        if words.len() != expected {
            return Err(Error::ProofLength { given: words.len(), expected });
        }
        let mut proof = Self::blank(pages, limbs);
        let mut words = words.iter().copied();
        proof.limbs.iter_mut().try_for_each(|limb| read_point(&mut words, limb))?;
        read_point(&mut words, &mut proof.multiplicities)?;
        for page in &mut proof.pages {
            read_point(&mut words, &mut page.reversed)?;
        }
        proof.accumulators.iter_mut().try_for_each(|point| read_point(&mut words, point))?;
        read_scalar(&mut words, &mut proof.lookup_sum)?;
        for page in &mut proof.pages {
            read_point(&mut words, &mut page.accumulator)?;
            read_scalar(&mut words, &mut page.sum)?;
        }
        proof.quotients.iter_mut().try_for_each(|point| read_point(&mut words, point))?;
        let fixed = proof.cells_at.iter_mut().chain(proof.accumulators_at.as_flattened_mut());
        let fixed = fixed.chain([&mut proof.identity_at]).chain(&mut proof.limbs_at);
        let fixed = fixed.chain([&mut proof.multiplicities_at]);
        for at in fixed {
            read_scalar(&mut words, at)?;
        }
        for page in &mut proof.pages {
            read_scalar(&mut words, &mut page.payouts_at)?;
            page.accumulator_at.iter_mut().try_for_each(|at| read_scalar(&mut words, at))?;
        }
        read_point(&mut words, &mut proof.opening)?;
        read_point(&mut words, &mut proof.combined_opening)?;
        Ok(proof)
    }

    /// Limbs, multiplicities and reversed payouts.
    pub(super) fn column_words(&self) -> Vec<Word> {
        let points = self.limbs.iter().chain([&self.multiplicities]);
        let points = points.chain(self.pages.iter().map(|page| &page.reversed));
        points.flat_map(|&column| point(column)).collect()
    }

    /// Accumulators and sums.
    pub(super) fn accumulator_words(&self) -> Vec<Word> {
        let mut words: Vec<_> = self.accumulators.into_iter().flat_map(point).collect();
        words.push(word(self.lookup_sum));
        for page in &self.pages {
            words.extend(point(page.accumulator));
            words.push(word(page.sum));
        }
        words
    }

    /// Quotients.
    pub(super) fn quotient_words(&self) -> Vec<Word> {
        self.quotients.into_iter().flat_map(point).collect()
    }

    /// Evaluations.
    pub(super) fn evaluation_words(&self) -> Vec<Word> {
        let fixed = self.cells_at.iter().chain(self.accumulators_at.as_flattened());
        let fixed = fixed.chain([&self.identity_at]).chain(&self.limbs_at);
        let pages = self.pages.iter().flat_map(|page| {
            let [at, next] = page.accumulator_at;
            [page.payouts_at, at, next]
        });
        fixed.chain([&self.multiplicities_at]).copied().chain(pages).map(word).collect()
    }
}

fn next(words: &mut impl Iterator<Item = Word>) -> Word {
    words.next().expect("the length was checked")
}

fn read_point(words: &mut impl Iterator<Item = Word>, to: &mut G1Affine) -> Result<()> {
    *to = G1 { x: next(words), y: next(words) }.try_into()?;
    Ok(())
}

fn read_scalar(words: &mut impl Iterator<Item = Word>, to: &mut Fr) -> Result<()> {
    let given = next(words);
    *to = Fr::from_be_bytes_mod_order(&given);
    if word(*to) == given { Ok(()) } else { Err(Error::InvalidScalar) }
}
