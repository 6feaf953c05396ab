//! The influence index: what a model's training rows are worth to any query.

use std::collections::BTreeMap;

use super::{
    projector::{Projector, SiteGradient},
    quantise, score,
    whitening::Whitening,
};
use crate::{
    Error, Result,
    settle::{EarnerIndex, Hash, keccak, merkle},
};

/// Most rows of an index: `127 * MAX_ROWS < 2^31`, so a contributor's sums always fit in i32.
pub(super) const MAX_ROWS: usize = 1 << 24;

/// One training row, at its place in the index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// keccak256 of the row's text.
    pub hash: Hash,
    /// Who contributed it.
    pub earner: EarnerIndex,
    /// Place of the canonical row of its duplicate cluster: its own place for a new row.
    pub cluster: u32,
    /// `||W s||^2 = s^T (F + lambda I)^-1 s`: the row's influence on itself. Mislabelled and odd
    /// rows stand out with large values.
    pub self_influence: f32,
}

/// One contributor of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Whom it pays.
    pub earner: EarnerIndex,
    /// Its rows that are canonical in their cluster; copies of others' or its own rows are not.
    pub accepted_rows: u32,
}

/// Sketches, contributors' sums and everything a query needs, of one model version.
///
/// Contributors are in ascending earner order; everyone with a row is one, also with no accepted
/// row. For contributor `c`, `T_c` (`(d,)`, i32) is the sum of the int8 sketches of its accepted
/// rows, and the leaf of `c` in the index's Merkle tree is
/// `keccak(keccak(abi.encode(uint32 earner, uint32 acceptedRows, bytes32 keccak(T_c))))` with
/// `T_c` as big-endian i32.
#[derive(Clone, Debug)]
pub struct InfluenceIndex {
    pub(crate) parts: Parts,
    contributors: Vec<Contributor>,
    /// `(contributors, d)` row-major.
    sums: Vec<i32>,
    leaves: Vec<Hash>,
    root: Hash,
}

/// What an index is made from; everything else of it follows.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) projector: Projector,
    pub(crate) whitening: Whitening,
    pub(crate) damping: f64,
    pub(crate) trace: f64,
    pub(crate) scale: f32,
    pub(crate) rows: Vec<Row>,
    /// `(rows, d)` row-major.
    pub(crate) sketches: Vec<i8>,
}

