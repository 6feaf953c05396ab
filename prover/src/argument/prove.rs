use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine};
use ark_ff::Field;
use attribution::settle::EarnerIndex;

use super::{
    accumulators::{Accumulators, Terms},
    challenges::{Sums, draw_alpha, draw_chi, draw_nu, draw_zeta},
    equations::{PageSteps, RowSteps},
    key::{VerifierKey, identity_column},
    openings::{PointSets, Points, add_scaled, divide, sets, vanishing_inverse},
    proof::PayoutProof,
    quotients::{PageColumns, page_quotient, row_quotient},
    statement::PayoutStatement,
    transcript::Transcript,
    witness::{Witness, interpolate},
};
use crate::{Error, LedgerCommitment, Result, Srs};

/// Part of the prover's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProofStage {
    /// Commitments to payouts' limbs, multiplicities and reversed payouts.
    Columns,
    /// Commitments to accumulators.
    Accumulators,
    /// Commitments to quotients: the longest stage beside the openings.
    Quotients,
    /// Evaluations and the two opening commitments.
    Openings,
}

/// How far a proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage that has just ended.
    pub ended: ProofStage,
    /// Stages that have ended.
    pub done: u32,
    /// Stages in all.
    pub of: u32,
}

/// Proves that the statement's payouts are what its ledger pays, on all cores.
///
/// `payouts` are gwei by earner, as in [`Ledger::payouts`](attribution::settle::Ledger::payouts).
/// The setup must have `max(8 rows, (L + 1) M)` powers. `progress` is called after each stage.
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
        if srs.commit(&page.polynomial)? != *commitment {
            return refuse("commit to the payouts given");
        }
    }
    let mut report = |ended: ProofStage| {
        progress(Progress { ended, done: ended as u32 + 1, of: ProofStage::Openings as u32 + 1 });
    };
    let mut rounds = Rounds::new(srs, key, statement, &witness);
    let sums = rounds.commit_columns(&witness)?;
    report(ProofStage::Columns);
    let terms = rounds.terms(&sums, &witness);
    let claimed = rounds.claim_sums(&sums, &terms)?;
    terms.check(&claimed)?;
    let accumulated = rounds.commit_accumulators(&terms, claimed)?;
    report(ProofStage::Accumulators);
    let quotients = rounds.commit_quotients(&sums, &witness, accumulated)?;
    report(ProofStage::Quotients);
    let proof = rounds.open(&witness, &quotients)?;
    report(ProofStage::Openings);
    Ok(proof)
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
    columns: Vec<Columns>,
}

/// Coefficients of a page's limbs and multiplicities.
#[derive(Debug)]
struct Columns {
    limbs: Vec<Vec<Fr>>,
    multiplicities: Vec<Fr>,
}

