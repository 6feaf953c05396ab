//! Votes on records: stage by stage, and by running nodes.

mod ballots;
mod citations;
mod dishonest;
mod holds;
mod nodes;
mod peer;
mod world;

pub(crate) use citations::encoder;
pub(crate) use world::{publish, tiny};
