//! The low-rank delta `s (x A^T) B^T`, for a batch of different adapters.

mod reference;
mod sites;

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, bail};

pub(crate) use self::sites::{SiteValues, Values};
pub use self::{reference::ReferenceDelta, sites::Sites};
use crate::{
    Error, Result,
    kernels::{
        dispatch,
        lora::{Deltas, Part},
    },
    layers::contiguous,
    model::{AdapterDelta, SiteId},
    step::{Segment, SlotId},
};

/// Products below which a second thread costs more than it gains.
const SERIAL_PRODUCTS: usize = 1 << 17;

/// The adapters of one batch: row `i` gets `sum_k w_k s_k (x_i A_k^T) B_k^T` over the adapters `k`
/// of its set, in the set's order.
///
/// At each site one pass over all segments computes every `x A^T` and one adds every `(x A^T) B^T`,
/// whatever the number of adapters; rows are shared out among threads by work. A row's bits do not
/// depend on the other rows, the slots, or how many threads there are, and equal those of
/// [`ReferenceDelta`]: products are of fixed order, and parts are added one after another in the
/// order of [`Segment::part`].
#[derive(Debug)]
pub struct GroupedDelta {
    /// Sorted by part.
    segments: Vec<(Segment, Arc<Sites>)>,
    /// Rows of each thread's share, about equal in work, and its `x A^T`, kept from site to site.
    shares: Vec<(Range<usize>, Mutex<Vec<f32>>)>,
}

impl GroupedDelta {
    /// The delta of a step's `segments`; `sites_of` finds the adapter of each.
    ///
    /// # Errors
    /// [`Error::Adapter`] if `sites_of` does not know a segment's slot.
    pub fn new(
        segments: &[Segment],
        sites_of: impl FnMut(&Segment) -> Option<Arc<Sites>>,
    ) -> Result<Self> {
        Ok(Self::of(sorted(segments, sites_of)?))
    }

    fn of(segments: Vec<(Segment, Arc<Sites>)>) -> Self {
        let shares = shares(&segments, rayon::current_num_threads());
        let shares = shares.into_iter().map(|rows| (rows, Mutex::default())).collect();
        Self { segments, shares }
    }

    /// The delta of `tokens` packed tokens that all have the same adapters and weights, for scoring
    /// outside the engine.
    pub fn uniform(adapters: &[(Arc<Sites>, f32)], tokens: usize) -> Self {
        let segments = uniform(adapters, tokens);
        let sites = |segment: &Segment| Some(Arc::clone(&adapters[segment.part].0));
        Self::new(&segments, sites).expect("every part has its adapter")
    }

    fn parts(&self, site: SiteId) -> impl Iterator<Item = Part<'_>> + Clone {
        self.segments.iter().filter_map(move |(segment, sites)| {
            let at = sites.at(site)?;
            Some(Part {
                rows: segment.range.clone(),
                scale: segment.scale * at.scale,
                rank: at.rank,
                matrices: at.matrices,
            })
        })
    }

    /// Number of products at a site whose operands are `(rows, d_in)` and `(y_rows, d_out)`.
    fn work(&self, site: SiteId, x: (usize, usize), y: (usize, usize)) -> Result<usize> {
        let ((rows, d_in), (y_rows, d_out)) = (x, y);
        let mut work = 0;
        for (Segment { range, .. }, sites) in &self.segments {
            let Some(at) = sites.at(site) else { continue };
            if (at.d_in, at.d_out) != (d_in, d_out) || y_rows != rows || range.end > rows {
                return Err(Error::Shape(format!(
                    "site {}: rows {range:?} of ({rows}, {d_in}) to ({y_rows}, {d_out})",
                    site.0
                )));
            }
            work += range.len() * at.rank * (d_in + d_out);
        }
        Ok(work)
    }
}

/// The segments as they lie among some of the step's tokens, strictly increasing.
fn among(segments: &[(Segment, Arc<Sites>)], rows: &[usize]) -> Vec<(Segment, Arc<Sites>)> {
    // Consecutive tokens stay consecutive among the chosen ones.
    let place = |token: usize| rows.partition_point(|&row| row < token);
    let moved = segments.iter().filter_map(|(segment, sites)| {
        let range = place(segment.range.start)..place(segment.range.end);
        (!range.is_empty()).then(|| (Segment { range, ..segment.clone() }, Arc::clone(sites)))
    });
    moved.collect()
}

