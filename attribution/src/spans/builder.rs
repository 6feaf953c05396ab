use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    file::{Mapped, PartWriter, failed, sync_folder},
    header::{Header, Part, ShardHeader, header_path, part_name},
    suffixes::{Symbols, order},
};
use crate::{Error, Result, estimate::RowSource};

/// Most positions (tokens and ends of rows) of a shard.
pub const MAX_SHARD_POSITIONS: u32 = 1 << 30;
/// Largest vocabulary, which bounds the memory that counting its symbols takes; with it and the most
/// rows they stay below 2^31.
pub(super) const MAX_VOCABULARY: u32 = 1 << 24;
const WRITE_CHUNK: usize = 1 << 16;

/// How to build an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanConfig {
    /// Token ids are below it; up to 2^24.
    pub vocabulary: u32,
    /// Most positions of a shard, up to [`MAX_SHARD_POSITIONS`]. Building takes 6 bytes of memory
    /// for each and 4 for each row of the index; with a vocabulary above 65,535, 8 for each and 16
    /// for each row of the shard and id of the vocabulary.
    pub shard_positions: u32,
}

/// How far [`SpanBuilder::finish`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildProgress {
    /// What it is doing.
    pub stage: BuildStage,
    /// Positions done, of all shards; a shard's order is found in one step.
    pub done: u64,
    /// Positions of the index.
    pub total: u64,
}

/// A stage of a shard's building.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildStage {
    /// Putting a shard's suffixes in order.
    Order,
    /// Writing them.
    Write,
}

/// Builds a span index on disk, in memory bounded by its largest shard.
///
/// Rows are written as they come; [`Self::finish`] orders one shard after the other. Everything is
/// made in `path.partial`, which takes the name `path` at the end, flushed to disk.
#[derive(Debug)]
pub struct SpanBuilder {
    config: SpanConfig,
    path: PathBuf,
    partial: PathBuf,
    shards: Vec<Unordered>,
    open: Option<OpenShard>,
    clusters: Vec<u32>,
    last: Option<(u8, u64)>,
}

/// A shard whose suffixes are not in order yet.
#[derive(Debug, Clone, Copy)]
struct Unordered {
    tokens: u64,
    positions: u64,
    rows: u32,
    token_part: Part,
    row_part: Part,
}

/// The shard that rows go to.
#[derive(Debug)]
struct OpenShard {
    tokens: u64,
    positions: u64,
    rows: u32,
    token_file: PartWriter,
    row_file: PartWriter,
}

impl SpanBuilder {
    /// Starts an index at `path`, where nothing may be. A `path.partial` folder left by a build that
    /// did not finish is removed, so two builders must not share a path.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of its range or something is at `path`,
    /// [`Error::File`] if the system refuses.
    pub fn create(path: &Path, config: SpanConfig) -> Result<Self> {
        if config.vocabulary == 0 || config.vocabulary > MAX_VOCABULARY {
            return Err(Error::setting("vocabulary must be from 1 to 2^24", config.vocabulary));
        }
        if config.shard_positions == 0 || config.shard_positions > MAX_SHARD_POSITIONS {
            let given = config.shard_positions;
            return Err(Error::setting("positions of a shard must be from 1 to 2^30", given));
        }
        if path.exists() {
            return Err(Error::setting("nothing may be at a new index's path", path.display()));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(|e| failed(&partial, &e))?;
        }
        fs::create_dir_all(&partial).map_err(|e| failed(&partial, &e))?;
        let path = path.to_owned();
        Ok(Self { config, path, partial, shards: vec![], open: None, clusters: vec![], last: None })
    }

    /// Adds a row, whose place is the number of rows before it.
    ///
    /// # Errors
    /// [`Error::Setting`] if it does not ascend by (Datanet, index), a token is outside the
    /// vocabulary or the row does not fit in a shard; then nothing was added. [`Error::File`] if the
    /// system refuses; then the builder is of no more use.
    pub fn push(&mut self, source: RowSource, tokens: &[u32]) -> Result<()> {
        let at = (source.datanet, source.index);
        if self.last.is_some_and(|last| last >= at) {
            let given = format!("({}, {})", at.0, at.1);
            return Err(Error::setting("rows must ascend by (datanet, index)", given));
        }
        if let Some(token) = tokens.iter().find(|&&token| token >= self.config.vocabulary) {
            return Err(Error::setting("a token must be below the vocabulary", token));
        }
        let positions = positions(tokens);
        let room = u64::from(self.config.shard_positions);
        if positions > room {
            return Err(Error::setting("a row with its end must fit in a shard", positions));
        }
        if self.clusters.len() == u32::MAX as usize {
            return Err(Error::setting("an index must have fewer than 2^32 rows", "one more"));
        }
        let wide = self.config.vocabulary >= 1 << 16;
        if self.open.as_ref().is_some_and(|open| open.positions + positions > room) {
            self.close_shard()?;
        }
        if self.open.is_none() {
            self.open = Some(OpenShard::create(&self.partial, self.shards.len())?);
        }
        self.open.as_mut().expect("just opened").push(&source, tokens, wide)?;
        self.clusters.push(source.cluster);
        self.last = Some(at);
        Ok(())
    }

    fn close_shard(&mut self) -> Result<()> {
        if let Some(OpenShard { tokens, positions, rows, token_file, row_file }) = self.open.take()
        {
            let (token_part, row_part) = (token_file.finish()?, row_file.finish()?);
            self.shards.push(Unordered { tokens, positions, rows, token_part, row_part });
        }
        Ok(())
    }

