use ark_bn254::Fr;

use super::{proof::PayoutProof, transcript::Transcript};

/// Challenges of the sums, drawn after all columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// Where the rational functions are taken.
    pub(super) gamma: Fr,
    /// Weight of the total.
    pub(super) beta: Fr,
    /// Weight of the lookup.
    pub(super) delta: Fr,
}

/// The rounds of the transcript: what each absorbs and draws, for prover and verifier.
impl Sums {
    pub(super) fn draw(transcript: &mut Transcript, proof: &PayoutProof) -> Self {
        transcript.absorb(&proof.column_words());
        let [gamma, beta, delta] = [(); 3].map(|()| transcript.squeeze());
        Self { gamma, beta, delta }
    }

    /// `gamma_j` of a page.
    pub(super) fn of_page(&self, page: u32, page_size: u32) -> Fr {
        self.gamma - Fr::from(page) * Fr::from(page_size)
    }
}

pub(super) fn draw_alpha(transcript: &mut Transcript, proof: &PayoutProof) -> Fr {
    transcript.absorb(&proof.accumulator_words());
    transcript.squeeze()
}

pub(super) fn draw_zeta(transcript: &mut Transcript, proof: &PayoutProof) -> Fr {
    transcript.absorb(&proof.quotient_words());
    transcript.squeeze()
}

pub(super) fn draw_nu(transcript: &mut Transcript, proof: &PayoutProof) -> Fr {
    transcript.absorb(&proof.evaluation_words());
    transcript.squeeze()
}

pub(super) fn draw_chi(transcript: &mut Transcript, proof: &PayoutProof) -> Fr {
    transcript.absorb(&super::transcript::point(proof.opening));
    transcript.squeeze()
}
