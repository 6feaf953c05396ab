//! Every rule finds what breaks it, and nothing in honest ledgers.

mod amounts;
mod batches;
mod carries;
mod factors;
mod honest;
mod index;
mod records;
mod rows;
mod uses;
mod uses_vectors;
mod world;