    /// Orders the suffixes and gives the index its name. `progress` is called at every step.
    ///
    /// # Errors
    /// [`Error::Setting`] if a row's cluster is not the place of a row that is its own cluster or a
    /// shard does not fit in memory, [`Error::File`] if the system refuses.
    pub fn finish(mut self, progress: &mut dyn FnMut(BuildProgress)) -> Result<Header> {
        let canonical = |&&cluster: &&u32| self.clusters.get(cluster as usize) == Some(&cluster);
        if let Some(cluster) = self.clusters.iter().find(|cluster| !canonical(cluster)) {
            let rule = "a row's cluster must be the place of a row that is its own cluster";
            return Err(Error::setting(rule, cluster));
        }
        self.close_shard()?;
        let total = self.shards.iter().map(|shard| shard.positions).sum();
        let mut done = 0;
        let mut shards = Vec::with_capacity(self.shards.len());
        for (number, shard) in self.shards.iter().enumerate() {
            progress(BuildProgress { stage: BuildStage::Order, done, total });
            let symbols = self.symbols(number)?;
            let suffixes = order(symbols)?;
            let pointer_bytes = pointer_bytes(suffixes.len() as u64);
            let mut file = PartWriter::create(self.partial.join(part_name(number, 1)))?;
            // Suffixes that are an end of row come first and match nothing.
            let ends = usize::try_from(shard.positions - shard.tokens).expect("at most 2^30");
            done += ends as u64;
            for chunk in suffixes[ends..].chunks(WRITE_CHUNK) {
                progress(BuildProgress { stage: BuildStage::Write, done, total });
                file.write(&packed(chunk, pointer_bytes))?;
                done += chunk.len() as u64;
            }
            let parts = [shard.token_part, file.finish()?, shard.row_part];
            let Unordered { tokens, positions, rows, .. } = *shard;
            shards.push(ShardHeader { tokens, positions, rows, pointer_bytes, parts });
        }
        let header = Header { vocabulary: self.config.vocabulary, shards };
        self.publish(&header)?;
        progress(BuildProgress { stage: BuildStage::Write, done, total });
        Ok(header)
    }

    fn symbols(&self, shard: usize) -> Result<Symbols> {
        let bytes = Mapped::open(&self.partial.join(part_name(shard, 0)))?;
        Ok(if self.config.vocabulary < 1 << 16 {
            let (symbols, _) = bytes.as_chunks();
            Symbols::Narrow(symbols.iter().map(|&symbol| u16::from_be_bytes(symbol)).collect())
        } else {
            let (symbols, _) = bytes.as_chunks();
            Symbols::Wide(symbols.iter().map(|&symbol| i32::from_be_bytes(symbol)).collect())
        })
    }

    fn publish(&self, header: &Header) -> Result<()> {
        let mut file = PartWriter::create(header_path(&self.partial))?;
        file.write(&header.to_bytes())?;
        file.finish()?;
        sync_folder(&self.partial)?;
        fs::rename(&self.partial, &self.path).map_err(|e| failed(&self.path, &e))?;
        // The rename itself lasts only once the folder above is on disk.
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync_folder(parent),
            None => sync_folder(Path::new(".")),
        }
    }
}

impl OpenShard {
    fn create(folder: &Path, number: usize) -> Result<Self> {
        let part = |part| PartWriter::create(folder.join(part_name(number, part)));
        Ok(Self { tokens: 0, positions: 0, rows: 0, token_file: part(0)?, row_file: part(2)? })
    }

    fn push(&mut self, source: &RowSource, tokens: &[u32], wide: bool) -> Result<()> {
        let end = if tokens.is_empty() { None } else { Some(0) };
        let symbols = tokens.iter().map(|token| token + 1).chain(end);
        let bytes: Vec<u8> = if wide {
            symbols.flat_map(u32::to_be_bytes).collect()
        } else {
            let narrow = |symbol| u16::try_from(symbol).expect("vocabulary is below 2^16");
            symbols.flat_map(|symbol| narrow(symbol).to_be_bytes()).collect()
        };
        let mut row = self.positions.to_be_bytes().to_vec();
        row.push(source.datanet);
        row.extend(source.index.to_be_bytes());
        row.extend(source.hash);
        row.extend(source.earner.0.to_be_bytes());
        row.extend(source.cluster.to_be_bytes());
        self.token_file.write(&bytes)?;
        self.row_file.write(&row)?;
        self.tokens += tokens.len() as u64;
        self.positions += positions(tokens);
        self.rows += 1;
        Ok(())
    }
}

/// Positions of a row: none without tokens, else one more for its end.
const fn positions(tokens: &[u32]) -> u64 {
    if tokens.is_empty() { 0 } else { tokens.len() as u64 + 1 }
}

/// Fewest whole bytes that number `positions` positions.
fn pointer_bytes(positions: u64) -> u8 {
    (1..5).find(|bytes| positions <= 1 << (8 * bytes)).unwrap_or(5)
}

fn packed(pointers: &[i32], bytes: u8) -> Vec<u8> {
    let skip = 8 - usize::from(bytes);
    let pack = |&pointer: &i32| {
        let pointer = u64::try_from(pointer).expect("positions are not negative");
        pointer.to_be_bytes().into_iter().skip(skip)
    };
    pointers.iter().flat_map(pack).collect()
}