/// The segments with their adapters, in order of part.
fn sorted(
    segments: &[Segment],
    mut sites_of: impl FnMut(&Segment) -> Option<Arc<Sites>>,
) -> Result<Vec<(Segment, Arc<Sites>)>> {
    let mut segments = segments
        .iter()
        .map(|segment| match sites_of(segment) {
            Some(sites) => Ok((segment.clone(), sites)),
            None => Err(Error::Adapter(format!("slot {} is empty", segment.slot.0))),
        })
        .collect::<Result<Vec<_>>>()?;
    // Stable, so that the rows of a part are visited in the step's order.
    segments.sort_by_key(|(segment, _)| segment.part);
    Ok(segments)
}

fn uniform(adapters: &[(Arc<Sites>, f32)], tokens: usize) -> Vec<Segment> {
    let segment = |(part, (sites, scale)): (usize, &(Arc<Sites>, f32))| Segment {
        range: 0..tokens,
        slot: SlotId(part as u32 + 1),
        rank: sites.rank(),
        scale: *scale,
        part,
    };
    adapters.iter().enumerate().map(segment).collect()
}

/// Cuts the rows that have adapters into at most `threads` consecutive shares of about equal work.
fn shares(segments: &[(Segment, Arc<Sites>)], threads: usize) -> Vec<Range<usize>> {
    let rows = segments.iter().map(|(segment, _)| segment.range.end).max().unwrap_or(0);
    // Differences of the work per row: segments may overlap.
    let mut work = vec![0isize; rows + 1];
    for (segment, sites) in segments {
        let parameters = sites.parameters() as isize;
        work[segment.range.start] += parameters;
        work[segment.range.end] -= parameters;
    }
    let mut total = 0;
    let mut cumulative = Vec::with_capacity(rows);
    let mut row_work = 0;
    for change in &work[..rows] {
        row_work += change;
        total += row_work;
        cumulative.push(total);
    }
    let mut shares = Vec::with_capacity(threads);
    let mut start = 0;
    for share in 1..=threads as isize {
        let limit = total * share / threads as isize;
        let end = cumulative.partition_point(|sum| *sum <= limit).max(start);
        if end > start {
            shares.push(start..end);
        }
        start = end;
    }
    shares
}

impl AdapterDelta for GroupedDelta {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        if self.parts(site).next().is_none() {
            return Ok(y);
        }
        let work = self.work(site, x.dims2()?, y.dims2()?)?;
        // The result carries no gradient.
        let y = y.contiguous()?.detach();
        y.inplace_op2(&x.contiguous()?, &Add { delta: self, site, work })?;
        Ok(y)
    }

    fn add_rows(&self, site: SiteId, rows: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        if self.parts(site).next().is_none() {
            return Ok(y);
        }
        Self::of(among(&self.segments, rows)).add(site, x, y)
    }
}

/// Adds the delta of one site.
struct Add<'a> {
    delta: &'a GroupedDelta,
    site: SiteId,
    work: usize,
}

