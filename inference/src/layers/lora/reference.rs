//! The plain path: one adapter after another, each by two products.

use std::sync::Arc;

use candle_core::Tensor;

use super::{Sites, among, sorted};
use crate::{
    Error, Result,
    kernels::{Packed, Rows, matmul},
    layers::{tensor, with_values},
    model::{AdapterDelta, SiteId},
    step::Segment,
};

/// What [`super::GroupedDelta`] computes, in the plainest way; the two agree bit for bit.
#[derive(Debug)]
pub struct ReferenceDelta {
    segments: Vec<(Segment, Arc<Sites>)>,
}

impl ReferenceDelta {
    /// The delta of a step's `segments`; `sites_of` finds the adapter of each.
    ///
    /// # Errors
    /// [`Error::Adapter`] if `sites_of` does not know a segment's slot.
    pub fn new(
        segments: &[Segment],
        sites_of: impl FnMut(&Segment) -> Option<Arc<Sites>>,
    ) -> Result<Self> {
        Ok(Self { segments: sorted(segments, sites_of)? })
    }
}

impl AdapterDelta for ReferenceDelta {
    fn add(&self, site: SiteId, x: &Tensor, y: Tensor) -> Result<Tensor> {
        let (rows, d_in) = x.dims2()?;
        let (y_rows, d_out) = y.dims2()?;
        let mut out = with_values(&y, <[f32]>::to_vec)?;
        for (segment, sites) in &self.segments {
            let Some(weights) = sites.weights().into_iter().find(|weights| weights.site == site)
            else {
                continue;
            };
            let range = segment.range.clone();
            if (weights.d_in, weights.d_out, y_rows) != (d_in, d_out, rows) || range.end > rows {
                return Err(Error::Shape(format!("site {}: rows {range:?} of {rows}", site.0)));
            }
            let delta = with_values(x, |x| {
                let x = Rows::whole(&x[range.start * d_in..range.end * d_in], d_in);
                let shrink = Packed::from_transposed(Rows::whole(&weights.a, d_in));
                let hidden = matmul(x, &shrink);
                let expand = Packed::from_transposed(Rows::whole(&weights.b, weights.rank));
                matmul(Rows::whole(&hidden, weights.rank), &expand)
            })?;
            let scale = segment.scale * weights.scale;
            let rows = &mut out[range.start * d_out..range.end * d_out];
            rows.iter_mut().zip(&delta).for_each(|(y, delta)| *y += scale * delta);
        }
        Ok(tensor(out, (rows, d_out))?)
    }

    fn add_rows(&self, site: SiteId, rows: &[usize], x: &Tensor, y: Tensor) -> Result<Tensor> {
        Self { segments: among(&self.segments, rows) }.add(site, x, y)
    }
}
