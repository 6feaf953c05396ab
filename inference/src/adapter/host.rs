//! An adapter's files in memory, checked against the model: what the host tier keeps.

use std::{collections::BTreeSet, ops::Range, panic::resume_unwind, path::Path, sync::Arc, thread};

use safetensors::{Dtype, SafeTensors, tensor::Metadata};

use super::{
    Adapter, AdapterFiles, AdapterHash, AdapterLimits, FolderSource, Source, WEIGHTS_FILE,
    config::PeftConfig,
    held,
    stacked::{Experts, PARAMETERS, Part, Place},
};
use crate::{
    Error, Result,
    layers::lora::{SiteValues, Sites, Values},
    model::{ParallelDecoder, Site, SiteId},
};

/// What PEFT puts before the base model's own module paths.
pub(super) const PREFIX: &str = "base_model.model.";

/// Bytes of weights below which a thread takes longer than it saves.
const ALONE_BYTES: usize = 1 << 18;

pub(super) fn bad(message: impl Into<String>) -> Error {
    Error::Adapter(message.into())
}

/// The weights' file with the places of its tensors. The file is kept as it is: one block of memory,
/// no larger than what was stored.
#[derive(Debug)]
pub(super) struct HostAdapter {
    hash: AdapterHash,
    weights: Vec<u8>,
    views: Vec<View>,
}

/// One site's tensors.
#[derive(Clone, Debug)]
struct View {
    site: SiteId,
    rank: usize,
    d_in: usize,
    d_out: usize,
    scale: f32,
    a: Place,
    b: Place,
}

impl HostAdapter {
    /// Checks files that have this hash against the model's `sites`.
    pub(super) fn parse(
        files: AdapterFiles,
        hash: AdapterHash,
        sites: &[Site],
        limits: &AdapterLimits,
    ) -> Result<Self> {
        Self::parse_while(files, hash, sites, limits, |_| Ok(()))
    }

    /// [`Self::parse`] while `verify` looks at the same files, on a thread of its own if they are
    /// large. What it finds comes first.
    pub(super) fn parse_while(
        files: AdapterFiles,
        hash: AdapterHash,
        sites: &[Site],
        limits: &AdapterLimits,
        verify: impl FnOnce(&AdapterFiles) -> Result<()> + Send,
    ) -> Result<Self> {
        let read = || Layout::read(&files, sites, limits);
        let (verified, layout) = if files.weights.len() < ALONE_BYTES {
            (verify(&files), read())
        } else {
            thread::scope(|scope| {
                let verifier = scope.spawn(|| verify(&files));
                let layout = read();
                (verifier.join().unwrap_or_else(|panic| resume_unwind(panic)), layout)
            })
        };
        verified?;
        let Layout { mut views, stacked } = layout?;
        let mut weights = files.weights;
        for (experts, parameter, rank, scale, places) in stacked {
            let cut = experts.cut(parameter, rank, places, &mut weights)?;
            views.extend(cut.into_iter().map(|Part { site, a, b }| {
                let &Site { id, d_in, d_out, .. } = site;
                View { site: id, rank, d_in, d_out, scale, a, b }
            }));
        }
        views.sort_by_key(|view| view.site);
        if let Some(pair) = views.windows(2).find(|pair| pair[0].site == pair[1].site) {
            let path = &sites[pair[0].site.0 as usize].path;
            return Err(bad(format!("{path} has an adapter alone and one of all experts")));
        }
        Ok(Self { hash, weights, views })
    }

    /// The sites' values where they lie in the file.
    pub(super) fn values(&self) -> Vec<SiteValues<'_>> {
        let values = |place: &Place| values(&self.weights, place);
        let site = |view: &View| SiteValues {
            site: view.site,
            rank: view.rank,
            d_in: view.d_in,
            d_out: view.d_out,
            scale: view.scale,
            a: values(&view.a),
            b: values(&view.b),
        };
        self.views.iter().map(site).collect()
    }

    pub(super) const fn hash(&self) -> AdapterHash {
        self.hash
    }

    /// Largest rank over its sites.
    pub(super) fn rank(&self) -> usize {
        self.views.iter().map(|view| view.rank).max().unwrap_or(0)
    }

    /// Bytes that it holds.
    pub(super) const fn bytes(&self) -> usize {
        held(self.weights.capacity() + self.views.capacity() * size_of::<View>())
    }

    /// Most bytes that it has when packed: whole, and once more in the parts of as many `ranks`,
    /// each of which may have all of every `A` or `B`.
    pub(super) fn resident_bytes(&self, ranks: usize) -> usize {
        held(Sites::bytes_at_most(&self.values()).saturating_mul(1 + ranks))
    }

    /// The form that the kernel reads, and its parts if the model is split over ranks.
    pub(super) fn pack(&self, ranks: Option<&ParallelDecoder>) -> Result<Adapter> {
        let sites = Sites::pack(&self.values())?;
        let shares = match ranks {
            Some(ranks) => ranks.split(&sites.weights())?,
            None => Vec::new(),
        };
        Ok(Adapter { hash: self.hash, sites: Arc::new(sites), shares })
    }
}

