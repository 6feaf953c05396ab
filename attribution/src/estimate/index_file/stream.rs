//! Hashed output and bounded, hashed input.

use std::io::{BufReader, Read, Write};

use sha3::{Digest, Keccak256};

use crate::{Error, Result};

/// Hashes what passes through it.
pub(super) struct Hashing<T> {
    pub(super) inner: T,
    pub(super) hasher: Keccak256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        Ok(read)
    }
}

/// The body of a file, of which `left` bytes are unread. Asking for more is an error before
/// anything is allocated.
pub(super) struct Input<'a, R> {
    pub(super) from: BufReader<R>,
    pub(super) left: u64,
    pub(super) failed: &'a dyn Fn(std::io::Error) -> Error,
}

impl<R: Read> Input<'_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(Error::Corrupt("ends inside a field"))?;
        self.from.read_exact(bytes).map_err(self.failed)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn float(&mut self) -> Result<f32> {
        let float = f32::from_be_bytes(self.array()?);
        if float.is_finite() { Ok(float) } else { Err(Error::Corrupt("a float is not finite")) }
    }

    pub(super) fn floats(&mut self, count: u64) -> Result<Vec<f32>> {
        self.need(4 * count)?;
        (0..count).map(|_| self.float()).collect()
    }

    pub(super) fn bytes(&mut self, count: u64) -> Result<Vec<u8>> {
        self.need(count)?;
        let mut bytes = vec![0; count as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    const fn need(&self, bytes: u64) -> Result<()> {
        if bytes <= self.left { Ok(()) } else { Err(Error::Corrupt("ends inside an array")) }
    }
}
