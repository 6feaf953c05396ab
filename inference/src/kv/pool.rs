//! The pool of blocks and the sequences' tables of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    BLOCK_TOKENS, CacheId, KvShape, KvStore, KvView,
    blocks::{BlockId, Blocks, LEFT_BEHIND},
    paged::Arena,
    prefix::{NodeId, PrefixKey, Prefixes},
    unknown,
};
use crate::{Error, Result};

/// Keys and values of all running sequences in blocks of 16 tokens from one budget.
///
/// A sequence takes blocks as it grows ([`Self::grow`]) and wastes less than one. Full blocks can be
/// registered under their tokens ([`Self::register`]); a later sequence that begins with the same
/// tokens shares them ([`Self::open`]). A block that several hold is copied before one writes to it.
/// Registered blocks that no sequence uses count as available: they are evicted when room is
/// needed, those unused for longest first. Where no layer sees beyond a window, sequences give
/// blocks back that lie behind it ([`Self::trim`]).
///
/// Of a model that is split over ranks every rank has its own rows of the same tokens, in blocks of
/// the same numbers: [`Self::stores`].
#[derive(Debug)]
pub struct KvPool {
    window: Option<usize>,
    ranks: Vec<Rows>,
    blocks: Blocks,
    prefixes: Prefixes,
    tables: Tables,
    next: u64,
    /// Ids whose lease was dropped; their blocks are freed at the next use of the pool.
    dropped: Arc<Mutex<Vec<CacheId>>>,
}

/// One rank's rows of all blocks.
#[derive(Debug)]
struct Rows {
    shape: KvShape,
    arena: Arena,
    /// Tokens appended in each layer.
    lengths: HashMap<CacheId, Vec<usize>>,
}

impl Rows {
    fn length(&self, cache: CacheId) -> usize {
        let lengths = self.lengths.get(&cache).into_iter().flatten();
        lengths.copied().min().unwrap_or(0)
    }

    fn view<'a>(&'a self, tables: &'a Tables, cache: CacheId, layer: usize) -> Result<KvView<'a>> {
        let table = tables.get(&cache).ok_or_else(|| unknown(cache))?;
        let length = self.lengths.get(&cache).and_then(|lengths| lengths.get(layer)).copied();
        let length = length.ok_or_else(|| Error::Shape(format!("layer {layer}")))?;
        Ok(KvView::Paged(self.arena.view(&table.blocks, layer, length)))
    }
}

type Tables = HashMap<CacheId, Table>;

/// One sequence's blocks in order.
#[derive(Debug)]
struct Table {
    key: PrefixKey,
    blocks: Vec<BlockId>,
    /// How many of the first ones are left behind.
    trimmed: usize,
    /// How many of the blocks are in the tree, and the last one's node.
    registered: usize,
    node: Option<NodeId>,
}

/// The right to one cache of a [`KvPool`]. Dropping it frees the cache.
#[derive(Debug)]
pub struct CacheLease {
    id: CacheId,
    dropped: Arc<Mutex<Vec<CacheId>>>,
}

impl CacheLease {
    /// The cache's name in steps.
    pub const fn id(&self) -> CacheId {
        self.id
    }
}

