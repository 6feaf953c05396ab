//! Files of points: magic (8 bytes), number of points (u32, big-endian), `tau G2` (x1, x0, y1, y0),
//! the points (x, y), keccak256 of all before. Words of 32 bytes, big-endian. A development setup is
//! such a file of its powers; other tables of a setup are kept in such files too.

use std::{fs, io::ErrorKind, path::Path};

use ark_bn254::{G1Affine, G2Affine};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{Bases, Srs, check_size, dev};
use crate::{Error, Result, evm};

const SETUP: &[u8; 8] = b"OLDEVSR1";
const TABLE: &[u8; 8] = b"OLTABLE1";
const HEADER: usize = 8 + 4 + 128;
const POINT: usize = 64;
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
            Ok(bytes) => {
                let tau_g2 = dev::tau_g2(seed);
                let g1 = read(path, &bytes, SETUP, tau_g2, size)?;
                Ok(Self { g1, tau_g2, secret: Some(dev::secret(seed)), bases: Bases::default() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let srs = Self::dev(chain_id, seed, size)?;
                write(path, SETUP, srs.tau_g2, &srs.g1)?;
                Ok(srs)
            }
            Err(source) => Err(Error::File { path: path.into(), source }),
        }
    }
}

/// Reads a table of `size` points.
pub(super) fn read_points(path: &Path, tau_g2: G2Affine, size: usize) -> Result<Vec<G1Affine>> {
    let bytes = fs::read(path).map_err(|source| Error::File { path: path.into(), source })?;
    read(path, &bytes, TABLE, tau_g2, size)
}

/// Writes a table.
pub(super) fn write_points(path: &Path, tau_g2: G2Affine, points: &[G1Affine]) -> Result<()> {
    write(path, TABLE, tau_g2, points)
}

fn read(
    path: &Path,
    bytes: &[u8],
    magic: &[u8; 8],
    tau_g2: G2Affine,
    size: usize,
) -> Result<Vec<G1Affine>> {
    let require = |holds: bool, rule| {
        if holds { Ok(()) } else { Err(Error::SetupFile { path: path.into(), rule }) }
    };
    require(
        bytes.starts_with(magic),
        "begin with OLDEVSR1 (a setup) or OLTABLE1 (a table of one)",
    )?;
    let whole = bytes.len() >= HEADER + CHECKSUM;
    require(whole, "hold a header and a checksum")?;
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    require(Keccak256::digest(content)[..] == *checksum, "match its checksum")?;
    let (header, points) = content.split_at(HEADER);
    let counted = header[8..12].iter().fold(0, |count, &byte| count << 8 | usize::from(byte));
    require(points.len() == counted * POINT, "hold as many powers as it says")?;
    require(header[12..] == g2_bytes(tau_g2), "be of the setup asked for")?;
    require(counted >= size, "hold as many powers as asked for")?;
    points[..size * POINT].par_chunks_exact(POINT).map(point).collect()
}

fn point(bytes: &[u8]) -> Result<G1Affine> {
    let word = |at: usize| bytes[at..at + 32].try_into().expect("32 of 64 bytes");
    evm::G1 { x: word(0), y: word(32) }.try_into()
}

fn g2_bytes(point: G2Affine) -> Vec<u8> {
    let evm::G2 { x1, x0, y1, y0 } = point.into();
    [x1, x0, y1, y0].concat()
}

/// Writes beside the file and renames, so that no reader meets half of it.
fn write(path: &Path, magic: &[u8; 8], tau_g2: G2Affine, points: &[G1Affine]) -> Result<()> {
    let mut bytes = magic.to_vec();
    let count = u32::try_from(points.len()).expect("at most 2^19 points");
    bytes.extend(count.to_be_bytes());
    bytes.extend(g2_bytes(tau_g2));
    for &point in points {
        let evm::G1 { x, y } = point.into();
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
