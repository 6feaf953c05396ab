//! Votes on records: stage by stage, and by running nodes.

mod ballots;
mod dishonest;
mod holds;
mod nodes;
mod peer;
mod world;

pub(crate) use world::{World, publish, serve_falsely, serve_honestly, tiny};
