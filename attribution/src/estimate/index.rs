//! The influence index: what a model's training rows are worth to any query.

use std::collections::BTreeMap;

use super::{
    projector::{Projector, SiteGradient},
    quantise, score,
    tree::{ContributorLeaf, IndexRow, SumTree, commit},
    whitening::Whitening,
};
use crate::{
    Error, Result,
    settle::{EarnerIndex, Hash, merkle},
};

/// Most rows of an index: `127 * MAX_ROWS < 2^31`, so a contributor's sums always fit in i32.
pub(super) const MAX_ROWS: usize = 1 << 24;

/// A training row: which it is and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSource {
    /// Place of its Datanet version among those of the model.
    pub datanet: u8,
    /// Position in the version. Rows come in ascending (datanet, index) order.
    pub index: u64,
    /// keccak256 of the row's text.
    pub hash: Hash,
    /// Who contributed it.
    pub earner: EarnerIndex,
    /// Place in the index of the canonical row of its duplicate cluster, of whatever Datanet: its
    /// own place for a new row.
    pub cluster: u32,
}

/// One training row, at its place in the index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Which it is and whose.
    pub source: RowSource,
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
/// rows, and its leaf in the index's Merkle tree holds the root of a tree of partial sums over them,
/// a [`SumTree`]. Inner sums are not kept: whoever opens a node adds them up again.
#[derive(Clone, Debug)]
pub struct InfluenceIndex {
    pub(crate) parts: Parts,
    contributors: Vec<Contributor>,
    /// Places of each contributor's accepted rows.
    accepted: Vec<Vec<u32>>,
    /// `(contributors, d)` row-major.
    sums: Vec<i32>,
    leaves: Vec<ContributorLeaf>,
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
        check_rows(&parts.rows)?;
        let mut rows: BTreeMap<EarnerIndex, Vec<u32>> = BTreeMap::new();
        for (place, row) in (0u32..).zip(&parts.rows) {
            let own = rows.entry(row.source.earner).or_default();
            if row.source.cluster == place {
                own.push(place);
            }
        }
        let contributor = |(&earner, own): (_, &Vec<u32>)| {
            let accepted_rows = u32::try_from(own.len()).expect("rows are at most 2^24");
            Contributor { earner, accepted_rows }
        };
        let contributors: Vec<_> = rows.iter().map(contributor).collect();
        let accepted: Vec<_> = rows.into_values().collect();
        let mut index =
            Self { parts, contributors, accepted, sums: vec![], leaves: vec![], root: [0; 32] };
        let earners: Vec<_> = index.contributors.iter().map(|c| c.earner).collect();
        let committed = commit(&earners, |c| index.tree(c).expect("it is a contributor"));
        let (leaves, sums): (Vec<_>, Vec<_>) = committed.into_iter().unzip();
        (index.leaves, index.sums) = (leaves, sums.concat());
        index.root = merkle::root(&index.leaf_hashes());
        Ok(index)
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

    /// Whether no row's sketch has a number but 0: such an index says who contributed what, and
    /// scores everybody 0 whatever the query.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.parts.sketches.iter().all(|&x| x == 0)
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

    /// The contributors' leaves, in their order.
    #[must_use]
    pub fn leaves(&self) -> &[ContributorLeaf] {
        &self.leaves
    }

    /// Siblings from the leaf of contributor `c` up to the root.
    ///
    /// # Errors
    /// [`Error::NoSuchLeaf`] if there is no such contributor.
    pub fn proof(&self, c: usize) -> Result<Vec<Hash>> {
        merkle::proof(&self.leaf_hashes(), c)
    }

    /// The tree under the leaf of contributor `c`; `None` if there is no such contributor.
    #[must_use]
    pub fn tree(&self, c: usize) -> Option<SumTree<'_>> {
        let rows = self.accepted.get(c)?.iter().map(|&place| {
            let sketch = self.sketch(place as usize).expect("accepted rows are rows");
            (self.place(place), sketch)
        });
        Some(SumTree::new(self.dim(), rows.collect()))
    }

    /// Which row of the Datanets the row at a place is.
    fn place(&self, place: u32) -> IndexRow {
        let RowSource { datanet, index, hash, cluster, .. } =
            self.parts.rows[place as usize].source;
        let cluster = self.parts.rows[cluster as usize].source.hash;
        IndexRow { datanet, index, hash, cluster }
    }

    fn leaf_hashes(&self) -> Vec<Hash> {
        self.leaves.iter().map(ContributorLeaf::hash).collect()
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

    /// A row's int8 sketch, `(d,)`, from its gradient, as the index has it of its own rows:
    /// `clip(round(scale t), -127, 127)` with `w = W s` and `t = w / ||w||^(1/2)`.
    ///
    /// # Errors
    /// Those of [`Projector::project`] and [`Whitening::apply`].
    pub fn row_sketch(&self, sites: &[SiteGradient<'_>]) -> Result<Vec<i8>> {
        let raw = self.parts.projector.project(sites)?;
        let mut t = self.parts.whitening.apply(&raw)?;
        quantise::divide_by_root_norm(&mut t);
        let mut sketch = vec![0; t.len()];
        quantise::row(&t, self.parts.scale, &mut sketch);
        Ok(sketch)
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

/// Rows must be 1 to [`MAX_ROWS`], ascend by (datanet, index), name an earner, and belong to a
/// cluster whose canonical row is not later and is its own canonical row.
pub(crate) fn check_rows(rows: &[Row]) -> Result<()> {
    if rows.is_empty() || rows.len() > MAX_ROWS {
        return Err(Error::setting("an index must have 1 to 2^24 rows", rows.len()));
    }
    rows.iter().enumerate().try_for_each(|(i, row)| check_row(&row.source, i, rows))
}

/// The rules of [`check_rows`] for the row at place `i` after the rows before it.
pub(crate) fn check_row(row: &RowSource, i: usize, earlier: &[Row]) -> Result<()> {
    if row.earner == EarnerIndex::NOBODY {
        return Err(Error::setting("a row must name an earner", row.earner));
    }
    let place = (row.datanet, row.index);
    let before = i.checked_sub(1).map(|i| (earlier[i].source.datanet, earlier[i].source.index));
    if before >= Some(place) {
        let rule = "rows must ascend by datanet and index";
        return Err(Error::setting(rule, format_args!("{place:?} for row {i}")));
    }
    let cluster = row.cluster as usize;
    let canonical = cluster == i || (cluster < i && earlier[cluster].source.cluster == row.cluster);
    if canonical && i < MAX_ROWS {
        Ok(())
    } else {
        let rule = "a row's cluster must be itself or an earlier canonical row, within 2^24 rows";
        Err(Error::setting(rule, format_args!("cluster {cluster} for row {i}")))
    }
}
