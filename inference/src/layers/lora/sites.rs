//! An adapter's weights as the kernel reads them.

use crate::{
    Error, Result,
    kernels::panel::{Bf16, Element, Matrices, PanelShape},
    model::{SiteId, SiteWeights},
};

/// Bytes to which a matrix is aligned.
const LINE: usize = 64;

/// Row-major values as they come from memory or from a file (little endian).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    Host(&'a [f32]),
    F32(&'a [u8]),
    Bf16(&'a [u8]),
    F16(&'a [u8]),
}

impl Values<'_> {
    /// Number of values.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            Self::F32(bytes) => bytes.len() / 4,
            Self::Bf16(bytes) | Self::F16(bytes) => bytes.len() / 2,
        }
    }

    /// Whether no value is infinite or NaN.
    pub(crate) fn are_finite(&self) -> bool {
        // Folded without a branch per value, in chunks that end early.
        let all = |mut chunks: &mut dyn Iterator<Item = bool>| (&mut chunks).all(|finite| finite);
        fn chunk<T: Copy>(values: &[T], fits: impl Fn(T) -> bool) -> bool {
            values.iter().fold(true, |finite, value| finite & fits(*value))
        }
        const CHUNK: usize = 4096;
        match self {
            Self::Host(values) => all(&mut values.chunks(CHUNK).map(|c| chunk(c, f32::is_finite))),
            Self::F32(bytes) => {
                let finite = |b| u32::from_le_bytes(b) & 0x7f80_0000 != 0x7f80_0000;
                all(&mut bytes.as_chunks::<4>().0.chunks(CHUNK).map(|c| chunk(c, finite)))
            }
            Self::Bf16(bytes) => {
                let finite = |b| u16::from_le_bytes(b) & 0x7f80 != 0x7f80;
                all(&mut bytes.as_chunks::<2>().0.chunks(CHUNK).map(|c| chunk(c, finite)))
            }
            Self::F16(bytes) => {
                let finite = |b| u16::from_le_bytes(b) & 0x7c00 != 0x7c00;
                all(&mut bytes.as_chunks::<2>().0.chunks(CHUNK).map(|c| chunk(c, finite)))
            }
        }
    }

    /// Whether every value is one of bf16.
    fn is_bf16(&self) -> bool {
        match self {
            Self::Host(values) => values.iter().all(|value| value.to_bits() & 0xffff == 0),
            Self::F32(bytes) => bytes.as_chunks::<4>().0.iter().all(|b| b[0] == 0 && b[1] == 0),
            Self::Bf16(_) => true,
            Self::F16(bytes) => {
                let exact =
                    |b: &[u8; 2]| half::f16::from_le_bytes(*b).to_f32().to_bits() & 0xffff == 0;
                bytes.as_chunks::<2>().0.iter().all(exact)
            }
        }
    }

    fn pack_f32(&self, shape: PanelShape, out: &mut [f32]) {
        match self {
            Self::Host(values) => shape.pack(values, |v| *v, out),
            Self::F32(b) => shape.pack(b.as_chunks().0, |b| f32::from_le_bytes(*b), out),
            Self::Bf16(b) => {
                shape.pack(b.as_chunks().0, |b| Bf16(u16::from_le_bytes(*b)).widen(), out);
            }
            Self::F16(b) => {
                shape.pack(b.as_chunks().0, |b| half::f16::from_le_bytes(*b).to_f32(), out);
            }
        }
    }

    /// The caller knows that [`Self::is_bf16`].
    fn pack_bf16(&self, shape: PanelShape, out: &mut [Bf16]) {
        let upper = |value: f32| Bf16((value.to_bits() >> 16) as u16);
        match self {
            Self::Host(values) => shape.pack(values, |v| upper(*v), out),
            Self::F32(b) => shape.pack(b.as_chunks().0, |b| upper(f32::from_le_bytes(*b)), out),
            Self::Bf16(b) => shape.pack(b.as_chunks().0, |b| Bf16(u16::from_le_bytes(*b)), out),
            Self::F16(b) => {
                shape.pack(b.as_chunks().0, |b| upper(half::f16::from_le_bytes(*b).to_f32()), out)
            }
        }
    }
}

