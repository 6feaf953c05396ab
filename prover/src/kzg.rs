use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM, pairing::Pairing};
use ark_ff::{One, PrimeField, Zero};
use sha3::{Digest, Keccak256};

use crate::{
    Result, Srs,
    evm::{self, word},
    polynomial::{Polynomial, root_of_unity},
};

/// Proof that a committed polynomial takes `value` at `w^index` of its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Points of the domain.
    pub domain_size: usize,
    /// Which point.
    pub index: usize,
    /// The value there.
    pub value: Fr,
    /// Commitment to `(f(X) - value) / (X - w^index)`.
    pub witness: G1Affine,
}

/// An opening and the commitment that it is said to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Commitment to the polynomial.
    pub commitment: G1Affine,
    /// The opening.
    pub opening: Opening,
}

/// Opens `polynomial` at the point of its domain with this index.
pub(crate) fn open(srs: &Srs, polynomial: &Polynomial, index: usize) -> Result<Opening> {
    let z = polynomial.point(index)?;
    let (quotient, value) = polynomial.divide(z);
    let witness = srs.commit(&quotient)?;
    Ok(Opening { domain_size: polynomial.size(), index, value, witness })
}

/// Whether the opening holds: `e(C - y G1 + z W, G2) = e(W, tau G2)`.
///
/// # Errors
/// [`Error::DomainSize`](crate::Error::DomainSize) if the opening's domain does not exist.
pub fn verify(tau_g2: G2Affine, commitment: G1Affine, opening: &Opening) -> Result<bool> {
    verify_many(tau_g2, &[Claim { commitment, opening: *opening }])
}

/// Whether all openings hold, by one pairing check of a random combination.
///
/// The combination's coefficients are hashes of everything checked, so nobody can choose openings
/// whose errors cancel.
///
/// # Errors
/// [`Error::DomainSize`](crate::Error::DomainSize) if an opening's domain does not exist.
pub fn verify_many(tau_g2: G2Affine, claims: &[Claim]) -> Result<bool> {
    let seed = digest(tau_g2, claims);
    let (mut points, mut scalars, mut values) = (Vec::new(), Vec::new(), Fr::zero());
    let (mut witnesses, mut factors) = (Vec::new(), Vec::new());
    for (i, Claim { commitment, opening }) in (0_u64..).zip(claims) {
        if opening.index >= opening.domain_size {
            return Ok(false);
        }
        let root = root_of_unity(opening.domain_size)?;
        let z = ark_ff::Field::pow(&root, [opening.index as u64]);
        // Powers of one coefficient would do; hashes keep them independent and as cheap.
        let rho = if i == 0 { Fr::one() } else { coefficient(&seed, i) };
        points.extend([*commitment, opening.witness]);
        scalars.extend([rho, rho * z]);
        values += rho * opening.value;
        witnesses.push(opening.witness);
        factors.push(rho);
    }
    points.push(G1Affine::generator());
    scalars.push(-values);
    let left = combine(&points, &scalars);
    let right = combine(&witnesses, &factors);
    let sides = [left, -right].map(G1Projective::into_affine);
    Ok(Bn254::multi_pairing(sides, [G2Affine::generator(), tau_g2]).is_zero())
}

fn combine(points: &[G1Affine], scalars: &[Fr]) -> G1Projective {
    G1Projective::msm(points, scalars).expect("as many scalars as points")
}

fn digest(tau_g2: G2Affine, claims: &[Claim]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    let evm::G2 { x1, x0, y1, y0 } = tau_g2.into();
    hasher.update([x1, x0, y1, y0].as_flattened());
    for Claim { commitment, opening } in claims {
        for point in [commitment, &opening.witness] {
            let evm::G1 { x, y } = (*point).into();
            hasher.update([x, y].as_flattened());
        }
        hasher.update(word(opening.value));
        hasher.update((opening.domain_size as u64).to_be_bytes());
        hasher.update((opening.index as u64).to_be_bytes());
    }
    hasher.finalize().into()
}

/// 128 bits of a hash: a wrong combination passes with probability 2^-128.
pub(crate) fn coefficient(seed: &[u8; 32], i: u64) -> Fr {
    let hash = Keccak256::new().chain_update(seed).chain_update(i.to_be_bytes()).finalize();
    Fr::from_be_bytes_mod_order(&hash[..16])
}
