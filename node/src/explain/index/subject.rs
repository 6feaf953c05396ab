//! What an index is held against.

use std::path::Path;

use super::chain::ChainIndex;
use crate::datanet::Datanet;

/// What an index is held against, beside the manifest in its folder.
#[derive(Debug)]
pub struct IndexCheck<'a> {
    /// The model's folder.
    pub dir: &'a Path,
    /// What the chain says of the model; without it registration stays unchecked.
    pub chain: Option<ChainIndex>,
    /// The Datanet versions of the model, in the order of its registration; none leaves rows
    /// unchecked.
    pub datanets: &'a [Datanet],
    /// Those that the index's projection was learned from, if it is that of an earlier version.
    pub learned_from: Option<&'a [Datanet]>,
    /// Folder of the base model, which shapes and sketches need.
    pub base: Option<&'a Path>,
    /// How many rows' sketches are computed again; with any, the projection's basis is learned again
    /// too.
    pub rows: usize,
    /// Which: a seed of the choice.
    pub seed: u64,
    /// Tokens of a row that are used; what the index was built with.
    pub max_tokens: usize,
}
