//! File of a development setup: magic (8 bytes), number of powers (u32, big-endian), `tau G2`
//! (x1, x0, y1, y0), the powers (x, y), keccak256 of all before. Words of 32 bytes, big-endian.

use std::{fs, io::ErrorKind, path::Path};

use ark_bn254::{G1Affine, G2Affine};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{Srs, check_size, dev};
use crate::{Error, Result, evm};

const MAGIC: &[u8; 8] = b"OLDEVSR1";
const HEADER: usize = 8 + 4 + 128;
const POWER: usize = 64;
const CHECKSUM: usize = 32;

impl Srs {
    /// [`Srs::dev`], read from `path` if it holds that setup with at least `size` powers, and made
    /// and written there if there is no such file.
    ///
    /// # Errors
    /// Like [`Srs::dev`]; [`Error::File`] if the file cannot be read or written,
    /// [`Error::SetupFile`] if it is damaged, or of another seed or smaller.
    pub fn dev_cached(path: &Path, chain_id: u64, seed: &[u8], size: usize) -> Result<Self> {
        dev::check_chain(chain_id)?;
        check_size(size)?;
        match fs::read(path) {
            Ok(bytes) => read(path, &bytes, dev::tau_g2(seed), size),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let srs = Self::dev(chain_id, seed, size)?;
                write(path, &srs)?;
                Ok(srs)
            }
            Err(source) => Err(Error::File { path: path.into(), source }),
        }
    }
}

fn read(path: &Path, bytes: &[u8], tau_g2: G2Affine, size: usize) -> Result<Srs> {
    let require = |holds: bool, rule| {
        if holds { Ok(()) } else { Err(Error::SetupFile { path: path.into(), rule }) }
    };
    require(bytes.starts_with(MAGIC), "begin with OLDEVSR1")?;
    let whole = bytes.len() >= HEADER + CHECKSUM;
    require(whole, "hold a header and a checksum")?;
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    require(Keccak256::digest(content)[..] == *checksum, "match its checksum")?;
    let (header, powers) = content.split_at(HEADER);
    let counted = header[8..12].iter().fold(0, |count, &byte| count << 8 | usize::from(byte));
    require(powers.len() == counted * POWER, "hold as many powers as it says")?;
    require(header[12..] == g2_bytes(tau_g2), "be of the seed asked for")?;
    require(counted >= size, "hold as many powers as asked for")?;
    let g1: Result<Vec<_>> = powers[..size * POWER].par_chunks_exact(POWER).map(power).collect();
    Ok(Srs { g1: g1?, tau_g2 })
}

fn power(bytes: &[u8]) -> Result<G1Affine> {
    let word = |at: usize| bytes[at..at + 32].try_into().expect("32 of 64 bytes");
    evm::G1 { x: word(0), y: word(32) }.try_into()
}

fn g2_bytes(point: G2Affine) -> Vec<u8> {
    let evm::G2 { x1, x0, y1, y0 } = point.into();
    [x1, x0, y1, y0].concat()
}

/// Writes beside the file and renames, so that no reader meets half of it.
fn write(path: &Path, srs: &Srs) -> Result<()> {
    let mut bytes = MAGIC.to_vec();
    let count = u32::try_from(srs.g1.len()).expect("at most 2^19 powers");
    bytes.extend(count.to_be_bytes());
    bytes.extend(g2_bytes(srs.tau_g2));
    for &power in &srs.g1 {
        let evm::G1 { x, y } = power.into();
        bytes.extend([x, y].as_flattened());
    }
    let checksum = Keccak256::digest(&bytes);
    bytes.extend(checksum);
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written
        .and_then(|()| fs::write(&partial, bytes))
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|source| Error::File { path: path.into(), source })
}