/// One site's weights before they are packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SiteValues<'a> {
    pub(crate) site: SiteId,
    pub(crate) rank: usize,
    pub(crate) d_in: usize,
    pub(crate) d_out: usize,
    pub(crate) scale: f32,
    /// `A (r, d_in)`
    pub(crate) a: Values<'a>,
    /// `B (d_out, r)`
    pub(crate) b: Values<'a>,
}

impl SiteValues<'_> {
    const fn shrink(&self) -> PanelShape {
        PanelShape { depth: self.d_in, columns: self.rank }
    }

    const fn expand(&self) -> PanelShape {
        PanelShape { depth: self.rank, columns: self.d_out }
    }

    fn check(&self) -> Result<()> {
        let Self { site, rank, d_in, d_out, .. } = self;
        let fits = |values: &Values<'_>, long: usize| {
            long.checked_mul(*rank).is_some_and(|size| size > 0 && size == values.len())
        };
        if fits(&self.a, *d_in) && fits(&self.b, *d_out) {
            return Ok(());
        }
        let (a, b) = (self.a.len(), self.b.len());
        Err(Error::Shape(format!(
            "site {}: {a} and {b} values for rank {rank}, {d_in} in, {d_out} out",
            site.0
        )))
    }
}

/// Where one site's matrices lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    rank: usize,
    d_in: usize,
    d_out: usize,
    scale: f32,
    a: usize,
    b: usize,
}

/// An adapter's `A` and `B` at all its sites, packed into one block of memory: in bf16 if that holds
/// every value exactly, else in f32.
#[derive(Clone, Debug)]
pub struct Sites {
    /// By index of the site.
    places: Vec<Option<Place>>,
    block: Block,
}

#[derive(Clone, Debug)]
enum Block {
    F32(Aligned<f32>),
    Bf16(Aligned<Bf16>),
}

/// Values that begin at a cache line: vectors that straddle two are read at half the speed.
#[derive(Debug)]
struct Aligned<T> {
    values: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy + Default> Aligned<T> {
    fn zeroed(len: usize) -> Self {
        let values = vec![T::default(); len + LINE / size_of::<T>()];
        // An offset beyond the slack would only cost speed.
        let start = values.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Self { values, start, len }
    }

    fn as_slice(&self) -> &[T] {
        &self.values[self.start..][..self.len]
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.values[self.start..][..self.len]
    }
}

impl<T: Copy + Default> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let mut clone = Self::zeroed(self.len);
        clone.as_mut_slice().copy_from_slice(self.as_slice());
        clone
    }
}

impl Sites {
    /// Packs `weights`.
    ///
    /// # Errors
    /// [`Error::Shape`] if a size is 0, `a` or `b` does not have the values that the sizes say, or a
    /// site comes twice; [`Error::Adapter`] if a value is not finite.
    pub fn new(weights: &[SiteWeights]) -> Result<Self> {
        let values: Vec<SiteValues<'_>> = weights
            .iter()
            .map(|w| SiteValues {
                site: w.site,
                rank: w.rank,
                d_in: w.d_in,
                d_out: w.d_out,
                scale: w.scale,
                a: Values::Host(&w.a),
                b: Values::Host(&w.b),
            })
            .collect();
        if let Some(w) = values.iter().find(|w| !w.a.are_finite() || !w.b.are_finite()) {
            return Err(Error::Adapter(format!(
                "site {} has a value that is not finite",
                w.site.0
            )));
        }
        Self::pack(&values)
    }

