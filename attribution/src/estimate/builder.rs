//! Builds an [`InfluenceIndex`] from rows that arrive one at a time.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::{
    fisher::{Fisher, Trial},
    index::{InfluenceIndex, Parts, Row, RowSource, check_row},
    kernel::dot,
    projector::{Projector, SiteGradient},
    quantise::{self, Magnitudes},
    raw::Raw,
    sketches::Sketches,
    store::SketchStore,
    whitening::{DAMPING_RANGE, Form, Whitening},
};
use crate::{Error, Result, settle::Hash};

/// Rows between two progress reports.
const STEP: usize = 256;

/// Settings of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexConfig {
    /// Damping `c` in `lambda = c tr(F) / d`. The best was 0.1 to 1 on text and on digits: use
    /// [`IndexBuilder::tune_damping`] where retrained models are at hand.
    pub damping: f64,
    /// Share of the rows' numbers that the public scale may clip, 0 to 0.5.
    pub clip_share: f64,
    /// Most bytes of raw sketches to hold, `4 d` per row; those of a store are not held.
    pub memory_limit: usize,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { damping: 0.3, clip_share: 1e-3, memory_limit: 4 << 30 }
    }
}

/// What building an index found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexStats {
    /// Training rows.
    pub rows: usize,
    /// Rows that are canonical in their cluster.
    pub accepted_rows: usize,
    /// Accounts with a row.
    pub contributors: usize,
    /// From the builder's creation to the finished index, gradients included.
    pub elapsed: Duration,
    /// `tr F`.
    pub trace: f64,
    /// `lambda = c tr(F) / d`, the mean over the columns.
    pub lambda: f64,
    /// The public scale.
    pub scale: f32,
    /// Share of the rows' numbers that it clipped.
    pub clipped_share: f64,
}

/// How far [`IndexBuilder::finish`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Rows done in this stage.
    pub done: usize,
    /// Rows of this stage.
    pub total: usize,
}

/// A stage of [`IndexBuilder::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Decomposing the Fisher matrix.
    Fisher,
    /// Whitening the rows.
    Whiten,
    /// Rounding the rows to int8.
    Quantise,
}

/// Collects raw sketches, then whitens and rounds them.
///
/// Rows are given in order of registration, each with the canonical row of its duplicate cluster
/// (see [`super::duplicates::clusters`]). Copies count in the Fisher matrix as little as in training,
/// which leaves them out: handing in copies changes nobody's score. They keep a sketch, to explain
/// answers, and earn nothing.
#[derive(Debug)]
pub struct IndexBuilder {
    config: IndexConfig,
    projector: Projector,
    rows: Vec<Row>,
    raw: Raw,
    fisher: Option<Fisher>,
    started: Instant,
}

impl IndexBuilder {
    /// An empty index of the model whose rows' gradients this projector takes: one that was learned
    /// ([`Projector::learned`]), or that of an earlier version.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of bounds.
    pub fn new(projector: Projector, config: IndexConfig) -> Result<Self> {
        let raw = Raw::Memory(Sketches::new(projector.config().dim));
        Self::over(projector, config, raw)
    }

    /// An empty index whose raw sketches are in a store: rows that it knows need no gradient, and
    /// memory does not grow with the raw sketches. The index is the one that [`Self::new`] gives, bit
    /// for bit, whichever rows were known.
    ///
    /// Beside the index itself, `d` bytes a row, it takes 40 d^2 bytes at most and 256 rows.
    /// Whitened rows wait in a file beside the store's.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of bounds, [`Error::Shape`] if the store is of another
    /// dimension.
    pub fn stored(projector: Projector, config: IndexConfig, store: SketchStore) -> Result<Self> {
        let dim = projector.config().dim;
        if store.dim() != dim {
            return Err(Error::shape("stored sketch", dim, store.dim()));
        }
        Self::over(projector, config, Raw::stored(store))
    }

    fn over(projector: Projector, config: IndexConfig, raw: Raw) -> Result<Self> {
        if !DAMPING_RANGE.contains(&config.damping) {
            return Err(Error::setting("damping must be in 1e-6..=1e6", config.damping));
        }
        if !(0.0..=0.5).contains(&config.clip_share) {
            return Err(Error::setting("clip share must be in 0..=0.5", config.clip_share));
        }
        Ok(Self { config, projector, rows: vec![], raw, fisher: None, started: Instant::now() })
    }

    /// The projector, to sketch rows on other threads for [`Self::push_sketch`].
    #[must_use]
    pub const fn projector(&self) -> &Projector {
        &self.projector
    }

