//! Checks that a file holds the powers of EigenDA's secret, by pairing against its `tau G2`: `cargo
//! run -p prover --example check_srs <g1.point> <powers>`.

use std::path::PathBuf;

use prover::{EIGENDA_TAU_G2, Srs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path: PathBuf = arguments.next().ok_or("a file of powers must be given")?.into();
    let powers: usize = arguments.next().ok_or("a number of powers must be given")?.parse()?;
    let srs = Srs::eigenda(&path, powers, EIGENDA_TAU_G2)?;
    println!("{} powers of EigenDA's secret", srs.g1().len());
    Ok(())
}
