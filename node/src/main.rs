//! The `openledger` binary: a thin shell over the `node` library.

mod cli;

use clap::Parser;

fn main() -> eyre::Result<()> {
    cli::run(cli::Arguments::parse())
}
