use std::{fs, path::Path};

use ark_ff::{BigInteger, PrimeField};
use prover::{EIGENDA_TAU_G2, Error, G1Affine, Srs};
use rust_kzg_bn254_prover::srs::SRS as Reference;

use crate::SRS;

const CHAIN: u64 = 161_201;

fn refused_with(result: prover::Result<Srs>, rule: &str) -> bool {
    let message = result.unwrap_err().to_string();
    assert!(message.contains(rule), "{message}");
    true
}

#[test]
fn a_known_secret_is_refused_on_main_chains() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("setup");
    Srs::dev_cached(&file, CHAIN, b"seed", 8).unwrap();
    for chain_id in [1, 1612] {
        let refused = Srs::dev(chain_id, b"seed", 8);
        assert!(matches!(refused, Err(Error::KnownSecret { chain_id: c }) if c == chain_id));
        let refused = Srs::dev_cached(&file, chain_id, b"seed", 8);
        assert!(matches!(refused, Err(Error::KnownSecret { chain_id: c }) if c == chain_id));
    }
}

#[test]
fn a_size_outside_its_bounds_is_refused() {
    for size in [0, 1, (1 << 19) + 1] {
        assert!(
            matches!(Srs::dev(CHAIN, b"seed", size), Err(Error::SetupSize { given, .. }) if given == size)
        );
        let eigenda = Srs::eigenda(Path::new("nowhere"), size, EIGENDA_TAU_G2);
        assert!(matches!(eigenda, Err(Error::SetupSize { .. })));
    }
}

#[test]
fn seeds_give_setups_of_their_own() {
    assert_eq!(Srs::dev(CHAIN, b"a", 8).unwrap(), Srs::dev(5, b"a", 8).unwrap());
    let (a, b) = (Srs::dev(CHAIN, b"a", 8).unwrap(), Srs::dev(CHAIN, b"b", 8).unwrap());
    assert_ne!(a.tau_g2(), b.tau_g2());
    assert_eq!(a.g1()[0], b.g1()[0]);
    assert_ne!(a.g1()[1], b.g1()[1]);
}

#[test]
fn a_setup_is_read_from_its_file_and_a_prefix_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deeper").join("setup");
    let made = Srs::dev_cached(&file, CHAIN, b"seed", 64).unwrap();
    assert_eq!(made, Srs::dev(CHAIN, b"seed", 64).unwrap());
    assert_eq!(Srs::dev_cached(&file, CHAIN, b"seed", 64).unwrap(), made);
    assert_eq!(Srs::dev_cached(&file, CHAIN, b"seed", 16).unwrap().g1(), &made.g1()[..16]);
    let left: Vec<_> = fs::read_dir(file.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no partial file is left");
}

#[test]
fn a_file_of_another_setup_or_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("setup");
    Srs::dev_cached(&file, CHAIN, b"seed", 16).unwrap();
    refused_with(Srs::dev_cached(&file, CHAIN, b"other", 16), "be of the setup asked for");
    refused_with(Srs::dev_cached(&file, CHAIN, b"seed", 17), "hold as many powers as asked for");

    let whole = fs::read(&file).unwrap();
    for at in [8, 50, 141, 700, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        fs::write(&file, bytes).unwrap();
        refused_with(Srs::dev_cached(&file, CHAIN, b"seed", 16), "match its checksum");
    }
    fs::write(&file, &whole[..whole.len() - 7]).unwrap();
    refused_with(Srs::dev_cached(&file, CHAIN, b"seed", 16), "match its checksum");
    fs::write(&file, b"OLDEVSR1").unwrap();
    refused_with(Srs::dev_cached(&file, CHAIN, b"seed", 16), "hold a header and a checksum");
    fs::write(&file, b"").unwrap();
    refused_with(Srs::dev_cached(&file, CHAIN, b"seed", 16), "begin with OLDEVSR1");
}

/// gnark's compression, as EigenDA's `g1.point` has it.
fn compressed(point: &G1Affine) -> [u8; 32] {
    let mut bytes: [u8; 32] = point.x.into_bigint().to_bytes_be().try_into().unwrap();
    let larger = point.y.into_bigint() > (-point.y).into_bigint();
    bytes[0] |= if larger { 0b1100_0000 } else { 0b1000_0000 };
    bytes
}

#[test]
fn eigendas_format_is_read_as_eigenda_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g1.point");
    let bytes: Vec<u8> = SRS.g1().iter().flat_map(compressed).collect();
    fs::write(&file, &bytes).unwrap();

    let read = Srs::eigenda(&file, 4096, SRS.tau_g2()).unwrap();
    assert_eq!(read, *SRS);
    let reference = Reference::new(file.to_str().unwrap(), 4096, 4096).unwrap();
    assert_eq!(read.g1(), &reference.g1[..]);
    assert_eq!(Srs::eigenda(&file, 256, SRS.tau_g2()).unwrap().g1(), &SRS.g1()[..256]);
}

#[test]
fn powers_of_another_secret_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g1.point");
    let bytes: Vec<u8> = SRS.g1()[..64].iter().flat_map(compressed).collect();
    let read = |bytes: &[u8], tau_g2| {
        fs::write(&file, bytes).unwrap();
        Srs::eigenda(&file, 64, tau_g2)
    };
    let wrong_powers = "hold the powers of the secret in tau G2";
    refused_with(read(&bytes, EIGENDA_TAU_G2), wrong_powers);
    let mut swapped = bytes.clone();
    swapped[32 * 40..32 * 42].rotate_left(32);
    refused_with(read(&swapped, SRS.tau_g2()), wrong_powers);
    let mut negated = bytes.clone();
    negated[32 * 63] ^= 0b0100_0000;
    refused_with(read(&negated, SRS.tau_g2()), wrong_powers);
    refused_with(read(&bytes[32..], SRS.tau_g2()), "hold as many powers as asked for");
    // Every power but the generator is right for a file that starts one later.
    let shifted: Vec<u8> = SRS.g1()[1..65].iter().flat_map(compressed).collect();
    refused_with(read(&shifted, SRS.tau_g2()), wrong_powers);
    let mut plain = bytes;
    plain[0] &= 0b0011_1111;
    refused_with(read(&plain, SRS.tau_g2()), "hold compressed points of the curve");
}
