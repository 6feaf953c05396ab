//! Behaviour of `attribution::settle` from outside.

mod audit;
mod batch;
mod confidence;
mod credits;
mod fee;
mod figure_vectors;
mod ledger_vectors;
mod merkle;
mod record;
mod reputation;
mod row_codec;
mod vectors;
mod witness;
