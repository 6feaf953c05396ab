use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine};
use ark_ff::Field;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use attribution::settle::EarnerIndex;
use rayon::prelude::*;

use super::{
    accumulators::{Terms, accumulate, dense},
    challenges::{Sums, draw_alpha, draw_chi, draw_nu, draw_zeta},
    equations::{PageSteps, RowSteps},
    key::{VerifierKey, identity_column},
    openings::{PointSets, Points, add_scaled, divide, sets, vanishing_inverse},
    progress::{Progress, ProofStage},
    proof::PayoutProof,
    quotients::{PageColumns, page_quotient, row_quotient},
    statement::PayoutStatement,
    transcript::Transcript,
    verify::claimed_sums,
    witness::{Witness, interpolate, places},
};
use crate::{Error, LedgerCommitment, Result, Srs, srs::Basis};

/// Proves that the statement's payouts are what its ledger pays, on all cores.
///
/// `payouts` are gwei by earner, as in [`Ledger::payouts`](attribution::settle::Ledger::payouts).
/// The setup must have `max(8 rows, L rows, M)` powers; [`Srs::prepare`] makes beforehand what the
/// first proof would. `progress` is called after each stage.
///
/// # Errors
/// [`Error::PayoutStatement`] if the statement breaks a rule that needs no proof or is not of this
/// ledger and these payouts, [`Error::FalsePayouts`] if the ledger does not balance or pays
/// otherwise, [`Error::TooManyCoefficients`] if the setup is too small.
pub fn prove_payouts(
    srs: &Srs,
    key: &VerifierKey,
    statement: &PayoutStatement,
    ledger: &LedgerCommitment,
    payouts: &BTreeMap<EarnerIndex, u64>,
    mut progress: impl FnMut(Progress),
) -> Result<PayoutProof> {
    statement.check(key)?;
    let refuse = |rule| Err(Error::PayoutStatement { rule });
    if statement.ledger != ledger.commitment() || statement.rows as usize != ledger.rows() {
        return refuse("be of the ledger given");
    }
    let witness = Witness::new(key, statement, ledger, payouts)?;
    for ((_, commitment), page) in statement.pages.iter().zip(&witness.pages) {
        let paid = places(&page.payouts);
        if srs.commit_sparse(Basis::Lagrange, page.payouts.len(), &paid)? != *commitment {
            return refuse("commit to the payouts given");
        }
    }
    let mut report = |ended| progress(Progress::after(ended));
    let mut rounds = Rounds::new(srs, key, statement, &witness);
    let sums = rounds.commit_columns(&witness)?;
    report(ProofStage::Columns);
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms)?;
    terms.check(&claimed)?;
    let accumulated = rounds.commit_accumulators(&sums, &terms, claimed)?;
    report(ProofStage::Accumulators);
    let quotients = rounds.commit_quotients(&sums, &witness, accumulated, &mut report)?;
    rounds.open(&witness, &quotients, &mut report)
}

/// The prover's rounds, each after the challenges of the one before. They check nothing, so that
/// tests can play a prover that cheats.
#[derive(Debug)]
pub(super) struct Rounds<'a> {
    srs: &'a Srs,
    key: &'a VerifierKey,
    statement: &'a PayoutStatement,
    transcript: Transcript,
    pub(super) proof: PayoutProof,
    columns: Columns,
}

/// Coefficients of limbs and multiplicities.
#[derive(Debug, Default)]
struct Columns {
    limbs: Vec<Vec<Fr>>,
    multiplicities: Vec<Fr>,
}

/// Coefficients of the accumulators.
#[derive(Debug)]
pub(super) struct Accumulated {
    alpha: Fr,
    steps: RowSteps,
    rows: [Vec<Fr>; 3],
    pages: Vec<Vec<Fr>>,
}

/// All that is opened beside the columns.
#[derive(Debug)]
pub(super) struct Quotients {
    zeta: Fr,
    accumulated: Accumulated,
    identity: Vec<Fr>,
    rows: Vec<Fr>,
    pages: Vec<Fr>,
}