/// The values of a tensor that was found in a file.
fn values<'a>(file: &'a [u8], (dtype, range): &Place) -> Values<'a> {
    let bytes = &file[range.clone()];
    match dtype {
        Dtype::F32 => Values::F32(bytes),
        Dtype::BF16 => Values::Bf16(bytes),
        _ => Values::F16(bytes),
    }
}

/// What is where in an adapter's files.
struct Layout<'a> {
    views: Vec<View>,
    stacked: StackedViews<'a>,
}

impl<'a> Layout<'a> {
    fn read(files: &AdapterFiles, sites: &'a [Site], limits: &AdapterLimits) -> Result<Self> {
        let AdapterFiles { config, weights } = files;
        if config.len() > limits.config_bytes || weights.len() > limits.weights_bytes {
            let (config, weights) = (config.len(), weights.len());
            return Err(bad(format!("files of {config} and {weights} bytes are too large")));
        }
        let config = PeftConfig::parse(config)?;
        let tensors = Tensors::parse(weights, limits)?;
        let mut unread: BTreeSet<String> = tensors.metadata.offset_keys().into_iter().collect();
        let mut views = Vec::new();
        for site in sites {
            let Some((rank, scale)) = config.at(&site.path)? else { continue };
            if rank > limits.rank {
                let (path, most) = (&site.path, limits.rank);
                return Err(bad(format!("rank {rank} at {path} is more than {most}")));
            }
            let &Site { id, d_in, d_out, .. } = site;
            let mut take = |side: &str, shape: [usize; 2]| {
                let name = format!("{PREFIX}{}.lora_{side}.weight", site.path);
                unread.remove(&name);
                tensors.take(&name, shape)
            };
            let (a, b) = (take("A", [rank, d_in])?, take("B", [d_out, rank])?);
            views.push(View { site: id, rank, d_in, d_out, scale, a, b });
        }
        let stacked = stacked(&config, sites, &tensors, &mut unread, limits)?;
        if let Some(name) = unread.first() {
            let name: String = name.chars().take(200).collect();
            return Err(bad(format!("tensor {name:?} belongs to no targeted module of the model")));
        }
        if views.is_empty() && stacked.is_empty() {
            return Err(bad("target_modules fits no module of the model"));
        }
        let layout = Self { views, stacked };
        layout.check_finite(weights, sites)?;
        Ok(layout)
    }

    fn check_finite(&self, file: &[u8], sites: &[Site]) -> Result<()> {
        let alone = self.views.iter().map(|view| {
            let path = sites[view.site.0 as usize].path.as_str();
            (path, &view.a, &view.b)
        });
        let stacked = self.stacked.iter().map(|(experts, _, _, _, (a, b))| (experts.path, a, b));
        for (path, a, b) in alone.chain(stacked) {
            if !values(file, a).are_finite() || !values(file, b).are_finite() {
                return Err(bad(format!("the weights at {path} have a value that is not finite")));
            }
        }
        Ok(())
    }
}

/// The stacked parameters that an adapter acts on: experts, name, rank, scale, places of `A` and `B`.
type StackedViews<'a> = Vec<(Experts<'a>, &'static str, usize, f32, (Place, Place))>;