    /// Packs `weights`, whose values are finite.
    ///
    /// # Errors
    /// [`Error::Shape`] as [`Self::new`].
    pub(crate) fn pack(weights: &[SiteValues<'_>]) -> Result<Self> {
        let narrow = weights.iter().all(|w| w.a.is_bf16() && w.b.is_bf16());
        let line = LINE / if narrow { size_of::<Bf16>() } else { size_of::<f32>() };
        let sites = weights.iter().map(|weight| weight.site.0 as usize + 1).max().unwrap_or(0);
        let mut places = vec![None; sites];
        let mut next = 0;
        for weight in weights {
            weight.check()?;
            let index = weight.site.0 as usize;
            let a = next;
            let b = a + weight.shrink().len().next_multiple_of(line);
            next = b + weight.expand().len().next_multiple_of(line);
            let &SiteValues { rank, d_in, d_out, scale, .. } = weight;
            if places[index].replace(Place { rank, d_in, d_out, scale, a, b }).is_some() {
                return Err(Error::Shape(format!("site {index} comes twice")));
            }
        }
        let place = |w: &SiteValues<'_>| places[w.site.0 as usize].expect("it was placed above");
        let block = if narrow {
            let mut block = Aligned::zeroed(next);
            for (w, place) in weights.iter().map(|w| (w, place(w))) {
                let out = block.as_mut_slice();
                w.a.pack_bf16(w.shrink(), &mut out[place.a..][..w.shrink().len()]);
                w.b.pack_bf16(w.expand(), &mut out[place.b..][..w.expand().len()]);
            }
            Block::Bf16(block)
        } else {
            let mut block = Aligned::zeroed(next);
            for (w, place) in weights.iter().map(|w| (w, place(w))) {
                let out = block.as_mut_slice();
                w.a.pack_f32(w.shrink(), &mut out[place.a..][..w.shrink().len()]);
                w.b.pack_f32(w.expand(), &mut out[place.b..][..w.expand().len()]);
            }
            Block::F32(block)
        };
        Ok(Self { places, block })
    }

    /// The sites where the adapter acts, in model order.
    pub fn ids(&self) -> impl Iterator<Item = SiteId> {
        self.places().map(|(site, _)| site)
    }

    fn places(&self) -> impl Iterator<Item = (SiteId, Place)> {
        let place =
            |(index, place): (usize, &Option<Place>)| Some((SiteId(index as u32), (*place)?));
        self.places.iter().enumerate().filter_map(place)
    }

    /// Number of sites.
    pub fn len(&self) -> usize {
        self.places().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places().next().is_none()
    }

    /// Largest rank over the sites.
    pub fn rank(&self) -> usize {
        self.places().map(|(_, place)| place.rank).max().unwrap_or(0)
    }

    /// Number of values of all `A` and `B`.
    pub fn parameters(&self) -> usize {
        self.places().map(|(_, place)| place.rank * (place.d_in + place.d_out)).sum()
    }

    /// Bytes of memory.
    pub const fn bytes(&self) -> usize {
        self.places.len() * size_of::<Option<Place>>()
            + match &self.block {
                Block::F32(block) => block.values.len() * size_of::<f32>(),
                Block::Bf16(block) => block.values.len() * size_of::<Bf16>(),
            }
    }

    /// Upper bound of [`Self::bytes`] for an adapter of these sites, before its values are looked at.
    pub(crate) fn bytes_at_most(weights: &[SiteValues<'_>]) -> usize {
        let all_narrow =
            weights.iter().all(|w| matches!((w.a, w.b), (Values::Bf16(_), Values::Bf16(_))));
        let size = if all_narrow { size_of::<Bf16>() } else { size_of::<f32>() };
        let line = LINE / size;
        let values: usize = weights
            .iter()
            .map(|w| {
                w.shrink().len().next_multiple_of(line) + w.expand().len().next_multiple_of(line)
            })
            .sum();
        let places = weights.iter().map(|w| w.site.0 as usize + 1).max().unwrap_or(0);
        (values + line) * size + places * size_of::<Option<Place>>()
    }

    /// The weights back, in model order, as they were given (widened to f32).
    pub fn weights(&self) -> Vec<SiteWeights> {
        self.places()
            .map(|(site, place)| {
                let Place { rank, d_in, d_out, scale, .. } = place;
                let (shrink, expand) = (
                    PanelShape { depth: d_in, columns: rank },
                    PanelShape { depth: rank, columns: d_out },
                );
                let (a, b) = match self.matrices(place) {
                    Matrices::F32(a, b) => (shrink.unpack(a), expand.unpack(b)),
                    Matrices::Bf16(a, b) => (shrink.unpack(a), expand.unpack(b)),
                };
                SiteWeights { site, rank, d_in, d_out, a, b, scale }
            })
            .collect()
    }

    #[inline]
    fn matrices(&self, place: Place) -> Matrices<'_> {
        let shrink = PanelShape { depth: place.d_in, columns: place.rank }.len();
        let expand = PanelShape { depth: place.rank, columns: place.d_out }.len();
        match &self.block {
            Block::F32(block) => {
                let block = block.as_slice();
                Matrices::F32(&block[place.a..][..shrink], &block[place.b..][..expand])
            }
            Block::Bf16(block) => {
                let block = block.as_slice();
                Matrices::Bf16(&block[place.a..][..shrink], &block[place.b..][..expand])
            }
        }
    }

    /// One site as the kernel takes it.
    #[inline]
    pub(super) fn at(&self, site: SiteId) -> Option<SiteMatrices<'_>> {
        let place = (*self.places.get(site.0 as usize)?)?;
        let Place { rank, d_in, d_out, scale, .. } = place;
        Some(SiteMatrices { rank, d_in, d_out, scale, matrices: self.matrices(place) })
    }
}

