//! The span index, against reading every row.

mod corpus;
mod files;
mod proof;
mod rarity;
mod search;
mod trace;
mod vectors;