    /// Rows added so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row by its gradient and returns its place.
    ///
    /// # Errors
    /// Those of [`Projector::project`] and [`Self::push_sketch`]; the row is not added.
    pub fn push(&mut self, row: RowSource, sites: &[SiteGradient<'_>]) -> Result<u32> {
        let sketch = self.projector.project(sites)?;
        self.push_sketch(row, &sketch)
    }

    /// Adds a row by its raw sketch, `(d,)`, and returns its place.
    ///
    /// # Errors
    /// [`Error::Setting`] if the earner is nobody, the row is not after the one before it, the
    /// cluster is not an earlier canonical row, or a limit is reached; [`Error::Shape`] or
    /// [`Error::NotFinite`] for a bad sketch. The row is not added.
    pub fn push_sketch(&mut self, source: RowSource, sketch: &[f32]) -> Result<u32> {
        let place = self.rows.len();
        check_row(&source, place, &self.rows)?;
        let bytes = (place + 1) * self.raw.dim() * size_of::<f32>();
        if matches!(self.raw, Raw::Memory(_)) && bytes > self.config.memory_limit {
            return Err(Error::setting("raw sketches must fit in the memory limit", bytes));
        }
        self.raw.push(source.hash, sketch)?;
        Ok(self.add(source))
    }

    /// Adds a row by the sketch that the store has of its text; `None` if it has none, or there is no
    /// store.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`Self::push_sketch`]; the row is not added.
    pub fn push_known(&mut self, source: RowSource) -> Result<Option<u32>> {
        check_row(&source, self.rows.len(), &self.rows)?;
        Ok(self.raw.push_known(&source.hash).then(|| self.add(source)))
    }

    /// Puts the sketch of a row that may come later into the store, if there is one.
    ///
    /// # Errors
    /// Those of [`SketchStore::add`].
    pub fn keep(&mut self, row: Hash, sketch: &[f32]) -> Result<()> {
        match &mut self.raw {
            Raw::Memory(_) => Ok(()),
            Raw::Stored(stored) => stored.store.add(row, sketch),
        }
    }

    /// Whether a row with this text hash needs no gradient.
    #[must_use]
    pub fn knows(&self, row: &Hash) -> bool {
        match &self.raw {
            Raw::Memory(_) => false,
            Raw::Stored(stored) => stored.store.contains(row),
        }
    }

    /// Flushes the store, if there is one: what was pushed so far is not computed again after a stop.
    ///
    /// # Errors
    /// [`Error::File`] if the system refuses.
    pub fn sync(&self) -> Result<()> {
        match &self.raw {
            Raw::Memory(_) => Ok(()),
            Raw::Stored(stored) => stored.store.sync(),
        }
    }

    fn add(&mut self, source: RowSource) -> u32 {
        let place = self.rows.len();
        self.rows.push(Row { source, self_influence: 0.0 });
        self.fisher = None;
        u32::try_from(place).expect("rows are at most 2^24")
    }

    /// Takes the Fisher matrix of the rows given so far instead of computing it.
    pub(super) fn with_fisher(self, fisher: Fisher) -> Self {
        Self { fisher: Some(fisher), ..self }
    }

    /// Chooses the damping of `grid` by how well it scores on held-out queries, and returns all
    /// trials. Use queries that no report is made from.
    ///
    /// - `queries`: their raw sketches, by [`Self::projector`]
    /// - `objective`: how good row scores are, `(queries, rows)`, larger is better: for example their
    ///   rank correlation with what retraining gave. They are `q . t_i` before rounding.
    ///
    /// Each damping costs whitening all rows once, `n d^2`.
    ///
    /// # Errors
    /// Those of [`Fisher::new`], [`Fisher::tune`] and [`Whitening::apply`], and what `objective`
    /// returns; the damping stays as it was.
    pub fn tune_damping(
        &mut self,
        grid: &[f64],
        queries: &Sketches,
        mut objective: impl FnMut(&[Vec<f32>]) -> Result<f64>,
    ) -> Result<Vec<Trial>> {
        let fisher = self.take_fisher()?;
        let tuned = fisher.tune(grid, |whitening| objective(&self.scores(whitening, queries)?));
        self.fisher = Some(fisher);
        let (best, trials) = tuned?;
        self.config.damping = best.damping;
        Ok(trials)
    }

    /// `q . t_i` in floats, `(queries, rows)`.
    fn scores(&self, whitening: &Whitening, queries: &Sketches) -> Result<Vec<Vec<f32>>> {
        let dim = self.raw.dim();
        let queries = queries.rows().map(|q| whitening.apply(q)).collect::<Result<Vec<_>>>()?;
        let mut scores = vec![Vec::with_capacity(self.rows.len()); queries.len()];
        self.raw.blocks(STEP, |_, block| {
            let mut block = block.to_vec();
            block.par_chunks_mut(dim).try_for_each(|s| whiten(whitening, s).map(drop))?;
            for (scores, q) in scores.iter_mut().zip(&queries) {
                scores.extend(block.chunks_exact(dim).map(|t| dot(q, t) as f32));
            }
            Ok(())
        })?;
        Ok(scores)
    }

    /// Whitens and rounds all rows.
    ///
    /// # Errors
    /// [`Error::NoSignal`] if there is no row or every canonical gradient is zero; [`Error::Eigen`] if the
    /// decomposition does not converge; [`Error::NotFinite`] if a whitened row is not finite.
    pub fn finish(
        mut self,
        mut progress: impl FnMut(Progress),
    ) -> Result<(InfluenceIndex, IndexStats)> {
        let total = self.rows.len();
        progress(Progress { stage: Stage::Fisher, done: 0, total });
        let fisher = self.take_fisher()?;
        progress(Progress { stage: Stage::Fisher, done: total, total });
        let whitening = fisher.whitening(self.config.damping)?;
        let magnitudes = self.whiten(&whitening, &mut progress)?;
        let edge = magnitudes.exceeded_by(self.config.clip_share).ok_or(Error::NoSignal)?;
        let scale = 127.0 / edge;
        if !scale.is_finite() {
            return Err(Error::NoSignal);
        }
        let (sketches, clipped) = self.quantise(scale, &mut progress)?;
        let index = InfluenceIndex::new(Parts {
            projector: self.projector,
            whitening,
            damping: self.config.damping,
            trace: fisher.trace(),
            scale,
            rows: self.rows,
            sketches,
        })?;
        let accepted = index.contributors().iter().map(|c| c.accepted_rows as usize).sum();
        let stats = IndexStats {
            rows: total,
            accepted_rows: accepted,
            contributors: index.contributors().len(),
            elapsed: self.started.elapsed(),
            trace: index.trace(),
            lambda: index.whitening().lambda(),
            scale,
            clipped_share: clipped as f64 / (total * index.dim()) as f64,
        };
        Ok((index, stats))
    }

    /// The index of the rows alone: every sketch is zero, so that it says who contributed what and
    /// scores nobody, whatever the query ([`InfluenceIndex::is_silent`]). For models that pay by other
    /// methods; sketches that were pushed do not matter.
    ///
    /// # Errors
    /// [`Error::NoSignal`] if there is no row.
    pub fn finish_silent(self) -> Result<InfluenceIndex> {
        let dim = self.raw.dim();
        if self.rows.is_empty() {
            return Err(Error::NoSignal);
        }
        let sketches = vec![0; self.rows.len() * dim];
        InfluenceIndex::new(Parts {
            projector: self.projector,
            whitening: Whitening::new(1.0, vec![(dim, Form::identity())]),
            damping: self.config.damping,
            trace: 1.0,
            scale: 1.0,
            rows: self.rows,
            sketches,
        })
    }

    fn take_fisher(&mut self) -> Result<Fisher> {
        if let Some(fisher) = self.fisher.take() {
            return Ok(fisher);
        }
        let counts: Vec<bool> =
            (0u32..).zip(&self.rows).map(|(place, row)| row.source.cluster == place).collect();
        Fisher::of_rows(&self.raw, &counts, &self.projector.blocks())
    }

    /// Turns the raw sketches into `t_i` in place, notes the rows' self-influence, and counts the
    /// magnitudes.
    fn whiten(
        &mut self,
        whitening: &Whitening,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Magnitudes> {
        let (dim, total) = (self.raw.dim(), self.rows.len());
        let mut magnitudes = Magnitudes::new();
        let mut block = Vec::new();
        for first in (0..total).step_by(STEP) {
            let done = total.min(first + STEP);
            self.raw.read(first..done, &mut block)?;
            let rows = &mut self.rows[first..done];
            block.par_chunks_mut(dim).zip(rows).try_for_each(|(s, row)| {
                row.self_influence = whiten(whitening, s)?.min(f32::MAX.into()) as f32;
                Ok::<_, Error>(())
            })?;
            magnitudes.add(&block);
            self.raw.write(first, &block)?;
            progress(Progress { stage: Stage::Whiten, done, total });
        }
        self.raw.replaced();
        Ok(magnitudes)
    }

    fn quantise(
        &self,
        scale: f32,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(Vec<i8>, usize)> {
        let (dim, total) = (self.raw.dim(), self.rows.len());
        let mut sketches = vec![0i8; total * dim];
        let mut clipped = 0;
        self.raw.blocks(STEP, |first, block| {
            let out = &mut sketches[first * dim..][..block.len()];
            for (t, out) in block.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
                clipped += quantise::row(t, scale, out);
            }
            let done = first + block.len() / dim;
            progress(Progress { stage: Stage::Quantise, done, total });
            Ok(())
        })?;
        Ok((sketches, clipped))
    }
}

/// Turns a raw sketch into `t` in place; returns its self-influence `|W s|^2`.
fn whiten(whitening: &Whitening, s: &mut [f32]) -> Result<f64> {
    s.copy_from_slice(&whitening.apply(s)?);
    let own = quantise::squared_norm(s);
    quantise::divide_by_root_norm(s);
    Ok(own)
}
