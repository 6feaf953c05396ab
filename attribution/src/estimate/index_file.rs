//! One file per index.
//!
//! Version 4, big-endian, no padding:
//!
//! | field | bytes |
//! |---|---|
//! | magic `OLINDEX\0`, version u16 | 10 |
//! | projector: seed, dim u32, side u32, sites u32 | 44 |
//! | per site: rank u32, d_in u32, d_out u32 | 12 each |
//! | projector's basis: u8 (0 none, 1 learned); if learned, per tensor (`S_B`, then `S_A`, of each site) as below | 1 |
//! | rank directions m_r u16, side directions m u16, buckets u16 | 6 each |
//! | directions f32 (m_r, r), f32 (m, k) | |
//! | per rank direction: kept pairs u16, the side direction of each u16 | |
//! | damping f64, trace f64, lambda f64, scale f32 | 28 |
//! | rows u32, root of the contributors' tree | 36 |
//! | whitening: blocks u16; of each width w u32, form u8 (0 dense, 1 factored), directions m u32 | 2, 9 each |
//! | per block, dense: W f32 (w, w); factored: identity f32, gains f32 (m,), directions f32 (m, w) | |
//! | per row: datanet u8, index u64, hash, earner u32, cluster u32, self influence f32 | 53 each |
//! | sketches i8 (rows, d), each in -127..=127 | |
//! | keccak256 of everything before | 32 |
//!
//! Contributors, their sums and the trees of partial sums follow from the rows, so they are not
//! stored: a reader derives them and compares the root.

mod basis;
mod header;
mod stream;

use std::{
    fs::{File, rename},
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use sha3::{Digest, Keccak256};

use self::{
    header::{Header, read_row},
    stream::{Hashing, Input},
};
use super::{
    index::{InfluenceIndex, RowSource},
    whitening::Form,
};
use crate::{Error, Result, settle::Hash};

const MAGIC: [u8; 8] = *b"OLINDEX\0";
const VERSION: u16 = 4;
const CHECKSUM_BYTES: u64 = 32;

impl InfluenceIndex {
    /// Writes the index to `path`: to `path.partial` first, flushed to disk, then renamed, so that
    /// `path` never holds half an index.
    ///
    /// # Errors
    /// [`Error::File`] if the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| file_error(path, &e);
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let file = File::create(&partial).map_err(failed)?;
        self.write_to(&file).and_then(|()| file.sync_all()).map_err(failed)?;
        rename(&partial, path).map_err(failed)?;
        // The rename itself lasts only once the folder is on disk.
        match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder).and_then(|f| f.sync_all()).map_err(failed),
            None => Ok(()),
        }
    }

    /// Reads an index. Memory is bounded by the file's length: every count is checked against it
    /// before anything is allocated.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Version`] for another version,
    /// [`Error::Corrupt`] naming the rule that the content breaks.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| file_error(path, &e);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Self::read_from(file, length, failed)
    }

    /// Reads an index from the bytes of its file, as [`Self::read`] does.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read_from(bytes, bytes.len() as u64, |e| file_error(Path::new("in memory"), &e))
    }

    /// The bytes of the index's file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).expect("writing to memory does not fail");
        bytes
    }

    fn write_to(&self, to: impl Write) -> std::io::Result<()> {
        let mut out = BufWriter::new(Hashing { inner: to, hasher: Keccak256::new() });
        write_header(self, &mut out)?;
        for (_, form) in self.whitening().blocks() {
            match form {
                Form::Dense(matrix) => write_floats(&mut out, matrix)?,
                Form::Factored { identity, gains, directions } => {
                    write_floats(&mut out, &[*identity])?;
                    write_floats(&mut out, gains)?;
                    write_floats(&mut out, directions)?;
                }
            }
        }
        for row in self.rows() {
            let RowSource { datanet, index, hash, earner, cluster } = row.source;
            out.write_all(&[datanet])?;
            out.write_all(&index.to_be_bytes())?;
            out.write_all(&hash)?;
            out.write_all(&earner.0.to_be_bytes())?;
            out.write_all(&cluster.to_be_bytes())?;
            out.write_all(&row.self_influence.to_be_bytes())?;
        }
        for chunk in self.parts.sketches.chunks(1 << 16) {
            let bytes: Vec<u8> = chunk.iter().map(|x| x.cast_unsigned()).collect();
            out.write_all(&bytes)?;
        }
        let Hashing { mut inner, hasher } = out.into_inner().map_err(|e| e.into_error())?;
        inner.write_all(&hasher.finalize())?;
        inner.flush()
    }

    fn read_from(
        mut from: impl Read,
        length: u64,
        failed: impl Fn(std::io::Error) -> Error,
    ) -> Result<Self> {
        let body =
            length.checked_sub(CHECKSUM_BYTES).ok_or(Error::Corrupt("shorter than its trailer"))?;
        let hashing = Hashing { inner: (&mut from).take(body), hasher: Keccak256::new() };
        let mut input = Input { from: BufReader::new(hashing), left: body, failed: &failed };
        let header = Header::read(&mut input)?;
        let forms = header.read_whitening(&mut input)?;
        let rows = (0..header.rows).map(|_| read_row(&mut input)).collect::<Result<Vec<_>>>()?;
        let sketches = input.bytes(u64::from(header.rows) * header.dim())?;
        let computed = input.from.into_inner().hasher.finalize();
        let mut stored: Hash = [0; 32];
        from.read_exact(&mut stored).map_err(&failed)?;
        if *computed != stored {
            return Err(Error::Corrupt("checksum differs"));
        }
        header.index(forms, rows, sketches)
    }
}

fn write_header(index: &InfluenceIndex, out: &mut impl Write) -> std::io::Result<()> {
    let (projector, whitening) = (index.projector(), index.whitening());
    let word = |n: usize, out: &mut dyn Write| {
        out.write_all(&u32::try_from(n).expect("counts are checked when built").to_be_bytes())
    };
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_be_bytes())?;
    out.write_all(&projector.config().seed)?;
    word(projector.config().dim, out)?;
    word(projector.config().side, out)?;
    word(projector.shapes().len(), out)?;
    for shape in projector.shapes() {
        word(shape.rank, out)?;
        word(shape.d_in, out)?;
        word(shape.d_out, out)?;
    }
    match projector.basis() {
        None => out.write_all(&[0])?,
        Some(basis) => out.write_all(&[1]).and_then(|()| out.write_all(&basis.to_bytes()))?,
    }
    for x in [index.damping(), index.trace(), whitening.lambda()] {
        out.write_all(&x.to_be_bytes())?;
    }
    out.write_all(&index.scale().to_be_bytes())?;
    word(index.rows().len(), out)?;
    out.write_all(&index.root())?;
    let blocks = u16::try_from(whitening.blocks().len()).expect("blocks are at most 8193");
    out.write_all(&blocks.to_be_bytes())?;
    for (width, form) in whitening.blocks() {
        word(*width, out)?;
        match form {
            Form::Dense(_) => out.write_all(&[0]).and_then(|()| word(0, out))?,
            Form::Factored { gains, .. } => {
                out.write_all(&[1]).and_then(|()| word(gains.len(), out))?;
            }
        }
    }
    Ok(())
}

fn write_floats(out: &mut impl Write, floats: &[f32]) -> std::io::Result<()> {
    floats.iter().try_for_each(|x| out.write_all(&x.to_be_bytes()))
}

fn file_error(path: &Path, e: &std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: e.to_string() }
}