impl InfluenceIndex {
    /// Derives contributors, sums and the tree.
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let dim = parts.whitening.dim();
        check_rows(&parts.rows)?;
        let mut places: BTreeMap<EarnerIndex, usize> = BTreeMap::new();
        for row in &parts.rows {
            places.insert(row.earner, 0);
        }
        places.values_mut().enumerate().for_each(|(place, value)| *value = place);
        let mut contributors: Vec<Contributor> =
            places.keys().map(|&earner| Contributor { earner, accepted_rows: 0 }).collect();
        let mut sums = vec![0i32; contributors.len() * dim];
        let rows = parts.rows.iter().zip(parts.sketches.chunks_exact(dim));
        for (_, (row, sketch)) in (0u32..).zip(rows).filter(|(i, (row, _))| row.cluster == *i) {
            let place = places[&row.earner];
            contributors[place].accepted_rows += 1;
            let sums = &mut sums[place * dim..][..dim];
            sums.iter_mut().zip(sketch).for_each(|(sum, x)| *sum += i32::from(*x));
        }
        let leaves: Vec<Hash> = contributors
            .iter()
            .zip(sums.chunks_exact(dim))
            .map(|(contributor, sums)| leaf(contributor, sums))
            .collect();
        let root = merkle::root(&leaves);
        Ok(Self { parts, contributors, sums, leaves, root })
    }

    /// Sketch dimension `d`.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.parts.whitening.dim()
    }

    /// The training rows, in the order they were given.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.parts.rows
    }

    /// The contributors, by ascending earner.
    #[must_use]
    pub fn contributors(&self) -> &[Contributor] {
        &self.contributors
    }

    /// The int8 sketch of row `i`, `(d,)`; `None` if there is no such row.
    #[must_use]
    pub fn sketch(&self, i: usize) -> Option<&[i8]> {
        self.parts.sketches.chunks_exact(self.dim()).nth(i)
    }

    /// `T_c` of contributor `c`, `(d,)`; `None` if there is no such contributor.
    #[must_use]
    pub fn sums(&self, c: usize) -> Option<&[i32]> {
        self.sums.chunks_exact(self.dim()).nth(c)
    }

    /// Root of the tree over the contributors' leaves: what the model's registration commits to.
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// The contributors' leaves, in their order, from which `merkle::proof` opens one.
    #[must_use]
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// The projector of rows and queries.
    #[must_use]
    pub const fn projector(&self) -> &Projector {
        &self.parts.projector
    }

    /// The whitening of rows and queries.
    #[must_use]
    pub const fn whitening(&self) -> &Whitening {
        &self.parts.whitening
    }

    /// Damping `c`, with `lambda = c tr(F) / d`.
    #[must_use]
    pub const fn damping(&self) -> f64 {
        self.parts.damping
    }

    /// `tr F` of the training rows' raw sketches.
    #[must_use]
    pub const fn trace(&self) -> f64 {
        self.parts.trace
    }

    /// The public scale of the rows' int8 sketches.
    #[must_use]
    pub const fn scale(&self) -> f32 {
        self.parts.scale
    }

    /// A query's int8 sketch, `(d,)`, from its gradient: `round(127 q / ||q||_inf)` with
    /// `q = W s_q`. A zero gradient gives a zero sketch, which scores everyone 0.
    ///
    /// # Errors
    /// Those of [`Projector::project`] and [`Whitening::apply`].
    pub fn query(&self, sites: &[SiteGradient<'_>]) -> Result<Vec<i8>> {
        let raw = self.parts.projector.project(sites)?;
        Ok(quantise::query(&self.parts.whitening.apply(&raw)?))
    }

    /// `q . t_i` of every row, exact.
    ///
    /// # Errors
    /// [`Error::Shape`] if `q` has not `d` numbers.
    pub fn score_rows(&self, q: &[i8]) -> Result<Vec<i32>> {
        self.check_query(q)?;
        Ok(score::rows(q, &self.parts.sketches))
    }

    /// `S_c = q . T_c` of every contributor, exact, in the order of [`Self::contributors`].
    ///
    /// # Errors
    /// [`Error::Shape`] if `q` has not `d` numbers.
    pub fn score_contributors(&self, q: &[i8]) -> Result<Vec<i64>> {
        self.check_query(q)?;
        Ok(score::contributors(q, &self.sums))
    }

    fn check_query(&self, q: &[i8]) -> Result<()> {
        if q.len() == self.dim() {
            Ok(())
        } else {
            Err(Error::shape("query sketch", self.dim(), q.len()))
        }
    }
}

fn leaf(contributor: &Contributor, sums: &[i32]) -> Hash {
    let packed: Vec<u8> = sums.iter().flat_map(|x| x.to_be_bytes()).collect();
    merkle::index_leaf(contributor.earner, contributor.accepted_rows, keccak(&[&packed]))
}

/// Rows must be 1 to [`MAX_ROWS`], name an earner, and belong to a cluster whose canonical row is
/// not later and is its own canonical row.
pub(crate) fn check_rows(rows: &[Row]) -> Result<()> {
    if rows.is_empty() || rows.len() > MAX_ROWS {
        return Err(Error::setting("an index must have 1 to 2^24 rows", rows.len()));
    }
    rows.iter().enumerate().try_for_each(|(i, row)| check_row(row, i, rows))
}

/// The rules of [`check_rows`] for the row at place `i` after the rows before it.
pub(crate) fn check_row(row: &Row, i: usize, earlier: &[Row]) -> Result<()> {
    if row.earner == EarnerIndex::NOBODY {
        return Err(Error::setting("a row must name an earner", row.earner));
    }
    let cluster = row.cluster as usize;
    let canonical = cluster == i || (cluster < i && earlier[cluster].cluster == row.cluster);
    if canonical && i < MAX_ROWS {
        Ok(())
    } else {
        let rule = "a row's cluster must be itself or an earlier canonical row, within 2^24 rows";
        Err(Error::setting(rule, format_args!("cluster {cluster} for row {i}")))
    }
}
