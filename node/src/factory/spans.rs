//! Builds the span index of a model over the rows of its Datanets.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use attribution::spans::{
    BuildProgress, BuildStage, Check, MAX_SHARD_POSITIONS, SpanBuilder, SpanConfig, SpanIndex,
    proof::ShardCommitment,
};
use inference::tokenizer::Tokenizer;

use super::{
    attribution,
    rows::span_tokens,
    sources::{EarnerMap, sources},
};
use crate::{Error, Result, catalog::SPANS_FOLDER, datanet::Datanet};

/// How far a span index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanProgress {
    /// What is being done: `tokens`, `order`, `write` or `commit`.
    pub stage: &'static str,
    /// Rows (`tokens`) or positions done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanReport {
    /// What the chain is told of it.
    pub commitment: ShardCommitment,
    /// Bytes of its files.
    pub bytes: u64,
    /// What it took.
    pub elapsed: Duration,
}

/// Builds the span index of the model in `dir` over the Datanets' rows, in [`SPANS_FOLDER`] there.
/// The same inputs give the same bytes.
///
/// Datanets come in the order in which the model is registered with them. One that was there is
/// replaced once the new one is whole, so a build that was stopped leaves the old one; it is begun
/// anew, since tokens are found faster than they are read back. Beside the Datanets it takes 6 bytes
/// of memory a token, 8 with a vocabulary above 65,535.
///
/// # Errors
/// [`Error::Datanet`] if a contributor has no index in `earners`, a row is no cluster's or there is
/// no token; [`Error::Inference`] if the tokenizer cannot be read or refuses a row;
/// [`Error::Attribution`] if the rows do not fit one shard or a file cannot be written.
pub fn build_spans(
    base: &Path,
    dir: &Path,
    datanets: &[Datanet],
    earners: &EarnerMap,
    progress: &mut dyn FnMut(SpanProgress),
) -> Result<SpanReport> {
    let tokenizer = Tokenizer::load(base)?;
    let path = dir.join(SPANS_FOLDER);
    let (next, last) = (beside(&path, ".next"), beside(&path, ".last"));
    let started = Instant::now();
    let datanets: Vec<&Datanet> = datanets.iter().collect();
    let index = write_spans(&tokenizer, &next, &datanets, earners, progress)?;
    let total = index.tokens();
    progress(SpanProgress { stage: "commit", done: 0, total });
    let commitment = index.commit(0).ok_or_else(|| Error::Datanet("no row".into()))?.commitment();
    let parts = index.header().shards.iter().flat_map(|shard| shard.parts);
    let bytes = parts.map(|part| part.bytes).sum();
    drop(index);
    remove(&last)?;
    if path.exists() {
        std::fs::rename(&path, &last).map_err(Error::io(&path))?;
    }
    std::fs::rename(&next, &path).map_err(Error::io(&path))?;
    remove(&last)?;
    progress(SpanProgress { stage: "commit", done: total, total });
    Ok(SpanReport { commitment, bytes, elapsed: started.elapsed() })
}

/// Writes the span index of Datanets' rows to `path`, whatever was there before.
///
/// # Errors
/// Those of [`build_spans`].
pub fn write_spans(
    tokenizer: &Tokenizer,
    path: &Path,
    datanets: &[&Datanet],
    earners: &EarnerMap,
    progress: &mut dyn FnMut(SpanProgress),
) -> Result<SpanIndex> {
    remove(path)?;
    let vocabulary = u32::try_from(tokenizer.vocab_size())
        .map_err(|_| Error::Attribution(format!("vocabulary of {}", tokenizer.vocab_size())))?;
    let config = SpanConfig { vocabulary, shard_positions: MAX_SHARD_POSITIONS };
    let mut builder = SpanBuilder::create(path, config).map_err(attribution)?;
    let rows = sources(datanets.iter().copied(), earners)?;
    let total = rows.len() as u64;
    for (place, (source, row)) in (0..).zip(rows) {
        builder.push(source, &span_tokens(tokenizer, &row.text)?).map_err(attribution)?;
        progress(SpanProgress { stage: "tokens", done: place + 1, total });
    }
    let header = builder.finish(&mut |step: BuildProgress| {
        let stage = match step.stage {
            BuildStage::Order => "order",
            BuildStage::Write => "write",
        };
        progress(SpanProgress { stage, done: step.done, total: step.total });
    });
    match header.map_err(attribution)?.shards[..] {
        [shard] if shard.tokens > 0 => {}
        [] | [_] => return Err(Error::Datanet("no row has a token".into())),
        [..] => {
            let why = format!("rows take more than the {MAX_SHARD_POSITIONS} tokens of a shard");
            return Err(Error::Attribution(why));
        }
    }
    SpanIndex::open(path, Check::Header).map_err(attribution)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}
