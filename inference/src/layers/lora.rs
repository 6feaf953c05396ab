//! The low-rank delta `s (x A^T) B^T`, for one adapter and for a batch of different ones.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::Tensor;
use rayon::prelude::*;

use crate::{
    Error, Result,
    kernels::{Packed, Rows, matmul},
    layers::{tensor, with_values},
    model::{AdapterDelta, SiteId, SiteWeights},
    step::{Segment, SlotId},
};

/// Products below which sharing segments out among threads costs more than it gains.
const SERIAL_PRODUCTS: usize = 1 << 16;

/// One site's `A` and `B`, packed for the fixed-order product.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `A^T (d_in, r)`
    shrink: Packed,
    /// `B^T (r, d_out)`
    expand: Packed,
    scale: f32,
}

impl LowRank {
    /// Packs `weights`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a size is 0 or `a` or `b` does not have the values that the sizes say.
    pub fn new(weights: &SiteWeights) -> Result<Self> {
        let SiteWeights { site, rank, d_in, d_out, a, b, scale } = weights;
        let fits = |values: &[f32], long: usize| {
            long.checked_mul(*rank).is_some_and(|size| size > 0 && size == values.len())
        };
        if !fits(a, *d_in) || !fits(b, *d_out) {
            let (a, b) = (a.len(), b.len());
            return Err(Error::Shape(format!(
                "site {}: {a} and {b} values for rank {rank}, {d_in} in, {d_out} out",
                site.0
            )));
        }
        Ok(Self {
            shrink: Packed::from_transposed(Rows::whole(a, *d_in)),
            expand: Packed::from_transposed(Rows::whole(b, *rank)),
            scale: *scale,
        })
    }

    /// The weights back, as they were given.
    pub fn weights(&self, site: SiteId) -> SiteWeights {
        SiteWeights {
            site,
            rank: self.rank(),
            d_in: self.shrink.depth(),
            d_out: self.expand.columns(),
            a: self.shrink.to_transposed(),
            b: self.expand.to_transposed(),
            scale: self.scale,
        }
    }

    /// Rank `r`.
    pub const fn rank(&self) -> usize {
        self.shrink.columns()
    }

    /// Number of values of `A` and `B`.
    pub const fn values(&self) -> usize {
        self.rank() * (self.shrink.depth() + self.expand.columns())
    }

    /// `(x A^T) B^T`, `(rows, d_out)`. Each row's bits depend on that row of `x` only.
    fn product(&self, x: Rows<'_>) -> Vec<f32> {
        let hidden = matmul(x, &self.shrink);
        matmul(Rows::whole(&hidden, self.rank()), &self.expand)
    }
}

/// An adapter's sites.
pub type Sites = BTreeMap<SiteId, LowRank>;

/// The adapters of one batch: row `i` gets `sum_k w_k s_k (x_i A_k^T) B_k^T` over the adapters `k`
/// of its set, in the set's order.
///
/// A row's bits do not depend on the other rows, the slots, or how many threads there are: products
/// are of fixed order, and parts are added one after another in the order of [`Segment::part`].
#[derive(Debug)]
pub struct GroupedDelta {
    /// Sorted by part.
    segments: Vec<(Segment, Arc<Sites>)>,
}

impl GroupedDelta {
    /// The delta of a step's `segments`; `sites_of` finds the adapter of each.
    ///
    /// # Errors
    /// [`Error::Adapter`] if `sites_of` does not know a segment's slot.
    pub fn new(
        segments: &[Segment],
        mut sites_of: impl FnMut(&Segment) -> Option<Arc<Sites>>,
    ) -> Result<Self> {
        let mut segments = segments
            .iter()
            .map(|segment| match sites_of(segment) {
                Some(sites) => Ok((segment.clone(), sites)),
                None => Err(Error::Adapter(format!("slot {} is empty", segment.slot.0))),
            })
            .collect::<Result<Vec<_>>>()?;
        segments.sort_by_key(|(segment, _)| segment.part);
        Ok(Self { segments })
    }

