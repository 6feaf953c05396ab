//! Behaviour of `attribution::settle` from outside.

mod audit;
mod batch;
mod credits;
mod fee;
mod ledger_vectors;
mod merkle;
mod record;
mod row_codec;
mod vectors;
mod witness;
