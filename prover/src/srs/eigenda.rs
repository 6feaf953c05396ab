//! EigenDA's powers, file `g1.point`: 32 bytes each, compressed as gnark does, big-endian. The two
//! leading bits say which of the two roots `y` is (`10` the smaller, `11` the larger).

use std::{fs::File, io::Read, path::Path};

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine};
use ark_ff::{Field, MontFp, PrimeField};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{Bases, Srs, check_size};
use crate::{Error, Result, evm};

const POWER: usize = 32;
const FLAGS: u8 = 0b1100_0000;
const SMALLER: u8 = 0b1000_0000;
const LARGER: u8 = 0b1100_0000;

/// `tau G2` of EigenDA's setup.
pub const EIGENDA_TAU_G2: G2Affine = G2Affine::new_unchecked(
    Fq2::new(
        MontFp!("19394299006376106554626551996044114846855237028623244664226757033024550999552"),
        MontFp!("10478571113809844268398751534081669357808742555529167819607714577862447855483"),
    ),
    Fq2::new(
        MontFp!("9205262336805673656533560220225620941045451042642528799409071118332922267006"),
        MontFp!("10552783866161062341197740743287753408530108186218052255509661543860392060676"),
    ),
);

impl Srs {
    /// Reads the first `size` powers of a file and checks them against `tau_g2`,
    /// [`EIGENDA_TAU_G2`] on real networks.
    ///
    /// # Errors
    /// [`Error::SetupSize`] unless `size` is from 2 to 2^19, [`Error::File`] if the file cannot be
    /// read, [`Error::SetupFile`] if it is shorter or its points are not the powers of the secret
    /// in `tau_g2`.
    pub fn eigenda(path: &Path, size: usize, tau_g2: G2Affine) -> Result<Self> {
        check_size(size)?;
        let failed = |source| Error::File { path: path.into(), source };
        let refuse = |rule| Error::SetupFile { path: path.into(), rule };
        let wanted = size * POWER;
        let mut bytes = Vec::with_capacity(wanted);
        let file = File::open(path).map_err(failed)?;
        file.take(wanted as u64).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() < wanted {
            return Err(refuse("hold as many powers as asked for"));
        }
        let g1: Option<Vec<_>> = bytes.par_chunks_exact(POWER).map(decompress).collect();
        let g1 = g1.ok_or_else(|| refuse("hold compressed points of the curve"))?;
        let srs = Self { g1, tau_g2, secret: None, bases: Bases::beside(path) };
        let mut hasher = Keccak256::new().chain_update(&bytes);
        let evm::G2 { x1, x0, y1, y0 } = tau_g2.into();
        hasher.update([x1, x0, y1, y0].as_flattened());
        if !srs.is_consistent(&hasher.finalize().into()) {
            return Err(refuse("hold the powers of the secret in tau G2"));
        }
        Ok(srs)
    }
}

/// A point; the identity is no power of a secret and is refused.
fn decompress(bytes: &[u8]) -> Option<G1Affine> {
    let mut word: [u8; POWER] = bytes.try_into().ok()?;
    let flags = word[0] & FLAGS;
    word[0] &= !FLAGS;
    let x = evm::coordinate(&word).ok()?;
    let y = (x.square() * x + Fq::from(3)).sqrt()?;
    let larger = y.into_bigint() > (-y).into_bigint();
    let y = match flags {
        SMALLER if larger => -y,
        LARGER if !larger => -y,
        SMALLER | LARGER => y,
        _ => return None,
    };
    Some(G1Affine::new_unchecked(x, y))
}
