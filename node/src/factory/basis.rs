//! The projector of an index, whose basis is learned from some of the rows.

use attribution::{
    estimate::{BasisBuilder, Projector, ProjectorConfig, SiteShape, basis_rows},
    settle::Hash,
};
use inference::{
    gradient::{self, row_gradients},
    model::Decoder,
    tokenizer::Tokenizer,
    train::{Example, TrainableLora},
};

use super::{
    attribution,
    index::{IndexProgress, IndexSettings},
    rows::{row_tokens, site_gradients},
};
use crate::{Result, datanet::Row};

/// Most bytes of gradients that are held, so that they need not be computed again.
const MAX_HELD: usize = 256 << 20;

/// A projector, and what learning it computed anyway.
pub(super) struct Learned {
    pub(super) projector: Projector,
    /// Sketches of rows of the sample, by the hash of their text.
    pub(super) sketches: Vec<(Hash, Vec<f32>)>,
    /// Rows whose gradients were computed.
    pub(super) computed: usize,
}

/// The model whose gradients are meant.
pub(super) struct Source<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) lora: &'a TrainableLora,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) shapes: &'a [SiteShape],
}

/// Learns the projector of `config` from a sample of these rows; the one that copies gradients where
/// they are not longer than sketches.
pub(super) fn learn(
    source: &Source<'_>,
    config: ProjectorConfig,
    rows: &[(u8, &Row)],
    settings: &IndexSettings,
    progress: &mut dyn FnMut(IndexProgress),
) -> Result<Learned> {
    let plain = Projector::new(source.shapes, config).map_err(attribution)?;
    if plain.copies() {
        return Ok(Learned { projector: plain, sketches: vec![], computed: 0 });
    }
    // Copies were not trained on.
    let rows: Vec<&Row> =
        rows.iter().map(|(_, row)| *row).filter(|row| row.cluster_hash == row.row_hash).collect();
    let sample = basis_rows(&config.seed, rows.iter().map(|row| row.row_hash.0));
    let mut gather = Gather {
        source,
        builder: BasisBuilder::new(source.shapes, config).map_err(attribution)?,
        waiting: vec![],
        held: vec![],
        bytes: 0,
        computed: 0,
    };
    let max = settings.max_tokens.min(source.decoder.spec().max_positions);
    for &place in &sample {
        gather.take(rows[place], max, settings.batch_tokens)?;
        let (done, total) = (gather.computed, sample.len());
        progress(IndexProgress { stage: "basis", done, total });
    }
    gather.flush()?;
    let Gather { builder, held, computed, .. } = gather;
    let basis = builder.finish().map_err(attribution)?;
    let projector = Projector::with_basis(source.shapes, config, basis).map_err(attribution)?;
    let sketch = |(hash, sites): (Hash, Vec<gradient::SiteGradient>)| {
        // The build itself says which rows have no sketch.
        Some((hash, projector.project(&site_gradients(&sites)).ok()?))
    };
    let sketches = held.into_iter().filter_map(sketch).collect();
    Ok(Learned { projector, sketches, computed })
}

/// Rows of the sample on their way into the basis: gradients of several from one backward pass.
struct Gather<'a> {
    source: &'a Source<'a>,
    builder: BasisBuilder,
    waiting: Vec<(Hash, Example)>,
    held: Vec<(Hash, Vec<gradient::SiteGradient>)>,
    bytes: usize,
    computed: usize,
}

impl Gather<'_> {
    fn take(&mut self, row: &Row, max: usize, batch_tokens: usize) -> Result<()> {
        let tokens = row_tokens(self.source.tokenizer, &row.text, max)?;
        if tokens.len() >= 2 {
            self.waiting.push((row.row_hash.0, Example::whole(tokens)));
        }
        let tokens: usize = self.waiting.iter().map(|(_, example)| example.tokens.len()).sum();
        if tokens >= batch_tokens { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let (hashes, examples): (Vec<Hash>, Vec<Example>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        if examples.is_empty() {
            return Ok(());
        }
        let gradients = row_gradients(self.source.decoder, self.source.lora, &examples)?;
        self.computed += examples.len();
        for (hash, sites) in hashes.into_iter().zip(gradients) {
            match self.builder.push(&site_gradients(&sites)) {
                Ok(()) | Err(attribution::Error::NotFinite(_)) => {}
                Err(error) => return Err(attribution(error)),
            }
            self.bytes += sites.iter().map(|site| 4 * (site.a.len() + site.b.len())).sum::<usize>();
            if self.bytes <= MAX_HELD {
                self.held.push((hash, sites));
            }
        }
        Ok(())
    }
}
