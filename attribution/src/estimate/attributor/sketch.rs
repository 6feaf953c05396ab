//! Our own estimate, in floats and in the integers that an index commits to.

use rayon::prelude::*;

use super::{
    Attributor, Query,
    gradients::{Gradients, Layout, finite},
};
use crate::{
    Result,
    estimate::{
        Fisher, IndexBuilder, IndexConfig, InfluenceIndex, Projector, ProjectorConfig, RowSource,
        Sketches, Whitening,
        kernel::dot,
        quantise::{divide_by_root_norm, squared_norm},
    },
    settle::{EarnerIndex, keccak},
};

/// Raw sketches of the rows' gradients, `(n, d)`, and their Fisher matrix: made once, whitened with
/// any damping.
#[derive(Clone, Debug)]
pub struct SketchSpace {
    layout: Layout,
    projector: Projector,
    raw: Sketches,
    fisher: Fisher,
}

impl SketchSpace {
    /// Projects every row, as an index of them does, and decomposes the Fisher matrix.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the layout is not one of LoRA sites or the
    /// configuration is out of bounds, and those of [`Projector::learned`] and
    /// [`Fisher::of_blocks`].
    pub fn new(gradients: &Gradients, config: ProjectorConfig) -> Result<Self> {
        Self::projected(gradients, gradients.projector(config)?)
    }

    /// The same by a projector that knows nothing of the rows.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn hashed(gradients: &Gradients, config: ProjectorConfig) -> Result<Self> {
        Self::projected(gradients, Projector::new(gradients.layout().sites(), config)?)
    }

    fn projected(gradients: &Gradients, projector: Projector) -> Result<Self> {
        let (layout, dim) = (gradients.layout().clone(), projector.config().dim);
        let rows: Vec<&[f32]> = gradients.rows().collect();
        let project = |row: &&[f32]| projector.project(&layout.split(row)?);
        let sketches = rows.par_iter().map(project).collect::<Result<Vec<_>>>()?;
        let mut raw = Sketches::new(dim);
        sketches.iter().try_for_each(|sketch| raw.push(sketch))?;
        let fisher = Fisher::of_blocks(&raw, &projector.blocks())?;
        Ok(Self { layout, projector, raw, fisher })
    }

    /// What rows and queries are projected by.
    #[must_use]
    pub const fn projector(&self) -> &Projector {
        &self.projector
    }

    /// The rows' raw sketches, `(n, d)`.
    #[must_use]
    pub const fn raw(&self) -> &Sketches {
        &self.raw
    }

    /// Their Fisher matrix.
    #[must_use]
    pub const fn fisher(&self) -> &Fisher {
        &self.fisher
    }

    /// The estimate in floats with damping `c`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the damping is outside
    /// [`DAMPING_RANGE`](crate::estimate::DAMPING_RANGE).
    pub fn whitened(&self, damping: f64, norm: Norm) -> Result<Whitened<'_>> {
        let whitening = self.fisher.whitening(damping)?;
        let mut rows = self.raw.clone();
        let dim = rows.dim();
        let whiten = |row: &mut [f32]| {
            let whitened = whitening.apply(row)?;
            row.copy_from_slice(&whitened);
            let own = squared_norm(row);
            if norm == Norm::Root {
                divide_by_root_norm(row);
            }
            Ok(own)
        };
        let own = rows.values_mut().par_chunks_exact_mut(dim).map(whiten);
        let own = own.collect::<Result<Vec<f64>>>()?;
        Ok(Whitened { space: self, whitening, rows, own, damping, norm })
    }

    /// The estimate in int8 with damping `c`, by the code that builds an index.
    ///
    /// - `clip_share`: share of the rows' numbers that the public scale may clip, 0 to 0.5
    ///
    /// # Errors
    /// Those of [`IndexBuilder::new`] and [`IndexBuilder::finish`].
    pub fn committed(&self, damping: f64, clip_share: f64) -> Result<Committed> {
        let config = IndexConfig { damping, clip_share, memory_limit: usize::MAX };
        let mut builder = IndexBuilder::new(self.projector.clone(), config)?;
        for (place, sketch) in (0u32..).zip(self.raw.rows()) {
            let source = RowSource {
                datanet: 0,
                index: place.into(),
                hash: keccak(&[&place.to_be_bytes()]),
                earner: EarnerIndex(1),
                cluster: place,
            };
            builder.push_sketch(source, sketch)?;
        }
        let (index, _) = builder.with_fisher(self.fisher.clone()).finish(|_| {})?;
        Committed::new(index, self.layout.clone())
    }

    fn query(&self, whitening: &Whitening, gradient: &[f32]) -> Result<Vec<f32>> {
        whitening.apply(&self.projector.project(&self.layout.split(gradient)?)?)
    }
}

/// What a whitened row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Nothing: scores are `s_q^T (F + lambda I)^-1 s_i`.
    Keep,
    /// The square root of its norm, as rows of an index are: long gradients, which mislabelled rows
    /// have, count less.
    Root,
}

/// Projection and whitening of both sides, in floats.
#[derive(Clone, Debug)]
pub struct Whitened<'a> {
    space: &'a SketchSpace,
    whitening: Whitening,
    /// `(n, d)`.
    rows: Sketches,
    /// `|W s_i|^2`.
    own: Vec<f64>,
    damping: f64,
    norm: Norm,
}

impl Attributor for Whitened<'_> {
    fn name(&self) -> String {
        let kind = match self.norm {
            Norm::Keep => "Fisher",
            Norm::Root => "root norm",
        };
        format!("sketch {kind} f32, d {}, damping {}", self.rows.dim(), self.damping)
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let q = self.space.query(&self.whitening, query.gradient)?;
        finite(self.rows.rows().map(|row| dot(&q, row)))
    }

    fn self_influence(&self) -> Option<Vec<f32>> {
        finite(self.own.iter().copied()).ok()
    }
}

/// An index's own integer scores: projection, whitening, division by the root of the norm, int8
/// under one public scale.
#[derive(Clone, Debug)]
pub struct Committed {
    index: InfluenceIndex,
    layout: Layout,
}

impl Committed {
    /// The scores of this index.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the layout has not the index's sites.
    pub fn new(index: InfluenceIndex, layout: Layout) -> Result<Self> {
        let (wanted, given) = (index.projector().shapes(), layout.sites());
        if wanted == given {
            return Ok(Self { index, layout });
        }
        let (wanted, given) = (format!("{wanted:?}"), format!("{given:?}"));
        Err(crate::Error::shape("sites of the layout", wanted, given))
    }

    /// The index.
    #[must_use]
    pub const fn index(&self) -> &InfluenceIndex {
        &self.index
    }
}

impl Attributor for Committed {
    fn name(&self) -> String {
        format!("sketch int8, d {}, damping {}", self.index.dim(), self.index.damping())
    }

    fn rows(&self) -> usize {
        self.index.rows().len()
    }

    /// Exact integers below 2^27, given as f32: of those above 2^24 the last bits are lost.
    fn scores(&self, query: &Query<'_>) -> Result<Vec<f32>> {
        let q = self.index.query(&self.layout.split(query.gradient)?)?;
        finite(self.index.score_rows(&q)?.into_iter().map(f64::from))
    }

    fn self_influence(&self) -> Option<Vec<f32>> {
        Some(self.index.rows().iter().map(|row| row.self_influence).collect())
    }
}
