//! The API over HTTP, with a real model and real vouchers.

mod adapters;
mod calls;
mod earning;
mod embeddings;
mod explain;
mod faults;
mod fields;
mod graph;
mod hostile;
mod index;
mod keys;
mod reads;
mod refusals;
mod retrieval;
mod world;
