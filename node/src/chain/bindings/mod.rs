//! The contracts as Rust types: the interfaces under `contracts/interfaces`, with user-defined value
//! types written as what they wrap, which is the same ABI. A test compares every selector and topic
//! with the committed `abi/`. Errors are here only where the node acts on what they say.

mod figures;
mod registries;
mod settlement;
mod stakes;

pub use figures::*;
pub use registries::*;
pub use settlement::*;
pub use stakes::*;
