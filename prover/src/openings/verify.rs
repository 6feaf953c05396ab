use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM, pairing::Pairing};
use ark_ff::{One, PrimeField, Zero};
use sha3::{Digest, Keccak256};

use super::{
    CellOpening, SlotOpening,
    points::{Points, coordinates},
};
use crate::evm::word;

/// An opening of a blob and the commitment that it is said to open.
#[derive(Clone, Copy, Debug)]
pub struct BlobClaim<'a> {
    /// Commitment to the blob.
    pub commitment: G1Affine,
    /// Symbols of the blob, `N`.
    pub symbols: usize,
    /// The opening.
    pub opened: Opened<'a>,
}

/// What a [`BlobClaim`] opens.
#[derive(Clone, Copy, Debug)]
pub enum Opened<'a> {
    /// Symbols by index.
    Cells(&'a CellOpening),
    /// A slot, with as many cells as the opening has values.
    Slot {
        /// Slot number.
        slot: u32,
        /// Its opening.
        opening: &'a SlotOpening,
    },
}

/// Whether the opening holds for a blob of so many symbols. False for whatever breaks a rule.
#[must_use]
pub fn verify_cells(
    tau_g2: G2Affine,
    commitment: G1Affine,
    symbols: usize,
    opening: &CellOpening,
) -> bool {
    verify_openings(tau_g2, &[BlobClaim { commitment, symbols, opened: Opened::Cells(opening) }])
}

/// Whether the slot's opening holds for a blob of so many symbols. A slot has as many cells as the
/// opening has values: whoever knows how many it must have compares. False for whatever breaks a
/// rule.
#[must_use]
pub fn verify_slot(
    tau_g2: G2Affine,
    commitment: G1Affine,
    symbols: usize,
    slot: u32,
    opening: &SlotOpening,
) -> bool {
    let opened = Opened::Slot { slot, opening };
    verify_openings(tau_g2, &[BlobClaim { commitment, symbols, opened }])
}

/// Whether all openings hold, by one pairing check of a random combination. True for none.
#[must_use]
pub fn verify_openings(tau_g2: G2Affine, claims: &[BlobClaim<'_>]) -> bool {
    let Some(equations) = claims.iter().map(Equation::new).collect::<Option<Vec<_>>>() else {
        return false;
    };
    // A chi is a hash of all that its opening says but W', which is added here.
    let words = equations.iter().flat_map(|equation| {
        let [x, y] = coordinates(equation.remainder);
        [word(equation.chi), x, y]
    });
    let hash = Keccak256::digest(words.collect::<Vec<_>>().as_flattened());
    let rho = Fr::from_be_bytes_mod_order(&hash);

    let (mut weight, mut value) = (Fr::one(), Fr::zero());
    let (mut bases, mut factors) = (Vec::new(), Vec::new());
    let (mut remainders, mut weights) = (Vec::new(), Vec::new());
    for equation in &equations {
        bases.extend([equation.commitment, equation.quotient, equation.remainder]);
        factors.extend([weight, -weight * equation.vanishing, weight * equation.chi]);
        value += weight * equation.interpolated;
        remainders.push(equation.remainder);
        weights.push(weight);
        weight *= rho;
    }
    bases.push(G1Affine::generator());
    factors.push(-value);
    let sum = |bases: &[G1Affine], factors: &[Fr]| {
        G1Projective::msm(bases, factors).expect("as many scalars as points")
    };
    let sides = [sum(&bases, &factors), -sum(&remainders, &weights)].map(G1Projective::into_affine);
    Bn254::multi_pairing(sides, [G2Affine::generator(), tau_g2]).is_zero()
}

/// `e(C - r_S(chi) G1 - Z_S(chi) W + chi W', G2) = e(W', tau G2)`
struct Equation {
    commitment: G1Affine,
    quotient: G1Affine,
    remainder: G1Affine,
    chi: Fr,
    vanishing: Fr,
    interpolated: Fr,
}

impl Equation {
    /// Nothing if the claim breaks a rule.
    fn new(claim: &BlobClaim<'_>) -> Option<Self> {
        let &BlobClaim { commitment, symbols, opened } = claim;
        let (points, values, quotient, remainder) = match opened {
            Opened::Cells(CellOpening { indices, values, quotient, remainder }) => {
                (Points::cells(symbols, indices).ok()?, values, *quotient, *remainder)
            }
            Opened::Slot { slot, opening: SlotOpening { values, quotient, remainder } } => {
                let cells = u32::try_from(values.len()).ok()?;
                (Points::slot(symbols, cells, slot).ok()?, values, *quotient, *remainder)
            }
        };
        if values.len() != points.len() {
            return None;
        }
        let chi = points.challenge(commitment, values, quotient);
        if points.in_domain(chi) {
            return None;
        }
        let (vanishing, interpolated) =
            (points.vanishing_at(chi), points.interpolated_at(values, chi));
        Some(Self { commitment, quotient, remainder, chi, vanishing, interpolated })
    }
}