    /// The delta of `tokens` packed tokens that all have the same adapters and weights, for scoring
    /// outside the engine.
    pub fn uniform(adapters: &[(Arc<Sites>, f32)], tokens: usize) -> Self {
        let segment = |part: usize, scale: f32, sites: &Sites| Segment {
            range: 0..tokens,
            slot: SlotId(part as u32 + 1),
            rank: sites.values().map(LowRank::rank).max().unwrap_or(0),
            scale,
            part,
        };
        let parts = adapters.iter().enumerate();
        let segments = parts.map(|(i, (sites, w))| (segment(i, *w, sites), Arc::clone(sites)));
        Self { segments: segments.collect() }
    }
}

impl AdapterDelta for GroupedDelta {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        let jobs: Vec<(&Segment, &LowRank)> = self
            .segments
            .iter()
            .filter_map(|(segment, sites)| Some((segment, sites.get(&site)?)))
            .collect();
        if jobs.is_empty() {
            return Ok(y);
        }
        let (rows, d_in) = x.dims2()?;
        let (y_rows, d_out) = y.dims2()?;
        for (Segment { range, .. }, low_rank) in &jobs {
            let fits = low_rank.shrink.depth() == d_in && low_rank.expand.columns() == d_out;
            if !fits || y_rows != rows || range.end > rows {
                return Err(Error::Shape(format!(
                    "site {}: rows {range:?} of ({rows}, {d_in}) to ({y_rows}, {d_out})",
                    site.0
                )));
            }
        }
        let deltas = with_values(x, |x| {
            let product = |(segment, low_rank): &(&Segment, &LowRank)| {
                let x = &x[segment.range.start * d_in..segment.range.end * d_in];
                low_rank.product(Rows::whole(x, d_in))
            };
            let work: usize = jobs.iter().map(|(s, l)| s.range.len() * l.values()).sum();
            if jobs.len() == 1 || work < SERIAL_PRODUCTS {
                jobs.iter().map(product).collect::<Vec<_>>()
            } else {
                jobs.par_iter().map(product).collect()
            }
        })?;
        let mut out = with_values(&y, <[f32]>::to_vec)?;
        for ((segment, low_rank), delta) in jobs.iter().zip(&deltas) {
            let scale = segment.scale * low_rank.scale;
            let rows = &mut out[segment.range.start * d_out..segment.range.end * d_out];
            rows.iter_mut().zip(delta).for_each(|(y, delta)| *y += scale * delta);
        }
        Ok(tensor(out, (rows, d_out))?)
    }

    fn add_rows(&self, site: SiteId, rows: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        // Consecutive tokens stay consecutive among the chosen rows.
        let place = |token: usize| rows.partition_point(|&row| row < token);
        let segments = self.segments.iter().filter_map(|(segment, sites)| {
            let range = place(segment.range.start)..place(segment.range.end);
            (!range.is_empty()).then(|| (Segment { range, ..segment.clone() }, Arc::clone(sites)))
        });
        Self { segments: segments.collect() }.add(site, x, y)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    const SITE: SiteId = SiteId(0);

    fn weights(rng: &mut ChaCha8Rng, rank: usize, d_in: usize, d_out: usize) -> SiteWeights {
        let mut draw = |count| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (a, b) = (draw(rank * d_in), draw(d_out * rank));
        SiteWeights { site: SITE, rank, d_in, d_out, a, b, scale: 0.7 }
    }

    fn sites(weights: &SiteWeights) -> Arc<Sites> {
        Arc::new(Sites::from([(SITE, LowRank::new(weights).unwrap())]))
    }

    fn random(rng: &mut ChaCha8Rng, rows: usize, width: usize) -> Tensor {
        let values = (0..rows * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        tensor(values, (rows, width)).unwrap()
    }

    /// Each row by candle's own products.
    fn reference(x: &Tensor, y: &Tensor, parts: &[(Segment, &SiteWeights)]) -> Vec<Vec<f32>> {
        let cpu = Device::Cpu;
        let rows = x.dims2().unwrap().0;
        let row = |i| {
            let mut sum = y.narrow(0, i, 1).unwrap();
            for (segment, w) in parts.iter().filter(|(segment, _)| segment.range.contains(&i)) {
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

    fn segment(range: std::ops::Range<usize>, slot: u32, rank: usize, part: usize) -> Segment {
        Segment { range, slot: SlotId(slot), rank, scale: 0.25 + part as f32, part }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn grouped_rows_equal_the_reference_and_do_not_depend_on_the_batch(
            seed: u64, rows in 3usize..40, d_in in 1usize..70, d_out in 1usize..70, r in 1usize..20,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let first = weights(&mut rng, r, d_in, d_out);
            let second = weights(&mut rng, 21 - r, d_in, d_out);
            let (x, y) = (random(&mut rng, rows, d_in), random(&mut rng, rows, d_out));
            let third = rows / 3;
            // The first third gets one adapter, the second both, the last the base alone.
            let segments =
                [segment(0..2 * third, 1, r, 1), segment(third..2 * third, 2, 21 - r, 0)];
            let adapters = [sites(&first), sites(&second)];
            let find = |s: &Segment| adapters.get(s.slot.0 as usize - 1).cloned();
            let delta = GroupedDelta::new(&segments, find).unwrap();
            let together = delta.add(SITE, &x, y.clone()).unwrap().to_vec2::<f32>().unwrap();

            let parts = [(segments[0].clone(), &first), (segments[1].clone(), &second)];
            let expected = reference(&x, &y, &parts);
            for (ours, theirs) in together.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0));
            }
            for (i, expected) in together.iter().enumerate() {
                // The same adapters in other slots, the row alone.
                let own: Vec<Segment> = segments
                    .iter()
                    .rev()
                    .filter(|s| s.range.contains(&i))
                    .map(|s| Segment { range: 0..1, slot: SlotId(7 - s.slot.0), ..s.clone() })
                    .collect();
                let find = |s: &Segment| adapters.get(6 - s.slot.0 as usize).cloned();
                let delta = GroupedDelta::new(&own, find).unwrap();
                let (x, y) = (x.narrow(0, i, 1).unwrap(), y.narrow(0, i, 1).unwrap());
                let alone = delta.add(SITE, &x, y).unwrap().to_vec2::<f32>().unwrap();
                prop_assert_eq!(&alone[0], expected);
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
        let delta = GroupedDelta::new(&segments, find).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| delta.add(SITE, &x, y.clone()).unwrap().to_vec2::<f32>().unwrap())
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn misfits_are_errors() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let good = weights(&mut rng, 2, 3, 5);
        for bad in [
            SiteWeights { rank: 0, a: vec![], b: vec![], ..good.clone() },
            SiteWeights { rank: 3, ..good.clone() },
            SiteWeights { d_in: usize::MAX, ..good.clone() },
        ] {
            assert!(matches!(LowRank::new(&bad), Err(Error::Shape(_))));
        }
        assert_eq!(LowRank::new(&good).unwrap().weights(SITE), good);

        let adapter = sites(&good);
        let delta =
            GroupedDelta::new(&[segment(0..2, 1, 2, 0)], |_| Some(adapter.clone())).unwrap();
        let (x, y) = (random(&mut rng, 2, 3), random(&mut rng, 2, 5));
        assert!(delta.add(SITE, &x, y.clone()).is_ok());
        assert!(delta.add(SITE, &y, y.clone()).is_err());
        assert!(delta.add(SITE, &x, x.clone()).is_err());
        let short = (x.narrow(0, 0, 1).unwrap(), y.narrow(0, 0, 1).unwrap());
        assert!(delta.add(SITE, &short.0, short.1).is_err());
        assert!(GroupedDelta::new(&[segment(0..2, 1, 2, 0)], |_| None).is_err());
    }
}