impl InplaceOp2 for Add<'_> {
    fn name(&self) -> &'static str {
        "grouped-lora"
    }

    fn cpu_fwd(
        &self,
        y: &mut CpuStorage,
        y_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (_, d_in) = x_layout.shape().dims2()?;
        let (_, d_out) = y_layout.shape().dims2()?;
        let x = contiguous(x, x_layout)?;
        let CpuStorage::F32(values) = y else { bail!("a delta is added to f32") };
        let Some((start, end)) = y_layout.contiguous_offsets() else {
            bail!("operand is not contiguous")
        };
        let mut y = &mut values[start..end];
        let shares = &self.delta.shares;
        let run = |rows: Range<usize>, y: &mut [f32], hidden: &Mutex<Vec<f32>>| {
            // Nothing is read from it that was not written in the same call.
            let mut hidden = hidden.lock().unwrap_or_else(PoisonError::into_inner);
            let (parts, hidden) = (self.delta.parts(self.site), &mut *hidden);
            dispatch(Deltas { parts, rows, x, d_in, y, d_out, hidden });
        };
        let run = &run;
        if self.work < SERIAL_PRODUCTS || shares.len() < 2 {
            let rows = shares[0].0.start..shares[shares.len() - 1].0.end;
            run(rows.clone(), &mut y[rows.start * d_out..rows.end * d_out], &shares[0].1);
            return Ok(());
        }
        rayon::in_place_scope(|scope| {
            let mut next = 0;
            for (rows, hidden) in shares {
                let (part, rest) = y.split_at_mut((rows.end - next) * d_out);
                let part = &mut part[(rows.start - next) * d_out..];
                (y, next) = (rest, rows.end);
                if next == shares[shares.len() - 1].0.end {
                    run(rows.clone(), part, hidden);
                } else {
                    scope.spawn(move |_| run(rows.clone(), part, hidden));
                }
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{layers::tensor, model::SiteWeights};

    const SITE: SiteId = SiteId(0);

    fn weights(rng: &mut ChaCha8Rng, rank: usize, d_in: usize, d_out: usize) -> SiteWeights {
        // Every second adapter is exact in bf16.
        let narrow = rng.random_bool(0.5);
        let mut draw = |count| {
            let value = |_| {
                let value: f32 = rng.random_range(-1.0..1.0);
                if narrow { half::bf16::from_f32(value).to_f32() } else { value }
            };
            (0..count).map(value).collect()
        };
        let (a, b) = (draw(rank * d_in), draw(d_out * rank));
        SiteWeights { site: SITE, rank, d_in, d_out, a, b, scale: 0.7 }
    }

    fn sites(weights: &SiteWeights) -> Arc<Sites> {
        Arc::new(Sites::new(std::slice::from_ref(weights)).unwrap())
    }

    fn random(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Tensor {
        let values = (0..rows * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        tensor(values, (rows, width)).unwrap()
    }

    /// Each row by candle's own products.
    fn by_candle(
        x: &Tensor,
        y: &Tensor,
        segments: &[Segment],
        adapters: &[SiteWeights],
    ) -> Vec<Vec<f32>> {
        let cpu = Device::Cpu;
        let rows = x.dims2().unwrap().0;
        let row = |i| {
            let mut sum = y.narrow(0, i, 1).unwrap();
            for segment in segments.iter().filter(|segment| segment.range.contains(&i)) {
                let w = &adapters[segment.slot.0 as usize - 1];
                let a = Tensor::from_slice(&w.a, (w.rank, w.d_in), &cpu).unwrap();
                let b = Tensor::from_slice(&w.b, (w.d_out, w.rank), &cpu).unwrap();
                let x = x.narrow(0, i, 1).unwrap();
                let delta = x.matmul(&a.t().unwrap()).unwrap().matmul(&b.t().unwrap()).unwrap();
                let scale = f64::from(segment.scale * w.scale);
                sum = (sum + (delta * scale).unwrap()).unwrap();
            }
            sum.to_vec2::<f32>().unwrap().remove(0)
        };
        (0..rows).map(row).collect()
    }

    /// Adds to a copy: a delta writes in place.
    fn add(delta: &dyn AdapterDelta, x: &Tensor, y: &Tensor) -> Vec<Vec<f32>> {
        delta.add(SITE, x, y.copy().unwrap()).unwrap().to_vec2::<f32>().unwrap()
    }

    fn segment(range: Range<usize>, slot: u32, rank: usize, part: usize) -> Segment {
        Segment { range, slot: SlotId(slot), rank, scale: 0.25 + part as f32, part }
    }

    /// Sets of up to three adapters for consecutive runs of rows, as a scheduler would plan them.
    fn plan(rng: &mut ChaCha8Rng, rows: usize, ranks: &[usize]) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut start = 0;
        while start < rows {
            let end = (start + rng.random_range(1..6)).min(rows);
            for part in 0..rng.random_range(0..=3) {
                let slot = rng.random_range(0..ranks.len());
                segments.push(segment(start..end, slot as u32 + 1, ranks[slot], part));
            }
            start = end;
        }
        segments.sort_by_key(|segment| (segment.slot, segment.range.start));
        segments
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn grouped_rows_equal_the_reference_and_do_not_depend_on_the_batch(
            seed: u64, rows in 1usize..40, d_in in 1usize..90, d_out in 1usize..150,
            threads in 1usize..4,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let ranks: Vec<usize> = (0..5).map(|_| rng.random_range(1..40)).collect();
            let adapters: Vec<_> =
                ranks.iter().map(|rank| weights(&mut rng, *rank, d_in, d_out)).collect();
            let packed: Vec<_> = adapters.iter().map(sites).collect();
            let find = |s: &Segment| packed.get(s.slot.0 as usize - 1).cloned();
            let segments = plan(&mut rng, rows, &ranks);
            let (x, y) = (random(&mut rng, rows, d_in), random(&mut rng, rows, d_out));

            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let together =
                pool.install(|| add(&GroupedDelta::new(&segments, find).unwrap(), &x, &y));
            let plain = add(&ReferenceDelta::new(&segments, find).unwrap(), &x, &y);
            prop_assert_eq!(&together, &plain);
            let expected = by_candle(&x, &y, &segments, &adapters);
            for (ours, theirs) in together.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((ours - theirs).abs() <= 1e-3 * theirs.abs().max(1.0));
            }
            for (i, expected) in together.iter().enumerate() {
                // The same adapters in other slots, the row alone.
                let own: Vec<Segment> = segments
                    .iter()
                    .rev()
                    .filter(|s| s.range.contains(&i))
                    .map(|s| Segment { range: 0..1, slot: SlotId(7 - s.slot.0), ..s.clone() })
                    .collect();
                let find = |s: &Segment| packed.get(6 - s.slot.0 as usize).cloned();
                let delta = GroupedDelta::new(&own, find).unwrap();
                let (x, y) = (x.narrow(0, i, 1).unwrap(), y.narrow(0, i, 1).unwrap());
                prop_assert_eq!(&add(&delta, &x, &y)[0], expected);
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let adapters: Vec<_> = (0..4).map(|_| sites(&weights(&mut rng, 8, 256, 256))).collect();
        let (x, y) = (random(&mut rng, 64, 256), random(&mut rng, 64, 256));
        let segments: Vec<_> =
            (0..4).map(|i| segment(16 * i..16 * i + 16, i as u32 + 1, 8, 0)).collect();
        let find = |s: &Segment| adapters.get(s.slot.0 as usize - 1).cloned();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| add(&GroupedDelta::new(&segments, find).unwrap(), &x, &y))
        };
        assert_eq!(run(1), run(3));
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn shares_cover_the_rows_and_are_equal_in_work() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (small, large) =
            (sites(&weights(&mut rng, 1, 10, 10)), sites(&weights(&mut rng, 9, 10, 10)));
        let segments = [(segment(2..11, 1, 1, 0), small), (segment(11..12, 2, 9, 0), large)];
        assert_eq!(shares(&segments, 2), [0..11, 11..12]);
        let whole = 0..12;
        assert_eq!(shares(&segments, 1), std::slice::from_ref(&whole));
        let many = shares(&segments, 5);
        assert_eq!((many[0].start, many[many.len() - 1].end), (0, 12));
        assert!(many.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn misfits_are_errors() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let adapter = sites(&weights(&mut rng, 2, 3, 5));
        let delta =
            GroupedDelta::new(&[segment(0..2, 1, 2, 0)], |_| Some(adapter.clone())).unwrap();
        let (x, y) = (random(&mut rng, 2, 3), random(&mut rng, 2, 5));
        assert!(delta.add(SITE, &x, y.clone()).is_ok());
        assert!(delta.add(SITE, &y, y.clone()).is_err());
        assert!(delta.add(SITE, &x, x.clone()).is_err());
        let short = (x.narrow(0, 0, 1).unwrap(), y.narrow(0, 0, 1).unwrap());
        assert!(delta.add(SITE, &short.0, short.1).is_err());
        assert!(GroupedDelta::new(&[segment(0..2, 1, 2, 0)], |_| None).is_err());
        // No adapter at this site, or at none.
        assert!(delta.add(SiteId(9), &x, y.clone()).is_ok());
        assert!(GroupedDelta::new(&[], |_| None).unwrap().add(SITE, &x, y).is_ok());
    }
}