/// One site's matrices.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteMatrices<'a> {
    pub(super) rank: usize,
    pub(super) d_in: usize,
    pub(super) d_out: usize,
    pub(super) scale: f32,
    pub(super) matrices: Matrices<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(site: u32, rank: usize, f: impl Fn(usize) -> f32) -> SiteWeights {
        let (d_in, d_out) = (37, 21);
        let a = (0..rank * d_in).map(&f).collect();
        let b = (0..d_out * rank).map(|i| f(i + 1000)).collect();
        SiteWeights { site: SiteId(site), rank, d_in, d_out, a, b, scale: 0.5 }
    }

    #[test]
    fn weights_come_back_and_bf16_is_kept_narrow() {
        let exact =
            [weights(3, 4, |i| (i % 64) as f32 / 8.0 - 9.0), weights(0, 17, |i| (i % 50) as f32)];
        let sites = Sites::new(&exact).unwrap();
        assert_eq!(sites.weights(), [exact[1].clone(), exact[0].clone()]);
        assert_eq!((sites.len(), sites.rank(), sites.parameters()), (2, 17, 21 * 58));
        let inexact = [weights(3, 4, |i| i as f32 / 3.0), exact[1].clone()];
        let wide = Sites::new(&inexact).unwrap();
        assert_eq!(wide.weights(), [inexact[1].clone(), inexact[0].clone()]);
        assert!(wide.bytes() > sites.bytes() * 3 / 2);
        assert!(matches!((&sites.block, &wide.block), (Block::Bf16(_), Block::F32(_))));
        assert_eq!(sites.clone().weights(), sites.weights());
    }

    #[test]
    fn types_of_files_give_the_same_matrices() {
        let value = |i: usize| (i % 64) as f32 - 20.0;
        let host = [weights(0, 5, value)];
        let bytes = |narrow: fn(f32) -> Vec<u8>| {
            let all = |values: &[f32]| values.iter().flat_map(|v| narrow(*v)).collect::<Vec<u8>>();
            (all(&host[0].a), all(&host[0].b))
        };
        let files = [
            bytes(|v| v.to_le_bytes().to_vec()),
            bytes(|v| half::bf16::from_f32(v).to_le_bytes().to_vec()),
            bytes(|v| half::f16::from_f32(v).to_le_bytes().to_vec()),
        ];
        let kinds = [Values::F32, Values::Bf16, Values::F16];
        for ((a, b), kind) in files.iter().zip(kinds) {
            let &SiteWeights { site, rank, d_in, d_out, scale, .. } = &host[0];
            let values = SiteValues { site, rank, d_in, d_out, scale, a: kind(a), b: kind(b) };
            assert!(values.a.are_finite());
            let sites = Sites::pack(&[values]).unwrap();
            assert_eq!(sites.weights(), host);
            assert!(sites.bytes() <= Sites::bytes_at_most(&[values]));
        }
        let not = |kind: fn(&'static [u8]) -> Values<'static>, bytes| !kind(bytes).are_finite();
        assert!(not(Values::F32, &[0, 0, 0x80, 0x7f]) && not(Values::F32, &[1, 0, 0xc0, 0xff]));
        assert!(not(Values::Bf16, &[0x80, 0xff]) && not(Values::F16, &[0, 0x7c]));
        assert!(!Values::Host(&[0.0, f32::NAN]).are_finite());
    }

    #[test]
    fn misfits_are_errors() {
        let good = weights(0, 2, |i| i as f32);
        for bad in [
            vec![SiteWeights { rank: 0, a: vec![], b: vec![], ..good.clone() }],
            vec![SiteWeights { rank: 3, ..good.clone() }],
            vec![SiteWeights { d_in: usize::MAX, ..good.clone() }],
            vec![good.clone(), good.clone()],
        ] {
            assert!(matches!(Sites::new(&bad), Err(Error::Shape(_))));
        }
        let mut bad = good;
        bad.b[3] = f32::INFINITY;
        assert!(matches!(Sites::new(&[bad]), Err(Error::Adapter(_))));
    }
}