fn stacked<'a>(
    config: &PeftConfig,
    sites: &'a [Site],
    tensors: &Tensors<'_>,
    unread: &mut BTreeSet<String>,
    limits: &AdapterLimits,
) -> Result<StackedViews<'a>> {
    let mut views = Vec::new();
    if !config.has_parameters() {
        return Ok(views);
    }
    for path in Experts::of(sites).iter().map(|experts| experts.path) {
        let at = |name: &&str| config.at_parameter(&format!("{path}.{name}")).is_some();
        let named: Vec<&'static str> = PARAMETERS.iter().copied().filter(|name| at(name)).collect();
        for (index, parameter) in named.iter().copied().enumerate() {
            let shape = config.at_parameter(&format!("{path}.{parameter}"));
            let (rank, scale) = shape.expect("it was found above");
            if rank > limits.rank {
                let most = limits.rank;
                return Err(bad(format!("rank {rank} at {path} is more than {most}")));
            }
            let experts = Experts::of(sites).into_iter().find(|experts| experts.path == path);
            let experts = experts.expect("it is one of them");
            // Wrappers are nested: all but the last are inside another one's base layer.
            let inside = "base_layer.".repeat(named.len() - 1 - index);
            let mut take = |side: &str, shape: [usize; 2]| {
                let name = format!("{PREFIX}{path}.{inside}lora_{side}.weight");
                unread.remove(&name);
                tensors.take(&name, shape)
            };
            let [a, b] = experts.shapes(parameter, rank)?;
            let places = (take("A", a)?, take("B", b)?);
            views.push((experts, parameter, rank, scale, places));
        }
    }
    Ok(views)
}

/// The header of a safetensors file.
struct Tensors<'a> {
    bytes: &'a [u8],
    metadata: Metadata,
    /// Where the values begin.
    start: usize,
}

impl<'a> Tensors<'a> {
    fn parse(bytes: &'a [u8], limits: &AdapterLimits) -> Result<Self> {
        let damaged = |reason: String| bad(format!("{WEIGHTS_FILE}: {reason}"));
        let header = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        if header.is_some_and(|header| header > limits.header_bytes as u64) {
            let (header, most) = (header.unwrap_or_default(), limits.header_bytes);
            return Err(damaged(format!("a header of {header} bytes, more than {most}")));
        }
        let (header, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let count = metadata.offset_keys().len();
        if count > limits.tensors {
            return Err(damaged(format!("{count} tensors, more than {}", limits.tensors)));
        }
        Ok(Self { bytes, metadata, start: 8 + header })
    }

    fn take(&self, name: &str, shape: [usize; 2]) -> Result<(Dtype, Range<usize>)> {
        let info =
            self.metadata.info(name).ok_or_else(|| bad(format!("tensor {name} is missing")))?;
        if info.shape != shape {
            return Err(bad(format!("tensor {name} has shape {:?}, not {shape:?}", info.shape)));
        }
        if !matches!(info.dtype, Dtype::F32 | Dtype::BF16 | Dtype::F16) {
            return Err(bad(format!("tensor {name} has type {:?}", info.dtype)));
        }
        let (start, end) = info.data_offsets;
        let range = self.start + start..self.start + end;
        let size = if info.dtype == Dtype::F32 { 4 } else { 2 };
        let expected = shape[0].checked_mul(shape[1]).and_then(|count| count.checked_mul(size));
        if expected != Some(range.len()) || range.end > self.bytes.len() {
            return Err(bad(format!("tensor {name} has {} bytes", range.len())));
        }
        Ok((info.dtype, range))
    }
}

impl Adapter {
    /// Reads the PEFT folder `dir` for a decoder with these `sites`.
    ///
    /// `max_bytes` bounds the weights' file. Files must lie under `root` (or, without one, in `dir`
    /// itself) after links are followed.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the configuration is not supported, a file is too large, damaged or
    /// outside the root, or a tensor is missing, unknown, of another shape than the decoder and the
    /// configuration say, of another type than f32, bf16 and f16, or not finite. [`Error::Io`] if a
    /// file cannot be read.
    pub fn load(dir: &Path, root: Option<&Path>, sites: &[Site], max_bytes: usize) -> Result<Self> {
        let limits = AdapterLimits { weights_bytes: max_bytes, ..AdapterLimits::default() };
        let files = FolderSource::new(dir, root.map(Arc::from)).fetch(&limits)?;
        let hash = files.hash();
        HostAdapter::parse(files, hash, sites, &limits)?.pack(None)
    }

    /// An adapter from the bytes of its two files; see [`Self::load`].
    ///
    /// # Errors
    /// [`Error::Adapter`].
    pub fn parse(config: &[u8], weights: &[u8], sites: &[Site]) -> Result<Self> {
        let files = AdapterFiles { config: config.to_vec(), weights: weights.to_vec() };
        let hash = files.hash();
        HostAdapter::parse(files, hash, sites, &AdapterLimits::default())?.pack(None)
    }
}
