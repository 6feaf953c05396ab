//! Full blocks by what they are keys and values of.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{BLOCK_TOKENS, blocks::BlockId};

/// What besides its tokens decides a sequence's keys and values: the adapters with their weights.
/// Sequences with different keys share nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PrefixKey(pub Arc<[u8]>);

/// A node of the tree of prefixes. Ids are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u64);

type BlockTokens = [u32; BLOCK_TOKENS];

/// What a node follows.
#[derive(Debug)]
enum Edge {
    Root(PrefixKey),
    Child(NodeId, BlockTokens),
}

#[derive(Debug)]
struct Node {
    edge: Edge,
    /// The block that holds the edge's tokens; none at the root.
    block: Option<BlockId>,
    children: u32,
    /// Whether a sequence uses it.
    held: bool,
    /// When a sequence last let go of it.
    used: u64,
}

/// A tree of blocks: from a root for each key, one edge for each block's tokens. It compares tokens
/// themselves and not their hash, so nobody can make two texts collide.
///
/// A node that no sequence holds is unused. Unused leaves are evicted first. Where there are none,
/// a sequence has left an unused node behind its window and holds what follows: then that node goes,
/// and what follows it is cut off with it, because nobody could find it any more.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    roots: HashMap<PrefixKey, NodeId>,
    children: HashMap<(NodeId, BlockTokens), NodeId>,
    nodes: HashMap<NodeId, Node>,
    of_block: HashMap<BlockId, NodeId>,
    /// Unused nodes, by time of last use, and those of them that are leaves.
    unused: BTreeSet<(u64, NodeId)>,
    idle: BTreeSet<(u64, NodeId)>,
    next: u64,
    clock: u64,
}

impl Prefixes {
    /// Blocks that can be evicted.
    pub(super) fn unused(&self) -> usize {
        self.unused.len()
    }

    /// Blocks in all.
    pub(super) fn held(&self) -> usize {
        self.of_block.len()
    }

    /// The node and block that follow `parent` (the key's root if none) with these tokens.
    pub(super) fn find(
        &self,
        key: &PrefixKey,
        parent: Option<NodeId>,
        tokens: &[u32],
    ) -> Option<(NodeId, BlockId)> {
        let tokens = BlockTokens::try_from(tokens).ok()?;
        let parent = parent.or_else(|| self.roots.get(key).copied())?;
        let id = *self.children.get(&(parent, tokens))?;
        Some((id, self.nodes[&id].block?))
    }

    /// Adds a block that a sequence uses. The caller holds a reference for the tree. Nothing, and
    /// nothing is added, if `parent` is not in the tree any more.
    pub(super) fn insert(
        &mut self,
        key: &PrefixKey,
        parent: Option<NodeId>,
        tokens: BlockTokens,
        block: BlockId,
    ) -> Option<NodeId> {
        let parent = parent.unwrap_or_else(|| self.root(key));
        let node = self.nodes.get_mut(&parent)?;
        node.children += 1;
        let used = node.used;
        self.idle.remove(&(used, parent));
        let id = self.add(Edge::Child(parent, tokens), Some(block));
        self.children.insert((parent, tokens), id);
        self.of_block.insert(block, id);
        self.node(id).held = true;
        Some(id)
    }

    fn root(&mut self, key: &PrefixKey) -> NodeId {
        if let Some(root) = self.roots.get(key) {
            return *root;
        }
        let id = self.add(Edge::Root(key.clone()), None);
        self.roots.insert(key.clone(), id);
        id
    }

    fn add(&mut self, edge: Edge, block: Option<BlockId>) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, Node { edge, block, children: 0, held: false, used: 0 });
        id
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node outlives its children and its users")
    }

    /// A sequence begins to use a block that none used.
    pub(super) fn acquire(&mut self, block: BlockId) {
        let id = self.of_block[&block];
        let node = self.node(id);
        node.held = true;
        let used = node.used;
        self.unused.remove(&(used, id));
        self.idle.remove(&(used, id));
    }

    /// The last sequence that used `block` lets go of it, if the tree has it.
    pub(super) fn release(&mut self, block: BlockId) {
        let Some(id) = self.of_block.get(&block).copied() else { return };
        self.clock += 1;
        let clock = self.clock;
        let node = self.node(id);
        (node.held, node.used) = (false, clock);
        let leaf = node.children == 0;
        self.unused.insert((clock, id));
        if leaf {
            self.idle.insert((clock, id));
        }
    }

    /// Removes the leaf that has been unused for longest or, where no leaf is unused, the node, with
    /// all that follows it. The caller gives the tree's references to these blocks back.
    pub(super) fn evict(&mut self) -> Vec<BlockId> {
        match (self.idle.first(), self.unused.first()) {
            (Some((_, leaf)), _) => vec![self.remove(*leaf)],
            (None, Some((_, node))) => self.cut(*node),
            (None, None) => Vec::new(),
        }
    }

    fn cut(&mut self, first: NodeId) -> Vec<BlockId> {
        // A node's id is larger than its parent's.
        let mut later: Vec<NodeId> = self.nodes.keys().copied().filter(|id| *id > first).collect();
        later.sort();
        let mut doomed = BTreeSet::from([first]);
        for id in later {
            if matches!(self.nodes[&id].edge, Edge::Child(parent, _) if doomed.contains(&parent)) {
                doomed.insert(id);
            }
        }
        doomed.into_iter().rev().map(|id| self.remove(id)).collect()
    }

    /// Removes a node without children.
    fn remove(&mut self, id: NodeId) -> BlockId {
        let node = self.nodes.remove(&id).expect("it was just found");
        let block = node.block.expect("roots go with their last child");
        self.of_block.remove(&block);
        self.unused.remove(&(node.used, id));
        self.idle.remove(&(node.used, id));
        if let Edge::Child(parent, tokens) = node.edge {
            self.children.remove(&(parent, tokens));
            self.orphan(parent);
        }
        block
    }

    /// A child of `parent` is gone.
    fn orphan(&mut self, parent: NodeId) {
        let node = self.node(parent);
        node.children -= 1;
        if node.children > 0 {
            return;
        }
        match &node.edge {
            Edge::Root(key) => {
                let key = key.clone();
                self.roots.remove(&key);
                self.nodes.remove(&parent);
            }
            Edge::Child(..) if node.held => {}
            Edge::Child(..) => {
                let used = node.used;
                self.idle.insert((used, parent));
            }
        }
    }
}
