//! Prints how long commitments and openings take, each checked: `cargo run -p prover --example
//! timings`.

use std::{collections::BTreeMap, time::Instant};

use attribution::settle::EarnerIndex;
use prover::{
    Claim, DEFAULT_PAGE_SIZE, EarningsPage, Fr, Opening, Polynomial, Srs, verify, verify_many,
};

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what:<44} {:>9.3} s", start.elapsed().as_secs_f64());
    result
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{} threads", rayon::current_num_threads());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("setup");
    let srs = timed("setup of 2^19 powers, made and written", || {
        Srs::dev_cached(&file, 161_201, b"timings", 1 << 19)
    })?;
    let read = timed("setup of 2^19 powers, read", || {
        Srs::dev_cached(&file, 161_201, b"timings", 1 << 19)
    })?;
    assert_eq!(srs, read, "the setup reads back");

    for log in [15, 19] {
        commit_and_open(&srs, log)?;
    }

    let earnings: BTreeMap<_, _> = (1..DEFAULT_PAGE_SIZE)
        .map(|earner| (EarnerIndex(earner), u64::from(earner) * 1_000_000_007))
        .collect();
    let page = timed("interpolation of a page of 2^16", || {
        EarningsPage::new(DEFAULT_PAGE_SIZE, 0, &earnings)
    })?;
    let commitment = timed("commitment to a page of 2^16", || page.commit(&srs))?;
    let opening = timed("opening of a page of 2^16", || page.open(&srs, EarnerIndex(4_711)))?;
    let earners: Vec<_> = (1..=8).map(|i| EarnerIndex(i * 8_000)).collect();
    let openings = timed("8 openings of a page of 2^16", || page.open_many(&srs, &earners))?;
    let claims: Vec<_> = std::iter::once(opening)
        .chain(openings)
        .map(|opening| Claim { commitment, opening })
        .collect();
    let srs = timed("bases of a page of 2^16 from the secret", || {
        srs.prepare(DEFAULT_PAGE_SIZE).map(|()| srs)
    })?;
    all_openings(&srs, 1 << 12)?;
    all_openings(&srs, DEFAULT_PAGE_SIZE)?;
    let valid = timed("9 openings verified", || verify_many(srs.tau_g2(), &claims))?;
    assert!(valid, "openings hold");
    Ok(())
}

/// All openings of a page of which one earner in sixteen has earned something.
fn all_openings(srs: &Srs, size: u32) -> prover::Result<()> {
    let earnings: BTreeMap<_, _> =
        (1..size / 16).map(|i| (EarnerIndex(16 * i), u64::from(i) * 1_000_000_007)).collect();
    let page = EarningsPage::new(size, 0, &earnings)?;
    let single =
        timed(&format!("one opening of a page of {size}"), || page.open(srs, EarnerIndex(16)))?;
    let all = timed(&format!("all openings of a page of {size}"), || page.open_all(srs, |_| {}))?;
    assert_eq!(all[16], single, "both ways give the same");
    let again = timed("the same once more", || page.open_all(srs, |_| {}))?;
    assert_eq!(again, all, "every time");
    Ok(())
}

/// 248-bit symbols, as those of a ledger with hashes in it.
fn commit_and_open(srs: &Srs, log: u32) -> prover::Result<()> {
    let spread = Fr::from(u128::MAX) * Fr::from(1_u128 << 119);
    let symbols: Vec<_> = (0..1_u64 << log).map(|i| spread + Fr::from(i * i)).collect();
    let value = symbols[77];
    let polynomial =
        timed(&format!("interpolation of 2^{log} symbols"), || Polynomial::interpolate(symbols))?;
    let commitment =
        timed(&format!("commitment to 2^{log} symbols"), || srs.commit(polynomial.coefficients()))?;
    let (quotient, opened) = polynomial.divide(polynomial.point(77)?);
    assert_eq!(opened, value, "the symbol comes back");
    let witness = timed(&format!("witness of 2^{log} symbols"), || srs.commit(&quotient))?;
    let opening = Opening { domain_size: 1 << log, index: 77, value, witness };
    assert!(verify(srs.tau_g2(), commitment, &opening)?, "the opening holds");
    Ok(())
}
