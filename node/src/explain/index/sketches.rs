//! Sketches of rows, computed again.

use attribution::estimate::InfluenceIndex;
use inference::{
    adapter::Adapter, gradient::row_gradient, model::Decoder, tokenizer::Tokenizer,
    train::TrainableLora,
};
use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;

use super::{basis, subject::IndexCheck, summary::silent};
use crate::{
    Error, Result,
    explain::finding::Report,
    factory::{Source, row_tokens, site_gradients, site_shapes},
};

/// Largest adapter read, in bytes.
const MAX_ADAPTER_BYTES: usize = 1 << 30;

/// Tokens of one backward pass, as builds have it by default.
const BATCH_TOKENS: usize = 2048;

/// Shapes of the adapter's sites, and some rows' sketches.
pub(super) fn sketches(
    check: &IndexCheck<'_>,
    index: &InfluenceIndex,
    report: &mut Report,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let Some(base) = check.base else {
        report.skip("shapes", "no base model is given");
        return Ok(());
    };
    let decoder = Decoder::load(base)?;
    let loaded = Adapter::load(check.dir, None, decoder.sites(), MAX_ADAPTER_BYTES);
    let loaded = loaded.and_then(|adapter| {
        Ok((adapter.hash(), TrainableLora::from_weights(&decoder, &adapter.weights())?))
    });
    let (adapter, lora) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            report.note("shapes", false, error.to_string());
            return Ok(());
        }
    };
    let shapes = site_shapes(&lora)?;
    let is_its = shapes == index.projector().shapes();
    let sites = shapes.len();
    let detail = if is_its {
        format!("{sites} sites, as the adapter has them")
    } else {
        let given = index.projector().shapes().len();
        format!("index of another model: {given} sites of other shapes than the adapter's {sites}")
    };
    report.note("shapes", is_its, detail);
    if !is_its || check.rows == 0 {
        return Ok(());
    }
    if check.datanets.is_empty() {
        report.skip("sketches", "no Datanet folder is given");
        return Ok(());
    }
    if silent(index).len() == index.rows().len() {
        report.skip("sketches", "all are zero: the model does not pay by influence");
        return Ok(());
    }
    let source = Source {
        decoder: &decoder,
        lora: &lora,
        tokenizer: &Tokenizer::load(base)?,
        max_tokens: check.max_tokens,
        batch_tokens: BATCH_TOKENS,
    };
    basis::basis(check, index, source, adapter.0.into(), report)?;
    recompute(check, index, source, report, progress)
}

fn recompute(
    check: &IndexCheck<'_>,
    index: &InfluenceIndex,
    source: Source<'_>,
    report: &mut Report,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<()> {
    let rows: Vec<_> = check.datanets.iter().flat_map(|datanet| &datanet.rows).collect();
    let count = rows.len().min(index.rows().len());
    let wanted = check.rows.min(count);
    let mut chosen = sample(&mut ChaCha8Rng::seed_from_u64(check.seed), count, wanted).into_vec();
    chosen.sort_unstable();
    let Source { decoder, lora, tokenizer, .. } = source;
    for (done, &place) in chosen.iter().enumerate() {
        let tokens = row_tokens(tokenizer, &rows[place].text, source.longest())?;
        let gradient = row_gradient(decoder, lora, &tokens, 1)?;
        let found = match index.row_sketch(&site_gradients(&gradient)) {
            Ok(found) => found,
            // Such a row is in the index with a zero sketch.
            Err(attribution::Error::NotFinite(_)) => vec![0; index.dim()],
            Err(error) => return Err(Error::Attribution(error.to_string())),
        };
        let known = index.sketch(place).unwrap_or_default();
        let differ = known.iter().zip(&found).filter(|(a, b)| a != b).count();
        if differ > 0 {
            let all = found.len();
            let detail = format!("row {place}: {differ} of {all} coordinates differ");
            report.note("sketches", false, detail);
            return Ok(());
        }
        progress(done + 1, wanted);
    }
    report.note("sketches", true, format!("{wanted} rows recomputed, seed {}", check.seed));
    Ok(())
}
