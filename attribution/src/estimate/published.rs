//! What of an index is published: exactly what its root commits to.
//!
//! Version 1, big-endian, no padding:
//!
//! | field | bytes |
//! |---|---|
//! | magic `OLIXPUB\0`, version u16 | 10 |
//! | dim u32, contributors u32, rows u32 | 12 |
//! | per contributor: earner u32, accepted rows u32 | 8 each |
//! | per accepted row, contributor by contributor: datanet u8, index u64, hash, cluster's hash, sketch i8 (d,) | 73 + d each |
//! | zeros to the end of the last blob | |

use std::ops::Range;

use super::{
    index::{InfluenceIndex, MAX_ROWS},
    projector::DIM_RANGE,
    tree::{ContributorLeaf, IndexRow, SumTree, commit},
};
use crate::{
    Error, Result,
    settle::{EarnerIndex, Hash, merkle},
};

const MAGIC: [u8; 8] = *b"OLIXPUB\0";
const VERSION: u16 = 1;
const ROW_BYTES: usize = 73;

/// An index as somebody published it. It may break the rules of an index: rows and contributors out
/// of order, rows that no Datanet has. Its root says whether it is the index that was committed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedIndex {
    dim: usize,
    earners: Vec<EarnerIndex>,
    /// Each contributor's places in `rows`.
    owned: Vec<Range<usize>>,
    rows: Vec<IndexRow>,
    /// `(rows, d)` row-major.
    sketches: Vec<i8>,
}

impl InfluenceIndex {
    /// The bytes to publish, without the zeros at the end.
    #[must_use]
    pub fn published(&self) -> Vec<u8> {
        let word = |n: usize| u32::try_from(n).expect("counts are checked when built");
        let contributors = self.contributors();
        let trees = || (0..contributors.len()).filter_map(|c| self.tree(c));
        let rows: usize = contributors.iter().map(|c| c.accepted_rows as usize).sum();
        let mut bytes =
            Vec::with_capacity(22 + 8 * contributors.len() + rows * (ROW_BYTES + self.dim()));
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_be_bytes());
        for count in [self.dim(), contributors.len(), rows] {
            bytes.extend(word(count).to_be_bytes());
        }
        for contributor in contributors {
            bytes.extend(contributor.earner.0.to_be_bytes());
            bytes.extend(contributor.accepted_rows.to_be_bytes());
        }
        for tree in trees() {
            for (row, sketch) in tree.rows() {
                bytes.push(row.datanet);
                bytes.extend(row.index.to_be_bytes());
                bytes.extend(row.hash);
                bytes.extend(row.cluster);
                bytes.extend(sketch.iter().map(|x| x.cast_unsigned()));
            }
        }
        bytes
    }
}

impl PublishedIndex {
    /// Reads what was published; zeros may follow. Memory is bounded by the bytes given.
    ///
    /// # Errors
    /// [`Error::Version`] for another version, [`Error::Corrupt`] naming the rule that the content
    /// breaks.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Bytes(bytes);
        if input.array()? != MAGIC {
            return Err(Error::Corrupt("magic differs"));
        }
        match u16::from_be_bytes(input.array()?) {
            VERSION => {}
            version => return Err(Error::Version(version)),
        }
        let [dim, contributors, rows] = [input.count()?, input.count()?, input.count()?];
        if !DIM_RANGE.contains(&dim) || contributors > MAX_ROWS || rows > MAX_ROWS {
            return Err(Error::Corrupt("dimension, contributors or rows out of range"));
        }
        // All factors are below 2^25 and their products below 2^40.
        if 8 * contributors + rows * (ROW_BYTES + dim) > input.0.len() {
            return Err(Error::Corrupt("ends inside an array"));
        }
        let (mut earners, mut owned, mut end) = (vec![], vec![], 0);
        for _ in 0..contributors {
            earners.push(EarnerIndex(u32::from_be_bytes(input.array()?)));
            let start = end;
            end += input.count()?;
            owned.push(start..end);
        }
        if end != rows {
            return Err(Error::Corrupt("contributors' rows are not all rows"));
        }
        let mut read = Self { dim, earners, owned, rows: vec![], sketches: vec![] };
        for _ in 0..rows {
            read.rows.push(IndexRow {
                datanet: input.array::<1>()?[0],
                index: u64::from_be_bytes(input.array()?),
                hash: input.array()?,
                cluster: input.array()?,
            });
            read.sketches.extend(input.take(dim)?.iter().map(|x| x.cast_signed()));
        }
        if input.0.iter().any(|byte| *byte != 0) {
            return Err(Error::Corrupt("does not end in zeros"));
        }
        Ok(read)
    }

    /// Sketch dimension `d`.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.dim
    }

    /// The contributors' earners, in order.
    #[must_use]
    pub fn earners(&self) -> &[EarnerIndex] {
        &self.earners
    }

    /// The rows of contributor `c`, in order, with their sketches; `None` if there is no such
    /// contributor.
    #[must_use]
    pub fn tree(&self, c: usize) -> Option<SumTree<'_>> {
        let places = self.owned.get(c)?.clone();
        let sketches =
            self.sketches[places.start * self.dim..places.end * self.dim].chunks_exact(self.dim);
        Some(SumTree::new(self.dim, self.rows[places].iter().copied().zip(sketches).collect()))
    }

    /// The contributors' leaves, in order, added up from the sketches.
    #[must_use]
    pub fn leaves(&self) -> Vec<ContributorLeaf> {
        let committed = commit(&self.earners, |c| self.tree(c).expect("it is a contributor"));
        committed.into_iter().map(|(leaf, _)| leaf).collect()
    }

    /// The root that the content gives: the registered one, or the index is not what was committed
    /// to.
    #[must_use]
    pub fn root(&self) -> Hash {
        let leaves: Vec<Hash> = self.leaves().iter().map(ContributorLeaf::hash).collect();
        merkle::root(&leaves)
    }
}

/// Bytes that are not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, left) =
            self.0.split_at_checked(count).ok_or(Error::Corrupt("ends inside a field"))?;
        self.0 = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes were taken"))
    }

    fn count(&mut self) -> Result<usize> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }
}