impl Terms {
    /// Whether the sums are what an honest proof claims.
    fn check(&self, claimed: &[Fr; 3]) -> Result<()> {
        let sum = |terms: &[Fr]| terms.iter().sum::<Fr>();
        if sum(&self.rows[0]) != claimed[0] {
            return Err(Error::FalsePayouts { rule: "close every account of the ledger" });
        }
        if sum(&self.rows[1]) != claimed[1] {
            return Err(Error::FalsePayouts { rule: "pay what the rows pay, and the total" });
        }
        Ok(())
    }
}

impl<'a> Rounds<'a> {
    pub(super) fn new(
        srs: &'a Srs,
        key: &'a VerifierKey,
        statement: &'a PayoutStatement,
        witness: &Witness,
    ) -> Self {
        Self {
            srs,
            key,
            statement,
            transcript: statement.transcript(key),
            proof: PayoutProof::blank(witness.pages.len(), key.limbs()),
            columns: Columns::default(),
        }
    }

    /// Commits to limbs, multiplicities and reversed payouts.
    pub(super) fn commit_columns(&mut self, witness: &Witness) -> Result<Sums> {
        self.set_columns(witness)?;
        Ok(Sums::draw(&mut self.transcript, &self.proof))
    }

    /// Commits without drawing a challenge.
    pub(super) fn set_columns(&mut self, witness: &Witness) -> Result<()> {
        let (srs, size) = (self.srs, witness.multiplicities.len());
        let limbs = witness.limbs.iter().map(|limb| interpolate(limb)).collect::<Result<Vec<_>>>();
        let multiplicities = interpolate(&witness.multiplicities)?;
        self.columns = Columns { limbs: limbs?, multiplicities };
        let counts = places(&witness.multiplicities);
        self.proof.multiplicities = srs.commit_sparse(Basis::Lagrange, size, &counts)?;
        for (i, commitment) in self.proof.limbs.iter_mut().enumerate() {
            // Limbs are small, their polynomial's coefficients are not; but one table will do.
            *commitment = if witness.limbs[i].len() == size {
                srs.commit_sparse(Basis::Lagrange, size, &places(&witness.limbs[i]))?
            } else {
                srs.commit(&self.columns.limbs[i])?
            };
        }
        for (page, proof) in witness.pages.iter().zip(&mut self.proof.pages) {
            proof.reversed = commit_by_values(srs, &page.reversed, size)?;
        }
        Ok(())
    }

    fn first_page(&self) -> u32 {
        self.statement.pages.first().map_or(0, |&(page, _)| page)
    }

    fn page_steps(&self, sums: &Sums) -> Vec<PageSteps> {
        let pages = self.statement.pages.iter().zip(&self.proof.pages);
        let size = self.key.page_size();
        pages.map(|(&(page, _), proof)| PageSteps::new(sums, page, size, proof.sum)).collect()
    }

    pub(super) fn terms(&self, sums: &Sums, witness: &Witness) -> Terms {
        let first = sums.of_page(self.first_page(), self.key.page_size());
        Terms::new(sums, first, &self.page_steps(sums), witness)
    }

    /// Claims the true sums of the pages and limbs; returns what the rows must then sum to.
    pub(super) fn claim_sums(&mut self, sums: &Sums, terms: &Terms) -> Result<[Fr; 3]> {
        self.proof.lookup_sum = terms.rows[2].iter().sum();
        for (page, terms) in self.proof.pages.iter_mut().zip(&terms.pages) {
            page.sum = terms.iter().map(|(_, term)| term).sum();
        }
        self.claimed(sums)
    }

    /// What the rows must sum to by the sums in the proof.
    pub(super) fn claimed(&self, sums: &Sums) -> Result<[Fr; 3]> {
        claimed_sums(sums, self.statement, &self.proof).ok_or(Error::Challenge)
    }

