use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM, pairing::Pairing};
use ark_ff::{Field, Zero};

use super::{
    challenges::{Sums, draw_alpha, draw_chi, draw_nu, draw_zeta},
    equations::{PageSteps, PageValues, RowSteps, RowValues},
    key::VerifierKey,
    openings::{PointSets, Points, lagrange, sets, values, vanishing_inverse},
    proof::PayoutProof,
    prove::commitments,
    statement::PayoutStatement,
    transcript::Transcript,
};

impl VerifierKey {
    /// Whether the proof shows the statement. False for whatever breaks a rule.
    #[must_use]
    pub fn verify(&self, statement: &PayoutStatement, proof: &PayoutProof) -> bool {
        statement.check(self).is_ok()
            && proof.has_shape(statement.pages.len(), self.limbs())
            && self.verify_rounds(statement, proof).unwrap_or(false)
    }

    /// Nothing if a challenge makes a denominator zero.
    fn verify_rounds(&self, statement: &PayoutStatement, proof: &PayoutProof) -> Option<bool> {
        let mut transcript = statement.transcript(self);
        let sums = Sums::draw(&mut transcript, proof);
        let alpha = draw_alpha(&mut transcript, proof);
        let zeta = draw_zeta(&mut transcript, proof);
        let (rows, page_size) = (statement.rows as usize, self.page_size() as usize);
        let points = PointSets::new(zeta, rows, page_size).ok()??;
        let t_h = self.row_quotient_at(&sums, alpha, zeta, statement, proof)?;
        let t_e = self.page_quotient_at(&sums, alpha, zeta, statement, proof)?;
        // R(1/zeta) = zeta^(-(M-1)) P(zeta)
        let shift = zeta.pow([page_size as u64 - 1]).inverse()?;
        let reversed: Vec<_> = proof.pages.iter().map(|page| shift * page.payouts_at).collect();
        let values = values(proof, [t_h, t_e], &reversed);
        self.opens(&mut transcript, &points, statement, proof, &values)
    }

    fn page_quotient_at(
        &self,
        sums: &Sums,
        alpha: Fr,
        zeta: Fr,
        statement: &PayoutStatement,
        proof: &PayoutProof,
    ) -> Option<Fr> {
        let (mut numerator, mut weight) = (Fr::zero(), Fr::from(1));
        let mut multiplicity = proof.multiplicities_at;
        for (&(number, _), page) in statement.pages.iter().zip(&proof.pages) {
            let values = PageValues {
                identity: proof.identity_at,
                payout: page.payouts_at,
                multiplicity: std::mem::take(&mut multiplicity),
                accumulator: page.accumulator_at,
            };
            let steps = PageSteps::new(sums, number, self.page_size(), page.sum);
            numerator += weight * steps.at(&values);
            weight *= alpha;
        }
        Some(numerator * vanishing(zeta, u64::from(self.page_size())).inverse()?)
    }

    fn row_quotient_at(
        &self,
        sums: &Sums,
        alpha: Fr,
        zeta: Fr,
        statement: &PayoutStatement,
        proof: &PayoutProof,
    ) -> Option<Fr> {
        let claimed = claimed_sums(sums, statement, proof)?;
        let &(first, _) = statement.pages.first()?;
        let steps = RowSteps::new(sums, first, self.page_size(), statement.rows, claimed);
        let values = RowValues {
            cells: proof.cells_at,
            accumulators: proof.accumulators_at,
            limbs: &proof.limbs_at,
        };
        let inverse = vanishing(zeta, statement.rows.into()).inverse()?;
        Some(steps.at(alpha, &values) * inverse)
    }

    /// The verification equation of `SPEC.md`, section 7.
    fn opens(
        &self,
        transcript: &mut Transcript,
        points: &PointSets,
        statement: &PayoutStatement,
        proof: &PayoutProof,
        values: &[Vec<Fr>],
    ) -> Option<bool> {
        let nu = draw_nu(transcript, proof);
        let chi = draw_chi(transcript, proof);
        let mut at = Vec::new();
        for set in Points::ALL {
            let points = points.of(set);
            at.push((vanishing_inverse(points, chi)?, lagrange(points, chi)?));
        }
        let (mut factors, mut value, mut weight) = (Vec::new(), Fr::zero(), Fr::from(1));
        for (set, values) in sets(statement.pages.len(), self.limbs()).into_iter().zip(values) {
            let (factor, lagrange) = &at[set as usize];
            factors.push(weight * factor);
            value += weight * lagrange.iter().zip(values).map(|(l, y)| *l * y).sum::<Fr>();
            weight *= nu;
        }
        let mut bases = commitments(self, statement, proof);
        bases.extend([G1Affine::generator(), proof.opening, proof.combined_opening]);
        factors.extend([-value, -Fr::from(1), chi]);
        let left = G1Projective::msm(&bases, &factors).ok()?.into_affine();
        let sides = [left, (-proof.combined_opening.into_group()).into_affine()];
        Some(Bn254::multi_pairing(sides, [G2Affine::generator(), self.tau_g2()]).is_zero())
    }
}

/// What `z1`, `z2` and `z3` must sum to: `D`, `T` and the sum sent. Nothing if a draw's denominator
/// is zero.
pub(super) fn claimed_sums(
    sums: &Sums,
    statement: &PayoutStatement,
    proof: &PayoutProof,
) -> Option<[Fr; 3]> {
    let drawn = statement.draws_at(sums.gamma)?;
    let pages = proof.pages.iter().map(|page| page.sum).sum::<Fr>();
    let paid = pages - sums.beta * Fr::from(statement.total) + sums.delta * proof.lookup_sum;
    Some([drawn, paid, proof.lookup_sum])
}

/// `zeta^order - 1`.
fn vanishing(zeta: Fr, order: u64) -> Fr {
    zeta.pow([order]) - Fr::from(1)
}