/// Coefficients of the accumulators.
#[derive(Debug)]
pub(super) struct Accumulated {
    alpha: Fr,
    steps: RowSteps,
    rows: [Vec<Fr>; 2],
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
    fn check(&self, claimed: &[Fr; 2]) -> Result<()> {
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
            columns: Vec::new(),
        }
    }

    /// Commits to reversed payouts, limbs and multiplicities.
    pub(super) fn commit_columns(&mut self, witness: &Witness) -> Result<Sums> {
        self.set_columns(witness)?;
        Ok(Sums::draw(&mut self.transcript, &self.proof))
    }

    /// Commits without drawing a challenge.
    pub(super) fn set_columns(&mut self, witness: &Witness) -> Result<()> {
        self.columns.clear();
        for (page, proof) in witness.pages.iter().zip(&mut self.proof.pages) {
            let limbs = page.limbs.iter().map(|limb| interpolate(limb)).collect::<Result<Vec<_>>>();
            let columns =
                Columns { limbs: limbs?, multiplicities: interpolate(&page.multiplicities)? };
            proof.reversed = self.srs.commit(&page.reversed)?;
            proof.multiplicities = self.srs.commit(&columns.multiplicities)?;
            for (commitment, limb) in proof.limbs.iter_mut().zip(&columns.limbs) {
                *commitment = self.srs.commit(limb)?;
            }
            self.columns.push(columns);
        }
        Ok(())
    }

    fn page_steps(&self, sums: &Sums) -> Vec<PageSteps> {
        let pages = self.statement.pages.iter().zip(&self.proof.pages).enumerate();
        pages
            .map(|(j, (&(page, _), proof))| {
                PageSteps::new(sums, j, page, self.key.page_size(), proof.sum)
            })
            .collect()
    }

    pub(super) fn terms(&self, sums: &Sums, witness: &Witness) -> Terms {
        Terms::new(sums, &self.page_steps(sums), witness)
    }

    /// Claims the true sums of the pages; returns what the rows must then sum to.
    pub(super) fn claim_sums(&mut self, sums: &Sums, terms: &Terms) -> Result<[Fr; 2]> {
        let mut paid = -sums.beta * Fr::from(self.statement.total);
        for (page, terms) in self.proof.pages.iter_mut().zip(&terms.pages) {
            page.sum = terms.iter().sum();
            paid += page.sum;
        }
        let drawn = self.statement.draws_at(sums.gamma).ok_or(Error::Challenge)?;
        Ok([drawn, paid])
    }

    /// Commits to accumulators that claim `rows` and the sums of the pages in the proof.
    pub(super) fn commit_accumulators(
        &mut self,
        terms: &Terms,
        rows: [Fr; 2],
    ) -> Result<Accumulated> {
        let claimed: Vec<_> = self.proof.pages.iter().map(|page| page.sum).collect();
        let Accumulators { rows: [z1, z2], pages } = terms.accumulate(rows, &claimed);
        let rows_inverse = Fr::from(self.statement.rows).inverse().expect("there are rows");
        let mut accumulated = Accumulated {
            alpha: Fr::from(0),
            steps: RowSteps(rows.map(|sum| sum * rows_inverse)),
            rows: [interpolate(&z1)?, interpolate(&z2)?],
            pages: pages.iter().map(|page| interpolate(page)).collect::<Result<_>>()?,
        };
        for (commitment, z) in self.proof.accumulators.iter_mut().zip(&accumulated.rows) {
            *commitment = self.srs.commit(z)?;
        }
        for (page, accumulator) in self.proof.pages.iter_mut().zip(&accumulated.pages) {
            page.accumulator = self.srs.commit(accumulator)?;
        }
        accumulated.alpha = draw_alpha(&mut self.transcript, &self.proof);
        Ok(accumulated)
    }

    pub(super) fn commit_quotients(
        &mut self,
        sums: &Sums,
        witness: &Witness,
        accumulated: Accumulated,
    ) -> Result<Quotients> {
        let Accumulated { alpha, steps, rows: [z1, z2], pages: accumulators } = &accumulated;
        let rows = row_quotient(sums, *alpha, steps, &witness.ledger, [z1, z2])?;
        self.proof.quotients[0] = self.srs.commit(&rows)?;
        let identity = identity_column(self.key.page_size())?.into_coefficients();
        let columns = witness.pages.iter().zip(&self.columns).zip(accumulators);
        let columns = columns.map(|((page, columns), accumulator)| PageColumns {
            payouts: &page.polynomial,
            limbs: &columns.limbs,
            multiplicities: &columns.multiplicities,
            accumulator,
        });
        let pages: Vec<_> = self.page_steps(sums).into_iter().zip(columns).collect();
        let pages = page_quotient(*alpha, &identity, &pages)?;
        self.proof.quotients[1] = self.srs.commit(&pages)?;
        let zeta = draw_zeta(&mut self.transcript, &self.proof);
        Ok(Quotients { zeta, accumulated, identity, rows, pages })
    }

    /// Evaluates everything and opens it.
    pub(super) fn open(self, witness: &Witness, quotients: &Quotients) -> Result<PayoutProof> {
        let Self { srs, key, statement, mut transcript, mut proof, columns } = self;
        let (rows, page_size) = (statement.rows as usize, key.page_size() as usize);
        let points = PointSets::new(quotients.zeta, rows, page_size)?.ok_or(Error::Challenge)?;
        let polynomials = polynomials(witness, &columns, quotients);
        evaluate(&mut proof, &points, &polynomials);
        let nu = draw_nu(&mut transcript, &proof);

        let mut groups = vec![Vec::new(); Points::ALL.len()];
        let mut weight = Fr::from(1);
        for (polynomial, set) in polynomials.iter().zip(sets(columns.len(), key.limbs())) {
            add_scaled(&mut groups[set as usize], polynomial, weight);
            weight *= nu;
        }
        let opening = opening(&groups, &points);
        proof.opening = srs.commit(&opening)?;

        let chi = draw_chi(&mut transcript, &proof);
        let combined = combined_opening(&groups, &points, &opening, chi)?;
        proof.combined_opening = srs.commit(&combined)?;
        Ok(proof)
    }
}

/// Everything opened, in the order of weights.
fn polynomials<'p>(
    witness: &'p Witness,
    columns: &'p [Columns],
    quotients: &'p Quotients,
) -> Vec<&'p [Fr]> {
    let [z1, z2] = &quotients.accumulated.rows;
    let mut polynomials: Vec<&[Fr]> =
        vec![&witness.ledger, z1, z2, &quotients.rows, &quotients.pages, &quotients.identity];
    let pages = witness.pages.iter().zip(columns).zip(&quotients.accumulated.pages);
    for ((page, columns), accumulator) in pages {
        polynomials.push(&page.polynomial);
        polynomials.extend(columns.limbs.iter().map(Vec::as_slice));
        polynomials.extend([&columns.multiplicities, accumulator, &page.reversed].map(|p| &p[..]));
    }
    polynomials
}

fn evaluate(proof: &mut PayoutProof, points: &PointSets, polynomials: &[&[Fr]]) {
    let at = |polynomial: &[Fr], points: &[Fr]| -> Vec<Fr> {
        points.iter().map(|x| polynomial.iter().rev().fold(Fr::from(0), |y, c| y * x + c)).collect()
    };
    let zeta = points.of(Points::Zeta);
    let of_page = (polynomials.len() - 6) / proof.pages.len();
    proof.cells_at.copy_from_slice(&at(polynomials[0], points.of(Points::Cells)));
    for (values, z) in proof.accumulators_at.iter_mut().zip(&polynomials[1..]) {
        values.copy_from_slice(&at(z, points.of(Points::Rows)));
    }
    proof.identity_at = at(polynomials[5], zeta)[0];
    for (page, polynomials) in proof.pages.iter_mut().zip(polynomials[6..].chunks_exact(of_page)) {
        let [payouts, limbs @ .., multiplicities, accumulator, _] = polynomials else {
            unreachable!("a page has at least four polynomials");
        };
        page.payouts_at = at(payouts, zeta)[0];
        page.limbs_at = limbs.iter().map(|limb| at(limb, zeta)[0]).collect();
        page.multiplicities_at = at(multiplicities, zeta)[0];
        page.accumulator_at.copy_from_slice(&at(accumulator, points.of(Points::Page)));
    }
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
    for ((_, payouts), page) in statement.pages.iter().zip(&proof.pages) {
        commitments.push(*payouts);
        commitments.extend(&page.limbs);
        commitments.extend([page.multiplicities, page.accumulator, page.reversed]);
    }
    commitments
}
