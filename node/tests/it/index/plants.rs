//! Indexes as somebody publishes them who breaks a rule.

use attribution::{
    estimate::{IndexRow, InfluenceIndex},
    settle::EarnerIndex,
};
use node::chain::bindings::IIndexDisputes::Fault;

const DIM: u32 = 256;

/// A row with its sketch, `(d,)`.
pub(super) type Sketched = (IndexRow, Vec<i8>);

/// What somebody publishes.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) contributors: Vec<(EarnerIndex, Vec<Sketched>)>,
    /// As the chain is told.
    pub(super) declared: (u32, u32),
}

impl Draft {
    pub(super) fn of(index: &InfluenceIndex) -> Self {
        let rows = |c: usize| {
            let tree = index.tree(c).unwrap();
            tree.rows().iter().map(|(row, sketch)| (*row, sketch.to_vec())).collect()
        };
        let contributors = index.contributors().iter().enumerate();
        let contributors: Vec<_> = contributors.map(|(c, of)| (of.earner, rows(c))).collect();
        let declared = (u32::try_from(contributors.len()).unwrap(), DIM);
        Self { contributors, declared }
    }

    fn rows(&mut self, contributor: usize) -> &mut Vec<Sketched> {
        &mut self.contributors[contributor].1
    }

    /// Takes a row out, whoever has it.
    fn take(&mut self, index: u64) -> (usize, Sketched) {
        for (contributor, (_, rows)) in self.contributors.iter_mut().enumerate() {
            if let Some(at) = rows.iter().position(|(row, _)| row.index == index) {
                return (contributor, rows.remove(at));
            }
        }
        panic!("no row {index}")
    }

    fn put(&mut self, contributor: usize, row: Sketched) {
        let rows = self.rows(contributor);
        let at = rows.partition_point(|(other, _)| other.place() < row.0.place());
        rows.insert(at, row);
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let rows = || self.contributors.iter().flat_map(|(_, rows)| rows);
        let mut bytes = b"OLIXPUB\0\0\x01".to_vec();
        for count in [DIM as usize, self.contributors.len(), rows().count()] {
            bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
        }
        for (earner, rows) in &self.contributors {
            bytes.extend(earner.0.to_be_bytes());
            bytes.extend(u32::try_from(rows.len()).unwrap().to_be_bytes());
        }
        for (row, sketch) in rows() {
            bytes.push(row.datanet);
            bytes.extend(row.index.to_be_bytes());
            bytes.extend([row.hash, row.cluster].as_flattened());
            bytes.extend(sketch.iter().map(|x| x.cast_unsigned()));
        }
        bytes
    }
}

/// How an index is wrong.
pub(super) struct Plant {
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    pub(super) change: fn(&mut Draft),
}

const fn plant(fault: Fault, name: &'static str, change: fn(&mut Draft)) -> Plant {
    Plant { name, fault, change }
}

/// What shows in what was published. Rows 0 to 6 are canonical, 7 and 8 copies of 0 and 1; even rows
/// are of the first contributor.
pub(super) fn visible() -> Vec<Plant> {
    vec![
        plant(Fault::Ordinal, "a contributor too many", |draft| draft.declared.0 -= 1),
        plant(Fault::Contributors, "contributors out of order", |draft| {
            draft.contributors.swap(0, 1);
        }),
        plant(Fault::Contributors, "a contributor twice", |draft| {
            draft.contributors[1].0 = draft.contributors[0].0;
        }),
        plant(Fault::Sketch, "another dimension", |draft| draft.declared.1 = 128),
        plant(Fault::Node, "nobody's sums of another dimension", |draft| {
            draft.declared.1 = 128;
            draft.contributors.iter_mut().for_each(|(_, rows)| rows.clear());
        }),
        plant(Fault::Sketch, "a number out of range", |draft| draft.rows(1)[2].1[77] = i8::MIN),
        plant(Fault::Range, "a row that no version has", |draft| {
            draft.rows(0).last_mut().unwrap().0.index = 9;
        }),
        plant(Fault::Range, "a row of another Datanet", |draft| {
            draft.rows(0).last_mut().unwrap().0.datanet = 1;
        }),
        plant(Fault::Canonical, "a copy by its own word", |draft| {
            draft.rows(0)[1].0.cluster[0] ^= 1;
        }),
        plant(Fault::Order, "rows out of order", |draft| draft.rows(0).swap(1, 2)),
        plant(Fault::Cluster, "a copy beside its original", |draft| {
            let (contributor, row) = draft.take(1);
            draft.put(contributor, row.clone());
            let copy = IndexRow { index: 8, ..row.0 };
            draft.put(1 - contributor, (copy, row.1));
        }),
    ]
}

/// What only rows show, or nothing shows but that nobody answers.
pub(super) fn hidden() -> Vec<Plant> {
    vec![
        plant(Fault::Row, "another text", |draft| {
            let row = &mut draft.rows(0)[1].0;
            (row.hash, row.cluster) = ([7; 32], [7; 32]);
        }),
        plant(Fault::Row, "somebody else's row", |draft| {
            let (contributor, row) = draft.take(3);
            draft.put(1 - contributor, row);
        }),
        plant(Fault::Canonical, "a copy in place of its original", |draft| {
            let (contributor, (row, sketch)) = draft.take(0);
            draft.put(1 - contributor, (IndexRow { index: 7, ..row }, sketch));
        }),
        plant(Fault::LeftOut, "the first row left out", |draft| drop(draft.take(0))),
        plant(Fault::LeftOut, "a row left out", |draft| drop(draft.take(3))),
        plant(Fault::LeftOut, "the last row left out", |draft| drop(draft.take(6))),
        plant(Fault::LeftOut, "everything of somebody left out", |draft| draft.rows(1).clear()),
        plant(Fault::LeftOut, "the last contributor left out", |draft| {
            draft.contributors.pop();
            draft.declared.0 -= 1;
        }),
        plant(Fault::LeftOut, "the first contributor left out", |draft| {
            draft.contributors.remove(0);
            draft.declared.0 -= 1;
        }),
        plant(Fault::MissingOrdinal, "a contributor that is not there", |draft| {
            draft.declared.0 += 1;
        }),
        plant(Fault::MissingOrdinal, "the last contributor hidden behind the number", |draft| {
            draft.contributors.pop();
        }),
        plant(Fault::MissingOrdinal, "as many contributors as there may be", |draft| {
            draft.declared.0 = 1 << 24;
        }),
    ]
}
