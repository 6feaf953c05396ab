//! Full blocks by what they are keys and values of.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    BLOCK_TOKENS,
    blocks::{BlockId, Blocks},
};

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
    /// How many of the children are held or have held descendants.
    busy: u32,
    /// Whether a sequence uses it.
    held: bool,
    /// When a sequence last let go of it.
    used: u64,
}

/// A tree of blocks: from a root for each key, one edge for each block's tokens. It compares tokens
/// themselves and not their hash, so nobody can make two texts collide.
///
/// A node that is neither held nor has held descendants is unused; all unused ones can be evicted,
/// leaves first. (A sequence holds all blocks before one that it holds, but for those that it has
/// left behind its window.)
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    roots: HashMap<PrefixKey, NodeId>,
    children: HashMap<(NodeId, BlockTokens), NodeId>,
    nodes: HashMap<NodeId, Node>,
    of_block: HashMap<BlockId, NodeId>,
    /// Unused leaves, by time of last use.
    idle: BTreeSet<(u64, NodeId)>,
    unused: usize,
    next: u64,
    clock: u64,
}

impl Prefixes {
    /// Blocks that can be evicted.
    pub(super) const fn unused(&self) -> usize {
        self.unused
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

    /// Adds a block that a sequence uses. The caller holds a reference for the tree.
    pub(super) fn insert(
        &mut self,
        key: &PrefixKey,
        parent: Option<NodeId>,
        tokens: BlockTokens,
        block: BlockId,
    ) -> NodeId {
        let parent = parent.unwrap_or_else(|| self.root(key));
        let id = self.add(Edge::Child(parent, tokens), Some(block));
        self.children.insert((parent, tokens), id);
        self.of_block.insert(block, id);
        self.node(id).held = true;
        // Before it counts as a child: a leaf may have been idle.
        self.child_is_busy(parent);
        self.node(parent).children += 1;
        id
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
        self.nodes.insert(id, Node { edge, block, children: 0, busy: 0, held: false, used: 0 });
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
        if node.busy == 0 {
            self.leaves_unused(id);
        }
    }

    /// The last sequence that used `block` lets go of it, if the tree has it.
    pub(super) fn release(&mut self, block: BlockId) {
        let Some(mut id) = self.of_block.get(&block).copied() else { return };
        self.clock += 1;
        let clock = self.clock;
        let node = self.node(id);
        (node.held, node.used) = (false, clock);
        // Its ancestors may have been left behind before it.
        while let Node { held: false, busy: 0, block: Some(_), used, children, edge } =
            &self.nodes[&id]
        {
            if *children == 0 {
                self.idle.insert((*used, id));
            }
            self.unused += 1;
            let Edge::Child(parent, _) = edge else { return };
            id = *parent;
            self.node(id).busy -= 1;
        }
    }

    /// An unused node is used now.
    fn leaves_unused(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        self.idle.remove(&(node.used, id));
        self.unused -= 1;
        if let Edge::Child(parent, _) = node.edge {
            self.child_is_busy(parent);
        }
    }

    /// One more child of a node is used or has used descendants.
    fn child_is_busy(&mut self, id: NodeId) {
        let node = self.node(id);
        node.busy += 1;
        if node.busy == 1 && !node.held && node.block.is_some() {
            self.leaves_unused(id);
        }
    }

    /// Removes the block that has been unused for longest. The caller gives the tree's reference
    /// back.
    pub(super) fn evict(&mut self, blocks: &Blocks) -> Option<BlockId> {
        let (_, id) = self.idle.pop_first()?;
        let node = self.nodes.remove(&id).expect("idle nodes exist");
        let block = node.block.expect("roots are never idle");
        self.of_block.remove(&block);
        self.unused -= 1;
        if let Edge::Child(parent, tokens) = node.edge {
            self.children.remove(&(parent, tokens));
            self.orphan(parent, blocks);
        }
        Some(block)
    }

    /// A child of `parent` is gone.
    fn orphan(&mut self, parent: NodeId, blocks: &Blocks) {
        let node = self.node(parent);
        node.children -= 1;
        if node.children > 0 {
            return;
        }
        match (&node.edge, node.block) {
            (Edge::Root(key), _) => {
                let key = key.clone();
                self.roots.remove(&key);
                self.nodes.remove(&parent);
            }
            // Only the tree's own reference is left: nobody uses it.
            (Edge::Child(..), Some(block)) if blocks.references(block) == 1 => {
                let used = node.used;
                self.idle.insert((used, parent));
            }
            (Edge::Child(..), _) => {}
        }
    }
}