impl Drop for CacheLease {
    fn drop(&mut self) {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

impl KvPool {
    /// A pool for at most `tokens` tokens, rounded down to whole blocks: [`KvShape::bytes`] of them.
    /// Memory is touched as blocks are used for the first time.
    pub fn new(shape: KvShape, tokens: usize) -> Self {
        Self::over_ranks([shape], tokens)
    }

    /// [`Self::new`] for a model of which each rank has keys and values of one of these shapes.
    pub fn over_ranks(shapes: impl IntoIterator<Item = KvShape>, tokens: usize) -> Self {
        let count = tokens / BLOCK_TOKENS;
        let rows = |shape| Rows { shape, arena: Arena::new(shape, count), lengths: HashMap::new() };
        Self {
            window: None,
            ranks: shapes.into_iter().map(rows).collect(),
            blocks: Blocks::new(count),
            prefixes: Prefixes::default(),
            tables: HashMap::new(),
            next: 0,
            dropped: Arc::default(),
        }
    }

    /// The same pool for a model whose layers all see at most `window` positions, a token's own
    /// included.
    pub const fn with_window(mut self, window: Option<usize>) -> Self {
        self.window = window;
        self
    }

    /// Tokens in all.
    pub const fn tokens(&self) -> usize {
        self.blocks.count() * BLOCK_TOKENS
    }

    /// Blocks that [`Self::grow`] could take now, registered ones that no sequence uses included.
    pub fn available(&mut self) -> usize {
        self.collect();
        self.blocks.free() + self.prefixes.unused()
    }

    /// Registered blocks.
    pub fn registered(&self) -> usize {
        self.prefixes.held()
    }

    /// An empty cache of a sequence whose blocks are not shared.
    pub fn open_empty(&mut self) -> CacheLease {
        self.open(&PrefixKey::default(), &[])
    }

    /// An empty cache with room for `capacity` tokens; `None` while too little is available.
    pub fn reserve(&mut self, capacity: usize) -> Option<CacheLease> {
        let lease = self.open_empty();
        self.grow(lease.id, capacity).then_some(lease)
    }

    /// A cache for a sequence that begins with `tokens`, holding as many of them as are registered
    /// but never the last one, whose result the caller wants. [`Self::length`] tells how many.
    pub fn open(&mut self, key: &PrefixKey, tokens: &[u32]) -> CacheLease {
        self.collect();
        let (mut blocks, mut node) = (Vec::new(), None);
        for tokens in tokens.chunks_exact(BLOCK_TOKENS) {
            let Some((id, block)) = self.prefixes.find(key, node, tokens) else { break };
            node = Some(id);
            self.hold(block);
            blocks.push(block);
        }
        let length = (blocks.len() * BLOCK_TOKENS).min(tokens.len().saturating_sub(1));
        let registered = blocks.len();
        self.insert(Table { key: key.clone(), blocks, trimmed: 0, registered, node }, length)
    }

    /// Another cache with the same tokens: all blocks are shared until one of the two writes.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown.
    pub fn fork(&mut self, cache: CacheId) -> Result<CacheLease> {
        self.fork_first(cache, usize::MAX)
    }

    /// [`Self::fork`] with at most the first `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown or what the next token sees is left behind.
    pub fn fork_first(&mut self, cache: CacheId, tokens: usize) -> Result<CacheLease> {
        self.collect();
        let table = self.tables.get(&cache).ok_or_else(|| unknown(cache))?;
        let length = self.held(cache).min(tokens);
        let held = length.div_ceil(BLOCK_TOKENS);
        if self.behind(length) < table.trimmed {
            return Err(Error::Request(format!("what comes before token {length} is gone")));
        }
        // Its registered blocks are a path from the root; one that is cut off is not known here.
        let cut = table.registered > held;
        let table = Table {
            key: table.key.clone(),
            blocks: table.blocks[..held].to_vec(),
            trimmed: table.trimmed,
            registered: if cut { 0 } else { table.registered },
            node: table.node.filter(|_| !cut),
        };
        table.blocks[table.trimmed..].iter().for_each(|block| self.blocks.share(*block));
        Ok(self.insert(table, length))
    }

    /// Tokens that a cache holds.
    ///
    /// # Errors
    /// [`Error::Request`] if it is unknown.
    pub fn length(&self, cache: CacheId) -> Result<usize> {
        if self.tables.contains_key(&cache) { Ok(self.held(cache)) } else { Err(unknown(cache)) }
    }

    /// Tokens that a cache holds on all ranks.
    fn held(&self, cache: CacheId) -> usize {
        self.ranks.iter().map(|rows| rows.length(cache)).min().unwrap_or(0)
    }

    /// Makes room for `tokens` tokens in all, and copies the block that comes next to be written if
    /// others hold it. False, with nothing changed, if too few blocks are available or the cache is
    /// unknown.
    pub fn grow(&mut self, cache: CacheId, tokens: usize) -> bool {
        self.grow_leaving(cache, tokens, 0)
    }

    /// [`Self::grow`], but only if `spare` blocks are still available afterwards.
    pub fn grow_leaving(&mut self, cache: CacheId, tokens: usize, spare: usize) -> bool {
        let available = self.available().saturating_sub(spare);
        let length = self.held(cache);
        let Some(table) = self.tables.get(&cache) else { return false };
        let missing = tokens.div_ceil(BLOCK_TOKENS).saturating_sub(table.blocks.len());
        let next = length / BLOCK_TOKENS;
        let shared = table
            .blocks
            .get(next)
            .copied()
            .filter(|block| tokens > length && self.blocks.references(*block) > 1);
        if missing + usize::from(shared.is_some()) > available {
            return false;
        }
        let mut taken: Vec<BlockId> = (0..missing).map(|_| self.take()).collect();
        let copy = shared.map(|block| (block, self.take()));
        if let Some((from, to)) = copy {
            self.ranks.iter_mut().for_each(|rows| rows.arena.copy(from, to));
            self.let_go(from);
        }
        let table = self.tables.get_mut(&cache).expect("looked up above");
        table.blocks.append(&mut taken);
        if let Some((_, to)) = copy {
            table.blocks[next] = to;
            // Its node is not this sequence's any more; the blocks before it are found again.
            if table.registered > next {
                (table.registered, table.node) = (0, None);
            }
        }
        true
    }

    /// Gives the blocks back that no later token of the cache sees, if the pool's layers all have a
    /// window. Registered ones stay with the tree until their room is needed. The last registered
    /// one is kept: later ones are found through it.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown.
    pub fn trim(&mut self, cache: CacheId) -> Result<()> {
        let table = self.tables.get(&cache).ok_or_else(|| unknown(cache))?;
        let kept = table.registered.checked_sub(1).unwrap_or(usize::MAX);
        let behind = table.trimmed..self.behind(self.held(cache)).min(kept);
        for index in behind {
            let table = self.tables.get_mut(&cache).expect("looked up above");
            table.trimmed = index + 1;
            let block = std::mem::replace(&mut table.blocks[index], LEFT_BEHIND);
            self.let_go(block);
        }
        Ok(())
    }

    /// Blocks whose tokens the token at position `length`, and so all later ones, do not see.
    fn behind(&self, length: usize) -> usize {
        self.window.map_or(0, |window| (length + 1).saturating_sub(window) / BLOCK_TOKENS)
    }

    /// Registers the full blocks of a cache whose first tokens are `tokens`, so that later sequences
    /// share them. Where the tree already has a block for the same tokens, that one takes the place
    /// of the cache's own: its contents are the same.
    ///
    /// # Errors
    /// [`Error::Request`] if the cache is unknown.
    pub fn register(&mut self, cache: CacheId, tokens: &[u32]) -> Result<()> {
        let mut table = self.tables.remove(&cache).ok_or_else(|| unknown(cache))?;
        let full = self.held(cache).min(tokens.len()) / BLOCK_TOKENS;
        for index in table.registered..full {
            let (chunks, _) = tokens.as_chunks::<BLOCK_TOKENS>();
            let own = table.blocks[index];
            // What follows what is gone cannot be found, so it is of no use to others.
            if own == LEFT_BEHIND {
                break;
            }
            let node = match self.prefixes.find(&table.key, table.node, &chunks[index]) {
                Some((node, block)) => {
                    if block != own {
                        self.hold(block);
                        self.let_go(own);
                        table.blocks[index] = block;
                    }
                    node
                }
                None => {
                    match self.prefixes.insert(&table.key, table.node, chunks[index], own) {
                        Some(node) => {
                            self.blocks.share(own);
                            node
                        }
                        // It was cut off, so nobody would find it.
                        None => break,
                    }
                }
            };
            (table.registered, table.node) = (index + 1, Some(node));
        }
        self.tables.insert(cache, table);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn table(&self, cache: CacheId) -> &[BlockId] {
        &self.tables[&cache].blocks
    }

    fn insert(&mut self, table: Table, length: usize) -> CacheLease {
        let id = CacheId(self.next);
        self.next += 1;
        for rows in &mut self.ranks {
            rows.lengths.insert(id, vec![length; rows.shape.layers]);
        }
        self.tables.insert(id, table);
        CacheLease { id, dropped: Arc::clone(&self.dropped) }
    }

    /// Frees what dropped leases held.
    fn collect(&mut self) {
        let dropped =
            std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for id in &dropped {
            self.ranks.iter_mut().for_each(|rows| drop(rows.lengths.remove(id)));
            let Some(table) = self.tables.remove(id) else { continue };
            // Last block first, so that it counts as unused for longer than those before it.
            table.blocks[table.trimmed..].iter().rev().for_each(|block| self.let_go(*block));
        }
    }

    /// A sequence begins to use a block of the tree.
    fn hold(&mut self, block: BlockId) {
        if self.blocks.references(block) == 1 {
            self.prefixes.acquire(block);
        }
        self.blocks.share(block);
    }

    /// A sequence stops using a block.
    fn let_go(&mut self, block: BlockId) {
        if self.blocks.release(block) == 1 {
            self.prefixes.release(block);
        }
    }

    /// A block to write to. The caller has seen that one is available.
    fn take(&mut self) -> BlockId {
        if self.blocks.free() == 0 {
            for block in self.prefixes.evict() {
                self.blocks.release(block);
            }
        }
        self.blocks.take().expect("available blocks are free or unused")
    }

    /// Each rank's own rows, to be written and read by all ranks at once.
    pub fn stores(&mut self) -> Vec<RankStore<'_>> {
        let Self { ranks, tables, blocks, .. } = self;
        ranks.iter_mut().map(|rows| RankStore { rows, tables, blocks }).collect()
    }
}

/// The rows of one rank in a [`KvPool`].
#[derive(Debug)]
pub struct RankStore<'a> {
    rows: &'a mut Rows,
    tables: &'a Tables,
    blocks: &'a Blocks,
}

impl RankStore<'_> {
    #[cfg(test)]
    pub(super) const fn rows(&self) -> &HashMap<CacheId, Vec<usize>> {
        &self.rows.lengths
    }

