//! Votes on records: stage by stage, and by running nodes.

mod ballots;
mod citations;
mod dishonest;
mod figures;
mod holds;
mod nodes;
mod peer;
mod world;

pub(crate) use citations::encoder;
pub(crate) use peer::{Peer, funded, validator};
pub(crate) use world::{World, adapter, publish, serve_falsely, serve_honestly, tiny};