    /// Commits to accumulators that claim `rows` and the sums of the pages in the proof.
    pub(super) fn commit_accumulators(
        &mut self,
        sums: &Sums,
        terms: &Terms,
        rows: [Fr; 3],
    ) -> Result<Accumulated> {
        let page_size = self.key.page_size();
        let mut accumulated = Accumulated {
            alpha: Fr::from(0),
            steps: RowSteps::new(sums, self.first_page(), page_size, self.statement.rows, rows),
            rows: [Vec::new(), Vec::new(), Vec::new()],
            pages: Vec::new(),
        };
        for (i, (terms, sum)) in terms.rows.iter().zip(rows).enumerate() {
            accumulated.rows[i] = interpolate(&accumulate(terms, sum))?;
            self.proof.accumulators[i] = self.srs.commit(&accumulated.rows[i])?;
        }
        for (terms, page) in terms.pages.iter().zip(&mut self.proof.pages) {
            let values = accumulate(&dense(terms, page_size as usize), page.sum);
            accumulated.pages.push(interpolate(&values)?);
            // The same step everywhere sums to multiples of the identity column.
            let step = page.sum / Fr::from(page_size);
            let terms = self.srs.commit_sparse(Basis::Suffix, page_size as usize, terms)?;
            page.accumulator = (terms - self.key.identity() * step).into();
        }
        accumulated.alpha = draw_alpha(&mut self.transcript, &self.proof);
        Ok(accumulated)
    }

    pub(super) fn commit_quotients(
        &mut self,
        sums: &Sums,
        witness: &Witness,
        accumulated: Accumulated,
        report: &mut impl FnMut(ProofStage),
    ) -> Result<Quotients> {
        let Accumulated { alpha, steps, rows: accumulators, pages } = &accumulated;
        let columns = &self.columns;
        let rows = row_quotient(*alpha, steps, &witness.ledger, accumulators, &columns.limbs)?;
        self.proof.quotients[0] = self.srs.commit(&rows)?;
        report(ProofStage::RowQuotient);
        let identity = identity_column(self.key.page_size())?.into_coefficients();
        let columns = witness.pages.iter().zip(pages);
        let columns = columns
            .map(|(page, accumulator)| PageColumns { payouts: &page.polynomial, accumulator });
        let pages: Vec<_> = self.page_steps(sums).into_iter().zip(columns).collect();
        let pages = page_quotient(*alpha, &identity, &self.columns.multiplicities, &pages)?;
        self.proof.quotients[1] = self.srs.commit(&pages)?;
        report(ProofStage::PageQuotient);
        let zeta = draw_zeta(&mut self.transcript, &self.proof);
        Ok(Quotients { zeta, accumulated, identity, rows, pages })
    }

    /// Evaluates everything and opens it.
    pub(super) fn open(
        self,
        witness: &Witness,
        quotients: &Quotients,
        report: &mut impl FnMut(ProofStage),
    ) -> Result<PayoutProof> {
        let Self { srs, key, statement, mut transcript, mut proof, columns } = self;
        let (rows, page_size) = (statement.rows as usize, key.page_size() as usize);
        let points = PointSets::new(quotients.zeta, rows, page_size)?.ok_or(Error::Challenge)?;
        let polynomials = polynomials(witness, &columns, quotients);
        evaluate(&mut proof, &points, &polynomials);
        let nu = draw_nu(&mut transcript, &proof);

        let mut groups = vec![Vec::new(); Points::ALL.len()];
        let mut weight = Fr::from(1);
        for (polynomial, set) in polynomials.iter().zip(sets(witness.pages.len(), key.limbs())) {
            add_scaled(&mut groups[set as usize], polynomial, weight);
            weight *= nu;
        }
        let opening = opening(&groups, &points);
        proof.opening = srs.commit(&opening)?;
        report(ProofStage::Opening);

        let chi = draw_chi(&mut transcript, &proof);
        let combined = combined_opening(&groups, &points, &opening, chi)?;
        proof.combined_opening = srs.commit(&combined)?;
        report(ProofStage::CombinedOpening);
        Ok(proof)
    }
}

/// Commits to a polynomial most of whose values on a domain are zero.
fn commit_by_values(srs: &Srs, polynomial: &[Fr], size: usize) -> Result<G1Affine> {
    let domain =
        Radix2EvaluationDomain::<Fr>::new(size).ok_or(Error::DomainSize { given: size })?;
    // A dishonest prover's polynomial may be longer than the domain.
    if polynomial.len() > size {
        return srs.commit(polynomial);
    }
    srs.commit_sparse(Basis::Lagrange, size, &places(&domain.fft(polynomial)))
}

