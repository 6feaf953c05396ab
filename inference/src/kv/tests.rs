use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{blocks::LEFT_BEHIND, *};

const SHAPE: KvShape = KvShape { layers: 2, key_width: 3, value_width: 5 };

/// Keys and values that depend on all tokens so far and on what else decides them, as a model's do.
fn row(key: u8, tokens: &[u32], layer: usize) -> (Vec<f32>, Vec<f32>) {
    let seed = tokens.iter().fold(u64::from(key) + 7 * layer as u64, |hash, token| {
        (hash ^ u64::from(*token)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    });
    let value = |i: usize| ((seed >> i) & 0xffff) as f32;
    ((0..3).map(value).collect(), (10..15).map(value).collect())
}

/// The token at a position of a text; texts begin alike and part at different places.
const fn token(text: usize, position: usize) -> u32 {
    if position < 20 * text { 0 } else { text as u32 + (position % 3) as u32 }
}

#[derive(Clone, Debug)]
enum Operation {
    Open { key: u8, text: usize, prompt: usize },
    Extend { which: usize, tokens: usize },
    Fork { which: usize },
    Register { which: usize },
    Trim { which: usize },
    Close { which: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{Close, Extend, Fork, Open, Register, Trim};
    let which = 0usize..8;
    prop_oneof![
        3 => (0u8..2, 0usize..3, 1usize..60)
            .prop_map(|(key, text, prompt)| Open { key, text, prompt }),
        6 => (which.clone(), 1usize..30).prop_map(|(which, tokens)| Extend { which, tokens }),
        2 => which.clone().prop_map(|which| Fork { which }),
        4 => which.clone().prop_map(|which| Register { which }),
        3 => which.clone().prop_map(|which| Trim { which }),
        3 => which.prop_map(|which| Close { which }),
    ]
}

struct Live {
    lease: CacheLease,
    key: u8,
    text: usize,
    tokens: Vec<u32>,
    /// Tokens that there is room for.
    room: usize,
}

struct World {
    pool: KvPool,
    window: Option<usize>,
    live: Vec<Live>,
    shared: usize,
}

impl World {
    fn new(blocks: usize) -> Self {
        Self::with_window(blocks, None)
    }

    fn with_window(blocks: usize, window: Option<usize>) -> Self {
        let pool = KvPool::new(SHAPE, blocks * BLOCK_TOKENS).with_window(window);
        Self { pool, window, live: Vec::new(), shared: 0 }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open { key, text, prompt } => self.open(key, text, prompt),
            Operation::Extend { which, tokens } if which < self.live.len() => {
                self.extend(which, tokens);
            }
            Operation::Fork { which } if which < self.live.len() => {
                let Live { lease, key, text, tokens, .. } = &self.live[which];
                let lease = self.pool.fork(lease.id()).unwrap();
                let (key, text, tokens) = (*key, *text, tokens.clone());
                let room = tokens.len();
                self.live.push(Live { lease, key, text, tokens, room });
            }
            Operation::Register { which } if which < self.live.len() => {
                let Live { lease, tokens, .. } = &self.live[which];
                self.pool.register(lease.id(), tokens).unwrap();
            }
            Operation::Trim { which } if which < self.live.len() => {
                self.pool.trim(self.live[which].lease.id()).unwrap();
            }
            Operation::Close { which } if which < self.live.len() => {
                self.live.swap_remove(which);
            }
            _ => {}
        }
        self.check();
    }

    fn open(&mut self, key: u8, text: usize, prompt: usize) {
        let mut tokens: Vec<u32> = (0..prompt).map(|at| token(text, at)).collect();
        let lease = self.pool.open(&PrefixKey(vec![key].into()), &tokens);
        let length = self.pool.length(lease.id()).unwrap();
        assert!(length < prompt);
        self.shared += length;
        tokens.truncate(length);
        self.live.push(Live { lease, key, text, tokens, room: length });
    }

    fn extend(&mut self, which: usize, count: usize) {
        let available = self.pool.available();
        let Live { lease, key, text, tokens, room } = &mut self.live[which];
        let before = tokens.len();
        if !self.pool.grow(lease.id(), before + count) {
            // One more than for the tokens alone: the block to be copied.
            assert!((before + count).div_ceil(16) - before.div_ceil(16) + 1 > available);
            return;
        }
        *room = (*room).max(before + count);
        tokens.extend((before..before + count).map(|at| token(*text, at)));
        for layer in 0..SHAPE.layers {
            let rows = (before..before + count).map(|at| row(*key, &tokens[..=at], layer));
            let (keys, values): (Vec<_>, Vec<_>) = rows.unzip();
            let (keys, values) = (keys.concat(), values.concat());
            self.pool.append(lease.id(), layer, count, &keys, &values).unwrap();
        }
    }

    /// Every cache holds its own text, and no block is lost or counted twice.
    fn check(&mut self) {
        let total = self.pool.tokens() / BLOCK_TOKENS;
        let available = self.pool.available();
        let mut used: BTreeSet<u32> = BTreeSet::new();
        for Live { lease, key, tokens, room, .. } in &self.live {
            let blocks = self.pool.table(lease.id());
            assert!(blocks.len() <= room.div_ceil(BLOCK_TOKENS), "more than a block is wasted");
            let gone = blocks.iter().take_while(|block| **block == LEFT_BEHIND).count();
            used.extend(&blocks[gone..]);
            assert!(!used.contains(&LEFT_BEHIND));
            let seen = (tokens.len() + 1).saturating_sub(self.window.unwrap_or(usize::MAX));
            assert!(gone * BLOCK_TOKENS <= seen, "the next token sees what is gone");
            for layer in 0..SHAPE.layers {
                let KvView::Paged(view) = self.pool.view(lease.id(), layer).unwrap() else {
                    panic!("a pool's view is paged");
                };
                assert_eq!(view.length(), tokens.len());
                for at in gone * BLOCK_TOKENS..tokens.len() {
                    assert_eq!(view.row(at), row(*key, &tokens[..=at], layer), "position {at}");
                }
            }
        }
        assert_eq!(used.len() + available, total);
        assert!(self.pool.registered() <= total);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn caches_keep_their_own_text_whatever_happens_to_others(
        blocks in 4usize..24, window in proptest::option::of(1usize..50),
        operations in proptest::collection::vec(operation(), 1..80),
    ) {
        let mut world = World::with_window(blocks, window);
        operations.into_iter().for_each(|operation| world.apply(operation));
        world.live.clear();
        prop_assert_eq!(world.pool.available(), blocks);
        // All of it can be taken, whatever is registered.
        let lease = world.pool.reserve(blocks * BLOCK_TOKENS).unwrap();
        prop_assert_eq!((world.pool.available(), world.pool.registered()), (0, 0));
        drop(lease);
    }
}

fn opened(world: &mut World, text: usize, prompt: usize) -> usize {
    world.open(0, text, prompt);
    let live = world.live.last().unwrap();
    let (held, which) = (live.tokens.len(), world.live.len() - 1);
    world.extend(which, prompt - held);
    world.check();
    held
}

#[test]
fn a_registered_beginning_is_found_and_its_last_token_left_to_compute() {
    let mut world = World::new(40);
    assert_eq!(opened(&mut world, 1, 50), 0);
    world.apply(Operation::Register { which: 0 });
    assert_eq!(opened(&mut world, 1, 50), 48);
    // All 48 are in full blocks: the last is computed again, in a copy.
    assert_eq!(opened(&mut world, 1, 48), 47);
    assert_eq!(opened(&mut world, 1, 47), 32);
    // Another text with the same 20 first tokens.
    assert_eq!(opened(&mut world, 2, 50), 16);
    // Other adapters.
    world.open(1, 1, 50);
    assert!(world.live.last().unwrap().tokens.is_empty());
    // The copy gives way to the registered block.
    let before = world.pool.available();
    world.apply(Operation::Register { which: 2 });
    assert_eq!(world.pool.available(), before + 1);
}

#[test]
fn what_was_not_used_for_longest_is_evicted_first_and_leaves_before_their_parents() {
    let mut world = World::new(6);
    for text in [0, 1] {
        opened(&mut world, text, 40);
        world.apply(Operation::Register { which: 0 });
        world.apply(Operation::Close { which: 0 });
    }
    // Two blocks of each text, and they differ from the first on. Used again, text 0 is the younger.
    assert_eq!(world.pool.registered(), 4);
    assert_eq!(opened(&mut world, 0, 33), 32);
    world.apply(Operation::Close { which: 0 });
    let lease = world.pool.reserve(3 * BLOCK_TOKENS).unwrap();
    assert_eq!(world.pool.registered(), 3);
    drop(lease);
    world.open(0, 1, 40);
    assert_eq!(world.live[0].tokens.len(), 16);
    world.open(0, 0, 40);
    assert_eq!(world.live[1].tokens.len(), 32);
}

#[test]
fn a_fork_copies_only_the_block_that_is_written() {
    let mut world = World::new(10);
    opened(&mut world, 0, 40);
    world.apply(Operation::Fork { which: 0 });
    assert_eq!(world.pool.available(), 7);
    world.apply(Operation::Extend { which: 1, tokens: 1 });
    assert_eq!(world.pool.available(), 6);
    world.apply(Operation::Extend { which: 0, tokens: 1 });
    assert_eq!(world.pool.available(), 6);
}

#[test]
fn blocks_behind_the_window_are_free_but_the_last_registered_one() {
    let mut world = World::with_window(10, Some(20));
    opened(&mut world, 0, 67);
    let free = |world: &mut World| {
        world.apply(Operation::Trim { which: 0 });
        world.pool.available()
    };
    assert_eq!(world.pool.available(), 5);
    // Position 67 sees 48 and later: three blocks of five are not needed.
    assert_eq!(free(&mut world), 8);
    world.apply(Operation::Extend { which: 0, tokens: 1 });
    assert_eq!(free(&mut world), 8);
    // What comes before is gone: it cannot be forked there, nor registered.
    let id = world.live[0].lease.id();
    assert!(world.pool.fork_first(id, 66).is_err());
    assert!(world.pool.fork_first(id, 67).is_ok());
    world.apply(Operation::Register { which: 0 });
    assert_eq!(world.pool.registered(), 0);

    // Registered blocks go back to the tree; they are evicted after those that follow them.
    let mut world = World::with_window(10, Some(4));
    opened(&mut world, 0, 64);
    world.apply(Operation::Register { which: 0 });
    // The window ends in the fourth block.
    assert_eq!((free(&mut world), world.pool.registered()), (9, 4));
    world.apply(Operation::Close { which: 0 });
    assert_eq!(world.pool.available(), 10);
    assert_eq!(opened(&mut world, 0, 64), 63);
}

#[test]
fn what_is_left_behind_is_evicted_with_what_follows_it_if_there_is_nothing_else() {
    let mut world = World::with_window(6, Some(4));
    opened(&mut world, 0, 64);
    world.apply(Operation::Register { which: 0 });
    world.apply(Operation::Trim { which: 0 });
    // Two blocks are free and three left behind; the first of these is not found again, nor is what
    // comes after it.
    opened(&mut world, 1, 48);
    assert_eq!((world.pool.available(), world.pool.registered()), (2, 0));
    world.apply(Operation::Extend { which: 0, tokens: 16 });
    world.apply(Operation::Register { which: 0 });
    assert_eq!(world.pool.registered(), 0);
    world.apply(Operation::Close { which: 1 });
    assert_eq!(opened(&mut world, 0, 40), 0);
    world.apply(Operation::Register { which: 1 });
    assert_eq!(world.pool.registered(), 2);
}

#[test]
fn each_rank_has_its_own_rows_of_the_same_blocks() {
    let narrow = KvShape { key_width: 2, value_width: 4, ..SHAPE };
    let mut pool = KvPool::over_ranks([SHAPE, narrow], 4 * BLOCK_TOKENS);
    let lease = pool.reserve(20).unwrap();
    let append = |pool: &mut KvPool, cache, range: std::ops::Range<usize>| {
        for (rank, store) in pool.stores().iter_mut().enumerate() {
            let KvShape { key_width, value_width, layers } = [SHAPE, narrow][rank];
            let rows = |width: usize| -> Vec<f32> {
                let row =
                    |at| (0..width).map(move |column| (1000 * rank + 10 * at + column) as f32);
                range.clone().flat_map(row).collect()
            };
            for layer in 0..layers {
                let (keys, values) = (rows(key_width), rows(value_width));
                store.append(cache, layer, range.len(), &keys, &values).unwrap();
            }
        }
    };
    append(&mut pool, lease.id(), 0..20);
    let fork = pool.fork(lease.id()).unwrap();
    assert!(pool.grow(fork.id(), 21));
    append(&mut pool, fork.id(), 20..21);
    assert_eq!([lease.id(), fork.id()].map(|id| pool.length(id).unwrap()), [20, 21]);
    for (rank, store) in pool.stores().iter().enumerate() {
        for (id, length) in [(lease.id(), 20), (fork.id(), 21)] {
            let KvView::Paged(view) = store.view(id, 1).unwrap() else { panic!("it is paged") };
            assert_eq!(view.length(), length);
            for at in 0..length {
                let (keys, values) = view.row(at);
                assert_eq!(keys.len(), [SHAPE, narrow][rank].key_width);
                assert_eq!(
                    [keys[1], values[3]],
                    [1, 3].map(|c| (1000 * rank + 10 * at + c) as f32)
                );
            }
        }
    }
    // Alone it is not the cache of a model.
    assert!(pool.view(lease.id(), 0).is_err());
    drop((lease, fork));
    assert_eq!(pool.available(), 4);
    assert!(pool.stores().iter().all(|store| store.rows().is_empty()));
}

#[test]
fn a_full_or_misshapen_append_changes_nothing() {
    let mut pool = KvPool::new(SHAPE, 16);
    let lease = pool.reserve(1).unwrap();
    let id = lease.id();
    let (keys, values) = ([1.0; 51], [1.0; 85]);
    assert!(pool.append(id, 0, 17, &keys, &values).is_err());
    assert!(pool.append(id, 0, 1, &keys[..3], &values[..6]).is_err());
    assert!(pool.append(id, 0, 1, &keys[..2], &values[..5]).is_err());
    assert!(pool.append(id, 2, 1, &keys[..3], &values[..5]).is_err());
    assert!(pool.append(CacheId(9), 0, 1, &keys[..3], &values[..5]).is_err());
    assert_eq!(pool.view(id, 0).unwrap().length(), 0);
    assert!(!pool.grow(id, 17));
    pool.append(id, 0, 16, &keys[..48], &values[..80]).unwrap();
    // Shared with another, it may only be written after it was copied, for which there is no room.
    pool.append(id, 1, 10, &keys[..30], &values[..50]).unwrap();
    let fork = pool.fork(id).unwrap();
    assert_eq!(pool.length(fork.id()).unwrap(), 10);
    assert!(pool.append(id, 1, 1, &keys[..3], &values[..5]).is_err());
    assert!(!pool.grow(id, 11));
    drop(fork);
    assert!(pool.grow(id, 11));
    drop(lease);
    assert_eq!(pool.available(), 1);
    assert!(pool.view(id, 0).is_err());
    assert!(pool.reserve(usize::MAX).is_none());
}
