//! Behaviour of the prover from outside.

mod blob;
mod earnings;
mod openings;
mod payouts;
mod points;
mod reference;
mod setup;
mod vectors;
mod witness_blob;

use std::sync::LazyLock;

use prover::Srs;

/// A setup large enough for the tests.
static SRS: LazyLock<Srs> = LazyLock::new(|| Srs::dev(31_337, b"tests", 4096).unwrap());