/// Everything opened, in the order of weights.
fn polynomials<'p>(
    witness: &'p Witness,
    columns: &'p Columns,
    quotients: &'p Quotients,
) -> Vec<&'p [Fr]> {
    let accumulated = &quotients.accumulated;
    let mut polynomials: Vec<&[Fr]> = vec![&witness.ledger];
    polynomials.extend(accumulated.rows.iter().map(Vec::as_slice));
    polynomials.extend([&quotients.rows, &quotients.pages, &quotients.identity].map(|p| &p[..]));
    polynomials.extend(columns.limbs.iter().chain([&columns.multiplicities]).map(Vec::as_slice));
    for (page, accumulator) in witness.pages.iter().zip(&accumulated.pages) {
        polynomials.extend([&page.polynomial, accumulator, &page.reversed].map(|p| &p[..]));
    }
    polynomials
}

/// Writes the evaluations that are sent: of all but quotients and reversed payouts.
fn evaluate(proof: &mut PayoutProof, points: &PointSets, polynomials: &[&[Fr]]) {
    let sets = sets(proof.pages.len(), proof.limbs.len());
    let at = |(polynomial, set): (&&[Fr], Points)| -> Vec<Fr> {
        points.of(set).iter().map(|&x| evaluation(polynomial, x)).collect()
    };
    let values: Vec<_> = polynomials.iter().zip(sets).map(at).collect();
    let (fixed, pages) = values.split_at(values.len() - 3 * proof.pages.len());
    proof.cells_at.copy_from_slice(&fixed[0]);
    for (to, values) in proof.accumulators_at.iter_mut().zip(&fixed[1..]) {
        to.copy_from_slice(values);
    }
    proof.identity_at = fixed[6][0];
    for (to, values) in proof.limbs_at.iter_mut().zip(&fixed[7..]) {
        *to = values[0];
    }
    proof.multiplicities_at = fixed[fixed.len() - 1][0];
    for (page, values) in proof.pages.iter_mut().zip(pages.chunks_exact(3)) {
        page.payouts_at = values[0][0];
        page.accumulator_at.copy_from_slice(&values[1]);
    }
}

/// A polynomial's value, on all cores.
fn evaluation(polynomial: &[Fr], x: Fr) -> Fr {
    const CHUNK: usize = 1 << 12;
    let horner = |chunk: &[Fr]| chunk.iter().rev().fold(Fr::from(0), |y, c| y * x + c);
    let values: Vec<_> = polynomial.par_chunks(CHUNK).map(horner).collect();
    let step = x.pow([CHUNK as u64]);
    values.into_iter().rev().fold(Fr::from(0), |y, value| y * step + value)
}

/// `W`.
fn opening(groups: &[Vec<Fr>], points: &PointSets) -> Vec<Fr> {
    let mut opening = Vec::new();
    for (group, set) in groups.iter().zip(Points::ALL) {
        let mut quotient = group.clone();
        points.of(set).iter().for_each(|&x| divide(&mut quotient, x));
        add_scaled(&mut opening, &quotient, Fr::from(1));
    }
    opening
}

/// `W'`.
fn combined_opening(
    groups: &[Vec<Fr>],
    points: &PointSets,
    opening: &[Fr],
    chi: Fr,
) -> Result<Vec<Fr>> {
    let mut combined = Vec::new();
    for (group, set) in groups.iter().zip(Points::ALL) {
        let factor = vanishing_inverse(points.of(set), chi).ok_or(Error::Challenge)?;
        add_scaled(&mut combined, group, factor);
    }
    add_scaled(&mut combined, opening, -Fr::from(1));
    divide(&mut combined, chi);
    Ok(combined)
}

/// Commitments in the order of weights.
pub(super) fn commitments(
    key: &VerifierKey,
    statement: &PayoutStatement,
    proof: &PayoutProof,
) -> Vec<G1Affine> {
    let mut commitments = vec![statement.ledger];
    commitments.extend(proof.accumulators.iter().chain(&proof.quotients));
    commitments.push(key.identity());
    commitments.extend(proof.limbs.iter().chain([&proof.multiplicities]));
    for ((_, payouts), page) in statement.pages.iter().zip(&proof.pages) {
        commitments.extend([*payouts, page.accumulator, page.reversed]);
    }
    commitments
}
