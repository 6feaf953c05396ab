//! The `openledger` binary.

fn main() {}
