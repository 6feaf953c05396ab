//! Datanets on disk: rows cut out of real files, with their contributors, under one Merkle root.
//!
//! A Datanet directory holds `datanet.json` ([`Manifest`]) and `rows.jsonl` (one [`Row`] a line, in
//! registration order). The root over the rows is what `DatanetRegistry.publish` puts on chain.

mod build;
mod directory;
mod solidity;

pub use build::{Contribution, assemble, choose, cut, fit, shuffle_tokens};
pub use directory::{Datanet, Manifest, Row};
pub use solidity::{Segment, segments};
