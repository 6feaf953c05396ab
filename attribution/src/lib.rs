//! Who made an answer possible, and what each is owed for it.

extern crate alloc;

mod error;
pub mod estimate;
pub mod evaluate;
pub mod provenance;
pub mod quality;
pub mod retrieval;
pub mod settle;
pub mod spans;

pub use error::{Error, Result};
