//! What is wrong with a published index, as far as somebody can prove it.
//!
//! The index's tree was rebuilt from what was published and has the registered root, so its nodes are
//! those of their rows: what can be wrong is which rows there are, whose, in what order, and what
//! their sketches hold. Whether a sketch is what the row's gradient gives is not looked at; nothing
//! could be proven of it.

use std::collections::{HashMap, HashSet};

use attribution::{
    estimate::{IndexRow, PublishedIndex},
    settle::EarnerIndex,
};

use super::rows::{Place, Rows};

/// The leaf of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Whose it is.
    pub(super) contributor: usize,
    /// Which of the contributor's it is.
    pub(super) rank: usize,
}

/// Leaves on both sides of a place where one is missing, by their ranks.
pub(super) type Gap = [Option<usize>; 2];

/// Something that a proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The contributor with this ordinal is not before the next one.
    Contributors(usize),
    /// There is a contributor with this ordinal, the number of contributors that was declared.
    Ordinal(usize),
    /// The sums of this contributor, who has no row, are of another dimension.
    Node(usize),
    /// A sketch has another dimension, or a number out of range at this coordinate.
    Sketch(Leaf, usize),
    /// No Datanet of the model has the row.
    Range(Leaf),
    /// The row is not canonical.
    NotCanonical(Leaf),
    /// The row is another in its Datanet.
    Row(Leaf, Place),
    /// The row comes after this one of its cluster.
    Earlier(Leaf, Place),
    /// The leaf is not before the next one of its contributor.
    Order(Leaf),
    /// Both are of one cluster.
    Cluster(Leaf, Leaf),
    /// The contributor with this ordinal lacks the row.
    LeftOutRow(Place, usize, Gap),
    /// The row's contributor is missing; the gap is of ordinals.
    LeftOutContributor(Place, Gap),
    /// More contributors were declared: there is none with this ordinal.
    MissingOrdinal(usize),
}

/// An index beside what it is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit<'a> {
    pub(super) published: &'a PublishedIndex,
    /// Contributors that were declared.
    pub(super) contributors: usize,
    /// Dimension that was declared.
    pub(super) dim: usize,
    pub(super) rows: &'a Rows,
}

impl Audit<'_> {
    /// The first fault.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.of_contributors()
            .or_else(|| self.leaves().find_map(|(leaf, row)| self.of_leaf(leaf, row)))
            .or_else(|| self.of_pairs())
            .or_else(|| self.missing_ordinal())
            .or_else(|| self.left_out())
    }

    fn missing_ordinal(&self) -> Option<Fault> {
        let found = self.published.earners().len();
        (found < self.contributors).then_some(Fault::MissingOrdinal(found))
    }

    fn of_contributors(&self) -> Option<Fault> {
        let earners = self.published.earners();
        if earners.len() > self.contributors {
            return Some(Fault::Ordinal(self.contributors));
        }
        if let Some(before) = earners.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Some(Fault::Contributors(before));
        }
        if self.published.dim() == self.dim {
            return None;
        }
        match self.leaves().next() {
            Some((leaf, _)) => Some(Fault::Sketch(leaf, 0)),
            None => (!earners.is_empty()).then_some(Fault::Node(0)),
        }
    }

    fn of_leaf(&self, leaf: Leaf, (row, sketch): (IndexRow, &[i8])) -> Option<Fault> {
        // All others are from -127 to 127.
        if let Some(coordinate) = sketch.iter().position(|&value| value == i8::MIN) {
            return Some(Fault::Sketch(leaf, coordinate));
        }
        if !self.rows.has(row.datanet, row.index) {
            return Some(Fault::Range(leaf));
        }
        if row.hash != row.cluster {
            return Some(Fault::NotCanonical(leaf));
        }
        let place = Place::of(&row);
        let earner = self.published.earners()[leaf.contributor];
        if self.rows.get(place).is_some_and(|actual| {
            (actual.row_hash.0, actual.cluster_hash.0) != (row.hash, row.cluster)
                || self.rows.earner(actual.contributor).unwrap_or_default() != earner
        }) {
            return Some(Fault::Row(leaf, place));
        }
        let first = self.rows.first_of(row.cluster);
        first.filter(|&first| first < place).map(|first| Fault::Earlier(leaf, first))
    }

    fn of_pairs(&self) -> Option<Fault> {
        let mut clusters = HashMap::new();
        let mut last: Option<(Leaf, IndexRow)> = None;
        for (leaf, (row, _)) in self.leaves() {
            if let Some((before, other)) = last
                && before.contributor == leaf.contributor
                && other.place() >= row.place()
            {
                return Some(Fault::Order(before));
            }
            if let Some(other) = clusters.insert(row.cluster, leaf) {
                return Some(Fault::Cluster(other, leaf));
            }
            last = Some((leaf, row));
        }
        None
    }

    /// The first canonical row without a leaf whose contributor has an index. Only where all of the
    /// model's Datanets are here: another may have an earlier row of the cluster. As many contributors
    /// must be declared as there are, else there is no gap behind the last one.
    fn left_out(&self) -> Option<Fault> {
        let canonical = self.rows.canonical()?;
        let present: HashSet<_> = self.leaves().map(|(_, (row, _))| Place::of(&row)).collect();
        canonical.filter(|place| !present.contains(place)).find_map(|place| {
            let contributor = self.rows.get(place)?.contributor;
            self.without(place, self.rows.earner(contributor)?)
        })
    }

    /// Where a row of an earner is missing.
    fn without(&self, place: Place, earner: EarnerIndex) -> Option<Fault> {
        let earners = self.published.earners();
        match earners.binary_search(&earner) {
            Ok(contributor) => {
                let tree = self.published.tree(contributor)?;
                let rank = tree.rows().partition_point(|(row, _)| Place::of(row) < place);
                let gap = around(rank, tree.rows().len());
                Some(Fault::LeftOutRow(place, contributor, gap))
            }
            Err(ordinal) => Some(Fault::LeftOutContributor(place, around(ordinal, earners.len()))),
        }
    }

    fn leaves(&self) -> impl Iterator<Item = (Leaf, (IndexRow, &[i8]))> {
        (0..self.published.earners().len()).flat_map(|contributor| {
            let rows = self.published.tree(contributor).map(|tree| tree.rows().to_vec());
            let leaf = move |(rank, row)| (Leaf { contributor, rank }, row);
            rows.unwrap_or_default().into_iter().enumerate().map(leaf)
        })
    }
}

/// What is on both sides of where `at` would be put among `count`.
fn around(at: usize, count: usize) -> Gap {
    [at.checked_sub(1), (at < count).then_some(at)]
}