    fn check(&self, table: &Table, layer: usize, tokens: usize, first: usize) -> Result<()> {
        let room = table.blocks.len() * BLOCK_TOKENS;
        if first + tokens > room {
            return Err(Error::Request(format!("a cache is full at {room} tokens")));
        }
        let written = first / BLOCK_TOKENS..(first + tokens).div_ceil(BLOCK_TOKENS);
        if table.blocks[written].iter().any(|block| self.blocks.references(*block) > 1) {
            return Err(Error::Request(format!("layer {layer} of a shared block is written")));
        }
        Ok(())
    }
}

impl KvStore for RankStore<'_> {
    fn append(
        &mut self,
        cache: CacheId,
        layer: usize,
        tokens: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<()> {
        let KvShape { key_width, value_width, layers } = self.rows.shape;
        let (k, v) = (keys.len(), values.len());
        if k != tokens * key_width || v != tokens * value_width || layer >= layers {
            return Err(Error::Shape(format!("{k} keys and {v} values in layer {layer}")));
        }
        let table = self.tables.get(&cache).ok_or_else(|| unknown(cache))?;
        let lengths = self.rows.lengths.get(&cache).ok_or_else(|| unknown(cache))?;
        let first = lengths[layer];
        self.check(table, layer, tokens, first)?;
        let Rows { arena, lengths, .. } = &mut *self.rows;
        arena.write(&table.blocks, layer, first..first + tokens, keys, values);
        lengths.get_mut(&cache).expect("looked up above")[layer] += tokens;
        Ok(())
    }

    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>> {
        self.rows.view(self.tables, cache, layer)
    }
}

/// The rows of a model on one rank.
impl KvStore for KvPool {
    fn append(
        &mut self,
        cache: CacheId,
        layer: usize,
        tokens: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<()> {
        let Self { ranks, tables, blocks, .. } = self;
        let [rows] = ranks.as_mut_slice() else { return Err(split(ranks.len())) };
        RankStore { rows, tables, blocks }.append(cache, layer, tokens, keys, values)
    }

    fn view(&self, cache: CacheId, layer: usize) -> Result<KvView<'_>> {
        let [rows] = self.ranks.as_slice() else { return Err(split(self.ranks.len())) };
        rows.view(&self.tables, cache, layer)
    }
}

fn split(ranks: usize) -> Error {
    Error::Request(format!("a pool of {ranks} ranks is used as that of one"))
}
